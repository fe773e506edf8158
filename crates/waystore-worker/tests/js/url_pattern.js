test("a pattern matches the URLs it describes", () => {
  const books = new URLPattern({ pathname: "/books/:id" });
  is([books.pathname, books.protocol, books.hostname], ["/books/:id", "*", "*"]);
  is(books.test("https://a.test/books/5"), true);
  is(books.test("https://a.test/books/5/6"), false);
  is(books.test("/books/5", "https://a.test"), true);
  is(books.test({ pathname: "/books/5" }), true);
  is(books.test("/books/5"), false);
  is(books.test("no url"), false);
});

test("a pattern of text takes what is missing from its base", () => {
  const images = new URLPattern("/*.:kind(png|jpg)", "https://a.test");
  is([images.protocol, images.hostname, images.hasRegExpGroups], ["https", "a.test", true]);
  is(images.test("https://a.test/x/y.png"), true);
  is(images.test("https://b.test/x.png"), false);
  is(images.test("https://a.test/x.gif"), false);
  throws(TypeError, () => new URLPattern("/x"));
  throws(TypeError, () => new URLPattern({ pathname: "/x" }, "https://a.test"));
  throws(TypeError, () => new URLPattern({ pathname: "/(" }));
  throws(TypeError, () => new URLPattern("https://a.test/", "no url"));
});

test("exec gives the groups of each part", () => {
  const pattern = new URLPattern({ hostname: ":sub.a.test", pathname: "/:section/*" });
  const url = "https://www.a.test/news/today?x";
  const found = pattern.exec(url);
  is(found.inputs, [url]);
  is([found.hostname.input, found.hostname.groups.sub], ["www.a.test", "www"]);
  is([found.pathname.groups.section, found.pathname.groups[0]], ["news", "today"]);
  is(Object.keys(found), ["inputs", "protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"]);
  is(Object.keys(found.pathname.groups), ["section", "0"].sort());
  is(pattern.exec("https://b.test/"), null);
  const optional = new URLPattern({ pathname: "/a/:b?" }).exec("https://a.test/a");
  is(["b" in optional.pathname.groups, optional.pathname.groups.b], [true, undefined]);
});

test("case counts, unless it is to be ignored", () => {
  is(new URLPattern({ pathname: "/a/:x" }).test("https://a.test/A/b"), false);
  is(new URLPattern({ pathname: "/a/:x" }, { ignoreCase: true }).test("https://a.test/A/b"), true);
  is(new URLPattern("/a/(b+)", "https://a.test", { ignoreCase: true }).test("https://a.test/A/BB"), true);
});

test("a pattern without anything matches everything", () => {
  const all = new URLPattern();
  is([all.test("https://a.test/"), all.test(), all.hasRegExpGroups], [true, true, false]);
});

test("expressions that could take for ever are refused", () => {
  throws(TypeError, () => new URLPattern({ pathname: "/((?=a)a)" }));
  throws(TypeError, () => new URLPattern({ pathname: "/(a)(\\1)" }));
  throws(TypeError, () => new URLPattern({ pathname: `/(${"(?:a{1,1000}){1,1000}".repeat(3)})` }));
  const long = `https://a.test/${"a".repeat(20_000)}!`;
  is(new URLPattern({ pathname: "/((?:a*)*b)" }).test(long), false);
});
