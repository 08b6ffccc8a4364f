/**
 * Reading a journal segment from a byte offset: which records are valid from there, and what lies behind them. Only
 * looks; what an invalid tail means is decided by recovery, under the commit lock (P3).
 */

import type { File, Port } from "../../../fs/port.js";
import { decodeLine, findLine, type JournalRecord } from "./record.js";

export interface ReadRecord {
  readonly record: JournalRecord;
  /** Bytes of its line, newline included. */
  readonly lineBytes: number;
  /** The offset behind its line. */
  readonly endOffset: number;
}

/** What lies behind the last valid record. */
export interface Tail {
  readonly bytes: Uint8Array;
  /** Valid records behind the bad bytes, by their own checksums. */
  readonly laterRecords: readonly JournalRecord[];
  /** Whether there is more than a single unfinished line. */
  readonly hasWholeLines: boolean;
  /** False when these bytes begin with a whole valid record: one that was appended since the last look. */
  readonly beginsBadly: boolean;
  /** Lines, an unfinished one at the end included. */
  readonly lines: number;
}

/** The valid records from `offset` on, up to the first bytes that are none; as the file was when this began. */
export function* eachRecord(port: Port, file: File, offset: number, sizeBytes: number): Generator<ReadRecord> {
  const bytes = readRange(port, file, offset, sizeBytes);
  let position = 0;
  for (let line = findLine(bytes, position); line; line = findLine(bytes, position)) {
    const record = decodeLine(bytes.subarray(position, line.end));
    if (record === undefined) return;
    const lineBytes = line.next - position;
    position = line.next;
    yield { record, lineBytes, endOffset: offset + position };
  }
}

/** The same with a callback, which may return "stop". */
export function readRecords(
  port: Port,
  file: File,
  offset: number,
  sizeBytes: number,
  consume: (read: ReadRecord) => "stop" | undefined,
): void {
  for (const read of eachRecord(port, file, offset, sizeBytes)) if (consume(read) === "stop") return;
}

/** Looks at everything from `offset`, the end of the last valid record, to the end of the file. */
export function inspectTail(port: Port, file: File, offset: number, sizeBytes: number): Tail {
  const bytes = readRange(port, file, offset, sizeBytes);
  const laterRecords: JournalRecord[] = [];
  let position = 0;
  let lines = 0;
  let beginsBadly = true;
  for (let line = findLine(bytes, position); line; line = findLine(bytes, position)) {
    const record = findRecordAtEnd(bytes.subarray(position, line.end));
    if (record) laterRecords.push(record);
    if (position === 0) beginsBadly = decodeLine(bytes.subarray(0, line.end)) === undefined;
    position = line.next;
    lines += 1;
  }
  if (position < bytes.byteLength) lines += 1;
  return { bytes, laterRecords, hasWholeLines: position > 0, beginsBadly, lines };
}

const recordStarts = ['{"version":', '{"seal":', '{"carry":'].map((text) => Buffer.from(text, "latin1"));
/** Bounds the work on a hostile line; a real one holds a handful. */
const recordStartsPerLineMax = 64;

/**
 * The record that ends this line, also when garbage lies before it: a hole or a flipped newline joins a bad record and
 * the good one behind it into one line, and what the good one says about durability must not be missed (P10).
 */
function findRecordAtEnd(line: Uint8Array): JournalRecord | undefined {
  const whole = decodeLine(line);
  if (whole) return whole;
  const buffer = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  let tried = 0;
  for (const start of recordStarts) {
    for (let at = buffer.lastIndexOf(start); at > 0; at = buffer.lastIndexOf(start, at - 1)) {
      const record = decodeLine(line.subarray(at));
      if (record) return record;
      tried += 1;
      if (tried >= recordStartsPerLineMax) return undefined;
    }
  }
  return undefined;
}

/** What the file holds between the offsets; shorter when it was cut meanwhile. */
export function readRange(port: Port, file: File, offset: number, endOffset: number): Uint8Array {
  const buffer = Buffer.allocUnsafe(Math.max(0, endOffset - offset));
  let filled = 0;
  while (filled < buffer.byteLength) {
    const count = port.read(file, buffer.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
