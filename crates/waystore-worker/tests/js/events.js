test("events are heard in the order of their listeners, once each", () => {
  const target = new EventTarget();
  const heard = [];
  const first = () => heard.push("first");
  target.addEventListener("a", first);
  target.addEventListener("a", { handleEvent: (event) => heard.push(event.type) });
  target.addEventListener("a", first);
  target.addEventListener("a", () => heard.push("once"), { once: true });
  target.dispatchEvent(new Event("a"));
  target.dispatchEvent(new Event("a"));
  is(heard, ["first", "a", "once", "first", "a"]);
});

test("a listener that throws stops no other", () => {
  const target = new EventTarget();
  let heard = false;
  target.addEventListener("a", () => {
    throw new Error("reported, not thrown");
  });
  target.addEventListener("a", () => (heard = true));
  ok(target.dispatchEvent(new Event("a")));
  ok(heard);
});

test("only a cancelable event is prevented", () => {
  const target = new EventTarget();
  target.addEventListener("a", (event) => event.preventDefault());
  is(target.dispatchEvent(new Event("a")), true);
  is(target.dispatchEvent(new Event("a", { cancelable: true })), false);
});

test("an event is being dispatched only once at a time", () => {
  const target = new EventTarget();
  const event = new Event("a");
  target.addEventListener("a", () => throws("InvalidStateError", () => target.dispatchEvent(event)));
  target.dispatchEvent(event);
  throws(TypeError, () => target.dispatchEvent({ type: "a" }));
});

test("stopImmediatePropagation ends the dispatch", () => {
  const target = new EventTarget();
  const heard = [];
  target.addEventListener("a", (event) => {
    heard.push(1);
    event.stopImmediatePropagation();
  });
  target.addEventListener("a", () => heard.push(2));
  target.dispatchEvent(new Event("a"));
  is(heard, [1]);
});

test("a listener goes with its signal", () => {
  const target = new EventTarget();
  const controller = new AbortController();
  let heard = 0;
  target.addEventListener("a", () => heard++, { signal: controller.signal });
  target.dispatchEvent(new Event("a"));
  controller.abort();
  target.dispatchEvent(new Event("a"));
  is(heard, 1);
});

test("CustomEvent carries its detail", () => {
  is(new CustomEvent("a", { detail: 5 }).detail, 5);
  is(new CustomEvent("a").detail, null);
  ok(new CustomEvent("a") instanceof Event);
});

test("members of interfaces are enumerable and tagged", () => {
  ok(Object.keys(EventTarget.prototype).includes("addEventListener"));
  is(Object.prototype.toString.call(new Event("a")), "[object Event]");
  is(Event.AT_TARGET, 2);
  throws(TypeError, () => Event("a"));
  throws(TypeError, () => new Event());
});

test("an event's time counts from the origin of time, as performance does", async () => {
  const before = performance.now();
  await sleep(2);
  const event = new Event("x");
  const made = event.timeStamp;
  await sleep(2);
  ok(before < made && made <= performance.now());
  is(event.timeStamp, made);
});
