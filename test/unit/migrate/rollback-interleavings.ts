/**
 * Every schedule of at most so many context switches of each pair with a rollback in it, where they matter; after
 * compiling: `node build/test/unit/migrate/rollback-interleavings.js 3 ["rollback and open"]`. Ends with 1 at the first
 * one that breaks a promise; its message replays it.
 */

import { rollbackPairs, runRollbackPair } from "./rollback-pairs.js";

const [switches = "2", only = ""] = process.argv.slice(2);
for (const pair of rollbackPairs.filter(({ name }) => name.includes(only))) {
  const runs = await runRollbackPair(pair, Number(switches));
  console.log(`${pair.name}: ${runs} schedules of up to ${switches} switches, each as promised`);
}
process.exit(0);
