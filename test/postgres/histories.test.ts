/** Histories of processes that share a store on PostgreSQL, some of them killed: every one must be linearizable. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { runHistories } from "../histories/run.js";
import { postgresTarget } from "../histories/targets.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";

const url = sharedPostgres();

test("histories on PostgreSQL are linearizable", { skip: skipWithoutPostgres() }, async (context) => {
  const target = postgresTarget(await url());
  const report = await runHistories({ seed: 9_000, count: 9, operationsMax: 160, target, quiet: true });
  context.diagnostic(`${report.histories} histories, ${report.operations} operations, ${report.kills} kills`);
  assert.deepEqual(report.violations, []);
  assert.equal(report.histories, 9);
  assert.ok(report.kills > 0, "processes were killed");
  assert.equal(report.undecided, 0, "every search came to an end");
  assert.ok(report.wholeStore > 0, "some were checked as a whole");
});
