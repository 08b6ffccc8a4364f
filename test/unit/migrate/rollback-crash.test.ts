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
import {
  commit,
  expectedText,
  inOrder,
  legacyPath,
  location,
  machineToRollBack,
  namesIn,
  plainRead,
  put,
  rollBackOn,
} from "./rollback-support.js";
import { openAndReadAll, openOrTakeOver } from "./support.js";

const powerLossesPerCall = 3;

/** Everything that must hold wherever a rollback was interrupted. */
async function check(machine: SimulatedMachine, what: string): Promise<void> {
  const names = namesIn(machine);
  const hasFile = names.includes("sessions.json");
  assert.ok(hasFile || names.includes("sessions.d"), `${what}: there is no moment without a store: ${names}`);
  // As soon as a program that knows only the file sees one, it sees every session.
  if (hasFile) assert.equal(plainRead(machine), expectedText, what);
  const originals = names.filter((name) => name.startsWith("sessions.json.bak."));
  assert.equal(originals.length, 1, `${what}: the original of the migration is untouched: ${names}`);

  // The next opener finds every session and can write; what it writes is in the one store that counts.
  const opened = machine.fork();
  const outcome = await opened.process("next").run(async (port) => {
    const found = await openAndReadAll(port, location);
    const backend = await openOrTakeOver(port, location);
    await commit(backend, put("after", { n: 5 }));
    await backend.close();
    return found;
  });
  if (outcome.status === "failed") throw new Error(what, { cause: outcome.error });
  assert.ok(outcome.status === "returned", what);
  assert.equal(inOrder(outcome.value), expectedText, what);
  assert.deepEqual(opened.openHandles(), [], `${what}: everything is closed`);
  const left = namesIn(opened);
  assert.ok(
    !left.some((name) => name.endsWith(".tmp") && name.includes("rollback-")),
    `${what}: nothing is left over: ${left}`,
  );

  // Whoever asks again for the rollback gets it, with what was written since.
  const again = machine.fork();
  const result = await rollBackOn(again);
  assert.ok(
    result.outcome === "restored" || result.reason === "it was rolled back already",
    `${what}: ${JSON.stringify(result)}`,
  );
  assert.equal(plainRead(again), expectedText, what);
  const after = namesIn(again);
  assert.ok(!after.includes("sessions.d") && after.includes("sessions.d.rolled-back"), `${what}: ${after}`);
  assert.equal(after.filter((name) => name.startsWith("sessions.d.bak.")).length, 1, `${what}: ${after}`);
  assert.ok(!after.some((name) => name.endsWith(".tmp")), `${what}: nothing is left over: ${after}`);
  assert.deepEqual(again.misuses, [], what);
}

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
