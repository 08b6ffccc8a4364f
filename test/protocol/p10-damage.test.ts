/** P10, P11, P17 and P20: bad records, failed syncs, colliding names, and a store that was moved away. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeSeal } from "../../src/backends/directory/journal/record.js";
import { FailingPort } from "../sim/failing-port.js";
import type { MachineOptions, SimulatedMachine } from "../sim/machine.js";
import {
  commitPatch,
  commitPut,
  filesIn,
  HookedPort,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readEntry,
  readStore,
  readValue,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

/** A journal of commits of which the last but one is damaged in its middle. */
async function damagedJournal(acknowledged: boolean): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const store = await start(machine, "store", { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.sync());
  await commitPut(machine, store, "b", "damage");
  if (acknowledged) await machine.settle(store.backend.sync());
  await commitPut(machine, store, "c", 1);
  store.process.kill();
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).replace("damage", "DAMAGE"));
  return machine;
}

// Fails without `refuseIfDurable` in recover.ts: an acknowledged commit is cut off.
test("P10: a bad record that a later one knows to be durable is corruption, and is refused untouched", async () => {
  const machine = await damagedJournal(true);
  const before = filesIn(machine, "journal");
  await assert.rejects(start(machine, "next"), { code: "store_damaged" });
  assert.deepEqual(filesIn(machine, "journal"), before);
});

// Fails when `cutTail` keeps no copy, or refuses every tail.
test("P10: a bad record that nobody acknowledged is cut, and a copy of it and of what follows is kept", async () => {
  const machine = await damagedJournal(false);
  const next = await start(machine, "next");
  await commitPut(machine, next, "d", 1);
  assert.deepEqual(await readStore(machine.fork()), { a: { value: 1 }, d: { value: 1 } });
  const [copy, ...others] = filesIn(machine, "quarantine").values();
  assert.deepEqual(others, []);
  assert.match(String(copy), /DAMAGE.*\n.*"put":"c"/);
});

// Fails when `setAsideStranded` unlinks instead of moving, or does nothing.
test("P10: a segment behind one without a seal is set aside under the lock, never deleted", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { segmentBytes: 1 } });
  store.backend.commit(request([put("a", { value: 1 })])).catch(() => {});
  store.backend.commit(request([put("b", { value: "lost" })])).catch(() => {});
  store.backend.commit(request([put("c", { value: "stranded" })])).catch(() => {});
  store.process.kill();
  // A power cut took the seal and the segment behind it; the names behind that were on the disk already.
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).split("\n")[0]!.concat("\n"));
  machine.unlink(segmentPath(2));
  assert.deepEqual(await readStore(machine), { a: { value: 1 } });
  const kept = [...filesIn(machine, "quarantine").values()];
  assert.ok(kept.some((text) => text.includes("stranded")));
});

const unacknowledged = [
  ["bad lines", "on a line that went bad"],
  ["stranded segments", "stranded"],
] as const;

/** A store that was never acknowledged into behind version 1, and a word in what recovery takes out of its journal. */
async function unacknowledgedEnd(what: string, word: string, options: MachineOptions): Promise<SimulatedMachine> {
  const machine = await makeMachine(options);
  const store = await start(machine, "store", { limits: { segmentBytes: 1 }, durability: "interval" });
  for (const key of ["a", "b", "c"]) {
    store.backend.commit(request([put(key, { value: key === "c" ? word : key })])).catch(() => {});
  }
  store.process.kill();
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).split("\n")[0]!.concat("\n"));
  machine.unlink(segmentPath(2));
  if (what === "bad lines") {
    for (const first of [3, 4]) machine.unlink(segmentPath(first));
    machine.writeFile(segmentPath(1), `${machine.readText(segmentPath(1))}{"bad":"${word}"}\n`);
  }
  machine.syncAll();
  return machine.fork();
}

function holds(machine: SimulatedMachine, word: string): boolean {
  return Object.values(machine.dump()).some((text) => text.includes(word));
}

for (const [what, word] of unacknowledged) {
  // Fails when `removeCopied` does not ask for the copy, and without the syncs in `quarantineDurably`.
  test(`P10: the journal loses ${what} only when a copy is on the disk, wherever recovery is interrupted`, async () => {
    const base = await unacknowledgedEnd(what, word, { fileSystem: "weak" });
    for (let calls = 1; ; calls += 1) {
      const machine = base.fork();
      const opener = machine.process("opener");
      opener.crashAfter(calls, { tear: true });
      const outcome = await opener.run(async () => (await openStore(opener)).commit(request([put("d", { value: 1 })])));
      for (const image of machine.powerLossImages(4)) assert.ok(holds(image, word), `call ${calls}, power cut`);
      const next = await start(machine, "next");
      assert.equal(await readValue(next, "a"), "a", `call ${calls}`);
      for (const image of machine.powerLossImages(2)) assert.ok(holds(image, word), `call ${calls}, opened, power cut`);
      if (outcome.status === "returned") break;
    }
  });

  // Fails when `removeCopied` takes any copy for one of these bytes.
  test(`P10: a copy of ${what} is made again when they changed since`, async () => {
    const machine = await unacknowledgedEnd(what, word, {});
    const opener = machine.process("opener");
    const port = new HookedPort(opener);
    let isChanged = false;
    port.before = (call) => {
      if (isChanged || call.method !== "syncFile" || !call.path.includes("/quarantine/")) return;
      isChanged = true;
      const last = [...filesIn(machine, "journal").keys()].sort().at(-1) as string;
      const path = `${storePath}/journal/${last}`;
      machine.writeFile(path, `${machine.readText(path)}{"later":"also bad"}\n`);
    };
    await machine.settle(openStore(port));
    assert.ok(isChanged && [...filesIn(machine, "quarantine").values()].some((text) => text.includes("also bad")));
  });
}

// Fails when `serveUnderLock` rejects those who wait while a copy is made.
test("P10: commits that meet a bad tail wait for its copy, and are made", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  machine.writeFile(segmentPath(1), `${machine.readText(segmentPath(1))}{"bad":"whole line"}\n`);
  const commits = ["b", "c"].map((key) => store.backend.commit(request([put(key, { value: 1 })])));
  for (const { status } of await machine.settle(Promise.all(commits))) assert.equal(status, "committed");
  assert.deepEqual([...filesIn(machine, "quarantine").values()], ['{"bad":"whole line"}\n']);
  await machine.settle(store.backend.close());
  assert.deepEqual(Object.keys(await readStore(machine)).sort(), ["a", "b", "c"]);
});

// Fails when `cutTail` cuts although no copy could be made, and without the `catch` in `WritingParts.recover`: nobody can open the store to read.
test("P10: a bad tail is not cut on a disk that is too full for its copy; commits fail, and reading goes on", async () => {
  const machine = await unacknowledgedEnd("bad lines", "kept", {});
  const before = filesIn(machine, "journal");
  machine.disk.freeBytes = 0;
  const store = await start(machine, "store");
  assert.equal(await readValue(store, "a"), "a");
  for (const key of ["b", "c"]) await assert.rejects(commitPut(machine, store, key, 1), { code: "disk_full" });
  assert.deepEqual(filesIn(machine, "journal"), before);
  assert.equal(filesIn(machine, "quarantine").size, 0);
  machine.disk.freeBytes = 1_000_000;
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.close());
  assert.deepEqual(await readStore(machine), { a: { value: "a" }, b: { value: 1 } });
  assert.match([...filesIn(machine, "quarantine").values()].join(""), /"bad":"kept"/);
});

// Fails without `carryIfMissing`: the states are gone. And when `View.follow` does not look for carried states behind a
// segment that cannot be read to its end: the other process then cuts the suspect segment, and goes on in it.
test("P11: a failed sync costs nothing that was acknowledged: the states go on in a new segment, from memory", async () => {
  const machine = await makeMachine();
  const process = machine.process("worker");
  const failing = new FailingPort(process, { onFailedSync: (file) => process.loseWrites(file) });
  const worker = { process, port: new HookedPort(failing), backend: await machine.settle(openStore(failing)) };
  const other = await start(machine, "other");
  await commitPut(machine, worker, "a", 1);
  await commitPatch(machine, worker, "a", "field", 1);
  failing.fail({
    failAt: 1,
    methods: ["syncFile"],
    matches: (call) => call.path === segmentPath(1),
    onFailedSync: (file) => process.loseWrites(file),
  });
  const failed = machine.settle(worker.backend.commit(request([put("b", { value: "unknown" })])));
  await assert.rejects(failed, (error: { code: string; version: string }) => {
    assert.equal(error.code, "outcome_unknown");
    assert.match(error.version, /^3-/);
    return true;
  });
  assert.match(machine.readText(segmentPath(1)), /"seal":"suspect"/);
  // What only lay in clean pages is forgotten now, and the next acknowledgement comes from another process.
  machine.evictCleanPages(segmentPath(1));
  await commitPatch(machine, other, "a", "field", 2);
  const expected = { a: { value: 1, field: 2 }, b: { value: "unknown" } };
  assert.deepEqual(await readEntry(worker as never, "a"), expected.a);
  assert.deepEqual(await readStore(loseEverythingPending(machine)), expected);
  await machine.settle(worker.backend.checkpoint());
  assert.deepEqual(await readStore(machine), expected);
});

// Fails when `diskTellsCase` in create.ts says yes to every disk.
test("P17: keys that differ by case only are two sessions, also on a disk that does not tell case", async () => {
  const machine = await makeMachine({ caseInsensitive: true });
  const store = await start(machine, "store");
  // Their base64url names differ by case only.
  const [left, right] = ["agent:main:telegram:aaa", "agent:main:telegram:Gaa"];
  assert.equal(base64url(left!).toLowerCase(), base64url(right!).toLowerCase());
  await commitPut(machine, store, left!, "left");
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, right!, "right");
  await machine.settle(store.backend.close());
  assert.equal(filesIn(machine, "entries").size, 2);
  assert.deepEqual(await readStore(machine), { [left!]: { value: "left" }, [right!]: { value: "right" } });
});

// Fails without `assertInPlace` in commit.ts: the commit is acknowledged and lands in the directory that was moved away.
test("P20: nothing is committed into a directory that was moved away or replaced", async () => {
  for (const replaced of [false, true]) {
    const machine = await makeMachine();
    const store = await start(machine, "store");
    await commitPut(machine, store, "a", 1);
    await machine.settle(store.backend.sync());
    const restored = machine.fork().dump();
    machine.rename("/home/agent/sessions.d", "/home/agent/moved.d");
    if (replaced) putBack(machine, restored);
    const before = machine.dump();
    await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))), {
      code: "store_gone",
    });
    assert.deepEqual(machine.dump(), before);
    await machine.settle(store.backend.close());
    assert.deepEqual(machine.dump(), before, "close() writes nothing either");
  }
});

// Fails when `View.follow` takes a fence for any other seal.
test("P20: whoever meets a fence fails with a typed error, and appends nothing behind it", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  const fence = encodeSeal({ timeMs: 0, writer: "other", durable: 1, reason: "fenced", lastVersion: 1 });
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)) + fence.bytes.toString("utf8"));
  const before = filesIn(machine, "journal");
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))), {
    code: "store_fenced",
  });
  await assert.rejects(store.backend.read(["a"]), { code: "store_fenced" });
  await assert.rejects(start(machine, "opener"), { code: "store_fenced" });
  assert.deepEqual(filesIn(machine, "journal"), before);
});

function base64url(key: string): string {
  return Buffer.from(key).toString("base64url");
}

/** Another directory of the same name, as a restore from a backup leaves it. */
function putBack(machine: SimulatedMachine, tree: Record<string, string>): void {
  for (const [path, content] of Object.entries(tree)) {
    if (!path.startsWith("/home/agent/sessions.d/")) continue;
    if (path.endsWith("/")) machine.makeDirectory(path);
    else machine.writeFile(path, content);
  }
}
