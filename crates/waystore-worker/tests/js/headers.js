test("F4 values are trimmed, names are not, and bad ones throw", () => {
  const h = new Headers();
  h.append("a", " x\r\n");
  is(h.get("A"), "x");
  throws(TypeError, () => h.append("a", "x\ny"));
  throws(TypeError, () => h.append("a b", "x"));
  throws(TypeError, () => h.append("", "x"));
  throws(TypeError, () => h.get("a b"));
  throws(TypeError, () => h.has(""));
});

test("F5 values of one name are combined", () => {
  const h = new Headers();
  h.append("a", "1");
  h.append("A", "2");
  is(h.get("a"), "1, 2");
  is([...h], [["a", "1, 2"]]);
});

test("F6 an empty value is a value", () => {
  const h = new Headers();
  h.append("a", "1");
  h.append("a", "");
  is(h.get("a"), "1, ");
  is(new Headers({ a: "" }).has("a"), true);
  is(new Headers().get("a"), null);
});

test("F7 set-cookie is kept apart in iteration and combined in get", () => {
  const h = new Headers();
  h.append("set-cookie", "x");
  h.append("Set-Cookie", "y");
  is(h.get("set-cookie"), "x, y");
  is(h.getSetCookie(), ["x", "y"]);
  is([...h].length, 2);
  is(new Headers(h).getSetCookie(), ["x", "y"]);
});

test("F8 iteration is sorted", () => {
  const h = new Headers();
  h.set("b", "1");
  h.set("a", "2");
  is([...h.keys()], ["a", "b"]);
  is([...h.values()], ["2", "1"]);
  const seen = [];
  h.forEach((value, name, headers) => seen.push(name + value + (headers === h)));
  is(seen, ["a2true", "b1true"]);
  is(Object.prototype.toString.call(h.entries()), "[object Headers Iterator]");
});

test("F9 what is not a list of pairs throws", () => {
  throws(TypeError, () => new Headers([["a"]]));
  throws(TypeError, () => new Headers([["a", "b", "c"]]));
  throws(TypeError, () => new Headers(null));
  throws(TypeError, () => new Headers("a"));
  is([...new Headers(undefined)].length, 0);
});

test("F10 a character is a byte, or throws", () => {
  is(new Headers({ a: "é" }).get("a"), "é");
  throws(TypeError, () => new Headers({ a: "€" }));
  throws(TypeError, () => new Headers({ a: "\uD800" }));
});

test("F11 forbidden request headers are left out", () => {
  const { headers } = new Request("/", { headers: { Cookie: "a=b", Host: "h", "Sec-Fetch-Mode": "cors", "X-A": "1" } });
  is([...headers], [["x-a", "1"]]);
});

test("F12 a header that overrides the method into a forbidden one is left out", () => {
  const overriding = (value) => new Request("/", { headers: { "X-HTTP-Method-Override": value } }).headers;
  is(overriding("GET, TRACE").has("x-http-method-override"), false);
  is(overriding("GET, POST").has("x-http-method-override"), true);
});

test("F13 a request without CORS takes safelisted headers only", () => {
  const { headers } = new Request("/", { mode: "no-cors", headers: { "X-A": "1", Accept: "text/html" } });
  is([...headers], [["accept", "text/html"]]);
});

test("F14 a safelisted value that grows too long is not appended to", () => {
  const { headers } = new Request("/", { mode: "no-cors" });
  for (let i = 0; i < 100; i++) headers.append("Accept", "a");
  ok(headers.get("accept").length <= 128);
});

test("F15 a response takes no Set-Cookie", () => {
  is(new Response("", { headers: { "Set-Cookie": "a=b" } }).headers.has("set-cookie"), false);
});

test("F16 the headers of fetched responses are immutable", async () => {
  const { headers } = await fetch("/x");
  throws(TypeError, () => headers.append("a", "b"));
  throws(TypeError, () => headers.set("a", "b"));
  throws(TypeError, () => headers.delete("a"));
});

test("F17 redirects are immutable, JSON is not", () => {
  throws(TypeError, () => Response.redirect("/y").headers.set("x", "y"));
  Response.json({}).headers.set("x", "y");
});

test("F18 iteration reads the live list", () => {
  const h = new Headers({ a: "1", b: "2", c: "3" });
  const seen = [];
  for (const [name] of h) {
    seen.push(name);
    h.delete(name);
  }
  is(seen, ["a", "c"]);
});

test("keys of a record that differ in case are appended", () => {
  is(new Headers({ a: "1", A: "2" }).get("a"), "1, 2");
});

test("a set keeps the place and the casing of the first", () => {
  const h = new Headers([["A", "1"], ["b", "2"], ["a", "3"]]);
  h.set("a", "4");
  is([...h], [["a", "4"], ["b", "2"]]);
});

test("an operation on something else throws", () => {
  throws(TypeError, () => Headers.prototype.get.call({}, "a"));
  throws(TypeError, () => Headers.prototype.entries.call({}));
  throws(TypeError, () => Headers());
  throws(TypeError, () => new Headers().get());
});
