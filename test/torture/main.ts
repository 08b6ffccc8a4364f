/**
 * `npm run torture -- --minutes N [--seed S] [--only ROW]`: runs the fault rows for so long, sharing the time between
 * them, in two processes at a time. Writes results/torture.json and prints a table; exits with 1 when anything
 * acknowledged was lost, partly visible or resurrected, when anything hung, or when two answers differed.
 *
 * `npm run torture -- --replay ROW:SEED` runs one case again and prints what is wrong with it.
 */

import { fork } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { harmCount } from "./figures.js";
import { keepFound } from "./found.js";
import { RunReport } from "./report.js";
import { type Row, rowNamed, rows } from "./rows.js";
import type { CaseEnded, Job } from "./worker.js";

const workers = 2;
/** The longest time that a worker spends on one row before the rows are weighed again. */
const sliceMsMax = 20_000;
/** A case that takes longer hangs. */
const caseMsMax = 180_000;
/** A multiple of what rows go through as a whole, see `casesPerRound`. */
const seedsPerRun = 10_000_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    replay: { type: "string" },
    results: { type: "string", default: "results/torture.json" },
  },
});

/** Inputs that show a disagreement by themselves. */
const foundDirectory = path.join(path.dirname(values.results), "torture-found");

process.exitCode = values.replay === undefined ? await torture() : await replay(values.replay);

async function torture(): Promise<number> {
  const minutes = positive("--minutes", values.minutes);
  const baseSeed = positive("--seed", values.seed);
  const chosen = values.only === undefined ? rows : [rowOrExit(values.only)];
  const endMs = Date.now() + minutes * 60_000;
  const report = new RunReport(chosen, baseSeed, minutes);
  const spentMs = new Map(chosen.map((row) => [row, 0]));
  const nextSeeds = new Map(chosen.map((row) => [row, baseSeed * seedsPerRun]));
  /** Each seed is given out once, one after the other, whatever worker takes it: so rounds of a row become whole. */
  const takeSeed = (row: Row): number => {
    const seed = nextSeeds.get(row) as number;
    nextSeeds.set(row, seed + 1);
    return seed;
  };
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
      await runSlice(report, row, untilMs, () => takeSeed(row));
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

/** Runs cases until the time is over, or one of them hung or ended the worker. */
function runSlice(report: RunReport, row: Row, untilMs: number, takeSeed: () => number): Promise<void> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [], {
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      // Simulated disks die by the thousand: with room for many, a collection of garbage finds few of them alive.
      execArgv: ["--max-semi-space-size=32"],
    });
    let current: number | undefined;
    let hung = false;
    let lastWords = "";
    let alarm: NodeJS.Timeout | undefined;
    const runNext = () => {
      clearTimeout(alarm);
      current = Date.now() < untilMs ? takeSeed() : undefined;
      if (current === undefined) {
        child.send("over", () => {});
        return;
      }
      alarm = setTimeout(() => {
        hung = true;
        child.kill("SIGKILL");
      }, caseMsMax);
      const job: Job = { row: row.name, seed: current, untilMs, foundDirectory };
      child.send(job, () => {}); // To a worker that has just died: its end tells.
    };
    child.stderr?.on("data", (text: Buffer) => {
      lastWords = `${lastWords}${text}`.slice(-4_000);
    });
    child.on("message", ({ figures, problems, tookMs }: CaseEnded) => {
      const seed = current as number;
      report.add(row, seed, figures, problems, tookMs);
      for (const problem of problems) console.log(`\n${row.name} ${problem}\n  replay: ${replayLine(row, seed)}`);
      runNext();
    });
    child.once("close", () => {
      clearTimeout(alarm);
      if (current !== undefined) {
        const what = hung ? `hangs: no end within ${caseMsMax} ms` : `disagreements: the worker ended: ${lastWords}`;
        report.add(row, current, hung ? { hangs: 1 } : { disagreements: 1 }, [what], caseMsMax);
        console.log(`\n${row.name} ${what}\n  replay: ${replayLine(row, current)}`);
      }
      resolve();
    });
    runNext();
  });
}

async function replay(text: string): Promise<number> {
  const [name = "", seed = ""] = text.split(":");
  const row = rowOrExit(name);
  const { figures, problems, found = [] } = await row.run(positive("the seed", seed), Date.now() + caseMsMax);
  console.log(JSON.stringify(figures));
  for (const problem of [...problems, ...keepFound(foundDirectory, `${name}-${seed}`, found)])
    console.log(`\n${problem}`);
  console.log(problems.length === 0 ? "Everything was as promised." : "");
  return harmCount(figures) > 0 ? 1 : 0;
}

function replayLine(row: Row, seed: number): string {
  return `npm run torture -- --replay ${row.name}:${seed}`;
}

function rowOrExit(name: string): Row {
  const row = rowNamed(name);
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
