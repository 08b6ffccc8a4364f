/**
 * The fault rows of a torture run. A case of a row follows from its seed - for rows with real processes as far as a
 * supervisor can decide - and takes seconds at most.
 */

import type { CorpusCase } from "../bytes/corpus.js";
import { type CaseReport, noFigures } from "./figures.js";

/** Rows that go through every place of something take every so manieth of them in a case. */
export const placeSteps = 250;

export interface Row {
  readonly name: string;
  /** The rows of the fault matrix that it covers, see docs/testing.md. */
  readonly faults: string;
  readonly about: string;
  /** Its part of the time, relative to the others. */
  readonly share: number;
  /** So many cases with seeds in a row, the first a multiple of it, go through everything once. */
  readonly casesPerRound?: number;
  /** Where it can run; everywhere when it does not say. */
  readonly platform?: NodeJS.Platform;
  /** Runs one case; it ends soon after `deadlineMs` (milliseconds since 1970) where a case can be long. */
  readonly run: (seed: number, deadlineMs: number) => Promise<CaseReport>;
}

const allRows: readonly Row[] = [
  {
    name: "crash-states",
    faults: "F1 F2 F3",
    about: "kill, torn append and power loss at every port call, also inside recovery",
    share: 6,
    run: async (seed) => (await import("./crash-states.js")).runCrashCase(seed),
  },
  {
    name: "crash-scenes",
    faults: "F1 F2 F3",
    about: "take-over, merge, import, rollback, restore and rotation, crashed up to three times in a row",
    share: 0.6,
    run: async (seed) => (await import("./crash-scenes.js")).runCrashSceneCase(seed),
  },
  {
    name: "failed-calls",
    faults: "F6",
    about: "a port call fails or comes back short, once or for good",
    share: 0.5,
    run: async (seed) => (await import("./failed-calls.js")).runFailedCallCase(seed),
  },
  {
    name: "failed-syncs",
    faults: "F7",
    about: "journal syncs fail for one process and mean nothing to the others, evicted pages and deaths included",
    share: 0.4,
    run: async (seed) => (await import("./failed-syncs.js")).runFailedSyncCase(seed),
  },
  {
    name: "schedules",
    faults: "F17",
    about: "two or three processes interleaved at every port call, killed, and cut off the power",
    share: 0.5,
    run: async (seed) => (await import("./schedules.js")).runScheduleCase(seed),
  },
  {
    name: "bytes",
    faults: "F11 F12 F13",
    about: "spoilt journals, entries, manifests and legacy files, recovered twice over",
    share: 1.2,
    run: runBytesCase,
  },
  {
    name: "side-files",
    faults: "F13",
    about: "spoilt versions files, rollback markers, indexes of lists, foreign directories, bundles and backups",
    share: 0.5,
    run: async (seed) => (await import("./every-place.js")).runSideFilesCase(seed),
  },
  {
    name: "torn-tails",
    faults: "F11",
    about:
      "a journal of 64 KiB cut at every byte with nothing behind; at every 16th also with zeros, garbage or records behind, and with a hole. 250 cases are a whole journal",
    share: 1.9,
    casesPerRound: placeSteps,
    run: async (seed) => (await import("./every-place.js")).runTornTailCase(seed),
  },
  {
    name: "bit-flips",
    faults: "F12",
    about:
      "one bit of every byte of a journal of 16 KiB and of an entry file, then the next bit. 250 cases are one bit of each byte, 2,000 all bits",
    share: 0.4,
    casesPerRound: placeSteps,
    run: async (seed) => (await import("./every-place.js")).runBitFlipCase(seed),
  },
  {
    name: "swaps",
    faults: "F18",
    about: "links and other objects in the place of files, before every port call of a store's life",
    share: 0.3,
    platform: "linux",
    run: async (seed) => (await import("./every-place.js")).runSwapCase(seed),
  },
  {
    name: "kill-storms",
    faults: "F9 F10 F19",
    about:
      "2, 4 or 8 real writers, killed at any moment; 3 in 10 with a clock that is wrong, jumps or stands still; 1 in 10 stopped for a moment before, 1 in 50 for 0.1 s to three lock waits inside a call",
    share: 8.8,
    run: runStormCase,
  },
  {
    name: "histories",
    faults: "F14",
    about:
      "recorded histories of 2 to 8 processes on the directory backend, in one case of ten on a single file (where nobody is killed: a dead owner of the gateway's lock is waited for), in three of ten of tasks in memory; checked for linearizability and dense versions",
    share: 2.3,
    run: runHistoriesCase,
  },
];

/** The rows that can run here. */
export const rows = allRows.filter(({ platform }) => platform === undefined || platform === process.platform);

export function rowNamed(name: string): Row | undefined {
  return rows.find((row) => row.name === name);
}

const inputsPerCase = 500;
const historiesPerCase = 9;
const killsPerCase = 24;

async function runBytesCase(seed: number, deadlineMs: number): Promise<CaseReport> {
  const { fuzzBytes } = await import("../bytes/fuzz.js");
  const found: CorpusCase[] = [];
  const counters = await fuzzBytes({
    seed: seed * inputsPerCase,
    inputs: inputsPerCase,
    deadline: () => Date.now() >= deadlineMs,
    onDisagreement: (_, input) => found.push(input),
  });
  const figures = { ...noFigures(), inputs: counters.inputs, disagreements: counters.disagreements };
  return { figures, problems: counters.failures, found };
}

async function runStormCase(seed: number, deadline: number): Promise<CaseReport> {
  const { killStorm } = await import("../process/storm.js");
  const writers = [2, 4, 8][seed % 3] as number;
  const { problems, ...counts } = await killStorm({ writers, kills: killsPerCase, seed, deadline });
  const { slowestMs: _, checks: __, ...counted } = counts;
  const { lost, partlyVisible, resurrected } = counted;
  const hangs = problems.filter((problem) => problem.includes(" hangs")).length;
  const isCounted = lost + partlyVisible + resurrected + hangs > 0;
  const disagreements = problems.length > 0 && !isCounted ? 1 : 0;
  return { figures: { ...noFigures(), ...counted, hangs, disagreements }, problems };
}

async function runHistoriesCase(seed: number, deadline: number): Promise<CaseReport> {
  const { runHistories } = await import("../histories/run.js");
  const { directoryTarget, jsonTarget, memoryTarget } = await import("../histories/targets.js");
  // Nobody is killed on the single file: a writer that dies between making the gateway's lock file and naming itself in
  // it holds everybody up for 30 s, as that lock's protocol has it.
  // They cost twice as much as others: one case in ten, and shorter.
  const target = [directoryTarget, memoryTarget, directoryTarget][seed % 3] as typeof directoryTarget;
  const chosen = seed % 10 === 9 ? jsonTarget : target;
  const single = chosen === jsonTarget ? { withoutKills: true, operationsMax: 120 } : {};
  const options = { seed: seed * historiesPerCase, count: historiesPerCase, deadline, quiet: true };
  const report = await runHistories({ ...options, ...single, target: chosen });
  const { decided: histories, undecided, kills, violations } = report;
  const figures = { ...noFigures(), histories, undecided, kills, disagreements: violations.length };
  return { figures, problems: violations };
}
