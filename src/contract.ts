/**
 * The contract between the public store and its backends. Small on purpose: everything else - get, update, patch,
 * transaction, list, watch, migration, maintenance - is written once, on top of it.
 *
 * The public methods (`store.ts`) validate and normalise; a backend only stores. So a backend may rely on this: keys
 * are normalised and within the limits; entries are plain, private, deep-frozen JSON objects; one operation per key.
 * A difference between backends is a declared capability, never a surprise. All backends pass `test/conformance`.
 */

import type { SessionStoreError } from "./errors.js";
import type { Limits } from "./limits.js";

/** A private, deep-frozen JSON object. Readers share it; nobody may change it. */
export type FrozenEntry = Readonly<Record<string, unknown>>;

/**
 * An opaque token that names what changed an entry last. Compare it only for equality. Never reused: not after a
 * removal and re-creation, a rollback, a restore, or a power cut that undid an unacknowledged commit.
 */
export type VersionToken = string;

/** An opaque position in the change feed. */
export type Cursor = string;

/** A transcript that was current under a session key before a reset. */
export interface Generation {
  readonly sessionId: string;
  readonly sessionFile?: string;
  /** When it stopped being the current one, milliseconds since 1970. */
  readonly endedMs: number;
  /** Who reset the session and why, if the commit said so. */
  readonly actor?: string;
  readonly reason?: string;
}

export interface Versioned {
  readonly entry: FrozenEntry;
  readonly version: VersionToken;
  /** Earlier generations, oldest first; absent when there are none. */
  readonly generations?: readonly Generation[] | undefined;
}

/** A backend stores these; at most one per key in a commit. */
export type Operation =
  | {
      readonly type: "put";
      readonly key: string;
      readonly entry: FrozenEntry;
      /** The complete list after this commit. Absent: as before (none for a new session). A removal ends them all. */
      readonly generations?: readonly Generation[] | undefined;
      /** What this replaces goes to the trash, as if it had been removed first. Nothing to do without `capabilities.trash`. */
      readonly trashPrevious?: boolean | undefined;
    }
  | {
      /** Top-level fields set and unset over the entry at the expected version, which must be given for the key. */
      readonly type: "patch";
      readonly key: string;
      readonly set: FrozenEntry;
      readonly unset: readonly string[];
      /** The result, so that nobody has to compute it twice. */
      readonly entry: FrozenEntry;
      /** As for a put. */
      readonly generations?: readonly Generation[] | undefined;
    }
  | { readonly type: "remove"; readonly key: string; readonly purge: boolean };

export interface CommitRequest {
  readonly operations: readonly Operation[];
  /**
   * The versions this commit relies on, for the keys it read: `null` means "does not exist". Keys it only read may be
   * here too. A key that is written without an expectation is written whatever it was.
   */
  readonly expected: ReadonlyMap<string, VersionToken | null>;
  readonly commitId?: string | undefined;
  /** Who did it and why: kept in the journal and with removed sessions. */
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
  /** Aborting withdraws a commit that waits; one that has been appended is no longer withdrawn. */
  readonly signal?: AbortSignal | undefined;
}

export type CommitResult =
  | { readonly status: "committed"; readonly version: VersionToken }
  /** Nothing was changed. `current` holds every key of `expected` whose version differs, as it is now. */
  | { readonly status: "conflict"; readonly current: ReadonlyMap<string, Versioned | undefined> };

export interface SnapshotEntry extends Versioned {
  readonly key: string;
}

/** One consistent state of the whole store. Iterate it once; it releases what it holds at the end or on `return`. */
export interface Snapshot extends AsyncIterable<SnapshotEntry> {
  /** The position in the change feed of exactly this state. */
  readonly cursor: Cursor;
}

export type BackendChange =
  | {
      readonly type: "put";
      readonly key: string;
      readonly entry: FrozenEntry;
      readonly version: VersionToken;
      readonly commitId: string;
      readonly timeMs: number;
      readonly actor?: string | undefined;
      readonly reason?: string | undefined;
      /** Resuming here repeats no change of this commit once its last one carried it, and loses none. */
      readonly cursor: Cursor;
    }
  | {
      readonly type: "remove";
      readonly key: string;
      readonly version: VersionToken;
      readonly commitId: string;
      readonly timeMs: number;
      readonly actor?: string | undefined;
      readonly reason?: string | undefined;
      readonly cursor: Cursor;
    }
  /** The history since the cursor is no longer there: read everything again, then go on from `cursor`. */
  | { readonly type: "reset"; readonly cursor: Cursor };

export type SessionOrder = "updatedAt" | "key";

export interface SessionQuery {
  /** Only sessions of this agent (`agent:<id>:...`). */
  agent?: string | undefined;
  /** Only sessions of this channel (the entry's `channel`, `lastChannel` or delivery channel). */
  channel?: string | undefined;
  /** Only sessions of this kind. */
  kind?: SessionKind | undefined;
  /** Only sessions with `updatedAt` at or after this time, in ms since 1970. */
  activeSince?: number | undefined;
  /** Only sessions whose key, label, display name or subject contains this text, whatever the case. */
  search?: string | undefined;
  /** `updatedAt` (default): newest first, ties by key. `key`: ascending by code units. */
  order?: SessionOrder | undefined;
  /** Sessions on a page; default 100, at most 10,000. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export type SessionKind =
  | "main"
  | "direct"
  | "group"
  | "channel"
  | "thread"
  | "cron"
  | "subagent"
  | "acp"
  | "hook"
  | "global"
  | "unknown"
  | "other";

/** The few fields that a list shows; heavy fields are never in it. */
export interface SessionSummary {
  key: string;
  agent?: string;
  kind: SessionKind;
  channel?: string;
  updatedAt?: number;
  sessionId?: string;
  label?: string;
  displayName?: string;
  subject?: string;
  model?: string;
  modelProvider?: string;
  totalTokens?: number;
  contextTokens?: number;
  /** Bytes of the entry as compact JSON, about. */
  entryBytes?: number;
}

export interface SessionPage {
  sessions: SessionSummary[];
  nextCursor?: string;
}

/** Something `verify` found. `severity` "error" means data is damaged or a promise is broken. */
export interface Finding {
  severity: "error" | "warning";
  /** Stable: "entry_damaged", "journal_corrupt", "unsafe_file", "foreign_file" ... */
  code: string;
  /** Relative to the store directory. */
  path?: string;
  key?: string;
  /** What is wrong, in a sentence. */
  message: string;
  /** What to do, in a sentence. */
  nextStep: string;
}

/** A session that cannot be read at present; all others can. */
export interface DamagedSession {
  key: string | undefined;
  error: SessionStoreError;
}

/** A removed session that is kept for a while. */
export interface TrashedSession {
  /** Names this removal; opaque, unique within the store. */
  readonly id: string;
  readonly key: string;
  readonly entry: FrozenEntry;
  readonly generations?: readonly Generation[] | undefined;
  /** Milliseconds since 1970. */
  readonly removedMs: number;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
}

export interface StoreStats {
  backend: string;
  location: string;
  sessions?: number;
  /** The newest version, as a token. */
  version: VersionToken;
  /** Anything a backend likes to tell, numbers and short strings only. */
  [detail: string]: unknown;
}

export interface Capabilities {
  /** Versions are the dense store-wide commit numbers 1, 2, 3 ... */
  readonly denseVersions: boolean;
  /** Several processes may have the store open at once. */
  readonly crossProcess: boolean;
  /** A cursor of the change feed outlives the process. */
  readonly changesAcrossRestart: boolean;
  /** Acknowledged commits outlive the process. */
  readonly persistent: boolean;
  /** Removed sessions stay in a trash for a while. */
  readonly trash: boolean;
  /** Earlier generations of a session are kept. */
  readonly generations: boolean;
}

export type KeyRule = "openclaw" | "exact";
export type Durability = "commit" | "interval";

export interface Logger {
  info?(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}

export interface Backend {
  /** "memory", "directory" ... */
  readonly kind: string;
  readonly location: string;
  readonly capabilities: Capabilities;
  /** Fixed when the store was created. */
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  /**
   * The current state of each key; absent keys are absent from the map. Sees every commit acknowledged before the call,
   * by anyone. A damaged entry rejects with `entry_damaged`.
   */
  read(keys: readonly string[]): Promise<Map<string, Versioned>>;

  /**
   * The same for one key, of backends that need not wait for anything: throws what `read` rejects with. Reads are many
   * and short, and a promise costs as much as all the rest of one.
   */
  readNow?(key: string): Versioned | undefined;

  /**
   * What this process knows of a session without asking, of backends where asking takes a while: a state that it had, and
   * perhaps not the newest. Only for a commit that expects its version; who concludes anything else from it reads first.
   */
  recall?(key: string): Versioned | undefined;

  /**
   * Atomically applies the operations if every expectation holds. Resolves when the commit is as durable as the store
   * was opened for. Never runs caller code. Callers are served in order of arrival. Rejects with a typed error, after which
   * nothing was changed - except `outcome_unknown`, which carries the version.
   */
  commit(request: CommitRequest): Promise<CommitResult>;

  /** `onDamaged` is told of sessions that cannot be read; without it such a session rejects the iteration. */
  scan(options?: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal }): Promise<Snapshot>;

  list(query: SessionQuery): Promise<SessionPage>;

  /**
   * Every change after the cursor (from now on when it is undefined), then waits for more until `signal` aborts or the
   * store closes, which ends the iteration without an error. Changes of one session come in order. A watcher that is
   * behind may see several changes of one session as one.
   */
  changes(since: Cursor | undefined, options?: { signal?: AbortSignal }): AsyncIterable<BackendChange>;

  /** The position after everything committed so far. */
  cursor(): Promise<Cursor>;

  /** Read-only; works beside live writers. */
  check(options?: { onProgress?: (done: number, total: number) => void }): AsyncIterable<Finding>;

  /**
   * The trash, newest removal first (of the same millisecond: the later commit first), including everything removed
   * before the call. Empty without `capabilities.trash`.
   */
  trash(): AsyncIterable<TrashedSession>;

  /** Removes these from the trash for good; unknown ids are passed over. Returns how many were there. */
  emptyTrash(ids: readonly string[]): Promise<number>;

  /** Makes every commit so far durable. */
  sync(): Promise<void>;

  /** Brings the derived files up to date with everything committed so far. */
  checkpoint(): Promise<void>;

  stats(): Promise<StoreStats>;

  /** Waits for what was started, releases everything. Calling it again does nothing. */
  close(): Promise<void>;
}
