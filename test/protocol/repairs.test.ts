/** `repair` on a simulated machine: which locks it holds, and what is on the disk when - and before - it ends. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type RepairOptions, repairStore } from "../../src/backends/directory/repair.js";
import type { Finding } from "../../src/contract.js";
import type { SimulatedMachine } from "../sim/machine.js";
import {
  commitPut,
  entryFileName,
  filesIn,
  HookedPort,
  loseEverythingPending,
  makeMachine,
  readEntryFile,
  readStore,
  readValue,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const manifestPath = `${storePath}/state.json`;

function repair(machine: SimulatedMachine, options: RepairOptions = {}) {
  return machine.settle(repairStore("/home/agent/sessions.d", { port: machine.process("repair"), ...options }));
}

function readManifest(machine: SimulatedMachine): { incarnation: string; checkpoint: { version: number } } {
  return JSON.parse(machine.readText(manifestPath));
}

/** Three sessions in entry files, the segments of which are gone. */
async function checkpointed(): Promise<SimulatedMachine> {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store", { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } });
  for (const key of ["a", "b", "c"]) await commitPut(machine, store, key, key);
  await machine.settle(store.backend.close());
  machine.syncAll();
  return machine;
}

/** The session a as somebody with an editor left it. */
async function edited(): Promise<SimulatedMachine> {
  const machine = await checkpointed();
  const path = `${storePath}/entries/${entryFileName("a")}`;
  machine.writeFile(path, machine.readText(path).replace('"value": "a"', '"value": "by hand"'));
  return machine;
}

// Fails when one of the locks is left out of `underBothLocks`.
for (const name of ["checkpoint.lock", "lock"]) {
  test(`P21: while somebody holds sessions.d.${name}, repair waits, changes nothing, and says who`, async () => {
    const machine = await edited();
    const holder = machine.process("holder");
    const lock = holder.open(holder.openRoot("/home/agent"), `sessions.d.${name}`, "lock");
    assert.ok(holder.tryLock(lock, "exclusive"));
    const before = machine.dump();
    await assert.rejects(repair(machine, { accept: ["a"] }), { code: "lock_timeout" });
    assert.deepEqual(machine.dump(), before);
    holder.kill();
    await repair(machine, { accept: ["a"] });
    assert.deepEqual((await readStore(machine)).a, { value: "by hand" });
  });
}

// Fails when the locks are taken in another order: beside a checkpoint that seals a segment, each waits for the other.
test("P21: repair takes the lock of checkpoints before that of commits", async () => {
  const machine = await edited();
  const port = new HookedPort(machine.process("repair"));
  const taken: string[] = [];
  port.before = (call) => {
    if (call.method === "tryLock") taken.push(call.path.replace(/^.*sessions\.d\./, ""));
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port }));
  assert.deepEqual([...new Set(taken)], ["checkpoint.lock", "lock"]);
});

// Fails without the syncs in `putAgain`.
test("P7: an accepted edit is in the journal on the disk before its entry file is, and the file is when repair ends", async () => {
  const machine = await edited();
  const port = new HookedPort(machine.process("repair"));
  let images = 0;
  port.before = (call) => {
    if (!["syncFile", "syncDirectory", "rename", "close", "unlink"].includes(call.method)) return;
    for (const image of machine.powerLossImages(30)) {
      const { version } = readEntryFile(image, "a") ?? { version: 0 };
      if (version < 4) continue;
      images += 1;
      const journal = [...filesIn(image, "journal").values()].join("");
      assert.match(journal, /"put":"a"/, `${call.method} ${call.path}`);
    }
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port, accept: ["a"] }));
  assert.ok(images > 0);
  const image = loseEverythingPending(machine);
  assert.equal(readEntryFile(image, "a")?.version, 4);
  assert.deepEqual((await readStore(image)).a, { value: "by hand" });
});

// Fails when `repairFile` accepts any readable file for the session that it is named for.
test("P17: accepting a session does not accept the entry of another one that lies in its place", async () => {
  const machine = await checkpointed();
  const [a, b] = ["a", "b"].map((key) => `${storePath}/entries/${entryFileName(key)}`) as [string, string];
  machine.writeFile(a, machine.readText(b));
  await repair(machine, { accept: ["a"] });
  const { a: accepted, ...others } = await readStore(machine);
  assert.equal(accepted, undefined);
  assert.deepEqual(others, { b: { value: "b" }, c: { value: "c" } });
});

/** An acknowledged commit in the middle of the journal is damaged. */
async function brokenJournal(): Promise<SimulatedMachine> {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  for (const key of ["a", "b", "c"]) await commitPut(machine, store, key, key);
  store.process.kill();
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).replace('"put":"b"', '"put":"B"'));
  machine.syncAll();
  return machine;
}

const salvaged = { a: { value: "a" }, c: { value: "c" } };

// Fails when `beginNewJournal` keeps the incarnation, as then old tokens and cursors fit a history that is another one.
test("P13: a store whose journal was rewritten has a new incarnation", async () => {
  const machine = await brokenJournal();
  const before = readManifest(machine).incarnation;
  const report = await repair(machine);
  assert.deepEqual(
    report.actions.map(({ code }) => code),
    ["journal_salvaged"],
  );
  assert.notEqual(readManifest(machine).incarnation, before);
  assert.deepEqual(await readStore(machine), salvaged);
});

// Fails when only the records that can be read decide where the new journal begins.
test("P13: repair of a journal gives no version out again that an entry file or the manifest knows", async () => {
  const machine = await checkpointed();
  for (const name of filesIn(machine, "journal").keys()) machine.unlink(`${storePath}/journal/${name}`);
  await repair(machine);
  const store = await start(machine, "store");
  assert.match(await commitPut(machine, store, "d", 4), /^4-/);
  for (const key of ["a", "b", "c"]) assert.equal(await readValue(store, key), key);
});

test("a repair of the journal that is cut off by a power loss is finished by the next one, and loses nothing", async () => {
  const machine = await brokenJournal();
  const port = new HookedPort(machine.process("repair"));
  const images: { image: SimulatedMachine; where: string }[] = [];
  port.before = (call) => {
    if (!["syncFile", "syncDirectory", "rename", "unlink"].includes(call.method)) return;
    for (const image of machine.powerLossImages(10)) images.push({ image, where: `${call.method} ${call.path}` });
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port }));
  images.push({ image: loseEverythingPending(machine), where: "the end" });
  assert.ok(images.length > 40, `only ${images.length} images`);
  assert.deepEqual(await readStore(images.at(-1)!.image.fork()), salvaged, "the end needs no other repair");
  for (const { image, where } of images) {
    await repair(image);
    assert.deepEqual(await readStore(image), salvaged, where);
  }
});

// Fails when `repairManifest` makes up an incarnation although the journal tells it, and without its last sync.
test("P13: a manifest that was lost is rebuilt with the store's own incarnation, on the disk", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  const token = await commitPut(machine, store, "a", 1);
  store.process.kill();
  machine.syncAll();
  machine.unlink(manifestPath);
  await repair(machine);
  const image = loseEverythingPending(machine);
  assert.ok(image.exists(manifestPath), "the manifest's name is not on the disk");
  const again = await start(image, "again");
  assert.equal((await again.backend.read(["a"])).get("a")?.version, token);
});

// --- files that are whole, but not to be trusted or read as they lie there ---------------------------------------------

const pathOfA = `${storePath}/entries/${entryFileName("a")}`;

/** How the file of session a is kept from being used; nothing is wrong with its content. */
const refusals: Record<
  string,
  { make(machine: SimulatedMachine): void; heal(machine: SimulatedMachine): void; tells: RegExp }
> = {
  "has a hard link elsewhere": {
    make: (machine) => machine.makeHardLink(pathOfA, "/home/agent/copy"),
    heal: (machine) => machine.unlink("/home/agent/copy"),
    tells: /has a hard link elsewhere.*[Rr]emove its other name/,
  },
  "belongs to another user, who lets everybody read it": {
    make: (machine) => {
      machine.setOwner(pathOfA, 7);
      machine.setMode(pathOfA, 0o644);
    },
    heal: (machine) => machine.setOwner(pathOfA, 1000),
    tells: /belongs to user 7.*`sudo chown 1000 .*`/,
  },
  "belongs to another user, who lets nobody read it": {
    make: (machine) => machine.setOwner(pathOfA, 7),
    heal: (machine) => machine.setOwner(pathOfA, 1000),
    tells: /belongs to user 7.*`sudo chown 1000 .*`/,
  },
  "may not be read by its owner": {
    make: (machine) => machine.setMode(pathOfA, 0),
    heal: (machine) => machine.setMode(pathOfA, 0o600),
    tells: /mode 0.*`chmod 600 .*`/,
  },
};

// Fails when `repairFile` treats such a file like one that holds nothing to be salvaged, or `findDamage` throws.
for (const [what, { make, heal, tells }] of Object.entries(refusals)) {
  test(`an entry file that ${what} is left by repair, named and counted, and keeps no other from being repaired`, async () => {
    const machine = await checkpointed();
    make(machine);
    machine.writeFile(`${storePath}/entries/${entryFileName("b")}`, "{ half");
    const reader = await start(machine, "reader", { readOnly: true });
    const findings: Finding[] = [];
    for await (const finding of reader.backend.check()) findings.push(finding);
    const ofA = findings.filter(({ key }) => key === "a");
    assert.deepEqual(
      ofA.map(({ code }) => code),
      ["entry_damaged"],
    );
    assert.match(`${ofA[0]?.message}. ${ofA[0]?.nextStep}`, tells);
    assert.doesNotMatch(ofA[0]?.nextStep ?? "", /repair/);
    await assert.rejects(reader.backend.read(["a"]), { code: "entry_damaged", message: tells });
    await machine.settle(reader.backend.close());

    for (const dryRun of [true, false]) {
      const report = await repair(machine, { dryRun, accept: ["a"] });
      const actions = report.actions.map(({ code, key }) => `${code} ${key}`).sort();
      assert.deepEqual(actions, ["entry_left a", "file_quarantined b"], JSON.stringify(report));
      assert.match(report.actions.find(({ key }) => key === "a")?.message ?? "", tells);
      assert.equal(report.findingsAfter, dryRun ? 2 : 1);
    }
    heal(machine);
    assert.deepEqual(await readStore(machine), { a: { value: "a" }, c: { value: "c" } });
    assert.equal((await repair(machine)).findingsBefore, 0);
  });
}

// Fails when `repairFile` puts such a session together again from the journal: its file would go to quarantine/.
test("an entry file with a hard link elsewhere is left also where the journal still tells its session", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", "a");
  await machine.settle(store.backend.close());
  machine.makeHardLink(pathOfA, "/home/agent/copy");
  const before = machine.readText(pathOfA);
  const report = await repair(machine);
  assert.deepEqual(
    report.actions.map(({ code }) => code),
    ["entry_left"],
  );
  assert.equal(machine.readText(pathOfA), before);
  assert.equal(report.findingsAfter, 1);
});

// --- what is on the disk when a repair ends -----------------------------------------------------------------------------

// Fails without the sync of the directory that a damaged file leaves, and without the one of the store before it moves:
// quarantine/ was made just now, and a power cut that takes it back takes what lies in it.
test("a file that repair moved to quarantine/ is there after a power cut, and not in entries/ any more", async () => {
  const machine = await checkpointed();
  machine.writeFile(`${storePath}/entries/${entryFileName("a")}`, "nothing that anybody could read");
  const { actions } = await repair(machine);
  assert.deepEqual(
    actions.map(({ code }) => code),
    ["file_quarantined"],
  );
  for (const image of machine.powerLossImages(30)) {
    assert.ok(!filesIn(image, "entries").has(entryFileName("a")));
    assert.deepEqual([...filesIn(image, "quarantine").values()], ["nothing that anybody could read"]);
    assert.deepEqual(await readStore(image), { b: { value: "b" }, c: { value: "c" } });
  }
});

// Fails without the sync of the segment at the end of `repairEntries`.
test("a session that repair leaves to the journal is on the disk, although its writer had not synced it", async () => {
  const machine = await checkpointed();
  const store = await start(machine, "store", { durability: "interval" });
  store.port.before = ({ method }) => (method.startsWith("sync") ? new Promise(() => {}) : undefined);
  for (let n = 0; n < 6; n += 1) await commitPut(machine, store, "a", n);
  store.process.kill();
  const vandal = machine.process("vandal");
  vandal.truncate(vandal.open(vandal.openRoot(`${storePath}/entries`), entryFileName("a"), "append"), 20);
  const { actions } = await repair(machine);
  assert.deepEqual(
    actions.map(({ code }) => code),
    ["entry_in_journal"],
  );
  assert.deepEqual((await readStore(loseEverythingPending(machine))).a, { value: 5 });
});

// Fails without the sync of quarantine/ in `keepOld`: where a name does not move in one step, the manifest would be nowhere.
test("the old manifest has its new name on the disk before another one takes its place", async () => {
  const machine = await checkpointed();
  machine.writeFile(manifestPath, "{");
  const port = new HookedPort(machine.process("repair"));
  const calls: string[] = [];
  let images = 0;
  port.before = ({ method, path }) => {
    if (method === "rename" || method === "syncDirectory") calls.push(`${method} ${path.slice(storePath.length)}`);
    for (const image of machine.powerLossImages(20)) {
      images += 1;
      const kept = [
        ...filesIn(image, "quarantine").values(),
        image.exists(manifestPath) && image.readText(manifestPath),
      ];
      assert.ok(kept.includes("{"), `${method} ${path}: the old manifest is nowhere`);
    }
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port }));
  assert.ok(images > 50, `${images} images`);
  const moved = calls.findIndex((call) => call.startsWith("rename"));
  assert.equal(calls[moved + 1], "syncDirectory /quarantine", calls.join("\n"));
  assert.deepEqual([...filesIn(loseEverythingPending(machine), "quarantine").values()], ["{"]);
});

// Fails without the sync of journal/ in `deriveFrom`.
test("a manifest that was rebuilt is never on the disk without the segment that it begins with", async () => {
  const machine = await checkpointed();
  for (const name of filesIn(machine, "journal").keys()) machine.unlink(`${storePath}/journal/${name}`);
  machine.unlink(manifestPath);
  const port = new HookedPort(machine.process("repair"));
  let images = 0;
  port.before = () => {
    for (const image of machine.powerLossImages(20)) {
      if (!image.exists(manifestPath)) continue;
      images += 1;
      assert.ok(filesIn(image, "journal").size > 0);
    }
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port }));
  assert.ok(images > 5, `${images} images`);
});

test("segments that were set aside are out of the journal on the disk too", async () => {
  const machine = await brokenJournal();
  await repair(machine);
  const names = [...filesIn(machine, "journal").keys()];
  assert.deepEqual([...filesIn(loseEverythingPending(machine), "journal").keys()], names);
});

test("a file that is larger than any entry file is not read by repair, and stays as damaged as it is", async () => {
  const machine = await checkpointed();
  const path = `${storePath}/entries/${entryFileName("a")}`;
  const text = machine.readText(path).replace('"value": "a"', '"value": "by hand"');
  machine.writeFile(path, text);
  const port = new HookedPort(machine.process("repair"));
  const stat = port.stat.bind(port);
  port.stat = (file) => {
    const found = stat(file);
    return file.displayPath.endsWith(entryFileName("a")) ? { ...found, sizeBytes: 512 * 1024 * 1024 } : found;
  };
  await machine.settle(repairStore("/home/agent/sessions.d", { port, accept: ["a"] }));
  assert.notDeepEqual((await readStore(machine)).a, { value: "by hand" });
});
