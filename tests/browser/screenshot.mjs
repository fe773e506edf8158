// Makes docs/shop.png: the demo with its panel, after a few clicks at 150 ms of latency to the origin.

import { readFile, readdir } from "node:fs/promises";
import path from "node:path";

import { alone } from "./harness/alone.mjs";
import { startBrowser } from "./harness/browser.mjs";
import { Gateway, ROOT } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";

const SITE = path.join(ROOT, "examples", "shop", "site");

await alone(main);

async function main(t) {
  const origin = await Origin.start(t, await folder(SITE));
  const gateway = await Gateway.start(t, origin, { site: [path.dirname(SITE)] });
  const browser = await startBrowser();
  t.after(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, colorScheme: "light", reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(gateway.url);
  origin.latency = 150;
  for (const name of ["vase", "planter"]) {
    await page.goto(`${gateway.url}/products/${name}.html`);
    await page.goto(gateway.url);
  }
  for (const name of ["Everyday bowl", "Sunday plate"]) {
    await page.getByRole("link", { name }).hover();
    await page.locator(".ahead li", { hasText: "on hover" }).first().waitFor();
    await page.getByRole("link", { name }).click();
    await page.waitForURL("**/products/**");
    await page.goto(gateway.url);
  }
  await page.getByRole("link", { name: "Orchard pitcher" }).hover();
  await page.locator(".ahead li", { hasText: "pitcher" }).first().waitFor();
  await page.mouse.move(5, 400);
  await page.evaluate("scrollTo(0, 0)");
  await page.screenshot({ path: path.join(ROOT, "docs", "shop.png") });
}

async function folder(root) {
  const files = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    files[`/${path.relative(root, file)}`] = await readFile(file);
  }
  return files;
}
