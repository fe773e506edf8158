const put = async (cache, url, text, init) => (await caches.open(cache)).put(url, new Response(text, init));
const text = async (response) => (await response)?.text();

test("E6 open gives a new handle each time", async () => {
  is((await caches.open("v1")) === (await caches.open("v1")), false);
  is(caches === caches, true);
});

test("E5 a write through one handle is seen by all", async () => {
  const [h1, h2] = [await caches.open("v1"), await caches.open("v1")];
  await h1.put("/x", new Response("1"));
  is((await h2.keys()).length, 1);
});

test("E16 the empty name is a name", async () => {
  await caches.open("");
  is(await caches.has(""), true);
});

test("E17 unpaired surrogates are kept", async () => {
  await caches.open("a\uD800");
  is(await caches.has("a\uFFFD"), false);
  is(await caches.has("a\uD800"), true);
  const [name] = await caches.keys();
  is(name === "a\uD800", true);
});

test("E18 names are compared exactly", async () => {
  await caches.open("has a space");
  for (const name of ["has", "Has a space", "has a space "]) is(await caches.has(name), false);
});

test("E19 NUL is a character of a name", async () => {
  await caches.open("x\0y");
  is([await caches.has("x"), await caches.has("xy"), await caches.has("x\0y")], [false, false, true]);
});

test("E20 a name is a string", async () => {
  await caches.open(null);
  is(await caches.keys(), ["null"]);
});

test("E15 keys of the storage is a plain array", async () => {
  is(Object.isFrozen(await caches.keys()), false);
});

test("E22 names come in the order of their creation", async () => {
  for (const name of ["b", "a", "c"]) await caches.open(name);
  is(await caches.keys(), ["b", "a", "c"]);
});

test("E23 opening again keeps the place, deleting loses it", async () => {
  for (const name of ["b", "a", "c", "b"]) await caches.open(name);
  is(await caches.keys(), ["b", "a", "c"]);
  await caches.delete("b");
  await caches.open("b");
  is(await caches.keys(), ["a", "c", "b"]);
});

test("E24 what is not there is not", async () => {
  is([await caches.delete("nope"), await caches.has("nope")], [false, false]);
});

test("E25 the first cache that has it answers", async () => {
  await put("v1", "/x", "1");
  await put("v2", "/x", "2");
  is(await text(caches.match("/x")), "1");
});

test("E26 cacheName names the only cache, and creates none", async () => {
  await put("v1", "/x", "1");
  await put("v2", "/x", "2");
  is(await text(caches.match("/x", { cacheName: "v2" })), "2");
  is(await caches.match("/x", { cacheName: "v3" }), undefined);
  is(await caches.has("v3"), false);
});

test("E27 an undefined cacheName is none", async () => {
  await put("v1", "/x", "1");
  is(await text(caches.match("/x", { cacheName: undefined })), "1");
});

test("E28 an empty cacheName is one", async () => {
  await put("v1", "/x", "1");
  is(await caches.match("/x", { cacheName: "" }), undefined);
});

test("E29 HEAD matches with ignoreMethod only", async () => {
  await put("v1", "/x", "1");
  const head = new Request("/x", { method: "HEAD" });
  is(await caches.match(head), undefined);
  is(await text(caches.match(head, { ignoreMethod: true })), "1");
});

test("E30 the query can be ignored", async () => {
  await put("v1", "/x?foo", "1");
  is(await text(caches.match("/x", { ignoreSearch: true })), "1");
});

test("E32 a cache whose Vary does not match is passed over", async () => {
  await (await caches.open("v1")).put(new Request("/x", { headers: { a: "1" } }), new Response("1", { headers: { vary: "a" } }));
  await put("v2", "/x", "2");
  is(await text(caches.match("/x")), "2");
});

test("E33 calls are served in their order", async () => {
  await Promise.all(["a", "b", "c"].map((name) => caches.open(name)));
  is(await caches.keys(), ["a", "b", "c"]);
});

test("E34 a name is required", async () => {
  for (const method of ["open", "has", "delete", "match"]) await rejects(TypeError, () => caches[method]());
});

test("E165 a handle on a deleted cache works on, seen by nobody else", async () => {
  const h = await caches.open("d");
  await caches.delete("d");
  await h.add("/x");
  is(await caches.keys(), []);
  is((await (await caches.open("d")).keys()).length, 0);
  is((await h.keys()).length, 1);
});

test("E166 what is in a deleted cache is not found", async () => {
  const h = await caches.open("d");
  await h.put("/x", new Response("1"));
  await caches.delete("d");
  is(await caches.match("/x"), undefined);
});

test("E167 of two deletes one finds it", async () => {
  await caches.open("d");
  is((await Promise.all([caches.delete("d"), caches.delete("d")])).sort(), [false, true]);
});

test("E168 a response outlives its cache", async () => {
  await put("d", "/x", "x".repeat(100_000));
  const r = await caches.match("/x");
  await caches.delete("d");
  is((await r.text()).length, 100_000);
});

test("interfaces are not constructed", async () => {
  throws(TypeError, () => new Cache());
  throws(TypeError, () => new CacheStorage());
  await rejects(TypeError, () => CacheStorage.prototype.has.call({}, "a"));
  await rejects(TypeError, () => Cache.prototype.match.call(caches, "/x"));
});

test("members of the options are read in order", async () => {
  const read = [];
  const options = new Proxy({}, { get: (_, name) => void read.push(name) });
  await caches.match("/x", options);
  is(read, ["ignoreMethod", "ignoreSearch", "ignoreVary", "cacheName"]);
  const one = [];
  await (await caches.open("a")).match("/x", new Proxy({}, { get: (_, name) => void one.push(name) }));
  is(one, ["ignoreMethod", "ignoreSearch", "ignoreVary"]);
});
