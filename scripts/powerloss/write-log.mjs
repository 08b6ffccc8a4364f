/**
 * The log of everything that reached a block device, in the format of dm-log-writes: a superblock, then for each write
 * or flush an entry of one sector, followed by the written data.
 */

import { closeSync, openSync, readSync } from "node:fs";

const magic = 0x6a736677736872n;
const flags = { flush: 1, throughCache: 2, discard: 4 };

/** The entries in the log so far. Works while it is written. */
export function countLogged(descriptor) {
  return readSuperblock(descriptor).count;
}

/**
 * All entries, in the order in which the device got them: `{ isFlush, isThroughCache, offset, length, at }`. `offset`
 * and `length` are bytes on the device; `at` is where the data lies in the log file.
 */
export function readLog(file) {
  const descriptor = openSync(file, "r");
  try {
    const { count, sectorBytes } = readSuperblock(descriptor);
    const entries = [];
    const header = Buffer.alloc(32);
    let at = sectorBytes;
    for (let index = 0; index < count; index += 1) {
      readSync(descriptor, header, 0, header.length, at);
      const entryFlags = Number(header.readBigUInt64LE(16));
      const isDiscard = (entryFlags & flags.discard) !== 0;
      const length = Number(header.readBigUInt64LE(8)) * sectorBytes;
      entries.push({
        isFlush: (entryFlags & flags.flush) !== 0,
        isThroughCache: (entryFlags & flags.throughCache) !== 0,
        offset: Number(header.readBigUInt64LE(0)) * sectorBytes,
        // What is discarded may keep its bytes: the least surprising disk.
        length: isDiscard ? 0 : length,
        at: at + sectorBytes,
      });
      at += sectorBytes + (isDiscard ? 0 : length);
    }
    return entries;
  } finally {
    closeSync(descriptor);
  }
}

function readSuperblock(descriptor) {
  const block = Buffer.alloc(28);
  readSync(descriptor, block, 0, block.length, 0);
  // Nothing was written yet.
  if (block.readBigUInt64LE(0) === 0n) return { count: 0, sectorBytes: 512 };
  if (block.readBigUInt64LE(0) !== magic || block.readBigUInt64LE(8) !== 1n) throw new Error("not a write log");
  return { count: Number(block.readBigUInt64LE(16)), sectorBytes: block.readUInt32LE(24) };
}
