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
