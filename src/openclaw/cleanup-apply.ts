/**
 * Carries out the plan of a cleanup on an open store, by ordinary commits: a session that somebody changed since the plan
 * was made is at work, and stays. Removed sessions go to the store's trash, unless the disk budget needs their room;
 * their transcripts are archived beside themselves, or deleted where the budget says so. No file is deleted that is not
 * in the plan.
 *
 * Not one transaction: what was removed when something fails stays removed, and is in the trash.
 */

import path from "node:path";
import type { SessionStore } from "../api.js";
import { parseStoreLocation } from "../backends/directory/layout.js";
import type { VersionToken } from "../contract.js";
import { hasCode } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { archiveRemovedSessionTranscripts } from "./archives.js";
import { type CleanupFile, type CleanupPlan, type CleanupReason, filesOf, transcriptsOf } from "./cleanup-plan.js";
import type { BudgetFile, SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { unlinkTrashFile } from "./disk-usage.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { inFolder, statFileBestEffort } from "./single-names.js";
import { normalizeOptionalString } from "./strings.js";
import { TranscriptReferences } from "./transcript-references.js";
import type { SessionEntry } from "./types.js";

export interface CleanupApplyParams {
  /** Undefined for a plan that removes no session: then no store need be open. */
  session: Pick<SessionStore<Record<string, unknown>>, "remove" | "list"> | undefined;
  storePath: string;
  plan: CleanupPlan;
  /** What the plan was made from, and the version of each of its sessions. */
  store: Readonly<Record<string, SessionEntry>>;
  versions: ReadonlyMap<string, VersionToken>;
  /** Sessions of the plan that went on their own: taking the file over left them in the original alone. */
  leftBehind?: ReadonlySet<string>;
  referencedFiles?: ReadonlySet<string>;
  /** Sessions that could not be read: they are in neither count. */
  damagedKeys?: ReadonlySet<string>;
  actor: string;
  onProgress?: (done: number, total: number) => void;
}

/** What was really done; equal to the plan when nobody else was at work. */
export interface AppliedCleanup {
  afterCount: number;
  missing: number;
  pruned: number;
  capped: number;
  diskBudget: SessionDiskBudgetSweepResult | null;
  mutated: boolean;
  /** Sessions of all reasons. */
  removed: number;
  /** Those of them that are gone for good, to make room. */
  purged: number;
  /** Every file that was deleted. */
  files: CleanupFile[];
}

/** Rejects with what a removal rejects with, except that a conflict keeps its session. */
export async function applyCleanup(params: CleanupApplyParams): Promise<AppliedCleanup> {
  const { plan, session } = params;
  const removed = await removeSessions(params);
  const counts = countReasons(removed.values());
  const remaining =
    session === undefined ? knownOf(params) : await readRemaining(session, params.damagedKeys ?? new Set());
  const freed = await freeFiles(params, removed, remaining.sessionIds);
  const evicted = counts["evict-budget"];
  return {
    afterCount: remaining.count,
    missing: counts["prune-missing"],
    pruned: counts["prune-stale"],
    capped: counts["cap-overflow"],
    diskBudget: plan.diskBudget === null ? null : toResult(plan, plan.diskBudget, freed.files, evicted),
    mutated: removed.size + filesOf(freed, params.storePath).length > 0,
    removed: removed.size,
    purged: [...removed.keys()].filter((key) => plan.purged.has(key)).length,
    files: filesOf(freed, params.storePath),
  };
}

/** Nothing is removed, so what was read is what remains. */
function knownOf({ store }: CleanupApplyParams): { count: number; sessionIds: Set<string> } {
  const sessionIds = new Set<string>();
  for (const key of Object.keys(store)) {
    const sessionId = normalizeOptionalString(ownValue(store, key)?.sessionId);
    if (sessionId !== undefined) sessionIds.add(sessionId);
  }
  return { count: Object.keys(store).length, sessionIds };
}

const removalsAtOnce = 32;

/** Several at once, so that they share a sync. */
async function removeSessions(params: CleanupApplyParams): Promise<Map<string, CleanupReason>> {
  const { session, plan, versions, leftBehind, actor, onProgress } = params;
  const removed = new Map<string, CleanupReason>();
  const all = [...plan.removals];
  for (let start = 0; start < all.length; start += removalsAtOnce) {
    const batch = all.slice(start, start + removalsAtOnce);
    await Promise.all(
      batch.map(async ([key, reason]) => {
        if (leftBehind?.has(key)) removed.set(key, reason);
        const ifVersion = versions.get(key);
        if (session === undefined || ifVersion === undefined) return;
        try {
          const purge = plan.purged.has(key);
          if (await session.remove(key, { ifVersion, purge, actor, reason })) removed.set(key, reason);
        } catch (error) {
          if (!hasCode(error, "conflict")) throw error;
        }
      }),
    );
    onProgress?.(Math.min(start + removalsAtOnce, all.length), all.length);
  }
  return removed;
}

function countReasons(reasons: Iterable<CleanupReason>): Record<CleanupReason, number> {
  const counts = { "prune-missing": 0, "prune-stale": 0, "cap-overflow": 0, "evict-budget": 0 };
  for (const reason of reasons) counts[reason] += 1;
  return counts;
}

/** As the store is now, sessions that came meanwhile included. */
async function readRemaining(
  session: NonNullable<CleanupApplyParams["session"]>,
  damagedKeys: ReadonlySet<string>,
): Promise<{ count: number; sessionIds: Set<string> }> {
  const sessionIds = new Set<string>();
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = await session.list({ order: "key", limit: 10_000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { key, sessionId } of page.sessions) {
      if (sessionId !== undefined) sessionIds.add(sessionId);
      if (!damagedKeys.has(key)) count += 1;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { count, sessionIds };
}

async function freeFiles(
  params: CleanupApplyParams,
  removed: ReadonlyMap<string, CleanupReason>,
  sessionIds: ReadonlySet<string>,
): Promise<Freed> {
  const { storePath, store, referencedFiles, plan } = params;
  const kept = emptyRecord<SessionEntry>();
  for (const key of Object.keys(store)) {
    if (!removed.has(key)) setOwnValue(kept, key, ownValue(store, key) as SessionEntry);
  }
  const own = new Set([...(referencedFiles ?? []), ...[...sessionIds].map((sessionId) => `${sessionId}.jsonl`)]);
  const references = new TranscriptReferences(kept, own);
  const files = unlinkPlanned(params, references);
  await archiveRemovedSessionTranscripts({
    removedSessionFiles: transcriptsOf(store, removed.keys(), references),
    referencedSessionIds: sessionIds,
    storePath,
    reason: "deleted",
    restrictToStoreDir: true,
  });
  const folder = path.dirname(path.resolve(storePath));
  return {
    files,
    archives: plan.archives.filter(({ directory, name, sizeBytes }) => unlinkAsPlanned(directory, name, sizeBytes)),
    // The rotation before the removals deleted them.
    surplusCopies: plan.surplusCopies.filter(({ name }) => !isThere(folder, name)),
  };
}

type Freed = Pick<CleanupPlan, "files" | "archives" | "surplusCopies">;

function isThere(folderPath: string, name: string): boolean {
  return statFileBestEffort(ambientPort(), path.join(folderPath, name)) !== undefined;
}

/** Another size is another file, or one that somebody writes to. */
function unlinkAsPlanned(folderPath: string, name: string, sizeBytes: number): boolean {
  const port = ambientPort();
  try {
    return inFolder(port, folderPath, (folder) => {
      const stat = port.statName(folder, name);
      if (stat?.kind !== "file" || stat.sizeBytes !== sizeBytes) return false;
      port.unlink(folder, name);
      return true;
    });
  } catch {
    return false;
  }
}

/** In the plan's order, but for what a session refers to after all. */
function unlinkPlanned({ storePath, plan }: CleanupApplyParams, references: TranscriptReferences): BudgetFile[] {
  if (plan.files.length === 0) return [];
  const absolute = path.resolve(storePath);
  const location = parseStoreLocation(absolute);
  const port = ambientPort();
  return plan.files.filter(({ place, name, sizeBytes }) => {
    if (place === "folder") return !references.has(name) && unlinkAsPlanned(path.dirname(absolute), name, sizeBytes);
    if (location === undefined) return false;
    return inFolder(port, location.parentPath, (folder) => unlinkTrashFile(port, folder, location, name));
  });
}

/** The plan's numbers, without what could not be removed. */
function toResult(
  plan: CleanupPlan,
  planned: SessionDiskBudgetSweepResult,
  freed: readonly BudgetFile[],
  evicted: number,
): SessionDiskBudgetSweepResult {
  const done = new Set(freed);
  const left = plan.files.filter((file) => !done.has(file)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    ...planned,
    totalBytesAfter: planned.totalBytesAfter + left,
    removedFiles: freed.length,
    removedEntries: evicted,
    freedBytes: planned.freedBytes - left,
  };
}
