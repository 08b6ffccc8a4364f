/** What a process does by itself when nobody asks: an idle or old journal is written out, again and again. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { commitPut, makeMachine, readEntryFile, readStore, start } from "./simulated-store.js";

// Fails when the checkpoint in the background waits for the work in the background to end, which is itself.
test("an idle process writes its journal out, does so again, and can still be closed", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "gateway");
  for (const value of [1, 2]) {
    await commitPut(machine, store, "a", value);
    await machine.advance(10_000);
    const written = readEntryFile(machine, "a");
    assert.deepEqual([written?.version, written?.entry], [value, { value }]);
  }
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.close());
  assert.deepEqual(store.process.openHandles(), []);
  assert.deepEqual(await readStore(machine), { a: { value: 2 }, b: { value: 1 } });
});

// Fails like the one above, and without the age of the first commit.
test("a busy process writes out an old journal while it commits", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "gateway");
  for (let second = 0; second < 70; second++) {
    await commitPut(machine, store, "a", second);
    await machine.advance(1_000);
  }
  const written = readEntryFile(machine, "a")?.version ?? 0;
  assert.ok(written > 25, `the entry file is at version ${written} of 70`);
  await machine.settle(store.backend.close());
});
