/**
 * Kills the process, or cuts the power, at every port call of a rollback on the simulated machine, and again at every
 * call of what settles it. Then either the complete directory or the complete legacy file counts - the same one for us
 * and for a program that knows only the file - and every session is there.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultLimits } from "../../../src/limits.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { settleFence } from "../../../src/migrate/rollback-recovery.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { checkRollback as check } from "./rollback-scene.js";
import { legacyPath, location, machineToRollBack } from "./rollback-support.js";
import type { openOrTakeOver } from "./support.js";

const powerLossesPerCall = 3;

const rollBack = (port: Parameters<typeof openOrTakeOver>[0]) => rollbackStore(legacyPath, { port });
const settle = (port: Parameters<typeof openOrTakeOver>[0]) => settleFence(port, location, defaultLimits, undefined);

async function countCalls(machine: SimulatedMachine, program: typeof rollBack | typeof settle): Promise<number> {
  const process = machine.process();
  const outcome = await process.run<unknown>(program);
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
      const calls = await countCalls(fresh.fork(), rollBack);
      assert.ok(calls > 100, `${calls} calls`);
      for (let at = 1; at <= calls + 1; at += 1) {
        await check((await interrupted(fresh, at, at % 2 === 0)).fork(), `killed at call ${at} of ${calls}`);
      }
    });

    test("a power loss at any port call of a rollback leaves one complete store", async () => {
      const fresh = await machineToRollBack(fileSystem);
      const calls = await countCalls(fresh.fork(), rollBack);
      const random = new SeededRandom(21);
      for (let at = 1; at <= calls + 1; at += 1) {
        const machine = await interrupted(fresh, at, at % 2 === 0);
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          await check(machine.powerLoss(random), `power loss ${image} at call ${at} of ${calls}`);
        }
      }
    });

    test("a second kill or power loss, at any call of what settles the first, leaves one complete store", async () => {
      const fresh = await machineToRollBack(fileSystem);
      const calls = await countCalls(fresh.fork(), rollBack);
      const random = new SeededRandom(22);
      // States on the disk differ only from one change of it to the next.
      let lastDump = "";
      let recoveries = 0;
      for (let at = 1; at <= calls + 1; at += 1) {
        const first = await interrupted(fresh, at, false);
        const dump = JSON.stringify(first.dump());
        if (dump === lastDump) continue;
        lastDump = dump;
        const crashed = random.chance(0.5) ? first.fork() : first.powerLoss(random);
        const settling = await countCalls(crashed.fork(), settle);
        for (let then = 1; then <= settling; then += 1) {
          const second = crashed.fork();
          const process = second.process("settler");
          process.crashAfter(then);
          await process.run(settle);
          recoveries += 1;
          const third = then % 2 === 0 ? second.fork() : second.powerLoss(random);
          await check(third, `crashes at call ${at}, then at ${then} of ${settling}`);
        }
      }
      assert.ok(recoveries > 200, `${recoveries} recoveries`);
    });
  });
}
