/**
 * `verify`: looks at every file of a store and says what is wrong with it. Read-only, takes no lock, works beside live
 * writers: a file that vanishes between the listing and the look is what a checkpoint at work looks like, and no
 * finding. Every finding says what to do next.
 */

import type { Finding } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { findDirectoryProblem } from "../../fs/checked-file.js";
import { type Directory, type DirectoryEntry, type FileStat, hasCode } from "../../fs/port.js";
import { mayBeIntact } from "../../fs/refusal.js";
import { fixedLimits, type Limits } from "../../limits.js";
import { readEntryFileIfExists } from "./entries/entry-file.js";
import { inspectTail } from "./journal/segment-file.js";
import { storeFenced } from "./journal-errors.js";
import * as layout from "./layout.js";
import type { StoreFiles } from "./store-files.js";
import { findDamagedTrash } from "./trash.js";
import { View } from "./view.js";

export interface CheckOptions {
  readonly limits: Readonly<Limits>;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const repairStep = "Run `sessiondir repair` to salvage what can be; it keeps every original.";
const strayStep = "Find out who made it, then move it away.";
/** Between two turns of the event loop. */
const filesPerTurn = 64;

export async function* checkStore(files: StoreFiles, options: CheckOptions): AsyncGenerator<Finding> {
  yield* checkNames(files);
  yield* checkTrash(files);
  const view = new View(files, fixedLimits.cacheBytesDefault, true, "read");
  try {
    const journalFindings = [...checkJournal(files, view)];
    yield* journalFindings;
    const journalIsReadable = view.segments.length > 0;
    yield* checkEntries(files, journalIsReadable ? view : undefined, options);
    if (journalIsReadable) yield* checkJournaledSessions(view);
  } finally {
    view.dropAll();
  }
}

// --- the store directory itself ----------------------------------------------------------------------------------------

const knownNames = new Map<string, "file" | "directory">([
  [layout.manifestName, "file"],
  [layout.checkpointMarkerName, "file"],
  [layout.journalName, "directory"],
  [layout.entriesName, "directory"],
  [layout.trashName, "directory"],
  [layout.quarantineName, "directory"],
  [layout.summaryIndexName, "directory"],
  [layout.blobsName, "directory"],
]);

function* checkNames(files: StoreFiles): Generator<Finding> {
  for (const [name, directory] of [
    [layout.journalName, files.journal],
    [layout.entriesName, files.entries.root],
  ] as const) {
    if (!isSame(files.port.statName(files.store, name), files.port.statDirectory(directory)))
      yield unsafe(
        name,
        `what is called ${name}/ now is not what this process has open: it was replaced, or mounted over`,
      );
  }
  yield* checkNamesListed(files);
  for (const name of Object.values(layout.lockNames(files.location.directoryName))) {
    const stat = files.port.statName(files.parent, name);
    if (stat && stat.kind !== "file") yield unsafe(`../${name}`, `the lock file is a ${stat.kind}`);
  }
}

function isSame(left: FileStat | undefined, right: FileStat): boolean {
  return left?.device === right.device && left.inode === right.inode;
}

/** Somebody else's files are named one by one as far as anybody would read them, and counted beyond. */
function* checkNamesListed(files: StoreFiles): Generator<Finding> {
  let strays = 0;
  for (const batch of files.port.listInBatches(files.store, 512)) {
    for (const entry of batch) {
      const known = knownNames.get(entry.name);
      if (known === undefined && !layout.isTemporaryName(entry.name)) {
        strays += 1;
        if (strays <= fixedLimits.strayFilesMax) yield stray(entry, entry.name);
      } else if (known !== undefined && entry.kind !== known) {
        yield unsafe(entry.name, `${entry.name} is a ${entry.kind}, not a ${known}`);
      }
    }
  }
  const more = strays - fixedLimits.strayFilesMax;
  if (more <= 0) return;
  const message = `${more} more files in the store directory are not part of the store; they are ignored`;
  yield { severity: "warning", code: "foreign_file", message, nextStep: strayStep };
}

function* checkTrash(files: StoreFiles): Generator<Finding> {
  for (const part of [layout.trashName, layout.quarantineName, layout.summaryIndexName]) {
    let directory: Directory | undefined;
    try {
      directory = files.openPartIfExists(part);
    } catch (error) {
      // What the system refuses just now says nothing about the directory.
      if (!(error instanceof SessionStoreError)) throw error;
      yield unsafe(part, describe(error));
      continue;
    }
    if (directory === undefined) continue;
    try {
      const problem = findDirectoryProblem(files.port.statDirectory(directory), files.owner);
      if (problem) yield unsafe(part, `this directory ${problem}`);
      if (part === layout.trashName) yield* checkTrashFiles(files, directory);
    } finally {
      files.port.closeDirectory(directory);
    }
  }
}

/** No session is missing for it, so a warning; but what was removed cannot be restored. */
function* checkTrashFiles(files: StoreFiles, trash: Directory): Generator<Finding> {
  for (const { path, error } of findDamagedTrash(files, trash)) {
    if (!(error instanceof SessionStoreError)) throw error;
    const nextStep = "Look at it by hand if the removed session is still wanted; it goes when its time is over.";
    yield { severity: "warning", code: "trash_damaged", path, message: describe(error), nextStep };
  }
}

// --- the journal -------------------------------------------------------------------------------------------------------

function* checkJournal(files: StoreFiles, view: View): Generator<Finding> {
  const { port, journal } = files;
  for (const entry of port.list(journal, Number.POSITIVE_INFINITY)) {
    const path = `${layout.journalName}/${entry.name}`;
    if (layout.parseSegmentName(entry.name) === undefined) yield stray(entry, path);
    else if (entry.kind !== "file") yield unsafe(path, `a journal segment is a ${entry.kind}`);
  }
  try {
    const { strandedSegments } = view.rebuild();
    for (const first of strandedSegments) {
      yield corrupt(layout.segmentName(first), "nothing leads to this segment: the one before it has no seal");
    }
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    view.dropAll();
    yield corrupt("", error.problem);
    return;
  }
  if (view.current.seal === "fenced") yield fenced(files, view);
  yield* checkJournalEnd(view);
}

/** A rollback or a restore is at work, or was interrupted. No commit is missing, so nothing is damaged. */
function fenced(files: StoreFiles, view: View): Finding {
  const { problem, nextStep } = storeFenced(files);
  const path = `${layout.journalName}/${layout.segmentName(view.current.first)}`;
  return { severity: "error", code: "store_fenced", path, message: problem, nextStep: nextStep ?? repairStep };
}

/** A writer at work leaves an unfinished line for a moment; whole bad lines are a crash that nobody recovered yet, or damage. */
function* checkJournalEnd(view: View): Generator<Finding> {
  const { port } = view.files;
  const segment = view.current;
  const { sizeBytes } = port.stat(segment.file);
  if (segment.seal !== undefined || sizeBytes <= segment.offset) return;
  const tail = inspectTail(port, segment.file, segment.offset, sizeBytes);
  if (!tail.hasWholeLines || !tail.beginsBadly) return;
  const lost = view.last.version + 1;
  const name = layout.segmentName(segment.first);
  if (tail.laterRecords.some((record) => record.durable >= lost)) {
    yield corrupt(name, `version ${lost} is damaged, and a later record says that it was durable`);
  } else {
    yield {
      severity: "warning",
      code: "journal_tail",
      path: `${layout.journalName}/${name}`,
      message: `${tail.bytes.byteLength} bytes behind version ${view.last.version} are no valid records; none of them was acknowledged`,
      nextStep: "Nothing: the next writer keeps a copy in quarantine/ and cuts them.",
    };
  }
}

function* checkJournaledSessions(view: View): Generator<Finding> {
  const keys = new Set(view.segments.flatMap((segment) => [...segment.overlay.changes.keys()]));
  for (const key of keys) {
    const finding = catchDamage(key, undefined, () => view.readJudged(key));
    if (finding) yield finding;
  }
}

// --- entry files -------------------------------------------------------------------------------------------------------

async function* checkEntries(
  files: StoreFiles,
  view: View | undefined,
  options: CheckOptions,
): AsyncGenerator<Finding> {
  const { port } = files;
  const total = countEntries(files);
  let done = 0;
  for (const { directory, batch } of files.entries.list(Number.POSITIVE_INFINITY)) {
    for (const entry of batch) {
      done += 1;
      if (done % filesPerTurn === 0) {
        await port.yieldToEventLoop();
        options.onProgress?.(done, Math.max(done, total));
      }
      const finding = checkEntry(files, view, directory, entry);
      if (finding) yield finding;
    }
  }
  options.onProgress?.(done, done);
}

function checkEntry(
  files: StoreFiles,
  view: View | undefined,
  directory: Directory,
  entry: DirectoryEntry,
): Finding | undefined {
  const path = relativePath(files, directory, entry.name);
  if (layout.isTemporaryName(entry.name)) return checkTemporary(files, path);
  const parsed = layout.parseEntryFileName(entry.name);
  if (parsed === undefined) return stray(entry, path);
  const key = parsed === "hashed" ? undefined : parsed.key;
  let stored: ReturnType<typeof readEntryFileIfExists>;
  const finding = catchDamage(key, path, () => {
    stored = readEntryFileIfExists(files.port, directory, entry.name, key, files.owner);
  });
  if (finding || stored === undefined) return finding;
  if (files.entries.fileName(stored.key) !== entry.name) {
    return {
      severity: "error",
      code: "entry_damaged",
      path,
      key: stored.key,
      message: "this file has the name of another session",
      nextStep: repairStep,
    };
  }
  if (view) {
    view.refresh();
    if (stored.version > view.last.version) {
      return {
        severity: "error",
        code: "entry_too_new",
        path,
        key: stored.key,
        message: `this entry has version ${stored.version}, but the journal ends at ${view.last.version}`,
        nextStep:
          "Commits are missing from journal/: restore it, or run `sessiondir repair` to go on from the entry files.",
      };
    }
  }
  return undefined;
}

/** While a checkpoint runs its temporary files are in order; without one they are what a crash left behind. */
function checkTemporary(files: StoreFiles, path: string): Finding | undefined {
  if (files.port.statName(files.store, layout.checkpointMarkerName)) return undefined;
  return {
    severity: "warning",
    code: "temporary_file",
    path,
    message: "a temporary file was left behind by a checkpoint that died",
    nextStep: "Run `sessiondir repair` to remove it.",
  };
}

function countEntries(files: StoreFiles): number {
  let count = 0;
  for (const { batch } of files.entries.list(Number.POSITIVE_INFINITY)) count += batch.length;
  return count;
}

// --- findings ----------------------------------------------------------------------------------------------------------

function catchDamage(key: string | undefined, path: string | undefined, read: () => unknown): Finding | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof SessionStoreError)) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
    return {
      severity: "error",
      code: error.code,
      ...(path === undefined ? {} : { path }),
      ...(key === undefined ? {} : { key }),
      message: describe(error),
      // Repair leaves what may be intact: the error says how to make it usable where it lies.
      nextStep:
        (error.code === "entry_damaged" && !mayBeIntact(error.cause) ? undefined : error.nextStep) ?? repairStep,
    };
  }
}

function describe({ problem, cause }: SessionStoreError): string {
  return cause instanceof SessionStoreError && !problem.endsWith(cause.problem)
    ? `${problem}: ${cause.problem}`
    : problem;
}

function stray(entry: DirectoryEntry, path: string): Finding {
  const what = entry.kind === "other" ? "FIFO, socket or device" : entry.kind;
  return {
    severity: "warning",
    code: "foreign_file",
    path,
    message: `this ${what} is not part of the store; it is ignored`,
    nextStep: strayStep,
  };
}

function unsafe(path: string, message: string): Finding {
  return { severity: "error", code: "unsafe_file", path, message, nextStep: strayStep };
}

function corrupt(segment: string, message: string): Finding {
  return {
    severity: "error",
    code: "journal_corrupt",
    path: `${layout.journalName}/${segment}`,
    message,
    nextStep: repairStep,
  };
}

function relativePath(files: StoreFiles, directory: Directory, name: string): string {
  const inside = directory.displayPath.slice(files.store.displayPath.length + 1);
  return `${inside}/${name}`.replaceAll("\\", "/");
}
