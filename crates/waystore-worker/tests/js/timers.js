test("timers run in the order of their delays, with their arguments", async () => {
  const order = [];
  setTimeout((a, b) => order.push(a + b), 20, "la", "te");
  setTimeout(() => order.push("soon"), 5);
  const stopped = setTimeout(() => order.push("never"), 10);
  clearTimeout(stopped);
  await sleep(30);
  is(order, ["soon", "late"]);
});

test("an interval repeats until it is cleared", async () => {
  let count = 0;
  const id = setInterval(() => {
    if (++count === 3) clearInterval(id);
  }, 1);
  await sleep(50);
  is(count, 3);
});

test("a handler that is no function is code, which is run as a script", async () => {
  const local = 1;
  setTimeout("var ofTimer = typeof local + this.constructor.name", 1);
  setTimeout({ toString: () => "ofObject = 2" }, 1);
  await sleep(20);
  is([ofTimer.startsWith("undefined"), ofObject, local], [true, 2, 1]);
  throws(TypeError, () => setTimeout(Symbol(), 1));
  throws(TypeError, () => setTimeout());
});

test("microtasks run before timers", async () => {
  const order = [];
  setTimeout(() => order.push("timer"), 0);
  queueMicrotask(() => order.push("microtask"));
  Promise.resolve().then(() => order.push("promise"));
  order.push("now");
  await sleep(1);
  is(order, ["now", "microtask", "promise", "timer"]);
});

test("performance counts from its origin", () => {
  ok(performance.now() >= 0);
  ok(performance.timeOrigin > 1e12);
});

test("timers of one delay run in the order in which they were set", async () => {
  for (const delay of [0, 1, 7]) {
    const order = [];
    for (let index = 0; index < 200; index++) setTimeout((at) => order.push(at), delay, index);
    await sleep(delay + 20);
    is(order.every((at, index) => at === index), true, `the order of ${order.slice(0, 20)}`);
    is(order.length, 200);
  }
});

test("microtasks run between timers, and a callback may clear its own interval", async () => {
  const order = [];
  for (const name of ["a", "b"]) {
    const id = setInterval(() => {
      order.push(name);
      clearInterval(id);
      Promise.resolve().then(() => order.push(`${name} 1`)).then(() => order.push(`${name} 2`));
    }, 1);
  }
  await sleep(20);
  is(order, ["a", "a 1", "a 2", "b", "b 1", "b 2"]);
});
