/**
 * A run: one immutable file of `summary-index/` with summaries in both orders of lists (newest first with ties by key;
 * and by key), in blocks that are read and checked one by one, and a table by which a key is found without reading
 * them. So the newest 50 of a million cost one block, and whether a newer run replaces a session costs one look at its
 * table. Twice the bytes, but no page in either order ever costs a pass over all.
 *
 *     blocks        JSON arrays of rows, one behind the other, by time
 *     block table   16 bytes for each: offset (6), length (4), CRC-32 (4), 2 unused; all numbers little-endian
 *     blocks, block table: the same rows by key
 *     keys          16 bytes for each: hash of the key (15), 1 when the session is there or 0 when it is gone;
 *                   grouped in buckets by the first bits of the hash
 *     bucket table  8 bytes for each: number of its first key (4), CRC-32 of its keys (4); then the number of keys (4)
 */

import { crc32 } from "node:zlib";
import type { SessionOrder, SessionSummary } from "../../../contract.js";
import { openChecked, type StoreOwner } from "../../../fs/checked-file.js";
import type { Directory, File, Port } from "../../../fs/port.js";
import { checksumOf } from "../checksum.js";
import type { RunInfo } from "./head.js";
import { DamagedIndexError, decodeRow, hashBytes } from "./row.js";

export const blockEntryBytes = 16;
export const keyBytes = hashBytes + 1;
export const bucketEntryBytes = 8;
/** Keys up to so many bytes are kept in memory once they were looked at: small runs are asked for every session. */
const keptKeysBytesMax = 1024 * 1024;

export class Run {
  readonly info: RunInfo;
  private readonly port: Port;
  private readonly file: File;
  private buckets: Buffer | undefined;
  private keys: Buffer | undefined;

  private constructor(port: Port, file: File, info: RunInfo) {
    this.port = port;
    this.file = file;
    this.info = info;
  }

  /** ENOENT passes through: the run was replaced since the head was read, or is lost. */
  static open(port: Port, directory: Directory, info: RunInfo, owner: StoreOwner): Run {
    const file = openChecked(port, directory, info.name, "read", owner);
    try {
      if (port.stat(file).sizeBytes !== info.bytes) throw new DamagedIndexError("a run has another size");
      return new Run(port, file, info);
    } catch (error) {
      port.close(file);
      throw error;
    }
  }

  close(): void {
    this.port.close(this.file);
  }

  readBlock(order: SessionOrder, index: number): SessionSummary[] {
    const { tableOffset } = this.info.blocks[order];
    const place = this.read(tableOffset + index * blockEntryBytes, blockEntryBytes);
    if (index >= this.info.blocks[order].count) throw new DamagedIndexError("there is no such block");
    const offset = place.readUIntLE(0, 6);
    const length = place.readUInt32LE(6);
    if (offset + length > tableOffset) throw new DamagedIndexError("a block lies outside of its run");
    const bytes = this.read(offset, length);
    if (crc32(bytes) !== place.readUInt32LE(10)) throw new DamagedIndexError("a block does not match its checksum");
    let rows: unknown;
    try {
      rows = JSON.parse(bytes.toString("utf8"));
    } catch {
      throw new DamagedIndexError("a block is not JSON");
    }
    if (!Array.isArray(rows) || rows.length === 0) throw new DamagedIndexError("a block holds no rows");
    return rows.map(decodeRow);
  }

  /** What this run says of a session: "live", "removed", or nothing. */
  find(keyHash: Buffer): "live" | "removed" | undefined {
    const { bucketBits } = this.info;
    const keys = this.readBucket(bucketBits === 0 ? 0 : keyHash.readUInt32BE(0) >>> (32 - bucketBits));
    for (let at = keys.indexOf(keyHash); at >= 0; at = keys.indexOf(keyHash, at + 1)) {
      if (at % keyBytes === 0) return keys[at + hashBytes] === 1 ? "live" : "removed";
    }
    return undefined;
  }

  /** The hashes of the sessions that this run says are gone, a bucket at a time. */
  *removedKeys(): Generator<Buffer[]> {
    for (let bucket = 0; bucket < 2 ** this.info.bucketBits; bucket += 1) {
      const keys = this.readBucket(bucket);
      const removed: Buffer[] = [];
      for (let at = 0; at < keys.byteLength; at += keyBytes) {
        if (keys[at + hashBytes] !== 1) removed.push(keys.subarray(at, at + hashBytes));
      }
      yield removed;
    }
  }

  private readBucket(bucket: number): Buffer {
    this.buckets ??= this.readChecked(
      this.info.bucketTableOffset,
      2 ** this.info.bucketBits * bucketEntryBytes + 4,
      this.info.bucketTableChecksum,
    );
    const first = this.buckets.readUInt32LE(bucket * bucketEntryBytes);
    const end = this.buckets.readUInt32LE((bucket + 1) * bucketEntryBytes);
    const keysBytes = (this.info.records + this.info.removals) * keyBytes;
    if (first > end || end * keyBytes > keysBytes) throw new DamagedIndexError("a bucket lies outside of its run");
    if (keysBytes <= keptKeysBytesMax) {
      this.keys ??= this.readChecked(this.info.keysOffset, keysBytes, this.info.keysChecksum);
      return this.keys.subarray(first * keyBytes, end * keyBytes);
    }
    const keys = this.read(this.info.keysOffset + first * keyBytes, (end - first) * keyBytes);
    if (crc32(keys) !== this.buckets.readUInt32LE(bucket * bucketEntryBytes + 4)) {
      throw new DamagedIndexError("keys do not match their checksum");
    }
    return keys;
  }

  private readChecked(position: number, length: number, checksum: string): Buffer {
    const bytes = this.read(position, length);
    if (checksumOf(bytes) !== checksum) throw new DamagedIndexError("a table does not match its checksum");
    return bytes;
  }

  private read(position: number, length: number): Buffer {
    if (position + length > this.info.bytes) throw new DamagedIndexError("a part lies outside of its run");
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const count = this.port.read(this.file, buffer.subarray(filled), position + filled);
      if (count === 0) throw new DamagedIndexError("a run ends too early");
      filled += count;
    }
    return buffer;
  }
}
