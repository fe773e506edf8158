test("btoa writes bytes as base64, and refuses what are none", () => {
  is(btoa("abc"), "YWJj");
  is(btoa("a\u00ff\0"), "Yf8A");
  is(btoa(""), "");
  is(btoa(null), "bnVsbA==");
  throws("InvalidCharacterError", () => btoa("\u0100"));
  throws("InvalidCharacterError", () => btoa("\uD800"));
  throws(TypeError, () => btoa());
});

test("atob forgives spaces and missing padding, and nothing else", () => {
  is(atob("YWJj"), "abc");
  is(atob(" YQ= =\t\n\f\r"), "a");
  is([atob("YQ"), atob("YQ=="), atob("YWI"), atob("YWI=")], ["a", "a", "ab", "ab"]);
  is(atob("YR"), "a");
  is(atob("/+8="), "\u00ff\u00ef");
  is(atob(""), "");
  for (const bad of ["A", "YQ=", "YQ===", "=", "====", "Y=Q=", "YW-_", "é", "YQ\u00a0==", "\uD800"]) {
    throws("InvalidCharacterError", () => atob(bad));
  }
});

test("every byte survives btoa and atob", () => {
  const all = String.fromCharCode(...Array(256).keys());
  is(atob(btoa(all)) === all, true);
});

test("getRandomValues fills the view it is given, and nothing around it", () => {
  const bytes = new Uint8Array(64);
  const part = bytes.subarray(16, 48);
  ok(crypto.getRandomValues(part) === part);
  is([...bytes.subarray(0, 16), ...bytes.subarray(48)].every((byte) => byte === 0), true);
  ok(new Set(part).size > 8, "that the bytes vary");
  ok(crypto.getRandomValues(new BigUint64Array(2)).some((value) => value > 0xffffffffn));
  ok(crypto.getRandomValues(new Uint8ClampedArray(40)).some((byte) => byte > 0));
  is(crypto.getRandomValues(new Uint16Array(0)).length, 0);
});

test("getRandomValues takes integers only, and not too many", () => {
  for (const view of [new Float64Array(1), new Float32Array(1), new DataView(new ArrayBuffer(1))]) {
    throws("TypeMismatchError", () => crypto.getRandomValues(view));
  }
  for (const value of [new ArrayBuffer(1), [1], 1, undefined]) throws(TypeError, () => crypto.getRandomValues(value));
  is(crypto.getRandomValues(new Uint8Array(65536)).length, 65536);
  const error = throws("QuotaExceededError", () => crypto.getRandomValues(new Uint32Array(16385)));
  is([error instanceof QuotaExceededError, error.requested, error.quota], [true, 65540, 65536]);
});

test("randomUUID is a UUID of version 4, another each time", () => {
  const made = Array.from({ length: 50 }, () => crypto.randomUUID());
  for (const uuid of made) ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid), uuid);
  is(new Set(made).size, 50);
});

test("crypto is an object of an interface that script cannot make", () => {
  ok(crypto instanceof Crypto);
  is(Object.prototype.toString.call(crypto), "[object Crypto]");
  throws(TypeError, () => new Crypto());
  throws(TypeError, () => crypto.randomUUID.call({}));
});

test("subtle.digest digests, and says what it cannot", async () => {
  const hex = async (name, data) => new Uint8Array(await crypto.subtle.digest(name, data)).toHex();
  const abc = new TextEncoder().encode("abc");
  is(await hex("SHA-1", abc), "a9993e364706816aba3e25717850c26c9cd0d89d");
  is(await hex("sha-256", abc.buffer), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  is((await hex({ name: "SHA-384" }, abc)).slice(0, 16), "cb00753f45a35e8b");
  is((await hex("SHA-512", new DataView(abc.buffer))).slice(0, 16), "ddaf35a193617aba");
  is((await hex("SHA-256", new Uint8Array())).slice(0, 8), "e3b0c442");
  await rejects("NotSupportedError", () => crypto.subtle.digest("MD5", abc));
  await rejects(TypeError, () => crypto.subtle.digest("SHA-1", "abc"));
  await rejects(TypeError, () => crypto.subtle.digest({}, abc));
  await rejects(TypeError, () => crypto.subtle.digest("SHA-1"));
  ok(crypto.subtle === crypto.subtle && crypto.subtle instanceof SubtleCrypto);
});

test("reportError reports and goes on", () => {
  is(reportError(new Error("reported, not thrown")), undefined);
  throws(TypeError, () => reportError());
});

test("what follows from one result comes before the next result", async () => {
  const order = [];
  const note = (name) => () => order.push(name);
  const first = caches.keys().then(note("a1")).then(note("a2")).then(note("a3"));
  const second = caches.keys().then(note("b1")).then(note("b2"));
  await Promise.all([first, second]);
  is(order, ["a1", "a2", "a3", "b1", "b2"]);
});

test("an iterator that does not end is given up", async () => {
  const endless = { *[Symbol.iterator]() { for (;;) yield "x" } };
  throws(RangeError, () => new Blob(endless));
});
