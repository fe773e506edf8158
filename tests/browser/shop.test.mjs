// The demo, as its README serves it.

import assert from "node:assert/strict";
import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { startBrowser, visitor } from "./harness/browser.mjs";
import { Gateway, ROOT } from "../harness/gateway.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

/** A copy of the demo, served, and its first page. */
async function opened(t) {
  const home = await mkdtemp(path.join(tmpdir(), "waystore-shop-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  const shop = path.join(home, "shop");
  await cp(path.join(ROOT, "examples", "shop"), shop, { recursive: true });
  const gateway = await Gateway.start(t, path.join(shop, "site"), { site: [shop] });
  const context = await visitor(t, browser);
  const page = await context.newPage();
  await page.goto(gateway.url);
  const takeAway = () => rename(path.join(shop, "site"), path.join(shop, "gone"));
  return { gateway, context, page, takeAway };
}

const fetched = (page, atLeast) => page.waitForFunction(`Number(document.querySelector(".ahead")?.dataset.fetched) >= ${atLeast}`);

test("the top items are fetched ahead on load, others on hover, and the panel shows which", async (t) => {
  const { gateway, context, page, takeAway } = await opened(t);
  await fetched(page, 6);
  await page.getByRole("link", { name: /Dusk candlestick/ }).hover();
  await fetched(page, 8);
  const panel = await page.locator(".ahead").innerText();
  for (const text of ["/products/candle.html", "network, on hover", "network, on load"]) assert.ok(panel.includes(text), panel);
  const ahead = await gateway.cache("ahead-v1");
  for (const name of ["mug", "teapot", "espresso", "candle"]) assert.ok(ahead.has(`/products/${name}.html`), name);
  assert.ok(!ahead.has("/products/vase.html"));

  await takeAway();
  await page.getByRole("link", { name: /Dusk candlestick/ }).click();
  await page.getByRole("heading", { name: "Dusk candlestick" }).waitFor();
  await page.waitForFunction("document.querySelector('.product img').naturalWidth > 0");
  await page.locator("#stock").filter({ hasText: /\w/ }).waitFor();
  assert.match(await page.locator(".ahead .this").innerText(), /fetched ahead/);
  assert.ok(!context.lines.some((line) => line.startsWith("uncaught")), context.lines.join("\n"));
});

test("the second visitor finds that the first one's pages are there already", async (t) => {
  const { gateway, page } = await opened(t);
  await fetched(page, 6);
  const other = await (await visitor(t, browser)).newPage();
  await other.goto(gateway.url);
  await fetched(other, 6);
  const panel = await other.locator(".ahead").innerText();
  assert.ok(panel.includes("cache, on load") && !panel.includes("network"), panel);
});
