/**
 * What a cleanup would remove from one store, and why: decided once, from the sessions and the disk as they are, so that
 * a dry run shows what a real run does. Reads the disk - transcripts that are missing, and what the budget counts - and
 * changes nothing, neither there nor in the store that it is given. `cleanup-apply.ts` carries a plan out.
 *
 * The session at work is never in a plan, whatever the reason.
 */

import path from "node:path";
import { parseStoreLocation, trashName } from "../backends/directory/layout.js";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { hasCode } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { type ExpiredArchive, findExpiredArchives, findSessionTranscripts } from "./archives.js";
import { type BudgetFile, enforceSessionDiskBudget, type SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { capEntryCount, pruneStaleEntries, updatedAtOf } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { resolveSessionFilePath } from "./paths.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { type BackupRecord, surplusAtNextRotation } from "./rotate.js";
import { inFolderOf } from "./single-names.js";
import { normalizeOptionalString } from "./strings.js";
import { TranscriptReferences } from "./transcript-references.js";
import type { SessionEntry } from "./types.js";

export type CleanupReason = "prune-missing" | "prune-stale" | "cap-overflow" | "evict-budget";

export interface CleanupPlanParams {
  storePath: string;
  /** Of each session at least `sessionId`, `sessionFile` and `updatedAt`; whole entries where a budget is to be exact. */
  store: Readonly<Record<string, SessionEntry>>;
  maintenance: ResolvedSessionMaintenanceConfig;
  /** `missing-only`: nothing but what `fixMissing` asks for, and the budget is measured alone; as mode `warn` acts. */
  extent: "everything" | "missing-only";
  /** Remove sessions whose transcript does not exist. */
  fixMissing?: boolean;
  activeKey?: string | undefined;
  /** As for the disk budget: names of transcripts that earlier generations refer to. */
  referencedFiles?: ReadonlySet<string>;
  /** The store is a single file: it is copied before sessions are removed from it, as by a rotation. */
  isSingleFile?: boolean;
  /** Sessions are there that could not be read, so nobody can say which transcripts are theirs: free nothing. */
  hasUnread?: boolean;
}

export interface CleanupPlan {
  beforeCount: number;
  afterCount: number;
  missing: number;
  pruned: number;
  capped: number;
  /** Null without a budget. */
  diskBudget: SessionDiskBudgetSweepResult | null;
  /** A session goes, or a file is deleted. */
  wouldMutate: boolean;
  /** Why each session goes, in the order of removal. */
  removals: Map<string, CleanupReason>;
  /** Those of them that must not take room in the trash. */
  purged: Set<string>;
  /** Files that the budget frees. */
  files: BudgetFile[];
  /** Archives of transcripts that are past their time. */
  archives: ExpiredArchive[];
  /** Older copies that the rotation before the removals deletes, as names in the store's folder. */
  surplusCopies: BackupRecord[];
  /** Backups and what was set aside: with a budget, what it neither counts nor frees. */
  kept: BudgetFile[];
}

/** A file that is deleted, for people and for scripts. */
export interface CleanupFile {
  /** Absolute. */
  path: string;
  sizeBytes: number;
  /** - `surplus-copy`: a rotation keeps the three newest copies that rotations made. */
  reason: "disk-budget" | "expired-archive" | "surplus-copy";
}

/** Every file that the plan deletes. What is only renamed - transcripts that are archived - is not among them. */
export function filesOf(
  { files, archives, surplusCopies }: Pick<CleanupPlan, "files" | "archives" | "surplusCopies">,
  storePath: string,
): CleanupFile[] {
  const folder = path.dirname(path.resolve(storePath));
  const trash = path.join(folder, parseStoreLocation(path.resolve(storePath))?.directoryName ?? "", trashName);
  return [
    ...archives.map(({ directory, name, sizeBytes }) => {
      return { path: path.join(directory, name), sizeBytes, reason: "expired-archive" as const };
    }),
    ...files.map(({ place, name, sizeBytes }) => {
      return { path: path.join(place === "trash" ? trash : folder, name), sizeBytes, reason: "disk-budget" as const };
    }),
    ...surplusCopies.map(({ name, sizeBytes }) => {
      return { path: path.join(folder, name), sizeBytes, reason: "surplus-copy" as const };
    }),
  ];
}

/** Throws what the system says when the store's folder cannot be read for the budget. */
export async function planCleanup(params: CleanupPlanParams): Promise<CleanupPlan> {
  const { storePath, maintenance, extent, fixMissing = false } = params;
  const store = copyOf(params.store);
  const beforeCount = Object.keys(store).length;
  const removals = new Map<string, CleanupReason>();
  const preserveKeys = activeKeys(store, params.activeKey);
  const missing = fixMissing ? pruneMissing(store, storePath, preserveKeys, removals) : 0;
  let pruned = 0;
  let capped = 0;
  if (extent === "everything") {
    pruned = pruneStaleEntries(store, maintenance.pruneAfterMs, {
      log: false,
      preserveKeys,
      onPruned: ({ key }) => removals.set(key, "prune-stale"),
    });
    capped = capEntryCount(store, maintenance.maxEntries, {
      log: false,
      preserveKeys,
      onCapped: ({ key }) => removals.set(key, "cap-overflow"),
    });
  }
  const archives =
    extent === "everything" ? await planArchives(params.store, store, removals.keys(), storePath, params) : [];
  const purged = new Set<string>();
  const kept: BudgetFile[] = [];
  const files: BudgetFile[] = [];
  const diskBudget = await enforceSessionDiskBudget({
    store,
    storePath,
    maintenance,
    ...(params.activeKey === undefined ? {} : { activeSessionKey: params.activeKey }),
    ...(params.referencedFiles === undefined ? {} : { referencedFiles: params.referencedFiles }),
    warnOnly: extent === "missing-only" || params.hasUnread === true,
    dryRun: true,
    log: silent,
    removing: oldestFirst(params.store, removals.keys()),
    leaving: namesInFolder(archives, storePath),
    onKept: (file) => kept.push(file),
    onPurged: (key) => purged.add(key),
    onFile: (file) => files.push(file),
    onEvicted: ({ key }) => {
      removals.set(key, "evict-budget");
      purged.add(key);
    },
  });
  const surplusCopies = params.isSingleFile && removals.size > 0 ? planRotation(storePath, files) : [];
  const removesByBudget = diskBudget !== null && diskBudget.removedEntries + diskBudget.removedFiles > 0;
  return {
    beforeCount,
    afterCount: Object.keys(store).length,
    missing,
    pruned,
    capped,
    diskBudget,
    wouldMutate: missing > 0 || pruned > 0 || capped > 0 || removesByBudget || archives.length > 0,
    removals,
    purged,
    files,
    archives,
    surplusCopies,
    kept,
  };
}

/**
 * As at each write: archives lie in the folders in which something is archived now, else in the store's; and where
 * nothing is archived and those of resets stay for ever, nobody looks.
 */
async function planArchives(
  before: Readonly<Record<string, SessionEntry>>,
  after: Readonly<Record<string, SessionEntry>>,
  removed: Iterable<string>,
  storePath: string,
  { maintenance, referencedFiles = new Set() }: CleanupPlanParams,
): Promise<ExpiredArchive[]> {
  const { pruneAfterMs, resetArchiveRetentionMs } = maintenance;
  const references = new TranscriptReferences(after, referencedFiles);
  const touched = new Set<string>();
  for (const [sessionId, sessionFile] of transcriptsOf(before, removed, references)) {
    const options = { sessionId, storePath, restrictToStoreDir: true, ...(sessionFile ? { sessionFile } : {}) };
    for (const transcript of findSessionTranscripts(options)) touched.add(path.dirname(transcript));
  }
  if (touched.size === 0 && resetArchiveRetentionMs === null) return [];
  const directories = touched.size > 0 ? touched : [path.dirname(path.resolve(storePath))];
  const { expired } = await findExpiredArchives({ directories, olderThanMs: pruneAfterMs, reason: "deleted" });
  if (resetArchiveRetentionMs === null) return expired;
  const options = { directories, olderThanMs: resetArchiveRetentionMs, reason: "reset" } as const;
  return [...expired, ...(await findExpiredArchives(options)).expired];
}

function namesInFolder(archives: readonly ExpiredArchive[], storePath: string): Set<string> {
  const folder = realPathOfDeepest(ambientPort(), path.dirname(path.resolve(storePath)));
  const isHere = ({ directory }: ExpiredArchive) => realPathOfDeepest(ambientPort(), directory) === folder;
  return new Set(archives.filter(isHere).map(({ name }) => name));
}

function planRotation(storePath: string, files: readonly BudgetFile[]): BackupRecord[] {
  const port = ambientPort();
  const surplus = inFolderOf(port, storePath, (folder, name) => surplusAtNextRotation(port, folder, name));
  return surplus.filter(({ name }) => !files.some((file) => file.place === "folder" && file.name === name));
}

/** What is archived when these sessions go: transcripts that no other session refers to. */
export function* transcriptsOf(
  store: Readonly<Record<string, SessionEntry>>,
  keys: Iterable<string>,
  references: TranscriptReferences,
): Generator<[string, string | undefined]> {
  for (const key of keys) {
    const entry = ownValue(store, key);
    const sessionId = normalizeOptionalString(entry?.sessionId);
    if (sessionId === undefined || references.has(`${sessionId}.jsonl`)) continue;
    const sessionFile = normalizeOptionalString(entry?.sessionFile);
    const isShared = sessionFile !== undefined && references.has(path.basename(sessionFile));
    yield [sessionId, isShared ? undefined : sessionFile];
  }
}

const silent = { info: () => {}, warn: () => {} };

function copyOf(store: Readonly<Record<string, SessionEntry>>): Record<string, SessionEntry> {
  const copy = emptyRecord<SessionEntry>();
  for (const key of Object.keys(store)) setOwnValue(copy, key, ownValue(store, key) as SessionEntry);
  return copy;
}

/** Every spelling of the key that the store has. */
function activeKeys(store: Record<string, SessionEntry>, activeKey: string | undefined): Set<string> {
  const active = normalizeStoreSessionKey(activeKey ?? "");
  if (active === "") return new Set();
  return new Set(Object.keys(store).filter((key) => normalizeStoreSessionKey(key) === active));
}

function oldestFirst(store: Readonly<Record<string, SessionEntry>>, keys: Iterable<string>): string[] {
  const dated = [...keys].map((key) => ({ key, updatedAt: updatedAtOf(ownValue(store, key)) }));
  dated.sort((left, right) => (left.updatedAt < right.updatedAt ? -1 : left.updatedAt > right.updatedAt ? 1 : 0));
  return dated.map(({ key }) => key);
}

function pruneMissing(
  store: Record<string, SessionEntry>,
  storePath: string,
  preserveKeys: ReadonlySet<string>,
  removals: Map<string, CleanupReason>,
): number {
  let count = 0;
  for (const key of Object.keys(store)) {
    if (preserveKeys.has(key) || !isTranscriptMissing(ownValue(store, key), storePath)) continue;
    removals.set(key, "prune-missing");
    delete store[key];
    count += 1;
  }
  return count;
}

/** Without a session id, or with one that cannot name a file, there is no transcript to miss. */
function isTranscriptMissing(entry: SessionEntry | undefined, storePath: string): boolean {
  const sessionId = normalizeOptionalString(entry?.sessionId);
  if (sessionId === undefined) return false;
  let transcript: string;
  try {
    transcript = resolveSessionFilePath(sessionId, entry, { sessionsDir: path.dirname(path.resolve(storePath)) });
  } catch {
    return false;
  }
  try {
    ambientPort().realPath(transcript);
    return false;
  } catch (error) {
    // A folder that cannot be entered says nothing about what is in it.
    return hasCode(error, "ENOENT");
  }
}
