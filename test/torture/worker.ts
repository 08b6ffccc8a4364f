/** A process of a torture run: it runs cases of one row, one seed after the other, and reports each to its parent. */

import { addFigures, type CaseReport, type Figures, noFigures } from "./figures.js";
import { rows } from "./rows.js";

export interface Slice {
  readonly row: string;
  readonly firstSeed: number;
  /** No case begins after this, in milliseconds since 1970. */
  readonly untilMs: number;
  readonly casesMax: number;
}

/** Before a case, and after it; a parent that hears nothing for long takes it for hanging. */
export type WorkerMessage =
  | { readonly type: "begins"; readonly seed: number }
  | {
      readonly type: "ended";
      readonly seed: number;
      readonly figures: Figures;
      readonly problems: readonly string[];
      readonly tookMs: number;
    }
  | { readonly type: "sliceEnded" };

process.on("message", (slice: Slice) => {
  void runSlice(slice);
});
process.on("disconnect", () => process.exit(1));

async function runSlice({ row: name, firstSeed, untilMs, casesMax }: Slice): Promise<void> {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`there is no row ${name}`);
  // What simulated systems throw is thrown by the thousand, and nobody reads its stack.
  if (casesMax > 1) Error.stackTraceLimit = 3;
  for (let seed = firstSeed; seed < firstSeed + casesMax && Date.now() < untilMs; seed++) {
    await say({ type: "begins", seed });
    const startedMs = performance.now();
    const { figures, problems } = await row.run(seed, untilMs).catch(broken);
    const counted = noFigures();
    addFigures(counted, figures);
    await say({ type: "ended", seed, figures: counted, problems, tookMs: performance.now() - startedMs });
  }
  await say({ type: "sliceEnded" });
  process.exit();
}

/** A case never throws; if it does, that is not as promised either. */
function broken(error: unknown): CaseReport {
  return { figures: { disagreements: 1 }, problems: [String((error as Error)?.stack ?? error)] };
}

function say(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}
