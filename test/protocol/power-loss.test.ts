/**
 * One process works, and is cut off at every single port call: by a power loss (many images of each moment, on a disk
 * that keeps the order of names and on one that does not), or by its death alone. Then recovery, itself cut off too.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import {
  commitPatch,
  commitPut,
  filesIn,
  HookedPort,
  makeMachine,
  openStore,
  readStore,
  start,
} from "./simulated-store.js";
import { Ledger, runWorkload, workloadOptions } from "./workload.js";

/** Calls that change nothing on the disk: the moments before and after them are the same. */
const changesNothing = new Set([
  "nowMs",
  "monotonicMs",
  "random",
  "randomBytes",
  "nap",
  "stat",
  "statName",
  "read",
  "list",
]);

/** Runs the workload and calls `look` before every port call that may find the disk changed since the last one. */
async function lookAtEveryMoment(
  machine: SimulatedMachine,
  look: (call: string, ledger: Ledger) => void,
): Promise<{ ledger: Ledger; machine: SimulatedMachine }> {
  const ledger = new Ledger();
  const process = machine.process("worker");
  const port = new HookedPort(process);
  let seen = "";
  port.before = (call) => {
    if (changesNothing.has(call.method)) return;
    const { disk } = machine;
    const now = `${disk.sequence} ${disk.pendingNames.length} ${ledger.doneCount} ${pendingBytes(machine)}`;
    if (now === seen) return;
    seen = now;
    look(`call ${process.calls} (${call.method} ${call.path})`, ledger.copy());
  };
  const outcome = await process.run(() => runWorkload(port, ledger, (error) => assert.fail(error)));
  if (outcome.status === "failed") throw outcome.error;
  assert.deepEqual(process.openHandles(), []);
  assert.deepEqual(machine.misuses, []);
  return { ledger, machine };
}

function pendingBytes(machine: SimulatedMachine): number {
  const durable = machine.snapshotDurable();
  return Object.values(durable).reduce((sum, text) => sum + text.length, 0);
}

for (const fileSystem of ["ordered", "weak"] as const) {
  // Fails without the sync in `writeTemporaryFile`, and without those at the end of `StateWriter.write`.
  test(`power loss at every port call loses nothing that was acknowledged (${fileSystem} names)`, async () => {
    const random = new SeededRandom(fileSystem === "weak" ? 41 : 42);
    const images: { image: SimulatedMachine; ledger: Ledger; where: string }[] = [];
    const machine = await makeMachine({ fileSystem });
    const { ledger } = await lookAtEveryMoment(machine, (where, atThatTime) => {
      for (let drawn = 0; drawn < 8; drawn++) {
        images.push({ image: machine.powerLoss(random), ledger: atThatTime, where: `${where}, image ${drawn}` });
      }
    });
    assert.equal(ledger.possibleStates().length, 1);
    assert.ok(images.length > 1_000, `only ${images.length} images`);
    for (const [number, { image, ledger, where }] of images.entries()) {
      const state = await readOrFail(image, where);
      ledger.assertPossible(state, where);
      if (number % 5 === 0) await goOn(image, state, where);
    }
  });
}

// Fails without `createSuccessor` in `settleJournalEnd`.
test("the death of the process at every port call costs nothing, and the next one opens without repair", async () => {
  const images: { image: SimulatedMachine; ledger: Ledger; where: string }[] = [];
  const machine = await makeMachine();
  await lookAtEveryMoment(machine, (where, ledger) => images.push({ image: machine.fork(), ledger, where }));
  assert.ok(images.length > 120, `only ${images.length} moments`);
  for (const { image, ledger, where } of images) {
    ledger.assertPossible(await readOrFail(image.fork(), `${where}, read-only`, true), `${where}, read-only`);
    const state = await readOrFail(image.fork(), where);
    ledger.assertPossible(state, where);
    await goOn(image, state, where);
    assert.equal(filesIn(image, "quarantine").size, 0, `${where}: something had to be set aside`);
  }
});

// Fails without `cutTail` in `settleJournalEnd`.
test("the death of the process in the middle of every append costs nothing", async () => {
  const base = await makeMachine();
  const appends: number[] = [];
  const counting = base.fork();
  const counted = counting.process("worker");
  const port = new HookedPort(counted);
  port.before = (call) => {
    if (call.method === "append") appends.push(counted.calls + 1);
  };
  await counted.run(() => runWorkload(port, new Ledger(), (error) => assert.fail(error)));
  assert.ok(appends.length > 30, `only ${appends.length} appends`);
  for (const at of appends) {
    const machine = base.fork();
    const process = machine.process("worker");
    process.crashAfter(at, { tear: true });
    const ledger = new Ledger();
    const outcome = await process.run((port) => runWorkload(port, ledger, () => {}));
    assert.equal(outcome.status, "killed");
    const where = `append at call ${at}`;
    ledger.assertPossible(await readOrFail(machine.powerLoss(new SeededRandom(at)), where), `${where}, power loss`);
    const state = await readOrFail(machine.fork(), where);
    ledger.assertPossible(state, where);
    await goOn(machine, state, where);
  }
});

// Fails when recovery cuts or renames before it has made durable what it relies on.
test("recovery that is cut off at every port call is finished by the next one", async () => {
  const random = new SeededRandom(77);
  const images: { image: SimulatedMachine; ledger: Ledger; where: string }[] = [];
  const machine = await makeMachine({ fileSystem: "weak" });
  await lookAtEveryMoment(machine, (where, ledger) => {
    if (random.chance(0.15)) images.push({ image: machine.powerLoss(random), ledger, where });
  });
  assert.ok(images.length >= 10);
  let cuts = 0;
  for (const { image, ledger, where } of images.slice(0, 16)) {
    for (let at = 1 + random.below(7); ; at += 1 + random.below(14)) {
      const cut = image.fork();
      const process = cut.process("recovering");
      process.crashAfter(at, { tear: true });
      const outcome = await process.run(async (port) => (await openStore(port, workloadOptions)).close());
      if (outcome.status === "returned") break;
      assert.equal(outcome.status, "killed", `${where}, recovery ${at}`);
      cuts += 1;
      const rebooted = random.chance(0.7) ? cut.powerLoss(random) : cut.fork();
      ledger.assertPossible(await readOrFail(rebooted, `${where}, recovery ${at}`), `${where}, recovery ${at}`);
    }
  }
  assert.ok(cuts > 100, `only ${cuts} cuts`);
});

/** Changes every session: versions that are given out again must meet nothing that still bears them. */
async function goOn(machine: SimulatedMachine, state: Record<string, unknown>, where: string): Promise<void> {
  const store = await start(machine, "going on", workloadOptions);
  for (const key of Object.keys(state)) await commitPatch(machine, store, key, "after", where);
  await commitPut(machine, store, "new", where);
  await machine.settle(store.backend.close());
  const expected = Object.entries(state).map(([key, entry]) => [key, { ...(entry as object), after: where }]);
  assert.deepEqual(
    await readOrFail(machine, where),
    Object.fromEntries([...expected, ["new", { value: where }]]),
    where,
  );
}

async function readOrFail(image: SimulatedMachine, where: string, readOnly = false): Promise<Record<string, unknown>> {
  try {
    return await readStore(image, { ...workloadOptions, readOnly });
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}
