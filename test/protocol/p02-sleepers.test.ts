/** P2: who slept through rotations, and how it finds out. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemError } from "../sim/system-error.js";
import {
  commitPut,
  filesIn,
  makeMachine,
  put,
  readStore,
  readValue,
  remove,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

const forgetful = { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } };

// Fails when `View.follow` calls an unlinked segment "current", and when `View.dropAll` does not clear the cache.
test("P2: a reader that slept through two rotations rebuilds its view and drops its cache", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", forgetful);
  await commitPut(machine, writer, "changed", "old");
  await commitPut(machine, writer, "removed", "old");
  await machine.settle(writer.backend.checkpoint());
  const reader = await start(machine, "reader", { readOnly: true });
  assert.equal(await readValue(reader, "changed"), "old");
  assert.equal(await readValue(reader, "removed"), "old");

  // The rest of the segment that the reader has open says nothing of its sessions; the one behind it does.
  await commitPut(machine, writer, "other", "new");
  await machine.settle(writer.backend.checkpoint());
  await commitPut(machine, writer, "changed", "new");
  await machine.settle(writer.backend.commit(request([remove("removed")])));
  await machine.settle(writer.backend.checkpoint());
  assert.deepEqual([...filesIn(machine, "journal").values()], [""], "all older segments are gone");

  assert.equal(await readValue(reader, "changed"), "new");
  assert.equal(await readValue(reader, "removed"), undefined);
  assert.equal(await readValue(reader, "other"), "new");
});

// Fails when `View.follow` takes the link count before it looks for the successor: it then creates a second successor
// of the first segment, and its commit gets a version that was given out already.
test("P2: the descriptor is asked after the successor was not found, not before", async () => {
  const machine = await makeMachine();
  const sleeper = await start(machine, "sleeper");
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", 1);
  await machine.settle(writer.backend.checkpoint());
  await commitPut(machine, writer, "b", 2);
  await machine.settle(writer.backend.checkpoint());
  await commitPut(machine, writer, "c", 3);

  // Just before the sleeper looks for the second segment, a checkpointer whose retention is over unlinks both.
  sleeper.port.before = (call) => {
    if (call.method !== "open" || call.path !== segmentPath(2) || !machine.exists(segmentPath(1))) return;
    machine.unlink(segmentPath(1));
    machine.unlink(segmentPath(2));
  };
  const version = await commitPut(machine, sleeper, "d", 4);
  assert.match(version, /^4-/);
  assert.ok(!machine.exists(segmentPath(1)), "the sleeper was in the first segment");
  assert.deepEqual(await readStore(machine), {
    a: { value: 1 },
    b: { value: 2 },
    c: { value: 3 },
    d: { value: 4 },
  });
});

// Fails when `View.follow` calls every missing successor "slept": the cache is thrown away for nothing.
test("P2: a seal whose successor is not made yet leaves the reader's view and cache as they are", async () => {
  const machine = await makeMachine();
  const sealer = await start(machine, "sealer", { limits: { segmentBytes: 300 } });
  const reader = await start(machine, "reader", { readOnly: true });
  await commitPut(machine, sealer, "a", 1);
  assert.equal(await readValue(reader, "a"), 1);
  sealer.port.before = (call) => {
    if (call.method === "open" && call.path === segmentPath(3)) sealer.process.kill();
  };
  sealer.backend.commit(request([put("b", { value: "x".repeat(200) })])).catch(() => {});
  assert.ok(sealer.process.isKilled);

  let listings = 0;
  reader.port.before = (call) => {
    if (call.method === "list") listings += 1;
  };
  assert.equal(await readValue(reader, "a"), 1);
  assert.equal(await readValue(reader, "b"), "x".repeat(200));
  assert.equal(listings, 0, "the view was rebuilt");
});

// Fails without `dropAll` for a rebuild that fails in `View.rebuild`: nobody is told that the view was built anew.
test("P2: a rebuild that fails half way is made again, and costs no list a session", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", forgetful);
  await commitPut(machine, writer, "known", 1);
  await machine.settle(writer.backend.checkpoint());
  const sleeper = await start(machine, "sleeper", { readOnly: true });
  const listed = async () => {
    const page = await machine.settle(sleeper.backend.list({ order: "key" }));
    return page.sessions.map(({ key }) => key);
  };
  assert.deepEqual(await listed(), ["known"]);
  for (const key of ["first", "second"]) {
    await commitPut(machine, writer, key, 1);
    await machine.settle(writer.backend.checkpoint());
  }
  writer.process.kill();
  // Nobody checkpoints any more, so that the journal that is to be read has two segments.
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  await commitPut(machine, await start(machine, "other", { limits: { segmentBytes: 1 } }), "third", 1);
  sleeper.port.before = (call) => {
    if (call.method === "open" && call.path === segmentPath(5)) throw new SystemError("EMFILE", "open", call.path);
  };
  await assert.rejects(machine.settle(sleeper.backend.list({})), { code: "too_many_files" });
  sleeper.port.before = () => {};
  assert.deepEqual(await listed(), ["first", "known", "second", "third"]);
});
