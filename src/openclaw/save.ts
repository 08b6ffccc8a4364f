/**
 * Saving a whole store: what was given takes the place of what is there. The last writer wins, session by session, and
 * what a save leaves out is removed - into the trash of a directory store. Only what differs is written, as one commit.
 * The saves of one process take turns, so that after two of them the store is what the later one said.
 */

import type { FrozenEntry } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { gatewayLimits } from "../limits.js";
import { nowMs } from "./ambient.js";
import { budgetReferences } from "./budget-references.js";
import { maintenanceOf } from "./configured-maintenance.js";
import { enforceSessionDiskBudget, type SessionDiskBudgetSweepResult } from "./disk-budget.js";
import { type SessionChange, toChanges } from "./entry-changes.js";
import { createAsyncLock } from "./json-files.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { isAsKnown, isCopyOfUnreadable, noteKnown, readStore } from "./load.js";
import { logInfo, logWarning } from "./log.js";
import { capEntryCount, getActiveSessionMaintenanceWarning, pruneStaleEntries } from "./maintenance.js";
import { ownValue } from "./prototype-keys.js";
import type { ReadSource, StoredSession } from "./read-sources.js";
import { type SharedStore, sharedStore } from "./shared-handles.js";
import { normalizeSessionStore } from "./store-normalize.js";
import { normalForm, type TouchedSession } from "./tracked-view.js";
import type { SessionEntry } from "./types.js";
import { Attempts, commitChanges } from "./update.js";
import { archiveTranscripts, type Removed, tellReport, tellWarning } from "./write-maintenance.js";
import type { SaveSessionStoreOptions, SessionMaintenanceApplyReport } from "./write-options.js";

type Store = Record<string, SessionEntry>;

/**
 * Makes the store what `store` says. Entries are normalised in place, and with `mode: "enforce"` maintenance takes out of
 * the caller's object what it removes. Sets no `updatedAt`; ACP metadata that is left out is gone. A save that changes
 * nothing writes nothing, and takes no legacy file over; that is also so for an object as it was loaded or saved before,
 * whatever others wrote since. A session that is damaged on the disk stays: leaving it out does not remove it, and
 * giving it anew rejects with `entry_damaged`.
 */
export async function saveSessionStore(
  storePath: string,
  store: Store,
  options?: SaveSessionStoreOptions | null,
): Promise<void> {
  const opts = options ?? {};
  const shared = sharedStore(storePath);
  normalizeSessionStore(store);
  const keepUnknown = isCopyOfUnreadable(store);
  const done = opts.skipMaintenance === true ? undefined : await maintainInPlace(shared, store, opts);
  await inTurn(shared, () =>
    shared.use(async () => {
      const form = shared.form();
      // What nobody changed is not written, whatever others made of the store meanwhile.
      if (form !== "none" && isAsKnown(store, storePath)) return;
      // Opening a store that is a directory already merges what an older program wrote beside it.
      if (form === "directory") await shared.open();
      const touched = readBase(shared, (source) => compareWith(source, store, keepUnknown));
      const rules = { limits: gatewayLimits, allowDropAcpMetaSessionKeys: "all" } as const;
      const changes = toChanges(touched, rules).map((change) => {
        return { ...change, isReliedOn: false, purges: done?.evicted.has(change.key) === true };
      });
      const attempts = new Attempts(shared);
      await commitChanges(shared, changes, attempts, "overwrite", opts).finally(() => attempts.turns.end());
      noteKnown(store, storePath, entriesAfter(changes));
    }),
  );
  if (done === undefined) return;
  const ids = new Set(Object.values(store).flatMap((entry) => (entry?.sessionId ? [entry.sessionId] : [])));
  if (done.report.mode === "enforce") await archiveTranscripts(shared, done.removed, ids, maintenanceOf(opts));
  await tellReport(done.report, opts);
}

function entriesAfter(changes: readonly SessionChange[]): Map<string, FrozenEntry> {
  const entries = new Map<string, FrozenEntry>();
  for (const { key, base, next } of changes) {
    const entry = next === "unchanged" ? base?.entry : next;
    if (entry !== undefined) entries.set(key, entry);
  }
  return entries;
}

const turns = new WeakMap<SharedStore, ReturnType<typeof createAsyncLock>>();

/**
 * Two saves that compared with the same state would each keep what only the other one gave. No function of a caller runs
 * in here, so nobody can wait for himself.
 */
function inTurn(shared: SharedStore, save: () => Promise<void>): Promise<void> {
  const lock = turns.get(shared) ?? createAsyncLock();
  turns.set(shared, lock);
  return lock(save);
}

function readBase<Result>(shared: SharedStore, read: (source: ReadSource) => Result): Result {
  try {
    return readStore(shared.storePath, read);
  } catch (error) {
    // An unreadable file holds nothing to compare with; the first write sets it aside.
    if (!(error instanceof SessionStoreError && error.code === "invalid_legacy")) throw error;
    return read({ kind: "legacy", read: () => undefined, names: () => [], spellings: () => [], close() {} });
  }
}

function compareWith(source: ReadSource, store: Store, keepUnknown: boolean): Map<string, TouchedSession> {
  const touched = new Map<string, TouchedSession>();
  for (const name of Object.keys(store)) {
    const stored = source.read(name);
    // The caller's object is normalised already, so a stored entry in an older form counts as changed.
    touched.set(name, toTouched(stored, ownValue(store, name)));
  }
  const given = new Set(Object.keys(store).map(normalizeStoreSessionKey));
  for (const name of source.names()) {
    if (touched.has(name)) continue;
    const isGiven = given.has(normalizeStoreSessionKey(name));
    if (keepUnknown && !isGiven) continue;
    try {
      touched.set(name, toTouched(source.read(name), undefined));
    } catch (error) {
      const isDamaged = error instanceof SessionStoreError && error.code === "entry_damaged";
      if (!isDamaged || isGiven) throw error;
    }
  }
  return touched;
}

function toTouched(stored: StoredSession | undefined, left: unknown): TouchedSession {
  return { stored, found: stored && normalForm(stored.entry), left, isReliedOn: false };
}

interface Maintained {
  readonly report: SessionMaintenanceApplyReport;
  readonly removed: readonly Removed[];
  /** Normalised keys of what had to go for the disk budget. */
  readonly evicted: ReadonlySet<string>;
}

/** The whole store is at hand, so the rules are applied to it as they are. */
async function maintainInPlace(shared: SharedStore, store: Store, opts: SaveSessionStoreOptions): Promise<Maintained> {
  const config = maintenanceOf(opts);
  const { activeSessionKey } = opts;
  const beforeCount = Object.keys(store).length;
  const removed: Removed[] = [];
  let pruned = 0;
  let capped = 0;
  if (config.mode === "warn" && activeSessionKey !== undefined) {
    const { pruneAfterMs, maxEntries } = config;
    const params = { store, activeSessionKey, pruneAfterMs, maxEntries, nowMs: nowMs() };
    const warning = getActiveSessionMaintenanceWarning(params);
    if (warning !== null) await tellWarning(warning, opts);
  }
  if (config.mode === "enforce") {
    const note = (gone: Removed) => void removed.push(gone);
    const active = activeSessionKey ?? "";
    const preserveKeys = new Set([active, normalizeStoreSessionKey(active)]);
    pruned = pruneStaleEntries(store, config.pruneAfterMs, { onPruned: note, preserveKeys });
    capped = capEntryCount(store, config.maxEntries, { onCapped: note, preserveKeys });
  }
  let diskBudget: SessionDiskBudgetSweepResult | null = null;
  const evicted = new Set<string>();
  try {
    const { referencedFiles, hasUnread } =
      config.maxDiskBytes === null ? { referencedFiles: undefined, hasUnread: false } : budgetReferences(shared);
    diskBudget = await enforceSessionDiskBudget({
      store,
      storePath: shared.storePath,
      ...(activeSessionKey === undefined ? {} : { activeSessionKey }),
      maintenance: config,
      warnOnly: config.mode === "warn" || hasUnread,
      ...(referencedFiles === undefined ? {} : { referencedFiles }),
      log: { info: logInfo, warn: logWarning },
      onEvicted: ({ key }) => evicted.add(normalizeStoreSessionKey(key)),
    });
  } catch (error) {
    logWarning(`the disk budget could not be checked: ${String(error)}`, { path: shared.storePath });
  }
  const afterCount = Object.keys(store).length;
  return { report: { mode: config.mode, beforeCount, afterCount, pruned, capped, diskBudget }, removed, evicted };
}
