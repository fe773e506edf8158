// Angular's service worker: https://angular.dev/ecosystem/service-workers

import assert from "node:assert/strict";
import { test } from "node:test";

import { angular, safety } from "./builds/angular.mjs";
import { until } from "../harness/until.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { MEDIA_LENGTH, makeSite, page, writeFiles } from "./harness/site.mjs";

test("Angular: what is prefetched answers with the origin away, at every address of the application", async (t) => {
  const { origin, gateway } = await opened(t);
  await origin.away();
  for (const target of ["/", "/index.html", "/notes/7"]) {
    assert.match((await gateway.visit(target)).text, /<title>Home/, target);
  }
  assert.match((await gateway.get("/about.html")).text, /<title>About us/);
  assert.equal((await gateway.get("/style.css")).headers["content-type"], "text/css");
  assert.match((await gateway.get("/app.js")).text, /document\.title/);
  assert.deepEqual(gateway.errors, []);
});

test("Angular: what is lazy is kept once it was asked for", async (t) => {
  const { origin, gateway } = await opened(t);
  assert.equal((await gateway.get("/media.bin")).body.length, MEDIA_LENGTH);
  await origin.away();
  assert.equal((await gateway.get("/media.bin")).body.length, MEDIA_LENGTH);
});

test("Angular: data is fresh or quick, and of the quick as much is kept as is allowed", async (t) => {
  const { origin, gateway } = await opened(t);
  const text = async (target) => (await gateway.get(target)).text;
  assert.deepEqual([await text("/count/freshness/a"), await text("/count/freshness/a")], ["1", "2"]);
  assert.deepEqual([await text("/count/performance/a"), await text("/count/performance/a")], ["1", "1"]);
  await text("/count/performance/b");
  await text("/count/performance/c");
  await origin.away();
  assert.equal(await text("/count/freshness/a"), "2");
  assert.equal(await text("/count/performance/c"), "1");
  // The least recently used of three made room.
  assert.equal((await gateway.get("/count/performance/a")).status, 502);
});

test("Angular: a new manifest is found after a visit, and what it names is shown to the next", async (t) => {
  const { site, origin, gateway } = await opened(t);
  await writeFiles(site, { "index.html": page("Another home") });
  await angular(site);
  const manifests = () => origin.askedUnder("/ngsw.json?").length;
  const before = manifests();
  assert.match((await gateway.visit("/")).text, /<title>Home/);
  await until(async () => manifests() > before, Boolean);
  await until(async () => /Another home/.test((await gateway.visit("/")).text), Boolean);
});

test("Angular: the page on the worker's state says that it is well", async (t) => {
  const { gateway } = await opened(t);
  const { status, text } = await gateway.get("/ngsw/state");
  assert.equal(status, 200);
  assert.match(text, /Driver state: NORMAL \(\(nominal\)\)/);
  assert.match(text, /Latest manifest hash: [0-9a-f]{40}/);
});

test("Angular: the safety worker takes the place of the other, and both are gone", async (t) => {
  const { site, origin, gateway } = await opened(t);
  await safety(site);
  await writeFiles(site, { "index.html": page("Without a worker") });
  await gateway.command("worker", "update");
  // Nobody visits meanwhile: each visit would keep the old worker busy for five seconds more.
  await gateway.logged((line) => line.message === "registration removed");
  assert.match((await gateway.visit("/index.html")).text, /Without a worker/);
  assert.deepEqual((await gateway.caches()).filter((name) => name.startsWith("ngsw:")), []);
  await origin.away();
  assert.equal((await gateway.visit("/index.html")).status, 502);
});

async function opened(t) {
  const site = await makeSite(t);
  const worker = await angular(site);
  const origin = await Origin.start(t, site);
  const gateway = await Gateway.start(t, origin, { worker });
  await gateway.visit("/index.html");
  return { site, origin, gateway };
}
