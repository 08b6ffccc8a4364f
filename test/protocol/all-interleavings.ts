/**
 * `npm run interleavings -- [--switches 3] [--only PAIR]`: every schedule of at most so many context switches of each
 * pair, but for those that differ from another in the order of calls only that commute (enumerate.ts). Prints the number
 * of schedules; ends with an error at the first schedule that breaks a promise, whose line replays it.
 */

import { parseArgs } from "node:util";
import { openBesideOldGatewayInEverySchedule, openInEverySchedule } from "../unit/migrate/interleaved-openings.js";
import { migrationPairs, runMigrationPair } from "../unit/migrate/migration-pairs.js";
import { pairs as protocolPairs, runPair } from "./pairs.js";

interface Pair {
  readonly name: string;
  /** Runs every schedule; says how many there were. */
  readonly run: (switchesMax: number) => Promise<number>;
}

const pairs: readonly Pair[] = [
  ...protocolPairs.map((pair) => ({ name: pair.name, run: (switchesMax: number) => runPair(pair, switchesMax) })),
  { name: "migration and migration", run: openInEverySchedule },
  { name: "migration and an old gateway", run: openBesideOldGatewayInEverySchedule },
  ...migrationPairs.map((pair) => ({
    name: pair.name,
    run: (switchesMax: number) => runMigrationPair(pair, switchesMax),
  })),
];

const { values } = parseArgs({
  options: {
    switches: { type: "string", default: "3" },
    only: { type: "string" },
  },
});
const switchesMax = Number(values.switches);
const chosen = pairs.filter(({ name }) => values.only === undefined || name.includes(values.only));
if (chosen.length === 0 || !(switchesMax >= 1)) {
  console.error(`interleavings: the pairs are ${pairs.map(({ name }) => name).join(", ")}; --switches is 1 or more`);
  process.exit(2);
}

for (const { name, run } of chosen) {
  const startedMs = Date.now();
  const runs = await run(switchesMax);
  const seconds = Math.round((Date.now() - startedMs) / 1_000);
  console.log(`${name}: ${runs} schedules of up to ${switchesMax} switches, each as promised (${seconds} s)`);
}
