/**
 * `npm run interleavings -- [--switches 3] [--only PAIR] [--everywhere]`: every schedule of at most so many context
 * switches of each pair, in two processes that share the first switches between them. Pairs with a migration or a
 * rollback, which make hundreds of calls, are switched where it matters most - names, locks, appends -, and with
 * `--everywhere` before every call that others can notice. Prints the number of schedules; ends with 1 at the first
 * schedule that breaks a promise, whose line replays it.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type IsSwitchPoint, touchesWhatOthersSee } from "../sim/switch-points.js";
import { openBesideOldGatewayInEverySchedule, openInEverySchedule } from "../unit/migrate/interleaved-openings.js";
import { migrationPairs, runMigrationPair } from "../unit/migrate/migration-pairs.js";
import { pairs as protocolPairs, runPair } from "./pairs.js";

interface Pair {
  readonly name: string;
  /** Runs every schedule whose switches lie at chosen points; says how many there were. */
  readonly run: (switchesMax: number, isChosen: IsSwitchPoint, isPoint?: IsSwitchPoint) => Promise<number>;
}

const pairs: readonly Pair[] = [
  ...protocolPairs.map((pair) => ({ name: pair.name, run: runPair.bind(undefined, pair) })),
  { name: "migration and migration", run: openInEverySchedule },
  { name: "migration and an old gateway", run: openBesideOldGatewayInEverySchedule },
  ...migrationPairs.map((pair) => ({ name: pair.name, run: runMigrationPair.bind(undefined, pair) })),
];

const processes = 2;

const { values } = parseArgs({
  options: {
    switches: { type: "string", default: "3" },
    only: { type: "string" },
    everywhere: { type: "boolean", default: false },
    part: { type: "string" },
  },
});
const switchesMax = Number(values.switches);
const chosen = pairs.filter(({ name }) => values.only === undefined || name.includes(values.only));
if (chosen.length === 0 || !(switchesMax >= 1)) {
  console.error(`interleavings: the pairs are ${pairs.map(({ name }) => name).join(", ")}; --switches is 1 or more`);
  process.exit(2);
}

if (values.part !== undefined) console.log(await runPart(chosen[0] as Pair, Number(values.part)));
else for (const pair of chosen) await runWhole(pair);

async function runWhole(pair: Pair): Promise<void> {
  const startedMs = Date.now();
  const parts = await Promise.all(Array.from({ length: processes }, (_, part) => startPart(pair, part)));
  if (parts.includes(undefined)) process.exit(1);
  const runs = (parts as number[]).reduce((sum, count) => sum + count, 0);
  const seconds = Math.round((Date.now() - startedMs) / 1_000);
  console.log(`${pair.name}: ${runs} schedules of up to ${switchesMax} switches, each as promised (${seconds} s)`);
}

/** The schedules whose first switch is one of this part; the one without a switch is run by each. */
function runPart(pair: Pair, part: number): Promise<number> {
  let first = 0;
  const isOfThisPart: IsSwitchPoint = (_step, _number, { replay }) => {
    if (replay.includes(">")) return true;
    first += 1;
    return first % processes === part;
  };
  return pair.run(switchesMax, isOfThisPart, values.everywhere ? touchesWhatOthersSee : undefined);
}

function startPart(pair: Pair, part: number): Promise<number | undefined> {
  const program = fileURLToPath(import.meta.url);
  const parameters = [program, "--switches", String(switchesMax), "--only", pair.name, "--part", String(part)];
  if (values.everywhere) parameters.push("--everywhere");
  const child = spawn(process.execPath, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    child.once("close", (status) => resolve(status === 0 && text !== "" ? Number(text) : undefined));
  });
}
