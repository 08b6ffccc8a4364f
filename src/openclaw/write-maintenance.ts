/**
 * Maintenance after a write, at a price that does not grow with the store: what would be removed is known from the times
 * of all sessions, which are kept up to date by the journal. Only when something has to go are sessions looked for, and
 * only those that go are read.
 *
 * "warn" removes nothing: it says when the session at work would be removed. "enforce" removes what is too old or too
 * much, never the session at work, into the store's trash, and archives the transcripts. What was written stays written
 * whatever happens here: problems are logged.
 */

import path from "node:path";
import type { Backend, Operation, VersionToken } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { nowMs } from "./ambient.js";
import { archiveRemovedSessionTranscripts, cleanupArchivedSessionTranscripts } from "./archives.js";
import { type BudgetReferences, budgetReferences } from "./budget-references.js";
import { maintenanceOf } from "./configured-maintenance.js";
import { enforceSessionDiskBudget, type SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { hasLogger, logInfo, logWarning } from "./log.js";
import {
  capEntryCount,
  getActiveSessionMaintenanceWarning,
  pruneStaleEntries,
  type SessionMaintenanceWarning,
} from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { emptyRecord, setOwnValue } from "./prototype-keys.js";
import { copyOfStore } from "./read-copy.js";
import { rotateSessionFile } from "./rotate.js";
import type { SharedStore } from "./shared-handles.js";
import type { SessionEntry } from "./types.js";
import type { WriteFacts } from "./write-facts.js";
import type { SaveSessionStoreOptions, SessionMaintenanceApplyReport } from "./write-options.js";

type Store = Record<string, SessionEntry>;

export interface Removed {
  readonly key: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** How often the folder of a store is looked through, unless somebody asks for the report. */
const sweepEveryMs = 3_600_000;
const actor = "session maintenance";

export async function maintainAfterWrite(shared: SharedStore, opts: SaveSessionStoreOptions): Promise<void> {
  if (opts.skipMaintenance === true) return;
  const config = maintenanceOf(opts);
  if (config.mode === "warn" && !isHeard(opts) && config.maxDiskBytes === null) return;
  let report: SessionMaintenanceApplyReport | undefined;
  let warning: SessionMaintenanceWarning | null = null;
  try {
    const form = shared.form();
    if (form === "legacy" || form === "none") {
      const looked = await lookAtUntouched(shared, config, opts);
      if (looked !== undefined) {
        if (looked.warning !== null) await tellWarning(looked.warning, opts);
        return await tellReport(looked.report, opts);
      }
    }
    const backend = await shared.open();
    const facts = shared.facts(backend);
    await facts.bringUpToDate();
    if (config.mode === "warn") warning = activeWarning(facts, config, opts.activeSessionKey);
    report = await applyRules(shared, backend, facts, config, opts);
  } catch (error) {
    logWarning(`session maintenance failed; what was saved is saved: ${String(error)}`, { path: shared.storePath });
  }
  if (warning !== null) await tellWarning(warning, opts);
  if (report !== undefined) await tellReport(report, opts);
}

/**
 * Enforcing copies a large single file before it is written; a directory has no such moment. What has no room for the
 * copy is written all the same.
 */
export async function rotateBeforeWrite(shared: SharedStore, opts: SaveSessionStoreOptions): Promise<void> {
  if (opts.skipMaintenance === true || shared.form() !== "file") return;
  const { mode, rotateBytes } = maintenanceOf(opts);
  if (mode === "enforce") await rotateSessionFile(shared.storePath, rotateBytes);
}

/**
 * A callback that changed nothing takes no legacy file over, and neither does a look at what maintenance would do. Only
 * when something has to go - the answer is undefined then - it is done, as any other change.
 */
async function lookAtUntouched(
  shared: SharedStore,
  config: ResolvedSessionMaintenanceConfig,
  opts: SaveSessionStoreOptions,
): Promise<{ report: SessionMaintenanceApplyReport; warning: SessionMaintenanceWarning | null } | undefined> {
  const store = shared.read((source) => copyOfStore(source));
  const { mode, pruneAfterMs, maxEntries } = config;
  const { activeSessionKey = "" } = opts;
  const active = spellingOf(store, activeSessionKey);
  const warning =
    mode === "warn"
      ? getActiveSessionMaintenanceWarning({ store, activeSessionKey: active, pruneAfterMs, maxEntries })
      : null;
  const count = Object.keys(store).length;
  if (mode === "enforce") {
    const options = { log: false, preserveKeys: new Set([active]) };
    const removed = pruneStaleEntries(store, pruneAfterMs, options) + capEntryCount(store, maxEntries, options);
    if (removed > 0) return undefined;
  }
  const diskBudget = await enforceSessionDiskBudget({
    store,
    storePath: shared.storePath,
    activeSessionKey,
    maintenance: config,
    warnOnly: mode === "warn",
    dryRun: true,
    log: { info: logInfo, warn: logWarning },
  });
  if (mode === "enforce" && diskBudget?.overBudget) return undefined;
  // Archives lie beside the file, and go by their own age.
  if (mode === "enforce") await archiveTranscripts(shared, [], new Set(), config);
  return { report: { mode, beforeCount: count, afterCount: count, pruned: 0, capped: 0, diskBudget }, warning };
}

/** The name under which a legacy file has the session. */
function spellingOf(store: Store, sessionKey: string): string {
  const key = normalizeStoreSessionKey(sessionKey);
  return Object.keys(store).find((name) => normalizeStoreSessionKey(name) === key) ?? key;
}

function isHeard({ onWarn, onMaintenanceApplied }: SaveSessionStoreOptions): boolean {
  return onWarn !== undefined || onMaintenanceApplied !== undefined || hasLogger();
}

function activeWarning(
  facts: WriteFacts,
  config: ResolvedSessionMaintenanceConfig,
  activeSessionKey: string | undefined,
): SessionMaintenanceWarning | null {
  const key = normalizeStoreSessionKey(activeSessionKey ?? "");
  const session = facts.sessions.get(key);
  if (session === undefined) return null;
  return facts.tracker.warningFor({ key, updatedAt: session.updatedAt }, config, nowMs());
}

export async function tellWarning(warning: SessionMaintenanceWarning, opts: SaveSessionStoreOptions): Promise<void> {
  logWarning("session maintenance would evict active session; skipping enforcement", { ...warning });
  await callListener("onWarn", () => opts.onWarn?.(warning));
}

export async function tellReport(report: SessionMaintenanceApplyReport, opts: SaveSessionStoreOptions): Promise<void> {
  await callListener("onMaintenanceApplied", () => opts.onMaintenanceApplied?.(report));
}

/** Whoever only listens must not make a write look failed that is on the disk: its caller would make it again. */
async function callListener(name: string, listen: () => void | Promise<void>): Promise<void> {
  try {
    await listen();
  } catch (error) {
    logWarning(`${name} failed; what was saved is saved: ${String(error)}`);
  }
}

async function applyRules(
  shared: SharedStore,
  backend: Backend,
  facts: WriteFacts,
  config: ResolvedSessionMaintenanceConfig,
  opts: SaveSessionStoreOptions,
): Promise<SessionMaintenanceApplyReport> {
  const beforeCount = facts.sessions.size;
  let pruned = 0;
  let capped = 0;
  if (config.mode === "enforce") {
    const plan = facts.tracker.plan(config, nowMs());
    const doomed = plan.prune + plan.cap === 0 ? noneDoomed : chooseDoomed(facts, config, opts.activeSessionKey);
    const stale = await removeSessions(backend, doomed.stale, "prune-stale");
    const surplus = await removeSessions(backend, doomed.surplus, "cap-overflow");
    [pruned, capped] = [stale.length, surplus.length];
    if (pruned > 0) logInfo("pruned stale session entries", { pruned, maxAgeMs: config.pruneAfterMs });
    if (capped > 0) logInfo("capped session entry count", { removed: capped, maxEntries: config.maxEntries });
    if (pruned + capped > 0) await facts.bringUpToDate();
    await archiveTranscripts(shared, [...stale, ...surplus], sessionIdsOf(facts), config);
  }
  const diskBudget = await sweepDiskBudget(shared, backend, config, opts);
  if (diskBudget !== null) await facts.bringUpToDate();
  return { mode: config.mode, beforeCount, afterCount: facts.sessions.size, pruned, capped, diskBudget };
}

interface Doomed {
  readonly stale: readonly string[];
  readonly surplus: readonly string[];
}

const noneDoomed: Doomed = { stale: [], surplus: [] };

/** The rules themselves, on the few fields they look at. */
function chooseDoomed(
  facts: WriteFacts,
  config: ResolvedSessionMaintenanceConfig,
  activeSessionKey: string | undefined,
): Doomed {
  const store: Store = emptyRecord();
  for (const [key, activity] of facts.sessions) setOwnValue(store, key, activity as SessionEntry);
  const stale: string[] = [];
  const surplus: string[] = [];
  const preserveKeys = new Set([normalizeStoreSessionKey(activeSessionKey ?? "")]);
  const options = { log: false, preserveKeys };
  pruneStaleEntries(store, config.pruneAfterMs, { ...options, onPruned: ({ key }) => stale.push(key) });
  capEntryCount(store, config.maxEntries, { ...options, onCapped: ({ key }) => surplus.push(key) });
  return { stale, surplus };
}

const removalsAtOnce = 256;

/** Those that are still as they were chosen; one that somebody uses again meanwhile stays. */
export async function removeSessions(
  backend: Backend,
  keys: readonly string[],
  reason: string,
  purge = false,
): Promise<Removed[]> {
  const removed: Removed[] = [];
  for (let start = 0; start < keys.length; start += removalsAtOnce) {
    const batch = new Map<string, { version: VersionToken; entry: Readonly<Record<string, unknown>> }>();
    for (const key of keys.slice(start, start + removalsAtOnce)) {
      const found = await readUndamaged(backend, key);
      if (found !== undefined) batch.set(key, found);
    }
    while (batch.size > 0) {
      const operations: Operation[] = [...batch.keys()].map((key) => ({ type: "remove", key, purge }));
      const expected = new Map([...batch].map(([key, { version }]) => [key, version] as const));
      const result = await backend.commit({ operations, expected, actor, reason });
      if (result.status === "committed") {
        for (const [key, { entry }] of batch) removed.push({ key, entry });
        break;
      }
      for (const key of result.current.keys()) batch.delete(key);
    }
  }
  return removed;
}

async function readUndamaged(backend: Backend, key: string) {
  try {
    return (await backend.read([key])).get(key);
  } catch (error) {
    // What cannot be read is for repair, not for maintenance.
    if (error instanceof SessionStoreError && error.code === "entry_damaged") return undefined;
    throw error;
  }
}

function sessionIdsOf(facts: WriteFacts): Set<string> {
  const ids = new Set<string>();
  for (const { sessionId } of facts.sessions.values()) if (sessionId !== undefined) ids.add(sessionId);
  return ids;
}

/** Archives what the removed sessions alone referred to, and deletes archives that are old enough. */
export async function archiveTranscripts(
  shared: SharedStore,
  removed: readonly Removed[],
  referencedSessionIds: ReadonlySet<string>,
  config: ResolvedSessionMaintenanceConfig,
): Promise<void> {
  const files: [string, string | undefined][] = [];
  for (const { entry } of removed) {
    const { sessionId, sessionFile } = entry;
    if (typeof sessionId !== "string") continue;
    files.push([sessionId, typeof sessionFile === "string" ? sessionFile : undefined]);
  }
  const touched = await archiveRemovedSessionTranscripts({
    removedSessionFiles: files,
    referencedSessionIds,
    storePath: shared.storePath,
    reason: "deleted",
    restrictToStoreDir: true,
  });
  const isTime = isDue(shared, "archives");
  if (removed.length === 0 && !isTime) return;
  const { pruneAfterMs, resetArchiveRetentionMs } = config;
  if (touched.size === 0 && resetArchiveRetentionMs === null) return;
  const directories = touched.size > 0 ? touched : [path.dirname(shared.storePath)];
  await cleanupArchivedSessionTranscripts({ directories, olderThanMs: pruneAfterMs, reason: "deleted" });
  if (resetArchiveRetentionMs !== null) {
    await cleanupArchivedSessionTranscripts({ directories, olderThanMs: resetArchiveRetentionMs, reason: "reset" });
  }
}

const swept = new WeakMap<SharedStore, Map<string, number>>();

/** True once in a while for each open store. */
function isDue(shared: SharedStore, what: string): boolean {
  const times = swept.get(shared) ?? new Map<string, number>();
  swept.set(shared, times);
  const now = shared.port.monotonicMs();
  const last = times.get(what);
  if (last !== undefined && now - last < sweepEveryMs) return false;
  times.set(what, now);
  return true;
}

/** The budget looks at every file of the folder, so not every write can afford it. */
async function sweepDiskBudget(
  shared: SharedStore,
  backend: Backend,
  config: ResolvedSessionMaintenanceConfig,
  opts: SaveSessionStoreOptions,
): Promise<SessionDiskBudgetSweepResult | null> {
  if (config.maxDiskBytes === null || config.highWaterBytes === null) return null;
  if (opts.onMaintenanceApplied === undefined && !isDue(shared, "budget")) return null;
  const evicted: string[] = [];
  let store: Store | undefined;
  let references: BudgetReferences | undefined;
  const look = () => {
    references ??= budgetReferences(shared);
    return references;
  };
  const result = await enforceSessionDiskBudget({
    // What a directory takes is measured without a look at a session; only when one has to go are they read.
    get store() {
      store ??= shared.read((source) => copyOfStore(source));
      return store;
    },
    storePath: shared.storePath,
    ...(opts.activeSessionKey === undefined ? {} : { activeSessionKey: opts.activeSessionKey }),
    maintenance: config,
    get warnOnly() {
      return config.mode === "warn" || look().hasUnread;
    },
    get referencedFiles() {
      return look().referencedFiles;
    },
    log: { info: logInfo, warn: logWarning },
    onEvicted: ({ key }) => evicted.push(key),
  });
  await removeSessions(backend, evicted, "evict-budget", true);
  return result;
}
