/** Keys come from strangers. What is not refused is data, and comes back as it was - through files, journal and lists. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../src/index.js";
import { findingsOf, withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { type AnyStore, digestTree } from "./support/store-tree.js";

const timeout = 60_000;

const hostileKeys = [
  ..."__proto__ constructor prototype toString hasOwnProperty then toJSON length 0 -1 null undefined NaN".split(" "),
  ..."/ . .. ... ../.. ../../etc/passwd /etc/passwd a/b a\\b C:\\x con nul aux. ~ * ? | < > $HOME `id` %00 %2e%2e".split(
    " ",
  ),
  "state.json",
  "session-YQ.json",
  `session-hash-${"a".repeat(43)}`,
  "--help",
  "a b",
  "a\nb",
  "a\tb",
  'a"b',
  "a'b",
  "\u0001\u001b[31mred",
  "k".repeat(120),
  "k".repeat(121),
  "k".repeat(500),
  "k".repeat(512),
  "😀".repeat(128),
  "👩‍👩‍👧‍👦",
  "a",
  "A",
  "а", // Cyrillic
  "é",
  "e\u0301", // The same to the eye.
  "ﬁ",
  "fi",
  "ß",
  "ss",
  "İ",
  "i",
  "\u202eabc",
  "a\u200b",
  "\ufeffa",
  "\u2028",
  "a\uffff",
  "agent:main:telegram:aaa",
  "agent:main:telegram:Gaa",
].filter((key) => key.trim() !== "");

async function checkAll(store: AnyStore, expected: ReadonlyMap<string, unknown>): Promise<void> {
  for (const [key, entry] of expected) assert.deepEqual(await store.get(key), entry, JSON.stringify(key));
  assert.deepEqual(new Map(await store.getMany(expected.keys())), expected);
  const scanned = new Map<string, unknown>();
  for await (const { key, entry } of store.entries()) scanned.set(key, entry);
  assert.deepEqual(scanned, expected);
  const listed = (await store.list({ order: "key", limit: 1_000 })).sessions.map(({ key }) => key);
  assert.deepEqual(listed, [...expected.keys()].sort());
  assert.deepEqual(await findingsOf(store), []);
}

test("hostile keys are ordinary data: written, read, listed, patched and removed, each for itself", {
  timeout,
}, async () => {
  await withPlace(async (place) => {
    const options = { keys: "exact", limits: { segmentBytes: 4_000 } } as const;
    let store: AnyStore = await openSessionStore(place.location, options);
    const expected = new Map<string, unknown>();
    for (const [n, key] of hostileKeys.entries()) {
      await store.update(key, (current) => {
        assert.equal(current, undefined, `${JSON.stringify(key)} is no other key`);
        return { n, key };
      });
      expected.set(key, { n, key });
    }
    assert.equal(expected.size, hostileKeys.length, "they are all different");
    await checkAll(store, expected);
    await store.close();

    store = await openSessionStore(place.location, options);
    await checkAll(store, expected);
    for (const [n, key] of hostileKeys.entries()) {
      if (n % 3 === 0) {
        assert.equal(await store.remove(key), true);
        expected.delete(key);
      } else if (n % 3 === 1) {
        await store.patch(key, { patched: key });
        expected.set(key, { n, key, patched: key });
      }
    }
    await checkAll(store, expected);
    await store.close();

    store = await openSessionStore(place.location, { readOnly: true });
    await checkAll(store, expected);
    await store.close();
    assert.equal(({} as { n?: unknown }).n, undefined);
    assert.deepEqual(
      fs.readdirSync(place.parent).sort(),
      ["", ".checkpoint.lock", ".lock", ".scan.lock"].map((suffix) => `${path.basename(place.directory)}${suffix}`),
      "nothing appeared outside of the store",
    );
  });
});

test("one commit may name all of them", { timeout }, async () => {
  await withPlace(async (place) => {
    const store: AnyStore = await openSessionStore(place.location, { keys: "exact" });
    await store.transaction((transaction) => {
      for (const key of hostileKeys) transaction.set(key, { [key]: key });
    });
    const versions = new Set<string | undefined>();
    for (const key of hostileKeys) {
      const found = await store.getWithVersion(key);
      assert.deepEqual(Object.entries(found?.entry ?? {}), [[key, key]], "also as the name of a field");
      versions.add(found?.version);
    }
    assert.equal(versions.size, 1);
    await store.close();
  });
});

const refusedKeys = {
  "with a NUL": "a\0b",
  "that are empty": "",
  "of blanks": " \t\n",
  "of other blanks": "\u00a0\u3000",
  "of 513 bytes": "k".repeat(513),
  "of 129 emoji": "😀".repeat(129),
  "with a lone high surrogate": "a\ud83d",
  "with a lone low surrogate": "\ude00a",
  "that are no strings": 7,
  "that are objects": { toString: () => "a" },
};

for (const [what, refused] of Object.entries(refusedKeys)) {
  test(`keys ${what} are refused as invalid_key by everything that takes one`, { timeout }, async () => {
    const key = refused as string;
    await withPlace(async (place) => {
      const store: AnyStore = await openSessionStore(place.location, { keys: "exact" });
      const before = digestTree(place.parent);
      for (const call of [
        () => store.get(key),
        () => store.getMany(["fine", key]),
        () => store.getWithVersion(key),
        () => store.update(key, () => ({})),
        () => store.patch(key, {}, { createIfMissing: true }),
        () => store.remove(key),
        () => store.transaction((transaction) => transaction.get(key)),
        () => store.transaction((transaction) => transaction.set(key, {})),
        () => store.transaction((transaction) => transaction.remove(key)),
      ]) {
        await rejectsWith("invalid_key", call);
      }
      assert.deepEqual(digestTree(place.parent), before);
      await store.close();
    });
  });
}
