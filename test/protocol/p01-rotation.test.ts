/** P1: the seal record is the switch. What each test guards was seen to fail when the code named beside it was taken out. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  commitPut,
  filesIn,
  isSegmentCall,
  killBefore,
  makeMachine,
  put,
  readStore,
  readValue,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

const rotateAtOnce = { limits: { segmentBytes: 1 } };

// Fails without row 2 of recover.ts (`createSuccessor` in `settleJournalEnd`): the commit lands behind the seal.
test("P1: a sealer that dies between seal and successor leaves a journal in which the next writer creates the successor", async () => {
  const machine = await makeMachine();
  const survivor = await start(machine, "survivor");
  const sealer = await start(machine, "sealer", rotateAtOnce);
  killBefore(sealer, (call) => call.method === "open" && call.path === segmentPath(2));
  const commit = sealer.backend.commit(request([put("a", { value: 1 })]));
  commit.catch(() => {});
  assert.ok(sealer.process.isKilled);
  assert.match(machine.readText(segmentPath(1)), /"seal":"rotated"/);
  assert.ok(!machine.exists(segmentPath(2)));

  assert.equal(await readValue(survivor, "a"), 1, "a seal without a successor hides nothing");
  await commitPut(machine, survivor, "b", 2);
  assert.match(machine.readText(segmentPath(2)), /"put":"b"/);
  assert.doesNotMatch(machine.readText(segmentPath(1)), /"put":"b"/);
  assert.deepEqual(await readStore(machine.fork()), { a: { value: 1 }, b: { value: 2 } });
});

// Fails when `View.rebuild` starts with the newest listed segment instead of following the seals.
test("P1: openers follow the seals from the oldest segment, not the listing", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", rotateAtOnce);
  // Its checkpoints stay undone, so that every segment is live.
  writer.port.before = (call) => {
    if (call.method === "tryLock" && call.path.endsWith(".checkpoint.lock")) writer.process.kill();
  };
  for (const key of ["a", "b"]) writer.backend.commit(request([put(key, { value: key })])).catch(() => {});
  writer.process.kill();
  assert.equal(filesIn(machine, "journal").size, 3);
  assert.deepEqual(await readStore(machine), { a: { value: "a" }, b: { value: "b" } });
});

// Fails without `hasCommits` in `Committer.rotateUnderLock` and `JournalWriter.seal`.
test("P1: a segment without commits is never rotated", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  const before = filesIn(machine, "journal");
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.close());
  assert.deepEqual(filesIn(machine, "journal"), before);
});

// Fails when `Checkpointer` takes a segment without a successor for done as well.
test("P1: a sealed segment is not deleted while it has no successor", async () => {
  const machine = await makeMachine();
  const options = { limits: { segmentBytes: 1, segmentRetentionMs: 0, segmentRetentionBytes: 0 } };
  const sealer = await start(machine, "sealer", options);
  const other = await start(machine, "other", options);
  await commitPut(machine, sealer, "a", 1);
  killBefore(sealer, (call) => call.method === "open" && isSegmentCall(3)(call));
  sealer.backend.commit(request([put("a", { value: 2 })])).catch(() => {});
  assert.ok(sealer.process.isKilled);
  // Maintenance of the other process looks at the journal, and checkpoints what is sealed and has a successor.
  await machine.advance(4_000);
  assert.ok(!machine.exists(segmentPath(1)));
  assert.ok(machine.exists(segmentPath(2)));
  assert.equal(await readValue(other, "a"), 2);
});
