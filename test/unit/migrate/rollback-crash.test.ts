/**
 * Kills the process, or cuts the power, at every port call of a rollback on the simulated machine, and again at every
 * call of what settles it. Then either the complete directory or the complete legacy file counts - the same one for us
 * and for a program that knows only the file - and every session is there.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { crashTwice } from "./every-crash.js";
import { checkRollback as check } from "./rollback-scene.js";
import { legacyPath, location, machineToRollBack } from "./rollback-support.js";
import { openAndReadAll, openOrTakeOver } from "./support.js";

const powerLossesPerCall = 3;

const rollBack = (port: Port) => rollbackStore(legacyPath, { port });
const openAndClose = async (port: Port) => (await openOrTakeOver(port, location)).close();

async function countCalls(machine: SimulatedMachine): Promise<number> {
  const process = machine.process();
  const outcome = await process.run<unknown>(rollBack);
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  return process.calls;
}

/** The machine after a rollback that ended at this call. */
async function interrupted(fresh: SimulatedMachine, at: number, tear: boolean): Promise<SimulatedMachine> {
  const machine = fresh.fork();
  const process = machine.process("rollback");
  process.crashAfter(at, { tear });
  await process.run(rollBack);
  return machine;
}

for (const fileSystem of ["ordered", "weak"] as const) {
  describe(`on a file system with ${fileSystem} names`, () => {
    test("a kill at any port call of a rollback leaves one complete store", async () => {
      const fresh = await machineToRollBack(fileSystem);
      const calls = await countCalls(fresh.fork());
      assert.ok(calls > 100, `${calls} calls`);
      for (let at = 1; at <= calls + 1; at += 1) {
        await check((await interrupted(fresh, at, at % 2 === 0)).fork(), `killed at call ${at} of ${calls}`);
      }
    });

    test("a power loss at any port call of a rollback leaves one complete store", async () => {
      const fresh = await machineToRollBack(fileSystem);
      const calls = await countCalls(fresh.fork());
      const random = new SeededRandom(21);
      for (let at = 1; at <= calls + 1; at += 1) {
        const machine = await interrupted(fresh, at, at % 2 === 0);
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          await check(machine.powerLoss(random), `power loss ${image} at call ${at} of ${calls}`);
        }
      }
    });
  });
}

// On weak names only: they allow every disk that ordered ones do.
const recoveries = { "the next opening": openAndClose, "the rollback that is run again": rollBack };
for (const [name, recovery] of Object.entries(recoveries)) {
  test(`a second kill or power loss, at any call of ${name}, leaves one complete store`, async () => {
    const scene = { machine: await machineToRollBack("weak"), program: rollBack, recovery, check };
    const crashes = { random: new SeededRandom(22), powerLosses: [1, 1] } as const;
    const { first, second } = await crashTwice(scene, crashes);
    assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
  });
}

test("what an older program wrote beside the store is served after a second power loss, at any call of what comes next", async () => {
  const machine = await machineToRollBack("weak");
  machine.writeFile(legacyPath, JSON.stringify({ late: { updatedAt: 9 } }));
  const served = async (left: SimulatedMachine, what: string) => {
    const outcome = await left.process("last").run((port) => openAndReadAll(port, location));
    assert.ok(outcome.status === "returned", `${what}: ${outcome.status}`);
    assert.deepEqual(outcome.value.get("late"), { updatedAt: 9 }, what);
  };
  const scene = { machine, program: rollBack, recovery: openAndClose, check: served };
  const crashes = { random: new SeededRandom(23), powerLosses: [1, 2] } as const;
  const { first, second } = await crashTwice(scene, crashes);
  assert.ok(first > 20 && second > 20, `${first} disks after one crash, ${second} after two`);
});
