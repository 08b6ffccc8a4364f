/** Commit, checkpoint and take-over on disks with just so much room. At every 512 bytes: `npm run long-run -- full-disk`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type FullDiskCounts, fullDiskOperations, runOnFullDisk } from "./full-disk.js";
import { ext4, tmpfs, withSmallDisk } from "./support/mounts.js";

const timeout = 120_000;
const kibibyte = 1_024;

for (const [disk, rooms] of [
  [tmpfs("1m"), [0, 4, 8, 12, 20, 32, 48, 64]],
  [ext4("1m"), [0, 0.5, 3, 5, 13, 29, 45]],
] as const) {
  const skip = disk.missing !== undefined && `skipped: ${disk.missing}`;
  for (const operation of fullDiskOperations) {
    test(`a ${operation} on a full ${disk.name} is done or is disk_full, whatever room there is`, {
      timeout,
      skip,
    }, async () => {
      const counts: FullDiskCounts = { done: 0, refused: 0 };
      await withSmallDisk(disk, async (place) => {
        for (const room of rooms) await runOnFullDisk(place, operation, { bytes: room * kibibyte }, counts);
      });
      assert.ok(counts.done > 0 && counts.refused > 0, JSON.stringify(counts));
    });
  }
}

const fewNames = tmpfs("4m", 64);
test("a disk that can have no more names is disk_full for checkpoints and take-overs; commits go on", {
  timeout,
  skip: fewNames.missing !== undefined && `skipped: ${fewNames.missing}`,
}, async () => {
  await withSmallDisk(fewNames, async (place) => {
    const commits: FullDiskCounts = { done: 0, refused: 0 };
    const others: FullDiskCounts = { done: 0, refused: 0 };
    for (const inodes of [0, 1, 2, 3, 5, 8, 13, 21]) {
      await runOnFullDisk(place, "commit", { inodes }, commits);
      await runOnFullDisk(place, "checkpoint", { inodes }, others);
      await runOnFullDisk(place, "migrate", { inodes }, others);
    }
    assert.equal(commits.refused, 0, "an append needs no name");
    assert.ok(others.done > 0 && others.refused > 0, JSON.stringify(others));
  });
});
