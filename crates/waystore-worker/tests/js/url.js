test("F81 the parser normalises", () => {
  is(new URL("HTTP://EXAMPLE.com:80/%7ea/../b?#").href, "http://example.com/b?#");
});

test("F82 dots are resolved, escaped ones too, when they are a segment", () => {
  is(new URL("https://a.test/a%2e%2e/b").pathname, "/a%2e%2e/b");
  is(new URL("https://a.test/a/%2e%2e/b").pathname, "/b");
});

test("F83 backslashes and schemeless references", () => {
  is(new URL("https:\\\\a.test\\x").href, "https://a.test/x");
  is(new URL("//b.test", "https://a.test").href, "https://b.test/");
});

test("F85 what is not ASCII is escaped", () => {
  is(new URL("https://a.test/é?é#é").href, "https://a.test/%C3%A9?%C3%A9#%C3%A9");
});

test("parts are read and written", () => {
  const u = new URL("https://u:p@a.test:8080/x?q=1#f");
  is(
    [u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.origin],
    ["https:", "u", "p", "a.test:8080", "a.test", "8080", "/x", "?q=1", "#f", "https://a.test:8080"],
  );
  u.pathname = "y z";
  u.hash = "";
  u.port = "443";
  u.username = "";
  u.password = "";
  is(u.href, "https://a.test/y%20z?q=1");
  throws(TypeError, () => (u.href = "nonsense"));
  is(JSON.stringify({ u }), '{"u":"https://a.test/y%20z?q=1"}');
  is(`${u}`, u.href);
});

test("searchParams and the URL change each other", () => {
  const u = new URL("https://a.test/?a=1");
  const params = u.searchParams;
  is(u.searchParams === params, true);
  params.append("b", "2 3");
  is(u.search, "?a=1&b=2+3");
  u.search = "?c=4";
  is(params.get("c"), "4");
  params.delete("c");
  is(u.href, "https://a.test/");
});

test("what is no URL throws, or is told", () => {
  throws(TypeError, () => new URL("x"));
  throws(TypeError, () => new URL("/x", "nonsense"));
  throws(TypeError, () => URL("https://a.test"));
  is(URL.canParse("x"), false);
  is(URL.canParse("x", "https://a.test"), true);
  is(URL.parse("x"), null);
  is(URL.parse("x", "https://a.test").pathname, "/x");
});

test("parameters are a list", () => {
  const p = new URLSearchParams("?a=1&b=2&a=%C3%A9+x");
  is([p.get("a"), p.getAll("a"), p.has("b"), p.has("b", "3"), p.get("z"), p.size], ["1", ["1", "é x"], true, false, null, 3]);
  p.set("a", "9");
  is(`${p}`, "a=9&b=2");
  p.append("A", "0");
  p.sort();
  is([...p], [["A", "0"], ["a", "9"], ["b", "2"]]);
  is([...new URLSearchParams([["x", "1"]]).keys()], ["x"]);
  is(`${new URLSearchParams({ x: "1", y: "&" })}`, "x=1&y=%26");
  throws(TypeError, () => new URLSearchParams([["x"]]));
});
