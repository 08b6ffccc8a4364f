/**
 * The caches that the gateway keeps of its store file, by path: what was loaded, and its text. No function of ours uses
 * them, because a store knows by its version whether it changed. They are here for callers that keep copies of their
 * own, and behave as those always did: what is put in and taken out are clones, and an entry dies of age.
 */

import { createExpiringMapCache, isCacheEnabled, resolveCacheTtlMs } from "./expiring-cache.js";
import type { SessionEntry } from "./types.js";

type Store = Record<string, SessionEntry>;

interface CachedStore {
  store: Store;
  mtimeMs: number | undefined;
  sizeBytes: number | undefined;
  versionToken: string | undefined;
}

const ttlMsDefault = 45_000;

/** `OPENCLAW_SESSION_CACHE_TTL_MS`, read on every use; 45 s without it, or when it is no whole number from 0. */
export function getSessionStoreTtl(): number {
  return resolveCacheTtlMs({ envValue: process.env.OPENCLAW_SESSION_CACHE_TTL_MS, defaultTtlMs: ttlMsDefault });
}

export function isSessionStoreCacheEnabled(): boolean {
  return isCacheEnabled(getSessionStoreTtl());
}

const stores = createExpiringMapCache<string, CachedStore>({ ttlMs: getSessionStoreTtl });
const texts = new Map<string, string>();

export function clearSessionStoreCaches(): void {
  stores.clear();
  texts.clear();
}

export function invalidateSessionStoreCache(storePath: string): void {
  stores.delete(storePath);
  texts.delete(storePath);
}

export function getSerializedSessionStore(storePath: string): string | undefined {
  return texts.get(storePath);
}

/** Without a text, the one that is there is forgotten. */
export function setSerializedSessionStore(storePath: string, serialized?: string): void {
  if (serialized === undefined) texts.delete(storePath);
  else texts.set(storePath, serialized);
}

/** Keeps the text. */
export function dropSessionStoreObjectCache(storePath: string): void {
  stores.delete(storePath);
}

/** A clone; null when there is none, or one of another time, size or version. */
export function readSessionStoreCache(params: {
  storePath: string;
  mtimeMs?: number;
  sizeBytes?: number;
  versionToken?: string;
}): Store | null {
  const cached = stores.get(params.storePath);
  if (cached === undefined) return null;
  const { mtimeMs, sizeBytes, versionToken } = params;
  const isSame = cached.mtimeMs === mtimeMs && cached.sizeBytes === sizeBytes && cached.versionToken === versionToken;
  if (isSame) return structuredClone(cached.store);
  invalidateSessionStoreCache(params.storePath);
  return null;
}

export function writeSessionStoreCache(params: {
  storePath: string;
  store: Store;
  mtimeMs?: number;
  sizeBytes?: number;
  versionToken?: string;
  serialized?: string;
}): void {
  const { storePath, store, mtimeMs, sizeBytes, versionToken, serialized } = params;
  stores.set(storePath, { store: structuredClone(store), mtimeMs, sizeBytes, versionToken });
  if (serialized !== undefined) texts.set(storePath, serialized);
}
