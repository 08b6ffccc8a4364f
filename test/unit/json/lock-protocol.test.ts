/** The lock file of the gateway: who is waited for, whose lock is taken away, and what a wait costs. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { lockNames } from "../../../src/backends/directory/layout.js";
import { kernelLockName, lockFileName } from "../../../src/backends/json/layout.js";
import { staleMs } from "../../../src/backends/json/lock-protocol.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { CountingPort } from "../../sim/counting-port.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { rejectsWith } from "../../support/store-reading.js";
import { commitPut, home, livePath, lockPath, machineWith, openJson, put, request, start, textOf } from "./support.js";

const before = textOf({ a: { n: 1 } });

function lockText(machine: SimulatedMachine, pid: unknown, more: Record<string, unknown> = {}): string {
  return JSON.stringify({ pid, createdAt: new Date(machine.nowMs).toISOString(), ...more });
}

async function assertTakenAway(machine: SimulatedMachine, what: string): Promise<void> {
  const store = await start(machine, "ours", { lockWaitMs: 50 });
  await commitPut(machine, store, "b", { n: 2 });
  assert.equal(machine.readText(livePath), textOf({ a: { n: 1 }, b: { n: 2 } }), what);
  assert.ok(!machine.exists(lockPath), `${what}: our own lock is gone after the save`);
}

async function assertWaitedFor(machine: SimulatedMachine, holder: RegExp): Promise<void> {
  const lock = machine.readText(lockPath);
  const store = await start(machine, "ours", { lockWaitMs: 200 });
  const beginMs = machine.nowMs;
  const commit = () => machine.settle(store.backend.commit(request([put("b", { n: 2 })])));
  const error = await rejectsWith("lock_timeout", commit);
  assert.match(error.message, holder);
  assert.ok(machine.nowMs - beginMs >= 200 && machine.nowMs - beginMs < 300, "one deadline for the whole wait");
  assert.equal(machine.readText(livePath), before);
  assert.equal(machine.readText(lockPath), lock, "somebody else's lock stays");
  assert.deepEqual(machine.heldLocks(), [], "and nothing of ours is held on to");
}

test("a lock of a living process is waited for until the deadline, and the error names its pid", async () => {
  const machine = machineWith(before);
  const gateway = machine.process("gateway");
  machine.writeFile(lockPath, lockText(machine, gateway.processId, { starttime: gateway.startTime }));
  await assertWaitedFor(machine, new RegExp(`within 200 ms; held by pid ${gateway.processId}\\b`));
});

test("a save goes on as soon as a living process removes its lock", async () => {
  const machine = machineWith(before);
  const gateway = machine.process("gateway");
  machine.writeFile(lockPath, lockText(machine, gateway.processId));
  const store = await start(machine, "ours");
  let isCommitted = false;
  const commit = store.backend.commit(request([put("b", { n: 2 })])).then(() => {
    isCommitted = true;
  });
  await machine.advance(500);
  assert.equal(isCommitted, false);
  machine.unlink(lockPath);
  await machine.settle(commit);
  assert.ok(isCommitted);
});

test("the lock of a dead process is taken away at once", async () => {
  const machine = machineWith(before);
  const gateway = machine.process("gateway");
  machine.writeFile(lockPath, lockText(machine, gateway.processId));
  gateway.kill();
  await assertTakenAway(machine, "dead");
});

test("the lock of a process whose number another one has now is taken away at once", async () => {
  const machine = machineWith(before);
  const other = machine.process("other");
  machine.writeFile(lockPath, lockText(machine, other.processId, { starttime: other.startTime - 1 }));
  await assertTakenAway(machine, "recycled");
});

test("a lock with our own number from before, which says no start time, is taken away at once", async () => {
  const machine = machineWith(before);
  const store = await start(machine, "ours", { lockWaitMs: 50 });
  machine.writeFile(lockPath, lockText(machine, store.process.processId));
  await commitPut(machine, store, "b", { n: 2 });
});

test("a lock of our own process that says our start time is somebody else's in it, and is waited for", async () => {
  const machine = machineWith(before);
  const store = await start(machine, "ours", { lockWaitMs: 50 });
  const { processId, startTime } = store.process;
  machine.writeFile(lockPath, lockText(machine, processId, { starttime: startTime }));
  await rejectsWith("lock_timeout", () => machine.settle(store.backend.commit(request([put("b", { n: 2 })]))));
});

test("a lock older than 30 seconds is taken away although its process lives, a younger one is not", async () => {
  for (const [ageMs, isTaken] of [
    [staleMs + 1_000, true],
    [staleMs - 1_000, false],
  ] as const) {
    const machine = machineWith(before);
    const gateway = machine.process("gateway");
    const createdAt = new Date(machine.nowMs - ageMs).toISOString();
    machine.writeFile(lockPath, lockText(machine, gateway.processId, { createdAt }));
    if (isTaken) await assertTakenAway(machine, "stale");
    else await assertWaitedFor(machine, /held by pid/);
  }
});

for (const [what, text] of [
  ["is empty", () => ""],
  ["is no JSON", () => "{"],
  ["is null", () => "null"],
  ["names no process", () => "{}"],
  ["names an impossible process", (machine: SimulatedMachine) => lockText(machine, -1)],
  ["is huge", () => "x".repeat(100_000)],
  ["is larger than any lock file, and names the dead", () => `${" ".repeat(10_000)}{"pid":999999}`],
  [
    "says no time",
    (machine: SimulatedMachine) => JSON.stringify({ pid: machine.process("gateway").processId, createdAt: "soon" }),
  ],
] as const) {
  test(`a lock file that ${what} is waited for until the file is older than 30 seconds`, async () => {
    const machine = machineWith(before);
    machine.writeFile(lockPath, text(machine));
    await assertWaitedFor(machine, /held by (unknown|pid)/);
    await machine.advance(staleMs);
    await assertTakenAway(machine, what);
  });
}

test("a lock file that is no ordinary file is refused and left alone", async () => {
  for (const make of [
    (machine: SimulatedMachine) => machine.makeFifo(lockPath),
    (machine: SimulatedMachine) => machine.makeSymlink(livePath, lockPath),
    (machine: SimulatedMachine) => machine.makeDirectory(lockPath),
  ]) {
    const machine = machineWith(before);
    make(machine);
    const store = await start(machine, "ours");
    const error = await rejectsWith("unsafe_path", () =>
      machine.settle(store.backend.commit(request([put("b", { n: 2 })]))),
    );
    assert.match(error.message, /sessions\.json\.lock/);
    assert.equal(machine.readText(livePath), before);
  }
});

test("a lock that was taken away from us meanwhile is not removed by our release", async () => {
  const machine = machineWith(before);
  const store = await start(machine, "ours");
  const commit = store.backend.commit(request([put("b", { n: 2 })]));
  // Up to the syncs of the save, which hold the lock.
  await machine.advance(0);
  assert.match(machine.readText(lockPath), /"pid"/);
  machine.unlink(lockPath);
  machine.writeFile(lockPath, "of somebody else");
  await machine.settle(commit);
  assert.equal(machine.readText(lockPath), "of somebody else");
});

test("the lock file says who we are, in the gateway's words", async () => {
  const machine = machineWith(before);
  const store = await start(machine, "ours");
  const commit = store.backend.commit(request([put("b", { n: 2 })]));
  await machine.advance(0);
  const found = JSON.parse(machine.readText(lockPath)) as Record<string, unknown>;
  assert.deepEqual(Object.keys(found), ["pid", "createdAt", "starttime"]);
  assert.deepEqual([found.pid, found.starttime], [store.process.processId, store.process.startTime]);
  assert.match(String(found.createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  await machine.settle(commit);
});

test("neither lock is held longer than one save, however many commits wait", async () => {
  const machine = machineWith(before);
  const process = machine.process("ours");
  const port = new CountingPort(process);
  const backend = await machine.settle(openJson(port));
  const commits = Array.from({ length: 200 }, (_, n) => backend.commit(request([put(`key${n}`, { n })])));
  await machine.settle(Promise.all(commits));
  // 200 commits, at most 64 in a save: four saves, each with its own lock.
  assert.equal(port.counts.byPath.get(`unlink ${lockPath}`), 4);
  assert.equal(port.count("unlock"), 4);
});

test("the kernel lock is the one that taking the store over into a directory store holds", () => {
  assert.equal(kernelLockName("sessions.d"), lockNames("sessions.d").checkpoint);
  assert.equal(lockFileName("sessions.json"), "sessions.json.lock");
});

test("whoever takes the store over is waited for, and the error names the holder", async () => {
  const machine = machineWith(before);
  const migrator = machine.process("migrator");
  const parent = migrator.openRoot(home);
  const lock = migrator.open(parent, kernelLockName("sessions.d"), "lock");
  assert.ok(migrator.tryLock(lock, "exclusive"));
  const store = await start(machine, "ours", { lockWaitMs: 200 });
  const commit = () => machine.settle(store.backend.commit(request([put("b", { n: 2 })])));
  const error = await rejectsWith("lock_timeout", commit);
  assert.match(error.message, /held by pid \d+ \(migrator\)/);
  migrator.kill();
  await commitPut(machine, store, "b", { n: 2 });
});

test("a kernel lock on a file that was replaced meanwhile does not count", async () => {
  const machine = machineWith(before);
  const store = await start(machine, "ours", { lockWaitMs: 200 });
  await commitPut(machine, store, "first", {});
  const path = `${home}/${kernelLockName("sessions.d")}`;
  const migrator = machine.process("migrator");
  const process = machine.process("late");
  const port = new HookedPort(process);
  let isReplaced = false;
  port.before = ({ method, path: at }) => {
    if (isReplaced || method !== "tryLock" || at !== path) return;
    isReplaced = true;
    machine.unlink(path);
    const parent = migrator.openRoot(home);
    assert.ok(migrator.tryLock(migrator.open(parent, kernelLockName("sessions.d"), "lock"), "exclusive"));
  };
  const backend = await machine.settle(openJson(port, { lockWaitMs: 200 }));
  const commit = () => machine.settle(backend.commit(request([put("b", { n: 2 })])));
  assert.match((await rejectsWith("lock_timeout", commit)).message, /\(migrator\)/);
  assert.ok(isReplaced);
});
