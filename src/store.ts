/**
 * The store: the public methods on top of any backend. They validate and normalise what comes from callers, refuse what
 * the store's state does not allow, and call down; a backend only stores. Reads are here, writes in `store-writes.ts`
 * and `store-transaction.ts`.
 *
 * Promises: no lock is held and nobody queues while a caller's function runs; what a method returns is deep-frozen and
 * shared; every error is a `SessionStoreError`, except those that a caller's own function throws.
 */

import type {
  EmptyTrashOptions,
  EntryFields,
  Frozen,
  PatchOptions,
  RemoveOptions,
  RestoreOptions,
  SessionChange,
  SessionStore,
  Transaction,
  TransactionOptions,
  UpdateOptions,
  VersionedEntry,
  WatchOptions,
  WriteOptions,
} from "./api.js";
import type {
  Backend,
  Capabilities,
  Cursor,
  DamagedSession,
  Finding,
  Generation,
  Logger,
  SessionPage,
  SessionQuery,
  StoreStats,
  TrashedSession,
  VersionToken,
} from "./contract.js";
import { translateIfOfSystem, translatingSystemErrors } from "./errors.js";
import { fixedLimits } from "./limits.js";
import { checkOptions, describeType, invalidOption } from "./options.js";
import type { SessionEntry } from "./sessions/entry.js";
import { normalizeKey } from "./sessions/keys.js";
import { checkQuery, queryFields } from "./sessions/query.js";
import { readSession, type StoreClock, type StoreContext } from "./store-context.js";
import { noGenerations } from "./store-generations.js";
import { Lifetime, requireNotAborted } from "./store-lifetime.js";
import { checkMethodOptions, requireFunction } from "./store-options.js";
import { runTransaction } from "./store-transaction.js";
import { emptyTrash, restoreSession } from "./store-trash.js";
import { watchStore } from "./store-watch.js";
import { patchSession, removeSession, reopenSession, type UpdateFunction, updateSession } from "./store-writes.js";

export interface StoreOptions {
  readonly clock: StoreClock;
  /** Milliseconds for which a write is retried after its first conflict; default 10,000. */
  readonly conflictWaitMs?: number | undefined;
  readonly logger?: Logger | undefined;
}

/** A store on an open backend, which it owns from now on: closing the store closes the backend. */
export function createSessionStore<Entry extends object = SessionEntry>(
  backend: Backend,
  options: StoreOptions,
): SessionStore<Entry> {
  checkOptions(options, ["clock", "conflictWaitMs", "logger"], "createSessionStore");
  const { clock, logger, conflictWaitMs = fixedLimits.conflictWaitMsDefault } = options;
  if (typeof conflictWaitMs !== "number" || !(conflictWaitMs >= 0)) {
    throw invalidOption("createSessionStore", "the option conflictWaitMs is a number of milliseconds, 0 or more");
  }
  const lifetime = new Lifetime(backend.location, backend.readOnly);
  return new StoreOnBackend<Entry>({ backend, lifetime, clock, conflictWaitMs, logger });
}

class StoreOnBackend<Entry extends object> implements SessionStore<Entry> {
  readonly location: string;
  readonly capabilities: Capabilities;
  readonly #context: StoreContext;
  readonly #backend: Backend;
  readonly #lifetime: Lifetime;

  constructor(context: StoreContext) {
    this.#context = context;
    this.#backend = context.backend;
    this.#lifetime = context.lifetime;
    this.location = context.backend.location;
    this.capabilities = context.backend.capabilities;
  }

  // --- reading one or some -----------------------------------------------------------------------------------------

  async get(key: string): Promise<Frozen<Entry> | undefined> {
    this.#lifetime.requireOpen("get");
    const normalized = this.#key(key);
    const found = readSession(this.#backend, normalized);
    return (found instanceof Promise ? await found : found)?.entry as Frozen<Entry> | undefined;
  }

  async getMany(keys: Iterable<string>): Promise<Map<string, Frozen<Entry>>> {
    this.#lifetime.requireOpen("getMany");
    if (typeof keys === "string" || typeof keys?.[Symbol.iterator] !== "function") {
      throw invalidOption("getMany", `needs an array or another iterable of keys, not ${describeType(keys)}`);
    }
    const normalized = new Set<string>();
    for (const key of keys) normalized.add(this.#key(key));
    const entries = new Map<string, Frozen<Entry>>();
    for (const [key, session] of await this.#backend.read([...normalized])) {
      entries.set(key, session.entry as Frozen<Entry>);
    }
    return entries;
  }

  async getWithVersion(key: string): Promise<VersionedEntry<Entry> | undefined> {
    this.#lifetime.requireOpen("getWithVersion");
    const session = await readSession(this.#backend, this.#key(key));
    return session && { entry: session.entry as Frozen<Entry>, version: session.version };
  }

  // --- writing -----------------------------------------------------------------------------------------------------

  update(
    key: string,
    fn: (current: Frozen<Entry> | undefined) => Entry | undefined | Promise<Entry | undefined>,
    options: UpdateOptions = {},
  ): Promise<Frozen<Entry> | undefined> {
    try {
      this.#lifetime.requireWritable("update");
      const normalized = this.#key(key);
      requireFunction(fn, "update");
      checkMethodOptions("update", options);
      requireNotAborted(options.signal, "update");
      const updated = updateSession(this.#context, normalized, fn as UpdateFunction, options);
      return updated as Promise<Frozen<Entry> | undefined>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async patch(key: string, fields: EntryFields<Entry>, options: PatchOptions = {}): Promise<Frozen<Entry>> {
    this.#lifetime.begin("patch");
    try {
      const normalized = this.#key(key);
      checkMethodOptions("patch", options);
      requireNotAborted(options.signal, "patch");
      return (await patchSession(this.#context, normalized, fields, options)) as Frozen<Entry>;
    } finally {
      this.#lifetime.end();
    }
  }

  async remove(key: string, options: RemoveOptions = {}): Promise<boolean> {
    this.#lifetime.begin("remove");
    try {
      const normalized = this.#key(key);
      checkMethodOptions("remove", options);
      requireNotAborted(options.signal, "remove");
      return await removeSession(this.#context, normalized, options);
    } finally {
      this.#lifetime.end();
    }
  }

  async transaction<Result>(
    fn: (transaction: Transaction<Entry>) => Result | Promise<Result>,
    options: TransactionOptions = {},
  ): Promise<Result> {
    this.#lifetime.begin("transaction");
    try {
      requireFunction(fn, "transaction");
      checkMethodOptions("transaction", options);
      requireNotAborted(options.signal, "transaction");
      const untyped = fn as unknown as Parameters<typeof runTransaction>[1];
      return (await runTransaction(this.#context, untyped, options)) as Result;
    } finally {
      this.#lifetime.end();
    }
  }

  // --- what was: generations and the trash -------------------------------------------------------------------------

  async generations(key: string): Promise<readonly Generation[]> {
    this.#lifetime.requireOpen("generations");
    return (await readSession(this.#backend, this.#key(key)))?.generations ?? noGenerations;
  }

  async reopenGeneration(key: string, sessionId: string, options: WriteOptions = {}): Promise<Frozen<Entry>> {
    this.#lifetime.begin("reopenGeneration");
    try {
      const normalized = this.#key(key);
      requireString(sessionId, "reopenGeneration", "the id of a generation");
      checkMethodOptions("reopenGeneration", options);
      requireNotAborted(options.signal, "reopenGeneration");
      return (await reopenSession(this.#context, normalized, sessionId, options)) as Frozen<Entry>;
    } finally {
      this.#lifetime.end();
    }
  }

  async *trash(): AsyncGenerator<TrashedSession, void> {
    this.#lifetime.requireOpen("trash");
    const items = this.#backend.trash()[Symbol.asyncIterator]();
    const end = async () => items.return?.();
    const untrack = this.#lifetime.trackScan(end);
    try {
      for (;;) {
        this.#lifetime.requireOpen("trash");
        const { done, value } = await items.next();
        if (done) break;
        yield value;
      }
      this.#lifetime.requireOpen("trash");
    } catch (error) {
      throw this.#told(error, "trash");
    } finally {
      untrack();
      await end();
    }
  }

  async restore(idOrKey: string, options: RestoreOptions = {}): Promise<TrashedSession> {
    this.#lifetime.begin("restore");
    try {
      requireString(idOrKey, "restore", "the id of a removal or a session key");
      checkMethodOptions("restore", options);
      requireNotAborted(options.signal, "restore");
      return await restoreSession(this.#context, idOrKey, this.#keyIfValid(idOrKey), options);
    } finally {
      this.#lifetime.end();
    }
  }

  async emptyTrash(options: EmptyTrashOptions): Promise<number> {
    this.#lifetime.begin("emptyTrash");
    try {
      checkMethodOptions("emptyTrash", options);
      return await emptyTrash(this.#context, options ?? {});
    } finally {
      this.#lifetime.end();
    }
  }

  // --- reading many ------------------------------------------------------------------------------------------------

  async list(query: SessionQuery = {}): Promise<SessionPage> {
    this.#lifetime.requireOpen("list");
    checkOptions(query, queryFields, "list");
    checkQuery(query);
    return this.#telling("list", () => this.#backend.list(query));
  }

  async *entries(
    options: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal } = {},
  ): AsyncGenerator<{ key: string; entry: Frozen<Entry>; version: VersionToken }, void> {
    this.#lifetime.requireOpen("entries");
    checkMethodOptions("entries", options);
    requireNotAborted(options.signal, "entries");
    const snapshot = await this.#telling("entries", () => this.#backend.scan(options));
    const scan = snapshot[Symbol.asyncIterator]();
    const end = async () => scan.return?.();
    const untrack = this.#lifetime.trackScan(end);
    try {
      for (;;) {
        this.#lifetime.requireOpen("entries");
        requireNotAborted(options.signal, "entries");
        const { done, value } = await scan.next();
        if (done) break;
        yield { key: value.key, entry: value.entry as Frozen<Entry>, version: value.version };
      }
      // A scan that was ended by `close` is not complete.
      this.#lifetime.requireOpen("entries");
    } catch (error) {
      throw this.#told(error, "entries");
    } finally {
      untrack();
      await end();
    }
  }

  watch(options: WatchOptions = {}): AsyncIterableIterator<SessionChange<Entry>> {
    return watchStore<Entry>(this.#context, options);
  }

  // --- the store as a whole ----------------------------------------------------------------------------------------

  async sync(): Promise<void> {
    this.#lifetime.requireWritable("sync");
    return this.#telling("sync", () => this.#backend.sync());
  }

  async checkpoint(): Promise<void> {
    this.#lifetime.requireWritable("checkpoint");
    return this.#telling("checkpoint", () => this.#backend.checkpoint());
  }

  async cursor(): Promise<Cursor> {
    this.#lifetime.requireOpen("cursor");
    return this.#telling("cursor", () => this.#backend.cursor());
  }

  async stats(): Promise<StoreStats> {
    this.#lifetime.requireOpen("stats");
    return this.#telling("stats", () => this.#backend.stats());
  }

  async *verify(options: { onProgress?: (done: number, total: number) => void } = {}): AsyncGenerator<Finding, void> {
    this.#lifetime.requireOpen("verify");
    checkMethodOptions("verify", options);
    try {
      for await (const finding of this.#backend.check(options)) {
        this.#lifetime.requireOpen("verify");
        yield finding;
      }
    } catch (error) {
      throw this.#told(error, "verify");
    }
  }

  close(): Promise<void> {
    return this.#lifetime.close(() => this.#telling("close", () => this.#backend.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // Backends translate what the system says in what is called often; here, for the rest, nothing gets past either.

  #telling<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    return translatingSystemErrors({ operation, path: this.location }, work);
  }

  #told(error: unknown, operation: string): unknown {
    return translateIfOfSystem(error, { operation, path: this.location });
  }

  #key(key: unknown): string {
    return normalizeKey(key, this.#backend.keyRule, this.#backend.limits.keyBytes);
  }

  /** For what may be a key or something else. */
  #keyIfValid(text: string): string | undefined {
    try {
      return this.#key(text);
    } catch {
      return undefined;
    }
  }
}

function requireString(value: unknown, method: string, what: string): void {
  if (typeof value === "string" && value !== "") return;
  throw invalidOption(method, `needs ${what}, not ${value === "" ? "an empty text" : describeType(value)}`);
}
