import assert from "node:assert/strict";

import { PATIENCE } from "./patience.mjs";

/** Waits until `is` holds of what `look` returns, which it returns: for what happens after an answer, of which nobody is told. */
export async function until(look, is) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (is(seen)) return seen;
    if (Date.now() > end) assert.fail(`it never came to ${is}, but stayed ${JSON.stringify(seen)}`);
    await new Promise((later) => setTimeout(later, 25));
  }
}
