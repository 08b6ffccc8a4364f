/** Histories on a PostgreSQL of their own in the middle of deadlocks and serialisation failures; see postgres/undone.ts. */

import assert from "node:assert/strict";
import { runUndoneHistories } from "../postgres/undone.js";
import { startPostgres, whyNoPostgres } from "../support/postgres-server.js";

const histories = 50;

export async function runUndone(seed: number): Promise<void> {
  const reason = whyNoPostgres();
  if (reason !== undefined) return console.log(`undone: skipped: ${reason}`);
  const server = await startPostgres();
  try {
    const report = await runUndoneHistories(server.url(), seed * histories, histories);
    const { operations, kills, openEnds, wholeStore, undecided, deadlocks, violations } = report;
    console.log(
      `undone: ${report.histories} histories, ${operations} operations, ${kills} kills, ${openEnds} open ends, ` +
        `${deadlocks} deadlocks, ${wholeStore} checked as a whole store, ${undecided} undecided, seed ${seed}`,
    );
    assert.deepEqual(violations, []);
    assert.deepEqual([report.histories, undecided], [histories, 0]);
    assert.ok(deadlocks > histories, `only ${deadlocks} deadlocks`);
  } finally {
    await server.destroy();
  }
}
