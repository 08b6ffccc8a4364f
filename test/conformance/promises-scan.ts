/** Snapshot scans: one state of the whole store, whatever is committed meanwhile. */

import assert from "node:assert/strict";
import { applyChanges, changesSince, readAll, rejectsWith } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";

export function scanPromises({ promise }: Suite): void {
  promise("a scan of an empty store ends at once", async ({ store }) => {
    assert.deepEqual(await store.entries().next(), { done: true, value: undefined });
  });

  promise("a scan sees one state although sessions are changed, created and removed meanwhile", async ({ store }) => {
    const before = new Map<string, AnyEntry>();
    for (let index = 0; index < 30; index++) before.set(`key${index}`, { n: index });
    await store.transaction((transaction) => {
      for (const [key, entry] of before) transaction.set(key, entry);
    });
    const scanned = new Map<string, AnyEntry>();
    // A checkpoint may wait for the scan, so nobody waits for the checkpoint before the scan is done.
    const checkpoints: Promise<void>[] = [];
    let step = 0;
    for await (const { key, entry, version } of store.entries()) {
      assert.equal(typeof version, "string");
      assert.ok(!scanned.has(key), `${key} comes once`);
      scanned.set(key, entry);
      await store.patch(`key${step % 10}`, { n: `changed ${step}` });
      await store.update(`new${step}`, () => ({ n: step }));
      await store.remove(`key${10 + (step % 20)}`);
      if (step % 10 === 0) checkpoints.push(store.checkpoint());
      step++;
    }
    await Promise.all(checkpoints);
    assert.deepEqual(new Map([...scanned].sort()), new Map([...before].sort()));
    const after = await readAll(store);
    assert.equal(after.size, 10 + 30);
  });

  promise("two scans at the same time see their own states", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.update("b", () => ({ n: 1 }));
    const first = store.entries();
    const firstOne = await first.next();
    await store.transaction((transaction) => {
      transaction.set("a", { n: 2 });
      transaction.set("b", { n: 2 });
    });
    const second = await readAll(store);
    const firstTwo = await first.next();
    assert.deepEqual([firstOne.value?.entry, firstTwo.value?.entry], [{ n: 1 }, { n: 1 }]);
    assert.equal((await first.next()).done, true);
    assert.deepEqual([...second.values()], [{ n: 2 }, { n: 2 }]);
  });

  promise("the versions of a scan are those that a read gives", async ({ store }) => {
    for (let index = 0; index < 5; index++) await store.update(`key${index}`, () => ({ n: index }));
    for await (const { key, entry, version } of store.entries()) {
      assert.deepEqual(await store.getWithVersion(key), { entry, version });
    }
  });

  promise("a scan may be left early, and the store goes on", async ({ store }) => {
    for (let index = 0; index < 5; index++) await store.update(`key${index}`, () => ({ n: index }));
    for await (const _ of store.entries()) break;
    await store.update("key0", () => ({ n: "after" }));
    assert.equal((await readAll(store)).size, 5);
  });

  promise("aborting a scan ends it with aborted", async ({ store }) => {
    for (let index = 0; index < 5; index++) await store.update(`key${index}`, () => ({ n: index }));
    const abort = new AbortController();
    const scan = store.entries({ signal: abort.signal });
    await scan.next();
    abort.abort();
    await rejectsWith("aborted", scan.next());
  });

  promise("contract: a snapshot's cursor continues exactly where the snapshot ends", async ({ store, backend }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.update("gone", () => ({ n: 1 }));
    const snapshot = await backend.scan();
    await store.patch("a", { n: 2 });
    await store.remove("gone");
    await store.update("b", () => ({ n: 3 }));
    const state = new Map<string, AnyEntry>();
    for await (const { key, entry } of snapshot) state.set(key, entry as AnyEntry);
    assert.deepEqual([...state.keys()].sort(), ["a", "gone"]);
    const changes = await changesSince(store, snapshot.cursor);
    assert.deepEqual(applyChanges(state, changes), await readAll(store));
    assert.equal(changes.length, 3);
  });
}
