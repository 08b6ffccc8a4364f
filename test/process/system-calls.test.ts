/** A real process is killed at calls of the system, without a port in between. At every one: `npm run long-run -- system-calls`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { killAtEvery, type SystemCallCounts, skipWithoutStrace } from "./system-calls.js";

for (const [name, calls, step] of [
  ["transaction", "fsync,fdatasync", 2],
  ["checkpoint and rotate", "rename,renameat,renameat2", 2],
  ["migrate", "rename,renameat,renameat2", 2],
] as const) {
  test(`${name}, killed at ${calls}: all or nothing, and what was acknowledged`, {
    skip: skipWithoutStrace(),
    timeout: 120_000,
  }, async () => {
    const counts: SystemCallCounts = { kills: 0, acknowledgements: 0 };
    await killAtEvery(name, calls, { step }, counts);
    assert.ok(counts.kills > 0 && counts.acknowledgements > 0, JSON.stringify(counts));
  });
}
