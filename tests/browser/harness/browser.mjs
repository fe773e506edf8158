// Chromium, without a window.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

import { PATIENCE } from "../../harness/patience.mjs";

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** A browser of its own. */
export function startBrowser(options = {}) {
  return chromium.launch({ executablePath: program(), args: FLAGS, ...options });
}

/** Where Chromium is. */
function program() {
  const found = process.env.CHROMIUM ?? PROGRAMS.find((path) => existsSync(path));
  if (found === undefined) throw new Error("there is no Chromium: apt-get install chromium, or say where in CHROMIUM");
  return found;
}

/** A visitor of their own: cookies, caches and workers are nobody else's. What pages print is in `lines`. */
export async function visitor(t, browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  t.after(() => context.close());
  context.lines = [];
  context.on("console", (message) => context.lines.push(`${message.type()}: ${message.text()}`));
  context.on("weberror", (error) => context.lines.push(`uncaught: ${error.error().stack}`));
  return context;
}
