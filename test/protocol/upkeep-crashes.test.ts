/**
 * Crashes of what looks after a store: garbage collection - a checkpoint, old segments, the trash - and `repair`. The
 * process is killed, and the power cut, at every port call that finds the disk changed. Crashes of lists and of the index
 * are in summary-index.test.ts, of removals in p16-trash.test.ts.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { type CrashProgram, everyCrash } from "../unit/migrate/every-crash.js";
import {
  commitPut,
  entryFileName,
  makeMachine,
  openStore,
  readStore,
  remove,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const nothingKept = { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } };
const keys = ["a", "b", "c"];
const sessions = Object.fromEntries(keys.map((key) => [key, { value: key }]));

async function crashesOf(machine: SimulatedMachine, program: CrashProgram, powerLosses: number) {
  const options = { random: new SeededRandom(4), powerLosses, seen: new Set<string>(), isFollowed: true };
  return everyCrash(machine, program, "", options);
}

/** Sessions in files, and two in the trash: one in a file, one in the journal only. */
async function machineWithTrash(): Promise<SimulatedMachine> {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  for (const key of [...keys, "gone"]) await commitPut(machine, store, key, key);
  await machine.settle(store.backend.commit(request([remove("gone")])));
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.list({ limit: 10, order: "key" }));
  await commitPut(machine, store, "late", "late");
  await machine.settle(store.backend.commit(request([remove("late")])));
  store.process.kill();
  machine.syncAll();
  return machine.fork();
}

async function collect(port: Port): Promise<void> {
  const backend = await openStore(port, nothingKept);
  await backend.checkpoint();
  const ids: string[] = [];
  for await (const { id } of backend.trash()) ids.push(id);
  assert.equal(await backend.emptyTrash(ids), 2);
  await backend.list({ limit: 1 });
  await backend.close();
}

async function readTrash(machine: SimulatedMachine): Promise<Record<string, unknown>> {
  const trash: Record<string, unknown> = {};
  const store = await start(machine, "looking", { readOnly: true });
  const listed = await machine.settle(store.backend.list({ limit: 10, order: "key" }));
  assert.deepEqual(
    listed.sessions.map(({ key }) => key),
    keys,
  );
  await machine.settle(
    (async () => {
      for await (const { key, entry } of store.backend.trash()) trash[key] = entry;
    })(),
  );
  await machine.settle(store.backend.close());
  return trash;
}

test("killed or without power at any call of a collection, no session is lost and none comes back", async () => {
  let isEmptied = 0;
  const images = await crashesOf(await machineWithTrash(), collect, 2);
  for (const { image, where } of images) {
    const trash = await readTrash(image.fork());
    for (const [key, entry] of Object.entries(trash)) assert.deepEqual(entry, { value: key }, where);
    if (Object.keys(trash).length === 0) isEmptied += 1;
    assert.deepEqual(await readStore(image.fork()), sessions, where);
    // Whoever comes next can do it all.
    await image.fork().process("next").run(collectWhatIsLeft);
  }
  assert.ok(images.length > 40 && isEmptied > 0, `${images.length} disks, ${isEmptied} of them without trash`);
});

async function collectWhatIsLeft(port: Port): Promise<void> {
  const backend = await openStore(port, nothingKept);
  const ids: string[] = [];
  for await (const { id } of backend.trash()) ids.push(id);
  assert.equal(await backend.emptyTrash(ids), ids.length);
  await backend.checkpoint();
  await backend.close();
}

// Fails without the sync of trash/ in `unlinkTrash`.
test("what was thrown away is thrown away, also when the power is cut at once", async () => {
  const machine = await machineWithTrash();
  const store = await start(machine, "collector", nothingKept);
  const ids: string[] = [];
  await machine.settle(
    (async () => {
      for await (const { id } of store.backend.trash()) ids.push(id);
    })(),
  );
  assert.equal(await machine.settle(store.backend.emptyTrash(ids)), 2);
  for (const image of machine.powerLossImages(20)) assert.deepEqual(await readTrash(image), {});
});

// --- repairs -----------------------------------------------------------------------------------------------------------

interface Damage {
  readonly spoil: (machine: SimulatedMachine) => void;
  readonly accept?: readonly string[];
  /** The content that must be somewhere in the end. */
  readonly original?: (machine: SimulatedMachine) => string;
  /** What there is in the end; a session that may be lost is left out. */
  readonly sessions: Readonly<Record<string, unknown>>;
}

const manifestPath = `${storePath}/state.json`;
const fileOfA = `${storePath}/entries/${entryFileName("a")}`;
const { a: _a, ...withoutA } = sessions;
const { b: _b, ...withoutB } = sessions;

const damages: Record<string, Damage> = {
  "a lost manifest": { spoil: (machine) => machine.unlink(manifestPath), sessions },
  "a spoilt manifest": {
    spoil: (machine) => machine.writeFile(manifestPath, '{"kind":'),
    original: (machine) => machine.readText(manifestPath),
    sessions,
  },
  "a spoilt entry that the journal does not tell": {
    spoil: (machine) => machine.writeFile(fileOfA, "spoilt"),
    original: () => "spoilt",
    sessions: withoutA,
  },
  "an accepted edit": {
    spoil: (machine) =>
      machine.writeFile(fileOfA, machine.readText(fileOfA).replace('"value": "a"', '"value": "by hand"')),
    accept: ["a"],
    original: (machine) => machine.readText(fileOfA),
    sessions: { ...sessions, a: { value: "by hand" } },
  },
  "a damaged journal": {
    spoil: (machine) => {
      const path = newestSegment(machine);
      machine.writeFile(path, machine.readText(path).replace('"put":"b"', '"put":"B"'));
    },
    original: (machine) => machine.readText(newestSegment(machine)),
    sessions: withoutB,
  },
};

function newestSegment(machine: SimulatedMachine): string {
  return Object.keys(machine.dump())
    .filter((path) => path.endsWith(".jsonl"))
    .sort()
    .at(-1) as string;
}

/** The session a in a file, the segment of which is gone; the others in the journal only. */
async function damagedMachine({ spoil }: Damage, fileSystem: "ordered" | "weak"): Promise<SimulatedMachine> {
  const machine = await makeMachine({ fileSystem });
  const first = await start(machine, "first", nothingKept);
  await commitPut(machine, first, "a", "a");
  await machine.settle(first.backend.close());
  const store = await start(machine, "store", nothingKept);
  for (const key of ["b", "c"]) await commitPut(machine, store, key, key);
  await machine.settle(store.backend.sync());
  store.process.kill();
  assert.ok(machine.exists(segmentPath(2)));
  spoil(machine);
  machine.syncAll();
  return machine.fork();
}

// The original of a spoilt entry is lost without the sync in `makeQuarantine`, and a spoilt manifest without that of
// repair-manifest.ts before it is moved.
const repairs = Object.entries(damages).flatMap(([what, damage]) =>
  (["ordered", "weak"] as const).map((fileSystem) => ({ what, damage, fileSystem })),
);
for (const { what, damage, fileSystem } of repairs) {
  test(`killed or without power at any call of a repair of ${what}, the next one comes to its end (${fileSystem} names)`, async () => {
    const machine = await damagedMachine(damage, fileSystem);
    const repair = (port: Port) => repairStore("/home/agent/sessions.d", { port, accept: damage.accept });
    const original = damage.original?.(machine);
    const images = await crashesOf(machine, repair, 2);
    assert.ok(images.length > 3, `${images.length} disks`);
    for (const { image, where } of images) {
      await checkServed(image.fork(), damage, where);
      const process = image.process("repair again");
      const outcome = await process.run(repair);
      if (outcome.status === "failed") throw new Error(where, { cause: outcome.error });
      assert.ok(outcome.status === "returned", where);
      // What the journal holds whole is left to the next checkpoint, which keeps a copy of the file.
      const isLeft = outcome.value.actions.some(({ code }) => code === "entry_in_journal");
      assert.equal(outcome.value.findingsAfter, isLeft ? 1 : 0, `${where}: ${JSON.stringify(outcome.value)}`);
      if (isLeft) await image.process("checkpoint").run(async (port) => (await openStore(port)).close());
      assert.deepEqual(process.openHandles(), [], where);
      assert.deepEqual(await readStore(image.fork()), damage.sessions, where);
      if (original !== undefined)
        assert.ok(Object.values(image.dump()).includes(original), `${where}: the original is kept`);
    }
  });
}

/** Between two repairs it is refused, or what is served is right. */
async function checkServed(machine: SimulatedMachine, damage: Damage, where: string): Promise<void> {
  const outcome = await machine.process("reader").run(async (port) => {
    const backend = await openStore(port, { readOnly: true });
    const found = new Map<string, unknown>();
    for await (const { key, entry } of await backend.scan({ onDamaged: () => {} })) found.set(key, entry);
    await backend.close();
    return found;
  });
  if (outcome.status === "failed")
    return assert.ok(outcome.error instanceof SessionStoreError, `${where}: ${outcome.error}`);
  assert.equal(outcome.status, "returned");
  if (outcome.status !== "returned") return;
  for (const [key, entry] of outcome.value) {
    assert.ok(
      [sessions[key], damage.sessions[key]].some((known) => JSON.stringify(known) === JSON.stringify(entry)),
      where,
    );
  }
}
