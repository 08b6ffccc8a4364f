/**
 * `npm run long-run -- [PART ...] [--sessions N] [--entry-bytes N] [--directory D]`: what takes too long for `npm test`.
 * Ends with 1 at the first promise that is broken.
 *
 *   many-sessions    100,000 sessions through every way in and out, with the time of each and the memory after it
 *   second-crashes   the crashes of `unit/migrate/*crash*` and `unit/transfer/*crash*`, with more disks after each
 *   full-disk        commit, checkpoint and take-over with just so much room, in bytes and in names
 *   system-calls     SIGKILL at every call of the system that changes something, of each operation
 *   junk-files       100,000 foreign files in every directory of a store
 *   undone           50 histories on PostgreSQL in the middle of deadlocks and serialisation failures
 *   small-memory     large stores and journals in processes with little memory
 */

import { parseArgs } from "node:util";
import { runFullDisks } from "./full-disk.js";
import { runJunkFiles } from "./junk-files.js";
import { runManySessions } from "./many-sessions.js";
import { runSecondCrashes } from "./second-crashes.js";
import { runSmallMemory } from "./small-memory.js";
import { runSystemCalls } from "./system-calls.js";
import { runUndone } from "./undone.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sessions: { type: "string", default: "100000" },
    "entry-bytes": { type: "string", default: "600" },
    directory: { type: "string" },
    "power-losses": { type: "string", default: "6" },
    seed: { type: "string", default: "1" },
  },
});

const parts: Record<string, () => Promise<void>> = {
  "many-sessions": () =>
    runManySessions({
      sessions: count("sessions"),
      entryBytes: count("entry-bytes"),
      directory: values.directory,
    }),
  "second-crashes": () => runSecondCrashes({ powerLosses: count("power-losses"), seed: count("seed") }),
  "full-disk": runFullDisks,
  "system-calls": runSystemCalls,
  "junk-files": runJunkFiles,
  undone: () => runUndone(count("seed")),
  "small-memory": runSmallMemory,
};

const chosen = positionals.length === 0 ? Object.keys(parts) : positionals;
const unknown = chosen.find((name) => parts[name] === undefined);
if (unknown !== undefined) {
  console.error(`long-run: ${unknown} is no part; the parts are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}
for (const name of chosen) await (parts[name] as () => Promise<void>)();

function count(name: "sessions" | "entry-bytes" | "power-losses" | "seed"): number {
  const given = Number(values[name]);
  if (Number.isSafeInteger(given) && given >= 1) return given;
  console.error(`long-run: --${name} is a whole number from 1`);
  process.exit(2);
}
