/** What a torture run counts: for one case, for one row, for all. */

import type { CorpusCase } from "../bytes/corpus.js";

export interface Figures {
  /** Disk images after a crash that were recovered and compared, each one different from the others of its case. */
  states: number;
  kills: number;
  acknowledgements: number;
  /** Processes that were stopped for a moment, and for 0.1 s to a few lock waits inside a call. */
  pauses: number;
  longPauses: number;
  /** Processes whose clock was wrong, jumped or stood still. */
  wrongClocks: number;
  /** Those of which every search came to an end. */
  histories: number;
  /** Searches that were given up: no harm, and no proof. */
  undecided: number;
  inputs: number;
  /** Port calls that were made to fail. */
  failedCalls: number;
  /** Interleaved runs. */
  schedules: number;
  /** Lives of a store in which something was swapped for a link. */
  swaps: number;
  lost: number;
  partlyVisible: number;
  resurrected: number;
  hangs: number;
  /** Everything else that is not as promised: an invented state, a refusal, a leak, two recoveries that differ. */
  disagreements: number;
}

export type Harm = "lost" | "partlyVisible" | "resurrected" | "hangs" | "disagreements";

export const harms: readonly Harm[] = ["lost", "partlyVisible", "resurrected", "hangs", "disagreements"];

/** Something promised was not kept. */
export class Harmed extends Error {
  readonly harm: Harm;

  constructor(harm: Harm, message: string, cause?: unknown) {
    super(message, { cause });
    this.harm = harm;
  }
}

/** The result of one case. A case ends at its first harm or goes on, as it likes. */
export interface CaseReport {
  readonly figures: Partial<Figures>;
  /** One text for each harm. */
  readonly problems: readonly string[];
  /** Inputs on which two recoveries disagree: they show it by themselves, without the seed. */
  readonly found?: readonly CorpusCase[];
}

export function noFigures(): Figures {
  return {
    states: 0,
    kills: 0,
    acknowledgements: 0,
    pauses: 0,
    longPauses: 0,
    wrongClocks: 0,
    histories: 0,
    undecided: 0,
    inputs: 0,
    failedCalls: 0,
    schedules: 0,
    swaps: 0,
    lost: 0,
    partlyVisible: 0,
    resurrected: 0,
    hangs: 0,
    disagreements: 0,
  };
}

export const figureNames = Object.keys(noFigures()) as readonly (keyof Figures)[];

export function addFigures(sum: Figures, more: Partial<Figures>): void {
  for (const name of figureNames) sum[name] += more[name] ?? 0;
}

export function harmCount(figures: Partial<Figures>): number {
  return harms.reduce((sum, harm) => sum + (figures[harm] ?? 0), 0);
}

/** Counts an error under its kind of harm, and keeps what it says. */
export function noteHarm(figures: Figures, problems: string[], error: unknown): void {
  const harm = error instanceof Harmed ? error.harm : "disagreements";
  figures[harm] += 1;
  const cause = error instanceof Error && error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : "";
  problems.push(
    `${harm}: ${error instanceof Error ? (error instanceof Harmed ? error.message : error.stack) : error}${cause}`,
  );
}
