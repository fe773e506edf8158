test("text is encoded and decoded", () => {
  is([...new TextEncoder().encode("é\uD800")], [0xc3, 0xa9, 0xef, 0xbf, 0xbd]);
  is(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0xc3, 0xa9])), "é");
  is(new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])), "\uFEFF");
  is(new TextDecoder("latin1").encoding, "windows-1252");
  is(new TextDecoder("utf-16le").decode(new Uint8Array([0x61, 0])), "a");
  throws(RangeError, () => new TextDecoder("nonsense"));
});

test("a decoder keeps what is incomplete", () => {
  const d = new TextDecoder();
  is(d.decode(new Uint8Array([0xc3]), { stream: true }), "");
  is(d.decode(new Uint8Array([0xa9]), { stream: true }), "é");
  is(d.decode(new Uint8Array([0xc3])), "\uFFFD");
});

test("a fatal decoder throws and starts anew", () => {
  const d = new TextDecoder("utf-8", { fatal: true });
  throws(TypeError, () => d.decode(new Uint8Array([0xff])));
  is(d.decode(new Uint8Array([0x61]).buffer), "a");
  throws(TypeError, () => d.decode("a"));
});

test("encodeInto writes whole characters only", () => {
  const target = new Uint8Array(4);
  const result = new TextEncoder().encodeInto("aéé", target);
  is([result.read, result.written, [...target]], [2, 3, [0x61, 0xc3, 0xa9, 0]]);
});

test("base64", () => {
  is(btoa("a\xff"), "Yf8=");
  is(atob("Yf8="), "a\xff");
  throws("InvalidCharacterError", () => btoa("€"));
  throws("InvalidCharacterError", () => atob("a"));
});

test("structuredClone copies what is pure JavaScript", () => {
  const value = { date: new Date(5), map: new Map([[1, new Set([2])]]), list: [1, , 3], big: 1n, re: /a/gi, bytes: new Uint8Array([1, 2]) };
  value.self = value;
  const copy = structuredClone(value);
  ok(copy !== value && copy.self === copy);
  is([copy.date.getTime(), [...copy.map.get(1)], copy.list.length, 1 in copy.list, copy.big, String(copy.re), [...copy.bytes]], [5, [2], 3, false, 1n, "/a/gi", [1, 2]].map((x) => x));
  const error = structuredClone(new RangeError("m", { cause: 1 }));
  ok(error instanceof RangeError && error.message === "m" && error.cause === 1);
  throws("DataCloneError", () => structuredClone(() => {}));
  throws("DataCloneError", () => structuredClone(Symbol()));
  throws("DataCloneError", () => structuredClone(new Response()));
  throws("DataCloneError", () => structuredClone(Promise.resolve()));
});

test("structuredClone moves buffers that are transferred", () => {
  const buffer = new ArrayBuffer(4);
  const copy = structuredClone({ buffer }, { transfer: [buffer] });
  is([copy.buffer.byteLength, buffer.byteLength], [4, 0]);
  throws("DataCloneError", () => structuredClone(1, { transfer: [{}] }));
});

test("random values are random", () => {
  const [a, b] = [crypto.getRandomValues(new Uint32Array(8)), crypto.getRandomValues(new Uint32Array(8))];
  ok(String(a) !== String(b));
  throws("QuotaExceededError", () => crypto.getRandomValues(new Uint8Array(65537)));
  throws("TypeMismatchError", () => crypto.getRandomValues(new Float32Array(1)));
  ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()));
});

test("a blob is its parts", async () => {
  const blob = new Blob(["a", new Uint8Array([98]), new Blob(["c"]), new ArrayBuffer(1)], { type: "Text/Plain" });
  is([blob.size, blob.type, await blob.text()], [4, "text/plain", "abc\0"]);
  is(await blob.slice(1, -1, "x/y").text(), "bc");
  is((await blob.arrayBuffer()).byteLength, 4);
  is(await new Response(blob.stream()).text(), "abc\0");
  throws(TypeError, () => new Blob("a"));
});
