/** The lock files: who holds what, on which file, for how long they are waited for - and that everybody asks for them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createStore } from "../../../src/backends/directory/create.js";
import { LockFile } from "../../../src/backends/directory/lock-file.js";
import {
  commitPut,
  filesIn,
  HookedPort,
  location,
  makeMachine,
  openStore,
  put,
  readStore,
  request,
  start,
} from "../../protocol/simulated-store.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import type { SimulatedProcess } from "../../sim/simulated-process.js";

const owner = { uid: 1000 };
const commitLockPath = "/home/agent/sessions.d.lock";

function lockPlace() {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home");
  const open = (process: SimulatedProcess) => LockFile.open(process, process.openRoot("/home"), "lock", owner, false);
  return { machine, open };
}

test("P19: a lock file is held once, however often the kernel would grant it on the same descriptor", () => {
  const { machine, open } = lockPlace();
  const lock = open(machine.process("one"));
  const other = open(machine.process("two"));
  assert.ok(lock.tryExclusive());
  assert.ok(!lock.tryExclusive(), "held already");
  assert.ok(!lock.tryShared(), "held exclusively");
  assert.ok(!other.tryExclusive());
  assert.ok(!other.tryShared());
  lock.release();
  assert.ok(other.tryExclusive());
  other.release();
});

test("P19: scans of one process share a hold, and the last one lets it go", () => {
  const { machine, open } = lockPlace();
  const lock = open(machine.process("one"));
  const other = open(machine.process("two"));
  assert.ok(lock.tryShared());
  assert.ok(lock.tryShared());
  assert.ok(!lock.tryExclusive(), "nothing exclusive beside a scan");
  lock.releaseShared();
  assert.ok(!other.tryExclusive(), "one scan is still under way");
  assert.ok(other.tryShared());
  lock.releaseShared();
  other.releaseShared();
  assert.ok(other.tryExclusive());
});

test("P21: a lock on a file that was replaced is let go, and taken on the file that is there now", () => {
  const { machine, open } = lockPlace();
  const one = machine.process("one");
  const two = machine.process("two");
  const lock = open(one);
  machine.rename("/home/lock", "/home/old");
  const other = open(two); // Makes a new one.
  assert.ok(other.tryExclusive());
  assert.ok(!lock.tryExclusiveChecked(), "the other one holds what lies there");
  assert.deepEqual(one.heldLocks(), []);
  other.release();
  assert.ok(lock.tryExclusiveChecked());
  assert.ok(!other.tryExclusive());
});

test("a lock whose place could not be looked at is let go", () => {
  const { machine } = lockPlace();
  const process = machine.process("one");
  let fails = false;
  const port = new HookedPort(process);
  port.before = (call) => {
    if (fails && call.method === "statName") throw Object.assign(new Error("EIO"), { code: "EIO" });
  };
  const lock = LockFile.open(port, port.openRoot("/home"), "lock", owner, false);
  fails = true;
  assert.throws(() => lock.tryExclusiveChecked(), { code: "EIO" });
  assert.deepEqual(process.heldLocks(), []);
});

/** A file system whose locks do nothing. */
class LocklessPort extends InterceptedPort {
  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    if (call.method === "tryLock") return true as T;
    return call.method === "unlock" ? (undefined as T) : proceed();
  }
}

test("a file system whose locks do nothing is refused, before anything is made there and before anything is written", async () => {
  const empty = new SimulatedMachine();
  empty.makeDirectory("/home/agent");
  const creating = createStore(new LocklessPort(empty.process()), location, {
    keyRule: "exact",
    prepare: async () => ({ entries: new Map(), provenance: null }),
  });
  await assert.rejects(empty.settle(creating), { code: "unsupported_platform" });
  assert.ok(!empty.exists("/home/agent/sessions.d"));

  const machine = await makeMachine();
  await assert.rejects(machine.settle(openStore(new LocklessPort(machine.process()))), {
    code: "unsupported_platform",
  });
});

test("a network file system is refused by whoever opens or creates a store there for writing", async () => {
  const nfs = 0x6969;
  /** The simulated locks, by the name that Linux has for them. */
  const asOnLinux = (machine: SimulatedMachine) =>
    Object.defineProperty(machine.process("creator"), "lockFamily", { value: "ofd" });
  const create = (machine: SimulatedMachine) =>
    machine.settle(
      createStore(asOnLinux(machine), location, {
        keyRule: "exact",
        prepare: async () => ({ entries: new Map(), provenance: null }),
      }),
    );
  const remote = new SimulatedMachine({ fileSystemType: nfs });
  remote.makeDirectory("/home/agent");
  await assert.rejects(create(remote), { code: "unsupported_platform" });
  assert.deepEqual(
    Object.keys(remote.dump()).filter((path) => path.includes("sessions")),
    [],
  );

  const local = new SimulatedMachine();
  local.makeDirectory("/home/agent");
  await create(local);
  // The same store, now mounted from somewhere else.
  const mounted = new SimulatedMachine({ fileSystemType: nfs }, local.disk);
  await assert.rejects(mounted.settle(openStore(asOnLinux(mounted))), { code: "unsupported_platform" });
  const reader = await mounted.settle(openStore(asOnLinux(mounted), { readOnly: true }));
  await mounted.settle(reader.close());
});

// --- everybody asks for the lock of commits -----------------------------------------------------------------------------

/** Another process that holds the commit lock. */
function holdCommits(machine: SimulatedMachine): SimulatedProcess {
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  return holder;
}

test("while somebody holds the lock nothing is appended, and the wait ends with lock_timeout", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { lockWaitMs: 300 });
  await commitPut(machine, store, "a", 1);
  const holder = holdCommits(machine);
  const before = filesIn(machine, "journal");
  await assert.rejects(machine.settle(store.backend.commit(request([put("a", { value: 2 })]))), {
    code: "lock_timeout",
  });
  await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "lock_timeout" });
  assert.deepEqual(filesIn(machine, "journal"), before);
  holder.kill();
  await commitPut(machine, store, "a", 3);
  assert.deepEqual(await readStore(machine), { a: { value: 3 } });
});

test("a commit that is late in the queue gets the whole of its own wait", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { lockWaitMs: 300 });
  const holder = holdCommits(machine);
  const early = store.backend.commit(request([put("early", { value: 1 })]));
  early.catch(() => {});
  await machine.advance(200);
  const late = store.backend.commit(request([put("late", { value: 1 })]));
  await assert.rejects(machine.settle(early), { code: "lock_timeout" });
  holder.kill();
  assert.equal((await machine.settle(late)).status, "committed");
  assert.deepEqual(await readStore(machine), { late: { value: 1 } });
});

test("the lock is free after each commit, each refused one, and each rotation", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const other = await start(machine, "other");
  await commitPut(machine, store, "a", 1);
  assert.deepEqual(store.process.heldLocks(), []);
  const refused = request([put("a", { value: 2 })], [["a", null]]);
  assert.equal((await machine.settle(store.backend.commit(refused))).status, "conflict");
  assert.deepEqual(store.process.heldLocks(), []);
  await machine.settle(store.backend.checkpoint());
  assert.deepEqual(store.process.heldLocks(), []);
  await commitPut(machine, other, "a", 2);
});

test("P21: whoever holds a replaced commit lock finds out within about a second, and excludes the others again", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { lockWaitMs: 300 });
  await commitPut(machine, store, "a", 1);
  machine.rename(commitLockPath, "/home/agent/old.lock");
  await machine.advance(1_500);
  machine.writeFile(commitLockPath, "");
  const holder = holdCommits(machine);
  await assert.rejects(machine.settle(store.backend.commit(request([put("a", { value: 2 })]))), {
    code: "lock_timeout",
  });
  holder.kill();
  await commitPut(machine, store, "a", 3);
  // And again, later: the comparison is not made once only.
  machine.rename(commitLockPath, "/home/agent/older.lock");
  machine.writeFile(commitLockPath, "");
  await machine.advance(1_500);
  holdCommits(machine);
  await assert.rejects(machine.settle(store.backend.commit(request([put("a", { value: 4 })]))), {
    code: "lock_timeout",
  });
});
