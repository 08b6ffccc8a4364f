/** P6: what must be on the disk before a commit is acknowledged. Each test cuts the power right after the ack. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  commitPut,
  committed,
  HookedPort,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readStore,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

// Fails when `Durability.syncLiveSegments` syncs the current segment only, and when it does not sync journal/.
for (const openedWhen of ["before", "after"] as const) {
  test(`P6: the first acknowledgement in a new segment syncs the older live segment first (opened ${openedWhen} the rotation)`, async () => {
    const machine = await makeMachine();
    const early = openedWhen === "before" ? await start(machine, "second") : undefined;
    const first = await start(machine, "first", { durability: "interval", limits: { segmentBytes: 1 } });
    await commitPut(machine, first, "a", 1);
    first.process.kill();
    assert.match(machine.readText(segmentPath(1)), /"seal"/);
    const second = early ?? (await start(machine, "second"));

    await commitPut(machine, second, "b", 2);
    assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 }, b: { value: 2 } });
  });
}

// Fails when `Durability.run` takes its target after the sync instead of before it.
test("P6: a sync acknowledges only what was appended before it began", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const early = store.backend.commit(request([put("a", { value: 1 })]));
  // The sync of the first commit has begun, and not ended.
  while (machine.events.hasWorkThatKeepsAlive() === false) await Promise.resolve();
  const late = store.backend.commit(request([put("b", { value: 2 })]));
  committed(await machine.settle(early));
  const images: Promise<Record<string, unknown>>[] = [];
  const acknowledged = late.then(() => images.push(readStore(loseEverythingPending(machine))));
  await machine.settle(acknowledged);
  assert.deepEqual(await images[0], { a: { value: 1 }, b: { value: 2 } });
});

// Fails when `View.dropCheckpointed` closes a segment that is pinned: the sync then meets a closed descriptor, and what
// it says is about another file or none.
test("P6: no descriptor is closed while a sync on it is under way", async () => {
  const machine = await makeMachine();
  const other = await start(machine, "other");
  const process = machine.process("slow");
  const port = new HookedPort(process);
  const backend = await machine.settle(openStore(port));
  port.before = (call) => {
    if (call.method === "syncFile" && call.path === segmentPath(1)) return process.sleep(2_000);
    return undefined;
  };
  const slow = backend.commit(request([put("a", { value: 1 })]));
  // Meanwhile another process checkpoints that segment, and the slow one drops it from its view.
  await machine.settle(other.backend.checkpoint());
  await machine.advance(1_000);
  assert.deepEqual((await backend.read(["a"])).get("a")?.entry, { value: 1 });
  assert.equal((await backend.stats()).liveJournalBytes, 0);
  committed(await machine.settle(slow));
  assert.deepEqual(machine.misuses, []);
  await machine.settle(backend.close());
  assert.deepEqual(process.openHandles(), []);
});
