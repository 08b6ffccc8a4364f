/**
 * Snapshot scans (P15): a shared lock on the scan lock first, then a frozen view at version V, then the union of the
 * directory's listing and the overlay's keys. While the lock is held, no checkpoint starts to write a segment that is
 * newer than the frozen view, so every entry file that the overlay does not name is as old as V or older.
 */

import type { Cursor, DamagedSession, Snapshot, SnapshotEntry } from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { Pace } from "../../fs/pace.js";
import { type Directory, hasCode, type Timer } from "../../fs/port.js";
import { fixedLimits, type Limits } from "../../limits.js";
import { presentGenerations } from "../../sessions/generations.js";
import { readEntryFileIfExists, type StoredEntry } from "./entries/entry-file.js";
import { BaseMismatchError, type BaseState, type KeyChange, materialise } from "./journal/overlay.js";
import { lockNames, parseEntryFileName } from "./layout.js";
import { LockFile } from "./lock-file.js";
import type { StoreFiles } from "./store-files.js";
import { type CommitStamp, formatCursor, formatToken } from "./version.js";
import type { View } from "./view.js";

export interface ScanOptions {
  readonly limits: Readonly<Limits>;
  readonly lockWaitMs: number;
  readonly onDamaged: ((damaged: DamagedSession) => void) | undefined;
  readonly signal: AbortSignal | undefined;
  /** The scan needs nothing of the store any more. */
  readonly onEnded: () => void;
}

/** A scan that is read slowly is read ahead into memory after so long, up to so many bytes, and gives up its lock. */
const readAheadAfterMs = 200;
const readAheadBytesMax = 64 * 1024 * 1024;

/** `undefined` for a reader that can neither create nor open it. */
export function openScanLock(files: StoreFiles, readOnly: boolean): LockFile | undefined {
  try {
    const { scan } = lockNames(files.location.directoryName);
    return LockFile.open(files.port, files.parent, scan, files.owner, readOnly);
  } catch (error) {
    if (readOnly && hasCode(error, "ENOENT", "EACCES", "EROFS")) return undefined;
    throw error;
  }
}

/** `lock` is undefined when a reader can neither create nor open the lock file; see `assertNoCheckpoint`. */
export async function startScan(
  view: View,
  lock: LockFile | undefined,
  options: ScanOptions,
): Promise<DirectorySnapshot> {
  const { port } = view.files;
  const deadlineMs = port.monotonicMs() + options.lockWaitMs;
  while (lock && !lock.tryShared()) {
    // A checkpoint passes its gate: it holds the lock for an instant.
    if (port.monotonicMs() >= deadlineMs) throw lock.timeoutError("scan", options.lockWaitMs);
    await port.sleep(1);
  }
  try {
    view.refresh();
    return new DirectorySnapshot(view, lock, options);
  } catch (error) {
    lock?.releaseShared();
    throw error;
  }
}

/** What the caller's own function threw goes back to the caller as it is. */
class ListenerError extends Error {}

type Step = SnapshotEntry | { readonly error: unknown };

export class DirectorySnapshot implements Snapshot {
  readonly cursor: Cursor;
  private readonly view: View;
  private readonly options: ScanOptions;
  private readonly stamp: CommitStamp;
  /** Newest segment first. Sealed segments do not change any more; the current one is copied. */
  private readonly overlays: readonly ReadonlyMap<string, KeyChange>[];
  private readonly checkpointVersion: number;
  private readonly timers: readonly Timer[];
  private readonly steps: Iterator<Step>;
  private readonly pace: Pace;
  /** Read ahead, not yet delivered. */
  private readonly ahead: Step[] = [];
  private aheadBytes = 0;
  private readingAhead: Promise<void> | undefined;
  private lock: LockFile | undefined;
  private ended: SessionStoreError | undefined;
  private complete = false;
  private stepping = false;

  constructor(view: View, lock: LockFile | undefined, options: ScanOptions) {
    const { port, manifest } = view.files;
    this.view = view;
    this.lock = lock;
    this.options = options;
    this.stamp = view.last;
    this.cursor = formatCursor(view.last, manifest.incarnation);
    this.checkpointVersion = view.files.readManifest().checkpoint.version;
    this.overlays = view.segments
      .map((segment) => (segment.seal === undefined ? new Map(segment.overlay.changes) : segment.overlay.changes))
      .reverse();
    this.pace = new Pace(port);
    this.steps = this.readSteps();
    this.timers = [
      port.startTimer(readAheadAfterMs, () => void this.readAhead()),
      // Also when nobody reads on: a forgotten iterator must not hold up checkpoints for ever.
      port.startTimer(options.limits.scanMaxMs, () => {
        this.end(this.expiredError(`the scan took longer than ${options.limits.scanMaxMs} ms`));
      }),
    ];
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SnapshotEntry> {
    try {
      for (;;) {
        await this.pace.breathe();
        if (this.ended) throw this.ended;
        if (this.options.signal?.aborted) throw abortedError(this.options.signal);
        const step = this.ahead.shift() ?? this.readStep();
        if (step === undefined) return;
        if ("error" in step && !("key" in step)) throw step.error;
        yield step as SnapshotEntry;
      }
    } finally {
      this.end(undefined);
    }
  }

  /**
   * Reads what is left into memory, so that a checkpoint need not wait for whoever consumes it. A store that is larger
   * than the read-ahead keeps its lock until it is read or expires.
   */
  readAhead(): Promise<void> {
    this.readingAhead ??= this.readAheadInSlices();
    return this.readingAhead;
  }

  private async readAheadInSlices(): Promise<void> {
    while (this.ended === undefined && this.aheadBytes < readAheadBytesMax) {
      const step = this.readStep();
      if (step === undefined) return;
      this.ahead.push(step);
      if ("error" in step && !("key" in step)) return;
      await this.pace.breathe();
    }
  }

  /** Ends the scan: what was not read ahead will not be read; the next look at it gets `error`. */
  end(error: SessionStoreError | undefined): void {
    if (error !== undefined && this.complete) return; // Everything is in memory already: it stays readable.
    this.ended ??= error ?? closedError();
    for (const timer of this.timers) timer.cancel();
    // Closes the listing that it stands in - unless this is called from within, by whoever hears of a damaged session.
    if (!this.stepping) this.steps.return?.();
    this.release();
  }

  /** The next session; `undefined` at the end, where the lock is given up. */
  private readStep(): Step | undefined {
    if (this.complete) return undefined;
    let step: IteratorResult<Step>;
    this.stepping = true;
    try {
      step = this.steps.next();
    } catch (error) {
      this.complete = true;
      this.release();
      if (error instanceof ListenerError) return { error: error.cause };
      return { error: fromSystemError(error, { operation: "scan", path: this.view.files.store.displayPath }) };
    } finally {
      this.stepping = false;
    }
    // Ended from within: the listing could not be closed while it was read.
    if (this.ended) this.steps.return?.();
    if (!step.done) return step.value;
    this.complete = true;
    this.release();
    return undefined;
  }

  private *readSteps(): Generator<Step> {
    for (const key of this.overlaidKeys()) {
      const entry = this.guard(key, () => this.readOverlaid(key));
      if (entry) yield entry;
    }
    const entriesMax = this.options.limits.sessions * 4 + fixedLimits.strayFilesMax;
    for (const { directory, batch } of this.view.files.entries.list(entriesMax)) {
      for (const { name } of batch) {
        const entry = this.readListed(directory, name);
        if (entry) yield entry;
      }
    }
    this.assertNoCheckpoint();
  }

  private *overlaidKeys(): Iterable<string> {
    const seen = new Set<string>();
    for (const overlay of this.overlays) {
      for (const key of overlay.keys()) {
        if (seen.has(key)) continue;
        seen.add(key);
        yield key;
      }
    }
  }

  private changeOf(key: string): KeyChange | undefined {
    for (const overlay of this.overlays) {
      const change = overlay.get(key);
      if (change) return change;
    }
    return undefined;
  }

  private readOverlaid(key: string): SnapshotEntry | undefined {
    const change = this.changeOf(key) as KeyChange;
    const cached = this.view.cache.get(key);
    const state = materialise(change, cached && cached.version <= change.version ? cached : undefined, () =>
      this.readBase(key),
    );
    return this.toSnapshotEntry(key, state, this.view.files.entries.fileName(key));
  }

  private readBase(key: string): BaseState {
    return this.view.files.entries.read(key) ?? { version: 0, record: "00000000", entry: undefined };
  }

  private readListed(directory: Directory, name: string): SnapshotEntry | undefined {
    const parsed = parseEntryFileName(name);
    if (parsed === undefined) return undefined;
    if (parsed !== "hashed" && this.changeOf(parsed.key)) return undefined; // Yielded already.
    const expectedKey = parsed === "hashed" ? undefined : parsed.key;
    const stored = this.guard(expectedKey, () =>
      readEntryFileIfExists(this.view.files.port, directory, name, expectedKey, this.view.files.owner),
    );
    if (stored === undefined || this.changeOf(stored.key)) return undefined;
    if (this.readingAhead) this.aheadBytes += stored.fileBytes;
    const misplaced = this.findMisplacement(stored, name);
    if (misplaced)
      return this.guard(stored.key, () => {
        throw misplaced;
      });
    return this.guard(stored.key, () => this.toSnapshotEntry(stored.key, stored, name));
  }

  /** A whole entry under another session's name would be seen twice, or instead of the right one (P17). */
  private findMisplacement(stored: StoredEntry, name: string): SessionStoreError | undefined {
    if (this.view.files.entries.fileName(stored.key) === name) return undefined;
    return this.damagedFile("has the name of another session", stored.key, name);
  }

  private toSnapshotEntry(key: string, state: BaseState, fileName: string): SnapshotEntry | undefined {
    if (state.entry === undefined) return undefined;
    if (state.version > this.stamp.version) {
      if (this.lock === undefined) throw this.expiredError("the entry files were changed under the scan");
      // Under the lock no checkpoint writes what is newer than this view: the journal has lost that commit.
      throw this.damagedFile(`is from version ${state.version}, which the journal does not have`, key, fileName);
    }
    const version = formatToken(state, this.view.files.manifest.incarnation);
    return { key, entry: state.entry, version, ...presentGenerations(state.generations) };
  }

  private damagedFile(what: string, key: string, name: string): SessionStoreError {
    return new SessionStoreError("entry_damaged", `the entry file ${what}`, {
      key,
      path: `${this.view.files.entries.root.displayPath}/${name}`,
      onDisk: "The file was left as it is.",
      nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
    });
  }

  /** A damaged session is reported, or ends the scan when nobody listens; it never hides another one. */
  private guard<Result>(key: string | undefined, read: () => Result): Result | undefined {
    try {
      return read();
    } catch (error) {
      const damage = toDamage(error, key);
      if (damage === undefined || this.options.onDamaged === undefined) throw damage ?? error;
      this.tellDamage(this.options.onDamaged, { key, error: damage });
      return undefined;
    }
  }

  private tellDamage(onDamaged: (damaged: DamagedSession) => void, damaged: DamagedSession): void {
    try {
      onDamaged(damaged);
    } catch (error) {
      throw new ListenerError("a listener threw", { cause: error });
    }
  }

  /** Without a lock file there is still a way to tell that no checkpoint came in between: the manifest. */
  private assertNoCheckpoint(): void {
    if (this.lock === undefined && this.view.files.readManifest().checkpoint.version !== this.checkpointVersion) {
      throw this.expiredError("a checkpoint was made during a scan without a lock file");
    }
  }

  private release(): void {
    this.lock?.releaseShared();
    this.lock = undefined;
    this.options.onEnded();
  }

  private expiredError(problem: string): SessionStoreError {
    return new SessionStoreError("snapshot_expired", problem, {
      operation: "scan",
      path: this.view.files.store.displayPath,
      nextStep: "Start the scan again, and do less between two sessions.",
    });
  }
}

function toDamage(error: unknown, key: string | undefined): SessionStoreError | undefined {
  if (error instanceof BaseMismatchError)
    return new SessionStoreError("entry_damaged", error.message, { key, cause: error });
  return error instanceof SessionStoreError && error.code === "entry_damaged" ? error : undefined;
}

function abortedError(signal: AbortSignal): SessionStoreError {
  return new SessionStoreError("aborted", "the signal was aborted", { operation: "scan", cause: signal.reason });
}

export function closedError(): SessionStoreError {
  return new SessionStoreError("closed", "the store was closed during the scan", { operation: "scan" });
}
