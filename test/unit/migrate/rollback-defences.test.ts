/**
 * What a rollback does against each thing that may go wrong around it: other processes, foreign hands, disks that lie,
 * and crashes where a stranger's file or an old marker lies in the way.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { lockNames } from "../../../src/backends/directory/layout.js";
import type { Port } from "../../../src/fs/port.js";
import { limitCaps } from "../../../src/limits.js";
import { type RollbackResult, rollbackStore } from "../../../src/migrate/rollback.js";
import { requireReadable } from "../../../src/migrate/rollback-export.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { FailingPort } from "../../sim/failing-port.js";
import type { PortCall } from "../../sim/intercepted-port.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { outwaitUnnamedLock } from "./left-locks.js";
import {
  expectedText,
  expectedWith,
  inOrder,
  legacyPath,
  location,
  machineToRollBack,
  namesIn,
  plainRead,
  rollBackOn,
} from "./rollback-support.js";
import { openAndReadAll, rejectsWith } from "./support.js";

const home = "/home/agent";
const storePath = `${home}/sessions.d`;
const markerPath = `${home}/sessions.d.rolled-back`;
const stranger = '{"stranger":{"updatedAt":1}}';

async function run<T>(machine: SimulatedMachine, program: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

/** Rolls back while `act` is told of each rename, by its new name, before it is made. */
function rollBackWith(machine: SimulatedMachine, act: (toName: string) => void): Promise<RollbackResult> {
  return run(machine, (inner) => rollbackStore(legacyPath, { port: withRenames(inner, act) }));
}

function withRenames(inner: Port, act: (toName: string) => void): Port {
  const port = new HookedPort(inner);
  const rename = port.rename.bind(port);
  port.rename = (from, fromName, to, toName) => {
    act(toName);
    return rename(from, fromName, to, toName);
  };
  return port;
}

/** The machine after a rollback that was killed before the first call that matches. */
async function killedAt(machine: SimulatedMachine, matches: (call: PortCall) => boolean): Promise<SimulatedMachine> {
  const process = machine.process("rollback");
  const outcome = await process.run((inner) => {
    const port = new HookedPort(inner);
    port.before = (call) => {
      if (matches(call)) process.kill();
    };
    return rollbackStore(legacyPath, { port });
  });
  assert.equal(outcome.status, "killed");
  return machine.fork();
}

const isPublishing = ({ method, path }: PortCall) => method === "rename" && path === legacyPath;
const isLeaving = ({ method, path }: PortCall) => method === "rename" && path.startsWith(`${storePath}.bak.`);

/** Every session is there: in the one store that an opening finds. What the stranger wrote may have been merged. */
async function assertWhole(machine: SimulatedMachine, what?: string, stranger?: Record<string, object>): Promise<void> {
  const found = await run(machine, (port) => openAndReadAll(port, location));
  if (stranger === undefined) found.delete("stranger");
  assert.equal(inOrder(found), stranger === undefined ? expectedText : expectedWith(stranger), what);
}

async function assertOpenToReaders(machine: SimulatedMachine, what: string): Promise<void> {
  const options = { ...checkOpenOptions({}), readOnly: true };
  await run(machine, async (port) => (await openBackend(port, `${storePath}`, options)).close()).catch((error) =>
    assert.fail(`${what}: ${error}`),
  );
}

function assertNoFence(machine: SimulatedMachine, directory = storePath): void {
  const segments = Object.entries(machine.dump()).filter(([name]) => name.startsWith(`${directory}/journal/`));
  assert.ok(segments.length > 0);
  for (const [name, text] of segments) assert.doesNotMatch(text, /"fenced"/, name);
}

// --- other processes ------------------------------------------------------------------------------------------------

for (const which of ["checkpoint", "commit"] as const) {
  test(`a rollback waits for the ${which} lock before it closes the store`, async () => {
    const machine = await machineToRollBack();
    const holder = machine.process("holder");
    const parent = holder.openRoot(home);
    const file = holder.open(parent, lockNames("sessions.d")[which], "lock");
    assert.ok(holder.tryLock(file, "exclusive"));
    let isReleased = false;
    holder.startTimer(500, () => {
      assertNoFence(machine);
      isReleased = true;
      holder.unlock(file);
    });
    assert.equal((await run(machine, (port) => rollbackStore(legacyPath, { port }))).outcome, "restored");
    assert.ok(isReleased);
  });
}

test("the store is closed before it is exported", async () => {
  const machine = await machineToRollBack();
  const crashed = await killedAt(
    machine,
    ({ method, path }) => method === "open" && path.includes("sessions.json.rollback-"),
  );
  const journal = Object.entries(crashed.dump()).filter(([name]) => name.startsWith(`${storePath}/journal/`));
  assert.ok(journal.some(([, text]) => text.includes('"fenced"')));
});

// --- foreign hands --------------------------------------------------------------------------------------------------

test("what an older program writes during the export is in it: the last look is under its lock", async () => {
  const machine = await machineToRollBack();
  const result = await run(machine, (inner) => {
    const port = new HookedPort(inner);
    port.before = ({ method, path }) => {
      if (method === "open" && path === `${legacyPath}.lock`) machine.writeFile(legacyPath, stranger);
    };
    return rollbackStore(legacyPath, { port });
  });
  assert.deepEqual([result.outcome, result.sessions], ["restored", 5]);
  assert.equal(plainRead(machine), expectedWith(JSON.parse(stranger)));
  assert.equal(machine.readText(result.replacedFilePath as string), stranger);
  assert.deepEqual(
    namesIn(machine).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("a file that appears at the last moment is renamed aside, and is on the disk under its new name", async () => {
  const machine = await machineToRollBack("weak");
  const result = await rollBackWith(machine, (toName) => {
    if (toName === "sessions.d.rolled-back") machine.writeFile(legacyPath, stranger);
  });
  assert.equal(result.outcome, "restored");
  assert.equal(machine.readText(result.replacedFilePath as string), stranger);
  assert.equal(plainRead(machine), expectedText);

  const random = new SeededRandom(31);
  for (let image = 0; image < 20; image += 1) {
    const fresh = await machineToRollBack("weak");
    const process = fresh.process("rollback");
    await process.run((inner) => {
      const port = withRenames(inner, (toName) => {
        if (toName === "sessions.d.rolled-back") {
          fresh.writeFile(legacyPath, stranger);
          fresh.syncAll();
        }
        if (toName.startsWith("sessions.d.bak.")) process.kill();
      });
      // What is renamed last is not synced yet, so anything may have come to the disk.
      const sync = port.syncDirectory.bind(port);
      port.syncDirectory = (directory) => {
        if (fresh.exists(legacyPath) && plainRead(fresh) === expectedText) process.kill();
        return sync(directory);
      };
      return rollbackStore(legacyPath, { port });
    });
    const rebooted = fresh.powerLoss(random);
    assert.ok(Object.values(rebooted.dump()).includes(stranger), `image ${image}: what the stranger wrote is kept`);
  }
});

test("a directory that was moved while it was rolled back keeps every session, and no file takes its place", async () => {
  for (const when of ["before the fence", "after the fence"]) {
    const machine = await machineToRollBack();
    let isMoved = false;
    const move = () => {
      if (!isMoved) machine.rename(storePath, `${home}/moved.d`);
      isMoved = true;
    };
    const result = await run(machine, (inner) => {
      const port = withRenames(inner, (toName) => {
        assert.equal(when, "after the fence", `nothing is renamed (${toName}), because no fence is raised elsewhere`);
        if (toName === "sessions.d.rolled-back") move();
      });
      const tryLock = port.tryLock.bind(port);
      let locks = 0;
      port.tryLock = (file, mode) => {
        locks += 1;
        if (when === "before the fence" && locks === 2) move();
        return tryLock(file, mode);
      };
      return rollbackStore(legacyPath, { port });
    });
    assert.ok(isMoved, when);
    assert.deepEqual([result.outcome, result.error?.code], ["failed", "store_gone"], when);
    assert.ok(!machine.exists(legacyPath) && !machine.exists(markerPath), when);
    assertNoFence(machine, `${home}/moved.d`);
    machine.rename(`${home}/moved.d`, storePath);
    await assertWhole(machine, when);
  }
});

test("a marker of another rollback does not finish this one", async () => {
  const markerOf = async () => {
    const other = await machineToRollBack();
    await rollBackOn(other);
    return other.readText(markerPath);
  };
  const other = JSON.parse(await markerOf()) as Record<string, unknown>;
  for (const change of [{ incarnation: "0".repeat(32) }, { lastVersion: 1 }]) {
    const machine = await killedAt(
      await machineToRollBack(),
      ({ method, path }) => method === "open" && path.includes("sessions.json.rollback-"),
    );
    machine.writeFile(markerPath, JSON.stringify({ ...other, ...change }));
    machine.writeFile(legacyPath, stranger);
    await assertWhole(machine, JSON.stringify(change));
  }
});

test("without the file, or with an export that waits, a rollback has not happened, whatever its marker says", async () => {
  const withoutFile = await killedAt(await machineToRollBack(), isPublishing);
  for (const name of namesIn(withoutFile)) if (name.includes(".rollback-")) withoutFile.unlink(`${home}/${name}`);
  await assertWhole(withoutFile);
  assert.ok(!withoutFile.exists(legacyPath) && withoutFile.exists(storePath));

  for (const text of ["", "not json", undefined]) {
    const waiting = await killedAt(await machineToRollBack(), isPublishing);
    if (text !== undefined) waiting.writeFile(markerPath, text);
    waiting.writeFile(legacyPath, stranger);
    await assertWhole(waiting, `marker: ${text}`);
  }
});

test("a directory that has the name of the planned backup is not replaced", async () => {
  const machine = await killedAt(await machineToRollBack(), isLeaving);
  const { backupDirectory } = JSON.parse(machine.readText(markerPath)) as { backupDirectory: string };
  machine.makeDirectory(`${home}/${backupDirectory}`);
  assert.equal((await rollBackOn(machine)).outcome, "restored");
  const backups = namesIn(machine).filter((name) => name.startsWith("sessions.d.bak."));
  assert.equal(backups.length, 2, String(backups));
  assert.equal(plainRead(machine), expectedText);
});

test("an old marker is set aside and reported", async () => {
  const machine = await machineToRollBack();
  machine.writeFile(markerPath, "{}");
  const result = await rollBackOn(machine);
  assert.equal(result.outcome, "restored");
  assert.match(
    result.warnings.join(),
    /marker of an earlier rollback was renamed to sessions\.d\.rolled-back\.bak\.\d+/,
  );
  const aside = namesIn(machine).find((name) => name.startsWith("sessions.d.rolled-back.bak."));
  assert.equal(machine.readText(`${home}/${aside}`), "{}");
});

for (const [what, lay] of Object.entries({
  "a directory": (machine: SimulatedMachine) => machine.makeDirectory(markerPath),
  "a FIFO": (machine: SimulatedMachine) => machine.makeFifo(markerPath),
  "a symbolic link": (machine: SimulatedMachine) => machine.makeSymlink("/etc/passwd", markerPath),
})) {
  test(`${what} in the marker's place counts as one, is never followed, and is set aside by a rollback`, async () => {
    const machine = await machineToRollBack();
    lay(machine);
    await assertWhole(machine, what);
    assert.equal((await rollBackOn(machine)).outcome, "restored");
    assert.equal(plainRead(machine), expectedText);
    assert.ok(namesIn(machine).some((name) => name.startsWith("sessions.d.rolled-back.bak.")));
    await assertWhole(machine, `${what}, afterwards`);
  });
}

// --- the disk -------------------------------------------------------------------------------------------------------

test("a rollback that returned outlives a power cut: the file, the marker, the backup", async () => {
  const random = new SeededRandom(33);
  const machine = await machineToRollBack("weak");
  assert.equal((await rollBackOn(machine)).outcome, "restored");
  for (let image = 0; image < 30; image += 1) {
    const rebooted = machine.powerLoss(random);
    const names = namesIn(rebooted);
    const what = `image ${image}: ${names}`;
    assert.equal(plainRead(rebooted), expectedText, what);
    assert.ok(!names.includes("sessions.d") && names.some((name) => name.startsWith("sessions.d.bak.")), what);
    assert.equal((JSON.parse(rebooted.readText(markerPath)) as { sessions: number }).sessions, 4, what);
  }
});

test("what a gateway writes to the file outlives a power cut that came before the directory was gone", async () => {
  const random = new SeededRandom(34);
  for (let image = 0; image < 30; image += 1) {
    const crashed = await killedAt(await machineToRollBack("weak"), isLeaving);
    const machine = crashed.powerLoss(random);
    // Whoever knows only the file goes on with it; then the next opener of ours comes.
    const sessions = JSON.parse(machine.readText(legacyPath)) as Record<string, unknown>;
    machine.writeFile(legacyPath, JSON.stringify({ ...sessions, gateway: { updatedAt: 1 } }));
    const found = await run(machine, (port) => openAndReadAll(port, location));
    assert.ok(found.delete("gateway"), `image ${image}: ${namesIn(machine)}`);
    assert.equal(inOrder(found), expectedText, `image ${image}`);
  }
});

test("a rollback that failed leaves the store open, also after a power cut", async () => {
  const random = new SeededRandom(35);
  const machine = await machineToRollBack("weak");
  const result = await rollBackWith(machine, (toName) => {
    if (toName === "sessions.json") throw Object.assign(new Error("EIO"), { code: "EIO" });
  });
  assert.equal(result.outcome, "failed");
  await assertOpenToReaders(machine.fork(), "at once");
  for (let image = 0; image < 30; image += 1) {
    const rebooted = machine.powerLoss(random);
    await assertOpenToReaders(rebooted.fork(), `image ${image}`);
    await assertWhole(rebooted, `image ${image}`);
  }
});

test("a fence that cannot be synced is cut off again", async () => {
  for (const method of ["syncFile", "syncDirectory"] as const) {
    const machine = await machineToRollBack();
    const matches = ({ path }: PortCall) => path.includes("/journal");
    const result = await run(machine, (inner) =>
      rollbackStore(legacyPath, { port: new FailingPort(inner, { methods: [method], matches, failAt: 1 }) }),
    );
    assert.deepEqual([result.outcome, result.error?.code], ["failed", "io_error"], method);
    assertNoFence(machine);
    await assertOpenToReaders(machine, method);
    await assertWhole(machine, method);
  }
});

/** The export has another text when it is read back. */
function changing(from: string, to: string): (machine: SimulatedMachine, inner: Port) => Port {
  return (machine, inner) => {
    const port = new HookedPort(inner);
    let isWritten = false;
    port.before = ({ method, path }) => {
      if (method === "syncFile" && path.includes(".rollback-")) isWritten = true;
      if (method !== "statName" && method !== "open") return;
      if (!isWritten || !path.includes(".rollback-")) return;
      const name = namesIn(machine).find((found) => found.includes(".rollback-"));
      const text = machine.readText(`${home}/${name}`);
      machine.writeFile(`${home}/${name}`, text.replace(from, to));
    };
    return port;
  };
}

test("an export that the disk cut short or changed is noticed, and the store goes on", async () => {
  const ways: Record<string, (machine: SimulatedMachine, inner: Port) => Port> = {
    "cut short": (_machine, inner) => {
      const matches = ({ path }: PortCall) => path.includes(".rollback-");
      return new FailingPort(inner, { code: "short", methods: ["append"], matches, failAt: 1 });
    },
    changed: changing("the migration", "THE migration"),
    "changed between two sessions": changing('": ', '" :'),
  };
  for (const [what, portOf] of Object.entries(ways)) {
    const machine = await machineToRollBack();
    const before = namesIn(machine);
    const result = await run(machine, (inner) => rollbackStore(legacyPath, { port: portOf(machine, inner) }));
    const code = what === "cut short" ? "disk_full" : "io_error";
    assert.deepEqual([result.outcome, result.error?.code], ["failed", code], what);
    assert.deepEqual(namesIn(machine), before, what);
    await assertWhole(machine, what);
  }
});

test("an unfinished line at the end of the journal is settled before the fence", async () => {
  const machine = await machineToRollBack();
  const segments = Object.keys(machine.dump()).filter((name) => name.startsWith(`${storePath}/journal/`));
  const last = segments.sort().at(-1) as string;
  machine.writeFile(last, `${machine.readText(last)}{"version":9,"torn`);
  const closed = await killedAt(machine.fork(), isPublishing);
  const options = { ...checkOpenOptions({}), readOnly: true };
  await rejectsWith(
    "store_fenced",
    run(closed, (port) => openBackend(port, storePath, options)),
  );
  assert.equal((await rollBackOn(machine)).outcome, "restored");
  assert.equal(plainRead(machine), expectedText);
});

test("what is undone is undone in order on the disk too, so that a stranger's file never passes for the export", async () => {
  const random = new SeededRandom(37);
  for (let image = 0; image < 40; image += 1) {
    const fresh = await machineToRollBack("weak");
    const process = fresh.process("rollback");
    let isFailed = false;
    const hasExport = () => namesIn(fresh).some((name) => name.includes(".rollback-"));
    await process.run((inner) => {
      const port = withRenames(inner, (toName) => {
        if (toName !== "sessions.json") return;
        isFailed = true;
        fresh.writeFile(legacyPath, stranger);
        throw Object.assign(new Error("EIO"), { code: "EIO" });
      });
      const sync = port.syncDirectory.bind(port);
      port.syncDirectory = (directory) => {
        if (isFailed && !hasExport()) process.kill();
        return sync(directory);
      };
      return rollbackStore(legacyPath, { port });
    });
    assert.ok(isFailed && !hasExport());
    await assertWhole(fresh.powerLoss(random), `image ${image}`);
  }
});

test("commits that are missing from the journal are never rolled back silently", async () => {
  const machine = await machineToRollBack();
  await run(machine, async (port) => {
    const backend = await openBackend(port, legacyPath, checkOpenOptions({}));
    for (const n of [1, 2, 3]) {
      const entry = Object.freeze({ n });
      await backend.commit({ operations: [{ type: "put", key: `k${n}`, entry }], expected: new Map() });
    }
    // Killed.
  });
  const segments = Object.keys(machine.dump()).filter((name) => name.startsWith(`${storePath}/journal/`));
  const last = segments.sort().at(-1) as string;
  machine.writeFile(last, machine.readText(last).replace('"k1"', '"K1"'));
  const before = JSON.stringify(machine.dump());
  for (const dryRun of [true, false]) {
    const result = await rollBackOn(machine, { dryRun });
    assert.deepEqual([result.outcome, result.error?.code], ["failed", "store_damaged"], `dry run: ${dryRun}`);
    assert.equal(JSON.stringify(machine.dump()), before, "nothing was changed");
  }
});

test("too little space is found before anything is changed", async () => {
  const machine = await machineToRollBack();
  const before = JSON.stringify(machine.dump());
  const result = await run(machine, (inner) => {
    const port = new HookedPort(inner);
    const ask = port.statFileSystem.bind(port);
    port.statFileSystem = (directory) => ({ ...ask(directory), freeBytes: 10 });
    return rollbackStore(legacyPath, { port });
  });
  assert.deepEqual([result.outcome, result.error?.code], ["failed", "disk_full"]);
  assert.equal(JSON.stringify(machine.dump()), before);
});

test("a marker that came to the disk before its export did is not believed beside a stranger's file", async () => {
  const random = new SeededRandom(36);
  let markers = 0;
  for (let image = 0; image < 40; image += 1) {
    const fresh = await machineToRollBack("weak");
    const crashed = await killedAt(
      fresh,
      ({ method, path }) => method === "syncDirectory" && path === home && fresh.exists(markerPath),
    );
    crashed.writeFile(legacyPath, stranger);
    const machine = crashed.powerLoss(random);
    if (machine.exists(markerPath)) markers += 1;
    await assertWhole(machine, `image ${image}`);
  }
  assert.ok(markers > 5, `${markers} images with a marker`);
});

// --- sizes ----------------------------------------------------------------------------------------------------------

test("a file that no program could read is refused", async () => {
  requireReadable({ bytes: limitCaps.legacyFileBytes }, location);
  const error = await rejectsWith(
    "limit_exceeded",
    (async () => requireReadable({ bytes: limitCaps.legacyFileBytes + 1 }, location))(),
  );
  assert.match(error.message, /a file of 536870912 bytes; a legacy file can have 536870911/);
});

test("a session whose text would be longer than any string makes a rollback refuse, not crash", async (context) => {
  const machine = await machineToRollBack();
  const before = JSON.stringify(machine.dump());
  const { stringify } = JSON;
  const fake = (value: unknown, replacer?: never, space?: number): string => {
    const isHuge = space === 2 && typeof value === "object" && value !== null && "since" in value;
    if (isHuge) throw new RangeError("Invalid string length");
    return stringify(value, replacer, space);
  };
  const mocked = context.mock.method(JSON, "stringify", fake as never);
  const result = await rollBackOn(machine);
  mocked.mock.restore();
  assert.deepEqual([result.outcome, result.error?.code], ["failed", "limit_exceeded"]);
  assert.match(String(result.error?.message), /more bytes than can be counted/);
  assert.equal(JSON.stringify(machine.dump()), before);
});

// --- all of it at every call: last, because it takes the longest ---------------------------------------------------

test("a crash beside a stranger's file and an old marker, at any call, loses neither sessions nor the file", async () => {
  const busy = async (inner: Port) => {
    const port = withRenames(inner, (toName) => {
      // It gives up at the last moment, and is undone.
      if (toName === "sessions.json") throw Object.assign(new Error("EIO"), { code: "EIO" });
    });
    return rollbackStore(legacyPath, { port });
  };
  const programs = { restored: (port: Port) => rollbackStore(legacyPath, { port }), failed: busy };
  for (const [outcome, program] of Object.entries(programs)) {
    const fresh = await machineToRollBack("weak");
    fresh.writeFile(legacyPath, stranger);
    fresh.writeFile(markerPath, "{}");
    fresh.syncAll();
    const counting = fresh.fork().process();
    const whole = await counting.run(program);
    assert.ok(whole.status === "returned" && whole.value.outcome === outcome, JSON.stringify(whole));
    const random = new SeededRandom(32);
    for (let at = 40; at <= counting.calls + 1; at += 1) {
      const machine = fresh.fork();
      const process = machine.process("rollback");
      process.crashAfter(at);
      await process.run(program);
      for (let image = 0; image < 3; image += 1) {
        const rebooted = machine.powerLoss(random);
        const what: string = `${outcome}: power loss ${image} at call ${at} of ${counting.calls}`;
        assert.ok(Object.values(rebooted.dump()).includes(stranger), `${what}: the stranger's file is kept`);
        await outwaitUnnamedLock(rebooted);
        await assertWhole(rebooted, what, { stranger: { updatedAt: 1 } });
        const left = namesIn(rebooted).filter((name) => name.endsWith(".tmp"));
        assert.deepEqual(left, [], what);
      }
    }
  }
});
