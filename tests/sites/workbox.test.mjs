// Workbox 7: https://developer.chrome.com/docs/workbox

import assert from "node:assert/strict";
import { test } from "node:test";

import { amd, injected, inlined, loaded, patient } from "./builds/workbox.mjs";
import { promisesOf } from "./harness/behaviours.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { makeSite, page, writeFiles } from "./harness/site.mjs";

const precache = (name) => name.startsWith("workbox-precache");

promisesOf("generateSW, inlined", { build: inlined, precache, told: "workbox" });
promisesOf("generateSW, with its loader", { build: amd, precache, told: "workbox" });
promisesOf("injectManifest", { build: injected, precache, told: "workbox" });
promisesOf("workbox-sw", { build: loaded, precache, told: "workbox" });

// As `generateSW` is by default, it skips no waiting.
test("generateSW that waits: a new version takes over when no request is under way", async (t) => {
  const site = await makeSite(t);
  const worker = await patient(site);
  const origin = await Origin.start(t, site);
  const gateway = await Gateway.start(t, origin, { worker });
  assert.match((await gateway.visit("/index.html")).text, /<title>Home/);
  await writeFiles(site, { "index.html": page("Next") });
  await patient(site);
  assert.match(await gateway.command("worker", "update"), /installed/);
  await gateway.logged((line) => line.message === "worker activated" && line.version.endsWith("-2"));
  await origin.away();
  assert.match((await gateway.visit("/index.html")).text, /<title>Next/);
});
