test("F81 a URL is normalised as the parser has it, and its escapes stay as they are", () => {
  is(new URL("HTTP://EXAMPLE.com:80/%7ea/../b?#").href, "http://example.com/b?#");
  is(new URL("https://a.test/%7Ea").pathname, "/%7Ea");
});

test("F82 only segments that are dots are resolved, written out or escaped", () => {
  is(new URL("https://a.test/a%2e%2e/b").pathname, "/a%2e%2e/b");
  is(new URL("https://a.test/a/%2e%2e/b").pathname, "/b");
});

test("F83 a backslash is a slash, and a relative URL resolves against the base", () => {
  is(new URL("https:\\\\a.test\\x").href, "https://a.test/x");
  is(new URL("//b.test", "https://a.test").href, "https://b.test/");
  is(new URL("../c?d", new URL("https://a.test/x/y/z")).href, "https://a.test/x/c?d");
});

test("F84 URLs are equal where their texts are, fragments aside", () => {
  const bare = (text) => {
    const url = new URL(text, "https://a.test");
    url.hash = "";
    return url.href;
  };
  is(bare("/x#a"), bare("/x#b"));
  ok(bare("/x?") !== bare("/x"));
  ok(bare("https://u@a.test/") !== bare("https://a.test/"));
});

test("F85 text beyond ASCII is percent-encoded as UTF-8 in path, query and fragment", () => {
  is(new URL("https://a.test/é?é#é").href, "https://a.test/%C3%A9?%C3%A9#%C3%A9");
  is(new URL("https://a.test/?\uD800").search, "?%EF%BF%BD");
});

test("a URL has parts", () => {
  const url = new URL("https://user:pass@a.test:8443/p/q?x=1#frag");
  is(
    [url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash],
    ["https:", "user", "pass", "a.test:8443", "a.test", "8443", "/p/q", "?x=1", "#frag"],
  );
  is(url.origin, "https://a.test:8443");
  is(new URL("data:text/plain,x").origin, "null");
  is(`${url}`, url.href);
  is(JSON.stringify({ url }), JSON.stringify({ url: url.href }));
});

test("what is no URL is refused, and parse and canParse say so without throwing", () => {
  throws(TypeError, () => new URL("/relative"));
  throws(TypeError, () => new URL("x", "also relative"));
  throws(TypeError, () => new URL());
  throws(TypeError, () => URL("https://a.test"));
  is(URL.parse("/relative"), null);
  is(URL.parse("/x", "https://a.test").href, "https://a.test/x");
  ok(URL.parse("https://a.test") instanceof URL);
  is([URL.canParse("https://a.test"), URL.canParse("/x"), URL.canParse("/x", "https://a.test")], [true, false, true]);
  is(URL.createObjectURL, undefined);
});

test("an undefined base is no base, and null is a text", () => {
  is(new URL("https://a.test/", undefined).href, "https://a.test/");
  throws(TypeError, () => new URL("/x", null));
});

test("what a conversion throws comes through parse and canParse", () => {
  const bad = { toString: () => { throw new RangeError("mine"); } };
  throws(RangeError, () => URL.parse(bad));
  throws(RangeError, () => URL.canParse(bad));
});

test("setters change one part, and what does not fit changes nothing", () => {
  const url = new URL("https://a.test/x");
  url.protocol = "http";
  url.host = "b.test:81";
  url.hostname = "c.test";
  url.port = "80";
  url.pathname = "y z";
  url.search = "q=ü";
  url.hash = "h";
  url.username = "me";
  url.password = "s:c";
  is(url.href, "http://me:s%3Ac@c.test/y%20z?q=%C3%BC#h");
  url.port = "no number";
  url.protocol = "data";
  url.host = "";
  is(url.href, "http://me:s%3Ac@c.test/y%20z?q=%C3%BC#h");
  throws(TypeError, () => (url.href = "nonsense"));
  url.href = "https://d.test?z";
  is(url.href, "https://d.test/?z");
});

test("searchParams is one object, and follows the URL both ways", () => {
  const url = new URL("https://a.test/?a=1&b=2");
  const params = url.searchParams;
  ok(params === url.searchParams);
  params.append("c", "3 4");
  is(url.search, "?a=1&b=2&c=3+4");
  url.search = "?d=5";
  is([params.get("a"), params.get("d")], [null, "5"]);
  url.href = "https://a.test/?e=6";
  is(params.toString(), "e=6");
  params.delete("e");
  is(url.href, "https://a.test/");
});

test("the query is rewritten only by a change of searchParams", () => {
  const url = new URL("https://a.test/?a=b ~");
  is(url.searchParams.get("a"), "b ~");
  is(url.search, "?a=b%20~");
  url.searchParams.sort();
  is(url.search, "?a=b+%7E");
});

test("parameters come from a string, pairs, an object, and other parameters", () => {
  is(new URLSearchParams("?a=1&b=%F0%9F%92%A9+x&c&=d&&").toString(), "a=1&b=%F0%9F%92%A9+x&c=&=d");
  is(new URLSearchParams([["a", 1], new Set(["b", "2"])]).toString(), "a=1&b=2");
  is(new URLSearchParams({ a: 1, b: "ü" }).toString(), "a=1&b=%C3%BC");
  is(new URLSearchParams(new URLSearchParams("a=1&a=2")).toString(), "a=1&a=2");
  is(new URLSearchParams(new Map([["k", "v"]])).toString(), "k=v");
  is(new URLSearchParams().toString(), "");
  is(new URLSearchParams(null).toString(), "null=");
  is(new URLSearchParams("%").toString(), "%25=");
});

test("parameters that are no pairs are refused", () => {
  throws(TypeError, () => new URLSearchParams([["a"]]));
  throws(TypeError, () => new URLSearchParams([["a", "b", "c"]]));
  throws(TypeError, () => new URLSearchParams([1]));
  throws(TypeError, () => new URLSearchParams({ [Symbol.iterator]: 1 }));
  throws(TypeError, () => new URLSearchParams({ [Symbol("s")]: "x" }));
});

test("names of an object that become equal as text are one parameter", () => {
  is(new URLSearchParams({ "\uD800": "1", x: "2", "\uFFFD": "3" }).toString(), "%EF%BF%BD=3&x=2");
});

test("get, getAll, has and delete go by name, and by value where one is given", () => {
  const params = new URLSearchParams("a=1&b=2&a=3");
  is([params.get("a"), params.get("z")], ["1", null]);
  is(params.getAll("a"), ["1", "3"]);
  is([params.has("a"), params.has("a", "3"), params.has("a", "2"), params.has("a", undefined)], [true, true, false, true]);
  params.delete("a", "1");
  is(params.toString(), "b=2&a=3");
  params.delete("a");
  is(params.size, 1);
  throws(TypeError, () => params.append("a"));
});

test("set keeps the first place of its name, and append adds another", () => {
  const params = new URLSearchParams("a=1&b=2&a=3&c=4&a=5");
  params.set("a", "x");
  is(params.toString(), "a=x&b=2&c=4");
  params.set("d", "y");
  params.append("b", "z");
  is(params.toString(), "a=x&b=2&c=4&d=y&b=z");
});

test("sort goes by UTF-16 code units and keeps the order within a name", () => {
  const params = new URLSearchParams([["\uFB03", "1"], ["\u{1F308}", "2"], ["z", "3"], ["a", "4"], ["z", "0"]]);
  params.sort();
  is([...params.values()], ["4", "3", "0", "2", "1"]);
});

test("iteration reads the live list", () => {
  const params = new URLSearchParams("a=1&b=2&c=3");
  const seen = [];
  for (const [name, value] of params) {
    seen.push(name + value);
    params.delete("b");
  }
  is(seen, ["a1", "c3"]);
  is([...params.keys()], ["a", "c"]);
  is([...params.entries()].map(String), ["a,1", "c,3"]);
  const each = [];
  params.forEach(function (value, name, all) {
    each.push(value, name, all === params, this);
  }, "me");
  is(each.map(String), ["1", "a", "true", "me", "3", "c", "true", "me"]);
});

test("a list that grows without end is refused before it fills the memory", () => {
  const megabyte = "x".repeat(1 << 20);
  throws(RangeError, () => new URLSearchParams(new Array(100).fill(["a", megabyte])));
  const { searchParams } = new URL("https://a.test/");
  searchParams.append("a", megabyte);
  throws(RangeError, () => searchParams.append("b", megabyte));
  throws(RangeError, () => searchParams.set("b", megabyte));
  is([searchParams.size, searchParams.has("b")], [1, false]);
  throws(TypeError, () => new URL(`https://a.test/${megabyte}${megabyte}`));
});

test("the interfaces look as WebIDL has them", () => {
  is(Object.prototype.toString.call(new URL("https://a.test")), "[object URL]");
  is(Object.prototype.toString.call(new URLSearchParams()), "[object URLSearchParams]");
  ok(Object.keys(URL.prototype).includes("searchParams"));
  is([URL.length, URLSearchParams.length, URLSearchParams.prototype.append.length], [1, 0, 2]);
  is(URLSearchParams.prototype[Symbol.iterator], URLSearchParams.prototype.entries);
  throws(TypeError, () => URLSearchParams.prototype.get.call({}, "a"));
});

test("a class of a script's own may be a URL", () => {
  class Place extends URL {
    get port2() {
      return this.port * 2;
    }
  }
  const place = new Place("https://a.test:8/");
  ok(place instanceof Place && place instanceof URL && place.constructor === Place);
  is([place.port2, place.searchParams.size], [16, 0]);
  ok(Reflect.construct(URL, ["https://a.test/"], Place) instanceof Place);
});
