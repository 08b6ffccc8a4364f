/** A store whose rollback, or whose replacement by a backup, was interrupted: what each command says about it, and does. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DirectoryBackend } from "../../../src/backends/directory/backend.js";
import { repairStore } from "../../../src/backends/directory/repair.js";
import type { Finding } from "../../../src/contract.js";
import type { Port } from "../../../src/fs/port.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import * as restores from "../transfer/restore-scene.js";
import { expectedText, inOrder, legacyPath, location, machineToRollBack, namesIn } from "./rollback-support.js";
import { openAndReadAll, rejectsWith } from "./support.js";

/** The machine after a rollback that was killed right before it renamed something to this name. */
async function killedBefore(name: string): Promise<SimulatedMachine> {
  const machine = await machineToRollBack();
  const process = machine.process("rollback");
  const outcome = await process.run((inner) => {
    const port = new HookedPort(inner);
    const target = new RegExp(name);
    const rename = port.rename.bind(port);
    port.rename = (from, fromName, to, toName) => {
      if (target.test(toName)) process.kill();
      return rename(from, fromName, to, toName);
    };
    return rollbackStore(legacyPath, { port });
  });
  assert.equal(outcome.status, "killed");
  return machine.fork();
}

const notPublished = () => killedBefore("^sessions\\.json$");
const published = () => killedBefore("^sessions\\.d\\.bak\\.");

async function run<T>(machine: SimulatedMachine, program: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

test("verify, by who had the store open, reports the fence and no damage, and says what to do", async () => {
  for (const make of [notPublished, published]) {
    const machine = await machineToRollBack();
    const reader = machine.process("reader");
    const options = { ...checkOpenOptions({}), readOnly: true };
    const backend = await machine.settle(DirectoryBackend.open(reader, location, options));
    const roller = machine.process("rollback");
    const target = make === published ? /^sessions\.d\.bak\./ : /^sessions\.json$/;
    await roller.run((inner) => {
      const port = new HookedPort(inner);
      const rename = port.rename.bind(port);
      port.rename = (from, fromName, to, toName) => {
        if (target.test(toName)) roller.kill();
        return rename(from, fromName, to, toName);
      };
      return rollbackStore(legacyPath, { port });
    });
    const findings: Finding[] = [];
    const look = async () => {
      for await (const finding of backend.check()) findings.push(finding);
    };
    await machine.settle(look());
    assert.deepEqual(
      findings.map(({ severity, code }) => `${severity} ${code}`),
      ["error store_fenced"],
    );
    assert.match(`${findings[0]?.message} ${findings[0]?.nextStep}`, /being rolled back.*sessiondir rollback/);
  }
});

test("repair refuses a fenced store, names what settles it, and changes nothing", async () => {
  for (const make of [notPublished, published]) {
    const machine = await make();
    const before = JSON.stringify(machine.dump());
    for (const dryRun of [true, false]) {
      const error = await rejectsWith(
        "store_fenced",
        run(machine, (port) => repairStore(legacyPath, { dryRun, port })),
      );
      assert.match(error.message, /finishes or undoes.*`sessiondir rollback`/);
    }
    assert.equal(JSON.stringify(machine.dump()), before);
  }
});

test("a dry run of a migration predicts what becomes of an interrupted rollback, as the real run does it", async () => {
  for (const [make, withFile] of [
    [notPublished, false],
    [notPublished, true],
    [published, false],
  ] as const) {
    for (const force of [false, true]) {
      const machine = await make();
      if (withFile) machine.writeFile(legacyPath, "{}");
      const before = JSON.stringify(machine.dump());
      const dry = await run(machine, (port) => migrateStore(legacyPath, { dryRun: true, force, port }));
      assert.equal(JSON.stringify(machine.dump()), before, "a dry run changes nothing");
      const real = await run(machine, (port) => migrateStore(legacyPath, { force, port }));
      const what = `${make.name} ${withFile} ${force}`;
      assert.deepEqual([dry.outcome, dry.error?.code], [real.outcome, real.error?.code], what);
      assert.deepEqual([dry.legacyEntries, dry.migratedEntries], [real.legacyEntries, real.migratedEntries], what);
      assert.equal(inOrder(await run(machine, (port) => openAndReadAll(port, location))), expectedText, what);
    }
  }
});

test("a reader of a store that a restore was about to replace is told so, and a writer gets the store back", async () => {
  const [machine, backup] = await restores.prepare("ordered", true);
  const process = machine.process("restore");
  await process.run((inner) => {
    const port = new HookedPort(inner);
    const rename = port.rename.bind(port);
    port.rename = (from, fromName, to, toName) => {
      if (/^sessions\.d\.bak\./.test(toName)) process.kill();
      return rename(from, fromName, to, toName);
    };
    return restoreBackup(backup, restores.store, { replace: true, port });
  });
  const crashed = machine.fork();
  const options = { ...checkOpenOptions({}), readOnly: true };
  const error = await rejectsWith(
    "store_fenced",
    run(crashed, (port) => openBackend(port, restores.store, options)),
  );
  assert.match(error.message, /a backup is being restored in the place of this store/);
  assert.doesNotMatch(error.message, /roll/);
  const messages: string[] = [];
  const logger = { warn: (message: string) => messages.push(message) };
  await run(crashed, async (port) => {
    await (await openBackend(port, restores.store, { ...checkOpenOptions({}), logger })).close();
  });
  assert.match(messages.join(), /restore, was interrupted .*undone/);
  assert.equal(await restores.readAt(crashed, restores.store), restores.before);
});

for (const [what, layOut] of Object.entries({
  "an empty directory": () => {},
  "a directory of another program": (machine: SimulatedMachine) =>
    machine.writeFile("/home/agent/sessions.d/readme.txt", "mine"),
})) {
  test(`${what} at the place of a store that was rolled back is refused, until it is forced`, async () => {
    const machine = await machineToRollBack();
    await run(machine, (port) => rollbackStore(legacyPath, { port }));
    machine.makeDirectory("/home/agent/sessions.d", { mode: 0o700 });
    layOut(machine);
    const before = namesIn(machine);
    const error = await rejectsWith(
      "legacy_store",
      run(machine, (port) => openAndReadAll(port, location)),
    );
    assert.match(error.message, /a directory that is no store lies at sessions\.d.*migrate --force/s);
    const refused = await run(machine, (port) => migrateStore(legacyPath, { port }));
    assert.equal(refused.error?.code, "legacy_store");
    assert.deepEqual(namesIn(machine), before);
    const dry = await run(machine, (port) => migrateStore(legacyPath, { force: true, dryRun: true, port }));
    const forced = await run(machine, (port) => migrateStore(legacyPath, { force: true, port }));
    assert.deepEqual([dry.outcome, forced.outcome], ["migrated", "migrated"]);
    assert.equal(inOrder(await run(machine, (port) => openAndReadAll(port, location))), expectedText);
    const names = namesIn(machine);
    assert.ok(
      names.some((name) => name.startsWith("sessions.d.orphan.")),
      String(names),
    );
    assert.ok(
      names.some((name) => name.startsWith("sessions.d.rolled-back.bak.")) && !names.includes("sessions.d.rolled-back"),
    );
  });
}
