/**
 * The json backend: the legacy `sessions.json`, one file for all sessions, for installations that do not migrate. It
 * is read by gateways of that time as it always was, and written so that nothing gets lost: fresh, under both locks,
 * complete before it takes the old file's place. Each save writes the whole file; that is why directory stores exist.
 *
 * Relies on the port, the legacy text of `sessions/`, and nothing of the directory backend but the name of its lock.
 */

import type {
  Backend,
  BackendChange,
  Capabilities,
  CommitRequest,
  CommitResult,
  Cursor,
  DamagedSession,
  Finding,
  KeyRule,
  Logger,
  SessionPage,
  SessionQuery,
  Snapshot,
  SnapshotEntry,
  StoreStats,
  TrashedSession,
  Versioned,
} from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { refuseNetworkFileSystem } from "../../fs/network-file-system.js";
import { openOrMakeParent } from "../../fs/parent-directory.js";
import { type Directory, hasCode, type Port } from "../../fs/port.js";
import { WaitingRoom } from "../../fs/waiting-room.js";
import type { Limits } from "../../limits.js";
import { pageOfSummaries } from "../../sessions/query.js";
import { summarizeSession } from "../../sessions/summary.js";
import { changesBetween, changesSinceCursor, cursorOf } from "./changes.js";
import { checkStore } from "./check.js";
import { Committer } from "./commit.js";
import { type JsonLocation, livePathOf } from "./layout.js";
import { damagedEntry } from "./problems.js";
import { ViewReader } from "./reader.js";
import { backupNames } from "./rotate.js";
import { StoreLock } from "./store-lock.js";
import type { View } from "./view.js";

export interface JsonBackendOptions {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;
  readonly lockWaitMs: number;
  readonly rotateBytes: number;
  readonly logger: Logger | undefined;
}

export const jsonCapabilities: Capabilities = Object.freeze({
  denseVersions: false,
  crossProcess: true,
  changesAcrossRestart: true,
  persistent: true,
  trash: false,
  generations: false,
});

/** How long a commit of another process may stay unseen by a watcher. */
const watchPollMs = 50;

export class JsonBackend implements Backend {
  readonly kind = "json";
  readonly location: string;
  readonly capabilities = jsonCapabilities;
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  readonly #reader: ViewReader;
  readonly #committer: Committer;
  readonly #closed = new AbortController();
  readonly #watchers: WaitingRoom;
  #closing: Promise<void> | undefined;

  /**
   * Opens the store; the file need not exist, and is not made before the first write. Throws `invalid_legacy`,
   * `unsafe_path`, `store_gone` when a directory store lies there, `store_missing` for a reader of nothing.
   */
  static async open(port: Port, location: JsonLocation, options: JsonBackendOptions): Promise<JsonBackend> {
    try {
      return await JsonBackend.#open(port, location, options);
    } catch (error) {
      throw fromSystemError(error, { operation: "open the store", path: livePathOf(location) });
    }
  }

  static async #open(port: Port, location: JsonLocation, options: JsonBackendOptions): Promise<JsonBackend> {
    const parent = options.readOnly ? openParent(port, location) : await openOrMakeParent(port, location.parentPath);
    try {
      if (!options.readOnly) refuseNetworkFileSystem(port, parent, options.logger);
      const first = new ViewReader(port, parent, location, options);
      const view = first.current();
      const isMissing = port.statName(parent, location.legacyName) === undefined;
      if (isMissing && options.readOnly) throw nothingToRead(location);
      if (isMissing) warnOfBackups(port, parent, location, options.logger);
      // Fixed by the first write of whoever wrote first.
      const rules = { keyRule: view.keyRule, limits: options.limits };
      const reader = view.keyRule === options.keyRule ? first : new ViewReader(port, parent, location, rules);
      return new JsonBackend(reader, options);
    } catch (error) {
      port.closeDirectory(parent);
      throw error;
    }
  }

  private constructor(reader: ViewReader, options: JsonBackendOptions) {
    const { port, parent, location } = reader;
    this.#reader = reader;
    this.#watchers = new WaitingRoom(port);
    this.location = livePathOf(location);
    this.keyRule = reader.rules.keyRule;
    this.limits = options.limits;
    this.readOnly = options.readOnly;
    this.#committer = new Committer(reader, new StoreLock(port, parent, location), {
      ...options,
      onCommitted: () => this.#watchers.wakeAll(),
    });
  }

  async read(keys: readonly string[]): Promise<Map<string, Versioned>> {
    const view = this.#view();
    const found = new Map<string, Versioned>();
    for (const key of keys) {
      const problem = view.damaged.get(key);
      if (problem !== undefined) throw damagedEntry(this.#reader.location, key, problem);
      const session = view.sessions.get(key);
      if (session !== undefined) found.set(key, session);
    }
    return found;
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    this.#requireOpen();
    if (this.readOnly) throw new SessionStoreError("read_only", "the store is open for reading only");
    return this.#committer.commit(request);
  }

  async scan(options: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal } = {}): Promise<Snapshot> {
    const view = this.#view();
    const damaged = [...view.unreadable].filter(([, { key }]) => key === undefined || view.damaged.has(key));
    const reports = damaged.map(([name, { key, problem }]): DamagedSession => {
      return { key, error: damagedEntry(this.#reader.location, key ?? name, problem) };
    });
    return { cursor: cursorOf(view), [Symbol.asyncIterator]: () => iterate(view, reports, options) };
  }

  async list(query: SessionQuery): Promise<SessionPage> {
    const summaries = [...this.#view().sessions].map(([key, { entry }]) => summarizeSession(key, entry));
    return pageOfSummaries(summaries, query);
  }

  async *changes(since: Cursor | undefined, options: { signal?: AbortSignal } = {}): AsyncGenerator<BackendChange> {
    const ended = AbortSignal.any([this.#closed.signal, ...(options.signal ? [options.signal] : [])]);
    if (ended.aborted) return;
    const waiter = this.#watchers.enter(ended);
    let seen = this.#reader.current();
    const missed = since === undefined ? [] : changesSinceCursor(since, seen);
    if (missed === "reset") yield { type: "reset", cursor: cursorOf(seen) };
    else yield* missed;
    while (!ended.aborted) {
      const now = this.#reader.current();
      if (now === seen) {
        // Commits of this handle wake at once, those of others are found by looking.
        await waiter.next(watchPollMs);
        continue;
      }
      const changes = changesBetween(seen, now);
      seen = now;
      for (const change of changes) {
        if (ended.aborted) return;
        yield change;
      }
    }
  }

  async cursor(): Promise<Cursor> {
    return cursorOf(this.#view());
  }

  async *check(): AsyncGenerator<Finding> {
    this.#requireOpen();
    yield* checkStore(this.#reader);
  }

  async *trash(): AsyncGenerator<TrashedSession> {}

  async emptyTrash(_ids: readonly string[]): Promise<number> {
    return 0;
  }

  /** Nothing is acknowledged before it is durable. */
  async sync(): Promise<void> {
    this.#requireOpen();
  }

  /** There are no derived files that could lag behind. */
  async checkpoint(): Promise<void> {
    this.#requireOpen();
  }

  async stats(): Promise<StoreStats> {
    const view = this.#view();
    return {
      backend: this.kind,
      location: this.location,
      sessions: view.sessions.size,
      version: cursorOf(view),
      fileBytes: view.live.sizeBytes,
      unreadableEntries: view.unreadable.size,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed.abort();
    await this.#committer.drained();
    this.#watchers.wakeAll();
    this.#reader.port.closeDirectory(this.#reader.parent);
  }

  #view(): View {
    this.#requireOpen();
    return this.#reader.current();
  }

  #requireOpen(): void {
    if (this.#closed.signal.aborted) throw new SessionStoreError("closed", "the store is closed");
  }
}

async function* iterate(
  view: View,
  reports: readonly DamagedSession[],
  options: { onDamaged?: (damaged: DamagedSession) => void },
): AsyncGenerator<SnapshotEntry> {
  for (const report of reports) {
    if (options.onDamaged === undefined) throw report.error;
    options.onDamaged(report);
  }
  for (const [key, { entry, version }] of view.sessions) yield { key, entry, version };
}

function openParent(port: Port, location: JsonLocation): Directory {
  try {
    return port.openRoot(location.parentPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw nothingToRead(location);
    throw error;
  }
}

function nothingToRead(location: JsonLocation): SessionStoreError {
  return new SessionStoreError("store_missing", "there is no store", {
    operation: "open the store",
    path: livePathOf(location),
    onDisk: "A reader creates nothing.",
    nextStep: "Check the path, or open it for writing; the first write creates the file.",
  });
}

/** Old gateways moved the file away to rotate it; one that died before it wrote the next one left nothing but backups. */
function warnOfBackups(port: Port, parent: Directory, location: JsonLocation, logger: Logger | undefined): void {
  const [newest] = backupNames(port, parent, location.legacyName);
  if (newest === undefined) return;
  logger?.warn(
    `there is no ${location.legacyName}, so the store is empty, but there are backups of it; if it should not be empty, copy the newest one back`,
    { path: livePathOf(location), newestBackup: newest },
  );
}
