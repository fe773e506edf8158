test("F86 any follows whichever is aborted first, with its reason", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const any = AbortSignal.any([a.signal, b.signal]);
  b.abort("why");
  is(any.aborted, true);
  is(any.reason, "why");
});

test("F67 a timeout aborts with a TimeoutError", async () => {
  const signal = AbortSignal.timeout(10);
  is(signal.aborted, false);
  await sleep(20);
  is(signal.reason.name, "TimeoutError");
  ok(signal.reason instanceof DOMException);
});

test("the first abort wins, and the event is fired once", () => {
  const controller = new AbortController();
  let fired = 0;
  controller.signal.onabort = () => fired++;
  controller.abort();
  controller.abort("later");
  is(fired, 1);
  is(controller.signal.reason.name, "AbortError");
  is(controller.signal.reason.code, 20);
  throws("AbortError", () => controller.signal.throwIfAborted());
});

test("a signal that is listened to lives as long as what aborts it", async () => {
  const [controller, heard] = [new AbortController(), []];
  AbortSignal.any([AbortSignal.any([controller.signal])]).addEventListener("abort", () => heard.push("any"));
  AbortSignal.timeout(1).onabort = () => heard.push("timeout");
  await sleep(5);
  controller.abort();
  is(heard, ["timeout", "any"]);
});

test("a signal is not made with new", () => {
  throws(TypeError, () => new AbortSignal());
  is(AbortSignal.abort(1).reason, 1);
  throws(TypeError, () => AbortSignal.any([1]));
});

test("a DOMException is an Error with a name and a code", () => {
  const error = new DOMException("m", "NotFoundError");
  ok(error instanceof Error);
  is(error.code, 8);
  is(String(error), "NotFoundError: m");
});

test("a QuotaExceededError says how much", () => {
  const error = new QuotaExceededError("m", { quota: 1, requested: 2 });
  ok(error instanceof DOMException);
  is([error.name, error.code, error.quota, error.requested], ["QuotaExceededError", 22, 1, 2]);
  throws(RangeError, () => new QuotaExceededError("m", { quota: -1 }));
});
