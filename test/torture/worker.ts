/**
 * A process of a torture run: it runs one case after the other, as its parent names them, and reports each. It ends
 * when it is told that the time is over, or when the parent has died.
 */

import { addFigures, type CaseReport, type Figures, noFigures } from "./figures.js";
import { keepFound } from "./found.js";
import { rowNamed } from "./rows.js";

export interface Job {
  readonly row: string;
  readonly seed: number;
  /** A case that can be long ends soon after this, in milliseconds since 1970. */
  readonly untilMs: number;
  /** Where inputs are kept that show a disagreement by themselves. */
  readonly foundDirectory: string;
}

/** A parent that hears nothing for long takes the worker for hanging. */
export interface CaseEnded {
  readonly figures: Figures;
  readonly problems: readonly string[];
  readonly tookMs: number;
}

// What simulated systems throw is thrown by the thousand, and nobody reads its stack.
Error.stackTraceLimit = 3;

process.on("message", (message: Job | "over") => {
  if (message === "over") process.exit(0);
  void runCase(message);
});
process.on("disconnect", () => process.exit(1));

async function runCase({ row, seed, untilMs, foundDirectory }: Job): Promise<void> {
  const startedMs = performance.now();
  const report = await (async () => rowNamed(row)!.run(seed, untilMs))().catch(broken);
  const figures = noFigures();
  addFigures(figures, report.figures);
  const problems = [...report.problems, ...keepFound(foundDirectory, `${row}-${seed}`, report.found ?? [])];
  const ended: CaseEnded = { figures, problems, tookMs: performance.now() - startedMs };
  process.send?.(ended);
}

/** A case never throws; if it does, that is not as promised either. */
function broken(error: unknown): CaseReport {
  return { figures: { disagreements: 1 }, problems: [String((error as Error)?.stack ?? error)] };
}
