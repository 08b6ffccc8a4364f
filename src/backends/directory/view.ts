/**
 * One process's view of the store: the open journal segments, the overlay of what they say, and the cache of entries.
 * `refresh` brings it up to the end of the journal; one `fstat` tells when there is nothing to do.
 *
 * Relies on: records are only ever appended under the commit lock, and a segment ends with a seal. Promises: after
 * `refresh`, reads see every commit that was acknowledged before it, by anyone. Takes no lock, cuts nothing: an
 * invalid tail means "stop and ask again" here (P3), and is judged by recover.ts under the commit lock.
 *
 * All of it is synchronous, so nothing can change between a look at the file and the use of what was seen (P5). Following
 * the journal and reading sessions stand in one file, though it is a long one: each relies on the other's state at every
 * line.
 */

import type { FrozenEntry, Generation, Versioned, VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import { hasCode } from "../../fs/port.js";
import { estimateJsonBytes } from "../../sessions/entry-value.js";
import { estimateGenerationBytes } from "../../sessions/generations.js";
import { DroppedSegments } from "./dropped-segments.js";
import { type CachedEntry, EntryCache } from "./entries/cache.js";
import { hasCommits, type LiveSegment, newSegment } from "./journal/live-segment.js";
import { BaseMismatchError, type BaseState, frozenEntryOf, type KeyChange, materialise } from "./journal/overlay.js";
import type { CommitRecord, JournalRecord, SealRecord } from "./journal/record.js";
import { provesSuccession, readFirstRecord } from "./journal/sealed-segment.js";
import { readRecords } from "./journal/segment-file.js";
import { damagedJournal, foreignSegment, storeFenced, storeGone } from "./journal-errors.js";
import * as layout from "./layout.js";
import type { StoreFiles } from "./store-files.js";
import { type CommitStamp, formatToken, originStamp } from "./version.js";

/** What one lockless look at the journal could not decide, because only the holder of the commit lock may (P3, P10). */
export interface OpenDoubts {
  /** Segments behind one that has no seal, or behind a missing one. */
  readonly strandedSegments: readonly number[];
}

/** Told of what happens to a view, in order. Never throws. */
export interface ViewFollower {
  /** Before a commit is applied: what it changes can still be read as it was. */
  beforeCommit?(record: CommitRecord): void;
  afterCommit?(record: CommitRecord): void;
  /** The view is about to be built anew: nobody will be told what happened in between. */
  reset(): void;
}

const absentBase: BaseState = { version: 0, record: originStamp.record, entry: undefined };
const rebuildAttemptsMax = 50;
/** How often the manifest is looked at, at most, to see whether older segments have been checkpointed. */
const checkpointLookMs = 250;
/** So long after a commit of this process, what it knows is taken for what there is - to begin another commit with. */
const recallMs = 1;
/** Where other processes write too, such a guess would be wrong too often: then it is asked first, for so long. */
const recallPauseMs = 100;

export class View {
  readonly files: StoreFiles;
  readonly cache: EntryCache;
  segments: LiveSegment[] = [];
  /** The newest commit this view knows. */
  last: CommitStamp = originStamp;
  /** Every commit up to here is in the entry files, as far as this process knows. */
  checkpointVersion = 0;
  /** The highest version known to be synced, by anyone (P10). */
  durableVersion = 0;
  /** Called with every commit that is applied, own or foreign, in order. */
  onCommit: ((record: CommitRecord) => void) | undefined;
  /** Called when the view was rebuilt after sleeping through rotations: what was derived from it is void. */
  onReset: (() => void) | undefined;
  /** Those who keep something that was derived from the view: readers at one version, tables of all sessions. */
  readonly followers = new Set<ViewFollower>();

  private readonly incarnation: string;
  private readonly dropped: DroppedSegments;
  private readonly openMode: "read" | "append";
  private readonly fence: "refuse" | "read";
  private lastCheckpointLookMs = 0;
  private ownCommitMs = Number.NEGATIVE_INFINITY;
  private foreignCommitMs = Number.NEGATIVE_INFINITY;

  /** A fence (P20) ends every view with an error, but that of the rollback itself: "read" takes it for the end. */
  constructor(files: StoreFiles, cacheBytes: number, readOnly: boolean, fence: "refuse" | "read" = "refuse") {
    this.files = files;
    this.fence = fence;
    this.openMode = readOnly ? "read" : "append";
    this.cache = new EntryCache(cacheBytes);
    this.dropped = new DroppedSegments(this, files.port);
    this.incarnation = files.manifest.incarnation;
  }

  get current(): LiveSegment {
    return this.segments[this.segments.length - 1] as LiveSegment;
  }

  // --- following the journal -------------------------------------------------------------------------------------

  /** Builds the view from what is on disk. Listing first, entry files after (P5). */
  rebuild(): OpenDoubts {
    try {
      return this.rebuildOrThrow();
    } catch (error) {
      // Half a view must not pass for one that is a little behind. One that ends at a fence is whole, and stays shut.
      if (!hasCode(error, "store_fenced")) this.dropAll();
      throw error;
    }
  }

  private rebuildOrThrow(): OpenDoubts {
    for (const follower of this.followers) follower.reset();
    for (let attempt = 0; attempt < rebuildAttemptsMax; attempt += 1) {
      this.dropAll();
      const names = this.files.listSegments();
      // Read after the listing: it may be ahead of the list, never behind it.
      const { checkpoint } = this.files.readManifest();
      const start = names.filter((first) => first <= checkpoint.version + 1).at(-1);
      if (start === undefined) {
        if (names.length > 0 && attempt < rebuildAttemptsMax - 1) continue; // Rotated and unlinked meanwhile.
        throw damagedJournal(
          this.files,
          "the journal's oldest segment is missing",
          "journal/ lacks commits that no entry file holds.",
        );
      }
      this.checkpointVersion = checkpoint.version;
      this.durableVersion = checkpoint.version;
      const first = this.openSegmentIfExists(start);
      if (first === undefined) continue; // Unlinked between the listing and now: list again (P5).
      // A segment that starts before the checkpoint has commits, which tell their own stamps.
      this.last = start === checkpoint.version + 1 ? checkpoint : { version: start - 1, record: originStamp.record };
      this.segments.push(first);
      if (this.follow() === "slept") continue;
      while (this.enterCarriedSegment(names) || this.enterProvenSuccessor()) this.follow();
      if (this.last.version < checkpoint.version) {
        throw damagedJournal(
          this.files,
          `the manifest knows version ${checkpoint.version}, the journal ends at ${this.last.version}`,
          "Commits are missing from journal/.",
        );
      }
      return { strandedSegments: names.filter((name) => name > this.current.first) };
    }
    throw damagedJournal(this.files, "the journal changed faster than it could be read", "Nothing was changed.");
  }

  /** Brings the view up to date with the end of the journal. */
  refresh(): void {
    if (this.segments.length === 0 || this.follow() === "slept") {
      // P2: rotations went by while this process slept; nothing that was derived from the old view may be trusted.
      this.rebuild();
      this.onReset?.();
      return;
    }
    if (this.segments.length > 1) this.lookForCheckpoint();
  }

  private follow(): "current" | "slept" {
    const { port } = this.files;
    let isEntered = false;
    for (;;) {
      const segment = this.current;
      if (segment.seal === undefined) {
        const { sizeBytes, linkCount } = port.stat(segment.file);
        segment.seenBytes = sizeBytes;
        // P3: compared with the end of the last *valid* record, never with a size seen earlier.
        if (sizeBytes > segment.offset) this.readSegment(segment, sizeBytes);
        else if (sizeBytes < segment.offset)
          throw damagedJournal(this.files, "the current segment became shorter", "Somebody cut it.");
        if (segment.seal === undefined) {
          // P11: what was lost with the pages of a file that nobody had open shows in none of its bytes.
          if (sizeBytes > segment.offset || isEntered) {
            isEntered = this.enterCarriedSegment(this.files.listSegments()) || this.enterProvenSuccessor();
            if (isEntered) continue;
          }
          // P20: unlinked without a seal is not rotation - the store itself is gone.
          if (linkCount === 0) throw storeGone(this.files);
          return "current";
        }
      }
      if (segment.seal === "fenced") {
        if (this.fence === "refuse") throw storeFenced(this.files);
        return "current";
      }
      const next = this.openSegmentIfExists(this.last.version + 1);
      if (next === undefined) {
        // P2: asked after the ENOENT. Still linked: the successor is not made yet. Unlinked: we slept through it.
        return port.stat(segment.file).linkCount > 0 ? "current" : "slept";
      }
      this.segments.push(next);
      isEntered = true;
      // A reader syncs nothing, so a segment that it has read to its seal needs no descriptor.
      if (this.openMode === "read") this.retire(segment);
    }
  }

  /**
   * P11: of segments whose sync failed, pages may be evicted at any time, and a power cut may take their end, seals
   * included. The states carried over into the segment behind all of them take their place, whatever they still hold.
   */
  private enterCarriedSegment(names: readonly number[]): boolean {
    if (this.current.seal !== undefined) return false;
    for (const name of names) {
      if (name <= this.current.first) continue;
      const next = this.openSegmentIfExists(name);
      if (next === undefined) return false;
      const record = this.firstRecordOf(next);
      // States of later segments only do not make up for what is lost of this one.
      if (record?.type === "carry" && record.suspectFrom <= this.current.first) {
        this.current.seal = "suspect";
        this.segments.push(next);
        return true;
      }
      this.files.port.close(next.file);
    }
    return false;
  }

  /**
   * A seal is a line like others, and may be lost or go bad. The successor proves itself all the same: its first commit
   * has the next version and names the record of the last one.
   */
  private enterProvenSuccessor(): boolean {
    const { current, last } = this;
    if (current.seal !== undefined || !hasCommits(current)) return false;
    const next = this.openSegmentIfExists(last.version + 1);
    if (next === undefined) return false;
    if (!provesSuccession(this.firstRecordOf(next), last, this.incarnation)) {
      this.files.port.close(next.file);
      return false;
    }
    current.seal = "rotated";
    this.segments.push(next);
    return true;
  }

  /** Of a segment that was opened just now; closes it when it cannot be read. */
  private firstRecordOf({ file }: LiveSegment): JournalRecord | undefined {
    try {
      return readFirstRecord(this.files.port, file);
    } catch (error) {
      this.files.port.close(file);
      throw error;
    }
  }

  private readSegment(segment: LiveSegment, sizeBytes: number): void {
    this.foreignCommitMs = this.files.port.monotonicMs();
    readRecords(this.files.port, segment.file, segment.offset, sizeBytes, ({ record, lineBytes, endOffset }) => {
      this.applyRecord(segment, record, lineBytes);
      segment.offset = endOffset;
      return segment.seal === undefined ? undefined : "stop";
    });
  }

  private applyRecord(segment: LiveSegment, record: JournalRecord, lineBytes: number): void {
    this.durableVersion = Math.max(this.durableVersion, record.durable);
    if (record.type === "commit") {
      if (record.version !== this.last.version + 1) {
        throw damagedJournal(
          this.files,
          `version ${record.version} follows version ${this.last.version}`,
          "Commits are missing or doubled.",
        );
      }
      if (segment.offset === 0 && record.store !== this.incarnation) throw foreignSegment(this.files);
      this.applyCommit(segment, record, lineBytes);
      return;
    }
    if (record.type === "seal") {
      this.assertSealFits(segment, record);
      segment.seal = record.reason;
      segment.sealOffset = segment.offset;
      return;
    }
    if (segment.offset !== 0 || record.store !== this.incarnation) throw foreignSegment(this.files);
    if (record.lastVersion !== segment.first - 1 || record.lastVersion < this.last.version) {
      throw damagedJournal(
        this.files,
        `states carried over from version ${record.lastVersion} lie in segment ${segment.first}, behind version ${this.last.version}`,
        "A segment is not where it was written.",
      );
    }
    segment.overlay.addCarry(record, lineBytes, (key) => this.latestChange(key));
    for (const state of record.states) this.forgetIfOlder(state.key, state.version);
    // After a power cut the suspect segment may have lost commits that the carried states still hold.
    for (const older of this.segments)
      if (older !== segment && older.first >= record.suspectFrom) older.seal = "suspect";
    const isAhead = record.lastVersion !== this.last.version;
    this.last = { version: record.lastVersion, record: record.lastRecord };
    segment.lastVersion = record.lastVersion;
    segment.firstRecordMs = record.timeMs;
    segment.suspectFrom = record.suspectFrom;
    // It holds states of commits that this view never saw.
    if (!isAhead) return;
    this.onReset?.();
    for (const follower of this.followers) follower.reset();
  }

  /**
   * A seal says what the last commit before it was. Without the look at it, commits that are missing at the end of a
   * segment would go unseen, and a seal alone would lead from its segment to the same segment, for ever.
   */
  private assertSealFits(segment: LiveSegment, seal: SealRecord): void {
    // A fence leads nowhere, so it may stand alone: a rollback finds most stores checkpointed.
    if (seal.lastVersion === this.last.version && (hasCommits(segment) || seal.reason === "fenced")) return;
    throw damagedJournal(
      this.files,
      `a segment was sealed behind version ${seal.lastVersion}, and its last commit is version ${this.last.version}`,
      "Commits are missing or doubled.",
    );
  }

  /** Adds a commit to the overlay, also one of our own that was appended just now. */
  applyCommit(segment: LiveSegment, record: CommitRecord, lineBytes: number): void {
    for (const follower of this.followers) follower.beforeCommit?.(record);
    segment.overlay.addCommit(record, lineBytes, (key) => this.latestChange(key));
    segment.lastVersion = record.version;
    segment.firstRecordMs ??= record.timeMs;
    this.last = { version: record.version, record: record.record };
    // A cached older entry stays: it is the base that a patch is put together on.
    for (const operation of record.operations) if (operation.type !== "patch") this.cache.delete(operation.key);
    this.onCommit?.(record);
    for (const follower of this.followers) follower.afterCommit?.(record);
  }

  /** Goes on in a segment that this process created as the successor, under the commit lock. */
  enterSuccessor(segment: LiveSegment): void {
    this.segments.push(segment);
  }

  /** P4: the overlay of a segment is dropped when its checkpoint is *recorded*, not when its seal is seen. */
  dropCheckpointed(version: number): void {
    if (version <= this.checkpointVersion) return;
    this.checkpointVersion = version;
    this.durableVersion = Math.max(this.durableVersion, version);
    while (this.segments.length > 1 && (this.segments[0] as LiveSegment).lastVersion <= version) {
      const dropped = this.segments.shift() as LiveSegment;
      this.dropped.add(dropped);
      this.retire(dropped);
    }
    this.dropped.tidy();
  }

  unpin(segment: LiveSegment): void {
    segment.pins -= 1;
    this.closeIfRetired(segment);
  }

  /** Lets the descriptor go: of a segment that is dropped, or sealed and synced, when only its overlay is needed. */
  retire(segment: LiveSegment): void {
    segment.retired = true;
    this.closeIfRetired(segment);
  }

  /** P6: no descriptor is closed while a sync on it runs. */
  private closeIfRetired(segment: LiveSegment): void {
    if (!segment.retired || segment.closed || segment.pins > 0) return;
    segment.closed = true;
    this.files.port.close(segment.file);
  }

  private lookForCheckpoint(): void {
    const nowMs = this.files.port.monotonicMs();
    if (nowMs - this.lastCheckpointLookMs < checkpointLookMs) return;
    this.lastCheckpointLookMs = nowMs;
    try {
      this.dropCheckpointed(this.files.readManifest().checkpoint.version);
    } catch {
      // Keeping the overlay longer is always right; a damaged manifest is reported by who needs it.
    }
  }

  /**
   * From now on this key is read from its file. An entry that was put is as current as before and stays, within the
   * cache's limit; what the cache holds of any older version must go.
   */
  keepWarm(key: string, change: KeyChange): void {
    if ((this.cache.peekVersion(key) ?? 0) >= change.version) return;
    this.cache.delete(key);
    // One that was never read may turn out to be unusable: that is for its reader to hear.
    if (change.type === "put" && change.frozen) this.remember(key, { ...change, entry: frozenEntryOf(change) }, change);
  }

  // --- reading sessions ------------------------------------------------------------------------------------------

  /** The newest journaled change of a key, if it has one that is not checkpointed. */
  latestChange(key: string): KeyChange | undefined {
    for (let index = this.segments.length - 1; index >= 0; index -= 1) {
      const change = (this.segments[index] as LiveSegment).overlay.changes.get(key);
      if (change) return change;
    }
    return undefined;
  }

  /** The session as of this view, or `undefined`. Call `refresh` first. Throws `entry_damaged`. */
  read(key: string): Versioned | undefined {
    return this.load(key).versioned;
  }

  /**
   * The same, where no lock keeps checkpoints away: before the entry file is read, one may have removed it for a commit
   * that this view does not know. So what looks damaged is judged after another look at the journal only, and read again
   * if that says something new of the session. Throws what `refresh` throws, too.
   */
  readJudged(key: string): Versioned | undefined {
    for (;;) {
      try {
        return this.read(key);
      } catch (error) {
        if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
        const before = this.latestChange(key)?.version;
        this.refresh();
        if (this.latestChange(key)?.version === before) throw error;
      }
    }
  }

  /** The token of what the session is now, or `null` when it does not exist. */
  currentToken(key: string): string | null {
    const change = this.latestChange(key);
    if (change) {
      if (change.type === "remove") return null;
      // The very string that readers were given, if it is still here: comparing it with itself costs nothing.
      const cached = this.cache.peek(key);
      if (cached?.versioned !== undefined && cached.version === change.version) return cached.versioned.version;
      return formatToken(change, this.incarnation);
    }
    return this.load(key).versioned?.version ?? null;
  }

  /** The number of the commit that changed the session last. */
  currentVersion(key: string): number {
    return (this.latestChange(key) ?? this.load(key)).version;
  }

  /** P4: of a segment that was dropped just now, the cache may hold an older state still. */
  private forgetDropped(key: string): void {
    const change = this.dropped.changeOf(key);
    if (change) this.keepWarm(key, change);
  }

  private load(key: string): CachedEntry {
    const change = this.latestChange(key);
    if (change === undefined) this.forgetDropped(key);
    const cached = this.cache.get(key);
    if (cached !== undefined && (change === undefined || cached.version === change.version)) return cached;
    if (change === undefined) {
      const state = this.readBase(key);
      return this.remember(key, state, state);
    }
    try {
      const state = materialise(change, cached, () => this.readBase(key));
      return this.remember(key, state, state);
    } catch (error) {
      if (!(error instanceof BaseMismatchError)) throw error;
      throw new SessionStoreError("entry_damaged", error.message, {
        key,
        path: this.files.journal.displayPath,
        onDisk: "The journal holds its changes, but not what they were made on.",
        nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
        cause: error,
      });
    }
  }

  /** The state as of one version, if it can still be told from the journal; otherwise the state as of this view. */
  readAt(key: string, version: number): BaseState {
    const latest = this.latestChange(key);
    for (let change = latest; change; change = change.previous) {
      if (change.version !== version) continue;
      const cached = this.cache.get(key);
      return materialise(change, cached && cached.version <= version ? cached : undefined, () => this.readBase(key));
    }
    return this.load(key);
  }

  private readBase(key: string): BaseState {
    return this.files.entries.read(key) ?? absentBase;
  }

  /** A commit of this process was appended, at what was then the journal's end. */
  noteOwnCommit(): void {
    this.ownCommitMs = this.files.port.monotonicMs();
  }

  /** The session as this process knows it, without a look at the journal: see `Backend.recall`. */
  recall(key: string): Versioned | undefined {
    const nowMs = this.files.port.monotonicMs();
    if (nowMs - this.ownCommitMs > recallMs || nowMs - this.foreignCommitMs < recallPauseMs) return undefined;
    const change = this.latestChange(key);
    if (change === undefined) this.forgetDropped(key);
    const cached = this.cache.get(key);
    return change === undefined || change.version === cached?.version ? cached?.versioned : undefined;
  }

  /** Keeps a state that this process has put together already, so that nobody has to do it again. */
  remember(
    key: string,
    state: Pick<BaseState, "entry" | "generations">,
    stamp: CommitStamp,
    token = formatToken(stamp, this.incarnation),
  ): CachedEntry {
    const { entry, generations } = state;
    const { version, record } = stamp;
    const versioned = entry && versionedOf(entry, token, generations);
    const bytes = entry === undefined ? 0 : estimateJsonBytes(entry) + estimateGenerationBytes(generations);
    const cached: CachedEntry = { version, record, entry, generations, versioned, bytes };
    this.cache.set(key, cached);
    return cached;
  }

  private forgetIfOlder(key: string, version: number): void {
    const cached = this.cache.get(key);
    if (cached && cached.version < version) this.cache.delete(key);
  }

  // --- segments --------------------------------------------------------------------------------------------------

  openSegmentIfExists(first: number): LiveSegment | undefined {
    try {
      return newSegment(
        first,
        openChecked(this.files.port, this.files.journal, layout.segmentName(first), this.openMode, this.files.owner),
      );
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Closes everything; syncs that are under way keep their descriptor until they end. */
  dropAll(): void {
    for (const segment of this.segments) this.retire(segment);
    this.segments = [];
    this.dropped.clear();
    this.last = originStamp;
    this.cache.clear();
  }
}

function versionedOf(
  entry: FrozenEntry,
  version: VersionToken,
  generations: readonly Generation[] | undefined,
): Versioned {
  return generations?.length ? { entry, version, generations } : { entry, version };
}
