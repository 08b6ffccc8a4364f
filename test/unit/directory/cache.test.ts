/** The cache of entries keeps to its bytes, and gives up what was used longest ago. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type CachedEntry, EntryCache } from "../../../src/backends/directory/entries/cache.js";

function entryOf(bytes: number, version = 1): CachedEntry {
  return { version, record: "0badcafe", entry: undefined, versioned: undefined, bytes };
}

test("an entry larger than the whole cache is not kept, and costs no other its place", () => {
  const cache = new EntryCache(10_000);
  cache.set("small", entryOf(100));
  cache.set("large", entryOf(20_000));
  assert.equal(cache.get("large"), undefined);
  assert.equal(cache.get("small")?.bytes, 100);
});

test("an entry that became too large leaves nothing older of itself", () => {
  const cache = new EntryCache(10_000);
  cache.set("a", entryOf(100, 1));
  cache.set("a", entryOf(20_000, 2));
  assert.equal(cache.get("a"), undefined);
  assert.deepEqual(cache.stats, { entries: 0, bytes: 0 });
});

test("when the bytes are used up, what was used longest ago goes first", () => {
  const cache = new EntryCache(10_000);
  for (const key of ["a", "b", "c"]) cache.set(key, entryOf(2_500));
  cache.get("a");
  cache.set("d", entryOf(2_500));
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => cache.get(key) !== undefined),
    [true, false, true, true],
  );
  assert.ok(cache.stats.bytes <= 10_000);
});
