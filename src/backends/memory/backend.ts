/**
 * The memory backend: the reference model. It says what a store does, as simply as possible; the other backends are
 * compared with it by the model-based tests. Everything happens at once, so there is nothing to recover, to lock or to
 * make durable.
 *
 * The state is the map of sessions and the list of all changes. A version is the number of the commit, followed by the
 * random incarnation of the store, so that no version of another store ever looks like one of this.
 */

import type {
  Backend,
  BackendChange,
  Capabilities,
  CommitRequest,
  CommitResult,
  Cursor,
  Finding,
  FrozenEntry,
  KeyRule,
  Operation,
  SessionPage,
  SessionQuery,
  Snapshot,
  SnapshotEntry,
  StoreStats,
  TrashedSession,
  Versioned,
} from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { defaultLimits, type Limits } from "../../limits.js";
import { presentGenerations } from "../../sessions/generations.js";
import { jsonEqual } from "../../sessions/json-equal.js";
import { applyPatch } from "../../sessions/patch.js";
import { pageOfSummaries } from "../../sessions/query.js";
import { summarizeSession } from "../../sessions/summary.js";

/** What the model needs of the outside world; a `Port` has it, and so has any simulation. */
export interface MemoryPort {
  nowMs(): number;
  randomBytes(count: number): Uint8Array;
}

export interface MemoryOptions {
  readonly keyRule?: KeyRule;
  readonly limits?: Readonly<Limits>;
  readonly readOnly?: boolean;
  /** Changes that are kept for watchers; all of them when absent. A watcher that is further behind gets a reset. */
  readonly historyChangesMax?: number;
}

export const memoryCapabilities: Capabilities = Object.freeze({
  denseVersions: true,
  crossProcess: false,
  changesAcrossRestart: false,
  persistent: false,
  trash: true,
  generations: true,
});

export class MemoryBackend implements Backend {
  readonly kind = "memory";
  readonly location = ":memory:";
  readonly capabilities = memoryCapabilities;
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  readonly #port: MemoryPort;
  readonly #incarnation: string;
  readonly #historyChangesMax: number;
  readonly #sessions = new Map<string, Versioned>();
  readonly #trash = new Map<string, Removal>();
  #commits = 0;
  /** The changes since the first one still kept; the number of those before it. */
  #history: Exclude<BackendChange, { type: "reset" }>[] = [];
  #forgottenChanges = 0;
  #closed = false;
  /** Woken by a commit and by `close`. */
  readonly #waiting = new Set<() => void>();

  constructor(port: MemoryPort, options: MemoryOptions = {}) {
    this.#port = port;
    this.#incarnation = Buffer.from(port.randomBytes(8)).toString("hex");
    this.#historyChangesMax = options.historyChangesMax ?? Number.POSITIVE_INFINITY;
    this.keyRule = options.keyRule ?? "openclaw";
    this.limits = options.limits ?? defaultLimits;
    this.readOnly = options.readOnly ?? false;
  }

  async read(keys: readonly string[]): Promise<Map<string, Versioned>> {
    this.#requireOpen();
    const found = new Map<string, Versioned>();
    for (const key of keys) {
      const session = this.#sessions.get(key);
      if (session !== undefined) found.set(key, session);
    }
    return found;
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    this.#requireOpen();
    if (this.readOnly) throw new SessionStoreError("read_only", "the store is open for reading only");
    const current = new Map<string, Versioned | undefined>();
    for (const [key, version] of request.expected) {
      const session = this.#sessions.get(key);
      if ((session?.version ?? null) !== version) current.set(key, session);
    }
    if (current.size > 0) return { status: "conflict", current };
    this.#requireRoom(request.operations);
    const version = this.#token(++this.#commits);
    const commitId = request.commitId ?? version;
    const by = {
      ...(request.actor === undefined ? {} : { actor: request.actor }),
      ...(request.reason === undefined ? {} : { reason: request.reason }),
    };
    const timeMs = this.#port.nowMs();
    for (const operation of request.operations) {
      const { key } = operation;
      const cursor = this.#token(this.#changes + 1);
      this.#keepInTrash(operation, { removedMs: timeMs, ...by });
      const entry = this.#apply(operation, version);
      this.#history.push(
        entry === undefined
          ? { type: "remove", key, version, commitId, timeMs, ...by, cursor }
          : { type: "put", key, entry, version, commitId, timeMs, ...by, cursor },
      );
    }
    this.#forgetOldChanges();
    this.#forgetOldTrash(timeMs);
    this.#wake();
    return { status: "committed", version };
  }

  async scan(): Promise<Snapshot> {
    this.#requireOpen();
    const sessions = new Map(this.#sessions);
    return { cursor: this.#token(this.#changes), [Symbol.asyncIterator]: () => iterate(sessions) };
  }

  async list(query: SessionQuery): Promise<SessionPage> {
    this.#requireOpen();
    return pageOfSummaries(
      [...this.#sessions].map(([key, session]) => summarizeSession(key, session.entry)),
      query,
    );
  }

  async *changes(since: Cursor | undefined, options: { signal?: AbortSignal } = {}): AsyncGenerator<BackendChange> {
    const { signal } = options;
    let seen = since === undefined ? this.#changes : this.#position(since);
    while (!this.#closed && !signal?.aborted) {
      if (seen === undefined || seen < this.#forgottenChanges) {
        seen = this.#changes;
        yield { type: "reset", cursor: this.#token(seen) };
      } else if (seen < this.#changes) {
        yield this.#history[seen++ - this.#forgottenChanges]!;
      } else {
        await this.#nextCommit(signal);
      }
    }
  }

  async cursor(): Promise<Cursor> {
    this.#requireOpen();
    return this.#token(this.#changes);
  }

  async *check(): AsyncGenerator<Finding> {
    this.#requireOpen();
    // Nothing can be damaged here.
    yield* [];
  }

  async *trash(): AsyncGenerator<TrashedSession> {
    this.#requireOpen();
    yield* [...this.#trash.values()].sort(newestFirst).map(({ session }) => session);
  }

  async emptyTrash(ids: readonly string[]): Promise<number> {
    this.#requireOpen();
    let removed = 0;
    for (const id of ids) if (this.#trash.delete(id)) removed++;
    return removed;
  }

  async sync(): Promise<void> {
    this.#requireOpen();
  }

  async checkpoint(): Promise<void> {
    this.#requireOpen();
  }

  async stats(): Promise<StoreStats> {
    this.#requireOpen();
    return {
      backend: this.kind,
      location: this.location,
      sessions: this.#sessions.size,
      version: this.#token(this.#commits),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
  }

  // --- the model ---------------------------------------------------------------------------------------------------

  /** The number of changes since the store exists, which is also the position after the last one. */
  get #changes(): number {
    return this.#forgottenChanges + this.#history.length;
  }

  /** The entry after the operation; `undefined` when it was removed. */
  #apply(operation: Operation, version: string): FrozenEntry | undefined {
    const { key } = operation;
    if (operation.type === "remove") {
      this.#sessions.delete(key);
      return undefined;
    }
    const { entry } = operation;
    const generations = operation.generations ?? this.#sessions.get(key)?.generations;
    if (operation.type === "patch") {
      // The model is also the referee: a patch whose parts and result differ would read differently elsewhere.
      const result = applyPatch(this.#sessions.get(key)!.entry, operation.set, operation.unset);
      if (!jsonEqual(result, entry)) throw new Error("a patch operation does not lead to the entry it carries");
    }
    this.#sessions.set(key, { entry, version, ...presentGenerations(generations) });
    return entry;
  }

  /** Called before the operation is applied. */
  #keepInTrash(operation: Operation, by: { removedMs: number; actor?: string; reason?: string }): void {
    const isKept = operation.type === "remove" ? !operation.purge : operation.type === "put" && operation.trashPrevious;
    const session = this.#sessions.get(operation.key);
    if (!isKept || session === undefined) return;
    const { entry, generations } = session;
    const id = `${this.#token(this.#commits)}-${this.#changes}`;
    const removed = { id, key: operation.key, entry, ...presentGenerations(generations), ...by };
    this.#trash.set(id, { commit: this.#commits, session: removed });
  }

  /** In order of removal, so the first one that is young enough ends it. */
  #forgetOldTrash(nowMs: number): void {
    for (const [id, { session }] of this.#trash) {
      if (session.removedMs >= nowMs - this.limits.trashRetentionMs) return;
      this.#trash.delete(id);
    }
  }

  #requireRoom(operations: readonly Operation[]): void {
    let created = 0;
    for (const { type, key } of operations) if (type === "put" && !this.#sessions.has(key)) created++;
    if (created === 0 || this.#sessions.size + created <= this.limits.sessions) return;
    throw new SessionStoreError(
      "limit_exceeded",
      `the store holds ${this.#sessions.size} sessions, the limit (sessions) is ${this.limits.sessions}`,
      { nextStep: "Remove sessions that are no longer needed, or raise the limit." },
    );
  }

  #forgetOldChanges(): void {
    const tooMany = this.#history.length - this.#historyChangesMax;
    if (tooMany <= 0) return;
    this.#history = this.#history.slice(tooMany);
    this.#forgottenChanges += tooMany;
  }

  /** `undefined` for a cursor of another store, or of a future that this one has not seen. */
  #position(cursor: Cursor): number | undefined {
    const [number, incarnation] = cursor.split(".");
    const position = Number(number);
    if (incarnation !== this.#incarnation || !Number.isInteger(position)) return undefined;
    return position >= 0 && position <= this.#changes ? position : undefined;
  }

  #token(number: number): string {
    return `${number}.${this.#incarnation}`;
  }

  #requireOpen(): void {
    if (this.#closed) throw new SessionStoreError("closed", "the store is closed");
  }

  #nextCommit(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

interface Removal {
  readonly commit: number;
  readonly session: TrashedSession;
}

function newestFirst(left: Removal, right: Removal): number {
  const byTime = right.session.removedMs - left.session.removedMs || right.commit - left.commit;
  return byTime || (left.session.key < right.session.key ? -1 : 1);
}

async function* iterate(sessions: ReadonlyMap<string, Versioned>): AsyncGenerator<SnapshotEntry> {
  for (const [key, session] of sessions) yield { key, ...session };
}
