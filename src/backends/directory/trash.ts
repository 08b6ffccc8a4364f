/**
 * The trash as a whole: the files in trash/, and the removals that are still only in the journal (P16). Looking takes
 * no lock and writes nothing, so readers can; throwing away checkpoints first.
 *
 * The journal is read before trash/ is listed, and a checkpoint writes trash files before anything else: what it takes
 * over in between is found as a file. A removal has the same id in both places.
 */

import type { Logger, TrashedSession } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import { Pace } from "../../fs/pace.js";
import { type Directory, hasCode } from "../../fs/port.js";
import { presentGenerations } from "../../sessions/generations.js";
import { foldKey, type TrashedState } from "./entries/fold.js";
import { readTrashFileIfExists } from "./entries/trash-file.js";
import { historiesOf } from "./journal/key-histories.js";
import type { CarriedTrash, JournalRecord } from "./journal/record.js";
import { readSegment, readSegmentInSlices, type SegmentContent } from "./journal/sealed-segment.js";
import { damagedJournal } from "./journal-errors.js";
import * as layout from "./layout.js";
import type { StoreFiles } from "./store-files.js";
import type { View } from "./view.js";

interface TrashItem {
  readonly timeMs: number;
  readonly version: number;
  readonly name: string;
  /** Known from the journal; the others are read from their files one by one. */
  readonly session?: TrashedSession;
}

/** Newest removal first. Damaged files are reported to the logger and passed over. Refresh the view first. */
export async function* readTrash(view: View, logger: Logger | undefined): AsyncGenerator<TrashedSession> {
  const { files } = view;
  const pace = new Pace(files.port);
  const items = await readJournaledRemovals(view, pace);
  const trash = files.openPartIfExists(layout.trashName);
  try {
    if (trash) await addTrashFiles(files, trash, items);
    const sorted = [...items.values()].sort(newestFirst);
    for (const item of sorted) {
      await pace.breathe();
      const session = item.session ?? readReporting(files, trash as Directory, item.name, logger);
      if (session) yield session;
    }
  } finally {
    if (trash) files.port.closeDirectory(trash);
  }
}

/** Those of the ids that could be of this backend. */
export function removalsNamed(ids: readonly string[]): ReadonlySet<string> {
  return new Set(ids.filter((id) => layout.trashIdVersion(id) !== undefined));
}

/** Whether one of these removals may not be checkpointed yet. */
export function isJournaledOnly(files: StoreFiles, ids: ReadonlySet<string>): boolean {
  const newest = [...ids].reduce((version, id) => Math.max(version, layout.trashIdVersion(id) ?? 0), 0);
  return newest > files.readManifest().checkpoint.version;
}

/**
 * Unlinks the files of these removals; returns how many were there. Everything removed before the call must be
 * checkpointed: a file of a removal that is not might be written once more, by a checkpoint that is finished for one
 * that died.
 */
export async function unlinkTrash({ files, last }: View, ids: ReadonlySet<string>): Promise<number> {
  const trash = files.openPartIfExists(layout.trashName);
  if (trash === undefined) return 0;
  try {
    const items = new Map<string, TrashItem>();
    await addTrashFiles(files, trash, items);
    const checkpointed = files.readManifest().checkpoint.version;
    let removed = 0;
    for (const { name, version } of items.values()) {
      // What says that it comes from a commit that never was is nobody's to write again.
      const isPending = version > checkpointed && version <= last.version;
      if (isPending || !ids.has(layout.trashId(name))) continue;
      try {
        files.port.unlink(trash, name);
        removed += 1;
      } catch (error) {
        if (!hasCode(error, "ENOENT")) throw error; // Somebody else emptied it.
      }
    }
    if (removed > 0) await files.port.syncDirectory(trash);
    return removed;
  } finally {
    files.port.closeDirectory(trash);
  }
}

/** What is wrong with the files in trash/: their path in the store, and the error. */
export function* findDamagedTrash(files: StoreFiles, trash: Directory): Generator<{ path: string; error: unknown }> {
  for (const batch of files.port.listInBatches(trash, 512)) {
    for (const { name } of batch) {
      if (layout.parseTrashFileName(name) === undefined) continue;
      try {
        readTrashFileIfExists(files, trash, name);
      } catch (error) {
        yield { path: `${layout.trashName}/${name}`, error };
      }
    }
  }
}

async function addTrashFiles(files: StoreFiles, trash: Directory, items: Map<string, TrashItem>): Promise<void> {
  for (const batch of files.port.listInBatches(trash, 512)) {
    for (const { name, kind } of batch) {
      const parsed = kind === "directory" ? undefined : layout.parseTrashFileName(name);
      if (parsed && !items.has(name)) items.set(name, { ...parsed, name });
    }
    await files.port.yieldToEventLoop();
  }
}

function newestFirst(left: TrashItem, right: TrashItem): number {
  return right.timeMs - left.timeMs || right.version - left.version || (left.name < right.name ? -1 : 1);
}

function readReporting(
  files: StoreFiles,
  trash: Directory,
  name: string,
  logger: Logger | undefined,
): TrashedSession | undefined {
  try {
    return readTrashFileIfExists(files, trash, name);
  } catch (error) {
    if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
    logger?.warn(`a removed session is not listed: ${error.message}`, { path: `${trash.displayPath}/${name}` });
    return undefined;
  }
}

// --- removals that are not yet checkpointed ----------------------------------------------------------------------------

const attemptsMax = 20;

async function readJournaledRemovals(view: View, pace: Pace): Promise<Map<string, TrashItem>> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    view.refresh();
    const checkpointed = view.files.readManifest().checkpoint.version;
    const live = view.segments.filter((segment) => segment.lastVersion > checkpointed);
    if (!live.some((segment) => segment.overlay.hasRemovals)) return new Map();
    const records = await readSegmentsIfExist(view.files, live, pace);
    if (records) return foldRemovals(view.files, records, checkpointed);
  }
  throw damagedJournal(view.files, "the journal changed faster than it could be read", "Nothing was changed.");
}

/** `undefined` when one was checkpointed and unlinked meanwhile. */
async function readSegmentsIfExist(
  files: StoreFiles,
  segments: readonly { readonly first: number }[],
  pace: Pace,
): Promise<JournalRecord[] | undefined> {
  const records: JournalRecord[] = [];
  for (const { first } of segments) {
    try {
      const file = openChecked(files.port, files.journal, layout.segmentName(first), "read", files.owner);
      try {
        const content = await readSegmentInSlices(files.port, file, first, () => pace.breathe());
        for (const record of content.records) records.push(record);
      } finally {
        files.port.close(file);
      }
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }
  return records;
}

function foldRemovals(files: StoreFiles, records: readonly JournalRecord[], checkpointed: number) {
  const items = new Map<string, TrashItem>();
  for (const trashed of foldTrashed(files, records, checkpointed)) {
    const { timeMs, version, key } = trashed.removal;
    const name = layout.trashFileName(timeMs, version, files.entries.fileName(key));
    items.set(name, { ...(layout.parseTrashFileName(name) as TrashItem), name, session: toSession(trashed, name) });
  }
  return items;
}

function* foldTrashed(files: StoreFiles, records: readonly JournalRecord[], checkpointed: number) {
  const histories = historiesOf(records);
  for (const key of histories.keysWithTrash()) {
    const pending = histories.historyOf(key).filter((change) => change.version > checkpointed);
    if (pending.length > 0) yield* foldKey(files.entries, pending).trashed;
  }
}

/**
 * P11: what the trash will get from these segments, for the record that carries their states on. Removals that were
 * acknowledged were synced before, so they can be read; what is missing of a file whose sync failed never was. Returns
 * by key what there is: an empty list says that there is nothing, `undefined` that it can no longer be told.
 */
export function trashOfSuspects(view: View, suspectFrom: number): (key: string) => CarriedTrash[] | undefined {
  const { files, checkpointVersion } = view;
  const found = new Map<string, CarriedTrash[]>();
  const live = view.segments.filter((segment) => segment.lastVersion > checkpointVersion);
  if (!live.some((segment) => segment.overlay.hasRemovals)) return () => [];
  let isComplete = true;
  try {
    const records: JournalRecord[] = [];
    for (const { first, lastVersion } of live) {
      const content = readSegmentNamed(files, first);
      if (content.last.version < lastVersion) isComplete = false;
      for (const record of content.records) records.push(record);
    }
    for (const { state, removal } of foldTrashed(files, records, checkpointVersion)) {
      if (removal.version < suspectFrom) continue;
      const { version, record, entry, generations } = state;
      const by = { actor: removal.actor, reason: removal.reason };
      const removed = { removedAtMs: removal.timeMs, removedByVersion: removal.version, ...by };
      const list = found.get(removal.key) ?? [];
      found.set(removal.key, list);
      // Segments that were carried before tell of a removal twice.
      if (list.some(({ removedByVersion }) => removedByVersion === removal.version)) continue;
      list.push({ version, record, ...removed, ...presentGenerations(generations), entry });
    }
  } catch {
    // What was found so far is true all the same. The states themselves must go on whatever happens to the trash.
    isComplete = false;
  }
  return (key) => found.get(key) ?? (isComplete ? [] : undefined);
}

function readSegmentNamed(files: StoreFiles, first: number): SegmentContent {
  const file = openChecked(files.port, files.journal, layout.segmentName(first), "read", files.owner);
  try {
    return readSegment(files.port, file, first);
  } finally {
    files.port.close(file);
  }
}

function toSession({ state, removal }: TrashedState, name: string): TrashedSession {
  const { key, timeMs, actor, reason } = removal;
  return {
    id: layout.trashId(name),
    key,
    entry: state.entry,
    ...presentGenerations(state.generations),
    removedMs: timeMs,
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
  };
}
