/**
 * A rollback, or a migration, beside processes that open, write, write out and roll back the same store, interleaved at
 * port calls. `npm run interleavings` runs those of more switches.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../sim/random.js";
import { randomSchedule } from "../../sim/schedule.js";
import {
  gateway,
  type MigrationPair,
  migrationPairs,
  roller,
  runMigrationPair,
  runMigrationPrograms,
} from "./migration-pairs.js";

for (const pair of migrationPairs) {
  test(`every schedule of one context switch: ${pair.name}`, async () => {
    const runs = await runMigrationPair(pair, 1);
    assert.ok(runs > 15, `only ${runs} schedules`);
  });
}

test("with random switches, one of three processes killed on the way, nothing acknowledged is lost", async () => {
  const { machine, sessions } = migrationPairs[0] as MigrationPair;
  let fenced = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new SeededRandom(seed);
    const killed = { ...roller, killAtCall: 1 + random.below(250), tear: random.chance(0.5) };
    const programs = [killed, gateway(8), random.chance(0.5) ? roller : gateway(3)];
    const result = await runMigrationPrograms({ machine, sessions, programs }, randomSchedule(seed));
    for (const outcome of result.outcomes)
      if (outcome.status === "returned" && typeof outcome.value === "number") fenced += outcome.value;
  }
  assert.ok(fenced > 5, `gateways were fenced ${fenced} times`);
});
