// Plugins that keep their books in IndexedDB do not work; what stands beside them does, and the log
// says what is missing.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import { bundle } from "./builds/bundle.mjs";
import { Gateway } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { makeSite } from "./harness/site.mjs";

const namesIt = (line) => /indexedDB|IDB[A-Z]/.test(line.message);

test("expiration: what is cached answers, though nothing expires", async (t) => {
  const { origin, gateway } = await opened(t);
  assert.equal((await gateway.get("/count/expiring/a")).text, "1");
  await gateway.logged(namesIt);
  await origin.away();
  assert.equal((await gateway.get("/count/expiring/a")).text, "1");
});

test("background sync: an order with the origin away fails, as if nobody queued it", async (t) => {
  const { origin, gateway } = await opened(t);
  assert.equal((await gateway.post("/count/orders", "tea")).text, "1");
  await origin.away();
  assert.equal((await gateway.post("/count/orders", "tea")).status, 502);
  await gateway.logged(namesIt);
});

test("routes without such a plugin do not notice", async (t) => {
  const { origin, gateway } = await opened(t);
  assert.equal((await gateway.get("/count/plain/a")).text, "1");
  await origin.away();
  assert.equal((await gateway.get("/count/plain/a")).text, "1");
});

async function opened(t) {
  const site = await makeSite(t);
  await bundle("indexed-db.js", path.join(site, "sw.js"));
  const origin = await Origin.start(t, site);
  return { origin, gateway: await Gateway.start(t, origin) };
}
