/**
 * Recovery: what the journal may look like after a crash or a power cut, and what is done about it. Runs under the
 * commit lock, before anything is appended; a crash in the middle of it is finished by whoever comes next.
 *
 * | # | the last segment ...                                   | behind it              | action                               |
 * | - | ------------------------------------------------------ | ---------------------- | ------------------------------------ |
 * | 1 | ends with a valid record                               | nothing                | go on                                |
 * | 2 | ends with a seal                                       | nothing                | create the successor (P1)            |
 * | 3 | ends with an unfinished line                           | nothing                | cut it: it was never acknowledged    |
 * | 4 | has bad lines; nothing says that they were durable     | nothing                | quarantine a copy, cut (P10)         |
 * | 5 | has bad lines; a later record says they were durable   | anything               | refuse: `store_damaged` (P10)        |
 * |   | or an entry file is newer than what is left            |                        |                                      |
 * | 6 | has no seal                                            | a carried segment, or  | that one takes over (P11; P10)       |
 * |   |                                                        | a proven successor     |                                      |
 * | 7 | has no seal, or its successor is missing               | other segments         | set those aside (P10), then as above |
 * | 8 | the same, and one of those says that more was durable  |                        | refuse: `store_damaged` (P10)        |
 * | 9 | ends with a `fenced` seal                              | anything               | refuse: `store_fenced` (P20)         |
 *
 * Rows 6 and 9 are decided by the view, without a lock; the others here.
 *
 * What is cut or set aside has a copy in quarantine/, on the disk, before it leaves the journal. The lock waits for no
 * disk, so the copy is made without it, and counts if the same bytes are still there under the next hold of the lock
 * (`withCopies`). Where no copy can be made, on a full disk, nothing is cut: commits fail, and reading goes on.
 */

import { SessionStoreError } from "../../errors.js";
import { openChecked, readChecked } from "../../fs/checked-file.js";
import { fixedLimits } from "../../limits.js";
import { readEntryFileIfExists, type StoredEntry } from "./entries/entry-file.js";
import type { LiveSegment } from "./journal/live-segment.js";
import type { JournalRecord } from "./journal/record.js";
import { inspectTail, readRange } from "./journal/segment-file.js";
import { damagedJournal } from "./journal-errors.js";
import type { JournalWriter } from "./journal-writer.js";
import * as layout from "./layout.js";
import type { View } from "./view.js";

/** Bytes that are to leave the journal, and of which no copy is known to be on the disk. */
export class CopyNeededError extends Error {
  readonly copy: { readonly name: string; readonly bytes: Uint8Array };

  constructor(name: string, bytes: Uint8Array) {
    super(`${name} needs a copy before it is cut`);
    this.copy = { name, bytes };
  }
}

/** Makes attempts under the commit lock - each takes it, and lets it go - until all that they take away was copied. */
export async function withCopies<Result>(writer: JournalWriter, attempt: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CopyNeededError)) throw error;
      await keepCopy(writer, error);
    }
  }
}

/** Without the lock. */
export async function keepCopy(writer: JournalWriter, { copy }: CopyNeededError): Promise<void> {
  await writer.view.files.quarantineDurably(copy.name, copy.bytes);
  writer.copied = copy;
}

/** Does `remove` only if the copy that was made last is one of these very bytes. */
function removeCopied(writer: JournalWriter, name: string, bytes: Uint8Array, remove: () => void): void {
  if (writer.copied?.name !== name || Buffer.compare(writer.copied.bytes, bytes) !== 0)
    throw new CopyNeededError(name, bytes);
  remove();
  writer.copied = undefined;
}

/**
 * Brings the writer's view to the end of the journal and makes that end ready for an append. Only under the commit lock.
 * Throws `CopyNeededError`, too.
 */
export function settleJournalEnd(writer: JournalWriter): void {
  const { view } = writer;
  view.refresh();
  if (view.current.seal !== undefined) writer.createSuccessor(); // Row 2.
  const segment = view.current;
  // As the refresh saw it: nobody else appends while the lock is held, so it need not be asked for twice.
  if (segment.seenBytes > segment.offset) cutTail(writer, segment, segment.seenBytes);
  writer.carryIfMissing();
  writer.noteSettled();
}

/** Rows 3, 4 and 5. */
function cutTail(writer: JournalWriter, segment: LiveSegment, sizeBytes: number): void {
  const { view } = writer;
  const tail = inspectTail(view.files.port, segment.file, segment.offset, sizeBytes);
  refuseIfDurable(view, tail.laterRecords);
  const cut = () => view.files.port.truncate(segment.file, segment.offset);
  if (!tail.hasWholeLines) {
    cut();
    return;
  }
  refuseIfWrittenOut(view);
  removeCopied(writer, layout.segmentName(segment.first), tail.bytes, cut);
}

/**
 * Rows 7 and 8: segments that nothing leads to. Rebuilds the view first, because somebody may have been faster. Under the
 * commit lock; throws `CopyNeededError`, too.
 */
export function setAsideStranded(writer: JournalWriter): void {
  const { view } = writer;
  const { strandedSegments } = view.rebuild();
  if (strandedSegments.length === 0) return;
  const lost = findLostCommits(view, strandedSegments);
  if (lost) throw lost;
  refuseIfWrittenOut(view);
  const { port, journal, owner } = view.files;
  // The newest first: if this is interrupted, what is left is still stranded.
  for (const first of [...strandedSegments].reverse()) {
    const name = layout.segmentName(first);
    // Copied and unlinked, not renamed: a writer that still has it open would go on appending to the copy, while the end of
    // an unlinked file without a seal tells it that the store is gone (P20).
    const bytes = readChecked(port, journal, name, fixedLimits.entryFileBytesMax, owner);
    removeCopied(writer, name, bytes, () => port.unlink(journal, name));
  }
}

/** P10: a record was acknowledged, and therefore synced, if a later one says so. Losing it would not be recovery. */
function refuseIfDurable(view: View, laterRecords: readonly JournalRecord[]): void {
  const lost = view.last.version + 1;
  const witness = laterRecords.find((record) => record.durable >= lost);
  if (witness === undefined) return;
  throw damagedJournal(
    view.files,
    `version ${lost} is missing or damaged, and a later record says that it was durable`,
    "journal/ was left as it is.",
  );
}

/**
 * P7: an entry file is written only after its segment was synced, so one that is newer than what is left proves that
 * more was durable - also when no later record says so, because a checkpoint died before it recorded itself. Going on
 * would give its version out again, and the next checkpoint would take the new commit for one it has already.
 */
function refuseIfWrittenOut(view: View): void {
  const { port, entries, owner } = view.files;
  for (const { directory, batch } of entries.list(Number.POSITIVE_INFINITY)) {
    for (const { name } of batch) {
      if (layout.parseEntryFileName(name) === undefined) continue;
      const version = readVersionIfIntact(() => readEntryFileIfExists(port, directory, name, undefined, owner));
      if (version <= view.last.version) continue;
      throw damagedJournal(
        view.files,
        `version ${view.last.version + 1} is missing or damaged, and the entry file ${name} is from version ${version}`,
        "journal/ was left as it is.",
      );
    }
  }
}

function readVersionIfIntact(read: () => StoredEntry | undefined): number {
  try {
    return read()?.version ?? 0;
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "entry_damaged") return 0;
    throw error;
  }
}

/**
 * The same question for a reader, which changes nothing: the error that a writer would get, if what lies behind the end
 * of this view shows that acknowledged commits are lost. `undefined` also when the rest is only what a crash leaves.
 */
export function findLostCommits(view: View, strandedSegments: readonly number[]): SessionStoreError | undefined {
  const { port, journal, owner } = view.files;
  try {
    const { current } = view;
    if (current.seal === undefined) {
      const tail = inspectTail(port, current.file, current.offset, port.stat(current.file).sizeBytes);
      if (tail.beginsBadly) refuseIfDurable(view, tail.laterRecords);
    }
    for (const first of strandedSegments) {
      const file = openChecked(port, journal, layout.segmentName(first), "read", owner);
      try {
        refuseIfDurable(view, inspectTail(port, file, 0, port.stat(file).sizeBytes).laterRecords);
      } finally {
        port.close(file);
      }
    }
    return undefined;
  } catch (error) {
    if (error instanceof SessionStoreError) return error;
    throw error;
  }
}

/** Whether the end of the journal needs a look under the lock, as far as can be seen without one. */
export function endLooksDamaged(view: View): boolean {
  const segment = view.current;
  const { port } = view.files;
  const { sizeBytes } = port.stat(segment.file);
  if (segment.seal !== undefined || sizeBytes <= segment.offset) return false;
  // A single unfinished line is what a writer at work looks like (P3); whole bad lines are not.
  return readRange(port, segment.file, segment.offset, sizeBytes).includes(0x0a);
}
