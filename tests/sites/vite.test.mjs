// An application that Vite built works offline: https://vite-pwa-org.netlify.app

import assert from "node:assert/strict";
import { test } from "node:test";

import { vite } from "./builds/vite.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { emptySite } from "./harness/site.mjs";

/** A later version of the application: another title. */
const renamed = { name: "renamed", transformIndexHtml: (html) => html.replace("Notes", "Old notes") };

test("a Vite application opens with the origin away, at every address of its own", async (t) => {
  const { origin, gateway } = await opened(t);
  await gateway.visit("/");
  await origin.away();
  const { text } = await gateway.visit("/");
  assert.match(text, /<title>Notes/);
  for (const [, asset] of text.matchAll(/(?:src|href)="(\/[^"]*)"/g)) {
    assert.equal((await gateway.get(asset)).status, 200, asset);
  }
  // The application's router shows what the address says: the page is the same.
  assert.equal((await gateway.visit("/notes/7")).text, text);
});

test("a new build of a Vite application takes over, and what it does not name is gone", async (t) => {
  const { site, origin, gateway } = await opened(t);
  await gateway.visit("/");
  await vite(site, [renamed]);
  assert.match(await gateway.command("worker", "update"), /installed/);
  await gateway.logged((line) => line.message === "worker activated" && line.version.endsWith("-2"));
  await origin.away();
  assert.match((await gateway.visit("/")).text, /<title>Old notes/);
  const [precache, ...others] = await gateway.caches();
  assert.deepEqual(others, []);
  const pages = (await gateway.keys(precache)).filter((key) => key.startsWith("/index.html"));
  assert.equal(pages.length, 1);
});

async function opened(t) {
  const site = await emptySite(t);
  const worker = await vite(site);
  const origin = await Origin.start(t, site);
  return { site, origin, gateway: await Gateway.start(t, origin, { worker }) };
}
