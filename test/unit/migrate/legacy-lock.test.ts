/**
 * The lock file of a gateway that is still running, around the moments in which the legacy file changes its name: it is
 * waited for, it is held, and where it cannot be had nothing is lost.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { SimulatedMachine } from "../../sim/machine.js";
import type { SimulatedProcess } from "../../sim/simulated-process.js";
import {
  expectedWith,
  legacyPath,
  location,
  machineToRollBack,
  namesIn,
  plainRead,
  rollBackOn,
} from "./rollback-support.js";
import { openAndReadAll, openOrTakeOver, takeOverOptions } from "./support.js";

const lockPath = `${legacyPath}.lock`;
const first = { main: { updatedAt: 1 } };
const later = { main: { updatedAt: 2 }, new: { updatedAt: 2 } };

function machineWith(sessions: object): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 12 });
  machine.makeDirectory("/home/agent");
  write(machine, sessions);
  return machine;
}

function write(machine: SimulatedMachine, sessions: object): void {
  machine.writeFile(legacyPath, JSON.stringify(sessions));
}

function lockAs(machine: SimulatedMachine, { processId, startTime }: SimulatedProcess): void {
  const createdAt = new Date(machine.nowMs).toISOString();
  machine.writeFile(lockPath, JSON.stringify({ pid: processId, createdAt, starttime: startTime }));
}

async function run<T>(machine: SimulatedMachine, program: (port: HookedPort) => Promise<T>): Promise<T> {
  const outcome = await machine.process("ours").run((port) => program(new HookedPort(port)));
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

const readAll = (machine: SimulatedMachine) => run(machine, (port) => openAndReadAll(port, location));
const hasBackup = (machine: SimulatedMachine) => namesIn(machine).some((name) => name.startsWith("sessions.json.bak."));

/** What takes the file over, or merges it, and what it says. */
const ways = {
  "an opening": async (machine: SimulatedMachine): Promise<string> => {
    const messages: string[] = [];
    const logger = { warn: (message: string) => messages.push(message) };
    await run(machine, async (port) => (await openOrTakeOver(port, location, { ...takeOverOptions, logger })).close());
    return messages.join("\n");
  },
  "a migration": async (machine: SimulatedMachine): Promise<string> => {
    const { outcome, warnings } = await run(machine, (port) => migrateStore(legacyPath, { port }));
    assert.equal(outcome, "migrated");
    return warnings.join("\n");
  },
};

for (const [what, visit] of Object.entries(ways)) {
  test(`${what} waits for a gateway that is saving, and takes what it saved`, async () => {
    const machine = machineWith(first);
    const gateway = machine.process("gateway");
    lockAs(machine, gateway);
    gateway.startTimer(700, () => {
      write(machine, later);
      machine.unlink(lockPath);
    });
    await visit(machine);
    assert.deepEqual(Object.fromEntries(await readAll(machine)), later);
    assert.ok(!machine.exists(legacyPath) && !machine.exists(lockPath));
  });

  test(`${what} that cannot have the lock takes the sessions over, leaves the file and says whose lock it is`, async () => {
    const machine = machineWith(first);
    const gateway = machine.process("gateway");
    const renewals = { count: 0 };
    const renew = () => {
      renewals.count += 1;
      lockAs(machine, gateway);
      gateway.startTimer(1_000, renew);
    };
    renew();
    const said = await visit(machine);
    assert.match(said, new RegExp(`cannot be renamed yet .*pid ${gateway.processId}\\b`));
    assert.ok(machine.exists(legacyPath) && machine.exists(lockPath), "neither is ours to take away");
    assert.ok(renewals.count > 4 && renewals.count < 10, `waited ${renewals.count} s`);
    gateway.kill();
    write(machine, later);
    assert.deepEqual(Object.fromEntries(await readAll(machine)), later, "the next opening does the rest");
    assert.ok(!machine.exists(legacyPath) && !machine.exists(lockPath) && hasBackup(machine));
  });

  test(`${what} holds the lock when it renames the file, and gives it back`, async () => {
    const machine = machineWith(first);
    let isHeld: boolean | undefined;
    await run(machine, async (port) => {
      port.before = (call) => {
        if (call.method === "rename" && call.path.includes("sessions.json.bak.")) isHeld = machine.exists(lockPath);
      };
      if (what === "a migration") await migrateStore(legacyPath, { port });
      else await openAndReadAll(port, location);
    });
    assert.deepEqual([isHeld, machine.exists(lockPath)], [true, false]);
  });

  test(`${what} merges what a program without locks wrote at the last moment of the take-over`, async () => {
    const machine = machineWith(first);
    let isWritten = false;
    await run(machine, async (port) => {
      port.before = (call) => {
        if (isWritten || call.method !== "rename" || !call.path.includes("sessions.json.bak.")) return;
        isWritten = true;
        write(machine, later);
      };
      if (what === "a migration") {
        const result = await migrateStore(legacyPath, { port });
        assert.deepEqual([result.outcome, result.merge?.added, result.merge?.replaced], ["migrated", 1, 1]);
      } else await openAndReadAll(port, location);
    });
    assert.ok(isWritten);
    assert.deepEqual(Object.fromEntries(await readAll(machine)), later);
  });

  test(`${what} sets what the json backend knew about the file aside with it`, async () => {
    const machine = machineWith(first);
    machine.writeFile(`${legacyPath}.versions`, "{}");
    await visit(machine);
    const aside = namesIn(machine).filter((name) => name.startsWith("sessions.json.versions"));
    assert.equal(aside.length, 1);
    assert.match(String(aside[0]), /^sessions\.json\.versions\.bak\.\d+$/);
  });

  test(`${what} is not held up by the lock of a process that died, and not led astray by what is no lock file`, async () => {
    const dead = machineWith(first);
    const gateway = dead.process("gateway");
    lockAs(dead, gateway);
    gateway.kill();
    await visit(dead);
    assert.ok(!dead.exists(legacyPath) && !dead.exists(lockPath));

    const odd = machineWith(first);
    odd.makeDirectory(lockPath);
    assert.match(await visit(odd), /cannot be renamed yet/);
    assert.ok(odd.exists(legacyPath) && odd.exists(lockPath));
    assert.deepEqual(Object.fromEntries(await readAll(odd)), first);
  });
}

test("a rollback that cannot have the gateway's lock says whose it is, and the store goes on as it was", async () => {
  const machine = await machineToRollBack();
  const gateway = machine.process("gateway");
  lockAs(machine, gateway);
  const before = namesIn(machine);
  const result = await rollBackOn(machine);
  assert.deepEqual([result.outcome, result.error?.code], ["failed", "lock_timeout"]);
  assert.match(String(result.error?.message), new RegExp(`held by pid ${gateway.processId}\\b`));
  assert.deepEqual(namesIn(machine), before, "nothing is left over");
  const { store } = { store: await readAll(machine) };
  assert.equal(store.size, 4);
  machine.unlink(lockPath);
  assert.equal((await rollBackOn(machine)).outcome, "restored");
});

test("a rollback holds the gateway's lock from its look at the file until the export is in its place", async () => {
  const machine = await machineToRollBack();
  machine.writeFile(legacyPath, '{"stranger":{}}');
  machine.writeFile(`${legacyPath}.versions`, "{}");
  const held: string[] = [];
  const { rollbackStore } = await import("../../../src/migrate/rollback.js");
  const result = await run(machine, (port) => {
    port.before = ({ method, path }) => {
      if (method === "rename" && path.includes("sessions.json") && !path.includes(".lock")) {
        held.push(`${path.slice("/home/agent/".length)} ${machine.exists(lockPath)}`);
      }
    };
    return rollbackStore(legacyPath, { port });
  });
  assert.equal(result.outcome, "restored", JSON.stringify(result));
  assert.ok(held.length >= 3, String(held));
  assert.ok(
    held.every((what) => what.endsWith(" true")),
    String(held),
  );
  assert.ok(!machine.exists(lockPath));
  assert.equal(plainRead(machine), expectedWith({ stranger: {} }));
  assert.equal(namesIn(machine).filter((name) => name === "sessions.json.versions").length, 0);
});
