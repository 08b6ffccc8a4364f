/**
 * Every port call of a workload fails, once or from then on, with the codes that a system gives. Promised: whoever called
 * gets a typed error or success; nothing stays open or locked; what was acknowledged is there - for the next process, and
 * after a power loss; and after a single failure the next operation works.
 *
 * The codes take turns over the calls, so that one run of this file is short; the first call of a code shifts with it.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionStoreError } from "../../src/errors.js";
import { FailingPort, type FailureOptions } from "../sim/failing-port.js";
import type { PortCall, PortMethod } from "../sim/intercepted-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import {
  commitPatch,
  commitPut,
  entryFileName,
  filesIn,
  HookedPort,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readEntryFile,
  readStore,
  readValue,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";
import { Ledger, runWorkload, workloadOptions } from "./workload.js";

const codes = ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EROFS", "EACCES"];

interface Failed {
  readonly machine: SimulatedMachine;
  readonly ledger: Ledger;
  readonly errors: readonly SessionStoreError[];
  /** Undefined when there are not so many calls. */
  readonly where: string | undefined;
}

async function failOne(base: SimulatedMachine, failure: FailureOptions): Promise<Failed> {
  const machine = base.fork();
  const process = machine.process("worker");
  const port = new FailingPort(process, { ...failure, onFailedSync: (file) => process.loseWrites(file) });
  const ledger = new Ledger();
  const errors: SessionStoreError[] = [];
  const outcome = await process.run(() => runWorkload(port, ledger, (error) => errors.push(error)));
  const [failed] = port.failures;
  if (failed === undefined) return { machine, ledger, errors, where: undefined };
  const where = `${failure.code} ${failure.lasts} at call ${failure.failAt} (${failed.method} ${failed.path})`;
  if (outcome.status === "failed") throw new Error(`${where}: ${outcome.error}`, { cause: outcome.error });
  assert.equal(outcome.status, "returned", where);
  assert.deepEqual(process.openHandles(), [], `${where}: left open`);
  assert.deepEqual(process.heldLocks(), [], `${where}: left locked`);
  assert.deepEqual(machine.misuses, [], where);
  return { machine, ledger, errors, where };
}

/** For the next process, and after a power loss; then everything works. */
async function assertKept({ machine, ledger, where }: Failed, random: SeededRandom): Promise<void> {
  const label = where as string;
  ledger.assertPossible(await readOrFail(machine.powerLoss(random), `${label}, power loss`), `${label}, power loss`);
  const evicted = machine.fork();
  ledger.assertPossible(await readOrFail(evicted, label), label);
  const store = await start(evicted, "next", workloadOptions);
  await commitPut(evicted, store, "a", "next");
  await commitPatch(evicted, store, "a", "field", 1);
  await evicted.settle(store.backend.close());
  assert.deepEqual((await readOrFail(evicted, label)).a, { value: "next", field: 1 }, label);
  const temporary = Object.keys(evicted.dump()).filter((path) => path.endsWith(".tmp"));
  assert.deepEqual(temporary, [], `${label}: temporary files that nobody swept`);
}

// Fails wherever an error is let through untranslated or a handle is not closed in a `finally`.
test("every call of a workload fails once: a typed error or success, nothing leaked, nothing lost", async () => {
  const base = await makeMachine();
  const random = new SeededRandom(3);
  let calls = 0;
  for (let failAt = 1; ; failAt++) {
    const failed = await failOne(base, { failAt, lasts: "once", code: codes[failAt % codes.length]! });
    if (failed.where === undefined) break;
    calls += 1;
    const told = failed.errors.map((error) => `${error.code}: ${error.message}`).join("\n");
    assert.ok(failed.errors.length <= 2, `${failed.where}: one failure, and not even the next call worked:\n${told}`);
    await assertKept(failed, random);
  }
  assert.ok(calls > 300, `only ${calls} calls`);
});

test("every call of a workload fails for good: a typed error or success, nothing leaked, nothing lost", async () => {
  const base = await makeMachine();
  const random = new SeededRandom(4);
  let calls = 0;
  for (let failAt = 1; ; failAt += 3) {
    const failed = await failOne(base, {
      failAt,
      lasts: "from then on",
      code: codes[((failAt / 3) % codes.length) | 0]!,
    });
    if (failed.where === undefined) break;
    calls += 1;
    await assertKept(failed, random);
  }
  assert.ok(calls > 100, `only ${calls} calls`);
});

// Fails without the count of written bytes in `JournalWriter.append` and `writeNewFile`; and when nothing is cut short.
test("appends and reads come back short, once and for good", async () => {
  const base = await makeMachine();
  const random = new SeededRandom(5);
  for (const [method, casesMin] of [
    ["append", 20],
    ["read", 40],
  ] as const) {
    for (const lasts of ["once", "from then on"] as const) {
      const methods: readonly PortMethod[] = [method];
      const callsMax = await countCalls(base, { methods });
      let cases = 0;
      let told = 0;
      for (let failAt = 1; failAt <= callsMax; failAt += 1) {
        const failed = await failOne(base, { failAt, lasts, code: "short", methods });
        // A call of one byte cannot be cut; "from then on" the next one is.
        if (failed.where === undefined) continue;
        cases += 1;
        // A short read is no failure at all.
        if (method === "read") assert.deepEqual(failed.errors, [], failed.where);
        if (failed.errors.length > 0) told += 1;
        for (const error of failed.errors) assert.equal(error.code, "disk_full", failed.where);
        await assertKept(failed, random);
      }
      // Half of what was asked for: the rest is asked for again.
      const short = { methods, code: "short", failAt: 1, lasts: "from then on" } as const;
      if (method === "read") assert.ok((await countCalls(base, short)) > callsMax, "no read came back short");
      assert.ok(cases >= casesMin, `${method} ${lasts}: only ${cases} of ${callsMax} calls came back short`);
      // Beside commits, upkeep appends as well; whoever needs no answer is told nothing.
      if (method === "append") assert.ok(told >= 15, `${method} ${lasts}: only ${told} of ${cases} were told`);
    }
  }
});

async function countCalls(base: SimulatedMachine, failure: FailureOptions): Promise<number> {
  const machine = base.fork();
  const port = new FailingPort(machine.process("worker"), failure);
  const outcome = await machine.settle(runWorkload(port, new Ledger(), () => {}));
  assert.equal(outcome, undefined);
  return port.callsSeen;
}

async function readOrFail(image: SimulatedMachine, where: string): Promise<Record<string, unknown>> {
  try {
    return await readStore(image, workloadOptions);
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

// Fails when `Committer.pump` lets an error of `tryAcquire` through: the caller is told that nothing was written, and the
// commit stays in the queue for the next one to write.
test("a commit whose lock could not be asked for is refused with a typed error, and is not written later", async () => {
  for (const method of ["tryLock", "statName"] as const) {
    const machine = await makeMachine();
    const process = machine.process("worker");
    const port = new FailingPort(process);
    const backend = await machine.settle(openStore(port));
    // The second look at the lock file: the first was at opening, a second ago.
    await machine.advance(1_500);
    port.fail({
      failAt: 1,
      code: "EMFILE",
      methods: [method],
      matches: (call) => call.path.endsWith("sessions.d.lock"),
    });
    await assert.rejects(machine.settle(backend.commit(request([put("a", { value: "refused" })]))), {
      name: "SessionStoreError",
      code: "too_many_files",
    });
    assert.equal(port.failures.length, 1);
    assert.deepEqual(process.heldLocks(), [], `${method}: the lock is kept`);
    await machine.settle(backend.commit(request([put("b", { value: 1 })])));
    await machine.settle(backend.close());
    assert.deepEqual(await readStore(machine), { b: { value: 1 } });
  }
});

// Fails when `readBase` in fold.ts takes every entry file that cannot be read for damaged: the patch is then put aside.
test("an entry file that cannot be read just now fails the checkpoint, and costs no patch", async () => {
  for (const code of ["EACCES", "EIO", "ENOSPC", "ENOMEM"]) {
    const machine = await makeMachine();
    const process = machine.process("worker");
    const port = new FailingPort(process);
    const store = { process, port: new HookedPort(port), backend: await machine.settle(openStore(port)) };
    await commitPut(machine, store, "a", 1);
    await machine.settle(store.backend.checkpoint());
    await commitPatch(machine, store, "a", "field", 1);
    port.fail({ failAt: 1, code, methods: ["open"], matches: (call) => call.path.endsWith(entryFileName("a")) });
    await machine.settle(store.backend.checkpoint());
    assert.equal(port.failures.length, 1);
    assert.deepEqual(readEntryFile(machine, "a")?.entry, { value: 1, field: 1 }, code);
    await machine.settle(store.backend.close());
    assert.deepEqual(await readStore(machine), { a: { value: 1, field: 1 } }, code);
    assert.equal(filesIn(machine, "quarantine").size, 0);
  }
});

// Fails when `foldKey` takes an entry file that is not trusted for damaged: the patch is then put aside.
test("an entry file with a hard link elsewhere, or of another owner, fails the checkpoint, and costs no patch", async () => {
  const refusals: [
    (machine: SimulatedMachine, path: string) => void,
    (machine: SimulatedMachine, path: string) => void,
  ][] = [
    [
      (machine, path) => machine.makeHardLink(path, "/home/agent/copy"),
      (machine) => machine.unlink("/home/agent/copy"),
    ],
    [(machine, path) => machine.setOwner(path, 0), (machine, path) => machine.setOwner(path, 1000)],
  ];
  for (const [make, heal] of refusals) {
    const machine = await makeMachine();
    const store = await start(machine, "worker");
    const file = `${storePath}/entries/${entryFileName("a")}`;
    await commitPut(machine, store, "a", 1);
    await machine.settle(store.backend.checkpoint());
    machine.setMode(file, 0o644);
    await commitPatch(machine, store, "a", "field", 1);
    await commitPut(machine, store, "b", 1);
    make(machine, file);
    await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "unsafe_path", path: file });
    assert.equal(filesIn(machine, "quarantine").size, 0);
    assert.equal(await readValue(store, "b"), 1);
    heal(machine, file);
    await machine.settle(store.backend.checkpoint());
    assert.deepEqual(readEntryFile(machine, "a")?.entry, { value: 1, field: 1 });
    await machine.settle(store.backend.close());
    assert.deepEqual(await readStore(machine), { a: { value: 1, field: 1 }, b: { value: 1 } });
  }
});

// Fails when `readBase` in fold.ts treats an EIO that comes every time as one that may pass.
test("P16: a sector that is gone blocks its segment for the others no more than once", async () => {
  const machine = await makeMachine();
  const process = machine.process("worker");
  const port = new FailingPort(process);
  const store = { process, port: new HookedPort(port), backend: await machine.settle(openStore(port)) };
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  await commitPatch(machine, store, "a", "field", "kept aside");
  await commitPut(machine, store, "b", 1);
  const isBad = (call: { path: string }) => call.path.endsWith(entryFileName("a"));
  port.fail({ failAt: 1, lasts: "from then on", code: "EIO", methods: ["read"], matches: isBad });
  await machine.settle(store.backend.checkpoint());
  assert.equal(readEntryFile(machine, "b")?.version, 3);
  await machine.settle(store.backend.close());
  const rebooted = loseEverythingPending(machine);
  const aside = [...filesIn(rebooted, "quarantine")];
  assert.ok(aside.some(([name, text]) => name.endsWith(".records.jsonl") && text.includes("kept aside")));
});

/** A reader on a failing port, and a writer whose sessions lie in entry files, one of them with a patch on it. */
async function startBesideWriter(keys: readonly string[]) {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  for (const key of keys) await commitPut(machine, writer, key, 1);
  await machine.settle(writer.backend.checkpoint());
  const process = machine.process("reader");
  const port = new FailingPort(process);
  const reader = await machine.settle(openStore(port, { readOnly: true, cacheBytes: 0 }));
  const refuseEntry = (key: string, code: string) =>
    port.fail({ failAt: 1, lasts: "from then on", code, methods: ["open"], matches: opensEntryOf(key) });
  return { machine, writer, process, port, reader, refuseEntry };
}

function opensEntryOf(key: string): (call: PortCall) => boolean {
  return (call) => call.path.endsWith(entryFileName(key));
}

const refusals = ["EACCES", "EIO", "ENOMEM"];

// Fails when `readSummary` takes every entry file that cannot be read for damaged, and when `scanOnce` does.
test("a session that cannot be read just now comes back to the lists of this process", async () => {
  for (const code of refusals) {
    for (const made of ["by a scan", "from the index"]) {
      const { machine, writer, port, reader, refuseEntry } = await startBesideWriter(["a", "b"]);
      const listed = async () => {
        const page = await machine.settle(reader.list({ order: "key" }));
        return page.sessions.map(({ key }) => key);
      };
      if (made === "from the index") {
        await machine.settle(writer.backend.list({}));
        assert.deepEqual(await listed(), ["a", "b"]);
        await commitPatch(machine, writer, "a", "field", 1);
      }
      refuseEntry("a", code);
      assert.deepEqual(await listed(), ["b"], `${code}, ${made}: it cannot be listed now`);
      assert.ok(port.failures.length > 0);
      port.fail({});
      assert.deepEqual(await listed(), ["a", "b"], `${code}, ${made}`);
    }
  }
});

// Fails when `mayBeReadLater`, or `withoutDamage` in upkeep.ts, takes a file that may be intact for damaged.
test("a session whose file could not be trusted where it lay comes back to all lists", async () => {
  const { machine, writer, reader } = await startBesideWriter(["a", "b"]);
  const listed = async (backend: typeof reader) => {
    const page = await machine.settle(backend.list({ order: "key" }));
    return page.sessions.map(({ key }) => key);
  };
  const path = `${storePath}/entries/${entryFileName("a")}`;
  machine.makeHardLink(path, "/home/agent/copy");
  for (const backend of [reader, writer.backend]) assert.deepEqual(await listed(backend), ["b"]);
  machine.unlink("/home/agent/copy");
  for (const backend of [reader, writer.backend]) assert.deepEqual(await listed(backend), ["a", "b"]);
  assert.deepEqual(await listed((await start(machine, "next")).backend), ["a", "b"]);
});

// Fails when `withoutDamage` in upkeep.ts reads only once: the index on the disk then misses a session, for everybody.
test("a read that fails once costs no session its place in the index", async () => {
  const machine = await makeMachine();
  const process = machine.process("worker");
  const port = new FailingPort(process);
  const backend = await machine.settle(openStore(port));
  const store = { process, port: new HookedPort(port), backend };
  for (const key of ["a", "b"]) await commitPut(machine, store, key, 1);
  await machine.settle(backend.checkpoint());
  port.fail({ failAt: 1, methods: ["read"], matches: opensEntryOf("a") });
  for (let round = 0; round < 2; round += 1) {
    const { sessions } = await machine.settle(backend.list({ order: "key" }));
    assert.deepEqual(
      sessions.map(({ key }) => key),
      ["a", "b"],
    );
  }
  assert.equal(port.failures.length, 1);
});

/** What a watcher of the reader is told, while `body` runs. */
async function watched(
  { machine, reader }: Awaited<ReturnType<typeof startBesideWriter>>,
  body: () => Promise<void>,
): Promise<string[]> {
  const controller = new AbortController();
  const told: string[] = [];
  const since = await machine.settle(reader.cursor());
  const watching = (async () => {
    for await (const change of reader.changes(since, { signal: controller.signal })) {
      told.push(change.type === "reset" ? "reset" : `${change.type} ${change.key}`);
    }
  })();
  await machine.advance(50);
  await body();
  await machine.advance(200);
  controller.abort();
  await machine.settle(watching);
  return told;
}

// Fails when `stateAfterPatiently` in changes.ts does not wait.
test("a watcher misses no change of a session that cannot be read just now", async () => {
  for (const code of refusals) {
    const opened = await startBesideWriter(["a"]);
    const { machine, writer, port, refuseEntry } = opened;
    const told = await watched(opened, async () => {
      refuseEntry("a", code);
      await commitPatch(machine, writer, "a", "field", 1);
      await commitPut(machine, writer, "b", 1);
      await machine.advance(1_000);
      port.fail({});
    });
    assert.deepEqual(told, ["put a", "put b"], code);
  }
});

// Fails when `stateAfterPatiently` waits for ever, or once for each change.
test("a session that stays unreadable holds a watcher up for some seconds, once", async () => {
  const opened = await startBesideWriter(["a"]);
  const { machine, writer, refuseEntry } = opened;
  const told = await watched(opened, async () => {
    refuseEntry("a", "EIO");
    for (const value of [1, 2, 3]) await commitPatch(machine, writer, "a", "field", value);
    await commitPut(machine, writer, "b", 1);
    await machine.advance(6_000);
  });
  assert.deepEqual(told, ["put b"]);
});

// Fails when `View.firstRecordOf` leaves open what it cannot read.
test("opening a journal of which the next segment cannot be read leaves nothing open", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", { limits: { segmentBytes: 1 }, durability: "interval" });
  for (const key of ["a", "b"]) writer.backend.commit(request([put(key, { value: 1 })])).catch(() => {});
  writer.process.kill();
  // The seal went bad, so the next segment has to prove itself.
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).replace('"seal":"r', '"seal":"R'));
  const process = machine.process("opener");
  const port = new FailingPort(process, {
    failAt: 1,
    methods: ["read"],
    matches: (call) => call.path === segmentPath(2),
  });
  await assert.rejects(machine.settle(openStore(port)), { code: "io_error" });
  assert.deepEqual(process.openHandles(), []);
  port.fail({});
  await machine.settle((await machine.settle(openStore(port))).close());
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 1 } });
});

// Fails without the `finally` in `ChangeFollower.startIn`.
test("a watch that cannot read the journal leaves nothing open", async () => {
  for (const method of ["stat", "read"] as const) {
    for (const from of ["the middle", "right before the oldest segment"]) {
      const { machine, writer, process, port, reader } = await startBesideWriter([]);
      const origin = await machine.settle(reader.cursor());
      await commitPut(machine, writer, "a", 1);
      const since = from === "the middle" ? await machine.settle(reader.cursor()) : origin;
      const before = process.openHandles();
      await machine.settle(reader.read(["a"]));
      // The first look is the view's own, of a journal that it knows.
      port.fail({
        failAt: method === "stat" ? 3 : 1,
        methods: [method],
        matches: (call) => call.path === segmentPath(1),
      });
      await assert.rejects(machine.settle(reader.changes(since).next()), { code: "io_error" });
      assert.equal(port.failures.length, 1);
      assert.deepEqual(process.openHandles(), before, `${method}, from ${from}`);
    }
  }
});
