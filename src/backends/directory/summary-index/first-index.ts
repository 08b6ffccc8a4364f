/**
 * The index of a store that is made with sessions in it: they are in memory just then, so nobody has to read a hundred
 * thousand entry files for the first list. Part of the staging tree; derived and not synced, as ever.
 */

import type { FrozenEntry, SessionSummary } from "../../../contract.js";
import { Pace } from "../../../fs/pace.js";
import type { Directory, Port } from "../../../fs/port.js";
import { summarizeSession } from "../../../sessions/summary.js";
import type { CommitStamp } from "../version.js";
import { type RunInfo, writeHead } from "./head.js";
import { RunWriter } from "./run-writer.js";
import { writeRun } from "./write-run.js";

/** So many summaries are in memory at once; the runs are merged when somebody has the store open. */
const chunkRowsMax = 32_000;

/** `directory` is an empty `summary-index/`. */
export async function writeFirstIndex(
  port: Port,
  directory: Directory,
  incarnation: string,
  upTo: CommitStamp,
  entries: ReadonlyMap<string, FrozenEntry>,
): Promise<void> {
  const pace = new Pace(port);
  const runs: RunInfo[] = [];
  let chunk: SessionSummary[] = [];
  const endChunk = async () => {
    const writer = new RunWriter(port, directory, upTo.version, pace);
    runs.push(await writeRun(writer, chunk, [], () => pace.breathe()));
    chunk = [];
  };
  for (const [key, entry] of entries) {
    chunk.push(summarizeSession(key, entry));
    if (chunk.length >= chunkRowsMax) await endChunk();
    else await pace.breathe();
  }
  if (chunk.length > 0) await endChunk();
  writeHead(port, directory, { incarnation, upTo, sessions: entries.size, runs });
}
