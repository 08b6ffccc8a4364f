/**
 * Between two port calls, anywhere in the life of a store - and of one that is migrated, backed up, rolled back and
 * restored -, a part of it is swapped for a link or another object; see support/swap-lives.ts. Here some places of each
 * kind; all of them: `npm run torture -- --only swaps`.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { SwapLives, swaps } from "./support/swap-lives.js";

const skip = process.platform !== "linux" && "skipped: needs linux (/proc)";
const timeout = 120_000;
/** Of the calls of one life, about so many are swapped before; each kind of swap takes others. */
const placesPerSwap = 24;
/** Thousands of small trees are made and removed; that needs no disk. */
const base = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();

for (const [number, what] of swaps.entries()) {
  test(`swapping ${what} between two calls reads nothing and writes nothing outside`, { skip, timeout }, async () => {
    const directory = fs.realpathSync(fs.mkdtempSync(path.join(base, "sessiondir-")));
    try {
      const lives = await SwapLives.prepare(what, directory);
      const stride = Math.ceil(lives.calls / placesPerSwap);
      let swapped = 0;
      for (let at = 1 + ((number * 7) % stride); at <= lives.calls; at += stride) {
        if (await lives.swapBefore(at, Math.floor(at / stride) % 2 === 0 ? "one call" : "to the end")) swapped += 1;
      }
      // What is there for a moment only, as a staging directory is, is swapped in few of the lives.
      assert.ok(swapped > 1, `only ${swapped} swaps`);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
}
