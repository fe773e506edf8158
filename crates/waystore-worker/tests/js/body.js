const bytesOf = async (response) => [...new Uint8Array(await response.arrayBuffer())];

test("F20 a string is UTF-8 and has a type, unless one is given", async () => {
  const r = new Response("é");
  is(r.headers.get("content-type"), "text/plain;charset=UTF-8");
  is((await bytesOf(r)).length, 2);
  is(new Response("x", { headers: { "content-type": "a/b" } }).headers.get("content-type"), "a/b");
  is(await new Response("\uD800").text(), "\uFFFD");
});

test("F21 bytes have no type", async () => {
  const r = new Response(new Uint8Array([1]));
  is(r.headers.has("content-type"), false);
  is(await bytesOf(r), [1]);
});

test("bytes are copied when they are given", async () => {
  const source = new Uint8Array([1, 2, 3, 4]);
  const r = new Response(source.subarray(1, 3));
  source[1] = 9;
  is(await bytesOf(r), [2, 3]);
  is(await bytesOf(new Response(new DataView(source.buffer, 3))), [4]);
});

test("F22 a null body is never used up", async () => {
  const r = new Response();
  is(r.bodyUsed, false);
  is(await r.text(), "");
  is(await r.text(), "");
  is(r.body, null);
});

test("F23 an empty body is used up", async () => {
  const r = new Response("");
  await r.text();
  is(r.bodyUsed, true);
  await rejects(TypeError, () => r.text());
});

test("F24 a lock that was not read through goes away", async () => {
  const r = new Response("x");
  const reader = r.body.getReader();
  is(r.bodyUsed, false);
  await rejects(TypeError, () => r.text());
  reader.releaseLock();
  is(await r.text(), "x");
});

test("F25 a body that was read in part stays used", async () => {
  const r = new Response("x");
  const reader = r.body.getReader();
  await reader.read();
  reader.releaseLock();
  is(r.bodyUsed, true);
  await rejects(TypeError, () => r.text());
});

test("F26 broken JSON is a SyntaxError", async () => {
  await rejects(SyntaxError, () => new Response("{").json());
  await rejects(SyntaxError, () => new Response().json());
  await rejects(SyntaxError, () => new Response('"\0"').json());
  is((await new Response('\uFEFF{"a":[1]}').json()).a, [1]);
});

test("F27 a stream that is locked or was read is refused", async () => {
  const locked = new ReadableStream();
  locked.getReader();
  throws(TypeError, () => new Response(locked));
  const read = new ReadableStream();
  read.cancel();
  throws(TypeError, () => new Response(read));
});

test("F28 a chunk must be bytes", async () => {
  const r = new Response(new ReadableStream({ start: (c) => c.enqueue("str") }));
  await rejects(TypeError, () => r.text());
});

test("F29 the byte order mark is text's only", async () => {
  is(await new Response("\uFEFFx").text(), "x");
  is((await new Response("\uFEFFx").arrayBuffer()).byteLength, 4);
});

test("F30 a form is read by its type", async () => {
  const r = new Response("a=1", { headers: { "content-type": "application/x-www-form-urlencoded" } });
  is((await r.formData()).get("a"), "1");
});

test("F31 a blob has the type of the headers as they are then", async () => {
  const r = new Response("x");
  r.headers.set("content-type", "image/png");
  is((await r.blob()).type, "image/png");
  is((await new Response(new Uint8Array()).blob()).type, "");
});

test("F32 a cancelled body is used", () => {
  const r = new Response("x");
  r.body.cancel();
  is(r.bodyUsed, true);
});

test("F33 a clone and its original are read in any order", async () => {
  const r = new Response("x");
  const c = r.clone();
  is(await r.text(), "x");
  is(await c.text(), "x");
  const both = new Response("y");
  const other = both.clone();
  is(await Promise.all([other.text(), both.text()]), ["y", "y"]);
});

test("F34 what was read or is locked cannot be cloned", async () => {
  const r = new Response("x");
  await r.text();
  throws(TypeError, () => r.clone());
  const locked = new Response("x");
  locked.body.getReader();
  throws(TypeError, () => locked.clone());
});

test("F35 cloning changes the stream behind body", () => {
  const r = new Response("x");
  const b = r.body;
  is(r.body === b, true);
  r.clone();
  is(r.body === b, false);
  is(b.locked, true);
});

test("F36 a clone is read though the original is not", async () => {
  const r = await fetch("/large/2000000");
  const c = r.clone();
  is((await c.arrayBuffer()).byteLength, 2000000);
  is((await r.arrayBuffer()).byteLength, 2000000);
});

test("F37 the source is cancelled when both branches are", async () => {
  let cancelled = 0;
  const r = new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array([65])), cancel: () => cancelled++ }));
  const c = r.clone();
  await r.body.cancel();
  is(cancelled, 0);
  await c.body.cancel();
  await sleep(5);
  is(cancelled, 1);
});

test("F38 a clone of a fetched response is immutable too", async () => {
  const copy = (await fetch("/x")).clone();
  throws(TypeError, () => copy.headers.set("a", "b"));
});

test("F90 a stream of bytes is a body", async () => {
  const stream = new ReadableStream({
    start(c) {
      c.enqueue(new Uint8Array([65]));
      c.close();
    },
  });
  const r = new Response(stream);
  is(r.body === stream, true);
  is(await r.text(), "A");
  is(r.bodyUsed, true);
});

test("F91 a body goes through a transform", async () => {
  const r = new Response("ab");
  const through = r.body.pipeThrough(new TransformStream({ transform: (chunk, c) => c.enqueue(chunk) }));
  is(await new Response(through).text(), "ab");
  is(r.bodyUsed, true);
});

test("F92 a body is iterated by its chunks", async () => {
  let length = 0;
  for await (const chunk of new Response("ab").body) {
    ok(chunk instanceof Uint8Array);
    length += chunk.length;
  }
  is(length, 2);
});

test("F88 a stream has one reader at a time", () => {
  const s = new ReadableStream();
  s.getReader();
  throws(TypeError, () => s.getReader());
  is(s.locked, true);
});

test("F89 a released reader's reads reject", async () => {
  const s = new ReadableStream();
  const reader = s.getReader();
  const read = reader.read();
  reader.releaseLock();
  await rejects(TypeError, () => read);
  is(s.locked, false);
});

test("a stream is pulled as it is read, not before", async () => {
  let pulled = 0;
  const stream = new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array([pulled++])) }, { highWaterMark: 0 });
  const reader = stream.getReader();
  await sleep(2);
  is(pulled, 0);
  is((await reader.read()).value[0], 0);
  await sleep(2);
  is(pulled, 1);
});

test("a stream's own error is what reading it rejects with", async () => {
  const mine = { mine: true };
  const r = new Response(new ReadableStream({ start: (c) => c.error(mine) }));
  await rejects({ exactly: mine }, () => r.text());
});

test("a tee of a stream gives both halves every chunk", async () => {
  const [a, b] = new Response("ab").body.tee();
  is(await new Response(a).text(), "ab");
  is(await new Response(b).text(), "ab");
});

test("parameters and blobs are bodies with their types", async () => {
  const params = new Response(new URLSearchParams({ a: "1 2" }));
  is(params.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  is(await params.text(), "a=1+2");
  const blob = new Response(new Blob(["x"], { type: "A/B" }));
  is(blob.headers.get("content-type"), "a/b");
  is(await blob.text(), "x");
});

test("anything else is a body as a string", async () => {
  is(await new Response(5).text(), "5");
  is(await new Response({ toString: () => "mine" }).text(), "mine");
});

test("a body that fails halfway rejects with a TypeError", async () => {
  await rejects(TypeError, async () => (await fetch("/broken")).text());
  const reader = (await fetch("/broken")).body.getReader();
  ok((await reader.read()).value instanceof Uint8Array);
  await rejects(TypeError, () => reader.read());
});

test("consumers of something else reject", async () => {
  await rejects(TypeError, () => Response.prototype.text.call({}));
  await rejects(TypeError, () => Request.prototype.json.call(undefined));
});
