/**
 * The change feed: follows the journal from a cursor, across rotations, checkpoints and reopening, for as long as the
 * segments are kept (P18). Reads with its own descriptors and its own position; entries of patches are put together
 * with the help of the view. A cursor is (version, checksum of its record, incarnation); a mismatch answers "reset"
 * (P13).
 */

import type { BackendChange, Cursor, FrozenEntry } from "../../contract.js";
import { openChecked } from "../../fs/checked-file.js";
import { type File, hasCode } from "../../fs/port.js";
import { mayBeReadLater } from "../../fs/refusal.js";
import { limitCaps } from "../../limits.js";
import { estimateJsonBytes, freezeParsedJson } from "../../sessions/entry-value.js";
import { applyPatch } from "../../sessions/patch.js";
import { BaseMismatchError } from "./journal/overlay.js";
import type { CommitRecord, JournalRecord, RecordOperation } from "./journal/record.js";
import { readRecords } from "./journal/segment-file.js";
import { storeFenced, storeGone } from "./journal-errors.js";
import { segmentName } from "./layout.js";
import {
  type CommitStamp,
  cursorIsOfIncarnation,
  formatCursor,
  formatToken,
  originStamp,
  parseCursor,
} from "./version.js";
import type { View } from "./view.js";

/** Where a follower stands: behind this commit, at this offset of an open segment. */
interface Position {
  stamp: CommitStamp;
  first: number;
  file: File;
  offset: number;
  sealed: boolean;
  fenced?: boolean;
}

/** So many recently seen sessions are remembered, to put their next patch on. */
const rememberedSessionsMax = 512;
const rememberedBytesMax = 16 * 1024 * 1024;
const startAttemptsMax = 20;
/** So long a feed waits for an entry file that cannot be read; then it goes on without that change. */
const unreadableWaitMs = 5_000;

export class ChangeFollower {
  private readonly view: View;
  private readonly incarnation: string;
  private position: Position | undefined;
  private recentBytes = 0;
  private readonly recent = new Map<string, { version: number; entry: FrozenEntry }>();
  /** The state of a session that was delivered ahead, because the one in between can no longer be told. */
  private readonly deliveredUpTo = new Map<string, number>();
  /** Sessions that were waited for in vain. */
  private readonly unreadable = new Set<string>();

  constructor(view: View) {
    this.view = view;
    this.incarnation = view.files.manifest.incarnation;
  }

  /** Takes its place behind the cursor; a change "reset" when the history from there on is gone. */
  start(since: Cursor | undefined): BackendChange | undefined {
    this.view.refresh();
    if (since === undefined) {
      this.startAtEnd();
      return undefined;
    }
    const { incarnation, ...stamp } = parseCursor(since);
    if (
      cursorIsOfIncarnation(incarnation, this.incarnation) &&
      stamp.version <= this.view.last.version &&
      this.startBehind(stamp)
    ) {
      return undefined;
    }
    return this.reset();
  }

  /**
   * The changes that have been committed since the last call; the caller waits when there are none. `undefined`: the next
   * one cannot be told just now; the caller waits a little before it goes on.
   */
  *poll(): Generator<BackendChange | undefined> {
    for (;;) {
      const position = this.position as Position;
      const records = this.readNewRecords(position);
      if (records === "gone") {
        yield this.reset();
        continue;
      }
      for (const record of records) {
        if (record.type === "commit") yield* this.toChanges(record);
      }
      // P20: what was committed before the fence was delivered; nothing comes behind it.
      if (position.fenced) throw storeFenced(this.view.files);
      if (!position.sealed) {
        if (records.length > 0 || !this.journalWentOnWithout(position)) return;
        yield this.reset();
        continue;
      }
      const moved = this.moveToSuccessor(position);
      if (moved === "not yet") return;
      if (moved === "gone") yield this.reset();
    }
  }

  close(): void {
    if (this.position) this.view.files.port.close(this.position.file);
    this.position = undefined;
  }

  // --- positions -------------------------------------------------------------------------------------------------

  private startAtEnd(): void {
    for (let attempt = 0; attempt < startAttemptsMax; attempt += 1) {
      const { current, last } = this.view;
      const file = this.openIfExists(current.first);
      if (file) {
        this.take({
          stamp: last,
          first: current.first,
          file,
          offset: current.offset,
          sealed: current.seal !== undefined,
        });
        return;
      }
      this.view.refresh(); // Rotated and unlinked since the view looked.
    }
    throw storeGone(this.view.files);
  }

  /** False when the record of the stamp is no longer there, or is another one. */
  private startBehind(stamp: CommitStamp): boolean {
    const firsts = this.view.files.listSegments();
    const first = firsts.filter((candidate) => candidate <= stamp.version).at(-1);
    if (first !== undefined && this.startIn(first, stamp, (file) => this.findOffset(file, stamp))) return true;
    // The cursor may stand exactly before the oldest segment: its first record, or the manifest, names the commit before it.
    if (firsts[0] !== stamp.version + 1) return false;
    return this.startIn(firsts[0], stamp, (file) => {
      return this.recordBefore(file, stamp.version) === stamp.record ? 0 : undefined;
    });
  }

  /** False when the segment is gone, or `find` says that it is not the place. */
  private startIn(first: number, stamp: CommitStamp, find: (file: File) => number | undefined): boolean {
    const file = this.openIfExists(first);
    if (file === undefined) return false;
    let offset: number | undefined;
    try {
      offset = find(file);
    } finally {
      // Also when it could not be read.
      if (offset === undefined) this.view.files.port.close(file);
    }
    if (offset === undefined) return false;
    this.take({ stamp, first, file, offset, sealed: false });
    return true;
  }

  /** Behind the record of the stamp. */
  private findOffset(file: File, stamp: CommitStamp): number | undefined {
    const { port } = this.view.files;
    let found: number | undefined;
    readRecords(port, file, 0, port.stat(file).sizeBytes, ({ record, endOffset }) => {
      if (record.type !== "commit" || record.version < stamp.version) return undefined;
      if (record.version === stamp.version && record.record === stamp.record) found = endOffset;
      return "stop";
    });
    return found;
  }

  private recordBefore(file: File, version: number): string | undefined {
    const { port } = this.view.files;
    let previous: string | undefined;
    readRecords(port, file, 0, port.stat(file).sizeBytes, ({ record }) => {
      if (record.type === "commit") previous = record.previousRecord;
      return "stop";
    });
    if (previous !== undefined) return previous;
    if (version === 0) return originStamp.record;
    const { checkpoint } = this.view.files.readManifest();
    return checkpoint.version === version ? checkpoint.record : undefined;
  }

  private take(position: Position): void {
    this.close();
    this.position = position;
    this.previousRecord = position.stamp.record;
  }

  private reset(): BackendChange {
    this.recent.clear();
    this.recentBytes = 0;
    this.deliveredUpTo.clear();
    this.unreadable.clear();
    this.view.refresh();
    this.startAtEnd();
    return { type: "reset", cursor: formatCursor(this.view.last, this.incarnation) };
  }

  private openIfExists(first: number): File | undefined {
    try {
      return openChecked(
        this.view.files.port,
        this.view.files.journal,
        segmentName(first),
        "read",
        this.view.files.owner,
      );
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  // --- reading ---------------------------------------------------------------------------------------------------

  private readNewRecords(position: Position): JournalRecord[] | "gone" {
    const { port } = this.view.files;
    const records: JournalRecord[] = [];
    const { sizeBytes } = port.stat(position.file);
    if (sizeBytes <= position.offset || position.sealed) return records;
    let gap = false;
    readRecords(port, position.file, position.offset, sizeBytes, ({ record, endOffset }) => {
      if (record.type === "commit" && record.version !== position.stamp.version + 1) gap = true;
      // Carried states may stand for commits that a power cut took from this feed (P11).
      if (record.type === "carry" && record.lastVersion !== position.stamp.version) gap = true;
      if (gap) return "stop";
      if (record.type === "commit") position.stamp = { version: record.version, record: record.record };
      position.offset = endOffset;
      position.sealed = record.type === "seal";
      position.fenced = record.type === "seal" && record.reason === "fenced";
      records.push(record);
      return position.sealed ? "stop" : undefined;
    });
    return gap ? "gone" : records;
  }

  /**
   * P11: the end of a suspect segment, its seal included, may never become readable. The view knows the way around it;
   * what was committed behind this position can then no longer be told one by one.
   */
  private journalWentOnWithout(position: Position): boolean {
    this.view.refresh();
    if (this.view.current.first <= position.first) return false;
    // The seal may have been written since this follower looked; then it is read by the next look.
    const { sizeBytes } = this.view.files.port.stat(position.file);
    let readable = false;
    readRecords(this.view.files.port, position.file, position.offset, sizeBytes, () => {
      readable = true;
      return "stop";
    });
    return !readable;
  }

  /** As in the view (P2): asked for the successor first, and then whether this segment is still linked. */
  private moveToSuccessor(position: Position): "moved" | "not yet" | "gone" {
    const first = position.stamp.version + 1;
    const file = this.openIfExists(first);
    if (file) {
      this.take({ stamp: position.stamp, first, file, offset: 0, sealed: false });
      return "moved";
    }
    return this.view.files.port.stat(position.file).linkCount > 0 ? "not yet" : "gone";
  }

  // --- changes ---------------------------------------------------------------------------------------------------

  private *toChanges(record: CommitRecord): Generator<BackendChange | undefined> {
    const { version, timeMs, actor, reason } = record;
    const token = formatToken(record, this.incarnation);
    const before: CommitStamp = { version: version - 1, record: this.previousRecord };
    this.previousRecord = record.record;
    const lastIndex = record.operations.length - 1;
    for (const [index, operation] of record.operations.entries()) {
      // Only behind the last change of a commit does the cursor pass it: resuming in between repeats, never loses.
      const cursor = formatCursor(index === lastIndex ? record : before, this.incarnation);
      const common = { key: operation.key, commitId: record.commitId ?? token, timeMs, actor, reason, cursor };
      const deliveredUpTo = this.deliveredUpTo.get(operation.key) ?? 0;
      if (deliveredUpTo <= version) this.deliveredUpTo.delete(operation.key);
      if (deliveredUpTo >= version) continue;
      if (operation.type === "remove") {
        this.forget(operation.key);
        yield { type: "remove", version: token, ...common };
        continue;
      }
      const state = yield* this.stateAfterPatiently(operation, record);
      if (state === undefined) continue; // Removed since, or damaged: those who read it are told.
      yield { type: "put", entry: state.entry, version: formatToken(state, this.incarnation), ...common };
    }
  }

  private previousRecord: string = originStamp.record;

  /**
   * An entry file that cannot be read just now must not cost the watcher a change: it stays where it is, and asks again.
   * Not for ever, and not for each change of that session, because all others wait meanwhile.
   */
  private *stateAfterPatiently(
    operation: Exclude<RecordOperation, { type: "remove" }>,
    stamp: CommitStamp,
  ): Generator<undefined, (CommitStamp & { entry: FrozenEntry }) | undefined> {
    const { port } = this.view.files;
    const { key } = operation;
    const deadlineMs = port.monotonicMs() + unreadableWaitMs;
    for (;;) {
      try {
        const state = this.stateAfter(operation, stamp);
        this.unreadable.delete(key);
        return state;
      } catch (error) {
        // Damage of one session must not end the feed of all others.
        if (!hasCode(error, "entry_damaged") && !(error instanceof BaseMismatchError)) throw error;
        if (!mayBeReadLater((error as Error).cause) || this.unreadable.has(key)) return undefined;
        if (port.monotonicMs() >= deadlineMs) this.unreadable.add(key);
      }
      yield undefined;
    }
  }

  private stateAfter(
    operation: Exclude<RecordOperation, { type: "remove" }>,
    stamp: CommitStamp,
  ): (CommitStamp & { entry: FrozenEntry }) | undefined {
    const { key } = operation;
    if (operation.type === "put")
      return this.remember(key, stamp, freezeParsedJson(operation.entry as FrozenEntry, limitCaps.nestingLevels));
    const known = this.recent.get(key);
    if (known && known.version === operation.base) {
      const set = freezeParsedJson(operation.set as FrozenEntry, limitCaps.nestingLevels);
      return this.remember(key, stamp, applyPatch(known.entry, set, operation.unset));
    }
    return this.stateFromView(key, stamp);
  }

  /** The state at the version, or a newer one, which then stands for the changes in between. */
  private stateFromView(key: string, stamp: CommitStamp): (CommitStamp & { entry: FrozenEntry }) | undefined {
    this.refreshUpToFence();
    const state = this.view.readAt(key, stamp.version);
    if (state.entry === undefined) return undefined; // Removed since; its removal is still to come.
    if (state.version > stamp.version) this.deliveredUpTo.set(key, state.version);
    return this.remember(key, state, state.entry);
  }

  /** Changes from before a fence are still told; the fence itself is met by the follower in its turn. */
  private refreshUpToFence(): void {
    try {
      this.view.refresh();
    } catch (error) {
      if (!hasCode(error, "store_fenced")) throw error;
    }
  }

  private forget(key: string): void {
    const known = this.recent.get(key);
    if (known === undefined) return;
    this.recent.delete(key);
    this.recentBytes -= estimateJsonBytes(known.entry);
  }

  private remember(key: string, stamp: CommitStamp, entry: FrozenEntry): CommitStamp & { entry: FrozenEntry } {
    this.forget(key);
    this.recent.set(key, { version: stamp.version, entry });
    this.recentBytes += estimateJsonBytes(entry);
    for (const oldest of this.recent.keys()) {
      if (this.recent.size <= rememberedSessionsMax && this.recentBytes <= rememberedBytesMax) break;
      this.forget(oldest);
    }
    return { version: stamp.version, record: stamp.record, entry };
  }
}
