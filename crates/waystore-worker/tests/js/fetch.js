test("F64 a status is no failure, the network's is a TypeError", async () => {
  const r = await fetch("/status/404");
  is([r.ok, r.status], [false, 404]);
  await rejects(TypeError, () => fetch("/refused"));
  await rejects(TypeError, () => fetch("ftp://x"));
});

test("F65 an aborted signal rejects with its reason, without traffic", async () => {
  await (await fetch("/log")).text();
  const c = new AbortController();
  c.abort();
  await rejects("AbortError", () => fetch("/x", { signal: c.signal }));
  await rejects({ exactly: "why" }, () => fetch("/x", { signal: AbortSignal.abort("why") }));
  is(await (await fetch("/log")).text(), "");
});

test("an abort before the head rejects with the reason", async () => {
  const c = new AbortController();
  const fetched = fetch("/never", { signal: c.signal });
  setTimeout(() => c.abort("later"), 2);
  await rejects({ exactly: "later" }, () => fetched);
});

test("F66 an abort after the head fails the body, and its clones", async () => {
  const c = new AbortController();
  const r = await fetch("/endless", { signal: c.signal });
  const copy = r.clone();
  const [one, two] = [r.text(), copy.text()];
  setTimeout(() => c.abort(), 2);
  await rejects("AbortError", () => one);
  await rejects("AbortError", () => two);
});

test("an abort after the head fails a stream with the reason", async () => {
  const c = new AbortController();
  const reader = (await fetch("/endless", { signal: c.signal })).body.getReader();
  await reader.read();
  const read = reader.read();
  setTimeout(() => c.abort("why"), 2);
  await rejects({ exactly: "why" }, () => read);
});

test("F68 a data URL is fetched", async () => {
  const r = await fetch("data:text/plain,hi");
  is([r.status, r.type, await r.text()], [200, "basic", "hi"]);
});

test("F68 a data URL is fetched in every mode, by every method, and by add never", async () => {
  for (const mode of ["cors", "no-cors", "same-origin"]) {
    is((await fetch("data:,x", { mode })).type, "basic");
  }
  const posted = await fetch("data:text/html;charset=utf-8;base64,aGk#f", { method: "POST", body: "b" });
  is([posted.url, posted.statusText, posted.redirected], ["data:text/html;charset=utf-8;base64,aGk", "OK", false]);
  is([posted.headers.get("content-type"), await posted.text()], ["text/html;charset=utf-8", "hi"]);
  const head = await fetch("data:,x", { method: "HEAD" });
  is([head.status, head.body, await head.text()], [200, null, ""]);
  throws(TypeError, () => posted.headers.append("a", "b"));
  await rejects(TypeError, () => fetch("data:text/plain"));
  await rejects(TypeError, async () => (await caches.open("data")).add("data:,x"));
});

test("nothing is fetched by other schemes", async () => {
  const urls = ["blob:https://a.test/8e5f2a51-7d0b-4b0c-9f0a-3f6f0a8d2c11", "about:blank", "about:config", "file:///x"];
  for (const url of [...urls, "ws://a.test/", "javascript:1", "x:y"]) {
    await rejects(TypeError, () => fetch(url));
    await rejects(TypeError, () => fetch(url, { mode: "no-cors" }));
  }
  is(typeof URL.createObjectURL, "undefined");
});

async function digest(algorithm, text) {
  const bytes = new Uint8Array(await crypto.subtle.digest(algorithm, new TextEncoder().encode(text)));
  return algorithm.toLowerCase().replace("-", "") + "-" + btoa(String.fromCharCode(...bytes));
}

test("a body has to be the one that was promised", async () => {
  for (const algorithm of ["SHA-256", "SHA-384", "SHA-512"]) {
    const integrity = await digest(algorithm, "body of /x");
    const r = await fetch("/x", { integrity });
    is([r.status, await r.text()], [200, "body of /x"]);
    const url = integrity.replaceAll("+", "-").replaceAll("/", "_").replace(/=*$/, "");
    is(await (await fetch(new Request("/x", { integrity: url }))).text(), "body of /x");
    await rejects(TypeError, () => fetch("/y", { integrity }));
  }
});

test("the strongest promise counts, any of several, and none that is unknown", async () => {
  const [right, strong, other] = [
    await digest("SHA-256", "body of /x"), await digest("SHA-512", "body of /x"), await digest("SHA-512", "other"),
  ];
  await rejects(TypeError, () => fetch("/x", { integrity: `${right} ${other}` }));
  is((await fetch("/x", { integrity: `  ${other}\t${strong}?option ${right}` })).ok, true);
  is((await fetch("/x", { integrity: "md5-abc sha1-abc nonsense" })).ok, true);
});

test("a promise about what script may not see, or what never ends, is not kept", async () => {
  const integrity = await digest("SHA-256", "hidden");
  await rejects(TypeError, () => fetch("/opaque", { integrity, mode: "no-cors" }));
  await rejects(TypeError, () => fetch("/null", { integrity }));
  await rejects(TypeError, () => fetch("/broken", { integrity }));
  const signal = AbortSignal.timeout(5);
  await rejects("TimeoutError", () => fetch("/endless", { integrity, signal }));
  is((await fetch("data:,hidden", { integrity })).ok, true);
  await rejects(TypeError, () => fetch("data:,other", { integrity }));
});

test("a promise holds for what a cache adds", async () => {
  const cache = await caches.open("promised");
  const integrity = await digest("SHA-256", "body of /x");
  await cache.add(new Request("/x", { integrity }));
  await rejects(TypeError, () => cache.add(new Request("/y", { integrity })));
  is((await cache.keys()).map((request) => new URL(request.url).pathname), ["/x"]);
});

test("a large body is compared without being held", async () => {
  const integrity = await digest("SHA-256", "x".repeat(2_000_000));
  const r = await fetch("/large/2000000", { integrity });
  is((await r.arrayBuffer()).byteLength, 2_000_000);
});

test("a request says where it comes from, unless it is told not to", async () => {
  const said = async (init) => (await fetch("/referrer", init)).text();
  is(await said(), "https://a.test/app/sw.js");
  is(await said({ referrer: "/page?x#f" }), "https://a.test/page?x#f");
  is(await said({ referrer: "https://b.test/" }), "https://a.test/app/sw.js");
  is(await said({ referrer: "" }), "NoReferrer");
  is(new Request("/x").referrer, "about:client");
});

test("a request that outlives its maker has a small body", async () => {
  const send = (bytes) => fetch("/x", { method: "POST", body: new Uint8Array(bytes), keepalive: true });
  is((await send(65536)).status, 200);
  await rejects(TypeError, () => send(65537));
});

test("fetch never throws", async () => {
  await rejects(TypeError, () => fetch());
  await rejects(TypeError, () => fetch("http://"));
  await rejects(TypeError, () => fetch("/x", { method: "TRACE" }));
});

test("a request goes out with its method, headers and body", async () => {
  const r = await fetch("/echo", { method: "POST", body: "b", headers: { "X-A": "1" } });
  is(await r.text(), "POST [X-A: 1, Content-Type: text/plain;charset=UTF-8] b");
  const sent = new Request("/echo", { method: "PUT", body: new Uint8Array([65]) });
  is(await (await fetch(sent)).text(), "PUT [] A");
  is(sent.bodyUsed, true);
});

test("a stream goes out as a body", async () => {
  let left = 3;
  const body = new ReadableStream({
    pull(c) {
      if (left-- > 0) c.enqueue(new TextEncoder().encode("ab"));
      else c.close();
    },
  });
  is(await (await fetch("/echo", { method: "POST", body, duplex: "half" })).text(), "POST [] ababab");
});

test("promises settle after the microtasks that were there before", async () => {
  const order = [];
  const opened = caches.open("a").then(() => order.push("opened"));
  Promise.resolve().then(() => order.push("one")).then(() => order.push("two"));
  await opened;
  is(order, ["one", "two", "opened"]);
});
