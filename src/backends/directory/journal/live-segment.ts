/** The segments that a process has open, from the oldest that is not checkpointed to the current one. */

import type { File } from "../../../fs/port.js";
import { SegmentOverlay } from "./overlay.js";
import type { SealReason } from "./record.js";

/** A segment that is not yet checkpointed, as far as this process knows; the last one is the current one. */
export interface LiveSegment {
  readonly first: number;
  readonly file: File;
  readonly overlay: SegmentOverlay;
  /** The offset behind the last valid record. */
  offset: number;
  /** Its size when the view last looked; more than `offset` when bytes lie there that are no valid record (P3). */
  seenBytes: number;
  lastVersion: number;
  seal: SealReason | undefined;
  /** Where the seal begins, if it is in the file. */
  sealOffset: number | undefined;
  /** The time of its first commit or of its carried states, by their writer's clock. */
  firstRecordMs: number | undefined;
  /** Where the segments begin whose states were carried into it; its own first version if it has none. */
  suspectFrom: number;
  /** What this process has synced of it: bytes, and its name in the directory (P6). */
  syncedOffset: number;
  nameSynced: boolean;
  /** Syncs under way; the descriptor stays open until they end (P6). */
  pins: number;
  /** No longer needed: closed as soon as nothing is under way on it. */
  retired: boolean;
  closed: boolean;
}

/** Carried states are no commits: a segment with nothing else is not sealed as it is, its successor would have its name. */
export function hasCommits(segment: LiveSegment): boolean {
  return segment.lastVersion >= segment.first;
}

export function newSegment(first: number, file: File): LiveSegment {
  return {
    first,
    file,
    overlay: new SegmentOverlay(),
    offset: 0,
    seenBytes: 0,
    lastVersion: first - 1,
    seal: undefined,
    sealOffset: undefined,
    firstRecordMs: undefined,
    suspectFrom: first,
    syncedOffset: 0,
    nameSynced: false,
    pins: 0,
    retired: false,
    closed: false,
  };
}
