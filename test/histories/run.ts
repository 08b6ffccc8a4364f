/**
 * Records and judges many histories. Each follows from the seed and its number alone. A violation prints one line that
 * replays it and the path of a file with the whole history in it, which `judgeHistory` judges again.
 */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { OpenOptions } from "../../src/api.js";
import { SeededRandom } from "../sim/random.js";
import { judgeHistory } from "./checker.js";
import { type HistoryShape, type RecordedHistory, recordHistory } from "./record.js";
import { directoryTarget, type HistoryTarget } from "./targets.js";
import { HistoryWorkers } from "./worker-pool.js";

export interface RunHistoriesOptions {
  readonly seed: number;
  /** At most so many histories. */
  readonly count: number;
  /** No history begins after this time, in milliseconds since 1970. */
  readonly deadline?: number;
  readonly target?: HistoryTarget;
  /** Kill nobody. */
  readonly withoutKills?: boolean;
  /** Of each history, at most; the shortest have a quarter of it. */
  readonly operationsMax?: number;
  /** Where the files of violations are kept; default: the system's directory for temporary files. */
  readonly failuresDirectory?: string;
  /** Print nothing: the lines are in the report all the same. */
  readonly quiet?: boolean;
}

export interface HistoriesReport {
  histories: number;
  /** Those of which every search came to an end. */
  decided: number;
  operations: number;
  kills: number;
  /** Operations of which nobody knows whether they happened. */
  openEnds: number;
  /** Histories that were also checked as one object with all sessions. */
  wholeStore: number;
  /** Searches that were given up. */
  undecided: number;
  /** What failed, one text per history. */
  violations: string[];
  slowestMs: number;
  slowestSeed: number | undefined;
}

const processCounts = [2, 4, 8];
const sessionCounts = [1, 3, 16];
const tinySegments = { segmentBytes: 1_000, segmentRetentionBytes: 20_000 };
const nothingKept = { segmentBytes: 1_000, segmentRetentionMs: 0, segmentRetentionBytes: 0 };

export async function runHistories(options: RunHistoriesOptions): Promise<HistoriesReport> {
  const target = options.target ?? directoryTarget;
  const report: HistoriesReport = {
    histories: 0,
    decided: 0,
    operations: 0,
    kills: 0,
    openEnds: 0,
    wholeStore: 0,
    undecided: 0,
    violations: [],
    slowestMs: 0,
    slowestSeed: undefined,
  };
  await using workers = new HistoryWorkers();
  for (let index = 0; index < options.count; index += 1) {
    if (options.deadline !== undefined && Date.now() >= options.deadline) break;
    const drawn = shapeOf(options.seed + index, options.operationsMax ?? 240);
    const shape = options.withoutKills ? { ...drawn, kills: 0 } : drawn;
    const startMs = performance.now();
    const violation = await runOne(target, shape, workers, report, options.failuresDirectory ?? os.tmpdir());
    if (violation !== undefined) {
      report.violations.push(`${violation.line}\n${violation.problem}`);
      if (!options.quiet) console.error(violation.line);
    }
    const tookMs = performance.now() - startMs;
    if (tookMs > report.slowestMs) {
      report.slowestMs = tookMs;
      report.slowestSeed = shape.seed;
    }
  }
  return report;
}

/** Everything about a history, from its seed. Nine seeds in a row have all numbers of processes and sessions. */
export function shapeOf(seed: number, operationsMax: number): HistoryShape {
  const random = new SeededRandom(seed);
  const processes = processCounts[seed % 3]!;
  const sessions = sessionCounts[Math.floor(seed / 3) % 3]!;
  const clientsEach = random.pick([1, 1, 2]);
  // An open end stays possible to the end of the history: with many of them the search would not end.
  const kills = random.chance(0.4) ? 1 + random.below(Math.min(processes, 4)) : 0;
  const limits = random.pick([undefined, tinySegments, nothingKept]);
  const openOptions: OpenOptions = {
    durability: random.pick(["commit", "interval"]),
    lockWaitMs: 60_000,
    ...(limits === undefined ? {} : { limits }),
  };
  const operations = Math.floor(operationsMax * random.pick([0.25, 0.5, 1]));
  return { seed, processes, sessions, clientsEach, operations, kills, options: openOptions };
}

async function runOne(
  target: HistoryTarget,
  shape: HistoryShape,
  workers: HistoryWorkers,
  report: HistoriesReport,
  failuresDirectory: string,
): Promise<{ line: string; problem: string } | undefined> {
  const replay = `replay: runHistories({ seed: ${shape.seed}, count: 1 }) on ${target.name}`;
  let history: RecordedHistory;
  try {
    history = await recordHistory(target, shape, workers);
  } catch (error) {
    return { line: replay, problem: String((error as Error)?.stack ?? error) };
  }
  const judgement = judgeHistory(history);
  report.histories += 1;
  report.operations += history.operations.length;
  report.kills += history.kills;
  report.openEnds += history.operations.filter(({ outcome }) => !outcome || outcome.status === "unknown").length;
  report.wholeStore += judgement.wholeStoreChecked ? 1 : 0;
  report.undecided += judgement.undecided.length;
  report.decided += judgement.undecided.length === 0 ? 1 : 0;
  const failures = history.operations.filter(({ outcome }) => outcome?.status === "failed");
  const problems = [
    ...judgement.violations,
    ...history.findings.map((finding) => `verify: ${finding}`),
    // Nothing is in anybody's way here: no operation has a reason to fail.
    ...failures.map((operation) => `failed: ${JSON.stringify(operation)}`),
  ];
  if (problems.length === 0) return undefined;
  const file = path.join(fs.mkdtempSync(path.join(failuresDirectory, "history-")), `seed-${shape.seed}.json`);
  fs.writeFileSync(file, JSON.stringify({ ...history, problems }, null, 1));
  return { line: `${replay}; history: ${file}`, problem: problems.slice(0, 5).join("\n") };
}
