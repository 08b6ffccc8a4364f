/**
 * What a cleanup would remove from one store, and why: decided once, from the sessions and the disk as they are, so that
 * a dry run shows what a real run does. Reads the disk - transcripts that are missing, and what the budget counts - and
 * changes nothing, neither there nor in the store that it is given. `cleanup-apply.ts` carries a plan out.
 *
 * The session at work is never in a plan, whatever the reason.
 */

import path from "node:path";
import { hasCode } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { type BudgetFile, enforceSessionDiskBudget, type SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { capEntryCount, pruneStaleEntries, updatedAtOf } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { resolveSessionFilePath } from "./paths.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { normalizeOptionalString } from "./strings.js";
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
  wouldMutate: boolean;
  /** Why each session goes, in the order of removal. */
  removals: Map<string, CleanupReason>;
  /** Those of them that must not take room in the trash. */
  purged: Set<string>;
  /** Files that the budget frees. */
  files: BudgetFile[];
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
  const purged = new Set<string>();
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
    onPurged: (key) => purged.add(key),
    onFile: (file) => files.push(file),
    onEvicted: ({ key }) => {
      removals.set(key, "evict-budget");
      purged.add(key);
    },
  });
  const removesByBudget = diskBudget !== null && diskBudget.removedEntries + diskBudget.removedFiles > 0;
  return {
    beforeCount,
    afterCount: Object.keys(store).length,
    missing,
    pruned,
    capped,
    diskBudget,
    wouldMutate: missing > 0 || pruned > 0 || capped > 0 || removesByBudget,
    removals,
    purged,
    files,
  };
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
