/**
 * The fence (P20): the last record of a journal, a seal behind which nothing is ever appended. A rollback raises it
 * before it exports: each commit that is made at the same time comes before it, and is exported, or meets it under the
 * commit lock, and is refused. Whoever has the store open fails with `store_fenced` at its next look.
 *
 * Lifting a fence cuts it off again, for a rollback that was given up or died before its export took the store's place.
 * No commit is behind a fence, so none is lost; the journal goes on with the next version in the same incarnation.
 * Handles that met the fence keep it in memory and stay shut; those that never looked meanwhile missed nothing, because
 * nothing that was exported was ever used.
 *
 * Relies on: the caller holds the checkpoint lock (not for looking only), so nobody else raises, lifts or checkpoints.
 */

import type { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import { fixedLimits, type Limits } from "../../limits.js";
import { CommitLock } from "./commit-lock.js";
import { storeGone } from "./journal-errors.js";
import { JournalWriter } from "./journal-writer.js";
import { lockNames, type StoreLocation } from "./layout.js";
import { LockFile } from "./lock-file.js";
import { findLostCommits, setAsideStranded, settleJournalEnd, withCopies } from "./recover.js";
import { DirectorySnapshot } from "./scan.js";
import { StoreFiles } from "./store-files.js";
import { View } from "./view.js";

/** What is read twice in a row - to be written, and to be compared - is kept up to so many bytes. */
const cacheBytes = 16 * 1024 * 1024;
/** A rollback holds up no checkpoint by scanning for long: it holds their lock. */
const scanMaxMs = 24 * 60 * 60_000;

export class FenceableStore {
  readonly files: StoreFiles;
  readonly view: View;
  private readonly port: Port;
  private readonly limits: Readonly<Limits>;
  private readonly writer: JournalWriter;

  private constructor(files: StoreFiles, readOnly: boolean, limits: Readonly<Limits>) {
    this.files = files;
    this.port = files.port;
    this.limits = limits;
    this.view = new View(files, cacheBytes, readOnly, "read");
    this.writer = new JournalWriter(this.view, limits.recordBytes);
  }

  /** Opens a store, fenced or not; ENOENT passes through when there is none. Changes nothing. */
  static open(port: Port, location: StoreLocation, readOnly: boolean, limits: Readonly<Limits>): FenceableStore {
    const files = StoreFiles.open(port, location, readOnly);
    const store = new FenceableStore(files, readOnly, limits);
    try {
      const { strandedSegments } = store.view.rebuild();
      const lost = findLostCommits(store.view, strandedSegments);
      if (lost) throw lost;
      return store;
    } catch (error) {
      store.close();
      throw error;
    }
  }

  get isFenced(): boolean {
    return this.view.current.seal === "fenced";
  }

  get lastVersion(): number {
    return this.view.last.version;
  }

  /** Every session of this view. Behind a fence and under the checkpoint lock nothing changes under it. */
  snapshot(onDamaged: (key: string | undefined, error: SessionStoreError) => void): DirectorySnapshot {
    return new DirectorySnapshot(this.view, undefined, {
      limits: { ...this.limits, scanMaxMs },
      lockWaitMs: 0,
      onDamaged: ({ key, error }) => onDamaged(key, error),
      signal: undefined,
      onEnded: () => {},
    });
  }

  /** Appends the fence and makes it durable, with everything before it. After an error there is no fence. */
  async raise(): Promise<void> {
    await withCopies(this.writer, () =>
      this.underCommitLock("close the store for a rollback", () => {
        if (!this.files.isInPlace()) throw storeGone(this.files);
        setAsideStranded(this.writer);
        settleJournalEnd(this.writer);
        this.writer.seal("fenced");
      }),
    );
    try {
      for (const segment of this.view.segments) {
        if (segment.seal !== "suspect") await this.port.syncFile(segment.file);
      }
      await this.port.syncDirectory(this.files.journal);
    } catch (error) {
      // Should this fail too, the next opening lifts it.
      await this.lift().catch(() => {});
      throw error;
    }
  }

  /** Cuts the fence off, durably. */
  async lift(): Promise<void> {
    const segment = this.view.current;
    const { sealOffset } = segment;
    if (segment.seal !== "fenced" || sealOffset === undefined) return;
    await this.underCommitLock("open the store again after a rollback that was given up", () => {
      this.port.truncate(segment.file, sealOffset);
      segment.seal = undefined;
      segment.offset = sealOffset;
    });
    await this.port.syncFile(segment.file);
  }

  close(): void {
    this.view.dropAll();
    this.files.close();
  }

  private async underCommitLock(operation: string, action: () => void): Promise<void> {
    const { port } = this;
    const name = lockNames(this.files.location.directoryName).commit;
    const file = LockFile.open(port, this.files.parent, name, this.files.owner, false);
    try {
      const lock = new CommitLock(port, file);
      const deadlineMs = port.monotonicMs() + fixedLimits.lockWaitMsMax;
      if (!(await lock.acquire(() => deadlineMs))) throw file.timeoutError(operation, fixedLimits.lockWaitMsMax);
      try {
        action();
      } finally {
        lock.release();
      }
    } finally {
      file.close();
    }
  }
}
