test("F1 methods of the standard are upper-cased, others are not", () => {
  is(new Request("/x", { method: "post" }).method, "POST");
  is(new Request("/x", { method: "patch" }).method, "patch");
  is(new Request("/x", { method: "CHICKEN" }).method, "CHICKEN");
});

test("F2 forbidden methods and what is no method throw", () => {
  for (const method of ["TrAcE", "connect", "TRACK", "A B", ""]) throws(TypeError, () => new Request("/x", { method }));
});

test("F39 a URL is parsed against the script's, and holds no credentials", () => {
  is(new Request("").url, "https://a.test/app/sw.js");
  throws(TypeError, () => new Request("https://u:p@a.test/"));
  throws(TypeError, () => new Request("http://"));
});

test("F40 a URL keeps its fragment and its empty query", () => {
  is(new Request("/x#f").url, "https://a.test/x#f");
  is(new Request("/x?").url, "https://a.test/x?");
});

test("F41 nobody asks for the mode navigate", () => {
  throws(TypeError, () => new Request("/x", { mode: "navigate" }));
});

test("F44 GET has no body", () => {
  throws(TypeError, () => new Request("/x", { body: "b" }));
  throws(TypeError, () => new Request("/x", { method: "HEAD", body: "b" }));
  is(new Request("/x", { method: "POST", body: null }).body, null);
});

test("F45 a body moves to the request made of it", async () => {
  const a = new Request("/", { method: "POST", body: "b" });
  const b = new Request(a);
  is(a.bodyUsed, true);
  is(await b.text(), "b");
  throws(TypeError, () => new Request(a));
});

test("F46 a body that is given replaces one that was used", async () => {
  const a = new Request("/", { method: "POST", body: "b" });
  await a.text();
  is(await new Request(a, { body: "c" }).text(), "c");
});

test("F47 a stream needs duplex and a mode with CORS", () => {
  const stream = () => new ReadableStream();
  throws(TypeError, () => new Request("/", { method: "POST", body: stream() }));
  new Request("/", { method: "POST", body: stream(), duplex: "half" });
  throws(TypeError, () => new Request("/", { method: "POST", body: stream(), duplex: "half", mode: "no-cors" }));
});

test("F48 only-if-cached needs the same origin", () => {
  throws(TypeError, () => new Request("/", { cache: "only-if-cached" }));
  new Request("/", { cache: "only-if-cached", mode: "same-origin" });
});

test("F49 the referrer is the own origin's or the client", () => {
  is(new Request("/", { referrer: "https://b.test/" }).referrer, "about:client");
  is(new Request("/", { referrer: "/p" }).referrer, "https://a.test/p");
  is(new Request("/", { referrer: "" }).referrer, "");
  is(new Request("/").referrer, "about:client");
  throws(TypeError, () => new Request("/", { referrer: "https://" }));
});

test("F50 a request's signal follows the one it was given", () => {
  const controller = new AbortController();
  const r = new Request("/", { signal: controller.signal });
  const c = r.clone();
  ok(r.signal !== controller.signal);
  is(r.signal === r.signal, true);
  controller.abort("why");
  is([r.signal.aborted, r.signal.reason, c.signal.aborted], [true, "why", true]);
});

test("F51 words that are none, and windows, throw", () => {
  throws(TypeError, () => new Request("/", { mode: "no-cors", method: "PUT" }));
  throws(TypeError, () => new Request("/", { mode: "bogus" }));
  throws(TypeError, () => new Request("/", { mode: "websocket" }));
  throws(TypeError, () => new Request("/", { credentials: "bogus" }));
  throws(TypeError, () => new Request("/", { window: {} }));
  throws(TypeError, () => new Request("/", { signal: {} }));
  throws(TypeError, () => new Request("/", 5));
  new Request("/", { window: null, signal: null });
});

test("F52 defaults", () => {
  is(new Request("/x", { credentials: "include" }).credentials, "include");
  const r = new Request("/x");
  is([...r.headers].length, 0);
  is(
    [r.method, r.mode, r.credentials, r.cache, r.redirect, r.referrer, r.referrerPolicy, r.integrity, r.destination, r.duplex],
    ["GET", "cors", "same-origin", "default", "follow", "about:client", "", "", "", "half"],
  );
  is([r.keepalive, r.isReloadNavigation, r.isHistoryNavigation, r.bodyUsed], [false, false, false, false]);
});

test("F87 a request of an aborted signal is aborted", () => {
  is(new Request("/", { signal: AbortSignal.abort() }).signal.aborted, true);
});

test("headers are copied from a request, or replaced", () => {
  const a = new Request("/", { headers: { "x-a": "1" } });
  is(new Request(a).headers.get("x-a"), "1");
  is(new Request(a, { method: "PUT" }).headers.get("x-a"), "1");
  is(new Request(a, { headers: {} }).headers.has("x-a"), false);
  a.headers.set("x-a", "2");
  is(new Request(a).headers.get("x-a"), "2");
});

test("a clone has its own headers and the same body", async () => {
  const a = new Request("/", { method: "POST", body: "b", headers: { "x-a": "1" } });
  const b = a.clone();
  b.headers.set("x-a", "2");
  is([a.headers.get("x-a"), b.headers.get("x-a")], ["1", "2"]);
  is([await a.text(), await b.text()], ["b", "b"]);
  throws(TypeError, () => a.clone());
});

test("members of init are read in order, each once", () => {
  const read = [];
  const init = new Proxy({}, { get: (_, name) => void read.push(name) });
  new Request("/", init);
  is(read, [
    "body", "cache", "credentials", "duplex", "headers", "integrity", "keepalive", "method", "mode", "priority",
    "redirect", "referrer", "referrerPolicy", "signal", "window",
  ]);
});

test("a constructor needs its argument and new", () => {
  throws(TypeError, () => new Request());
  throws(TypeError, () => Request("/"));
});
