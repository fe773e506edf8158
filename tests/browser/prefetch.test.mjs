// waystore.prefetch() and waystore.links() of a page: the gateway fetches, the store holds it, the answer says so.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startBrowser, visitor } from "./harness/browser.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { until } from "../harness/until.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const WORKER = `
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => event.respondWith(caches.match(event.request).then((cached) => cached ?? fetch(event.request))));`;

const PAGE = `<!doctype html><title>A list</title><script src="/.well-known/waystore/client.js"></script>
  <a id="mug" href="/mug.html">Mug</a> <a id="vase" href="/vase.html">Vase</a>`;
const PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>';
const product = (name) => `<!doctype html><title>${name}</title><h1>${name}</h1><img src="/${name}.svg">`;

const FILES = {
  "/index.html": PAGE, "/sw.js": WORKER,
  "/mug.html": product("mug"), "/vase.html": product("vase"), "/mug.svg": PICTURE, "/vase.svg": PICTURE,
  "/all.json": JSON.stringify({ products: [{ pic: "/mug.svg" }, { pic: "/vase.svg" }, { pic: "/lost.svg" }] }),
};

async function opened(t, { messages = "WAYSTORE_PREFETCH", files = {} } = {}) {
  const origin = await Origin.start(t, { ...FILES, ...files });
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", messages] });
  const context = await visitor(t, browser);
  const page = await context.newPage();
  await page.goto(gateway.url);
  return { origin, gateway, context, page };
}

test("the figures of the answer are those of the store, and what was followed is in it", async (t) => {
  const { gateway, page } = await opened(t);
  const results = await page.evaluate("waystore.prefetch({ urls: ['/all.json'], cache: 'ahead', follow: ['$.products[*].pic'] })");
  const rows = results.map(({ url, outcome, status, bytes, source }) => [new URL(url).pathname, outcome, status, bytes, source]);
  assert.deepEqual(rows, [
    ["/all.json", "stored", 200, FILES["/all.json"].length, "network"],
    ["/mug.svg", "stored", 200, PICTURE.length, "network"],
    ["/vase.svg", "stored", 200, PICTURE.length, "network"],
    ["/lost.svg", "failed", 404, rows[3][3], rows[3][4]],
  ]);
  assert.deepEqual(results[0].followed.map((url) => new URL(url).pathname), ["/mug.svg", "/vase.svg", "/lost.svg"]);
  const stored = await gateway.cache("ahead");
  assert.deepEqual([...stored.keys()].sort(), ["/all.json", "/mug.svg", "/vase.svg"]);
  for (const [path, outcome, , bytes] of rows) if (outcome === "stored") assert.equal(stored.get(path).bytes, bytes, path);
});

test("what is there already is not fetched again, whoever asks", async (t) => {
  const { origin, gateway, page } = await opened(t);
  const plan = "{ urls: ['/mug.html', '/mug.svg'], cache: 'ahead' }";
  await page.evaluate(`waystore.prefetch(${plan})`);
  const other = await (await visitor(t, browser)).newPage();
  await other.goto(gateway.url);
  const again = await other.evaluate(`waystore.prefetch(${plan})`);
  assert.deepEqual(again.map(({ outcome, source }) => [outcome, source]), [["cached", "cache"], ["cached", "cache"]]);
  assert.deepEqual([origin.asked("/mug.html"), origin.asked("/mug.svg")], [1, 1]);
});

test("progress is told while it runs, and ends with the numbers", async (t) => {
  const { page } = await opened(t);
  const events = await page.evaluate(async () => {
    const events = [];
    await waystore.prefetch({ urls: ["/mug.html", "/vase.html"], cache: "ahead", onprogress: (event) => events.push(event) });
    return events;
  });
  assert.equal(events[0].type, "queued");
  assert.deepEqual({ type: events.at(-1).type, total: events.at(-1).total, stored: events.at(-1).stored }, { type: "ended", total: 2, stored: 2 });
});

test("aborting stops the fetches and leaves nothing half done", async (t) => {
  let closed;
  const cut = new Promise((resolve) => (closed = resolve));
  const files = {
    "/endless.bin": (_request, response) => {
      response.writeHead(200, { "content-type": "application/octet-stream" });
      response.write(Buffer.alloc(100_000));
      response.on("close", closed);
    },
  };
  const { origin, gateway, page } = await opened(t, { files });
  const outcome = page.evaluate(() => {
    window.stop = new AbortController();
    return waystore.prefetch({ urls: ["/endless.bin"], cache: "ahead", signal: stop.signal }).catch(({ name }) => name);
  });
  await origin.wasAsked("/endless.bin");
  await page.evaluate("stop.abort()");
  assert.equal(await outcome, "AbortError");
  await cut;
  assert.deepEqual([...(await gateway.cache("ahead")).keys()], []);
});

test("where messages do not allow it, it rejects with the reason, and nothing is fetched", async (t) => {
  const { origin, page } = await opened(t, { messages: "PREFETCH" });
  const refused = await page.evaluate("waystore.prefetch({ urls: ['/mug.html'], cache: 'ahead' }).catch(({ name, message }) => [name, message])");
  assert.equal(refused[0], "NotAllowedError");
  assert.match(refused[1], /WAYSTORE_PREFETCH/);
  assert.equal(origin.asked("/mug.html"), 0);
});

test("what is wrong with a plan is said", async (t) => {
  const { page } = await opened(t);
  const refused = await page.evaluate("waystore.prefetch({ urls: ['/mug.html'], cache: 'ahead', folow: [] }).catch(({ message }) => message)");
  assert.match(refused, /folow/);
});

test("a link under the pointer is fetched ahead with its picture, and opens with the origin away", async (t) => {
  const { origin, gateway, page } = await opened(t);
  await page.evaluate("waystore.links({ hover: true, cache: 'ahead', follow: ['html'] })");
  await page.hover("#vase");
  await until(() => gateway.cache("ahead"), (stored) => stored.has("/vase.html") && stored.has("/vase.svg"));
  await origin.away();
  await page.click("#vase");
  await page.waitForFunction("document.title === 'vase' && document.images[0].naturalWidth === 8");
  assert.equal(origin.asked("/mug.html"), 0);
});

test("visitors who save data get nothing fetched that nobody requires", async (t) => {
  const { origin, page } = await opened(t);
  const results = await page.evaluate(`waystore.prefetch({ urls: ['/mug.html', { url: '/vase.html', required: true }], cache: 'ahead', connection: { saveData: true }, whenSaving: 'required' })`);
  assert.deepEqual(results.map(({ outcome }) => outcome), ["skipped", "stored"]);
  assert.equal(origin.asked("/mug.html"), 0);
});
