/**
 * Opens the index on disk if it can be believed: it is of this incarnation, no older than the checkpoint, and what it
 * was made of is in this view. Then every session that it does not know the present state of is named in the overlay.
 * Takes no lock. Anything else - missing, stale, torn, of another format, not ours to read - is no index.
 */

import { hasCode } from "../../../fs/port.js";
import { summaryIndexName } from "../layout.js";
import type { StoreFiles } from "../store-files.js";
import type { View } from "../view.js";
import { type IndexHead, readHead } from "./head.js";
import { RunSet } from "./run-set.js";
import { isSameStamp } from "./upkeep.js";

/** Checkpoints may come in between, each of which replaces the head. */
const attemptsMax = 8;

export function loadIndex(view: View): RunSet | undefined {
  const { files } = view;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    let set: RunSet | "again";
    try {
      set = openRuns(files);
    } catch {
      return undefined;
    }
    if (set === "again") continue;
    try {
      view.refresh();
      const fit = judge(view, set.head);
      if (fit === "fits") return set;
      set.retire();
      if (fit === "never") return undefined;
    } catch (error) {
      set.retire();
      throw error;
    }
  }
  return undefined;
}

/** The head as it is now, or nothing. */
export function readHeadIfUsable(files: StoreFiles): IndexHead | undefined {
  try {
    const directory = files.openPartIfExists(summaryIndexName);
    if (directory === undefined) return undefined;
    try {
      return readHead(files.port, directory, files.owner);
    } finally {
      files.port.closeDirectory(directory);
    }
  } catch {
    return undefined;
  }
}

function openRuns(files: StoreFiles): RunSet | "again" {
  const { port, owner } = files;
  const directory = files.openPartIfExists(summaryIndexName);
  if (directory === undefined) throw new Error("there is no index");
  try {
    const head = readHead(port, directory, owner);
    try {
      return RunSet.open(port, directory, owner, head);
    } catch (error) {
      // A run was replaced since the head was read, and the head with it - or it is lost.
      if (!hasCode(error, "ENOENT") || sameRuns(head, readHead(port, directory, owner))) throw error;
      return "again";
    }
  } finally {
    port.closeDirectory(directory);
  }
}

function sameRuns(left: IndexHead, right: IndexHead): boolean {
  return left.runs.map(({ name }) => name).join() === right.runs.map(({ name }) => name).join();
}

/** The view was refreshed after the head was read, so it is ahead of any head that belongs to this journal. */
function judge(view: View, head: IndexHead): "fits" | "later" | "never" {
  const { files } = view;
  const { upTo } = head;
  if (head.incarnation !== files.manifest.incarnation || upTo.version > view.last.version) return "never";
  const { checkpoint } = files.readManifest();
  if (isSameStamp(upTo, checkpoint)) return "fits";
  // A checkpoint was recorded after the head was read: the next one fits, unless nobody looks after the index.
  if (upTo.version <= checkpoint.version)
    return isSameStamp(readHeadIfUsable(files)?.upTo ?? upTo, upTo) ? "never" : "later";
  // Written for a checkpoint that is not recorded yet, perhaps never: the journal must have that very commit.
  return isInJournal(view, head) ? "fits" : "never";
}

/** A checkpoint ends with the last commit of a segment, which nothing in that segment's overlay comes after. */
function isInJournal(view: View, { upTo }: IndexHead): boolean {
  const segment = view.segments.find(({ lastVersion }) => lastVersion === upTo.version);
  for (const change of segment?.overlay.changes.values() ?? []) if (isSameStamp(change, upTo)) return true;
  return false;
}
