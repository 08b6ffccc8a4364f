/** What is appended to the journal: whole, counted, bounded, and for nobody else's eyes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeLine } from "../../src/backends/directory/journal/record.js";
import { FailingPort } from "../sim/failing-port.js";
import {
  commitPut,
  HookedPort,
  makeMachine,
  openStore,
  put,
  readStore,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

// Fails without the limit in `JournalWriter.append`.
test("a commit of more than recordBytes is refused before a byte is written", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { recordBytes: 400 } });
  await commitPut(machine, store, "a", "x".repeat(50));
  const before = machine.readText(segmentPath(1));
  const sizeOf = (text: string) => Buffer.byteLength(text.slice(0, text.indexOf("\n") + 1));
  const room = 400 - sizeOf(before) + 50;
  const tooLarge = request([put("a", { value: "x".repeat(room + 200) })]);
  await assert.rejects(machine.settle(store.backend.commit(tooLarge)), { code: "limit_exceeded" });
  assert.equal(machine.readText(segmentPath(1)), before);
  await commitPut(machine, store, "b", 1);
});

// Fails without the count in `JournalWriter.append`: the commit is acknowledged, and half of it is there.
test("an append that comes back short is disk_full, cut back at once, and the next commit is whole", async () => {
  const machine = await makeMachine();
  const process = machine.process("worker");
  const port = new FailingPort(process);
  const backend = await machine.settle(openStore(port));
  const store = { process, port: new HookedPort(port), backend };
  await commitPut(machine, store, "a", 1);
  const before = machine.readText(segmentPath(1));
  port.fail({ failAt: 1, code: "short", methods: ["append"] });
  await assert.rejects(machine.settle(backend.commit(request([put("a", { value: 2 })]))), { code: "disk_full" });
  // Nobody else need come by to tidy up: a reader of the plain file sees whole lines only.
  assert.equal(machine.readText(segmentPath(1)), before);
  await commitPut(machine, store, "b", 1);
  for (const line of machine.readText(segmentPath(1)).trimEnd().split("\n")) {
    assert.notEqual(decodeLine(Buffer.from(line)), undefined, line);
  }
  await machine.settle(backend.close());
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 1 } });
});

// Fails when only a seal makes `serveUnderLock` look at the journal's end again.
test("P3: behind an append that failed and could not be cut back, a commit of the same hold of the lock is whole", async () => {
  const machine = await makeMachine();
  const process = machine.process("worker");
  const port = new FailingPort(process);
  const backend = await machine.settle(openStore(port));
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  const [refused, good] = ["refused", "good"].map((key) => backend.commit(request([put(key, { value: key })])));
  await machine.advance(1);
  port.fail({ failAt: 1, code: "short", methods: ["append"] });
  const truncate = process.truncate.bind(process);
  process.truncate = () => {
    process.truncate = truncate;
    throw Object.assign(new Error("EIO"), { code: "EIO" });
  };
  holder.kill();
  await assert.rejects(machine.settle(refused!), { code: "disk_full" });
  assert.equal((await machine.settle(good!)).status, "committed");
  await machine.settle(backend.close());
  assert.deepEqual(await readStore(machine), { good: { value: "good" } });
});

// Fails without `setMode` in `JournalWriter.createSuccessor`: a umask of 0 leaves the segment to everybody.
test("every segment has mode 0600, whatever the umask is", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const set: string[] = [];
  store.port.before = (call) => {
    if (call.method === "setMode") set.push(call.path);
  };
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  for (const first of [1, 2]) assert.equal(machine.inodeAt(segmentPath(first)).mode & 0o777, 0o600);
  assert.ok(set.includes(segmentPath(2)), "the mode was left to the umask");
});
