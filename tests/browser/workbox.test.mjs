// workbox-window from npm, as its documentation has it, its worker in the gateway.
// https://developer.chrome.com/docs/workbox/modules/workbox-window

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { startBrowser, visitor } from "./harness/browser.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { until } from "../harness/until.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const WORKBOX = await readFile(new URL("node_modules/workbox-window/build/workbox-window.prod.umd.js", import.meta.url), "utf8");

/** What Workbox's own template of a worker does with messages, and an answer that names the version. */
const worker = (version) => `
  const VERSION = ${JSON.stringify(version)};
  addEventListener("message", (event) => {
    if (event.data && event.data.type === "SKIP_WAITING") skipWaiting();
    if (event.data && event.data.type === "GET_VERSION") event.ports[0].postMessage(VERSION);
    if (event.data && event.data.type === "TELL_ALL") event.waitUntil(tellAll());
  });
  async function tellAll() {
    for (const client of await clients.matchAll({ type: "window" })) {
      client.postMessage({ type: "CACHE_UPDATED", meta: "workbox-broadcast-update", payload: { updatedURL: "/data.json" } });
    }
  }
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => {
    if (event.request.url.endsWith("/version")) event.respondWith(new Response(VERSION));
  });`;

const PAGE = `<!doctype html><title>A page</title>
<script src="/.well-known/waystore/client.js"></script>
<script src="/workbox-window.js"></script>
<script>
  const { Workbox } = workbox;
  const seen = [];
  const wb = new Workbox("/sw.js");
  for (const type of ["installing", "installed", "waiting", "activating", "activated", "controlling", "redundant"]) {
    wb.addEventListener(type, ({ isUpdate, isExternal }) => seen.push({ type, isUpdate, isExternal }));
  }
  wb.addEventListener("message", ({ data }) => seen.push(data));
</script>`;

async function opened(t, activation) {
  const origin = await Origin.start(t, { "/index.html": PAGE, "/workbox-window.js": WORKBOX, "/sw.js": worker("v1") });
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", "*", "--activation", activation] });
  const context = await visitor(t, browser);
  const page = await context.newPage();
  await page.goto(gateway.url);
  return { origin, gateway, context, page };
}

const types = (page) => page.evaluate("seen.map(({ type }) => type)");
const versionSeen = (page) => page.evaluate("fetch('/version').then((response) => response.text())");

test("register() resolves, and active, controlling and getSW() give the worker that answers the page", async (t) => {
  const { gateway, page } = await opened(t, "hold");
  const told = await page.evaluate(async () => {
    const registration = await wb.register();
    const all = [await wb.active, await wb.controlling, await wb.getSW(), navigator.serviceWorker.controller];
    return { scope: registration.scope, same: all.every((one) => one === registration.active), state: registration.active.state };
  });
  assert.deepEqual(told, { scope: `${gateway.url}/`, same: true, state: "activated" });
});

test("messageSW() resolves with what the worker answers through its port", async (t) => {
  const { page } = await opened(t, "hold");
  assert.equal(await page.evaluate("wb.register().then(() => wb.messageSW({ type: 'GET_VERSION' }))"), "v1");
});

test("messageSW() can be called as often as one likes", async (t) => {
  const { context, page } = await opened(t, "hold");
  await page.evaluate("wb.register()");
  for (let time = 0; time < 150; time++) {
    const answer = page.evaluate("Promise.race([wb.messageSW({ type: 'GET_VERSION' }), new Promise((late) => setTimeout(late, 10000, 'no answer'))])");
    assert.equal(await answer, "v1", `time ${time}: ${context.lines}`);
  }
});

test("the worker's broadcast of an update is a message event of every page", async (t) => {
  const { gateway, context, page } = await opened(t, "hold");
  const other = await context.newPage();
  await other.goto(gateway.url);
  // Who has an answer is connected, and so a client.
  assert.equal(await other.evaluate("wb.register().then(() => wb.messageSW({ type: 'GET_VERSION' }))"), "v1");
  await page.evaluate("wb.register().then(() => void wb.messageSW({ type: 'TELL_ALL' }))");
  for (const one of [page, other]) {
    await one.waitForFunction("seen.some(({ type }) => type === 'CACHE_UPDATED')");
    const got = await one.evaluate("seen.find(({ type }) => type === 'CACHE_UPDATED')");
    assert.equal(got.payload.updatedURL, "/data.json");
  }
});

test("the prompt to reload: installed, waiting, and on the user's word activating, controlling, activated", async (t) => {
  const { origin, page } = await opened(t, "hold");
  await page.evaluate("wb.register()");
  origin.files["/sw.js"] = worker("v2");
  await page.evaluate("wb.update()");
  await page.waitForFunction("seen.some(({ type }) => type === 'waiting')");
  assert.deepEqual(await page.evaluate("JSON.stringify(seen)"), JSON.stringify([
    { type: "installed", isUpdate: true, isExternal: false }, { type: "waiting", isUpdate: true, isExternal: false },
  ]));
  assert.equal(await versionSeen(page), "v1");

  // As the documentation has it: the page reloads when the new worker is in control.
  const reloaded = page.waitForEvent("load");
  await page.evaluate(() => {
    wb.addEventListener("controlling", () => {
      sessionStorage.seen = JSON.stringify(seen.slice(2));
      location.reload();
    });
    wb.messageSkipWaiting();
  });
  await reloaded;
  const after = JSON.parse(await page.evaluate("sessionStorage.seen")).map(({ type }) => type);
  // The version that was there when the page was opened is the one that becomes redundant.
  assert.deepEqual(after.filter((type) => type !== "activated"), ["redundant", "activating", "controlling"]);
  assert.equal(await versionSeen(page), "v2");
  assert.equal(await page.evaluate("wb.register().then(() => wb.messageSW({ type: 'GET_VERSION' }))"), "v2");
});

test("without the user's word the new version waits, and takes over when the last page has gone", async (t) => {
  const { origin, gateway, context, page } = await opened(t, "hold");
  await page.evaluate("wb.register()");
  const other = await context.newPage();
  await other.goto(gateway.url);
  await other.evaluate("wb.register()");
  origin.files["/sw.js"] = worker("v2");
  await page.evaluate("wb.update()");
  for (const one of [page, other]) await one.waitForFunction("seen.some(({ type }) => type === 'waiting')");
  const lines = gateway.lines;
  await page.close();
  assert.equal(await versionSeen(other), "v1");
  await other.close();
  await gateway.logged((line) => line.message === "worker activated" && line.version.endsWith("-2"), lines);
  const next = await context.newPage();
  await next.goto(gateway.url);
  assert.equal(await versionSeen(next), "v2");
});

test("a page that opens while a version waits is told that it was waiting before", async (t) => {
  const { origin, gateway, context, page } = await opened(t, "hold");
  await page.evaluate("wb.register()");
  origin.files["/sw.js"] = worker("v2");
  await page.evaluate("wb.update()");
  await page.waitForFunction("seen.some(({ type }) => type === 'waiting')");
  const other = await context.newPage();
  await other.goto(gateway.url);
  const was = await other.evaluate(() => new Promise((resolve) => {
    wb.addEventListener("waiting", ({ wasWaitingBeforeRegister }) => resolve(wasWaitingBeforeRegister));
    wb.register();
  }));
  assert.equal(was, true);
  assert.equal(await versionSeen(other), "v1");
});

test("with rollover a new version takes over by itself, and open pages hear of it", async (t) => {
  const { origin, page } = await opened(t, "rollover");
  await page.evaluate("wb.register()");
  origin.files["/sw.js"] = worker("v2");
  await page.evaluate("wb.update()");
  await until(() => types(page), (seen) => seen.includes("activated") && seen.includes("controlling"));
  assert.deepEqual((await types(page)).filter((type) => type !== "controlling"), ["installed", "redundant", "activating", "activated"]);
  assert.equal(await versionSeen(page), "v2");
});

test("what another page brought is told as external", async (t) => {
  const { origin, gateway, context, page } = await opened(t, "hold");
  await page.evaluate("wb.register()");
  for (const version of ["v2", "v3"]) {
    origin.files["/sw.js"] = worker(version);
    await page.evaluate("wb.update()");
    await until(() => types(page), (seen) => seen.filter((type) => type === "waiting").length === Number(version[1]) - 1);
  }
  const flags = await page.evaluate("seen.filter(({ type }) => type === 'waiting').map(({ isExternal }) => isExternal)");
  assert.deepEqual(flags, [false, true]);
  assert.ok(gateway.url !== "" && context.lines.length === 0, context.lines.join("\n"));
});
