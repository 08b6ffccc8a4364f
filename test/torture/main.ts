/**
 * `npm run torture -- --minutes N [--seed S] [--only ROW]`: runs the fault rows for so long, sharing the time between
 * them, in two processes at a time. Writes results/torture.json and prints a table; exits with 1 when anything
 * acknowledged was lost, partly visible or resurrected, when anything hung, or when two answers differed.
 *
 * `npm run torture -- --replay ROW:SEED` runs one case again and prints what is wrong with it.
 */

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { harmCount } from "./figures.js";
import { RunReport } from "./report.js";
import { type Row, rows } from "./rows.js";
import type { Slice, WorkerMessage } from "./worker.js";

const workers = 2;
/** The longest time that a worker spends on one row before the rows are weighed again. */
const sliceMsMax = 20_000;
/** A case that takes longer hangs. */
const caseMsMax = 180_000;
const seedsPerRun = 10_000_000;
/** More than any slice can use: slices of two workers on one row never share a seed. */
const seedsPerSlice = 20_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    replay: { type: "string" },
    results: { type: "string", default: "results/torture.json" },
  },
});

process.exitCode = values.replay === undefined ? await torture() : await replay(values.replay);

async function torture(): Promise<number> {
  const minutes = positive("--minutes", values.minutes);
  const baseSeed = positive("--seed", values.seed);
  const chosen = values.only === undefined ? rows : [rowNamed(values.only)];
  const endMs = Date.now() + minutes * 60_000;
  const report = new RunReport(chosen, baseSeed, minutes);
  const spentMs = new Map(chosen.map((row) => [row, 0]));
  const nextSeed = new Map(chosen.map((row) => [row, baseSeed * seedsPerRun]));
  const sliceMs = Math.min(sliceMsMax, (minutes * 60_000) / (chosen.length * 2));
  console.log(`Seed ${baseSeed}, ${minutes} minutes, rows: ${chosen.map(({ name }) => name).join(", ")}`);

  const work = async (): Promise<void> => {
    while (Date.now() < endMs) {
      const row = mostBehind(chosen, spentMs);
      const startedMs = Date.now();
      const untilMs = Math.min(endMs, startedMs + sliceMs);
      // Charged in advance, so that the other worker takes another row.
      const charged = untilMs - startedMs;
      spentMs.set(row, (spentMs.get(row) as number) + charged);
      const firstSeed = nextSeed.get(row) as number;
      nextSeed.set(row, firstSeed + seedsPerSlice);
      await runSlice(report, row, { row: row.name, firstSeed, untilMs, casesMax: seedsPerSlice });
      spentMs.set(row, (spentMs.get(row) as number) + Date.now() - startedMs - charged);
      console.log(report.progressLine(row, endMs - Date.now()));
    }
  };
  await Promise.all(Array.from({ length: workers }, work));

  report.write(values.results);
  console.log(`\n${report.table()}\n\nReport: ${values.results}`);
  return report.harmCount > 0 ? 1 : 0;
}

/** The row that has had least of the time that it is due. */
function mostBehind(chosen: readonly Row[], spentMs: ReadonlyMap<Row, number>): Row {
  const used = (row: Row) => (spentMs.get(row) as number) / row.share;
  return chosen.reduce((best, row) => (used(row) < used(best) ? row : best));
}

/** Resolves when the worker has ended, by itself or because a case of it hung. */
function runSlice(report: RunReport, row: Row, slice: Slice): Promise<void> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [], {
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      // Simulated disks die by the thousand: with room for many, a collection of garbage finds few of them alive.
      execArgv: ["--max-semi-space-size=32"],
    });
    let current = slice.firstSeed;
    let isDone = false;
    let hung = false;
    let lastWords = "";
    let alarm: NodeJS.Timeout | undefined;
    const expectNews = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => {
        hung = true;
        child.kill("SIGKILL");
      }, caseMsMax);
    };
    child.stderr?.on("data", (text: Buffer) => {
      lastWords = `${lastWords}${text}`.slice(-4_000);
    });
    child.on("message", (message: WorkerMessage) => {
      expectNews();
      if (message.type === "begins") current = message.seed;
      else if (message.type === "ended") {
        report.add(row, message.seed, message.figures, message.problems, message.tookMs);
        for (const problem of message.problems)
          console.log(`\n${row.name} ${problem}\n  replay: ${replayLine(row, message.seed)}`);
      } else isDone = true;
    });
    child.once("close", () => {
      clearTimeout(alarm);
      if (!isDone) {
        const what = hung ? `hangs: no end within ${caseMsMax} ms` : `disagreements: the worker ended: ${lastWords}`;
        report.add(row, current, hung ? { hangs: 1 } : { disagreements: 1 }, [what], caseMsMax);
        console.log(`\n${row.name} ${what}\n  replay: ${replayLine(row, current)}`);
      }
      resolve();
    });
    expectNews();
    child.send(slice);
  });
}

async function replay(text: string): Promise<number> {
  const [name = "", seed = ""] = text.split(":");
  const row = rowNamed(name);
  const { figures, problems } = await row.run(positive("the seed", seed), Date.now() + caseMsMax);
  console.log(JSON.stringify(figures));
  for (const problem of problems) console.log(`\n${problem}`);
  console.log(problems.length === 0 ? "Everything was as promised." : "");
  return harmCount(figures) > 0 ? 1 : 0;
}

function replayLine(row: Row, seed: number): string {
  return `npm run torture -- --replay ${row.name}:${seed}`;
}

function rowNamed(name: string): Row {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) fail(`there is no row "${name}"; the rows are ${rows.map((known) => known.name).join(", ")}`);
  return row;
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) fail(`${name} is a number above 0, not "${text}"`);
  return number;
}

function fail(message: string): never {
  console.error(`torture: ${message}`);
  process.exit(2);
}
