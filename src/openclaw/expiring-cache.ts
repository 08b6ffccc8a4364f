/**
 * A map whose entries grow old. The gateway's own caches are made of it; ours need no age, because a store knows when
 * it changed. Nothing runs in the background: what has expired goes when it is asked for, or when others are looked at.
 */

import { nowMs } from "./ambient.js";

export interface ExpiringMapCacheOptions {
  /** How long an entry lives; 0 switches the cache off. A function is asked on every use. */
  ttlMs: number | (() => number);
  /** The time between two looks at all entries. Default the time an entry lives. */
  pruneIntervalMs?: number | ((ttlMs: number) => number);
  /** Milliseconds. Default the clock. */
  clock?: () => number;
}

export interface ExpiringMapCache<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  clear(): void;
  keys(): Key[];
  size(): number;
  pruneExpired(): void;
}

export function isCacheEnabled(ttlMs: number): boolean {
  return ttlMs > 0;
}

/** The time that a variable of the environment says, if it is a plain whole number from 0; the default otherwise. */
export function resolveCacheTtlMs(params: { envValue: string | undefined; defaultTtlMs: number }): number {
  const text = params.envValue?.trim() ?? "";
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) && value >= 0 ? Math.abs(value) : params.defaultTtlMs;
}

export function createExpiringMapCache<Key, Value>(options: ExpiringMapCacheOptions): ExpiringMapCache<Key, Value> {
  const entries = new Map<Key, { value: Value; storedAt: number }>();
  const clock = options.clock ?? nowMs;
  let prunedAt = Number.NEGATIVE_INFINITY;

  const ttl = () => wholeMs(typeof options.ttlMs === "function" ? options.ttlMs() : options.ttlMs);
  const isExpired = (storedAt: number, now: number, ttlMs: number) => now - storedAt > ttlMs;
  const prune = (now: number, ttlMs: number) => {
    for (const [key, entry] of entries) if (isExpired(entry.storedAt, now, ttlMs)) entries.delete(key);
    prunedAt = now;
  };
  const pruneNowAndThen = (now: number, ttlMs: number) => {
    const { pruneIntervalMs } = options;
    const interval = typeof pruneIntervalMs === "function" ? pruneIntervalMs(ttlMs) : (pruneIntervalMs ?? ttlMs);
    if (now - prunedAt >= wholeMs(interval)) prune(now, ttlMs);
  };

  return {
    get: (key) => {
      const ttlMs = ttl();
      if (!isCacheEnabled(ttlMs)) return undefined;
      const now = clock();
      pruneNowAndThen(now, ttlMs);
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (!isExpired(entry.storedAt, now, ttlMs)) return entry.value;
      entries.delete(key);
      return undefined;
    },
    set: (key, value) => {
      const ttlMs = ttl();
      if (!isCacheEnabled(ttlMs)) return;
      const now = clock();
      pruneNowAndThen(now, ttlMs);
      entries.set(key, { value, storedAt: now });
    },
    delete: (key) => void entries.delete(key),
    clear: () => entries.clear(),
    keys: () => [...entries.keys()],
    size: () => entries.size,
    pruneExpired: () => {
      const ttlMs = ttl();
      if (isCacheEnabled(ttlMs)) prune(clock(), ttlMs);
    },
  };
}

function wholeMs(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.floor(value)) : 0;
}
