// web.dev's "Imperative caching guide": its page in Chromium, its worker in the gateway, neither changed.

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

const guide = (name) => readFile(new URL(`guide/${name}`, import.meta.url), "utf8");
const picture = (colour) => `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="${colour}"/></svg>`;
const product = (productName) => JSON.stringify({ productName, productPic: `/product_images/${productName}.svg`, unitPrice: "1.99" });

/** The guide's shop, completed as its prose says. */
async function groceries() {
  return {
    "/index.html": await guide("index.html"), "/product.html": await guide("product.html"), "/sw.js": await guide("sw.js"),
    "/apis/data_1.json": product("banana"), "/apis/data_2.json": product("cherry"), "/apis/data_3.json": product("lemon"),
    "/product_images/banana.svg": picture("gold"), "/product_images/cherry.svg": picture("crimson"), "/product_images/lemon.svg": picture("yellow"),
  };
}

async function opened(t, files) {
  const origin = await Origin.start(t, files);
  const gateway = await Gateway.start(t, origin, { flags: ["--messages", "PREFETCH,MSG_ID"] });
  const context = await visitor(t, browser);
  return { origin, gateway, context, page: await context.newPage() };
}

/** What became of a prefetch that the pointer caused, as the worker answered through its port. */
async function hover(page, name) {
  const link = page.getByRole("link", { name });
  await link.hover();
  await link.and(page.locator("[data-fetched]")).waitFor();
  return JSON.parse(await link.getAttribute("data-fetched"));
}

const OF_ONE = ["/product.html", "/apis/data_1.json", "/product_images/banana.svg"];
const OF_TWO = ["/product.html", "/apis/data_2.json", "/product_images/cherry.svg"];
const holds = (paths) => (cache) => paths.every((path) => cache.has(path));

test("as it stands: what is named is fetched, nothing is kept, and what fails harms nobody", async (t) => {
  const files = { "/index.html": await guide("as-it-stands.html"), "/sw.js": await guide("as-it-stands.sw.js") };
  const { origin, gateway, context, page } = await opened(t, files);
  await page.goto(gateway.url);
  for (const number of [1, 2]) await origin.wasAsked(`/www.exmaple.com/apis/data_${number}.json`);
  assert.match(JSON.stringify(await gateway.logged((line) => JSON.stringify(line).includes("MSG_ID is not defined"))), /ReferenceError/);
  assert.deepEqual(await gateway.caches(), []);
  assert.equal(await page.title(), "As it stands");
  assert.deepEqual(context.lines, []);
});

test("completed: on load the top item is fetched ahead, on hover others, and both open with the origin away", async (t) => {
  const { origin, gateway, page } = await opened(t, await groceries());
  await page.goto(gateway.url);
  await until(() => gateway.cache("prefetched"), holds(OF_ONE));
  assert.deepEqual(await hover(page, "Cherry"), { asked: 2, failed: 0 });
  await until(() => gateway.cache("prefetched"), holds(OF_TWO));
  assert.equal(origin.asked("/apis/data_3.json"), 0);

  // The listing itself was never kept, so both are opened from the one that is still there.
  await origin.away();
  for (const [name, title] of [["Cherry", "cherry, seen"], ["Banana", "banana, seen"]]) {
    const opening = page.context().waitForEvent("page");
    await page.getByRole("link", { name }).click({ modifiers: ["Control"] });
    const product = await opening;
    await product.waitForFunction(`document.title === ${JSON.stringify(title)}`);
    assert.equal(await product.locator("img").evaluate((image) => image.naturalWidth), 8);
  }
  const opening = page.context().waitForEvent("page");
  await page.getByRole("link", { name: "Lemon" }).click({ modifiers: ["Control"] });
  assert.equal(await (await opening).title(), "");
});

test("a reload, a second tab and two tabs at once find what one of them had fetched", async (t) => {
  const { origin, gateway, context, page } = await opened(t, await groceries());
  const other = await context.newPage();
  await Promise.all([page.goto(gateway.url), other.goto(gateway.url)]);
  const answers = await Promise.all([hover(page, "Cherry"), hover(other, "Lemon")]);
  assert.deepEqual(answers, [{ asked: 2, failed: 0 }, { asked: 2, failed: 0 }]);
  await page.reload();
  assert.deepEqual(await hover(page, "Lemon"), { asked: 2, failed: 0 });
  const third = await context.newPage();
  await origin.away();
  await third.goto(`${gateway.url}/product.html?id=3`);
  await third.waitForFunction("document.title === 'lemon, seen'");
});

// The groceries, of which the cherry comes when it is released.
async function slowGroceries() {
  const files = await groceries();
  let release;
  const held = new Promise((resolve) => (release = resolve));
  files["/apis/data_2.json"] = async (_request, response) => {
    await held;
    response.writeHead(200, { "content-type": "application/json" }).end(product("cherry"));
  };
  return { files, release };
}

test("a page that is closed in the middle costs nobody anything: what it asked for is fetched all the same", async (t) => {
  const { files, release } = await slowGroceries();
  const { origin, gateway, context, page } = await opened(t, files);
  await page.goto(gateway.url);
  await page.getByRole("link", { name: "Cherry" }).hover();
  await origin.wasAsked("/apis/data_2.json");
  await page.close();
  release();
  await until(() => gateway.cache("prefetched"), holds(OF_TWO));
  const next = await context.newPage();
  await next.goto(gateway.url);
  assert.deepEqual(await hover(next, "Lemon"), { asked: 2, failed: 0 });
});

test("a new version of the worker waits for what the old one still fetches", async (t) => {
  const { files, release } = await slowGroceries();
  const { origin, gateway, page } = await opened(t, files);
  await page.goto(gateway.url);
  const answered = hover(page, "Cherry");
  await origin.wasAsked("/apis/data_2.json");
  origin.files["/sw.js"] = `${await guide("sw.js")}\n// Another version.`;
  await gateway.command("worker", "update");
  const versions = JSON.parse(await gateway.command("worker", "ls", "--json"));
  release();
  assert.deepEqual(await answered, { asked: 2, failed: 0 });
  await gateway.logged(({ message, version }) => message === "worker activated" && version.endsWith("-2"));
  assert.equal(versions[0].waiting?.state, "installed", JSON.stringify(versions));
});

test("after a restart of the gateway an open page goes on as if nothing had been", async (t) => {
  const { gateway, page } = await opened(t, await groceries());
  await page.goto(gateway.url);
  assert.deepEqual(await hover(page, "Cherry"), { asked: 2, failed: 0 });
  await gateway.kill();
  await gateway.begin();
  assert.deepEqual(await hover(page, "Lemon"), { asked: 2, failed: 0 });
});
