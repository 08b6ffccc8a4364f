/**
 * Reading stores by path, in either form: synchronously, without a lock, changing nothing. Best effort as the gateway
 * expects it - a missing or unreadable store is an empty one -, except that one damaged session never hides the others.
 *
 * There is no cache with a lifetime: what is kept in memory belongs to a version of the store, and one look at the end
 * of the journal tells whether it is still the present one. So every read sees every commit before it, by anyone.
 */

import { ReadPointLostError } from "../backends/directory/read-point.js";
import type { FrozenEntry } from "../contract.js";
import { isSameEntry } from "./entry-changes.js";
import { cloneJson } from "./json-clone.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { logWarning } from "./log.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { ownValue } from "./prototype-keys.js";
import { copyOfStore } from "./read-copy.js";
import type { ReadSource, StoredSession } from "./read-sources.js";
import { sharedStore } from "./shared-handles.js";
import { normalForm, toCallerEntry } from "./tracked-view.js";
import type { SessionEntry } from "./types.js";

export interface LoadSessionStoreOptions {
  /** Accepted for compatibility: a load never returns anything older than the store. */
  skipCache?: boolean;
  /** Accepted for compatibility: loading removes nothing, not even in memory. */
  maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}

/** What each copy was made of, or saved as: saving it unchanged must not undo what others wrote since. */
const known = new WeakMap<object, { readonly storePath: string; readonly entries: ReadonlyMap<string, FrozenEntry> }>();

/** `store` is what the store at this path holds now. */
export function noteKnown(store: object, storePath: string, entries: ReadonlyMap<string, FrozenEntry>): void {
  known.set(store, { storePath: sharedStore(storePath).storePath, entries });
}

/** Whether nothing was changed in it since it was loaded from there, or saved to it. */
export function isAsKnown(store: Record<string, SessionEntry>, storePath: string): boolean {
  const base = known.get(store);
  if (base?.storePath !== sharedStore(storePath).storePath) return false;
  const names = Object.keys(store);
  return (
    names.length === base.entries.size &&
    names.every((name) => {
      const entry = base.entries.get(name);
      return entry !== undefined && isSameEntry(normalForm(entry), ownValue(store, name));
    })
  );
}

/** Copies that stand for a store that could not be read: saving one must not remove what it does not know. */
const unreadable = new WeakSet<object>();

export function isCopyOfUnreadable(store: object): boolean {
  return unreadable.has(store);
}

/**
 * The whole store as an ordinary object that belongs to the caller. Fields of older versions have their present names,
 * routes and models their one form. A missing or unreadable store is `{}`; never throws.
 */
export function loadSessionStore(storePath: string, _opts?: LoadSessionStoreOptions): Record<string, SessionEntry> {
  const copy = readBestEffort(storePath, (source) => {
    const entries = new Map<string, FrozenEntry>();
    const store = copyOfStore(source, undefined, (name, entry) => entries.set(name, entry));
    noteKnown(store, storePath, entries);
    return store;
  });
  return copy ?? emptyCopy();
}

/** The same as it is stored: nothing is renamed or normalised. */
export function readSessionStoreReadOnly(storePath: string): Record<string, SessionEntry | undefined> {
  return readBestEffort(storePath, (source) => copyOfStore(source, (entry) => cloneJson(entry) as SessionEntry)) ?? {};
}

export type SessionStoreSummaryEntry = Pick<SessionEntry, "lastChannel" | "lastTo" | "updatedAt">;

/** Of each session the three fields that a list of conversations shows. */
export function loadSessionStoreSummary(storePath: string): Record<string, Partial<SessionStoreSummaryEntry>> {
  const project = ({ lastChannel, lastTo, updatedAt }: Readonly<Record<string, unknown>>) => {
    const fields = Object.entries({ lastChannel, lastTo, updatedAt }).filter(([, value]) => value !== undefined);
    return Object.fromEntries(fields) as Partial<SessionStoreSummaryEntry>;
  };
  return readBestEffort(storePath, (source) => copyOfStore(source, project)) ?? {};
}

/** When the session was active last, whatever the spelling of its key; undefined also for anything that goes wrong. */
export function readSessionUpdatedAt(params: { storePath: string; sessionKey: string }): number | undefined {
  return readSessionEntryBestEffort(params.storePath, params.sessionKey)?.updatedAt;
}

/** One session, of which nothing else is read. Undefined when there is none, or it cannot be read. */
export function readSessionEntryBestEffort(storePath: string, sessionKey: string): SessionEntry | undefined {
  try {
    return readSessionEntry(storePath, sessionKey);
  } catch {
    return undefined;
  }
}

/** The same; throws what is wrong with the store or the session. */
export function readSessionEntry(storePath: string, sessionKey: string): SessionEntry | undefined {
  const key = normalizeStoreSessionKey(sessionKey);
  return readStore(storePath, (source) => {
    const stored = newestSpelling(source, key, sessionKey.trim());
    return stored === undefined ? undefined : toCallerEntry(stored.entry);
  });
}

/** The session under its normalised key, or as it was typed, unless another spelling is strictly newer. */
function newestSpelling(source: ReadSource, key: string, typed: string): StoredSession | undefined {
  let best = source.read(key) ?? (typed === key ? undefined : source.read(typed));
  for (const name of source.spellings(key)) {
    const candidate = name === key ? undefined : source.read(name);
    if (candidate !== undefined && (best === undefined || timeOf(candidate) > timeOf(best))) best = candidate;
  }
  return best;
}

function timeOf({ entry }: StoredSession): number {
  return typeof entry.updatedAt === "number" ? entry.updatedAt : 0;
}

const attemptsMax = 20;

/** Runs `read` on one state of the store; again when that state could not be told to its end. */
export function readStore<Result>(storePath: string, read: (source: ReadSource) => Result): Result {
  const shared = sharedStore(storePath);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return shared.read(read);
    } catch (error) {
      if (!(error instanceof ReadPointLostError) || attempt >= attemptsMax) throw error;
    }
  }
}

function readBestEffort<Result>(storePath: string, read: (source: ReadSource) => Result): Result | undefined {
  try {
    return readStore(storePath, read);
  } catch (error) {
    logWarning(`a session store cannot be read and counts as empty: ${String(error)}`, { path: storePath });
    return undefined;
  }
}

function emptyCopy(): Record<string, SessionEntry> {
  const copy = {};
  unreadable.add(copy);
  return copy;
}
