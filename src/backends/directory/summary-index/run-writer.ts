/**
 * Writes one run, from summaries that come first by time, then once more by key. Memory: 16 bytes for each session and block, and
 * the bytes that wait to be appended. A run counts only once a head names it; what a crash leaves is swept by the next
 * one that writes a head. Nothing is synced (head.ts says why).
 */

import { crc32 } from "node:zlib";
import type { SessionSummary } from "../../../contract.js";
import { shortWrite } from "../../../fs/checked-file.js";
import type { Pace } from "../../../fs/pace.js";
import type { Directory, File, Port } from "../../../fs/port.js";
import { checksumOf, digitsOf } from "../checksum.js";
import { fileMode, summaryRunName } from "../layout.js";
import type { BlocksInfo, RunInfo } from "./head.js";
import { encodeRow, hashBytes, hashKey } from "./row.js";
import { blockEntryBytes, bucketEntryBytes, keyBytes } from "./run.js";

const rowsPerBlock = 64;
const blockBytesMax = 64 * 1024;
const pendingBytesMax = 256 * 1024;
const keysPerBucket = 32;
const bucketBitsMax = 20;

export class RunWriter {
  private readonly port: Port;
  private readonly directory: Directory;
  private readonly pace: Pace;
  private readonly name: string;
  private readonly file: File;
  private offset = 0;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private rows: string[] = [];
  private rowsBytes = 0;
  private blockTable: Buffer[] = [];
  private byTime: BlocksInfo | undefined;
  private keys = Buffer.allocUnsafe(256 * keyBytes);
  private keyCount = 0;
  private records = 0;
  private rowsByKey = 0;

  constructor(port: Port, directory: Directory, version: number, pace: Pace) {
    this.port = port;
    this.directory = directory;
    this.pace = pace;
    this.name = summaryRunName(version, port.randomBytes(8));
    this.file = port.open(directory, this.name, "create");
  }

  /** All summaries, newest first, ties by key. */
  add(summary: SessionSummary): void {
    this.records += 1;
    this.addKey(hashKey(summary.key), 1);
    this.addRow(summary);
  }

  /** Then the same ones by key. */
  addByKey(summary: SessionSummary): void {
    this.byTime ??= this.endBlocks();
    this.rowsByKey += 1;
    this.addRow(summary);
  }

  addRemoval(keyHash: Buffer): void {
    this.addKey(keyHash, 0);
  }

  /** Closes the file; after an error it is closed and gone. */
  async finish(): Promise<RunInfo> {
    try {
      this.port.setMode(this.file, fileMode);
      if (this.rowsByKey !== this.records) throw new Error("a run has other sessions by key than by time");
      this.byTime ??= this.endBlocks();
      const blocks = { updatedAt: this.byTime, key: this.endBlocks() };
      const keysOffset = this.offset;
      const { keys, bucketTable, bucketBits } = await this.groupKeys();
      // Of a million sessions these are 16 MB, too much for one turn.
      let keysSum = 0;
      for (let at = 0; at < keys.byteLength; at += pendingBytesMax) {
        const slice = keys.subarray(at, at + pendingBytesMax);
        keysSum = crc32(slice, keysSum);
        this.append(slice);
        await this.pace.breathe();
      }
      const bucketTableOffset = this.offset;
      this.append(bucketTable);
      this.flush();
      this.port.close(this.file);
      return {
        name: this.name,
        bytes: this.offset,
        records: this.records,
        removals: this.keyCount - this.records,
        blocks,
        keysOffset,
        keysChecksum: digitsOf(keysSum),
        bucketBits,
        bucketTableOffset,
        bucketTableChecksum: checksumOf(bucketTable),
      };
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /** Best effort: what stays is swept later. */
  abandon(): void {
    this.port.close(this.file);
    try {
      this.port.unlink(this.directory, this.name);
    } catch {
      // Gone already, or cannot go now.
    }
  }

  private addKey(keyHash: Buffer, flag: 0 | 1): void {
    if ((this.keyCount + 1) * keyBytes > this.keys.byteLength) {
      const larger = Buffer.allocUnsafe(this.keys.byteLength * 2);
      this.keys.copy(larger);
      this.keys = larger;
    }
    const at = this.keyCount * keyBytes;
    keyHash.copy(this.keys, at, 0, hashBytes);
    this.keys[at + hashBytes] = flag;
    this.keyCount += 1;
  }

  private addRow(summary: SessionSummary): void {
    const row = encodeRow(summary);
    this.rows.push(row);
    this.rowsBytes += row.length;
    if (this.rows.length >= rowsPerBlock || this.rowsBytes >= blockBytesMax) this.endBlock();
  }

  private endBlocks(): BlocksInfo {
    this.endBlock();
    const info = { count: this.blockTable.length, tableOffset: this.offset };
    for (const entry of this.blockTable) this.append(entry);
    this.blockTable = [];
    return info;
  }

  private endBlock(): void {
    if (this.rows.length === 0) return;
    const bytes = Buffer.from(`[${this.rows.join(",\n")}]\n`, "utf8");
    const entry = Buffer.alloc(blockEntryBytes);
    entry.writeUIntLE(this.offset, 0, 6);
    entry.writeUInt32LE(bytes.byteLength, 6);
    entry.writeUInt32LE(crc32(bytes), 10);
    this.blockTable.push(entry);
    this.append(bytes);
    this.rows = [];
    this.rowsBytes = 0;
  }

  /** Sorts the keys into buckets of about 32, by the first bits of their hash. */
  private async groupKeys(): Promise<{ keys: Buffer; bucketTable: Buffer; bucketBits: number }> {
    const wanted = Math.ceil(Math.log2(Math.max(1, this.keyCount / keysPerBucket)));
    const bucketBits = Math.min(bucketBitsMax, wanted);
    const bucketCount = 2 ** bucketBits;
    const bucketOf = (index: number) =>
      bucketBits === 0 ? 0 : this.keys.readUInt32BE(index * keyBytes) >>> (32 - bucketBits);
    const starts = new Uint32Array(bucketCount + 1);
    for (let index = 0; index < this.keyCount; index += 1) {
      starts[bucketOf(index) + 1] = (starts[bucketOf(index) + 1] as number) + 1;
      if (index % 4_096 === 0) await this.pace.breathe();
    }
    for (let bucket = 0; bucket < bucketCount; bucket += 1) {
      starts[bucket + 1] = (starts[bucket + 1] as number) + (starts[bucket] as number);
    }
    const keys = Buffer.allocUnsafe(this.keyCount * keyBytes);
    const next = starts.slice();
    for (let index = 0; index < this.keyCount; index += 1) {
      const bucket = bucketOf(index);
      this.keys.copy(keys, (next[bucket] as number) * keyBytes, index * keyBytes, (index + 1) * keyBytes);
      next[bucket] = (next[bucket] as number) + 1;
      if (index % 4_096 === 0) await this.pace.breathe();
    }
    const bucketTable = Buffer.alloc(bucketCount * bucketEntryBytes + 4);
    for (let bucket = 0; bucket < bucketCount; bucket += 1) {
      const [first, end] = [starts[bucket] as number, starts[bucket + 1] as number];
      bucketTable.writeUInt32LE(first, bucket * bucketEntryBytes);
      bucketTable.writeUInt32LE(crc32(keys.subarray(first * keyBytes, end * keyBytes)), bucket * bucketEntryBytes + 4);
      if (bucket % 1_024 === 0) await this.pace.breathe();
    }
    bucketTable.writeUInt32LE(this.keyCount, bucketCount * bucketEntryBytes);
    return { keys, bucketTable, bucketBits };
  }

  private append(bytes: Buffer): void {
    this.pending.push(bytes);
    this.pendingBytes += bytes.byteLength;
    this.offset += bytes.byteLength;
    if (this.pendingBytes >= pendingBytesMax) this.flush();
  }

  private flush(): void {
    if (this.pendingBytes === 0) return;
    const bytes = this.pending.length === 1 ? (this.pending[0] as Buffer) : Buffer.concat(this.pending);
    this.pending = [];
    this.pendingBytes = 0;
    const written = this.port.append(this.file, bytes);
    if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
  }
}
