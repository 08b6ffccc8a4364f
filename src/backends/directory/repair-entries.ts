/**
 * Damaged entry files, one session at a time. In this order of preference: what the journal still tells; the file as it
 * is, if its edit was accepted; otherwise the file stays, when it can still be read, or moves to quarantine/. A file that
 * may be intact - it has a hard link elsewhere, or another owner, or cannot be read just now - always stays, and keeps no
 * other from being repaired.
 */

import type { FrozenEntry, Generation } from "../../contract.js";
import { SessionStoreError, shortenKey } from "../../errors.js";
import { openChecked, readWhole } from "../../fs/checked-file.js";
import type { Directory, DirectoryEntry } from "../../fs/port.js";
import { mayBeIntact } from "../../fs/refusal.js";
import { defaultLimits, fixedLimits, limitCaps } from "../../limits.js";
import { privatizeEntry } from "../../sessions/entry-value.js";
import { parseGenerations } from "../../sessions/generations.js";
import { applyPatch } from "../../sessions/patch.js";
import { shellWord } from "../../shell-word.js";
import { sweepTemporaryFiles } from "./checkpoint.js";
import { formatEntryFile, readEntryFileIfExists, writeTemporaryFile } from "./entries/entry-file.js";
import { historiesOf, type KeyHistory } from "./journal/key-histories.js";
import { readSegment } from "./journal/sealed-segment.js";
import { JournalWriter } from "./journal-writer.js";
import * as layout from "./layout.js";
import { settleJournalEnd, withCopies } from "./recover.js";
import { acceptedKeys, type RepairAction, type RepairContext } from "./repair.js";
import { StoreFiles } from "./store-files.js";
import { dropIndex } from "./summary-index/leftovers.js";
import { View } from "./view.js";

/** What can still be told of a session. */
interface RepairedState {
  readonly entry: FrozenEntry;
  readonly generations?: readonly Generation[] | undefined;
}

interface DamagedFile {
  readonly directory: Directory;
  readonly name: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly problem: string;
  /** How to make it usable where it lies; only for a file that may be intact. */
  readonly remedy?: string | undefined;
}

export async function repairEntries(context: RepairContext): Promise<void> {
  const files = StoreFiles.open(context.port, context.location, context.dryRun);
  const view = new View(files, fixedLimits.cacheBytesDefault, context.dryRun);
  try {
    view.rebuild();
    const writer = new JournalWriter(view, defaultLimits.recordBytes);
    if (!context.dryRun) await withCopies(writer, async () => settleJournalEnd(writer));
    // First of all: what it says of sessions that are repaired must not outlive a crash in between.
    if (!context.dryRun) await dropIndex(files);
    const accept = acceptedKeys(context, files);
    const concerned = new Set<string | undefined>();
    const note = (action: RepairAction) => {
      concerned.add(action.key);
      context.note(action);
    };
    for (const damaged of findDamagedFiles(files)) {
      await repairFile({ ...context, note }, files, view, writer, accept, damaged);
    }
    for (const key of accept) if (!concerned.has(key)) context.note(nothingToAccept(key));
    await sweepLeftovers(context, files);
    if (!context.dryRun) {
      await context.port.syncFile(view.current.file);
      await context.port.syncDirectory(files.journal);
    }
  } finally {
    view.dropAll();
    files.close();
  }
}

/** Perhaps the key is mistyped, and the edit that was meant is still refused. */
function nothingToAccept(key: string): RepairAction {
  return {
    code: "accept_unused",
    key,
    message: "no entry file of this session is damaged: there was nothing to accept",
  };
}

function findDamagedFiles(files: StoreFiles): DamagedFile[] {
  const found: DamagedFile[] = [];
  for (const { directory, batch } of files.entries.list(Number.POSITIVE_INFINITY)) {
    for (const entry of batch) {
      const damaged = findDamage(files, directory, entry);
      if (damaged) found.push(damaged);
    }
  }
  return found;
}

function findDamage(files: StoreFiles, directory: Directory, entry: DirectoryEntry): DamagedFile | undefined {
  const { name } = entry;
  const parsed = layout.parseEntryFileName(name);
  if (parsed === undefined) return undefined; // Not ours: reported by verify, left alone.
  const key = parsed === "hashed" ? undefined : parsed.key;
  const path = `${directory.displayPath.slice(files.store.displayPath.length + 1)}/${name}`;
  try {
    const stored = readEntryFileIfExists(files.port, directory, name, key, files.owner);
    if (stored === undefined || files.entries.fileName(stored.key) === name) return undefined;
    return { directory, name, path, key: stored.key, problem: "has the name of another session" };
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    return { directory, name, path, key, problem: error.problem, remedy: remedyInPlace(error) };
  }
}

/** A file that cannot be read, or not be trusted, as it lies there may be a healthy session: nothing is done about it. */
function remedyInPlace(error: SessionStoreError): string | undefined {
  return mayBeIntact(error.cause) ? (error.nextStep ?? "") : undefined;
}

async function repairFile(
  context: RepairContext,
  files: StoreFiles,
  view: View,
  writer: JournalWriter,
  accept: ReadonlySet<string>,
  damaged: DamagedFile,
): Promise<void> {
  const would = context.dryRun ? "would be" : "was";
  const readable = readUnchecked(files, damaged);
  const key = damaged.key ?? readable?.key;
  const note = (code: string, message: string) =>
    context.note({ code, path: damaged.path, ...(key === undefined ? {} : { key }), message });

  if (key !== undefined && journalReplaces(view, key)) {
    note(
      "entry_in_journal",
      "the journal holds this session whole; the next checkpoint writes its file anew and keeps a copy of the old one",
    );
    return;
  }
  if (damaged.remedy !== undefined) {
    note(
      "entry_left",
      `${damaged.problem}; it may be intact and ${context.dryRun ? "would be" : "was"} left as it is. ${damaged.remedy}`,
    );
    return;
  }
  if (
    key !== undefined &&
    readable &&
    files.entries.fileName(key) === damaged.name &&
    readable.key === key &&
    accept.has(key)
  ) {
    if (!context.dryRun) await putAgain(files, view, writer, key, readable, damaged, "hand edit accepted");
    note("entry_accepted", `the entry ${would} taken as it is in the file now`);
    return;
  }
  const salvaged = key === undefined ? undefined : stateFromKeptSegments(files, key);
  if (key !== undefined && salvaged && !(readable && readable.key === key)) {
    if (!context.dryRun) await putAgain(files, view, writer, key, salvaged, damaged, "salvaged from the journal");
    note("entry_salvaged", `the entry ${would} put together again from the journal`);
    return;
  }
  if (readable && readable.key === key && files.entries.fileName(readable.key) === damaged.name) {
    note(
      "entry_left",
      `the file can be read but was changed behind the store's back; it was left as it is. Run \`sessiondir repair --store ${shellWord(files.store.displayPath)} --accept ${keyForShell(key)}\` to take it as it is now`,
    );
    return;
  }
  if (!context.dryRun) {
    await files.makeQuarantine();
    files.quarantineMove(damaged.directory, damaged.name);
    await context.port.syncDirectory(damaged.directory);
  }
  note(
    "file_quarantined",
    `nothing of this session could be salvaged (${damaged.problem}); the file ${would} moved to quarantine/`,
  );
}

/** A key that a message must not carry whole stands for itself: the reader knows it, or finds it in the report. */
function keyForShell(key: string): string {
  return shortenKey(key) === JSON.stringify(key) ? shellWord(key) : "KEY";
}

/** A put or removal that is not yet checkpointed makes whatever the file holds unimportant. */
function journalReplaces(view: View, key: string): boolean {
  const change = view.latestChange(key);
  if (change === undefined) return false;
  try {
    view.read(key);
    return true;
  } catch {
    return false;
  }
}

/** As a commit of its own, so that every cache and watcher hears of it; and as a file, so that nothing damaged is left. */
async function putAgain(
  files: StoreFiles,
  view: View,
  writer: JournalWriter,
  key: string,
  { entry, generations }: RepairedState,
  damaged: DamagedFile,
  reason: string,
): Promise<void> {
  const { port } = files;
  await files.makeQuarantine();
  if (!(await files.quarantineCopy(damaged.directory, damaged.name)))
    files.quarantineMove(damaged.directory, damaged.name);
  const record = writer.appendCommit({
    operations: [{ type: "put", key, entry: entry as Record<string, unknown>, generations }],
    commitId: undefined,
    actor: "sessiondir repair",
    reason,
  });
  await port.syncFile(view.current.file);
  await port.syncDirectory(files.journal);
  const place = files.entries.makePlace(key);
  const temporary = layout.temporaryName(port.randomBytes(16));
  await writeTemporaryFile(port, place.directory, temporary, formatEntryFile(key, record, entry, generations));
  port.rename(place.directory, temporary, place.directory, place.name);
  await port.syncDirectory(place.directory);
}

/** The file as anybody with an editor would read it: no checksum asked, but a whole entry of this store. */
function readUnchecked(files: StoreFiles, damaged: DamagedFile): (RepairedState & { key: string }) | undefined {
  try {
    const file = openChecked(files.port, damaged.directory, damaged.name, "read", files.owner);
    let bytes: Uint8Array;
    try {
      bytes = readWhole(files.port, file, fixedLimits.entryFileBytesMax);
    } finally {
      files.port.close(file);
    }
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Record<string, unknown>;
    if (typeof value.sessionKey !== "string") return undefined;
    const entry = privatizeEntry(value.entry, {
      nestingLevels: limitCaps.nestingLevels,
      entryBytes: limitCaps.entryBytes,
    });
    return { key: value.sessionKey, entry, generations: parseGenerations(value.generations) };
  } catch {
    return undefined;
  }
}

/** The last whole state of a session that the segments kept for watchers still tell. */
function stateFromKeptSegments(files: StoreFiles, key: string): RepairedState | undefined {
  let state: (RepairedState & { version: number }) | undefined;
  for (const first of files.listSegments()) {
    const file = openChecked(files.port, files.journal, layout.segmentName(first), "read", files.owner);
    let history: KeyHistory;
    try {
      history = historiesOf(readSegment(files.port, file, first).records).historyOf(key);
    } finally {
      files.port.close(file);
    }
    for (const change of history) {
      const { version, generations } = change;
      if (change.type === "put") state = { version, entry: change.entry as FrozenEntry, generations };
      else if (change.type === "remove") state = undefined;
      else if (state && state.version === change.base) {
        const entry = applyPatch(state.entry, change.set as FrozenEntry, change.unset ?? []);
        state = { version, entry, generations: generations ?? state.generations };
      } else state = undefined;
    }
  }
  return state;
}

async function sweepLeftovers(context: RepairContext, files: StoreFiles): Promise<void> {
  if (context.dryRun) return;
  const swept = sweepTemporaryFiles(files);
  if (context.port.statName(files.store, layout.checkpointMarkerName))
    context.port.unlink(files.store, layout.checkpointMarkerName);
  if (swept > 0)
    context.note({
      code: "temporary_files_removed",
      message: `${swept} temporary files of an interrupted checkpoint were removed`,
    });
}
