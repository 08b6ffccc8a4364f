/**
 * The directory backend: puts its parts together and gives them one life. What each part promises is written there;
 * here is the order in which things open, run in the background, and close.
 */

import type {
  Backend,
  BackendChange,
  Capabilities,
  CommitRequest,
  CommitResult,
  Cursor,
  DamagedSession,
  Durability as DurabilityMode,
  Finding,
  KeyRule,
  Logger,
  SessionPage,
  SessionQuery,
  Snapshot,
  StoreStats,
  TrashedSession,
  Versioned,
} from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { refuseNetworkFileSystem } from "../../fs/network-file-system.js";
import { hasCode, type Port } from "../../fs/port.js";
import { WaitingRoom } from "../../fs/waiting-room.js";
import type { Limits } from "../../limits.js";
import { ActivityTable } from "./activity.js";
import type { StoreLocation } from "./layout.js";
import type { LockFile } from "./lock-file.js";
import type { Manifest } from "./manifest.js";
import { ReadPoint } from "./read-point.js";
import { findLostCommits } from "./recover.js";
import { closedError, type DirectorySnapshot, openScanLock, startScan } from "./scan.js";
import { describeStore } from "./stats.js";
import { StoreFiles } from "./store-files.js";
import { Summaries } from "./summaries.js";
import { isJournaledOnly, readTrash, removalsNamed, unlinkTrash } from "./trash.js";
import { underCheckpointLock } from "./upkeep.js";
import { formatCursor } from "./version.js";
import { View } from "./view.js";
import { watchChanges } from "./watching.js";
import { WritingParts } from "./writing.js";

export interface DirectoryBackendOptions {
  readonly durability: DurabilityMode;
  readonly readOnly: boolean;
  readonly lockWaitMs: number;
  readonly cacheBytes: number;
  readonly limits: Readonly<Limits>;
  readonly logger: Logger | undefined;
}

const capabilities: Capabilities = {
  denseVersions: true,
  crossProcess: true,
  changesAcrossRestart: true,
  persistent: true,
  trash: true,
  generations: true,
};

/**
 * Looks after what lies beside the store, which the backend knows nothing about: a legacy file that an older program
 * writes. Wired up by whoever opens the store.
 */
export interface Companion {
  /** Called after each commit of this process was appended; must be quick, and never throws. */
  noteCommit(committed: Promise<unknown>): void;
  /** Called once, when the store is closed: what was started comes to its end while the store still works. */
  settle(): Promise<void>;
}

export class DirectoryBackend implements Backend {
  readonly kind = "directory";
  readonly location: string;
  readonly capabilities = capabilities;
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  /** Set once, right after opening. */
  companion: Companion | undefined;

  private readonly port: Port;
  private readonly files: StoreFiles;
  private readonly view: View;
  private readonly options: DirectoryBackendOptions;
  private readonly summaries: Summaries;
  /** Absent for readers that can neither create nor open the lock file. */
  private readonly scanLock: LockFile | undefined;
  private readonly writing: WritingParts | undefined;
  private readonly closedController = new AbortController();
  private readonly watchers: WaitingRoom;
  private closing: Promise<void> | undefined;
  /** Readers may open a store whose journal is damaged, to look at it: `check` and `close` work, the rest says this. */
  private lostCommits: SessionStoreError | undefined;
  private readonly scans = new Set<DirectorySnapshot>();

  /** Opens an existing store; ENOENT passes through when there is none. Recovers what a crash left, if it may write. */
  static async open(port: Port, location: StoreLocation, options: DirectoryBackendOptions): Promise<DirectoryBackend> {
    let backend: DirectoryBackend | undefined;
    try {
      backend = DirectoryBackend.assemble(StoreFiles.open(port, location, options.readOnly), options);
      await backend.start();
      return backend;
    } catch (error) {
      backend?.releaseAll();
      if (backend === undefined && hasCode(error, "ENOENT")) throw error;
      const path = `${location.parentPath}/${location.directoryName}`;
      throw fromSystemError(error, { operation: "open the store", path });
    }
  }

  private static assemble(files: StoreFiles, options: DirectoryBackendOptions): DirectoryBackend {
    let scanLock: LockFile | undefined;
    try {
      scanLock = openScanLock(files, options.readOnly);
      return new DirectoryBackend(files, scanLock, options);
    } catch (error) {
      scanLock?.close();
      files.close();
      throw asOpened(error);
    }
  }

  private constructor(files: StoreFiles, scanLock: LockFile | undefined, options: DirectoryBackendOptions) {
    const { port } = files;
    this.port = port;
    this.watchers = new WaitingRoom(port);
    this.files = files;
    this.options = options;
    this.location = files.store.displayPath;
    this.keyRule = files.manifest.keyRule;
    this.limits = options.limits;
    this.readOnly = options.readOnly;
    this.view = new View(files, options.cacheBytes, options.readOnly);
    this.summaries = new Summaries({
      view: this.view,
      buildIndex: async (damaged) => (await this.writing?.buildIndex(damaged)) ?? false,
      scan: (onDamaged) =>
        this.scan({
          onDamaged: (damaged) => {
            this.warn(`a session is not listed: ${damaged.error.message}`);
            onDamaged(damaged);
          },
        }),
      refresh: () => this.refresh(),
    });
    this.view.onCommit = (record) => {
      for (const operation of record.operations) this.summaries.noteChanged(operation.key);
      this.watchers.wakeAll();
    };
    this.view.onReset = () => {
      this.summaries.invalidate();
      this.watchers.wakeAll();
    };
    this.scanLock = scanLock;
    this.writing = options.readOnly
      ? undefined
      : new WritingParts(
          files,
          this.view,
          this.scanLock as LockFile,
          () => this.readScansAhead(),
          () => this.summaries.noteCheckpoint(),
          options,
        );
  }

  private async start(): Promise<void> {
    const { strandedSegments } = this.view.rebuild();
    if (this.writing === undefined) {
      this.lostCommits = findLostCommits(this.view, strandedSegments);
      return;
    }
    refuseNetworkFileSystem(this.port, this.files.store, this.options.logger);
    this.writing.testLocks();
    // Whoever created the store may have died between its rename and the sync that makes it durable; what is
    // acknowledged here must not vanish with the directory's name.
    await this.port.syncDirectory(this.files.parent);
    await this.writing.recover(strandedSegments);
    this.writing.startMaintenance();
    // A writer that was killed may have left commits that were never synced: they are as old as this store says.
    this.writing.syncSoon();
  }

  /** Brings the view up to date, unless it is known to lack commits that were acknowledged. */
  private refresh(): void {
    if (this.lostCommits) throw this.lostCommits;
    this.view.refresh();
  }

  private warn(message: string): void {
    this.options.logger?.warn(message, { path: this.location });
  }

  /** What was fixed when the store was created. */
  get manifest(): Manifest {
    return this.files.manifest;
  }

  readNow(key: string): Versioned | undefined {
    try {
      this.refresh();
      return this.view.readJudged(key);
    } catch (error) {
      throw this.translate(error, "read");
    }
  }

  recall(key: string): Versioned | undefined {
    return this.view.recall(key);
  }

  async read(keys: readonly string[]): Promise<Map<string, Versioned>> {
    const found = new Map<string, Versioned>();
    try {
      for (let version = -1; version !== this.view.last.version; ) {
        this.refresh();
        // All of them as of one commit: where a second look at the journal found another one, they are read again.
        ({ version } = this.view.last);
        found.clear();
        for (const key of keys) {
          const versioned = this.view.readJudged(key);
          if (versioned) found.set(key, versioned);
        }
      }
    } catch (error) {
      throw this.translate(error, "read");
    }
    return found;
  }

  /** Synchronous reads, all as of the last commit there is. The caller closes it. */
  readPoint(): ReadPoint {
    return new ReadPoint(this.view, () => this.refreshOrThrow("read"));
  }

  /** An empty table of all sessions; `fill` it. It is followed until it, or the store, is closed. */
  activity(): ActivityTable {
    return new ActivityTable(this.view, () => this.refreshOrThrow("read"));
  }

  private refreshOrThrow(operation: string): void {
    try {
      this.refresh();
    } catch (error) {
      throw this.translate(error, operation);
    }
  }

  /** Errors of the system get a code of ours. Not for `read`, where each turn counts. */
  private async during<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw this.translate(error, operation);
    }
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    const committed = (this.writing as WritingParts).committer.commit(request);
    this.companion?.noteCommit(committed);
    return committed;
  }

  /** The manifest as it is now. */
  readManifest(): Manifest {
    return this.files.readManifest();
  }

  /** For work beside the commits that neither a checkpoint nor a rollback may meet. Not for readers. */
  underCheckpointLock<Result>(operation: string, work: (files: StoreFiles) => Promise<Result>): Promise<Result> {
    return underCheckpointLock(this.files, this.view, operation, work);
  }

  async scan(options: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal } = {}): Promise<Snapshot> {
    return this.during("scan", async () => {
      this.refresh();
      const snapshot = await startScan(this.view, this.scanLock, {
        limits: this.limits,
        lockWaitMs: this.options.lockWaitMs,
        onDamaged: options.onDamaged,
        signal: options.signal,
        onEnded: () => this.scans.delete(snapshot),
      });
      this.scans.add(snapshot);
      return snapshot;
    });
  }

  list(query: SessionQuery): Promise<SessionPage> {
    return this.during("list", () => this.summaries.page(query));
  }

  async *changes(since: Cursor | undefined, options: { signal?: AbortSignal } = {}): AsyncGenerator<BackendChange> {
    const ended = AbortSignal.any([this.closedController.signal, ...(options.signal ? [options.signal] : [])]);
    try {
      yield* watchChanges(this.view, this.watchers, () => this.refresh(), since, ended);
    } catch (error) {
      throw this.translate(error, "watch");
    }
  }

  async cursor(): Promise<Cursor> {
    this.refreshOrThrow("cursor");
    return formatCursor(this.view.last, this.files.manifest.incarnation);
  }

  async *check(options: { onProgress?: (done: number, total: number) => void } = {}): AsyncGenerator<Finding> {
    const { checkStore } = await import("./check.js");
    yield* checkStore(this.files, { limits: this.limits, onProgress: options.onProgress });
  }

  async *trash(): AsyncGenerator<TrashedSession> {
    try {
      this.refresh();
      yield* readTrash(this.view, this.options.logger);
    } catch (error) {
      throw this.translate(error, "trash");
    }
  }

  async emptyTrash(ids: readonly string[]): Promise<number> {
    const wanted = removalsNamed(ids);
    const { writing } = this;
    if (writing === undefined || wanted.size === 0) return 0;
    return this.during("empty the trash", async () => {
      if (isJournaledOnly(this.files, wanted)) await writing.checkpoint();
      return unlinkTrash(this.view, wanted);
    });
  }

  async sync(): Promise<void> {
    const { writing } = this;
    if (writing === undefined) return;
    await this.during("sync", async () => {
      this.refresh();
      await writing.durability.wait(this.view.last);
    });
  }

  async checkpoint(): Promise<void> {
    await this.during("checkpoint", async () => this.writing?.checkpoint());
  }

  /**
   * How many sessions there are that can be read, at the cost of a list of one. `undefined` while there is no index, which
   * the first list of a writer makes: counting would mean to read every entry file.
   */
  countSessions(): Promise<number | undefined> {
    return this.during("count", () => this.summaries.countIfIndexed());
  }

  async stats(): Promise<StoreStats> {
    this.refreshOrThrow("stats");
    return describeStore(this.view, await this.countSessions(), this.options.durability);
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async readScansAhead(): Promise<void> {
    await Promise.all([...this.scans].map((snapshot) => snapshot.readAhead()));
  }

  private async closeOnce(): Promise<void> {
    this.closedController.abort();
    for (const snapshot of this.scans) snapshot.end(closedError());
    this.watchers.wakeAll();
    try {
      await this.companion?.settle();
      await this.writing?.finish();
    } finally {
      this.releaseAll();
    }
  }

  private releaseAll(): void {
    this.summaries.close();
    this.view.dropAll();
    this.writing?.release();
    this.scanLock?.close();
    this.files.close();
  }

  private translate(error: unknown, operation: string): SessionStoreError {
    return fromSystemError(error, { operation, path: this.location });
  }
}

/** The store is there; a file of it that is not is no reason to create another one. */
function asOpened(error: unknown): unknown {
  if (!hasCode(error, "ENOENT")) return error;
  return new SessionStoreError("store_damaged", "a file of the store vanished while it was opened", { cause: error });
}
