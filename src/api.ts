/** The public types: what users of `openSessionStore` see. The methods are implemented in `store.ts`. */

import type {
  Capabilities,
  Cursor,
  DamagedSession,
  Durability,
  Finding,
  Generation,
  KeyRule,
  Logger,
  SessionPage,
  SessionQuery,
  StoreStats,
  TrashedSession,
  VersionToken,
} from "./contract.js";
import type { LimitOptions } from "./limits.js";
import type { PostgresOptions } from "./postgres-options.js";
import type { SessionEntry } from "./sessions/entry.js";

export interface OpenOptions {
  /**
   * When a commit is acknowledged. "commit" (default): it is on the disk. "interval": it survives any process crash at
   * once; a power cut may cost at most the last second, and never damages older data.
   */
  durability?: Durability | undefined;
  /** Open for reading only; works on read-only mounts and without write permission. */
  readOnly?: boolean | undefined;
  /**
   * "auto" (default): a directory store beside the legacy file, or in its place after a rollback the legacy file.
   * "json": the legacy `sessions.json` itself, read and written as one file, for installations that do not migrate.
   */
  backend?: "auto" | "json" | undefined;
  /** Bytes of a legacy `sessions.json` above which each save first copies it to `.bak.<ms>`; default 10 MiB. */
  rotateBytes?: number | undefined;
  /** What to do with a legacy `sessions.json`: "auto" (default) takes it over, "never" fails with `legacy_store`. */
  migrate?: "auto" | "never" | undefined;
  /** How keys are normalised when the store is created: "openclaw" (default) trims and lower-cases, "exact" does not. */
  keys?: KeyRule | undefined;
  /** Milliseconds to wait for the commit lock in all; default 5,000, at most 60,000. */
  lockWaitMs?: number | undefined;
  /** Milliseconds for which an update is retried after conflicts; default 10,000. */
  conflictWaitMs?: number | undefined;
  /** Bytes of entries kept in memory; default 16 MiB. Raise it where entries are large and many of them active. */
  cacheBytes?: number | undefined;
  limits?: LimitOptions | undefined;
  /** The store inside a database, which holds several; default "default". Not used by ":memory:" and directory stores. */
  storeName?: string | undefined;
  /** For postgres locations. */
  postgres?: PostgresOptions | undefined;
  logger?: Logger | undefined;
}

export interface WriteOptions {
  /** Only if the session still has this version; `null`: only if it does not exist. Otherwise a `conflict` error. */
  ifVersion?: VersionToken | null | undefined;
  /** Stops waiting and retrying. A commit that was already appended is not withdrawn. */
  signal?: AbortSignal | undefined;
  /** Who did it and why: kept in the journal, in the change feed and with removed sessions. */
  actor?: string | undefined;
  reason?: string | undefined;
}

export interface UpdateOptions extends WriteOptions {
  /**
   * What happens when somebody else changed the session meanwhile. "rerun" (default): the function runs again on the
   * fresh entry. "merge": fields that only one side changed are merged; the function runs again on a true overlap. Two
   * sides that set a field to the same value agree: for what counts up or down, leave it at "rerun".
   */
  onConflict?: "rerun" | "merge" | undefined;
}

export interface PatchOptions extends WriteOptions {
  /** Create the session when it does not exist; otherwise that is a `not_found` error. */
  createIfMissing?: boolean | undefined;
}

export interface RemoveOptions extends WriteOptions {
  /** Do not keep the removed session in the trash. */
  purge?: boolean | undefined;
}

export interface RestoreOptions extends Omit<WriteOptions, "ifVersion"> {
  /** When there is a session of this key again: it goes to the trash in the same commit. Otherwise that is a `conflict`. */
  replace?: boolean | undefined;
}

/** Both together: only what fits both. At least one must be given. */
export interface EmptyTrashOptions {
  /** Only these removals. */
  ids?: readonly string[] | undefined;
  /** Only what was removed before this time, milliseconds since 1970; `Infinity` for everything. */
  removedBeforeMs?: number | undefined;
}

export interface TransactionOptions extends Omit<WriteOptions, "ifVersion"> {}

export interface WatchOptions {
  /** Resume after this position; from now on when absent. */
  since?: Cursor | undefined;
  /** Ends the iteration without an error. */
  signal?: AbortSignal | undefined;
}

/** A frozen value, shared between readers. */
export type Frozen<Entry> = Readonly<Entry>;

/** What `patch` sets: some fields of an entry; `undefined` removes one. */
export type EntryFields<Entry> = { [Field in keyof Entry]?: Entry[Field] | undefined };

export interface VersionedEntry<Entry> {
  readonly entry: Frozen<Entry>;
  readonly version: VersionToken;
}

export type SessionChange<Entry> =
  | {
      readonly type: "put";
      readonly key: string;
      readonly entry: Frozen<Entry>;
      readonly version: VersionToken;
      readonly commitId: string;
      readonly time: number;
      readonly actor?: string;
      readonly reason?: string;
      readonly cursor: Cursor;
    }
  | {
      readonly type: "remove";
      readonly key: string;
      readonly entry?: undefined;
      readonly version: VersionToken;
      readonly commitId: string;
      readonly time: number;
      readonly actor?: string;
      readonly reason?: string;
      readonly cursor: Cursor;
    }
  | {
      /** The history since the cursor is gone: read everything again, then go on from `cursor`. */
      readonly type: "reset";
      readonly key?: undefined;
      readonly entry?: undefined;
      readonly version?: undefined;
      readonly cursor: Cursor;
    };

/** What a transaction's function works on. Sees its own writes; nothing is visible to others before the commit. */
export interface Transaction<Entry> {
  get(key: string): Promise<Frozen<Entry> | undefined>;
  set(key: string, entry: Entry): void;
  /** Rejects with `not_found` when the session does not exist and `createIfMissing` is not given. */
  patch(key: string, fields: EntryFields<Entry>, options?: { createIfMissing?: boolean | undefined }): Promise<void>;
  remove(key: string, options?: { purge?: boolean | undefined }): Promise<boolean>;
}

/**
 * A session store. Every method may be called at any time from any number of places; no call waits for another
 * caller's function. Errors are `SessionStoreError`s, except those that a caller's own function throws.
 */
export interface SessionStore<Entry extends object = SessionEntry> extends AsyncDisposable {
  /** The store's location as a person would write it. */
  readonly location: string;
  readonly capabilities: Capabilities;

  get(key: string): Promise<Frozen<Entry> | undefined>;
  /** Absent sessions are absent from the map. The keys of the map are the normalised ones. */
  getMany(keys: Iterable<string>): Promise<Map<string, Frozen<Entry>>>;
  getWithVersion(key: string): Promise<VersionedEntry<Entry> | undefined>;

  /**
   * Reads a session, runs `fn` on it without any lock, and commits what it returns: the whole next entry, or
   * `undefined` for "no change". `current` is frozen: return a changed copy. **`fn` may run more than once** - whenever
   * somebody else committed the same session meanwhile - so it should have no side effects; after `conflictWaitMs` of
   * conflicts the call rejects with `conflict`. Resolves with the session as it is then.
   */
  update(
    key: string,
    fn: (current: Frozen<Entry> | undefined) => Entry | undefined | Promise<Entry | undefined>,
    options?: UpdateOptions,
  ): Promise<Frozen<Entry> | undefined>;

  /** Sets the given top-level fields and leaves the others; a field given as `undefined` is removed. */
  patch(key: string, fields: EntryFields<Entry>, options?: PatchOptions): Promise<Frozen<Entry>>;

  /** True when the session existed. It goes to the trash unless `purge` is given. */
  remove(key: string, options?: RemoveOptions): Promise<boolean>;

  /**
   * The transcripts that were current under this key before: a commit that gives the session another `sessionId` puts
   * the earlier one here, newest last, at most 200. Empty for a session that was never reset, that does not exist, and
   * without `capabilities.generations`. A removal takes them along to the trash.
   */
  generations(key: string): Promise<readonly Generation[]>;
  /**
   * Makes an earlier generation current again: the entry gets its `sessionId` and `sessionFile`, and the present one
   * takes its place on the list. `not_found` when there is none of this id. Resolves with the entry as it is then.
   */
  reopenGeneration(key: string, sessionId: string, options?: WriteOptions): Promise<Frozen<Entry>>;

  /** Removed sessions, newest removal first, as long as they are kept (`limits.trashRetentionMs`). */
  trash(): AsyncIterableIterator<TrashedSession>;
  /**
   * Puts a removed session back, by the id of its removal or by its key (then its newest removal), with the generations
   * it had. `conflict` when there is a session of this key again, unless `replace` is given; `not_found` when the trash
   * does not hold it. Resolves with what was restored.
   */
  restore(idOrKey: string, options?: RestoreOptions): Promise<TrashedSession>;
  /** Throws removed sessions away for good; resolves with how many. */
  emptyTrash(options: EmptyTrashOptions): Promise<number>;

  /**
   * Runs `fn` and commits everything it wrote as one commit, serialisable on the sessions it touched. `fn` may run more
   * than once, as in `update`. Resolves with what `fn` returned.
   */
  transaction<Result>(
    fn: (transaction: Transaction<Entry>) => Result | Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result>;

  list(query?: SessionQuery): Promise<SessionPage>;
  /** Every session of one consistent snapshot. `onDamaged` is told of unreadable ones; without it they throw. */
  entries(options?: {
    onDamaged?: ((damaged: DamagedSession) => void) | undefined;
    signal?: AbortSignal | undefined;
  }): AsyncIterableIterator<{ key: string; entry: Frozen<Entry>; version: VersionToken }>;
  watch(options?: WatchOptions): AsyncIterableIterator<SessionChange<Entry>>;

  /** Makes everything committed so far durable. */
  sync(): Promise<void>;
  /** Writes everything committed so far to the sessions' own files. */
  checkpoint(): Promise<void>;
  /** The position after everything committed so far, for `watch({ since })`. */
  cursor(): Promise<Cursor>;
  stats(): Promise<StoreStats>;
  /** Read-only check of the whole store, safe beside live writers; yields what is wrong. */
  verify(options?: {
    onProgress?: ((done: number, total: number) => void) | undefined;
  }): AsyncIterableIterator<Finding>;
  close(): Promise<void>;
}
