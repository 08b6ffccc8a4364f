/**
 * Bundles, backups and rollback markers that somebody prepared, and disks that fail, fill up or lose what was not synced
 * while one is written. See test/unit/transfer for what they promise otherwise.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { readRollbackDetails } from "../../src/backends/directory/rollback-details.js";
import type { Port } from "../../src/fs/port.js";
import { defaultLimits, fixedLimits } from "../../src/limits.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { createBackup, verifyBackup } from "../../src/transfer/backup.js";
import { exportSessions } from "../../src/transfer/export.js";
import { importSessions } from "../../src/transfer/import.js";
import { restoreBackup } from "../../src/transfer/restore.js";
import { loseEverythingPending } from "../protocol/simulated-store.js";
import { FailingPort } from "../sim/failing-port.js";
import { InterceptedPort, type PortCall } from "../sim/intercepted-port.js";
import { SimulatedMachine } from "../sim/machine.js";
import { rejectsWith } from "../support/store-reading.js";
import { legacyPath, machineToRollBack } from "../unit/migrate/rollback-support.js";
import { makeStore, readStore } from "../unit/transfer/support.js";

const store = "/home/agent/sessions.d";
const bundle = "/home/agent/bundle.jsonl";
const sessions = { a: { n: 1 }, b: { text: "\ufffd" }, c: { n: 3 } };

async function run<T>(machine: SimulatedMachine, work: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(work);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

async function machineWithStore(): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 4, fileSystem: "weak" });
  for (const directory of ["/home/agent", "/home/other", "/home/backups"]) machine.makeDirectory(directory);
  await run(machine, (port) => makeStore(store, sessions, port));
  return machine.fork();
}

class HookedPort extends InterceptedPort {
  before: (call: PortCall) => void = () => {};
  after: <T>(call: PortCall, result: T) => T = (_, result) => result;
  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    this.before(call);
    return this.after(call, proceed());
  }
}

/** Says of files with this name that they are larger than anything. */
function oversize(port: Port, name: string, bytes: number): Port {
  const hooked = new HookedPort(port);
  hooked.after = (call, result) =>
    call.method === "stat" && call.path.endsWith(name) ? { ...result, sizeBytes: bytes } : result;
  return hooked;
}

// --- bundles -----------------------------------------------------------------------------------------------------------

const importTo = (port: Port, limits = {}) =>
  importSessions(bundle, { location: "/home/other/sessions.d", limits }, { port });

test("a bundle with more sessions than the limit, or a line above it, is refused before anything is written", async () => {
  const machine = await machineWithStore();
  await run(machine, (port) => exportSessions(store, bundle, { port }));
  const tooMany = await rejectsWith("invalid_bundle", () => run(machine, (port) => importTo(port, { sessions: 2 })));
  assert.match(tooMany.message, /more than 2 sessions/);
  machine.writeFile(bundle, `${"x".repeat(defaultLimits.entryBytes / 8)}`.repeat(8) + "x".repeat(20 * 1024 * 1024));
  const tooLong = await rejectsWith("invalid_bundle", () => run(machine, importTo));
  assert.match(tooLong.message, /a line of more than/);
  assert.ok(!machine.exists("/home/other/sessions.d"));
});

test("a bundle that is no UTF-8 is not repaired in reading, although every hash would fit then", async () => {
  const machine = await machineWithStore();
  await run(machine, (port) => exportSessions(store, bundle, { port }));
  const bytes = Buffer.from(machine.readFile(bundle));
  const at = bytes.indexOf(Buffer.from("\ufffd", "utf8"));
  const hashAt = bytes.lastIndexOf(',"bytesSha256":');
  const body = Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3, hashAt)]);
  const hash = createHash("sha256").update(body).digest("hex");
  machine.writeFile(bundle, Buffer.concat([body, Buffer.from(`,"bytesSha256":"${hash}"}\n`)]));
  const error = await rejectsWith("invalid_bundle", () => run(machine, importTo));
  assert.match(error.message, /UTF-8/);
});

test("when an export ends, the bundle is on the disk, with its name", async () => {
  const machine = await machineWithStore();
  await run(machine, (port) => exportSessions(store, bundle, { port }));
  const image = loseEverythingPending(machine);
  assert.equal(image.readText(bundle), machine.readText(bundle));
});

test("a disk that fills up makes no bundle, whether it says so or comes back short", async () => {
  const machine = await machineWithStore();
  const matches = ({ path }: PortCall) => path.includes("bundle.jsonl");
  for (const code of ["short", "ENOSPC"]) {
    const failing = (port: Port) => new FailingPort(port, { failAt: 1, code, methods: ["append"], matches });
    await assert.rejects(run(machine, (port) => exportSessions(store, bundle, { port: failing(port) })));
    assert.deepEqual(
      Object.keys(machine.dump()).filter((path) => path.includes("bundle")),
      [],
    );
  }
});

test("a file that appears at the place of a bundle while it is written is not replaced", async () => {
  const machine = await machineWithStore();
  const exporting = run(machine, (inner) => {
    const port = new HookedPort(inner);
    port.before = ({ method, path }) => {
      if (method === "syncFile" && path.includes("bundle.jsonl")) machine.writeFile(bundle, "somebody's");
    };
    return exportSessions(store, bundle, { port });
  });
  await rejectsWith("conflict", () => exporting);
  assert.equal(machine.readText(bundle), "somebody's");
});

// --- backups -----------------------------------------------------------------------------------------------------------

const backUp = (port: Port) => createBackup(store, "/home/backups", { port });

test("when a backup was made, it is on the disk, with its name", async () => {
  const machine = await machineWithStore();
  const { path } = await run(machine, backUp);
  await run(loseEverythingPending(machine), (port) => verifyBackup(path, { port }));
});

test("a directory that appears at the place of a backup while it is made is not replaced", async () => {
  const machine = await machineWithStore();
  let made = "";
  const making = run(machine, (inner) => {
    const port = new HookedPort(inner);
    port.before = ({ method, path }) => {
      if (method !== "syncDirectory" || made !== "" || !path.includes(".partial-")) return;
      made = path.replace(/\.partial-.*$/, "");
      machine.makeDirectory(made);
    };
    return backUp(port);
  });
  await rejectsWith("conflict", () => making);
  assert.deepEqual(
    Object.keys(machine.dump()).filter((path) => path.startsWith(`${made}/`) && path !== `${made}/`),
    [],
  );
});

test("a backup's manifest that is a link, or larger than any, is not read", async () => {
  const machine = await machineWithStore();
  const { path } = await run(machine, backUp);
  const manifest = `${path}/manifest.json`;
  const verify = (port: Port) => verifyBackup(path, { port });
  const bytes = fixedLimits.manifestBytesMax + 1;
  await assert.rejects(
    run(machine, (port) => verify(oversize(port, "manifest.json", bytes))),
    {
      code: "limit_exceeded",
    },
  );
  machine.rename(manifest, "/home/other/manifest.json");
  machine.makeSymlink("/home/other/manifest.json", manifest);
  await rejectsWith("unsafe_path", () => run(machine, verify));
  machine.unlink(manifest);
  machine.makeHardLink("/home/other/manifest.json", manifest);
  await rejectsWith("unsafe_path", () => run(machine, verify));
});

// Fails when what was restored is not compared with what was verified.
test("a backup that is rewritten between its verification and its restore replaces nothing", async () => {
  const machine = await machineWithStore();
  const { path } = await run(machine, backUp);
  await run(machine, async (port) => {
    await makeStore("/home/other/sessions.d", { ...sessions, a: { n: "forged" } }, port);
    await exportSessions("/home/other/sessions.d", bundle, { port });
  });
  const forged = machine.readFile(bundle);
  const before = await run(machine, (port) => readStore(store, port));
  const restoring = run(machine, (inner) => {
    const port = new HookedPort(inner);
    port.before = ({ method, path: at }) => {
      // The verification is over when the place of the new store is made.
      if (method === "makeDirectory" && at.includes("restore-")) machine.writeFile(`${path}/sessions.jsonl`, forged);
    };
    return restoreBackup(path, store, { replace: true, port });
  });
  await assert.rejects(restoring, (error: { code?: string }) =>
    ["io_error", "invalid_bundle"].includes(`${error.code}`),
  );
  assert.deepEqual(await run(machine, (port) => readStore(store, port)), before);
});

test("a restore waits for whoever creates, migrates, rolls back or restores there", async () => {
  const machine = await machineWithStore();
  const { path } = await run(machine, backUp);
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  const before = Object.keys(machine.dump());
  const restoring = restoreBackup(path, store, { replace: true, port: machine.process("restorer") });
  await machine.advance(1_000);
  assert.deepEqual(Object.keys(machine.dump()), before, "nothing was done");
  holder.kill();
  await machine.settle(restoring);
});

// --- the marker of a rollback ------------------------------------------------------------------------------------------

const marker = "/home/agent/sessions.d.rolled-back";

async function rolledBack(): Promise<SimulatedMachine> {
  const machine = await machineToRollBack();
  await run(machine, (port) => rollbackStore(legacyPath, { port }));
  return machine;
}

function detailsOn(machine: SimulatedMachine, wrap: (port: Port) => Port = (port) => port) {
  const port = wrap(machine.process());
  return readRollbackDetails(port, port.openRoot("/home/agent"), "sessions.d");
}

test("a rollback's marker that is a link, or larger than any, says nothing", async () => {
  const machine = await rolledBack();
  assert.equal(detailsOn(machine)?.legacyFile, "sessions.json");
  const bytes = fixedLimits.manifestBytesMax + 1;
  assert.equal(
    detailsOn(machine, (port) => oversize(port, "sessions.d.rolled-back", bytes)),
    undefined,
  );
  machine.rename(marker, "/home/agent/elsewhere");
  machine.makeHardLink("/home/agent/elsewhere", marker);
  assert.equal(detailsOn(machine), undefined);
});

test("a rollback's marker with paths in place of names, or with fields missing, says nothing", async () => {
  const machine = await rolledBack();
  const fields = JSON.parse(machine.readText(marker));
  for (const name of ["legacyFile", "backupDirectory", "exportFile"]) {
    for (const text of ["../other/sessions.json", "/etc/passwd", "a\\b", "a\0b", ""]) {
      machine.writeFile(marker, JSON.stringify({ ...fields, [name]: text }));
      assert.equal(detailsOn(machine), undefined, `${name}: ${text}`);
    }
  }
  for (const name of ["note", "rolledBackAt", "legacySha256", "storeId", "incarnation", "sessions", "lastVersion"]) {
    machine.writeFile(marker, JSON.stringify({ ...fields, [name]: null }));
    assert.equal(detailsOn(machine), undefined, name);
  }
});
