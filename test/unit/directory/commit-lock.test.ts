/** How a commit waits for its lock: what it does meanwhile, and for how long it may block the event loop. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { commitPut, filesIn, makeMachine, put, readStore, request, start } from "../../protocol/simulated-store.js";
import type { SimulatedMachine } from "../../sim/machine.js";

/** A process that can take the commit lock and let it go between any two calls of another. */
function makeHolder(machine: SimulatedMachine) {
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  return { take: () => assert.ok(holder.tryLock(lock, "exclusive")), release: () => holder.unlock(lock) };
}

// Fails when `pump` only tries once before it lets the event loop run.
test("a commit that meets another one is appended before its promise is handed out", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const { take, release } = makeHolder(machine);
  take();
  store.port.before = ({ method }) => {
    if (method === "nap") release();
  };
  const before = filesIn(machine, "journal");
  const committed = store.backend.commit(request([put("a", { value: 1 })]));
  assert.notDeepEqual(filesIn(machine, "journal"), before);
  assert.equal((await machine.settle(committed)).status, "committed");
});

// Fails when `serveUnderLock` is left to read what others wrote.
test("what others wrote is read while they hold the lock, not under our own", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const other = await start(machine, "other");
  for (let value = 0; value < 20; value += 1) await commitPut(machine, other, `other-${value}`, value);
  const { take, release } = makeHolder(machine);
  take();
  const calls: string[] = [];
  store.port.before = ({ method, path }) => {
    if (method === "nap") release();
    if (method === "tryLock") calls.push("try");
    if (method === "read" && path.includes("/journal/")) calls.push("read");
  };
  await machine.settle(store.backend.commit(request([put("a", { value: 1 })])));
  assert.ok(calls.includes("read"));
  assert.ok(calls.lastIndexOf("read") < calls.lastIndexOf("try"), calls.join(" "));
});

// Fails when each wait may block for as long as if it were the only one of its turn.
test("however many commits wait in one turn of the event loop, it is blocked for half a millisecond at most", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const { take, release } = makeHolder(machine);
  take();
  let naps = 0;
  store.port.before = ({ method }) => {
    if (method !== "nap") return;
    naps += 1;
    if (naps % 3 === 0) release();
  };
  const commits: Promise<unknown>[] = [];
  const fromMs = store.process.monotonicMs();
  for (let value = 0; value < 50; value += 1) {
    const napsBefore = naps;
    commits.push(store.backend.commit(request([put(`key-${value}`, { value })])));
    if (naps > napsBefore && naps % 3 === 0) take(); // It was served: the next one has to wait again.
  }
  const blockedMs = store.process.monotonicMs() - fromMs;
  assert.ok(naps > 3, "no more than one of them waited");
  assert.ok(blockedMs <= 0.5, `blocked for ${blockedMs} ms`);
  if (naps % 3 !== 0) store.port.before = () => {};
  release();
  await machine.settle(Promise.all(commits));
  assert.equal(Object.keys(await readStore(machine)).length, 50);
});
