const next = (target, type = "message") => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
const received = (port) => {
  const promise = next(port);
  port.start();
  return promise;
};

test("what goes in at one port comes out at the other, later and as a clone", async () => {
  const { port1, port2 } = new MessageChannel();
  const sent = { a: [1, new Date(5)] };
  port1.postMessage(sent);
  sent.a[0] = 2;
  const event = await received(port2);
  ok(event instanceof MessageEvent && event.isTrusted);
  is([event.data.a[0], event.data.a[1].getTime(), event.origin, event.source, event.ports], [1, 5, "", null, []]);
  ok(event.target === port2 && Object.isFrozen(event.ports));
});

test("messages wait until the port is started, and come in their order", async () => {
  const { port1, port2 } = new MessageChannel();
  const heard = [];
  port2.addEventListener("message", (event) => heard.push(event.data));
  port1.postMessage(1);
  port1.postMessage(2);
  await sleep(3);
  is(heard, []);
  port2.start();
  is(heard, []);
  await sleep(3);
  is(heard, [1, 2]);
});

test("setting onmessage starts the port", async () => {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  port2.onmessage = ({ data }) => port2.postMessage(data * 2);
  port1.postMessage(21);
  is(await answer, 42);
});

test("ports are sent through ports, with what waits at them", async () => {
  const outer = new MessageChannel();
  const inner = new MessageChannel();
  inner.port1.postMessage("waiting");
  outer.port1.postMessage({ port: inner.port2 }, [inner.port2]);
  const event = await received(outer.port2);
  const [port] = event.ports;
  ok(port instanceof MessagePort && event.data.port === port && port !== inner.port2);
  is((await received(port)).data, "waiting");
  port.postMessage("back");
  is((await received(inner.port1)).data, "back");
  throws("DataCloneError", () => outer.port1.postMessage(inner.port2, { transfer: [inner.port2] }));
});

test("buffers and streams are given away with a message", async () => {
  const { port1, port2 } = new MessageChannel();
  const buffer = new ArrayBuffer(4);
  const { body } = new Response("abc");
  port1.postMessage([buffer, body], { transfer: [buffer, body] });
  is([buffer.byteLength, body.locked], [0, true]);
  const [moved, stream] = (await received(port2)).data;
  is([moved.byteLength, await new Response(stream).text()], [4, "abc"]);
});

test("what cannot be sent is refused, and nothing is given away", () => {
  const { port1, port2 } = new MessageChannel();
  const buffer = new ArrayBuffer(4);
  throws("DataCloneError", () => port1.postMessage(() => {}, [buffer]));
  throws("DataCloneError", () => port1.postMessage(port2));
  throws("DataCloneError", () => port1.postMessage(1, [port1]));
  throws("DataCloneError", () => port1.postMessage(1, [{}]));
  throws("DataCloneError", () => port1.postMessage(1, [buffer, buffer]));
  const locked = new ReadableStream();
  locked.getReader();
  throws("DataCloneError", () => port1.postMessage(locked, [locked]));
  throws("DataCloneError", () => structuredClone(new ReadableStream()));
  throws(TypeError, () => port1.postMessage());
  is(buffer.byteLength, 4);
});

test("a closed port sends nothing, and the other end is told", async () => {
  const { port1, port2 } = new MessageChannel();
  let heard = 0;
  port2.onmessage = () => heard++;
  const closed = next(port2, "close");
  port1.close();
  port1.postMessage(1);
  await closed;
  await sleep(2);
  is(heard, 0);
});

test("a message that a listener throws at stops no other", async () => {
  const { port1, port2 } = new MessageChannel();
  const heard = [];
  port2.onmessage = ({ data }) => {
    heard.push(data);
    if (data === 1) throw new Error("reported, not thrown");
  };
  port1.postMessage(1);
  port1.postMessage(2);
  await sleep(3);
  is(heard, [1, 2]);
});

test("streams are moved, both ways", async () => {
  const source = ReadableStream.from([1, 2]);
  const moved = structuredClone(source, { transfer: [source] });
  const seen = [];
  const sink = new WritableStream({ write: (chunk) => void seen.push(chunk) });
  const transform = new TransformStream({ transform: (chunk, c) => c.enqueue(chunk * 2) });
  const [to, through] = structuredClone([sink, transform], { transfer: [sink, transform] });
  is([source.locked, sink.locked, transform.readable.locked], [true, true, true]);
  await moved.pipeThrough(through).pipeTo(to);
  is(seen, [2, 4]);
});

test("a broadcast reaches every other channel of its name", async () => {
  const [one, two, three, other] = ["a", "a", "a", "b"].map((name) => new BroadcastChannel(name));
  const heard = [];
  for (const [name, channel] of Object.entries({ one, two, three, other })) {
    channel.onmessage = (event) => heard.push(`${name} ${event.data.text} ${event.origin}`);
  }
  three.close();
  one.postMessage({ text: "hi" });
  await sleep(3);
  is(heard, ["two hi https://a.test"]);
  throws("InvalidStateError", () => three.postMessage(1));
  throws("DataCloneError", () => one.postMessage(() => {}));
  is(one.name, "a");
  for (const channel of [one, two, other]) channel.close();
});

test("a MessageEvent is what it is given", () => {
  const { port1 } = new MessageChannel();
  const event = new MessageEvent("x", { data: 5, origin: "o", lastEventId: 7, ports: [port1], source: port1 });
  is([event.type, event.data, event.origin, event.lastEventId], ["x", 5, "o", "7"]);
  ok(event.ports[0] === port1 && event.source === port1);
  const bare = new MessageEvent("x");
  is([bare.data, bare.origin, bare.lastEventId, bare.ports, bare.source], [null, "", "", [], null]);
  throws(TypeError, () => new MessageEvent("x", { ports: [1] }));
  throws(TypeError, () => new MessagePort());
});
