// What a built service worker promises, whatever tool built it. Each promise is a test that drives the
// site through the gateway.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Gateway } from "../../harness/gateway.mjs";
import { until } from "../../harness/until.mjs";
import { Origin } from "./origin.mjs";
import { openPage } from "./page.mjs";
import { MEDIA_LENGTH, PRECACHED, makeSite, page, writeFiles } from "./site.mjs";

/** An answer does not wait for its put. */
function kept(gateway, cache) {
  return until(async () => (await gateway.caches()).includes(cache) && (await gateway.keys(cache)).length === 1, Boolean);
}

/**
 * The tests of one kind of build. `build(site)` puts the worker into the folder `site` and returns its
 * path; `precache` tells whether a cache of that name is the precache, `told` is who tells pages of updates.
 */
export function promisesOf(tool, { build, precache, told }) {
  const opened = async (t) => {
    const site = await makeSite(t);
    const worker = await build(site);
    const origin = await Origin.start(t, site);
    return { site, origin, gateway: await Gateway.start(t, origin, { worker }) };
  };
  const precached = async (gateway) => {
    const name = (await gateway.caches()).find(precache);
    const keys = await gateway.keys(name);
    return keys.map((key) => key.split("?")[0]).sort();
  };

  test(`${tool}: what is precached is fetched once, and answers with the origin away`, async (t) => {
    const { origin, gateway } = await opened(t);
    assert.equal((await gateway.visit("/index.html")).status, 200);
    assert.deepEqual(await precached(gateway), PRECACHED);
    for (const target of ["/about.html", "/app.js", "/style.css"]) assert.equal(origin.asked(target), 1, target);
    await origin.away();
    assert.match((await gateway.visit("/index.html")).text, /<title>Home/);
    assert.match((await gateway.visit("/")).text, /<title>Home/);
    assert.match((await gateway.visit("/about.html")).text, /<title>About us/);
    assert.equal((await gateway.get("/style.css")).headers["content-type"], "text/css");
    assert.match((await gateway.get("/app.js")).text, /document\.title/);
  });

  test(`${tool}: an update replaces what changed in the precache and leaves nothing of the old`, async (t) => {
    const { site, origin, gateway } = await opened(t);
    await gateway.visit("/index.html");
    await writeFiles(site, { "about.html": page("Nobody but us") });
    await build(site);
    assert.match(await gateway.command("worker", "update"), /installed/);
    await gateway.logged((line) => line.message === "worker activated" && line.version.endsWith("-2"));
    await origin.away();
    assert.match((await gateway.visit("/about.html")).text, /<title>Nobody but us/);
    assert.match((await gateway.visit("/index.html")).text, /<title>Home/);
    assert.deepEqual(await precached(gateway), PRECACHED);
    assert.equal((await gateway.caches()).filter(precache).length, 1);
  });

  test(`${tool}: each strategy asks the network and the cache in its own order`, async (t) => {
    const { origin, gateway } = await opened(t);
    const texts = async (target, times) => {
      const answers = [];
      for (let time = 0; time < times; time++) answers.push((await gateway.get(target)).text);
      return answers;
    };
    assert.deepEqual(await texts("/count/cache-first/a", 1), ["1"]);
    await kept(gateway, "cache-first");
    assert.deepEqual(await texts("/count/cache-first/a", 2), ["1", "1"]);
    assert.deepEqual(await texts("/count/network-first/a", 2), ["1", "2"]);
    assert.deepEqual(await texts("/count/network-only/a", 2), ["1", "2"]);
    assert.deepEqual(await texts("/count/cache-only/there", 2), ["kept", "kept"]);
    assert.equal(origin.asked("/count/cache-only/there"), 0);
    assert.equal((await gateway.get("/count/cache-only/nowhere")).status, 502);
    // The answer is the one before; the one after comes by itself.
    assert.deepEqual(await texts("/count/stale/a", 1), ["1"]);
    await kept(gateway, "stale");
    assert.deepEqual(await texts("/count/stale/a", 1), ["1"]);
    await until(async () => Number((await gateway.get("/count/stale/a")).text) > 1, Boolean);
    // Nor did telling pages of it, of which there are none, trouble the script.
    assert.deepEqual(gateway.errors, []);

    await origin.away();
    assert.deepEqual(await texts("/count/cache-first/a", 1), ["1"]);
    assert.deepEqual(await texts("/count/network-first/a", 1), ["2"]);
    assert.equal((await gateway.get("/count/network-only/a")).status, 502);
    assert.equal((await gateway.get("/count/stale/a")).status, 200);
  });

  test(`${tool}: pages are told which address has news`, async (t) => {
    const { gateway } = await opened(t);
    await gateway.visit("/index.html");
    const heard = await openPage(t, gateway.address);
    await gateway.get("/count/stale/news");
    await kept(gateway, "stale");
    // Answered from the cache, and what comes from the origin meanwhile is another one.
    await gateway.get("/count/stale/news");
    const { type, meta, payload } = await heard();
    assert.deepEqual({ type, meta, cache: payload.cacheName }, { type: "CACHE_UPDATED", meta: `${told}-broadcast-update`, cache: "stale" });
    assert.equal(new URL(payload.updatedURL).pathname, "/count/stale/news");
  });

  test(`${tool}: what is not cacheable is not kept`, async (t) => {
    const { gateway } = await opened(t);
    for (const answer of ["1", "2"]) {
      const { status, text } = await gateway.get("/count/cache-first/status-404");
      assert.deepEqual({ status, text }, { status: 404, text: answer });
    }
  });

  test(`${tool}: ranges are cut out of what is cached`, async (t) => {
    const { origin, gateway } = await opened(t);
    const whole = await gateway.get("/media.bin");
    assert.equal(whole.body.length, MEDIA_LENGTH);
    await kept(gateway, "media");
    await origin.away();
    const { status, headers, body } = await gateway.get("/media.bin", { range: "bytes=250-253" });
    assert.equal(status, 206);
    assert.equal(headers["content-range"], `bytes 250-253/${MEDIA_LENGTH}`);
    assert.deepEqual([...body], [250, 0, 1, 2]);
  });

  test(`${tool}: a navigation is answered by its preload`, async (t) => {
    const { origin, gateway } = await opened(t);
    // The first visit waits for the worker, which turns preloading on while it activates.
    await gateway.visit("/");
    assert.equal((await gateway.visit("/count/page")).text, "1");
    assert.equal(origin.headers("/count/page")["service-worker-navigation-preload"], "true");
    assert.equal(origin.asked("/count/page"), 1);
  });
}
