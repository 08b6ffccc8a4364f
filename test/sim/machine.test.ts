import assert from "node:assert/strict";
import { test } from "node:test";
import { type Directory, type File, hasCode, type Port } from "../../src/fs/port.js";
import { type MachineOptions, SimulatedMachine } from "./machine.js";
import { SeededRandom } from "./random.js";
import { ProcessKilled } from "./system-error.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const throwsCode = (code: string, action: () => unknown) => {
  assert.throws(action, (error) => hasCode(error, code), code);
};

function makeMachine(options: MachineOptions = {}): SimulatedMachine {
  const machine = new SimulatedMachine(options);
  machine.makeDirectory("/store");
  return machine;
}

function readAll(port: Port, directory: Directory, name: string): string {
  const file = port.open(directory, name, "read");
  const buffer = new Uint8Array(port.stat(file).sizeBytes + 1);
  const count = port.read(file, buffer, 0);
  port.close(file);
  return new TextDecoder().decode(buffer.subarray(0, count));
}

/** The contents that a file may have after a power loss, sorted; "(missing)" when the name is gone. */
function contentsAfterPowerLoss(machine: SimulatedMachine, path: string): string[] {
  const found = new Set<string>();
  for (const image of machine.powerLossImages(10_000)) {
    found.add(image.exists(path) ? image.readText(path) : "(missing)");
  }
  return [...found].sort();
}

async function syncedFile(machine: SimulatedMachine, port: Port, root: Directory, name: string): Promise<File> {
  const file = port.open(root, name, "create");
  await machine.settle(port.syncDirectory(root));
  return file;
}

test("appended bytes are seen by every process at once and durable only after a sync", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const other = machine.process();
  const root = port.openRoot("/store");
  const file = await syncedFile(machine, port, root, "log");
  assert.equal(port.append(file, bytes("one")), 3);
  assert.equal(readAll(other, other.openRoot("/store"), "log"), "one");
  assert.equal(machine.snapshotDurable()["/store/log"], "");
  await machine.settle(port.syncFile(file));
  assert.equal(machine.snapshotDurable()["/store/log"], "one");
  assert.deepEqual(contentsAfterPowerLoss(machine, "/store/log"), ["one"]);
});

test("a sync of the file does not make its name durable, a sync of the directory not its bytes", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const root = port.openRoot("/store");
  const synced = port.open(root, "file-synced", "create");
  port.append(synced, bytes("data"));
  await machine.settle(port.syncFile(synced));
  assert.deepEqual(contentsAfterPowerLoss(machine, "/store/file-synced"), ["(missing)", "data"]);
  const named = port.open(root, "directory-synced", "create");
  port.append(named, bytes("data"));
  await machine.settle(port.syncDirectory(root));
  assert.equal(machine.snapshotDurable()["/store/directory-synced"], "");
  assert.ok(contentsAfterPowerLoss(machine, "/store/directory-synced").includes(""));
});

test("a sync covers what was there when it started, and takes effect when it ends", async () => {
  const machine = makeMachine({ syncMs: [5, 5] });
  const port = machine.process();
  const root = port.openRoot("/store");
  const file = await syncedFile(machine, port, root, "log");
  port.append(file, bytes("before "));
  const sync = port.syncFile(file);
  port.append(file, bytes("during"));
  await machine.advance(4);
  assert.equal(machine.snapshotDurable()["/store/log"], "");
  await machine.settle(sync);
  assert.equal(machine.snapshotDurable()["/store/log"], "before ");
  assert.equal(machine.readText("/store/log"), "before during");
});

test("a write may be lost, torn at any byte, zero-filled, or arrive before an earlier one", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const file = await syncedFile(machine, port, port.openRoot("/store"), "log");
  port.append(file, bytes("ab"));
  port.append(file, bytes("cdef"));
  const found = contentsAfterPowerLoss(machine, "/store/log");
  for (const expected of ["", "a", "\0\0", "ab", "abc", "abcde", "ab\0\0\0\0", "abcdef", "\0\0cdef"]) {
    assert.ok(found.includes(expected), JSON.stringify(expected));
  }
  const random = new SeededRandom(3);
  const drawn = new Set(Array.from({ length: 2000 }, () => machine.powerLoss(random).readText("/store/log")));
  for (const expected of ["abc", "abcd", "abcde", ...found]) assert.ok(drawn.has(expected), JSON.stringify(expected));
});

test("a truncation may be lost, also when what was appended after it arrives", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const file = await syncedFile(machine, port, port.openRoot("/store"), "log");
  port.append(file, bytes("abcdef"));
  await machine.settle(port.syncFile(file));
  port.truncate(file, 2);
  port.append(file, bytes("XY"));
  const found = contentsAfterPowerLoss(machine, "/store/log");
  for (const expected of ["abcdef", "ab", "abXY", "abXYef", "ab\0\0\0\0"]) {
    assert.ok(found.includes(expected), JSON.stringify(expected));
  }
});

test("a rename over a file whose new content was not synced may leave an empty or torn file", async () => {
  const machine = makeMachine();
  machine.writeFile("/store/state", "old");
  const port = machine.process();
  const root = port.openRoot("/store");
  const file = port.open(root, "temp", "create");
  port.append(file, bytes("new!"));
  port.rename(root, "temp", root, "state");
  assert.deepEqual(
    contentsAfterPowerLoss(machine, "/store/state"),
    ["", "\0\0\0\0", "n", "ne", "new", "new!", "old"].sort(),
  );
  await machine.settle(port.syncDirectory(root));
  assert.ok(!contentsAfterPowerLoss(machine, "/store/state").includes("old"));
  assert.equal(machine.snapshotDurable()["/store/state"], "");
  await machine.settle(port.syncFile(file));
  assert.deepEqual(contentsAfterPowerLoss(machine, "/store/state"), ["new!"]);
});

test("the order of names: an ordered file system keeps it within a directory, a weak one only for the same name", () => {
  const survivors = (fileSystem: "ordered" | "weak") => {
    const machine = makeMachine({ fileSystem });
    const port = machine.process();
    const root = port.openRoot("/store");
    for (const name of ["a", "b"]) port.close(port.open(root, name, "create"));
    port.rename(root, "a", root, "c");
    const found = new Set<string>();
    for (const image of machine.powerLossImages()) {
      found.add(["a", "b", "c"].filter((name) => image.exists(`/store/${name}`)).join(""));
    }
    return [...found].sort();
  };
  assert.deepEqual(survivors("ordered"), ["", "a", "ab", "bc"]);
  assert.deepEqual(survivors("weak"), ["", "a", "ab", "b", "bc", "c"]);
});

test("a rename between two directories is never half done, and a sync of either makes it durable", async () => {
  for (const fileSystem of ["ordered", "weak"] as const) {
    const machine = makeMachine({ fileSystem });
    machine.makeDirectory("/store/from");
    machine.makeDirectory("/store/to");
    const port = machine.process();
    const root = port.openRoot("/store");
    const from = port.openDirectory(root, "from");
    const to = port.openDirectory(root, "to");
    port.open(from, "temp", "create");
    port.rename(from, "temp", to, "final");
    for (const image of machine.powerLossImages()) {
      assert.ok(!(image.exists("/store/from/temp") && image.exists("/store/to/final")));
    }
    await machine.settle(port.syncDirectory(to));
    assert.deepEqual(Object.keys(machine.snapshotDurable()), [
      "/store/",
      "/store/from/",
      "/store/to/",
      "/store/to/final",
    ]);
    for (const image of machine.powerLossImages()) assert.ok(image.exists("/store/to/final"));
  }
});

test("a staging directory that is renamed into place may miss files that were never synced into it", async () => {
  const machine = makeMachine({ fileSystem: "weak" });
  const port = machine.process();
  const root = port.openRoot("/store");
  port.makeDirectory(root, "staging", 0o700);
  const staging = port.openDirectory(root, "staging");
  const file = port.open(staging, "entry", "create");
  port.append(file, bytes("x"));
  await machine.settle(port.syncFile(file));
  port.rename(root, "staging", root, "final");
  await machine.settle(port.syncDirectory(root));
  assert.deepEqual(contentsAfterPowerLoss(machine, "/store/final/entry"), ["(missing)", "x"]);
  await machine.settle(port.syncDirectory(staging));
  assert.deepEqual(contentsAfterPowerLoss(machine, "/store/final/entry"), ["x"]);
});

test("locks belong to the open file: two opens of one process exclude each other, shared ones do not", () => {
  const machine = makeMachine();
  const port = machine.process("holder");
  const root = port.openRoot("/store");
  const first = port.open(root, "lock", "lock");
  const second = port.open(root, "lock", "lock");
  const reader = port.open(root, "lock", "read");
  assert.ok(port.tryLock(first, "exclusive"));
  assert.ok(port.tryLock(first, "exclusive"), "again on the same open file");
  assert.equal(port.tryLock(second, "exclusive"), false);
  assert.equal(port.tryLock(reader, "shared"), false);
  assert.equal(port.describeLockHolder(second), `pid ${port.processId} (holder)`);
  port.unlock(first);
  assert.ok(port.tryLock(second, "shared"));
  assert.ok(port.tryLock(reader, "shared"));
  assert.equal(port.tryLock(first, "exclusive"), false);
  port.close(second);
  port.close(reader);
  assert.ok(port.tryLock(first, "exclusive"));
  throwsCode("EBADF", () => port.tryLock(port.open(root, "lock", "read"), "exclusive"));
});

test("a killed process lets its locks go, and nothing that it waits for happens any more", async () => {
  const machine = makeMachine();
  const victim = machine.process("victim");
  const other = machine.process();
  const file = victim.open(victim.openRoot("/store"), "lock", "lock");
  victim.tryLock(file, "exclusive");
  let wentOn = false;
  void victim.sleep(1).then(() => {
    wentOn = true;
  });
  void victim.syncFile(file).then(() => {
    wentOn = true;
  });
  victim.startTimer(1, () => {
    wentOn = true;
  });
  machine.kill(victim);
  const lock = other.open(other.openRoot("/store"), "lock", "lock");
  assert.ok(other.tryLock(lock, "exclusive"));
  await machine.advance(100);
  assert.equal(wentOn, false);
  assert.throws(() => victim.stat(file), ProcessKilled);
  assert.deepEqual(victim.openHandles(), []);
});

test("a process dies at its N-th call, and code that swallows errors cannot go on", async () => {
  for (let calls = 1; calls <= 6; calls++) {
    const machine = makeMachine();
    const process = machine.process();
    process.crashAfter(calls);
    const outcome = await process.run(async (port) => {
      const root = port.openRoot("/store");
      for (const name of ["a", "b", "c", "d"]) {
        try {
          port.open(root, name, "create");
        } catch {}
      }
    });
    assert.equal(outcome.status, calls <= 5 ? "killed" : "returned");
    assert.equal(Object.keys(machine.dump()).length - 1, Math.min(4, Math.max(0, calls - 2)));
  }
});

test("a process that dies within an append may leave a part of it", async () => {
  const machine = makeMachine();
  const process = machine.process();
  const file = process.open(process.openRoot("/store"), "log", "create");
  process.crashAfter(1, { tear: true });
  assert.throws(() => process.append(file, bytes("0123456789")), ProcessKilled);
  assert.ok("0123456789".startsWith(machine.readText("/store/log")));
  assert.ok(machine.readText("/store/log").length < 10);
});

test("the whole machine stops at the N-th call of anybody", () => {
  const machine = makeMachine();
  const first = machine.process();
  const second = machine.process();
  machine.crashAfter(2);
  first.openRoot("/store");
  assert.throws(() => second.openRoot("/store"), ProcessKilled);
  assert.throws(() => first.nowMs(), ProcessKilled);
});

test("a full disk makes one append short and the next one fail; freed bytes can be written again", () => {
  const machine = makeMachine();
  const port = machine.process();
  const root = port.openRoot("/store");
  const file = port.open(root, "log", "create");
  machine.disk.freeBytes = 4;
  assert.equal(port.append(file, bytes("123456")), 4);
  throwsCode("ENOSPC", () => port.append(file, bytes("7")));
  assert.equal(port.statFileSystem(root).freeBytes, 0);
  port.truncate(file, 1);
  assert.equal(port.append(file, bytes("abc")), 3);
  port.unlink(root, "log");
  assert.equal(machine.disk.freeBytes, 0, "still open");
  port.close(file);
  assert.equal(machine.disk.freeBytes, 4);
});

test("symlinks are not followed, FIFOs do not block, and other errors carry their codes", () => {
  const machine = makeMachine();
  machine.makeSymlink("/store", "/link");
  machine.makeSymlink("victim", "/store/link");
  machine.makeFifo("/store/fifo");
  machine.makeDirectory("/store/directory");
  machine.makeDirectory("/store/full/inside");
  machine.writeFile("/store/file", "x");
  machine.writeFile("/store/foreign", "x", { ownerUid: 4, mode: 0o600 });
  const port = machine.process("limited", { openFilesMax: 5 });
  throwsCode("ELOOP", () => port.openRoot("/link"));
  throwsCode("ENOENT", () => port.openRoot("/missing"));
  throwsCode("ENOTDIR", () => port.openRoot("/store/file"));
  port.closeDirectory(port.openRoot("/link/directory"));
  const root = port.openRoot("/store");
  for (const mode of ["read", "append", "lock"] as const) throwsCode("ELOOP", () => port.open(root, "link", mode));
  throwsCode("EEXIST", () => port.open(root, "link", "create"));
  throwsCode("ELOOP", () => port.openDirectory(root, "link"));
  throwsCode("ENOTDIR", () => port.openDirectory(root, "file"));
  throwsCode("EISDIR", () => port.open(root, "directory", "append"));
  throwsCode("ENOENT", () => port.open(root, "missing", "append"));
  throwsCode("EACCES", () => port.open(root, "foreign", "read"));
  throwsCode("ENOTEMPTY", () => port.removeDirectory(root, "full"));
  throwsCode("EOVERFLOW", () => port.list(root, 2));
  for (const name of ["", ".", "..", "a/b", "a\0b"]) throwsCode("EINVAL", () => port.statName(root, name));
  throwsCode("ENAMETOOLONG", () => port.statName(root, "x".repeat(256)));
  const fifo = port.open(root, "fifo", "read");
  assert.equal(port.stat(fifo).kind, "other");
  throwsCode("ESPIPE", () => port.read(fifo, new Uint8Array(1), 0));
  for (let index = 0; index < 3; index++) port.open(root, "file", "read");
  throwsCode("EMFILE", () => port.open(root, "file", "read"));
  machine.disk.readOnly = true;
  throwsCode("EROFS", () => port.unlink(root, "file"));
  assert.equal(port.statName(root, "missing"), undefined);
  assert.equal(port.statName(root, "link")?.kind, "symlink");
});

test("a file that was unlinked lives on in those who have it open, with no link", () => {
  const machine = makeMachine();
  const port = machine.process();
  const root = port.openRoot("/store");
  const file = port.open(root, "a", "create");
  const { inode } = port.stat(file);
  port.append(file, bytes("still here"));
  port.unlink(root, "a");
  const replacement = port.open(root, "a", "create");
  assert.equal(port.stat(file).linkCount, 0);
  assert.equal(port.stat(file).sizeBytes, 10);
  assert.notEqual(port.stat(replacement).inode, inode);
});

test("on a case-insensitive disk names that differ by case are one", () => {
  const machine = makeMachine({ caseInsensitive: true });
  const port = machine.process();
  const root = port.openRoot("/store");
  port.open(root, "Name", "create");
  throwsCode("EEXIST", () => port.open(root, "NAME", "create"));
  assert.deepEqual(port.list(root, 10), [{ name: "Name", kind: "file" }]);
});

test("after a failed sync readers still see the bytes, but no later sync saves them", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const file = await syncedFile(machine, port, port.openRoot("/store"), "log");
  port.append(file, bytes("lost"));
  port.loseWrites(file);
  port.append(file, bytes("kept"));
  await machine.settle(port.syncFile(file));
  assert.equal(machine.readText("/store/log"), "lostkept");
  assert.equal(machine.snapshotDurable()["/store/log"], "\0\0\0\0kept");
  machine.evictCleanPages("/store/log");
  assert.equal(machine.readText("/store/log"), "\0\0\0\0kept");
});

test("closing a file while a sync on it runs is noticed, and that sync saves nothing", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const file = await syncedFile(machine, port, port.openRoot("/store"), "log");
  port.append(file, bytes("x"));
  const sync = port.syncFile(file);
  port.close(file);
  await machine.settle(sync);
  assert.equal(machine.misuses.length, 1);
  assert.equal(machine.snapshotDurable()["/store/log"], "");
});

test("time is virtual: sleeps jump the clock, an aborted one rejects, a spin on the clock ends", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const start = port.monotonicMs();
  await machine.settle(port.sleep(60_000));
  assert.ok(port.monotonicMs() - start >= 60_000);
  const abort = new AbortController();
  const sleep = port.sleep(60_000, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(machine.settle(sleep), /enough/);
  const spinEnd = port.monotonicMs() + 0.02;
  while (port.monotonicMs() < spinEnd);
  let rang = 0;
  port.startTimer(10, () => rang++);
  port.startTimer(10, () => rang++).cancel();
  await machine.runUntilIdle();
  assert.equal(rang, 0, "timers keep nobody alive");
  await machine.advance(10);
  assert.equal(rang, 1);
  await assert.rejects(machine.settle(new Promise(() => {})), /never happens/);
});

test("the same seed gives the same run, another seed another", async () => {
  const run = async (seed: number) => {
    const machine = makeMachine({ seed });
    const order: string[] = [];
    const work = (name: string) =>
      machine.process(name).start(async (port) => {
        const root = port.openRoot("/store");
        const file = port.open(root, name, "create");
        for (let round = 0; round < 5; round++) {
          port.append(file, port.randomBytes(3));
          await port.syncFile(file);
          order.push(`${name}${round}@${port.monotonicMs()}`);
          await port.yieldToEventLoop();
        }
      });
    await machine.settle(Promise.all(["a", "b", "c"].map(work)));
    const image = machine.powerLoss(new SeededRandom(seed)).dump();
    return JSON.stringify([order, machine.dump(), image]);
  };
  assert.equal(await run(1), await run(1));
  assert.notEqual(await run(1), await run(2));
});

test("a fork goes its own way, with what is pending still pending", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const root = port.openRoot("/store");
  const file = port.open(root, "log", "create");
  port.append(file, bytes("one "));
  const fork = machine.fork();
  port.append(file, bytes("two"));
  const forkPort = fork.process();
  const forkRoot = forkPort.openRoot("/store");
  const forkFile = forkPort.open(forkRoot, "log", "append");
  forkPort.append(forkFile, bytes("three"));
  assert.equal(machine.readText("/store/log"), "one two");
  assert.equal(fork.readText("/store/log"), "one three");
  assert.ok(contentsAfterPowerLoss(fork, "/store/log").includes("(missing)"));
  await fork.settle(Promise.all([forkPort.syncFile(forkFile), forkPort.syncDirectory(forkRoot)]));
  assert.deepEqual(contentsAfterPowerLoss(fork, "/store/log"), ["one three"]);
  assert.equal(machine.snapshotDurable()["/store/log"], undefined);
});

test("a listing in batches may miss a file that is replaced meanwhile, where the file system is like that", () => {
  const listed = (listingMissesReplaced: boolean) => {
    const machine = makeMachine({ listingMissesReplaced });
    for (const name of ["a", "b", "c", "d"]) machine.writeFile(`/store/${name}`, "old");
    const port = machine.process();
    const root = port.openRoot("/store");
    const names: string[] = [];
    for (const batch of port.listInBatches(root, 2)) {
      names.push(...batch.map((entry) => entry.name));
      port.open(root, `temp-${names.length}`, "create");
      port.rename(root, `temp-${names.length}`, root, "d");
    }
    return names.join("");
  };
  assert.equal(listed(false), "abcd");
  assert.equal(listed(true), "abc");
});

test("the images after a reboot can be worked on like any machine", async () => {
  const machine = makeMachine();
  const port = machine.process();
  const root = port.openRoot("/store");
  const lock = port.open(root, "lock", "lock");
  port.tryLock(lock, "exclusive");
  for (const image of machine.powerLossImages()) {
    const outcome = await image.process().run(async (next) => {
      const nextRoot = next.openRoot("/store");
      const file = next.open(nextRoot, "lock", "lock");
      assert.ok(next.tryLock(file, "exclusive"));
      await next.syncDirectory(nextRoot);
    });
    assert.equal(outcome.status, "returned");
    assert.ok(image.snapshotDurable()["/store/lock"] !== undefined);
  }
});

test("a real path follows every link, and a ring, a missing name or a file on the way has none", () => {
  const machine = makeMachine();
  machine.makeDirectory("/store/folder");
  machine.writeFile("/store/folder/file", "");
  machine.makeSymlink("folder", "/store/link");
  machine.makeSymlink("/store/link/file", "/absolute");
  machine.makeSymlink("ring", "/store/ring");
  const port = machine.process("one");
  assert.equal(port.realPath("/store/link/../link/./file"), "/store/folder/file");
  assert.equal(port.realPath("/absolute"), "/store/folder/file");
  assert.equal(port.realPath("/store/.."), "/");
  throwsCode("ENOENT", () => port.realPath("/store/link/missing"));
  throwsCode("ELOOP", () => port.realPath("/store/ring"));
  throwsCode("ENOTDIR", () => port.realPath("/store/folder/file/below"));
  const folder = port.openRoot("/store/folder");
  assert.equal(port.statRoot("/store/link/../link")?.inode, port.statDirectory(folder).inode);
  assert.equal(port.statRoot("/store/link/missing"), undefined);
  throwsCode("ELOOP", () => port.statRoot("/store/ring"));
  throwsCode("ENOTDIR", () => port.statRoot("/store/folder/file/below"));
});
