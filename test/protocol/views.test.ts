/** What a process makes of a journal that it follows: what it refuses, what it forgets, and what it must not believe. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf } from "../../src/backends/directory/checksum.js";
import type { KeyChange } from "../../src/backends/directory/journal/overlay.js";
import type { View } from "../../src/backends/directory/view.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { CraftedJournal, carried } from "./crafted-journal.js";
import {
  commitPatch,
  commitPut,
  filesIn,
  makeMachine,
  put,
  readEntry,
  readStore,
  readValue,
  remove,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

/** Refused by writers and readers, and left as it is. */
async function expectDamaged(machine: SimulatedMachine): Promise<void> {
  const before = filesIn(machine, "journal");
  await assert.rejects(start(machine, "writer"), { code: "store_damaged" });
  await assert.rejects(start(machine, "reader", { readOnly: true }), { code: "store_damaged" });
  assert.deepEqual(filesIn(machine, "journal"), before);
}

async function crafted(
  make: (journal: CraftedJournal) => Parameters<CraftedJournal["write"]>[0],
): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  journal.write(make(journal));
  return machine;
}

// Fails without the look at the checkpoint's version at the end of `View.rebuild`: versions are then given out again.
test("a journal that ends before what the manifest knows is refused", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, store, "b", 2);
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.close());
  const [firstLine] = machine.readText(segmentPath(1)).split("\n");
  machine.unlink(segmentPath(3));
  machine.writeFile(segmentPath(1), `${firstLine}\n`);
  await expectDamaged(machine);
});

// Fails without the dense check in `View.applyRecord`.
test("a version that is missing or doubled is refused", async () => {
  for (const versions of [
    [1, 3],
    [1, 2, 2],
    [2, 3],
  ]) {
    const machine = await crafted((journal) => ({
      1: versions.map((version, index) => journal.put(version, "a", version, { first: index === 0 })),
    }));
    await expectDamaged(machine);
  }
});

// Fails without the look at `record.store` in `View.applyRecord`.
test("a segment of another store, or of an earlier life of this one, is refused", async () => {
  const otherLife = "f".repeat(32);
  const operation = { type: "put", key: "a", entry: { value: "foreign" } } as const;
  await expectDamaged(await crafted((journal) => ({ 1: [journal.commit(1, operation, { store: otherLife })] })));
  await expectDamaged(await crafted((journal) => ({ 1: [journal.commit(1, operation)] })));
  await expectDamaged(
    await crafted((journal) => ({
      1: [journal.put(1, "a", 1, { first: true }), journal.seal("suspect", 1)],
      2: [journal.carry({ suspectFrom: 1, lastVersion: 1, states: [carried(1, "a", "foreign")], store: otherLife })],
    })),
  );
});

// Fails without `assertSealFits` in view.ts, and when it lets a seal without commits pass.
test("P1: a seal that does not name the commit before it is refused, and a seal alone leads nowhere", async () => {
  await expectDamaged(
    await crafted((journal) => ({
      1: [journal.put(1, "a", 1, { first: true }), journal.seal("rotated", 2)],
      2: [],
      3: [],
    })),
  );
  await expectDamaged(await crafted((journal) => ({ 1: [journal.seal("rotated", 0)] })));
});

/** A rotated journal of a live store; the second segment holds the commit of c. */
async function rotated(machine?: SimulatedMachine): Promise<SimulatedMachine> {
  machine ??= await makeMachine();
  const writer = await start(machine, "writer", { limits: { segmentBytes: 400 } });
  writer.port.before = (call) => {
    if (call.method === "tryLock" && call.path.endsWith(".checkpoint.lock")) writer.process.kill();
  };
  writer.backend.commit(request([put("a", { value: "a" })])).catch(() => {});
  writer.backend.commit(request([put("b", { value: "b".repeat(200) })])).catch(() => {});
  writer.backend.commit(request([put("c", { value: "c" })])).catch(() => {});
  writer.process.kill();
  assert.match(machine.readText(segmentPath(1)), /"seal"/);
  assert.match(machine.readText(segmentPath(3)), /"put":"c"/);
  return machine;
}

// Fails without `enterProvenSuccessor`: the successor is set aside, or the journal refused.
test("P10: a seal that went bad, or is lost, hides nothing of the successor that proves itself", async () => {
  for (const spoil of [/\{"seal".*\n/, '"rotated"'] as const) {
    const machine = await makeMachine();
    const early = await start(machine, "early", { readOnly: true });
    await rotated(machine);
    const text = machine.readText(segmentPath(1));
    machine.writeFile(segmentPath(1), text.replace(spoil, typeof spoil === "string" ? '"ROTATED"' : ""));
    // Who was there before sees the end of the first segment only now, and a bad line behind it makes it look further.
    if (typeof spoil === "string") assert.equal(await readValue(early, "c"), "c");
    const reader = await start(machine, "reader", { readOnly: true });
    assert.equal(await readValue(reader, "c"), "c");
    assert.deepEqual(Object.keys(await readStore(machine)).sort(), ["a", "b", "c"]);
    assert.equal(filesIn(machine, "quarantine").size, 0);
  }
});

// Fails when any segment of the next name is taken for the successor.
test("P10: a segment that does not name the record before it, or another store, is not the successor of one without a seal", async () => {
  for (const [field, value] of [
    ["previousRecord", "0badcafe"],
    ["store", "f".repeat(32)],
    ["version", 9],
  ] as const) {
    const machine = await rotated();
    const [first, second] = machine.readText(segmentPath(1)).split("\n");
    machine.writeFile(segmentPath(1), `${first}\n${second}\n`);
    const fields = JSON.parse(machine.readText(segmentPath(3)).split("\n")[0]!);
    const { checksum: _, ...body } = { ...fields, [field]: value };
    const bytes = JSON.stringify(body).slice(0, -1);
    machine.writeFile(segmentPath(3), `${bytes},"checksum":"${checksumOf(bytes)}"}\n`);
    const reader = await start(machine, "reader", { readOnly: true });
    assert.equal(await readValue(reader, "c").catch((error) => error.code), undefined, field);
    assert.deepEqual(Object.keys(await readStore(machine)).sort(), ["a", "b"], field);
    assert.equal(filesIn(machine, "quarantine").size, 1);
  }
});

// Fails without the loop around `enterCarriedSegment` in `View.rebuild`: the carried states are set aside.
test("P11: carried states take over from a suspect segment that ends too early, without a seal", async () => {
  const machine = await crafted((journal) => ({
    1: [journal.put(1, "a", 1, { first: true })],
    3: [journal.carry({ suspectFrom: 1, lastVersion: 2, states: [carried(1, "a", 1), carried(2, "b", 2)] })],
  }));
  const reader = await start(machine, "reader", { readOnly: true });
  assert.equal(await readValue(reader, "b"), 2);
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 2 } });
  assert.equal(filesIn(machine, "quarantine").size, 0);
});

// Fails without the look at `suspectFrom` in `enterCarriedSegment`: version 2 is forgotten.
test("P11: states of later segments do not make up for what is lost of this one", async () => {
  const machine = await crafted((journal) => ({
    1: [journal.put(1, "a", 1, { first: true })], // Version 2 and the seal are lost, and all of segment 3.
    4: [journal.carry({ suspectFrom: 3, lastVersion: 3, durable: 2, states: [carried(3, "c", 3)] })],
  }));
  const before = filesIn(machine, "journal");
  await assert.rejects(start(machine, "writer"), { code: "store_damaged" });
  assert.deepEqual(filesIn(machine, "journal"), before);
  const reader = await start(machine, "reader", { readOnly: true });
  await assert.rejects(reader.backend.read(["a"]), { code: "store_damaged" });
});

// Fails without the look at `lastVersion` of carried states in `View.applyRecord`.
test("P11: carried states that do not lie where they were written are refused", async () => {
  await expectDamaged(
    await crafted((journal) => ({
      1: [journal.put(1, "a", 1, { first: true }), journal.seal("suspect", 1)],
      2: [journal.carry({ suspectFrom: 1, lastVersion: 5, states: [carried(5, "a", 5)] })],
    })),
  );
  // Behind what the segment before them holds.
  await expectDamaged(
    await crafted((journal) => ({
      1: [1, 2, 3].map((version) => journal.put(version, "a", version, { first: version === 1 })),
      2: [journal.carry({ suspectFrom: 1, lastVersion: 1, states: [carried(1, "a", 1)] })],
    })),
  );
});

// Fails without the comparison with a smaller size in `View.follow`: what was cut off is served for ever.
test("a current segment that became shorter is damage, not an earlier state", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  const [whole] = [machine.readText(segmentPath(1))];
  await commitPut(machine, store, "a", 2);
  machine.writeFile(segmentPath(1), whole);
  await assert.rejects(store.backend.read(["a"]), { code: "store_damaged" });
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))), {
    code: "store_damaged",
  });
});

// Fails without the link count in `View.follow`: the reader serves what it knows of a store that was deleted.
test("P20: a segment that was unlinked without a seal says that the store is gone", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  const reader = await start(machine, "reader", { readOnly: true });
  await commitPut(machine, writer, "a", 1);
  assert.equal(await readValue(reader, "a"), 1);
  machine.unlink(segmentPath(1));
  await assert.rejects(reader.backend.read(["a"]), { code: "store_gone" });
});

// --- caches and overlays -------------------------------------------------------------------------------------------------

// Fails when `View.load` takes any cached state for the latest one.
test("a session that another process patched, replaced or removed is not served from the cache", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader");
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", 1);
  assert.deepEqual(await readEntry(reader, "a"), { value: 1 });
  await commitPatch(machine, writer, "a", "field", 2);
  assert.deepEqual(await readEntry(reader, "a"), { value: 1, field: 2 });
  await commitPut(machine, writer, "a", 3);
  assert.deepEqual(await readEntry(reader, "a"), { value: 3 });
  await machine.settle(writer.backend.commit(request([remove("a")])));
  assert.equal(await readEntry(reader, "a"), undefined);
});

// Fails when `keepWarm` leaves older states in the cache: they are then as good as the file.
test("P4: a patch that was seen but not read is read once its segment is checkpointed and dropped", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader");
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "patched", 1);
  await commitPut(machine, writer, "removed", 1);
  await machine.settle(writer.backend.checkpoint());
  await readEntry(reader, "patched");
  await readEntry(reader, "removed");
  await machine.advance(300);
  await readEntry(reader, "other");
  await commitPatch(machine, writer, "patched", "field", 2);
  await machine.settle(writer.backend.commit(request([remove("removed")])));
  await readEntry(reader, "other");
  await machine.settle(writer.backend.checkpoint());
  await machine.advance(300);
  await readEntry(reader, "other");
  assert.equal((await reader.backend.stats()).journaledSessions, 0, "the segment is not dropped yet");
  assert.deepEqual(await readEntry(reader, "patched"), { value: 1, field: 2 });
  assert.equal(await readEntry(reader, "removed"), undefined);
});

// Fails without `forgetDropped` in `View.load`: what was not tidied up yet is read from the cache, as it was before.
test("P4: what a dropped segment changed is not read older than it, while others run between two steps of tidying up", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader");
  const writer = await start(machine, "writer");
  const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`);
  for (const key of keys) await commitPut(machine, writer, key, 1);
  await machine.settle(writer.backend.checkpoint());
  for (const key of keys) await readEntry(reader, key);
  for (const key of keys) await commitPatch(machine, writer, key, "field", 2);
  await readEntry(reader, "other");
  await machine.settle(writer.backend.checkpoint());
  const { view } = reader.backend as unknown as { view: View };
  // Time flies: every look at the clock ends the turn.
  const { port } = view.files;
  const monotonicMs = port.monotonicMs.bind(port);
  let flownMs = 0;
  port.monotonicMs = () => {
    flownMs += 300;
    return monotonicMs() + flownMs;
  };
  for (const key of keys) assert.deepEqual(reader.backend.readNow(key)?.entry, { value: 1, field: 2 }, key);
  assert.equal(view.segments.length, 1, "the segment was dropped at the first of these reads");
  await machine.advance(10);
  for (const key of keys) assert.deepEqual(await readEntry(reader, key), { value: 1, field: 2 }, key);
});

// Fails without `lookForCheckpoint`: the overlay of a process that only reads grows for ever.
test("P4: the overlay of a reader ends at the checkpoint that somebody else made", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader", { readOnly: true });
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", 1);
  await readEntry(reader, "a");
  assert.equal((await reader.backend.stats()).journaledSessions, 1);
  await machine.settle(writer.backend.checkpoint());
  await machine.advance(300);
  await readEntry(reader, "a");
  await machine.advance(300);
  await readEntry(reader, "a");
  assert.equal((await reader.backend.stats()).journaledSessions, 0);
});

// Fails without `cutChain` in `View.tidy`: a session that is patched every minute keeps all its patches.
test("P4: a chain of patches is forgotten as far as it is checkpointed", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const { view } = store.backend as unknown as { view: View };
  await commitPut(machine, store, "a", 0);
  for (let round = 1; round <= 4; round += 1) {
    await commitPatch(machine, store, "a", "round", round);
    // The patch that follows is made while the checkpoint of the one before runs.
    const checkpoint = store.backend.checkpoint();
    // Not before it knows how far it goes: then it would take that patch along.
    for (let turn = 0; turn < 50; turn += 1) await undefined;
    await commitPatch(machine, store, "a", "half", round);
    await machine.settle(checkpoint);
    let length = 0;
    for (let at: KeyChange | undefined = view.latestChange("a"); at; at = at.previous) length += 1;
    assert.ok(length >= 1 && length <= 2, `${length} changes are kept in round ${round}`);
  }
  assert.deepEqual(await readEntry(store, "a"), { value: 0, round: 4, half: 4 });
});
