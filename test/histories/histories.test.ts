/** Recorded histories of real processes on a directory store, and of tasks on a memory store, are linearizable. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { runHistories } from "./run.js";
import { directoryTarget, memoryTarget } from "./targets.js";

// Two rounds of all numbers of processes and sessions on the disk, one in memory.
for (const [target, seed, count] of [
  [directoryTarget, 900, 18],
  [memoryTarget, 2_700, 12],
] as const) {
  test(`${target.name}: ${count} histories of 2 to 8 processes and 1 to 16 sessions are linearizable`, {
    timeout: 240_000,
  }, async () => {
    const report = await runHistories({ seed, count, target });
    assert.deepEqual(report.violations, []);
    assert.equal(report.histories, count);
    assert.equal(report.undecided, 0, "every search came to an end");
    assert.ok(report.wholeStore >= count / 3, "some were checked as a whole");
    if (target.capabilities.crossProcess) {
      assert.ok(report.kills > 0 && report.openEnds > 0, "processes were killed inside their operations");
    }
    console.log(JSON.stringify({ ...report, violations: report.violations.length }));
  });
}
