// Tests in the form of the Web Platform Tests, which testharness.js runs in `waystore run`.

test(() => assert_equals(location.href, "https://a.test/page"), "the page is where it was said to be");

test(() => assert_throws_js(TypeError, () => new Headers([["a"]])), "an error of the language is recognised");

test(() => assert_throws_dom("InvalidCharacterError", () => atob("?")), "a DOMException is recognised by its name");

promise_test(async (t) => {
  await promise_rejects_js(t, TypeError, fetch("ftp://a.test/"));
  await promise_rejects_dom(t, "AbortError", fetch("/", { signal: AbortSignal.abort() }));
}, "rejections are recognised");

promise_test(async (t) => {
  const cache = await caches.open("suite");
  t.add_cleanup(() => caches.delete("suite"));
  await cache.put("/x?a", new Response("kept", { headers: { "x-a": "1" } }));
  const hit = await cache.match("/x", { ignoreSearch: true });
  assert_equals(await hit.text(), "kept");
  assert_array_equals([...hit.headers.keys()], ["content-type", "x-a"]);
}, "a cache keeps what is put");

promise_test(async () => assert_false(await caches.has("suite")), "what a test cleans up is gone for the next one");

async_test((t) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = t.step_func_done(({ data }) => assert_equals(data, 5));
  port2.postMessage(5);
}, "a test may end in an event");

promise_test((t) => new Promise((resolve) => t.step_timeout(resolve, 5)), "a test may wait");

test(() => assert_true(false, "as meant"), "a test that fails is told from those that pass");
