const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};
const streamOf = (...chunks) => ReadableStream.from(chunks);
const bytes = (...list) => new Uint8Array(list);

test("a stream gives its chunks in their order, then its end", async () => {
  const stream = new ReadableStream({
    start(c) {
      for (const chunk of ["a", 2, null, undefined]) c.enqueue(chunk);
      c.close();
    },
  });
  is(await collect(stream), ["a", 2, null, undefined]);
});

test("a source is asked for more while there is room, and only then", async () => {
  let pulled = 0;
  const stream = new ReadableStream({ pull: (c) => c.enqueue(pulled++) }, new CountQueuingStrategy({ highWaterMark: 3 }));
  await sleep(2);
  is(pulled, 3);
  const reader = stream.getReader();
  await reader.read();
  await sleep(2);
  is(pulled, 4);
});

test("desiredSize is the room that is left", () => {
  let controller;
  const size = (chunk) => chunk.length;
  new ReadableStream({ start: (c) => (controller = c) }, { highWaterMark: 5, size });
  is(controller.desiredSize, 5);
  controller.enqueue("abc");
  is(controller.desiredSize, 2);
  controller.enqueue("abc");
  is(controller.desiredSize, -1);
  controller.close();
  throws(TypeError, () => controller.enqueue("x"));
  controller.error(new Error("late"));
  is(controller.desiredSize, null);
});

test("sizes and marks that are no numbers are refused", () => {
  throws(RangeError, () => new ReadableStream({}, { highWaterMark: -1 }));
  throws(RangeError, () => new ReadableStream({}, { highWaterMark: NaN }));
  throws(TypeError, () => new ReadableStream({}, { size: 1 }));
  throws(RangeError, () => new ReadableStream({ start: (c) => c.enqueue(1) }, { size: () => -1 }));
  throws(RangeError, () => new ReadableStream({ type: "bytes" }, { size: () => 1 }));
  throws(TypeError, () => new ReadableStream({ type: "other" }));
  throws(TypeError, () => new ReadableStream(null));
  throws(TypeError, () => new ReadableStream({ pull: 1 }));
});

test("strategies are what they are given", () => {
  const count = new CountQueuingStrategy({ highWaterMark: 4 });
  is([count.highWaterMark, count.size("abc"), count.size.length], [4, 1, 0]);
  const bytes = new ByteLengthQueuingStrategy({ highWaterMark: "7" });
  is([bytes.highWaterMark, bytes.size(new Uint8Array(3)), bytes.size.name], [7, 3, "size"]);
  ok(bytes.size === new ByteLengthQueuingStrategy({ highWaterMark: 1 }).size);
  throws(TypeError, () => new CountQueuingStrategy({}));
});

test("what a source throws is the stream's error", async () => {
  const mine = { mine: true };
  const fail = () => {
    throw mine;
  };
  await rejects({ exactly: mine }, () => new ReadableStream({ pull: fail }).getReader().read());
  const stream = new ReadableStream({ start: () => Promise.reject(mine) });
  await rejects({ exactly: mine }, () => stream.getReader().closed);
  let thrown;
  try {
    new ReadableStream({ start: fail });
  } catch (caught) {
    thrown = caught;
  }
  is(thrown, mine);
});

test("cancel tells the source why, and ends the stream", async () => {
  let why;
  const stream = new ReadableStream({ cancel: (reason) => (why = reason) });
  const reader = stream.getReader();
  await rejects(TypeError, () => stream.cancel());
  is(await reader.cancel("enough"), undefined);
  is(why, "enough");
  is(await reader.closed, undefined);
  is((await reader.read()).done, true);
});

test("closed is rejected when the reader is released, and is another promise afterwards", async () => {
  const reader = new ReadableStream().getReader();
  const { closed } = reader;
  is(reader.closed === closed, true);
  reader.releaseLock();
  await rejects(TypeError, () => closed);
  await rejects(TypeError, () => reader.read());
  const ended = streamOf().getReader();
  await ended.read();
  await ended.closed;
  ended.releaseLock();
  await rejects(TypeError, () => ended.closed);
});

test("iteration ends the stream when it is left, unless asked not to", async () => {
  let cancelled = 0;
  const make = () => new ReadableStream({ pull: (c) => c.enqueue(1), cancel: () => cancelled++ });
  for await (const _ of make()) break;
  is(cancelled, 1);
  const kept = make();
  for await (const _ of kept.values({ preventCancel: true })) break;
  is([cancelled, kept.locked], [1, false]);
  const iterator = make().values();
  is(await Promise.all([iterator.next(), iterator.return("r"), iterator.next()]), [
    { value: 1, done: false },
    { value: "r", done: true },
    { value: undefined, done: true },
  ]);
});

test("from makes a stream of anything that is iterated", async () => {
  is(await collect(ReadableStream.from("abc")), ["a", "b", "c"]);
  is(await collect(ReadableStream.from([Promise.resolve(1), 2])), [1, 2]);
  const generated = (async function* () {
    yield* [1, 2];
  })();
  is(await collect(ReadableStream.from(generated)), [1, 2]);
  is(await collect(ReadableStream.from(streamOf(5))), [5]);
  throws(TypeError, () => ReadableStream.from({}));
  let returned;
  const iterator = { next: () => ({ done: false, value: 1 }), return: (why) => ((returned = why), {}) };
  await ReadableStream.from({ [Symbol.iterator]: () => iterator }).cancel("why");
  is(returned, "why");
});

test("a tee gives both halves every chunk, and cancels with both reasons", async () => {
  const [a, b] = streamOf(1, 2).tee();
  is(await Promise.all([collect(a), collect(b)]), [[1, 2], [1, 2]]);
  let reasons;
  const source = new ReadableStream({ pull: (c) => c.enqueue(1), cancel: (why) => (reasons = why) });
  const [c, d] = source.tee();
  const first = c.cancel("c");
  is((await d.getReader().read()).value, 1);
  is(reasons, undefined);
  const [e, f] = new ReadableStream({ cancel: (why) => (reasons = why) }).tee();
  await Promise.all([f.cancel("f"), e.cancel("e")]);
  is(reasons, ["e", "f"]);
  ok(first instanceof Promise);
});

test("an error of the source is one of both halves", async () => {
  let controller;
  const [a, b] = new ReadableStream({ start: (c) => (controller = c) }).tee();
  const mine = { mine: true };
  controller.error(mine);
  await rejects({ exactly: mine }, () => a.getReader().read());
  await rejects({ exactly: mine }, () => b.getReader().read());
});

test("12.5 a reader's own buffer is filled", async () => {
  const source = new ReadableStream({
    type: "bytes",
    start(c) {
      c.enqueue(bytes(1, 2, 3));
      c.enqueue(bytes(4, 5));
    },
  });
  const reader = source.getReader({ mode: "byob" });
  const given = new Uint8Array(4);
  const { value, done } = await reader.read(given);
  is([[...value], done, given.byteLength], [[1, 2, 3, 4], false, 0]);
  is([...(await reader.read(new Uint8Array(4))).value], [5]);
  await rejects(TypeError, () => reader.read(new Uint8Array(0)));
  await rejects(TypeError, () => reader.read("x"));
});

test("12.5 bodies are byte streams", async () => {
  const r = new Response("abcde");
  const reader = r.body.getReader({ mode: "byob" });
  is([...(await reader.read(new Uint8Array(2))).value], [97, 98]);
  is([...(await reader.read(new Uint8Array(9))).value], [99, 100, 101]);
  const end = await reader.read(new Uint8Array(9));
  is([end.done, end.value.length, end.value.buffer.byteLength], [true, 0, 9]);
  is(r.bodyUsed, true);
  throws(TypeError, () => new ReadableStream().getReader({ mode: "byob" }));
  throws(TypeError, () => new ReadableStream().getReader({ mode: "other" }));
});

test("a source writes into the buffer of the request", async () => {
  const source = new ReadableStream({
    type: "bytes",
    pull(c) {
      c.byobRequest.view.set([7, 8]);
      c.byobRequest.respond(2);
    },
  });
  const reader = source.getReader({ mode: "byob" });
  is([...(await reader.read(new Uint8Array(3))).value], [7, 8]);
  is([...(await reader.read(new Uint16Array(2), { min: 2 })).value], [0x807, 0x807]);
});

test("a source that has no request gets a buffer of its own where it asked for one", async () => {
  const sizes = [];
  const source = new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: 16,
    pull(c) {
      sizes.push(c.byobRequest.view.byteLength);
      c.byobRequest.view[0] = 9;
      c.byobRequest.respond(1);
    },
  });
  is([...(await source.getReader().read()).value], [9]);
  is(sizes, [16]);
  throws(TypeError, () => new ReadableStream({ type: "bytes", autoAllocateChunkSize: 0 }));
});

test("a byte stream that ends answers the reads that wait, once the source lets go", async () => {
  let controller;
  const source = new ReadableStream({ type: "bytes", start: (c) => (controller = c) });
  const reader = source.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(3));
  controller.close();
  controller.byobRequest.respond(0);
  const { value, done } = await read;
  is([done, value.length], [true, 0]);
});

test("what was written for a reader that left goes to the next", async () => {
  let controller;
  const source = new ReadableStream({ type: "bytes", start: (c) => (controller = c) });
  const first = source.getReader({ mode: "byob" });
  const lost = first.read(new Uint8Array(3));
  await sleep(1);
  const request = controller.byobRequest;
  first.releaseLock();
  await rejects(TypeError, () => lost);
  const read = source.getReader().read();
  request.view[0] = 5;
  request.respond(1);
  is([...(await read).value], [5]);
});

test("chunks of byte streams are views whose buffers are taken", async () => {
  let controller;
  const source = new ReadableStream({ type: "bytes", start: (c) => (controller = c) });
  const chunk = new Uint16Array([0x201]);
  controller.enqueue(chunk);
  is(chunk.byteLength, 0);
  throws(TypeError, () => controller.enqueue("x"));
  throws(TypeError, () => controller.enqueue(new Uint8Array(0)));
  throws(TypeError, () => controller.enqueue(chunk));
  is([...(await source.getReader().read()).value], [1, 2]);
});

test("a tee of a byte stream gives each half bytes of its own", async () => {
  const source = new ReadableStream({
    type: "bytes",
    start(c) {
      c.enqueue(bytes(1, 2, 3));
      c.close();
    },
  });
  const [a, b] = source.tee();
  const one = await a.getReader().read();
  const reader = b.getReader({ mode: "byob" });
  const two = await reader.read(new Uint8Array(2));
  one.value[0] = 9;
  is([[...two.value], [...(await reader.read(new Uint8Array(2))).value]], [[1, 2], [3]]);
  const end = await reader.read(new Uint8Array(2));
  is(end.done, true);
});

test("a tee of a byte stream reads into the buffer of either half", async () => {
  const views = [];
  const source = new ReadableStream({
    type: "bytes",
    pull(c) {
      views.push(c.byobRequest?.view.byteLength);
      if (!c.byobRequest) return c.enqueue(bytes(1));
      c.byobRequest.view[0] = 2;
      c.byobRequest.respond(1);
    },
  });
  const [a, b] = source.tee();
  const reader = a.getReader({ mode: "byob" });
  is([...(await reader.read(new Uint8Array(5))).value], [2]);
  is(views, [5]);
  is([...(await b.getReader().read()).value], [2]);
});

test("a sink gets every chunk, one at a time, then the end", async () => {
  const seen = [];
  let running = 0;
  const stream = new WritableStream({
    async write(chunk) {
      is(++running, 1);
      await sleep(1);
      running--;
      seen.push(chunk);
    },
    close: () => seen.push("end"),
  });
  const writer = stream.getWriter();
  writer.write("a");
  writer.write("b");
  await writer.close();
  is(seen, ["a", "b", "end"]);
  is(await writer.closed, undefined);
  await rejects(TypeError, () => writer.write("c"));
});

test("ready waits for room", async () => {
  let done;
  const stream = new WritableStream({ write: () => new Promise((resolve) => (done = resolve)) });
  const writer = stream.getWriter();
  is(writer.desiredSize, 1);
  await writer.ready;
  writer.write("a");
  is(writer.desiredSize, 0);
  let isReady = false;
  writer.ready.then(() => (isReady = true));
  await sleep(1);
  is(isReady, false);
  done();
  await writer.ready;
  is(writer.desiredSize, 1);
});

test("abort tells the sink and the signal, and fails what waits", async () => {
  const told = [];
  let signal;
  const stream = new WritableStream({
    start: (c) => (signal = c.signal),
    write: () => new Promise((resolve) => signal.addEventListener("abort", resolve)),
    abort: (reason) => told.push(reason),
  });
  const writer = stream.getWriter();
  const first = writer.write("a");
  const second = writer.write("b");
  await sleep(1);
  await writer.abort("why");
  is([told, signal.aborted, signal.reason], [["why"], true, "why"]);
  await first;
  await rejects({ exactly: "why" }, () => second);
  await rejects({ exactly: "why" }, () => writer.closed);
});

test("a sink that fails fails its stream", async () => {
  const mine = { mine: true };
  const writer = new WritableStream({ write: () => Promise.reject(mine) }).getWriter();
  await rejects({ exactly: mine }, () => writer.write("a"));
  await rejects({ exactly: mine }, () => writer.closed);
  await rejects({ exactly: mine }, () => writer.ready);
  await rejects({ exactly: mine }, () => writer.write("b"));
  is(writer.desiredSize, null);
  const erring = new WritableStream({ start: (c) => c.error(mine) });
  await rejects({ exactly: mine }, () => erring.getWriter().closed);
});

test("a stream has one writer at a time", async () => {
  const stream = new WritableStream();
  const writer = stream.getWriter();
  is(stream.locked, true);
  throws(TypeError, () => stream.getWriter());
  await rejects(TypeError, () => stream.close());
  await rejects(TypeError, () => stream.abort());
  writer.releaseLock();
  is(stream.locked, false);
  throws(TypeError, () => writer.desiredSize);
  await rejects(TypeError, () => writer.write("a"));
  await stream.close();
  throws(RangeError, () => new WritableStream({ type: "bytes" }));
});

test("12.3 pipeTo moves everything and closes the destination", async () => {
  const seen = [];
  const source = streamOf(1, 2, 3);
  const sink = new WritableStream({ write: (chunk) => void seen.push(chunk), close: () => void seen.push("end") });
  const piped = source.pipeTo(sink);
  is([source.locked, sink.locked], [true, true]);
  is(await piped, undefined);
  is(seen, [1, 2, 3, "end"]);
  is([source.locked, sink.locked], [false, false]);
});

test("12.3 pipeTo forwards errors both ways, unless asked not to", async () => {
  const mine = { mine: true };
  const failing = () => new ReadableStream({ start: (c) => c.error(mine) });
  let aborted;
  await rejects({ exactly: mine }, () => failing().pipeTo(new WritableStream({ abort: (why) => (aborted = why) })));
  is(aborted, mine);
  const kept = new WritableStream();
  await rejects({ exactly: mine }, () => failing().pipeTo(kept, { preventAbort: true }));
  await kept.getWriter().write("still open");

  let cancelled;
  const source = new ReadableStream({ pull: (c) => c.enqueue(1), cancel: (why) => (cancelled = why) });
  await rejects({ exactly: mine }, () => source.pipeTo(new WritableStream({ write: () => Promise.reject(mine) })));
  is(cancelled, mine);
});

test("12.3 pipeTo ends with its signal", async () => {
  const controller = new AbortController();
  let cancelled;
  let aborted;
  const source = new ReadableStream({ cancel: (why) => (cancelled = why) });
  const piped = source.pipeTo(new WritableStream({ abort: (why) => (aborted = why) }), { signal: controller.signal });
  controller.abort("enough");
  await rejects({ exactly: "enough" }, () => piped);
  is([cancelled, aborted], ["enough", "enough"]);
  await rejects("AbortError", () => new ReadableStream().pipeTo(new WritableStream(), { signal: AbortSignal.abort() }));
});

test("a pipe does not read faster than its destination takes", async () => {
  let pulled = 0;
  const source = new ReadableStream({ pull: (c) => c.enqueue(pulled++) }, { highWaterMark: 0 });
  source.pipeTo(new WritableStream({ write: () => new Promise(() => {}) })).catch(() => {});
  await sleep(3);
  is(pulled, 1);
});

test("12.6 a transform changes, adds and ends", async () => {
  const upper = new TransformStream({
    start: (c) => c.enqueue("<"),
    transform(chunk, c) {
      c.enqueue(chunk.toUpperCase());
    },
    flush: (c) => c.enqueue(">"),
  });
  is(await collect(streamOf("a", "b").pipeThrough(upper)), ["<", "A", "B", ">"]);
  is(await collect(streamOf(1, 2).pipeThrough(new TransformStream())), [1, 2]);
  const first = new TransformStream({
    transform(chunk, c) {
      c.enqueue(chunk);
      c.terminate();
    },
  });
  is(await collect(streamOf(1, 2).pipeThrough(first)), [1]);
});

test("12.6 an error of one side of a transform is one of the other", async () => {
  const mine = { mine: true };
  const failing = new TransformStream({ transform: () => Promise.reject(mine) });
  const writer = failing.writable.getWriter();
  const reader = failing.readable.getReader();
  const read = reader.read();
  await rejects({ exactly: mine }, () => writer.write(1));
  await rejects({ exactly: mine }, () => read);
  let cancelled;
  const cancelling = new TransformStream({ cancel: (why) => (cancelled = why) });
  await cancelling.readable.cancel("why");
  is(cancelled, "why");
  await rejects({ exactly: "why" }, () => cancelling.writable.getWriter().write(1));
});

test("a transform takes no more than its reader wants", async () => {
  let seen = 0;
  const transform = new TransformStream({ transform: (chunk, c) => (seen++, c.enqueue(chunk)) });
  const writer = transform.writable.getWriter();
  writer.write(1);
  writer.write(2);
  await sleep(2);
  is(seen, 0);
  is((await transform.readable.getReader().read()).value, 1);
  await sleep(2);
  is(seen, 1);
});

test("pipeThrough needs a pair of free streams", () => {
  throws(TypeError, () => new ReadableStream().pipeThrough({}));
  throws(TypeError, () => new ReadableStream().pipeThrough({ readable: new ReadableStream() }));
  const used = new TransformStream();
  used.writable.getWriter();
  throws(TypeError, () => new ReadableStream().pipeThrough(used));
});

test("objects of streams cannot be made or borrowed", async () => {
  for (const Interface of [
    ReadableStreamDefaultController, ReadableByteStreamController, ReadableStreamBYOBRequest,
    WritableStreamDefaultController, TransformStreamDefaultController,
  ]) {
    throws(TypeError, () => new Interface());
  }
  throws(TypeError, () => new ReadableStreamDefaultReader({}));
  throws(TypeError, () => new ReadableStreamBYOBReader(new ReadableStream()));
  await rejects(TypeError, () => ReadableStream.prototype.cancel.call({}));
  await rejects(TypeError, () => WritableStreamDefaultWriter.prototype.write.call({}));
  is(Object.prototype.toString.call(new TransformStream()), "[object TransformStream]");
});

test("a script that changes Promise does not change streams", async () => {
  const { then } = Promise.prototype;
  Promise.prototype.then = () => {
    throw new Error("called");
  };
  let seen;
  try {
    const transform = new TransformStream();
    transform.writable.getWriter().write("x");
    Reflect.apply(then, transform.readable.getReader().read(), [({ value }) => (seen = value)]);
  } finally {
    Promise.prototype.then = then;
  }
  await sleep(2);
  is(seen, "x");
});

test("a tee of a body that nobody read gives both halves, and counts as reading it", async () => {
  const r = await fetch("/large/200000");
  const [a, b] = r.body.tee();
  is([r.bodyUsed, r.body.locked], [true, true]);
  is((await new Response(b).arrayBuffer()).byteLength, 200000);
  is((await new Response(a).arrayBuffer()).byteLength, 200000);
  throws(TypeError, () => r.body.tee());
});
