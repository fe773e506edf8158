const open = () => caches.open("v1");
const R = (body, init) => new Response(body, init);
const Q = (url, init) => new Request(url, init);
const text = async (response) => (await response)?.text();
const texts = async (responses) => Promise.all((await responses).map((response) => response.text()));
const urls = async (requests) => (await requests).map((request) => new URL(request.url).pathname);

test("E7 put without a response rejects", async () => {
  const c = await open();
  await rejects(TypeError, () => c.put("/x"));
});

test("E8 put of something else rejects", async () => {
  const c = await open();
  await rejects(TypeError, () => c.put("/x", "text"));
  await rejects(TypeError, () => c.put("/x", null));
});

test("E9 match and delete need a request", async () => {
  const c = await open();
  await rejects(TypeError, () => c.match());
  await rejects(TypeError, () => c.delete());
});

test("E10 undefined is a string", async () => {
  const c = await open();
  await c.put("/app/undefined", R("u"));
  is(await text(c.match(undefined)), "u");
});

test("E11 undefined is no request for matchAll and keys", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  await c.put("/y", R("2"));
  is((await c.matchAll(undefined)).length, 2);
  is((await c.keys(undefined, {})).length, 2);
});

test("E12 options are truthy or not", async () => {
  const c = await open();
  await c.put("/x?q", R("1"));
  is(await text(c.match("/x", { ignoreSearch: 1 })), "1");
  is(await c.match("/x", { ignoreSearch: "" }), undefined);
  is(await c.match("/x", null), undefined);
});

test("E13 options that are no object reject", async () => {
  const c = await open();
  await rejects(TypeError, () => c.match("/x", 5));
});

test("E14 Cache.match does not read cacheName", async () => {
  const c = await open();
  is(await c.match("/x", { get cacheName() { throw 1; } }), undefined);
});

test("E15 results are frozen", async () => {
  const c = await open();
  is([Object.isFrozen(await c.matchAll()), Object.isFrozen(await c.keys())], [true, true]);
});

test("E21 a URL object is its string", async () => {
  const c = await open();
  await c.put(new URL("https://a.test/x"), R("1"));
  is(await text(c.match("/x")), "1");
});

test("E35 a string is relative to the script", async () => {
  const c = await open();
  await c.put("x", R("1"));
  is((await c.keys())[0].url, "https://a.test/app/x");
  is(await c.match("/x"), undefined);
});

test("E36 a string is a URL, not a prefix of one", async () => {
  const c = await open();
  await c.put("/app/x", R("1"));
  is(await c.match("http"), undefined);
});

test("E37 what is no URL rejects", async () => {
  const c = await open();
  await rejects(TypeError, () => c.match("https://"));
});

test("E38 credentials in a URL reject", async () => {
  const c = await open();
  const url = "https://u:p@a.test/x";
  for (const method of ["match", "delete", "keys", "matchAll", "add"]) await rejects(TypeError, () => c[method](url));
  await rejects(TypeError, () => c.put(url, R("1")));
});

test("E39 any scheme is asked for", async () => {
  is(await (await open()).match("data:text/plain,hi"), undefined);
});

test("E40 only HTTP is put", async () => {
  const c = await open();
  await rejects(TypeError, () => c.put("data:text/plain,hi", R("1")));
});

test("E4.2 overwriting Request changes nothing", async () => {
  const c = await open();
  const { Request: initial } = globalThis;
  globalThis.Request = class {};
  try {
    await c.put("/x", R("1"));
    is(await text(c.match("/x")), "1");
  } finally {
    globalThis.Request = initial;
  }
});

test("E56 HEAD is looked up with ignoreMethod only", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is(await c.match(Q("/x", { method: "HEAD" })), undefined);
  is(await text(c.match(Q("/x", { method: "HEAD" }), { ignoreMethod: true })), "1");
});

test("E57 other methods find nothing", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is((await c.matchAll(Q("/x", { method: "POST", body: "b" }))).length, 0);
  is((await c.keys(Q("/x", { method: "HEAD" }))).length, 0);
});

test("E58 ignoreSearch does not relax the method", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is(await c.match(Q("/x", { method: "HEAD" }), { ignoreSearch: true }), undefined);
});

test("E59 methods are those of the Request", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is(await text(c.match(Q("/x", { method: "get" }))), "1");
  is(await c.match(Q("/x", { method: "patch" })), undefined);
});

test("E60 Vary compares what the requests say", async () => {
  const c = await open();
  await c.put(Q("/c", { headers: { x: "1" } }), R("1", { headers: { vary: "x" } }));
  is(await text(c.match(Q("/c", { headers: { x: "1" } }))), "1");
  is(await c.match(Q("/c", { headers: { x: "2" } })), undefined);
  is(await c.match("/c"), undefined);
});

test("E76 what was put is found", async () => {
  const c = await open();
  is(await c.put("/x", R("1")), undefined);
  is(await text(c.match("/x")), "1");
});

test("E77 schemes that are not HTTP are refused", async () => {
  const c = await open();
  for (const url of ["ftp://a.test/x", "blob:https://a.test/1", "about:blank"]) {
    await rejects(TypeError, () => c.put(url, R("1")));
  }
});

test("E78 a refused response can still be read", async () => {
  const c = await open();
  const r = R("1");
  await rejects(TypeError, () => c.put(Q("/x", { method: "HEAD" }), r));
  is(r.bodyUsed, false);
  await c.put("/x", r);
});

test("E79 a partial response is refused, unread", async () => {
  const c = await open();
  const r = R("1", { status: 206 });
  await rejects(TypeError, () => c.put("/x", r));
  is(await r.text(), "1");
});

test("E80 other statuses are stored", async () => {
  const c = await open();
  for (const status of [416, 404, 500]) {
    await c.put("/x", R("1", { status }));
    is((await c.match("/x")).status, status);
  }
});

test("E81 Vary: * is refused", async () => {
  const c = await open();
  await rejects(TypeError, () => c.put("/x", R("1", { headers: { vary: "a , *" } })));
  await c.put("/x", R("1", { headers: { vary: "a*b" } }));
});

test("E82 a body that was read or is locked is refused", async () => {
  const c = await open();
  const read = R("1");
  await read.text();
  await rejects(TypeError, () => c.put("/x", read));
  const locked = R("1");
  locked.body.getReader();
  await rejects(TypeError, () => c.put("/x", locked));
});

test("E83 a body that was read in part is refused", async () => {
  const c = await open();
  const r = R("1");
  const reader = r.body.getReader();
  await reader.read();
  reader.releaseLock();
  await rejects(TypeError, () => c.put("/x", r));
});

test("E84 the body is used with the call, and locked for ever", async () => {
  const c = await open();
  const r = R("1");
  const p = c.put("/x", r);
  is(r.bodyUsed, true);
  await p;
  throws(TypeError, () => r.body.getReader());
});

test("E85 a null body is put twice", async () => {
  const c = await open();
  const r = R();
  await c.put("/x", r);
  await c.put("/y", r);
  is((await c.keys()).length, 2);
});

test("E86 an empty body is put once", async () => {
  const c = await open();
  const r = R("");
  await c.put("/x", r);
  await rejects(TypeError, () => c.put("/y", r));
});

test("E87 a clone is put, the original read", async () => {
  const c = await open();
  const r = R("1");
  await c.put("/x", r.clone());
  is(await r.text(), "1");
});

test("E88 a body's own error is what put rejects with, and nothing changes", async () => {
  const c = await open();
  await c.put("/x", R("old"));
  const mine = new Error("mine");
  let chunks = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (chunks++ < 3) controller.enqueue(new Uint8Array(10));
      else controller.error(mine);
    },
  });
  await rejects({ exactly: mine }, () => c.put("/x", R(body)));
  is(await text(c.match("/x")), "old");
});

test("E89 a chunk that is no bytes rejects", async () => {
  const c = await open();
  await rejects(TypeError, () => c.put("/x", R(new ReadableStream({ start: (s) => s.enqueue("str") }))));
  is(await c.match("/x"), undefined);
});

test("E90 an error is stored", async () => {
  const c = await open();
  await c.put("/x", Response.error());
  const r = await c.match("/x");
  is([r.type, r.status, [...r.headers].length], ["error", 0, 0]);
});

test("E91 a redirect is stored with its Location", async () => {
  const c = await open();
  await c.put("/x", Response.redirect("http://e.test/y"));
  const r = await c.match("/x");
  is([r.status, r.headers.get("location")], [302, "http://e.test/y"]);
});

test("E92 put replaces", async () => {
  const c = await open();
  await c.put("/x", R("old"));
  await c.put("/x", R("new"));
  is([await text(c.match("/x")), (await c.keys()).length], ["new", 1]);
});

test("E93 the fragment of the latest put is kept", async () => {
  const c = await open();
  await c.put("/x#a", R("1"));
  await c.put("/x#b", R("2"));
  is((await c.keys()).map((request) => request.url), ["https://a.test/x#b"]);
});

test("E94 put does not look at the request's signal", async () => {
  const c = await open();
  await c.put(Q("/x", { signal: AbortSignal.abort() }), R("1"));
  is(await text(c.match("/x")), "1");
});

test("E95 a fetch that is aborted rejects the put of its body", async () => {
  const c = await open();
  const controller = new AbortController();
  const p = c.put("/x", await fetch("/endless", { signal: controller.signal }));
  setTimeout(() => controller.abort(), 2);
  await rejects("AbortError", () => p);
  const other = new AbortController();
  const q = c.put("/x", await fetch("/endless", { signal: other.signal }));
  setTimeout(() => other.abort("why"), 2);
  await rejects({ exactly: "why" }, () => q);
  is(await c.match("/x"), undefined);
});

test("E96 a response is stored under the request's URL and keeps its own", async () => {
  const c = await open();
  await c.put("/x", await fetch("/other"));
  is((await c.match("/x")).url, "https://a.test/other");
  is(await c.match("/other"), undefined);
});

test("E97 keys are of any origin", async () => {
  const c = await open();
  await c.put("https://b.test/x", R("1"));
  is(await text(c.match("https://b.test/x")), "1");
});

test("E98 a blob is stored", async () => {
  const c = await open();
  await c.put("/x", R(new Blob(["b"])));
  is(await text(c.match("/x")), "b");
});

test("E99 a put is not seen before it is whole", async () => {
  const c = await open();
  await c.put("/x", R("old"));
  const p = c.put("/x", await fetch("/slow/20"));
  is(await text(c.match("/x")), "old");
  await p;
  is(await text(c.match("/x")), "slow end");
});

test("E100 an opaque response is stored and not used up", async () => {
  const c = await open();
  const o = await fetch("/opaque", { mode: "no-cors" });
  await c.put("/x", o);
  is(o.bodyUsed, false);
  await c.put("/y", o);
  const r = await c.match("/y");
  is([r.type, r.status], ["opaque", 0]);
});

test("E102 add stores what it fetched", async () => {
  const c = await open();
  is(await c.add("./x"), undefined);
  is(await text(c.match("./x")), "body of /app/x");
  await rejects(TypeError, () => c.add());
});

test("E103 add fetches HTTP only", async () => {
  const c = await open();
  await rejects(TypeError, () => c.add("javascript://x"));
});

test("E104 add fetches GET only", async () => {
  const c = await open();
  await text(fetch("/log"));
  await rejects(TypeError, () => c.add(Q("/x", { method: "POST", body: "b" })));
  is(await text(fetch("/log")), "");
});

test("E105 one request is added twice", async () => {
  const c = await open();
  const request = Q("/x");
  await c.add(request);
  await c.add(request);
  is((await c.keys()).length, 1);
});

test("E106 what is not ok is not added", async () => {
  const c = await open();
  for (const url of ["/status/404", "/status/500", "/status/206", "/status/304", "/refused"]) {
    await rejects(TypeError, () => c.add(url));
  }
  await c.add("/null");
  is((await c.match("/null")).body, null);
});

test("E107 a redirected response is stored under the first URL", async () => {
  const c = await open();
  await c.add("/redirected");
  const r = await c.match("/redirected");
  is([r.redirected, r.url], [true, "https://a.test/target"]);
  is(await c.match("/target"), undefined);
});

test("E108 an opaque redirect is not added", async () => {
  const c = await open();
  await rejects(TypeError, () => c.add(Q("/manual", { redirect: "manual" })));
});

test("E109 all are added, or none", async () => {
  const c = await open();
  await rejects(TypeError, () => c.addAll(["/a", "/status/404", "/b"]));
  is((await c.keys()).length, 0);
});

test("E110 undefined in addAll is a URL", async () => {
  const c = await open();
  await c.addAll(["/a", undefined, "/b"]);
  is(await urls(c.keys()), ["/a", "/app/undefined", "/b"]);
});

test("E111 one request twice is an InvalidStateError", async () => {
  const c = await open();
  const r = Q("/r");
  await rejects("InvalidStateError", () => c.addAll([r, r]));
  is((await c.keys()).length, 0);
});

test("E112 fragments make no difference", async () => {
  const c = await open();
  await rejects("InvalidStateError", () => c.addAll(["/a#1", "/a#2"]));
});

test("E113 variants are different", async () => {
  const c = await open();
  const shape = (shape) => Q("/shape", { headers: { "x-shape": shape } });
  await c.addAll([shape("circle"), shape("square")]);
  is((await c.keys()).length, 2);
});

test("E114 the same variant twice is not", async () => {
  const c = await open();
  const shape = () => Q("/shape", { headers: { "x-shape": "circle" } });
  await rejects("InvalidStateError", () => c.addAll([shape(), shape()]));
});

test("E115 the Vary of the earlier one decides", async () => {
  const c = await open();
  const first = Q("/asymmetric", { headers: { shape: "circle", size: "big" } });
  const second = Q("/asymmetric", { headers: { shape: "square", size: "big" } });
  await rejects("InvalidStateError", () => c.addAll([second, first]));
  await c.addAll([first, second]);
});

test("E116 a failing addAll changes nothing", async () => {
  const c = await open();
  await c.put("/a", R("old"));
  await rejects("InvalidStateError", () => c.addAll(["/a", "/a#x"]));
  is(await text(c.match("/a")), "old");
});

test("E117 a scheme that is not HTTP rejects all", async () => {
  const c = await open();
  await rejects(TypeError, () => c.addAll(["/a", "ftp://x/"]));
  is((await c.keys()).length, 0);
});

test("E118 methods are checked before anything is fetched", async () => {
  const c = await open();
  await text(fetch("/log"));
  await rejects(TypeError, () => c.addAll([Q("/a"), Q("/p", { method: "PUT" })]));
  is(await text(fetch("/log")), "");
});

test("E119 opaque responses are not added", async () => {
  const c = await open();
  await rejects(TypeError, () => c.add(Q("/opaque", { mode: "no-cors" })));
});

test("E120 an abort rejects with AbortError at any time", async () => {
  const c = await open();
  await rejects("AbortError", () => c.add(Q("/x", { signal: AbortSignal.abort() })));
  const now = new AbortController();
  const added = c.add(Q("/never", { signal: now.signal }));
  now.abort();
  await rejects("AbortError", () => added);
  const later = new AbortController();
  const streamed = c.add(Q("/endless", { signal: later.signal }));
  setTimeout(() => later.abort(), 5);
  await rejects("AbortError", () => streamed);
  is((await c.keys()).length, 0);
});

test("E121 Vary: * is not added", async () => {
  const c = await open();
  await rejects(TypeError, () => c.add("/vary/*"));
});

test("E122 an entry is there when its body is", async () => {
  const c = await open();
  const p = c.add("/slow/10");
  is(await c.match("/slow/10"), undefined);
  await p;
  is(await text(c.match("/slow/10")), "slow end");
});

test("E123 entries are in the order of the arguments", async () => {
  const c = await open();
  await c.addAll(["/slow/10", "/a"]);
  is(await urls(c.keys()), ["/slow/10", "/a"]);
});

test("addAll of nothing resolves, of no sequence rejects", async () => {
  const c = await open();
  is(await c.addAll([]), undefined);
  await rejects(TypeError, () => c.addAll());
  await rejects(TypeError, () => c.addAll(5));
  await c.addAll(new Set(["/a"]));
});

test("E125 an empty cache has nothing", async () => {
  const c = await open();
  is([(await c.keys()).length, (await c.matchAll()).length, await c.match("/x"), await c.delete("/x")], [0, 0, undefined, false]);
});

test("E126 each match gives its own body", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  const [r1, r2] = [await c.match("/x"), await c.match("/x")];
  is([await r1.text(), await r2.text()], ["1", "1"]);
});

test("E127 headers of a match are immutable, of a response made of it are not", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  const r = await c.match("/x");
  throws(TypeError, () => r.headers.set("a", "b"));
  new Response(r.body, r).headers.set("a", "b");
});

test("E128 headers of keys are immutable", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  const [request] = await c.keys();
  throws(TypeError, () => request.headers.append("a", "b"));
});

test("E129 delete with ignoreSearch", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  await c.put("/x?q", R("2"));
  is(await c.delete("/x", { ignoreSearch: true }), true);
  is((await c.keys()).length, 0);
});

test("E130 delete by the exact query", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  await c.put("/x?q", R("2"));
  is(await c.delete("/x?q", { ignoreSearch: false }), true);
  is(await texts(c.matchAll("/x", { ignoreSearch: true })), ["1"]);
});

test("E131 delete by HEAD", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is(await c.delete(Q("/x", { method: "HEAD" })), false);
  is(await c.delete(Q("/x", { method: "HEAD" }), { ignoreMethod: true }), true);
});

test("E132 delete looks at Vary", async () => {
  const c = await open();
  await c.put(Q("/c", { headers: { x: "1" } }), R("1", { headers: { vary: "x" } }));
  is(await c.delete("/c"), false);
  is(await c.delete("/c", { ignoreVary: true }), true);
});

test("E134 delete ignores fragments", async () => {
  const c = await open();
  await c.put("/x", R("1"));
  is(await c.delete("/x#frag"), true);
});

test("E135 a match outlives its entry", async () => {
  const c = await open();
  await c.put("/x", R("x".repeat(100_000)));
  const r = await c.match("/x");
  await c.delete("/x");
  is((await r.text()).length, 100_000);
});

test("E136 a match is of the time it was made", async () => {
  const c = await open();
  await c.put("/x", R("old"));
  const r = await c.match("/x");
  await c.put("/x", R("new"));
  is(await r.text(), "old");
});

test("E137 a clone of a match is read though the match is not", async () => {
  const c = await open();
  await c.put("/x", R("x".repeat(80 * 1024)));
  const r = await c.match("/x");
  is((await r.clone().text()).length, 80 * 1024);
});

test("E138 the type of a stored body is kept", async () => {
  const c = await open();
  await c.put("/x", R("1", { headers: { "content-type": "text/html" } }));
  is((await (await c.match("/x")).blob()).type, "text/html");
});

test("E139 headers are stored as they are at the put", async () => {
  const c = await open();
  const r = R("1", { headers: { "content-type": "text/html" } });
  r.headers.set("content-type", "text/plain");
  await c.put("/x", r);
  is((await (await c.match("/x")).blob()).type, "text/plain");
});

test("E141 keys of all variants", async () => {
  const c = await open();
  for (const x of ["1", "2", "3"]) await c.put(Q("/c", { headers: { x } }), R(x, { headers: { vary: "x" } }));
  const found = await c.keys("/c", { ignoreVary: true });
  is(found.map((request) => request.headers.get("x")), ["1", "2", "3"]);
});

test("E145 a replaced entry moves to the end", async () => {
  const c = await open();
  for (const url of ["/a", "/b", "/c", "/a"]) await c.put(url, R("1"));
  is(await urls(c.keys()), ["/b", "/c", "/a"]);
});

test("E150 a stored request keeps what it said", async () => {
  const c = await open();
  await c.put(Q("/x#f", { headers: { a: "1" }, credentials: "omit", cache: "reload" }), R("1"));
  const [k] = await c.keys();
  is([k.url, k.headers.get("a"), k.credentials, k.cache, k.signal.aborted], ["https://a.test/x#f", "1", "omit", "reload", false]);
});

test("E151 a basic response stays one", async () => {
  const c = await open();
  await c.put("/k", await fetch("/headers"));
  const r = await c.match("/k");
  is([r.type, r.url, r.headers.get("x-a"), r.headers.has("set-cookie")], ["basic", "https://a.test/headers", "1, 2", false]);
});

test("E152 a CORS response shows what it exposes", async () => {
  const c = await open();
  await c.put("/k", await fetch("/cors"));
  const r = await c.match("/k");
  is([r.type, r.headers.get("foo"), r.headers.get("set-cookie")], ["cors", "1", null]);
});

test("E153 an opaque response stays one", async () => {
  const c = await open();
  await c.put("/k", await fetch("/opaque", { mode: "no-cors" }));
  const r = await c.match("/k");
  is([r.type, r.status, r.url, r.body, [...r.headers].length], ["opaque", 0, "", null, 0]);
});

test("E154 an opaque redirect stays one", async () => {
  const c = await open();
  await c.put("/k", await fetch("/manual", { redirect: "manual" }));
  const r = await c.match("/k");
  is([r.type, r.status, r.url], ["opaqueredirect", 0, "https://a.test/manual"]);
});

test("E155 a redirected response stays one", async () => {
  const c = await open();
  await c.put("/k", await fetch("/redirected"));
  const r = await c.match("/k");
  is([r.redirected, r.url], [true, "https://a.test/target"]);
});

test("E156 a response of script stays one", async () => {
  const c = await open();
  await c.put("/x", R("1", { status: 299, statusText: "Odd" }));
  const r = await c.match("/x");
  is([r.status, r.statusText, r.type, r.url], [299, "Odd", "default", ""]);
});

test("E157 a null body is not an empty one", async () => {
  const c = await open();
  await c.put("/null", R(null, { status: 204 }));
  await c.put("/empty", R(""));
  is((await c.match("/null")).body, null);
  const empty = await c.match("/empty");
  ok(empty.body !== null);
  is(await empty.text(), "");
});

test("E159 two lines of one header stay two", async () => {
  const c = await open();
  await c.put("/k", await fetch("/headers"));
  is((await c.match("/k")).headers.get("x-a"), "1, 2");
});

test("E169 what commits last wins", async () => {
  const c = await open();
  const p1 = c.put("/x", await fetch("/slow/20"));
  const p2 = c.put("/x", R("2"));
  await Promise.all([p1, p2]);
  is(await text(c.match("/x")), "slow end");
});

test("E172 a body that is read in part leaves the entry whole", async () => {
  const c = await open();
  await c.put("/x", R("x".repeat(100_000)));
  const reader = (await c.match("/x")).body.getReader();
  await reader.read();
  await reader.cancel();
  is((await text(c.match("/x"))).length, 100_000);
});
