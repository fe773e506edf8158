// Plugins that keep their books in IndexedDB do not work; what stands beside them does, and the log
// says what is missing.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import { bundle } from "./builds/bundle.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { makeSite } from "./harness/site.mjs";

/** Said when the script is installed, before anything failed. */
const foretold = (line) => /names indexedDB, which is not there/.test(line.message);
/** What the script failed with. */
const failed = (line) => /(indexedDB|IDB\w+) is not defined/.test(line.message);

for (const [tool, worker] of [["Workbox", "indexed-db.js"], ["Serwist", "indexed-db-serwist.js"]]) {
  test(`${tool}, expiration: what is cached answers, though nothing expires`, async (t) => {
    const { origin, gateway } = await opened(t, worker);
    await gateway.logged(foretold);
    assert.equal((await gateway.get("/count/expiring/a")).text, "1");
    await gateway.logged(failed);
    await origin.away();
    assert.equal((await gateway.get("/count/expiring/a")).text, "1");
  });

  test(`${tool}, background sync: an order with the origin away fails, as if nobody queued it`, async (t) => {
    const { origin, gateway } = await opened(t, worker);
    assert.equal((await gateway.post("/count/orders", "tea")).text, "1");
    await origin.away();
    assert.equal((await gateway.post("/count/orders", "tea")).status, 502);
    await gateway.logged(failed);
  });

  test(`${tool}, routes without such a plugin do not notice`, async (t) => {
    const { origin, gateway } = await opened(t, worker);
    assert.equal((await gateway.get("/count/plain/a")).text, "1");
    await origin.away();
    assert.equal((await gateway.get("/count/plain/a")).text, "1");
  });
}

async function opened(t, worker) {
  const site = await makeSite(t);
  await bundle(worker, path.join(site, "sw.js"));
  const origin = await Origin.start(t, site);
  return { origin, gateway: await Gateway.start(t, origin) };
}
