/**
 * Between two port calls, anywhere in the life of a store, a part of it is swapped for a link or another object; see
 * support/swap-lives.ts. Here about so many places of each kind; all of them: `npm run torture -- --only swaps`.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { withPlace } from "../process/support/temporary-store.js";
import { SwapLives, swaps } from "./support/swap-lives.js";

const skip = process.platform !== "linux" && "skipped: needs linux (/proc)";
const timeout = 120_000;
/** Of the calls of one life, about so many are swapped before; each kind of swap takes others. */
const placesPerSwap = 120;

for (const [number, what] of swaps.entries()) {
  test(`swapping ${what} between two calls reads nothing and writes nothing outside`, { skip, timeout }, async () => {
    await withPlace(async ({ parent }) => {
      const lives = await SwapLives.prepare(what, parent);
      const stride = Math.ceil(lives.calls / placesPerSwap);
      let swapped = 0;
      for (let at = 1 + (number % stride); at <= lives.calls; at += stride) {
        if (await lives.swapBefore(at, Math.floor(at / stride) % 2 === 0 ? "one call" : "to the end")) swapped += 1;
      }
      assert.ok(swapped > 10, `only ${swapped} swaps`);
    });
  });
}
