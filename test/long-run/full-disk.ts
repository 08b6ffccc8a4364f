/**
 * Commit, checkpoint and take-over with 0 to 64 KiB of room in steps of 512 bytes - which file systems round to their
 * blocks: 4,096 bytes in memory, 1,024 on the ext4 - and with 0 to 32 names left.
 */

import {
  type FullDiskCounts,
  type FullDiskOperation,
  fullDiskOperations,
  type Left,
  runOnFullDisk,
} from "../process/full-disk.js";
import { ext4, type SmallDisk, tmpfs, withSmallDisk } from "../process/support/mounts.js";

export async function runFullDisks(): Promise<void> {
  const rooms = Array.from({ length: 129 }, (_, step): Left => ({ bytes: step * 512 }));
  const names = Array.from({ length: 33 }, (_, inodes): Left => ({ inodes }));
  for (const disk of [tmpfs("1m"), ext4("1m")]) {
    for (const operation of fullDiskOperations) await runAll(disk, operation, rooms, "0 to 64 KiB");
  }
  for (const disk of [tmpfs("4m", 96), ext4("4m", 96)]) {
    for (const operation of fullDiskOperations) await runAll(disk, operation, names, "0 to 32 names");
  }
}

async function runAll(
  disk: SmallDisk,
  operation: FullDiskOperation,
  room: readonly Left[],
  what: string,
): Promise<void> {
  const name = `full-disk: ${operation} on ${disk.name} with ${what}`;
  if (disk.missing !== undefined) {
    console.log(`${name}: skipped: ${disk.missing}`);
    return;
  }
  const counts: FullDiskCounts = { done: 0, refused: 0 };
  const startedMs = performance.now();
  await withSmallDisk(disk, async (place) => {
    for (const left of room) await runOnFullDisk(place, operation, left, counts);
  });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`${name}: ${counts.done} calls done, ${counts.refused} refused, each as promised (${seconds} s)`);
}
