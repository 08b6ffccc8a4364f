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
  Versioned,
} from "../../contract.js";
import { fromSystemError, type SessionStoreError } from "../../errors.js";
import { hasCode, type Port, type Timer } from "../../fs/port.js";
import { fixedLimits, type Limits } from "../../limits.js";
import { ChangeFollower } from "./changes.js";
import { checkStore } from "./check.js";
import { Checkpointer } from "./checkpoint.js";
import { Committer } from "./commit.js";
import { CommitLock } from "./commit-lock.js";
import { Durability } from "./durability.js";
import { JournalWriter } from "./journal-writer.js";
import { lockNames, type StoreLocation } from "./layout.js";
import { LockFile } from "./lock-file.js";
import { endLooksDamaged, setAsideStranded } from "./recover.js";
import { startScan } from "./scan.js";
import { StoreFiles } from "./store-files.js";
import { Summaries } from "./summaries.js";
import { formatCursor, formatToken } from "./version.js";
import { View } from "./view.js";

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
};

/** How often a writer looks whether the journal is old or idle enough to be written out. */
const maintenanceMs = 2_000;
/** A journal that nobody appended to for so long is written out early. */
const idleMs = 5_000;
/** How a watcher waits for other processes: short at first, longer when nothing happens. */
const watchPollMinMs = 2;
const watchPollMaxMs = 20;

export class DirectoryBackend implements Backend {
  readonly kind = "directory";
  readonly location: string;
  readonly capabilities = capabilities;
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  private readonly port: Port;
  private readonly files: StoreFiles;
  private readonly view: View;
  private readonly options: DirectoryBackendOptions;
  private readonly summaries: Summaries;
  /** Absent for readers that can neither create nor open the lock file. */
  private readonly scanLock: LockFile | undefined;
  private readonly writing: WritingParts | undefined;
  private readonly closedController = new AbortController();
  private closing: Promise<void> | undefined;
  private wakeWatchers: () => void = () => {};
  private nextChange: Promise<void>;

  /** Opens an existing store; ENOENT passes through when there is none. Recovers what a crash left, if it may write. */
  static async open(port: Port, location: StoreLocation, options: DirectoryBackendOptions): Promise<DirectoryBackend> {
    const files = StoreFiles.open(port, location, options.readOnly);
    let backend: DirectoryBackend | undefined;
    try {
      backend = new DirectoryBackend(files, options);
      await backend.start();
      return backend;
    } catch (error) {
      if (backend) backend.releaseAll();
      else files.close();
      if (hasCode(error, "ENOENT")) throw error;
      throw fromSystemError(error, { operation: "open the store", path: files.store.displayPath });
    }
  }

  private constructor(files: StoreFiles, options: DirectoryBackendOptions) {
    const { port } = files;
    this.port = port;
    this.files = files;
    this.options = options;
    this.location = files.store.displayPath;
    this.keyRule = files.manifest.keyRule;
    this.limits = options.limits;
    this.readOnly = options.readOnly;
    this.view = new View(files, options.cacheBytes, options.readOnly);
    this.nextChange = this.armWatchers();
    this.summaries = new Summaries({
      scan: () => this.scan({ onDamaged: () => {} }),
      refresh: () => this.view.refresh(),
      read: (key) => this.view.read(key),
    });
    this.view.onCommit = (record) => {
      for (const operation of record.operations) this.summaries.noteChanged(operation.key);
      this.wakeWatchers();
    };
    this.view.onReset = () => {
      this.summaries.invalidate();
      this.wakeWatchers();
    };
    const names = lockNames(files.location.directoryName);
    this.scanLock = openLockIfPossible(files, names.scan, options.readOnly);
    this.writing = options.readOnly
      ? undefined
      : new WritingParts(files, this.view, this.scanLock as LockFile, options);
  }

  private async start(): Promise<void> {
    const { strandedSegments } = this.view.rebuild();
    if (this.writing === undefined) return;
    const { committer } = this.writing;
    if (strandedSegments.length > 0) await this.writing.alone(() => setAsideStranded(this.view));
    if (endLooksDamaged(this.view)) await committer.exclusively("recover the journal", () => {});
    this.writing.startMaintenance();
  }

  async read(keys: readonly string[]): Promise<Map<string, Versioned>> {
    const found = new Map<string, Versioned>();
    try {
      this.view.refresh();
      for (const key of keys) {
        const versioned = this.view.read(key);
        if (versioned) found.set(key, versioned);
      }
    } catch (error) {
      throw this.translate(error, "read");
    }
    return found;
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    return (this.writing as WritingParts).committer.commit(request);
  }

  async scan(options: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal } = {}): Promise<Snapshot> {
    try {
      return await startScan(this.view, this.scanLock, {
        limits: this.limits,
        lockWaitMs: this.options.lockWaitMs,
        onDamaged: options.onDamaged,
        signal: options.signal,
        closed: this.closedController.signal,
      });
    } catch (error) {
      throw this.translate(error, "scan");
    }
  }

  async list(query: SessionQuery): Promise<SessionPage> {
    try {
      return await this.summaries.page(query);
    } catch (error) {
      throw this.translate(error, "list");
    }
  }

  async *changes(since: Cursor | undefined, options: { signal?: AbortSignal } = {}): AsyncGenerator<BackendChange> {
    const follower = new ChangeFollower(this.view);
    const ended = AbortSignal.any([this.closedController.signal, ...(options.signal ? [options.signal] : [])]);
    try {
      const reset = follower.start(since);
      if (reset) yield reset;
      let pollMs = watchPollMinMs;
      while (!ended.aborted) {
        const woken = this.nextChange;
        let delivered = false;
        for (const change of follower.poll()) {
          if (ended.aborted) return;
          delivered = true;
          yield change;
        }
        pollMs = delivered ? watchPollMinMs : Math.min(watchPollMaxMs, pollMs + 1);
        await this.waitForChange(woken, pollMs, ended);
      }
    } catch (error) {
      throw this.translate(error, "watch");
    } finally {
      follower.close();
    }
  }

  async cursor(): Promise<Cursor> {
    try {
      this.view.refresh();
    } catch (error) {
      throw this.translate(error, "cursor");
    }
    return formatCursor(this.view.last, this.files.manifest.incarnation);
  }

  check(options: { onProgress?: (done: number, total: number) => void } = {}): AsyncIterable<Finding> {
    return checkStore(this.files, { limits: this.limits, onProgress: options.onProgress });
  }

  async sync(): Promise<void> {
    if (this.writing === undefined) return;
    try {
      this.view.refresh();
      await this.writing.durability.wait(this.view.last.version);
    } catch (error) {
      throw this.translate(error, "sync");
    }
  }

  async checkpoint(): Promise<void> {
    try {
      await this.writing?.checkpoint();
    } catch (error) {
      throw this.translate(error, "checkpoint");
    }
  }

  async stats(): Promise<StoreStats> {
    try {
      this.view.refresh();
    } catch (error) {
      throw this.translate(error, "stats");
    }
    const { view, files } = this;
    let sessions = 0;
    for (const { batch } of files.entries.list(Number.POSITIVE_INFINITY)) {
      for (const { name, kind } of batch) if (kind === "file" && name.startsWith("session-")) sessions += 1;
    }
    return {
      backend: this.kind,
      location: this.location,
      version: formatToken(view.last, files.manifest.incarnation),
      entryFiles: sessions,
      journaledSessions: new Set(view.segments.flatMap((segment) => [...segment.overlay.changes.keys()])).size,
      journalSegments: files.listSegments().length,
      liveJournalBytes: view.segments.reduce((sum, segment) => sum + segment.offset, 0),
      checkpointedVersion: files.readManifest().checkpoint.version,
      lastVersion: view.last.version,
      cachedEntries: view.cache.stats.entries,
      cachedBytes: view.cache.stats.bytes,
      keyRule: this.keyRule,
      durability: this.options.durability,
    };
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    this.closedController.abort();
    this.wakeWatchers();
    try {
      await this.writing?.finish();
    } finally {
      this.releaseAll();
    }
  }

  private releaseAll(): void {
    this.view.dropAll();
    this.writing?.release();
    this.scanLock?.close();
    this.files.close();
  }

  // --- waking watchers -------------------------------------------------------------------------------------------

  private armWatchers(): Promise<void> {
    return new Promise((resolve) => {
      this.wakeWatchers = () => {
        resolve();
        this.nextChange = this.armWatchers();
      };
    });
  }

  /** Commits of this process wake at once; those of others are found by looking at the end of the journal. */
  private async waitForChange(woken: Promise<void>, pollMs: number, ended: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const either = AbortSignal.any([ended, stop.signal]);
    try {
      await Promise.race([woken, this.port.sleep(pollMs, either)]);
    } catch {
      // Ended: the caller looks at the signal.
    } finally {
      stop.abort();
    }
  }

  private translate(error: unknown, operation: string): SessionStoreError {
    return fromSystemError(error, { operation, path: this.location });
  }
}

/** What only a store that may write has: the locks, the committer, durability, and work in the background. */
class WritingParts {
  readonly committer: Committer;
  readonly durability: Durability;
  private readonly port: Port;
  private readonly view: View;
  private readonly files: StoreFiles;
  private readonly options: DirectoryBackendOptions;
  private readonly writer: JournalWriter;
  private readonly commitLockFile: LockFile;
  private readonly checkpointLockFile: LockFile;
  private readonly commitLock: CommitLock;
  private readonly checkpointer: Checkpointer;
  private maintenanceTimer: Timer | undefined;
  private syncTimer: Timer | undefined;
  private background: Promise<void> | undefined;
  private lastAppendMs = 0;
  private lastSeenVersion = -1;
  private finished = false;

  constructor(files: StoreFiles, view: View, scanLock: LockFile, options: DirectoryBackendOptions) {
    const { port } = files;
    const names = lockNames(files.location.directoryName);
    this.port = port;
    this.files = files;
    this.view = view;
    this.options = options;
    this.commitLockFile = LockFile.open(port, files.parent, names.commit, files.owner, false);
    this.checkpointLockFile = LockFile.open(port, files.parent, names.checkpoint, files.owner, false);
    this.commitLock = new CommitLock(port, this.commitLockFile);
    this.writer = new JournalWriter(view, options.limits.recordBytes);
    this.durability = new Durability(view, (suspectFrom) => this.abandonSuspects(suspectFrom), options.logger);
    this.checkpointer = new Checkpointer(files, this.checkpointLockFile, scanLock, {
      limits: options.limits,
      gateWaitMs: options.lockWaitMs,
      logger: options.logger,
      onRecorded: (version) => view.dropCheckpointed(version),
    });
    this.committer = new Committer(view, this.writer, this.commitLock, this.commitLockFile, this.durability, {
      durabilityMode: options.durability,
      lockWaitMs: options.lockWaitMs,
      segmentBytesMax: options.limits.segmentBytes,
      onRotated: () => this.checkpointInBackground(),
      onUnsynced: () => this.syncSoon(),
    });
  }

  /** Under the commit lock, but before the journal's end is settled: for recovery that comes first. */
  async alone(action: () => void): Promise<void> {
    const deadlineMs = this.port.monotonicMs() + this.options.lockWaitMs;
    if (!(await this.commitLock.acquire(() => deadlineMs))) {
      throw this.commitLockFile.timeoutError("recover the journal", this.options.lockWaitMs);
    }
    try {
      action();
    } finally {
      this.commitLock.release();
    }
  }

  /** Rotates, and writes out everything that is sealed; resolves when what was committed by now is in entry files. */
  async checkpoint(): Promise<void> {
    await this.committer.rotate();
    const target = this.view.last.version;
    const deadlineMs = this.port.monotonicMs() + checkpointWaitMs;
    while (this.files.readManifest().checkpoint.version < target) {
      if (this.background) await this.background.catch(() => {});
      if (this.files.readManifest().checkpoint.version >= target) break;
      if ((await this.checkpointer.run()) === "done") continue;
      if (this.port.monotonicMs() >= deadlineMs)
        throw this.checkpointLockFile.timeoutError("checkpoint", checkpointWaitMs);
      await this.port.sleep(5);
    }
    this.view.dropCheckpointed(this.files.readManifest().checkpoint.version);
  }

  startMaintenance(): void {
    this.maintenanceTimer = this.port.startTimer(maintenanceMs * (0.75 + this.port.random() / 2), () => {
      this.maintain();
      if (!this.finished) this.startMaintenance();
    });
  }

  /** Entry files lag the journal by a minute at most, busy or not. */
  private maintain(): void {
    if (this.background || this.finished) return;
    try {
      this.view.refresh();
    } catch (error) {
      this.options.logger?.warn("the store can no longer be maintained", { error: String(error) });
      return;
    }
    const { current, segments, last } = this.view;
    const nowMs = this.port.monotonicMs();
    if (last.version !== this.lastSeenVersion) {
      this.lastSeenVersion = last.version;
      this.lastAppendMs = nowMs;
    }
    const hasCommits = current.firstCommitMs !== undefined;
    const ageMs = hasCommits ? Math.abs(this.port.nowMs() - (current.firstCommitMs as number)) : 0;
    const isDue = hasCommits && (ageMs >= this.options.limits.segmentAgeMs || nowMs - this.lastAppendMs >= idleMs);
    if (isDue) this.inBackground(() => this.checkpoint());
    else if (segments.length > 1) this.checkpointInBackground();
  }

  private checkpointInBackground(): void {
    // In a later turn: a rotation happens under the commit lock.
    this.inBackground(async () => {
      await this.port.yieldToEventLoop();
      await this.checkpointer.run();
    });
  }

  private inBackground(work: () => Promise<void>): void {
    if (this.background || this.finished) return;
    this.background = work()
      .catch((error) => {
        this.options.logger?.warn(
          "a checkpoint in the background did not come to its end; the journal keeps everything",
          {
            path: this.files.store.displayPath,
            error: String(error),
          },
        );
      })
      .finally(() => {
        this.background = undefined;
      });
  }

  private syncSoon(): void {
    this.syncTimer ??= this.port.startTimer(fixedLimits.intervalSyncMs, () => {
      this.syncTimer = undefined;
      this.durability.wait(this.view.last.version).catch((error) => {
        this.options.logger?.warn("commits could not be made durable", { error: String(error) });
      });
    });
  }

  /** P11, under the commit lock: seal what cannot be trusted; the successor starts with the states it held. */
  private async abandonSuspects(suspectFrom: number): Promise<void> {
    await this.committer.exclusively("give up a segment whose sync failed", () => {
      for (const segment of this.view.segments) {
        if (segment.first >= suspectFrom && segment !== this.view.current) segment.seal = "suspect";
      }
      if (this.view.current.offset > 0) {
        this.writer.seal("suspect");
        this.writer.createSuccessor();
      } else {
        this.writer.carryIfMissing();
      }
    });
  }

  /** Everything that was started comes to its end; commits that were made are on disk, and in the entry files. */
  async finish(): Promise<void> {
    this.finished = true;
    this.maintenanceTimer?.cancel();
    this.syncTimer?.cancel();
    await this.committer.drained();
    await this.durability.settled();
    await this.background;
    if (this.durability.poison) return;
    try {
      this.view.refresh();
    } catch {
      return; // Moved, fenced or damaged: there is nothing of ours to bring to an end.
    }
    await this.durability.wait(this.view.last.version);
    if (this.view.last.version <= this.files.readManifest().checkpoint.version) return;
    try {
      await this.checkpoint();
    } catch (error) {
      this.options.logger?.warn("the last checkpoint did not come to its end; the journal keeps everything", {
        path: this.files.store.displayPath,
        error: String(error),
      });
    }
  }

  release(): void {
    this.maintenanceTimer?.cancel();
    this.syncTimer?.cancel();
    this.commitLockFile.close();
    this.checkpointLockFile.close();
  }
}

/** A checkpoint by another process is waited for so long. */
const checkpointWaitMs = 60_000;

function openLockIfPossible(files: StoreFiles, name: string, readOnly: boolean): LockFile | undefined {
  try {
    return LockFile.open(files.port, files.parent, name, files.owner, readOnly);
  } catch (error) {
    if (readOnly && hasCode(error, "ENOENT", "EACCES", "EROFS")) return undefined;
    throw error;
  }
}
