test("F3 ok is 200 to 299", () => {
  is(new Response(null, { status: 304 }).ok, false);
  is(new Response(null, { status: 226 }).ok, true);
});

test("F53 statuses that no script makes", () => {
  for (const status of [199, 600, 0, 101]) throws(RangeError, () => new Response(null, { status }));
  throws(TypeError, () => new Response("x", { status: 204 }));
  throws(TypeError, () => new Response("", { status: 204 }));
  is(new Response(null, { status: 204 }).status, 204);
});

test("F54 status texts", () => {
  throws(TypeError, () => new Response("", { statusText: "a\nb" }));
  is(new Response("", { statusText: "é" }).statusText, "é");
  throws(TypeError, () => new Response("", { statusText: "€" }));
});

test("F55 redirects", () => {
  throws(RangeError, () => Response.redirect("/y", 200));
  throws(TypeError, () => Response.redirect("http://"));
  const r = Response.redirect("/y");
  is([r.status, r.headers.get("location"), r.body, r.type], [302, "https://a.test/y", null, "default"]);
});

test("F56 what has no JSON throws", () => {
  throws(TypeError, () => Response.json(undefined));
  throws(TypeError, () => Response.json({ a: 1 }, { status: 204 }));
  throws(TypeError, () => Response.json(1n));
});

test("F57 JSON has its type, unless one is given", async () => {
  const r = Response.json("x");
  is(r.headers.get("content-type"), "application/json");
  is(await r.text(), '"x"');
  is(Response.json("x", { headers: { "content-type": "text/x" } }).headers.get("content-type"), "text/x");
});

test("an error shows nothing", async () => {
  const r = Response.error();
  is([r.type, r.status, r.statusText, r.body, r.ok, r.url], ["error", 0, "", null, false, ""]);
  throws(TypeError, () => r.headers.set("a", "b"));
});

test("defaults", () => {
  const r = new Response();
  is([r.status, r.statusText, r.type, r.url, r.redirected, r.ok], [200, "", "default", "", false, true]);
});

test("F58 a redirected response has the last URL, without its fragment", async () => {
  const r = await fetch("/redirected");
  is([r.url, r.redirected], ["https://a.test/target", true]);
});

test("F59 an opaque response shows nothing, and is never used", async () => {
  const r = await fetch("/opaque", { mode: "no-cors" });
  is([r.type, r.ok, r.status, r.body, r.url], ["opaque", false, 0, null, ""]);
  is([...r.headers].length, 0);
  is(await r.text(), "");
  is(await r.text(), "");
  is(r.bodyUsed, false);
});

test("F60 an opaque redirect shows its URL only", async () => {
  const r = await fetch("/manual", { redirect: "manual" });
  is([r.type, r.url, r.status, r.headers.get("location")], ["opaqueredirect", "https://a.test/manual", 0, null]);
});

test("F61 a response made of a redirected one's body is not redirected", async () => {
  const r = await fetch("/redirected");
  const laundered = new Response(r.body, r);
  is([laundered.redirected, laundered.url, laundered.status], [false, "", 200]);
  is(await laundered.text(), "target");
  is(r.bodyUsed, true);
});

test("F62 a status that is hidden makes no response", async () => {
  const r = await fetch("/opaque", { mode: "no-cors" });
  throws(RangeError, () => new Response(r.body, { headers: r.headers, status: r.status }));
});

test("a fetched response shows no Set-Cookie", async () => {
  const r = await fetch("/headers");
  is([r.headers.get("x-a"), r.headers.get("set-cookie"), r.type], ["1, 2", null, "basic"]);
});

test("a locked stream throws before the status does", () => {
  const stream = new ReadableStream();
  stream.getReader();
  throws(TypeError, () => new Response(stream, { status: 700 }));
});

test("a clone copies what the response says", () => {
  const r = new Response("x", { status: 299, statusText: "Odd", headers: { a: "1" } });
  const c = r.clone();
  c.headers.set("a", "2");
  is([c.status, c.statusText, r.headers.get("a"), c.headers.get("a")], [299, "Odd", "1", "2"]);
});

test("a body outlives many turns of clones and cancels", async () => {
  for (let round = 0; round < 50; round++) {
    const r = await fetch("/large/100000");
    const copies = [r.clone(), r.clone(), r.clone()];
    await copies[1].body.cancel();
    is((await copies[0].bytes()).length, 100000);
    is((await r.arrayBuffer()).byteLength, 100000);
  }
});
