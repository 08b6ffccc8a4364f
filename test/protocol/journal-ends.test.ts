/** Ends of the journal that a crash or a power cut leaves: what is cut, set aside, refused - and under which lock. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import { SystemError } from "../sim/system-error.js";
import {
  commitPut,
  filesIn,
  HookedPort,
  makeMachine,
  openStore,
  put,
  readEntryFile,
  readStore,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const rotateAtOnce = { limits: { segmentBytes: 1 } };

/** Segments 1, 2, 3 and the empty 4, none of them checkpointed, nobody alive. */
async function threeSegments(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", { ...rotateAtOnce, durability: "interval" });
  for (const key of ["a", "b", "c"]) {
    writer.backend.commit(request([put(key, { value: key })])).catch(() => {});
  }
  writer.process.kill();
  assert.equal(filesIn(machine, "journal").size, 4);
  return machine;
}

/** Takes the seal of a segment away, as a power cut does that kept the names behind it. */
function loseSeal(machine: SimulatedMachine, first: number): void {
  const [commit] = machine.readText(segmentPath(first)).split("\n");
  machine.writeFile(segmentPath(first), `${commit}\n`);
}

/** The seal of the first segment and the whole second one are lost: nothing leads to the third. */
function strandThird(machine: SimulatedMachine): void {
  loseSeal(machine, 1);
  machine.unlink(segmentPath(2));
}

// Fails without `enterProvenSuccessor` in view.ts, and without `isProvenBySuccessor` in checkpoint.ts.
test("P10: a lost or bad seal costs nothing when the next segment names the commit before it", async () => {
  for (const damage of ["lost", "bad"]) {
    const machine = await threeSegments();
    if (damage === "lost") loseSeal(machine, 1);
    else machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).replace('"seal":"r', '"seal":"R'));
    const everything = { a: { value: "a" }, b: { value: "b" }, c: { value: "c" } };
    assert.deepEqual(await readStore(machine.fork(), { readOnly: true }), everything);
    const { backend } = await start(machine, "opener");
    await machine.settle(backend.checkpoint());
    await machine.settle(backend.close());
    assert.deepEqual(await readStore(machine), everything);
    assert.equal(filesIn(machine, "quarantine").size, 0);
    assert.equal(filesIn(machine, "entries").size, 3);
  }
});

// Fails without the lock in `WritingParts.recover`: what is set aside may be what somebody else just wrote.
test("P10: stranded segments are set aside by the holder of the commit lock only", async () => {
  const machine = await threeSegments();
  strandThird(machine);
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  const before = filesIn(machine, "journal");
  await assert.rejects(start(machine, "opener", { lockWaitMs: 100 }), { code: "lock_timeout" });
  assert.deepEqual(filesIn(machine, "journal"), before);
  holder.kill();
  assert.deepEqual(await readStore(machine), { a: { value: "a" } });
});

// Fails without `refuseIfDurable` for stranded segments in `findLostCommits`, and when its answer is not thrown.
test("P10: a stranded segment that knows more to be durable than is left is refused, and nothing is touched", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", rotateAtOnce);
  const holder = machine.process("holder");
  assert.ok(holder.tryLock(checkpointLock(holder), "exclusive"));
  await commitPut(machine, writer, "a", 1);
  await commitPut(machine, writer, "b", 2);
  await commitPut(machine, writer, "c", 3); // Its record says that version 2 is durable.
  for (const process of machine.processes) process.kill();
  machine.writeFile(segmentPath(2), "");
  const before = machine.dump();
  await assert.rejects(start(machine, "opener"), { code: "store_damaged" });
  assert.deepEqual(filesIn(machine, "journal"), new Map(journalIn(before)));
  const reader = await start(machine, "reader", { readOnly: true });
  await assert.rejects(reader.backend.read(["a"]), { code: "store_damaged" });
});

// Fails when `setAsideStranded` begins with the oldest: what is left then looks like a journal with a gap, or like one
// whose successor is there.
test("P10: setting stranded segments aside may be interrupted anywhere; the next opener finishes it", async () => {
  const base = await threeSegments();
  strandThird(base);
  for (let renames = 0; ; renames += 1) {
    const machine = base.fork();
    const opener = machine.process("opener");
    let seen = 0;
    const order: string[] = [];
    const port = new HookedPort(opener);
    port.before = (call) => {
      if (call.method !== "unlink" || !call.path.endsWith(".jsonl")) return;
      order.push(call.path);
      seen += 1;
      if (seen > renames) opener.kill();
    };
    const outcome = await opener.run(async () => (await openStore(port)).close());
    assert.deepEqual(order.map(firstOf), order.map(firstOf).sort().reverse(), "the newest goes first");
    assert.deepEqual(await readStore(machine), { a: { value: "a" } });
    const kept = [...filesIn(machine, "quarantine").values()].join("");
    assert.ok(kept.includes('"put":"c"'), "c is not kept");
    if (outcome.status === "returned") break;
  }
});

function firstOf(path: string): string {
  return /(\d{16})\.jsonl$/.exec(path)?.[1] ?? "";
}

// Fails without `refuseIfWrittenOut` in `cutTail`.
test("P7: a bad tail is not cut when an entry file is newer than what would be left", async () => {
  const machine = await checkpointedTwice();
  const journal = machine.readText(segmentPath(2));
  machine.writeFile(segmentPath(2), journal.replace('"put":"b"', '"put":"B"'));
  machine.unlink(segmentPath(3));
  await expectRefusal(machine);
});

// Fails without `refuseIfWrittenOut` in `setAsideStranded`.
test("P7: segments are not set aside when an entry file is newer than what would be left", async () => {
  const machine = await checkpointedTwice();
  machine.writeFile(segmentPath(2), "");
  // No record says that version 2 was durable; but its entry file is there.
  assert.ok(machine.exists(segmentPath(3)));
  await expectRefusal(machine);
});

/** A checkpoint wrote the entry file of version 2 and died before it recorded itself. */
async function checkpointedTwice(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const store = await start(machine, "store", { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  const manifest = machine.readText(`${storePath}/state.json`);
  await commitPut(machine, store, "b", 2);
  await machine.settle(store.backend.checkpoint());
  store.process.kill();
  machine.writeFile(`${storePath}/state.json`, manifest);
  assert.equal(readEntryFile(machine, "b")?.version, 2);
  return machine;
}

async function expectRefusal(machine: SimulatedMachine): Promise<void> {
  const before = filesIn(machine, "journal");
  await assert.rejects(start(machine, "opener"), { code: "store_damaged" });
  assert.deepEqual(filesIn(machine, "journal"), before);
  assert.equal(filesIn(machine, "quarantine").size, 0);
}

// Fails without `assertInPlace` in `Committer.exclusively`: a directory that was moved away is rotated.
test("P20: a journal that was moved away is not rotated", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  machine.rename(storePath, "/home/agent/moved.d");
  const before = machine.dump();
  await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "store_gone" });
  assert.deepEqual(machine.dump(), before);
});

// Fails without `parentIsInPlace` in `StoreFiles.isInPlace`: the name in the folder still leads to the directory.
test("P20: nothing is committed into a store whose folder was moved away or replaced; back in its place, it goes on", async () => {
  for (const [folder, elsewhere] of [
    ["/home/agent", "/home/agent.old"],
    ["/home", "/away"],
  ] as const) {
    for (const isReplaced of [false, true]) {
      const machine = await makeMachine();
      const store = await start(machine, "store");
      await commitPut(machine, store, "a", 1);
      await machine.settle(store.backend.checkpoint());
      machine.rename(folder, elsewhere);
      if (isReplaced) machine.makeDirectory(folder);
      await machine.advance(1_000);
      const before = machine.dump();
      const commit = () => machine.settle(store.backend.commit(request([put("b", { value: 1 })])));
      for (let attempt = 0; attempt < 2; attempt += 1) await assert.rejects(commit(), { code: "store_gone" });
      await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "store_gone" });
      assert.deepEqual(machine.dump(), before);
      if (isReplaced) continue;
      machine.rename(elsewhere, folder);
      await commitPut(machine, store, "b", 2);
      await machine.settle(store.backend.close());
      assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 2 } });
    }
  }
});

// Fails when `parentIsInPlace` takes every error for an answer.
test("P20: a folder above that became unreadable keeps nobody from committing", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  let looks = 0;
  store.port.before = (call) => {
    if (call.method !== "statRoot") return;
    looks += 1;
    throw new SystemError("EACCES", "stat", call.path);
  };
  await machine.advance(1_500);
  await commitPut(machine, store, "a", 1);
  assert.ok(looks > 0);
  assert.deepEqual(await readStore(machine), { a: { value: 1 } });
});

// Fails when `serveUnderLock` settles the journal's end only once for a hold of the lock.
test("P1: commits that share one hold of the lock go on behind a seal that was set in the middle of it", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { segmentBytes: 1 } });
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  let refuses = true;
  store.port.before = (call) => {
    // The successor cannot be made at once; the seal is there already.
    if (refuses && call.method === "open" && call.path === segmentPath(2)) {
      refuses = false;
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    }
  };
  const commits = ["a", "b", "c"].map((key) => store.backend.commit(request([put(key, { value: key })])));
  holder.kill();
  await machine.settle(Promise.all(commits));
  assert.equal(refuses, false);
  assert.doesNotMatch(machine.readText(segmentPath(1)), /"seal".*\n./s, "something lies behind the seal");
  assert.deepEqual(await readStore(machine.fork()), { a: { value: "a" }, b: { value: "b" }, c: { value: "c" } });
});

// Fails without `settleJournalEnd` in `Committer.exclusively`: the seal is written behind what others appended unseen.
test("a rotation seals behind what others have committed, and behind nothing unfinished", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const other = await start(machine, "other");
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, other, "b", 2);
  machine.writeFile(segmentPath(1), `${machine.readText(segmentPath(1))}{"version":3,"unfin`);
  await machine.settle(store.backend.checkpoint());
  assert.match(machine.readText(segmentPath(1)), /"seal":"rotated","lastVersion":2/);
  assert.doesNotMatch(machine.readText(segmentPath(1)), /unfin/);
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 2 } });
});

// Fails without the sync of the parent in `DirectoryBackend.start`.
test("a store whose creator died before its name was durable is acknowledged into only once it is", async () => {
  const machine = await makeMachine();
  const creator = machine.process("creator");
  // The creator's rename is still pending: as if made just now.
  creator.rename(creator.openRoot("/home/agent"), "sessions.d", creator.openRoot("/home/agent"), "elsewhere.d");
  machine.syncAll();
  creator.rename(creator.openRoot("/home/agent"), "elsewhere.d", creator.openRoot("/home/agent"), "sessions.d");
  creator.kill();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  let images = 0;
  for (const image of machine.powerLossImages(20)) {
    images += 1;
    assert.ok(image.exists(storePath), "the store is not at its place");
    assert.deepEqual(await readStore(image), { a: { value: 1 } });
  }
  assert.ok(images > 0);
});

// Fails without `view.refresh` in `settleJournalEnd`: the commit gets a version that another process gave out.
test("a commit goes behind what others have committed since the last look", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const other = await start(machine, "other");
  assert.match(await commitPut(machine, other, "a", 1), /^1-/);
  assert.match(await commitPut(machine, store, "b", 2), /^2-/);
  assert.match(await commitPut(machine, other, "c", 3), /^3-/);
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 2 }, c: { value: 3 } });
});

function checkpointLock(holder: ReturnType<SimulatedMachine["process"]>) {
  return holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
}

function journalIn(dump: Record<string, string>): [string, string][] {
  const prefix = `${storePath}/journal/`;
  return Object.entries(dump)
    .filter(([path]) => path.startsWith(prefix) && path !== prefix)
    .map(([path, content]) => [path.slice(prefix.length), content]);
}
