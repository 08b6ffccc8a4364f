/** One run of sessions that are all in memory, in any order. */

import type { SessionSummary } from "../../../contract.js";
import { compareByActivity, compareByKey } from "../../../sessions/query.js";
import type { RunInfo } from "./head.js";
import type { RunWriter } from "./run-writer.js";
import { sortInSlices } from "./sort.js";

/** `breathe` is called after each piece of work; what it throws ends the run, which is then gone. */
export async function writeRun(
  writer: RunWriter,
  summaries: readonly SessionSummary[],
  removed: readonly Buffer[],
  breathe: () => Promise<void> | undefined,
): Promise<RunInfo> {
  try {
    for (const summary of await sortInSlices(summaries, compareByActivity, breathe)) {
      writer.add(summary);
      await breathe();
    }
    for (const summary of await sortInSlices(summaries, compareByKey, breathe)) {
      writer.addByKey(summary);
      await breathe();
    }
    for (const keyHash of removed) writer.addRemoval(keyHash);
  } catch (error) {
    writer.abandon();
    throw error;
  }
  return writer.finish();
}
