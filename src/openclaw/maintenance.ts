/**
 * Removing sessions from a store in memory: those that were long without activity, and those beyond the newest so many.
 * The functions change the object that they are given and nothing else; the caller saves it. A session without
 * `updatedAt` is never too old, and counts as the oldest where the newest are kept.
 */

import { nowMs as currentMs } from "./ambient.js";
import { logInfo } from "./log.js";
import { resolveMaintenanceConfig } from "./maintenance-config.js";
import { ownValue } from "./prototype-keys.js";
import type { SessionEntry } from "./types.js";

type Store = Record<string, SessionEntry>;

export interface RemovedEntry {
  key: string;
  entry: SessionEntry;
}

export interface PruneOptions {
  /** False: say nothing. */
  log?: boolean;
  onPruned?: (removed: RemovedEntry) => void;
  /** Keys that stay whatever their age, such as that of the session at work. */
  preserveKeys?: ReadonlySet<string>;
}

export interface CapOptions {
  log?: boolean;
  onCapped?: (removed: RemovedEntry) => void;
  /** Keys that stay; they count as some of those that are kept. */
  preserveKeys?: ReadonlySet<string>;
}

/** Removes what was last active more than `overrideMaxAgeMs` ago, by default the configured age; returns how many. */
export function pruneStaleEntries(store: Store, overrideMaxAgeMs?: number, opts: PruneOptions = {}): number {
  const maxAgeMs = overrideMaxAgeMs ?? resolveMaintenanceConfig().pruneAfterMs;
  const beforeMs = currentMs() - maxAgeMs;
  let pruned = 0;
  for (const key of Object.keys(store)) {
    if (opts.preserveKeys?.has(key)) continue;
    const entry = ownValue(store, key) as SessionEntry;
    const updatedAt = updatedAtOf(entry);
    if (updatedAt === Number.NEGATIVE_INFINITY || !(updatedAt < beforeMs)) continue;
    opts.onPruned?.({ key, entry });
    delete store[key];
    pruned += 1;
  }
  if (pruned > 0 && opts.log !== false) logInfo("pruned stale session entries", { pruned, maxAgeMs });
  return pruned;
}

/** Keeps the `overrideMax` newest, by default the configured number; of equally new ones the first. Returns how many went. */
export function capEntryCount(store: Store, overrideMax?: number, opts: CapOptions = {}): number {
  const maxEntries = overrideMax ?? resolveMaintenanceConfig().maxEntries;
  const keys = Object.keys(store);
  if (keys.length <= maxEntries) return 0;
  const removable = keys.filter((key) => !opts.preserveKeys?.has(key));
  const kept = Math.max(0, maxEntries - (keys.length - removable.length));
  const surplus = newestFirst(store, removable).slice(kept);
  for (const key of surplus) {
    opts.onCapped?.({ key, entry: ownValue(store, key) as SessionEntry });
    delete store[key];
  }
  if (surplus.length > 0 && opts.log !== false) {
    logInfo("capped session entry count", { removed: surplus.length, maxEntries });
  }
  return surplus.length;
}

function newestFirst(store: Store, keys: readonly string[]): string[] {
  const dated = keys.map((key) => ({ key, updatedAt: updatedAtOf(ownValue(store, key)) }));
  // Not the difference: of two sessions without a time it is not a number.
  dated.sort((left, right) => (left.updatedAt > right.updatedAt ? -1 : left.updatedAt < right.updatedAt ? 1 : 0));
  return dated.map(({ key }) => key);
}

/** Minus infinity for an entry that does not say. */
export function updatedAtOf(entry: { updatedAt?: unknown } | null | undefined): number {
  const updatedAt = entry?.updatedAt;
  return typeof updatedAt === "number" && !Number.isNaN(updatedAt) ? updatedAt : Number.NEGATIVE_INFINITY;
}

export interface SessionMaintenanceWarning {
  activeSessionKey: string;
  activeUpdatedAt?: number;
  totalEntries: number;
  pruneAfterMs: number;
  maxEntries: number;
  wouldPrune: boolean;
  wouldCap: boolean;
}

/**
 * Whether maintenance would remove the session that is at work; null when it is safe, or when there is no such session.
 * The key is trimmed and otherwise taken as it is. Costs one pass over the store: see `MaintenanceTracker` for a price
 * that does not grow.
 */
export function getActiveSessionMaintenanceWarning(params: {
  store: Store;
  activeSessionKey: string;
  pruneAfterMs: number;
  maxEntries: number;
  nowMs?: number;
}): SessionMaintenanceWarning | null {
  const { store, pruneAfterMs, maxEntries } = params;
  const activeSessionKey = params.activeSessionKey.trim();
  const entry = activeSessionKey === "" ? undefined : ownValue(store, activeSessionKey);
  if (!entry) return null;
  const keys = Object.keys(store);
  const updatedAt = updatedAtOf(entry);
  let ahead = 0;
  let isBehind = false;
  for (const key of keys) {
    if (key === activeSessionKey) isBehind = true;
    const other = updatedAtOf(ownValue(store, key));
    if (other > updatedAt || (other === updatedAt && !isBehind)) ahead += 1;
  }
  return makeWarning({
    activeSessionKey,
    updatedAt,
    ahead,
    totalEntries: keys.length,
    pruneAfterMs,
    maxEntries,
    nowMs: params.nowMs ?? currentMs(),
  });
}

/** `ahead`: the sessions that would be kept before this one. */
export function makeWarning(facts: {
  activeSessionKey: string;
  updatedAt: number;
  ahead: number;
  totalEntries: number;
  pruneAfterMs: number;
  maxEntries: number;
  nowMs: number;
}): SessionMaintenanceWarning | null {
  const { activeSessionKey, updatedAt, ahead, totalEntries, pruneAfterMs, maxEntries, nowMs } = facts;
  const hasTime = updatedAt !== Number.NEGATIVE_INFINITY;
  const wouldPrune = hasTime && updatedAt < nowMs - pruneAfterMs;
  const wouldCap = totalEntries > maxEntries && ahead >= maxEntries;
  if (!wouldPrune && !wouldCap) return null;
  const warning = { activeSessionKey, totalEntries, pruneAfterMs, maxEntries, wouldPrune, wouldCap };
  return hasTime ? { ...warning, activeUpdatedAt: updatedAt } : warning;
}

const dayMs = 86_400_000;

/** What the user of the session is told. */
export function formatSessionMaintenanceWarning(warning: SessionMaintenanceWarning): string {
  const reasons: string[] = [];
  if (warning.wouldPrune) reasons.push(`older than ${formatDays(warning.pruneAfterMs)}`);
  if (warning.wouldCap) reasons.push(`not in the most recent ${warning.maxEntries} sessions`);
  return (
    `Session maintenance would evict this session (${reasons.join("; ")}). Maintenance is set to warn-only, so nothing ` +
    'was removed. To clean up automatically, set `session.maintenance.mode: "enforce"`; to keep such sessions, raise ' +
    "the limits."
  );
}

function formatDays(ms: number): string {
  const days = Math.round((ms / dayMs) * 10) / 10;
  return `${days} ${days === 1 ? "day" : "days"}`;
}
