// navigator.serviceWorker of a page against the gateway that it comes from: values, ports, clients, broadcasts,
// what is allowed, and what goes wrong.

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
  const heard = [];
  const news = new BroadcastChannel("news");
  news.onmessage = ({ data }) => heard.push(data.text);
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("message", (event) => {
    const { data, source, ports } = event;
    switch (data.type) {
      case "ECHO": return source.postMessage(data, ports);
      case "SOURCE": {
        const { id, url, type, frameType, visibilityState } = source;
        return ports[0].postMessage({ id, url, type, frameType, visibilityState, client: source instanceof WindowClient });
      }
      case "CLIENTS": return event.waitUntil((async () => {
        const all = await clients.matchAll();
        ports[0].postMessage(all.map(({ id, url }) => ({ id, url })));
      })());
      case "SHOUT": return news.postMessage({ type: "NEWS", text: data.text });
      case "HEARD": return ports[0].postMessage(heard);
    }
  });
  addEventListener("fetch", (event) => {
    if (event.request.url.endsWith("/who")) {
      event.respondWith(new Response(JSON.stringify([event.clientId, event.resultingClientId])));
    }
  });`;

const PAGE = `<!doctype html><title>A page</title><script src="/.well-known/waystore/client.js"></script><script>
  const ask = (message) => new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    setTimeout(reject, 20000, new Error("no answer"));
    port1.onmessage = ({ data }) => resolve(data);
    navigator.serviceWorker.controller.postMessage(message, [port2]);
  });
  const echo = (value, transfer) => new Promise((resolve, reject) => {
    setTimeout(reject, 20000, new Error("no echo"));
    navigator.serviceWorker.addEventListener("message", ({ data }) => resolve(data.value), { once: true });
    navigator.serviceWorker.controller.postMessage({ type: "ECHO", value }, transfer);
  });
</script>`;

async function opened(t, { messages = "*", init, files = {}, flags = [] } = {}) {
  const origin = await Origin.start(t, { "/index.html": PAGE, "/sw.js": WORKER, ...files });
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", messages, ...flags] });
  const context = await visitor(t, browser);
  if (init !== undefined) await context.addInitScript(init);
  const page = await context.newPage();
  await page.goto(gateway.url);
  return { origin, gateway, context, page };
}

for (const [wire, init] of [["a WebSocket", undefined], ["requests, where there are no WebSockets", "delete window.WebSocket"]]) {
  test(`every kind of value goes to the worker and comes back, over ${wire}`, async (t) => {
    const { page } = await opened(t, { init });
    const same = await page.evaluate(async () => {
      const bytes = new Uint8Array([1, 2, 3, 250]);
      const sent = {
        map: new Map([[1n, new Set(["x"])]]), date: new Date(NaN), rule: /a+/gi, view: bytes.subarray(1), moved: bytes.buffer,
        error: new RangeError("r", { cause: [undefined, -0, NaN] }), box: Object("s"), dom: new DOMException("m", "AbortError"),
        blob: new Blob(["blob"], { type: "a/b" }), file: new File(["file"], "name.txt", { lastModified: 7 }), lone: "\ud800", list: [, "b"],
      };
      sent.self = sent;
      const got = await echo(sent, [bytes.buffer]);
      return {
        gone: bytes.length, self: got.self === got, hole: 0 in got.list, map: got.map.get(1n).has("x"), date: isNaN(got.date), rule: `${got.rule}`,
        view: [...got.view].join(), shared: got.view.buffer === got.moved, error: [got.error.name, got.error.message, Object.is(got.error.cause[1], -0)],
        box: typeof got.box, dom: [got.dom.name, got.dom instanceof DOMException], lone: got.lone === "\ud800",
        blob: [got.blob.type, await got.blob.text()], file: [got.file.name, got.file.lastModified, await got.file.text(), got.file instanceof File],
      };
    });
    assert.deepEqual(same, {
      gone: 0, self: true, hole: false, map: true, date: true, rule: "/a+/gi", view: "2,3,250", shared: true, error: ["RangeError", "r", true],
      box: "object", dom: ["AbortError", true], lone: true, blob: ["a/b", "blob"], file: ["name.txt", 7, "file", true],
    });
  });

  test(`the worker sees the page as a client, and its navigation's id is the page's, over ${wire}`, async (t) => {
    const { gateway, page } = await opened(t, { init, files: { "/who": "never seen" } });
    const source = await page.evaluate("ask({ type: 'SOURCE' })");
    assert.deepEqual({ ...source, id: "" }, { id: "", url: `${gateway.url}/`, type: "window", frameType: "top-level", visibilityState: "visible", client: true });
    const [reserved] = await page.evaluate("performance.getEntriesByType('navigation')[0].serverTiming.map(({ description }) => description)");
    assert.equal(source.id, reserved);
    assert.deepEqual(await page.evaluate("ask({ type: 'CLIENTS' })"), [{ id: reserved, url: `${gateway.url}/` }]);
  });
}

test("a port that the page sends comes back as one that still talks to the page", async (t) => {
  const { page } = await opened(t);
  const got = await page.evaluate(() => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    navigator.serviceWorker.onmessage = ({ ports: [back] }) => back.postMessage("all the way round");
    navigator.serviceWorker.controller.postMessage({ type: "ECHO", value: port2 }, [port2]);
  }));
  assert.equal(got, "all the way round");
});

test("each page is a client of its own, and one that is closed is none any more", async (t) => {
  const { gateway, context, page } = await opened(t);
  const other = await context.newPage();
  await other.goto(`${gateway.url}/?second`);
  await until(() => page.evaluate("ask({ type: 'CLIENTS' })"), (all) => all.length === 2);
  await other.close();
  await until(() => page.evaluate("ask({ type: 'CLIENTS' })"), (all) => all.length === 1);
});

test("broadcasts go both ways between worker and pages, and pages of others hear no page", async (t) => {
  const { gateway, context, page } = await opened(t);
  const stranger = await visitor(t, browser);
  const listen = "window.heard = []; window.news = new BroadcastChannel('news'); news.onmessage = ({ data }) => heard.push(data.text)";
  const pages = [page, await context.newPage(), await stranger.newPage()];
  for (const one of pages) {
    if (one !== page) await one.goto(gateway.url);
    await one.evaluate(listen);
    await one.evaluate("ask({ type: 'HEARD' })");
  }
  await page.evaluate("news.postMessage({ type: 'NEWS', text: 'from a page' })");
  await until(() => page.evaluate("ask({ type: 'HEARD' })"), (heard) => heard.length === 1);
  await page.evaluate("navigator.serviceWorker.controller.postMessage({ type: 'SHOUT', text: 'from the worker' })");
  for (const one of pages) await one.waitForFunction("heard.includes('from the worker')");
  const heard = await Promise.all(pages.map((one) => one.evaluate("heard")));
  assert.deepEqual(heard, [["from the worker"], ["from a page", "from the worker"], ["from the worker"]]);
});

test("a type that is not in messages is refused, with the reason in the console, and the others go on", async (t) => {
  const { context, page } = await opened(t, { messages: "HEARD" });
  await page.evaluate("navigator.serviceWorker.controller.postMessage({ type: 'SHOUT', text: 'no' })");
  assert.deepEqual(await page.evaluate("ask({ type: 'HEARD' })"), []);
  assert.ok(context.lines.some((line) => line.includes("SHOUT")), context.lines.join("\n"));
  assert.equal(await page.evaluate("navigator.serviceWorker.ready.then((r) => r.unregister())"), true);
  assert.equal(await page.evaluate("navigator.serviceWorker.ready.then((r) => r.update()).then(({ scope }) => scope)"), `${new URL(page.url()).origin}/`);
  assert.deepEqual(await page.evaluate("ask({ type: 'HEARD' })"), []);
  assert.ok(context.lines.some((line) => line.includes("unregister changed nothing")), context.lines.join("\n"));
});

test("a page of another origin gets no channel, by neither way", async (t) => {
  const { gateway } = await opened(t);
  const elsewhere = await Origin.start(t, { "/index.html": "<!doctype html><title>Elsewhere</title>" });
  const context = await visitor(t, browser);
  const page = await context.newPage();
  await page.goto(elsewhere.url);
  const outcome = await page.evaluate(async (url) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/.well-known/waystore/channel`);
    const opened = await new Promise((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onclose = () => resolve(false);
    });
    const hello = JSON.stringify({ frame: "hello", version: 1, url: `${url}/` });
    const stream = await fetch(`${url}/.well-known/waystore/channel/stream`, { method: "POST", body: hello, mode: "no-cors" });
    const seen = await fetch(`${url}/.well-known/waystore/channel/stream`, { method: "POST", body: hello }).catch(({ name }) => name);
    return { opened, type: stream.type, seen };
  }, gateway.url);
  assert.deepEqual(outcome, { opened: false, type: "opaque", seen: "TypeError" });
  const { page: own } = await openedAt(t, gateway);
  assert.equal((await own.evaluate("ask({ type: 'CLIENTS' })")).length, 2);
});

/** Another visitor of a gateway. */
async function openedAt(t, gateway) {
  const context = await visitor(t, browser);
  const page = await context.newPage();
  await page.goto(gateway.url);
  return { context, page };
}

test("a page goes on after a restart of the gateway, as a new client", async (t) => {
  const { gateway, page } = await opened(t);
  const before = await page.evaluate("ask({ type: 'SOURCE' })");
  await gateway.kill();
  await gateway.begin();
  const after = await page.evaluate("ask({ type: 'SOURCE' })");
  assert.equal(after.url, before.url);
  assert.notEqual(after.id, before.id);
});

test("a page at another name of the site finds the registration at its own", async (t) => {
  const { gateway, page } = await opened(t);
  await page.goto(gateway.url.replace("localhost", "127.0.0.1"));
  const found = await page.evaluate("navigator.serviceWorker.register('/sw.js').then(({ scope, active }) => [scope, active.scriptURL])");
  assert.deepEqual(found, [page.url(), `${page.url()}sw.js`]);
  assert.equal((await page.evaluate("ask({ type: 'SOURCE' })")).type, "window");
});

test("a page that was put away whole and comes back is the client that it was", async (t) => {
  const keeping = await startBrowser({ ignoreDefaultArgs: ["--disable-back-forward-cache"] });
  t.after(() => keeping.close());
  const origin = await Origin.start(t, { "/index.html": PAGE, "/sw.js": WORKER });
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", "*"] });
  const context = await visitor(t, keeping);
  const page = await context.newPage();
  await page.goto(gateway.url);
  await page.evaluate("addEventListener('pageshow', ({ persisted }) => (window.kept = persisted))");
  const { id } = await page.evaluate("ask({ type: 'SOURCE' })");
  await page.goto(`${gateway.url}/?second`);
  await page.evaluate("ask({ type: 'SOURCE' })");
  await page.goBack({ waitUntil: "commit" });
  await page.waitForFunction("window.kept === true");
  assert.equal((await page.evaluate("ask({ type: 'SOURCE' })")).id, id);
});

test("who goes back finds a page that is connected", async (t) => {
  const { gateway, page } = await opened(t);
  await page.goto(`${gateway.url}/?second`);
  await page.evaluate("ask({ type: 'CLIENTS' })");
  await page.goBack();
  assert.equal((await page.evaluate("ask({ type: 'SOURCE' })")).url, `${gateway.url}/`);
});

test("a page with a strict Content-Security-Policy works with the two entries that the documents name", async (t) => {
  const files = {
    "/strict.html": (_request, response) => {
      response.writeHead(200, { "content-type": "text/html", "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'" });
      response.end(`<!doctype html><script src="/.well-known/waystore/client.js"></script><script src="/page.js"></script>`);
    },
    "/page.js": "navigator.serviceWorker.onmessage = ({ data }) => (document.documentElement.id = data.value); navigator.serviceWorker.controller.postMessage({ type: 'ECHO', value: 'works' });",
  };
  const { gateway, context, page } = await opened(t, { files });
  await page.goto(`${gateway.url}/strict.html`);
  // Not a function: where that has to wait, the driver evaluates text, which this page forbids.
  await page.waitForSelector("#works", { state: "attached" });
  assert.deepEqual(context.lines, []);
});
