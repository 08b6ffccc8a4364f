/**
 * Kills the process, or cuts the power, at every port call of a merge, of an import of a directory in OpenClaw's layout,
 * and of a creation where a foreign directory makes way - and again while the next opening recovers. Afterwards every
 * session is there, every original is kept, and nothing is left over.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { checkReopened, countCalls, machineFor, programOf, scenes } from "./crash-scenes.js";
import { crashTwice } from "./every-crash.js";

const powerLossesPerCall = 2;

for (const [name, scene] of Object.entries(scenes)) {
  test(`${name}: a kill at any port call loses nothing, and the next opening completes it`, async () => {
    const calls = await countCalls(scene, "ordered");
    assert.ok(calls > 60, `${calls} calls`);
    for (let at = 1; at <= calls + 1; at += 1) {
      const machine = await machineFor(scene, "ordered");
      const process = machine.process();
      process.crashAfter(at, { tear: at % 2 === 0 });
      const outcome = await process.run(programOf(scene));
      assert.equal(outcome.status, at <= calls ? "killed" : "returned", `call ${at}`);
      await checkReopened(machine.fork(), scene, `killed at call ${at}`);
    }
  });
}

// On ordered names at every other call: weak ones allow every disk that these do.
for (const [fileSystem, step] of [
  ["ordered", 2],
  ["weak", 1],
] as const) {
  for (const [name, scene] of Object.entries(scenes)) {
    describe(`${name} on a file system with ${fileSystem} names`, () => {
      test(`a power loss at ${step === 1 ? "any" : "every other"} port call loses nothing, and the next opening completes it`, async () => {
        const calls = await countCalls(scene, fileSystem);
        const random = new SeededRandom(21);
        for (let at = 1; at <= calls + 1; at += step) {
          const machine = await machineFor(scene, fileSystem);
          machine.crashAfter(at);
          await machine.process().run(programOf(scene));
          for (let image = 0; image < powerLossesPerCall; image += 1) {
            await checkReopened(machine.powerLoss(random), scene, `power loss ${image} at call ${at}`);
          }
        }
      });
    });
  }
}

// On weak names only.
for (const [name, scene] of Object.entries(scenes)) {
  test(`${name}: a second crash at any call, whatever the first one left, loses nothing either`, async () => {
    const machine = await machineFor(scene, "weak");
    const program = programOf(scene);
    const check = (left: SimulatedMachine, what: string) => checkReopened(left, scene, what);
    const crashes = { random: new SeededRandom(22), powerLosses: [1, 1] } as const;
    const { first, second } = await crashTwice({ machine, program, recovery: program, check }, crashes);
    assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
  });
}
