// From the click to the content, with and without fetching ahead, at 150 ms of latency to the origin.
//
//   npm run figures [clicks]
//
// The content is there when the heading of the page is in the document and its picture is decoded.

import { alone } from "./harness/alone.mjs";
import { startBrowser } from "./harness/browser.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";

const CLICKS = Number(process.argv[2] ?? 20);
const LATENCY_MS = 150;

const WORKER = `
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => event.respondWith(caches.match(event.request).then((cached) => cached ?? fetch(event.request))));`;
const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400"><rect width="400" height="400" fill="brown"/></svg>`;

await alone(main);

async function main(t) {
  const origin = await Origin.start(t, site());
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", "WAYSTORE_PREFETCH"] });
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await (await browser.newContext()).newPage();
  await page.goto(gateway.url);
  origin.latency = LATENCY_MS;
  const without = await clicks(page, gateway, "plain", async () => {});
  const ahead = await clicks(page, gateway, "ahead", (id) =>
    page.evaluate(`waystore.prefetch({ urls: ["/ahead/${id}.html"], cache: "ahead", follow: ["html"] })`));
  const memory = await idlePages(gateway, browser);
  console.log(`click to content at ${LATENCY_MS} ms of latency, ${CLICKS} clicks each:`);
  console.log(`  not fetched ahead  ${line(without)}`);
  console.log(`  fetched ahead      ${line(ahead)}`);
  console.log(`an idle connected page: ${memory} KiB of the gateway's memory`);
}

function site() {
  const files = { "/index.html": list(), "/sw.js": WORKER };
  for (const kind of ["plain", "ahead"]) {
    for (let id = 0; id < CLICKS; id++) {
      files[`/${kind}/${id}.html`] = `<!doctype html><title>${id}</title><h1>Product ${id}</h1><img src="/${kind}/${id}.svg">`;
      files[`/${kind}/${id}.svg`] = PICTURE;
    }
  }
  return files;
}

function list() {
  const links = ["plain", "ahead"].flatMap((kind) => Array.from({ length: CLICKS }, (_, id) => `<a href="/${kind}/${id}.html">${kind} ${id}</a>`));
  return `<!doctype html><title>List</title><script src="/.well-known/waystore/client.js"></script>${links.join(" ")}`;
}

/** Milliseconds of each click on a link of this kind, after `before` was done for it. */
async function clicks(page, gateway, kind, before) {
  const times = [];
  for (let id = 0; id < CLICKS; id++) {
    await page.goto(gateway.url);
    await before(id);
    await page.evaluate(() => addEventListener("click", () => (sessionStorage.clicked = performance.timeOrigin + performance.now()), true));
    await page.getByRole("link", { name: `${kind} ${id}`, exact: true }).click();
    await page.waitForURL(`**/${kind}/${id}.html`);
    times.push(await page.evaluate(async () => {
      const [picture] = document.images;
      await picture.decode();
      const [resource] = performance.getEntriesByName(picture.src);
      return performance.timeOrigin + resource.responseEnd - Number(sessionStorage.clicked);
    }));
  }
  return times.sort((a, b) => a - b);
}

/** What a connected page that does nothing costs the gateway, over fifty of them. */
async function idlePages(gateway, browser) {
  const PAGES = 50;
  const context = await browser.newContext();
  const before = await residentKib(gateway.pid);
  for (let number = 0; number < PAGES; number++) {
    const page = await context.newPage();
    await page.goto(gateway.url);
    await page.evaluate("navigator.serviceWorker.ready");
  }
  return Math.round((await residentKib(gateway.pid) - before) / PAGES);
}

async function residentKib(pid) {
  const { readFile } = await import("node:fs/promises");
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))[1]);
}

function line(times) {
  const at = (share) => `${times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1)} ms`;
  return `median ${at(0.5)}, 95 of 100 under ${at(0.95)}`;
}
