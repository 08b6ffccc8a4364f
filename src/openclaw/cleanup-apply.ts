/**
 * Carries out the plan of a cleanup on an open directory store, by ordinary commits: a session that somebody changed
 * since the plan was made is at work, and stays. Removed sessions go to the store's trash, unless the disk budget needs
 * their room; their transcripts are archived beside themselves, or deleted where the budget says so.
 *
 * Not one transaction: what was removed when something fails stays removed, and is in the trash.
 */

import path from "node:path";
import type { SessionStore } from "../api.js";
import { parseStoreLocation } from "../backends/directory/layout.js";
import type { VersionToken } from "../contract.js";
import { hasCode } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { archiveRemovedSessionTranscripts, cleanupArchivedSessionTranscripts } from "./archives.js";
import type { CleanupPlan, CleanupReason } from "./cleanup-plan.js";
import type { BudgetFile, SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { unlinkTrashFile } from "./disk-usage.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { inFolder } from "./single-names.js";
import { normalizeOptionalString } from "./strings.js";
import { TranscriptReferences } from "./transcript-references.js";
import type { SessionEntry } from "./types.js";

export interface CleanupApplyParams {
  session: Pick<SessionStore<Record<string, unknown>>, "remove" | "list">;
  storePath: string;
  plan: CleanupPlan;
  /** What the plan was made from, and the version of each of its sessions. */
  store: Readonly<Record<string, SessionEntry>>;
  versions: ReadonlyMap<string, VersionToken>;
  referencedFiles?: ReadonlySet<string>;
  /** Sessions that could not be read: they are in neither count. */
  damagedKeys?: ReadonlySet<string>;
  /** Null: archives stay, as in mode `warn`. */
  retention: Pick<ResolvedSessionMaintenanceConfig, "pruneAfterMs" | "resetArchiveRetentionMs"> | null;
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
}

/** Rejects with what a removal rejects with, except that a conflict keeps its session. */
export async function applyCleanup(params: CleanupApplyParams): Promise<AppliedCleanup> {
  const { plan, session } = params;
  const removed = await removeSessions(params);
  const counts = countReasons(removed.values());
  const remaining = await readRemaining(session, params.damagedKeys ?? new Set());
  const freed = await freeFiles(params, removed, remaining.sessionIds);
  const evicted = counts["evict-budget"];
  return {
    afterCount: remaining.count,
    missing: counts["prune-missing"],
    pruned: counts["prune-stale"],
    capped: counts["cap-overflow"],
    diskBudget: plan.diskBudget === null ? null : toResult(plan, plan.diskBudget, freed, evicted),
    mutated: removed.size + freed.length > 0,
  };
}

const removalsAtOnce = 32;

/** Several at once, so that they share a sync. */
async function removeSessions(params: CleanupApplyParams): Promise<Map<string, CleanupReason>> {
  const { session, plan, versions, actor, onProgress } = params;
  const removed = new Map<string, CleanupReason>();
  const all = [...plan.removals];
  for (let start = 0; start < all.length; start += removalsAtOnce) {
    const batch = all.slice(start, start + removalsAtOnce);
    await Promise.all(
      batch.map(async ([key, reason]) => {
        const ifVersion = versions.get(key);
        if (ifVersion === undefined) return;
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
  session: CleanupApplyParams["session"],
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
): Promise<BudgetFile[]> {
  const { storePath, store, referencedFiles, retention } = params;
  const kept = emptyRecord<SessionEntry>();
  for (const key of Object.keys(store)) {
    if (!removed.has(key)) setOwnValue(kept, key, ownValue(store, key) as SessionEntry);
  }
  const own = new Set([...(referencedFiles ?? []), ...[...sessionIds].map((sessionId) => `${sessionId}.jsonl`)]);
  const references = new TranscriptReferences(kept, own);
  const freed = unlinkPlanned(params, references);
  const folders = await archiveRemovedSessionTranscripts({
    removedSessionFiles: transcriptsOf(store, removed.keys(), references),
    referencedSessionIds: sessionIds,
    storePath,
    reason: "deleted",
    restrictToStoreDir: true,
  });
  if (retention !== null) await cleanUpArchives(folders, storePath, retention);
  return freed;
}

function* transcriptsOf(
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

/** In the plan's order, but for what a session refers to after all. */
function unlinkPlanned({ storePath, plan }: CleanupApplyParams, references: TranscriptReferences): BudgetFile[] {
  const location = parseStoreLocation(path.resolve(storePath));
  if (location === undefined || plan.files.length === 0) return [];
  const port = ambientPort();
  return inFolder(port, location.parentPath, (folder) =>
    plan.files.filter((file) => {
      if (file.place === "trash") return unlinkTrashFile(port, folder, location, file.name);
      if (references.has(file.name)) return false;
      try {
        // Another size is another file, or one that somebody writes to.
        const stat = port.statName(folder, file.name);
        if (stat?.kind !== "file" || stat.sizeBytes !== file.sizeBytes) return false;
        port.unlink(folder, file.name);
        return true;
      } catch {
        return false;
      }
    }),
  );
}

async function cleanUpArchives(
  touched: ReadonlySet<string>,
  storePath: string,
  { pruneAfterMs, resetArchiveRetentionMs }: NonNullable<CleanupApplyParams["retention"]>,
): Promise<void> {
  if (touched.size === 0 && resetArchiveRetentionMs === null) return;
  const directories = touched.size > 0 ? touched : [path.dirname(path.resolve(storePath))];
  await cleanupArchivedSessionTranscripts({ directories, olderThanMs: pruneAfterMs, reason: "deleted" });
  if (resetArchiveRetentionMs === null) return;
  await cleanupArchivedSessionTranscripts({ directories, olderThanMs: resetArchiveRetentionMs, reason: "reset" });
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
