/** Another file system mounted on a part of a store hides the sessions below it: refused, as long as it is there. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import { openSessionStore } from "../../src/index.js";
import { withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { healthyKeys, keepNothing, makeStore } from "./support/store-tree.js";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const skip = !(isRoot && canMount()) && "skipped: needs a root user who may mount";

function mount(directory: string): boolean {
  const parameters = ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", directory];
  return spawnSync("mount", parameters, { stdio: "ignore" }).status === 0;
}

function unmount(directory: string): void {
  spawnSync("umount", ["-l", directory], { stdio: "ignore" });
}

function canMount(): boolean {
  const directory = fs.mkdtempSync("/tmp/sessiondir-mount-");
  const isMounted = mount(directory);
  if (isMounted) unmount(directory);
  fs.rmdirSync(directory);
  return isMounted;
}

for (const part of ["journal", "entries"]) {
  test(`a file system mounted on ${part}/ is refused, and without it everything is there`, { skip }, async () => {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      const mounted = path.join(place.directory, part);
      const below = fs.readdirSync(mounted);
      assert.ok(mount(mounted));
      try {
        for (const readOnly of [true, false]) {
          const error = await rejectsWith("unsafe_path", openSessionStore(place.location, { readOnly }));
          assert.equal(error.path, mounted);
          assert.match(error.message, /is a mount/);
        }
        // It must not be taken for a store that lost everything.
        await rejectsWith("unsafe_path", repairStore(place.location));
        assert.deepEqual(fs.readdirSync(mounted), [], "nothing was written into it");
      } finally {
        unmount(mounted);
      }
      assert.deepEqual(fs.readdirSync(mounted), below);
      const store = await openSessionStore(place.location);
      for (const key of healthyKeys) assert.notEqual(await store.get(key), undefined, key);
      await store.close();
    });
  });
}

test("more files than anybody would name are counted by verify, and keep nobody from the store", async () => {
  await withPlace(async (place) => {
    await makeStore(place, keepNothing);
    const namedMax = 1_024;
    for (let at = 0; at < namedMax + 7; at++) fs.writeFileSync(path.join(place.directory, `junk-${at}`), "");
    const store = await openSessionStore(place.location);
    const found = [];
    for await (const finding of store.verify()) found.push(finding);
    assert.equal(found.length, namedMax + 1);
    assert.match(found.at(-1)?.message ?? "", /^7 more files in the store directory/);
    assert.ok(found.every(({ severity, code }) => severity === "warning" && code === "foreign_file"));
    await store.close();
  });
});
