// waystore.prefetch() and waystore.links() in a real page, with a gateway that says what the test wants.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startBrowser, visitor } from "./harness/browser.mjs";
import { ORIGIN, Scripted, registration, version } from "./harness/scripted.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const ACTIVE = registration({ active: version(1, "activated") }, "v1");
const LINKS = `
  <a id="one" href="/one#part">one</a> <a id="two" href="/two">two</a> <a id="same" href="#part">here</a>
  <a id="away" href="https://elsewhere.example/">away</a> <a id="file" href="/file" download>file</a>
  <a id="cart" href="/cart/pay">pay</a> <span data-waystore-ignore><a id="ignored" href="/ignored">no</a></span>
  <p style="height: 300vh"></p> <a id="below" href="/below">below</a>`;

async function opened(t, { init, ...options } = {}) {
  const context = await visitor(t, browser);
  if (init !== undefined) await context.addInitScript(init);
  const gateway = await Scripted.start(context, { registration: ACTIVE, body: LINKS, ...options });
  const page = await context.newPage();
  await page.goto(`${ORIGIN}/`);
  await gateway.welcome();
  return { context, gateway, page };
}

const connection = (members) => `Object.defineProperty(navigator, "connection", { value: ${JSON.stringify(members)} })`;

test("a plan goes to the gateway with the page's base and what is known of the connection", async (t) => {
  const { page, gateway } = await opened(t, { init: connection({ saveData: false, effectiveType: "3g", downlink: 1.5, rtt: 300 }) });
  await page.evaluate("void waystore.prefetch({ urls: ['/a', new URL('/b', location), { url: '/c', required: true }], cache: 'v1', follow: ['$.pic'] })");
  const { frame, plan } = await gateway.next();
  assert.deepEqual({ frame, plan }, { frame: "prefetch", plan: {
    urls: ["/a", `${ORIGIN}/b`, { url: "/c", required: true }], cache: "v1", follow: ["$.pic"], base: `${ORIGIN}/`,
    connection: { saveData: false, effectiveType: "3g", downlink: 1.5, rtt: 300 },
  } });
});

test("it resolves with the results, after progress", async (t) => {
  const { page, gateway } = await opened(t);
  const done = page.evaluate(async () => {
    const events = [];
    const results = await waystore.prefetch({ urls: ["/a"], onprogress: (event) => events.push(event) });
    return { events, results };
  });
  const { id } = await gateway.next();
  gateway.tell({ frame: "progress", id, event: { type: "started", url: "/a" } });
  gateway.tell({ frame: "end", id, results: [{ url: "/a", outcome: "stored" }] });
  assert.deepEqual(await done, { events: [{ type: "started", url: "/a" }], results: [{ url: "/a", outcome: "stored" }] });
});

test("what is refused rejects with the reason, and what makes no sense without asking", async (t) => {
  const { page, gateway } = await opened(t);
  const outcome = (plan) => page.evaluate(`waystore.prefetch(${plan}).catch(({ name, message }) => [name, message])`);
  const refused = outcome("{ urls: ['/a'] }");
  const { id, n } = await gateway.next();
  gateway.tell({ frame: "refused", of: n, what: "prefetch", id, reason: "`WAYSTORE_PREFETCH` is not in `messages`" });
  assert.deepEqual(await refused, ["NotAllowedError", "the gateway refused it: `WAYSTORE_PREFETCH` is not in `messages`"]);
  assert.equal((await outcome(""))[0], "TypeError");
  assert.equal((await outcome("{ urls: [], onprogress: 1 }"))[0], "TypeError");
  assert.equal((await outcome("{ urls: [], signal: AbortSignal.abort() }"))[0], "AbortError");
});

test("aborting the signal stops it, and rejects with the signal's reason", async (t) => {
  const { page, gateway } = await opened(t);
  const stopped = page.evaluate(() => {
    window.stop = new AbortController();
    return waystore.prefetch({ urls: ["/a"], signal: stop.signal }).catch((reason) => reason);
  });
  const { id } = await gateway.next();
  await page.evaluate("stop.abort('enough')");
  assert.equal(await stopped, "enough");
  const { frame, id: aborted } = await gateway.next();
  assert.deepEqual({ frame, aborted }, { frame: "abort", aborted: id });
});

test("on hover a link of the same origin is asked for, once; others are not", async (t) => {
  const { page, gateway } = await opened(t);
  await page.evaluate("waystore.links({ delay: 0, cache: 'ahead', ignore: ['/cart', /two$/] })");
  for (const id of ["away", "file", "cart", "two", "ignored", "same", "one"]) await page.hover(`#${id}`);
  const { plan } = await gateway.next();
  assert.deepEqual({ urls: plan.urls, cache: plan.cache }, { urls: [`${ORIGIN}/one`], cache: "ahead" });
  for (const id of ["two", "one"]) await page.hover(`#${id}`);
  await page.evaluate("waystore.serviceWorker.controller.postMessage('nothing')");
  assert.equal((await gateway.next()).frame, "message");
});

test("a pointer that only passes over asks for nothing", async (t) => {
  const { page, gateway } = await opened(t);
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(3_600_000);
  await page.evaluate("waystore.links({ delay: 80 })");
  await page.hover("#one");
  await page.clock.runFor(79);
  await page.mouse.move(0, 0);
  await page.clock.runFor(1000);
  await page.hover("#two");
  await page.clock.runFor(80);
  assert.deepEqual((await gateway.next()).plan.urls, [`${ORIGIN}/two`]);
});

test("what is in view is asked for together, what is not when it comes, and no more than the limit", async (t) => {
  const { page, gateway } = await opened(t);
  await page.evaluate("waystore.links({ hover: false, viewport: true, limit: 3, ignore: ['/cart'] })");
  assert.deepEqual((await gateway.next()).plan.urls, [`${ORIGIN}/one`, `${ORIGIN}/two`]);
  await page.locator("#below").scrollIntoViewIfNeeded();
  assert.deepEqual((await gateway.next()).plan.urls, [`${ORIGIN}/below`]);
  await page.evaluate("document.body.append(Object.assign(document.createElement('a'), { href: '/more', textContent: 'more' }))");
  await page.locator("text=more").scrollIntoViewIfNeeded();
  await page.evaluate("new Promise((resolve) => setTimeout(resolve, 600))");
  await page.evaluate("waystore.serviceWorker.controller.postMessage('nothing')");
  assert.equal((await gateway.next()).frame, "message");
});

for (const [who, members] of [["asks to save data", { saveData: true }], ["has a slow connection", { effectiveType: "slow-2g" }]]) {
  test(`nothing is asked for where the visitor ${who}`, async (t) => {
    const { page, gateway } = await opened(t, { init: connection(members) });
    await page.evaluate("waystore.links({ delay: 0 })");
    await page.hover("#one");
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 10))");
    await page.evaluate("waystore.serviceWorker.controller.postMessage('nothing')");
    assert.equal((await gateway.next()).frame, "message");
  });
}

test("the tag of client.js can ask for it, and who started it can stop it", async (t) => {
  const { page, gateway } = await opened(t, { tag: 'data-links="hover" data-links-delay="0" data-links-ignore="/cart /one"' });
  await page.hover("#one");
  await page.hover("#two");
  assert.deepEqual((await gateway.next()).plan.urls, [`${ORIGIN}/two`]);
  const { page: other, gateway: its } = await opened(t);
  await other.evaluate("waystore.links({ delay: 0 })()");
  await other.hover("#one");
  await other.evaluate("new Promise((resolve) => setTimeout(resolve, 10))");
  await other.evaluate("waystore.serviceWorker.controller.postMessage('nothing')");
  assert.equal((await its.next()).frame, "message");
});
