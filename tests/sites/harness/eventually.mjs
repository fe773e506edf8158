// Waiting for what happens after an answer, of which nobody is told.

import assert from "node:assert/strict";

/** Waits until `holds` does. */
export async function eventually(holds) {
  for (let time = 0; time < 1200; time++) {
    if (await holds()) return;
    await new Promise((later) => setTimeout(later, 25));
  }
  assert.fail(`it never came to this: ${holds}`);
}

/** Waits until `cache` holds one entry: an answer does not wait for its put. */
export function kept(gateway, cache) {
  return eventually(async () => (await gateway.caches()).includes(cache) && (await gateway.keys(cache)).length === 1);
}
