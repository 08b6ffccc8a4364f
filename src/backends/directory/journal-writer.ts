/**
 * Appending to the journal: commits, seals, successors, carried states. Every method runs under the commit lock, on a
 * view that is at the end of the journal. One record is one write, and its count is checked: a full disk does not
 * throw, it writes less. What recovery knows of the journal's end from one hold of the lock to the next stands here, too.
 */

import { SessionStoreError } from "../../errors.js";
import { shortWrite } from "../../fs/checked-file.js";
import { hasCommits, type LiveSegment, newSegment } from "./journal/live-segment.js";
import {
  type CarriedState,
  type CommitRecord,
  type EncodedRecord,
  encodeCarry,
  encodeCommit,
  encodeSeal,
  type RecordOperation,
  type SealReason,
} from "./journal/record.js";
import * as layout from "./layout.js";
import { trashOfSuspects } from "./trash.js";
import type { View } from "./view.js";

/** Enough for what most commits change. */
const scratchBytes = 16 * 1024;

export interface CommitFields {
  readonly operations: readonly RecordOperation[];
  readonly commitId: string | undefined;
  readonly actor: string | undefined;
  readonly reason: string | undefined;
}

const emptyCommit: CommitFields = { operations: [], commitId: undefined, actor: undefined, reason: undefined };

export class JournalWriter {
  readonly view: View;
  /** What recovery copied last, durably; see recover.ts. */
  copied: { readonly name: string; readonly bytes: Uint8Array } | undefined;
  private readonly recordBytesMax: number;
  /** Names this open store in its records. */
  private readonly writerId: string;
  private appendFailed = false;
  /** Each record is written into it, and from it to the file: a buffer for each would be the most garbage of a commit. */
  private readonly scratch = Buffer.allocUnsafeSlow(scratchBytes);

  constructor(view: View, recordBytesMax: number) {
    this.view = view;
    this.recordBytesMax = recordBytesMax;
    this.writerId = Buffer.from(view.files.port.randomBytes(6)).toString("hex");
  }

  appendCommit(fields: CommitFields): CommitRecord {
    const { view } = this;
    const segment = view.current;
    const startsSegment = segment.offset === 0;
    const { operations, commitId, actor, reason } = fields;
    const { timeMs, writer, durable } = this.common();
    // Spelled out: objects put together by spreading cost more than all the rest of a commit.
    const record = {
      type: "commit" as const,
      version: view.last.version + 1,
      record: "",
      timeMs,
      writer,
      durable,
      store: startsSegment ? view.files.manifest.incarnation : undefined,
      previousRecord: startsSegment ? view.last.record : undefined,
      commitId,
      actor,
      reason,
      operations,
    };
    const encoded = encodeCommit(record, this.scratch);
    this.append(segment, encoded, this.recordBytesMax);
    record.record = encoded.record;
    view.applyCommit(segment, record, encoded.bytes.byteLength);
    return record;
  }

  /**
   * P1: the seal is the switch. A segment without commits is never sealed, but by a fence (P20): it has no successor, and
   * any other would bear the name of the segment itself. One that holds carried states only gets a commit of nothing.
   */
  seal(reason: SealReason): void {
    const segment = this.view.current;
    if (segment.seal !== undefined || (segment.offset === 0 && reason !== "fenced")) return;
    if (!hasCommits(segment) && reason !== "fenced") this.appendCommit(emptyCommit);
    const sealOffset = segment.offset;
    this.append(
      segment,
      encodeSeal({ ...this.common(), reason, lastVersion: this.view.last.version }),
      this.recordBytesMax,
    );
    segment.seal = reason;
    segment.sealOffset = sealOffset;
  }

  /** P1: made by the sealer, or by whoever next holds the lock and finds a seal without a successor. */
  createSuccessor(): void {
    const { view } = this;
    const { port, journal } = view.files;
    const first = view.last.version + 1;
    const file = port.open(journal, layout.segmentName(first), "create");
    view.enterSuccessor(newSegment(first, file));
    port.setMode(file, layout.fileMode);
    this.carryIfMissing();
  }

  /** P11: the first record behind suspect segments holds the states that only they held, with their own versions. */
  carryIfMissing(): void {
    const { view } = this;
    if (view.current.offset !== 0 || view.segments.at(-2)?.seal !== "suspect") return;
    const suspects: LiveSegment[] = [];
    for (const segment of view.segments.slice(0, -1).reverse()) {
      if (segment.seal !== "suspect") break;
      suspects.push(segment);
    }
    const common = this.common();
    // One that is suspect and whose records are all lost may not be in this view any more.
    const suspectFrom = Math.min(...suspects.map((segment) => segment.suspectFrom));
    this.append(
      view.current,
      encodeCarry({
        ...common,
        store: view.files.manifest.incarnation,
        suspectFrom,
        lastVersion: view.last.version,
        lastRecord: view.last.record,
        states: this.statesOf(suspects),
      }),
      // A user's limit is about commits; states that were committed must go on whatever they add up to.
      Number.POSITIVE_INFINITY,
    );
    view.current.firstRecordMs = common.timeMs;
    view.current.suspectFrom = suspectFrom;
  }

  /** Taken from memory: what a file says whose sync has failed proves nothing. */
  private statesOf(suspects: readonly LiveSegment[]): CarriedState[] {
    const states: CarriedState[] = [];
    const trashOf = trashOfSuspects(this.view, (suspects.at(-1) as LiveSegment).first);
    for (const key of new Set(suspects.flatMap((segment) => [...segment.overlay.changes.keys()]))) {
      const change = this.view.latestChange(key);
      if (change === undefined) continue;
      const { version, record } = change;
      const trashed = trashOf(key);
      if (change.type === "remove") {
        // Said even when it is empty: what was purged must not get there from its entry file.
        states.push({ type: "remove", key, version, record, trashed });
        continue;
      }
      try {
        const session = this.view.read(key);
        if (session === undefined) continue;
        const { entry, generations } = session;
        states.push({
          type: "put",
          key,
          version,
          record,
          entry,
          generations,
          ...(trashed?.length ? { trashed } : {}),
        });
      } catch (error) {
        // A session that was damaged before stays damaged; it must not cost the others.
        if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
      }
    }
    return states;
  }

  private common(): { timeMs: number; writer: string; durable: number } {
    return { timeMs: this.view.files.port.nowMs(), writer: this.writerId, durable: this.view.durableVersion };
  }

  /** False behind a seal, or when an append failed: then bytes that are no record may lie at the end (P3). */
  get endIsSettled(): boolean {
    return this.view.current.seal === undefined && !this.appendFailed;
  }

  /** The end was looked at, and what was no record cut. */
  noteSettled(): void {
    this.appendFailed = false;
  }

  private append(segment: LiveSegment, { bytes }: EncodedRecord, bytesMax: number): void {
    const { port } = this.view.files;
    if (bytes.byteLength > bytesMax) {
      throw new SessionStoreError(
        "limit_exceeded",
        `the commit takes ${bytes.byteLength} bytes, more than ${bytesMax}`,
        {
          operation: "commit",
          onDisk: "Nothing was written.",
          nextStep: "Split it into smaller transactions.",
        },
      );
    }
    let written = 0;
    try {
      written = port.append(segment.file, bytes);
      if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
    } catch (error) {
      this.appendFailed = true;
      this.cutBack(segment);
      throw error;
    }
    segment.offset += bytes.byteLength;
  }

  private cutBack(segment: LiveSegment): void {
    try {
      this.view.files.port.truncate(segment.file, segment.offset);
    } catch {
      // An unfinished line is no commit; the next holder of the lock cuts it.
    }
  }
}
