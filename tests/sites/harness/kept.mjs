// Waiting for a put, for which no answer waits.

import { until } from "../../harness/until.mjs";

/** Waits until `cache` holds one entry. */
export function kept(gateway, cache) {
  return until(async () => (await gateway.caches()).includes(cache) && (await gateway.keys(cache)).length === 1, Boolean);
}
