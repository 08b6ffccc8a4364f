/**
 * Kills the process, or cuts the power, at every port call of a merge, of an import of a directory in OpenClaw's layout,
 * and of a creation where a foreign directory makes way - and again while the next opening recovers. Afterwards every
 * session is there, every original is kept, and nothing is left over.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../sim/random.js";
import { checkReopened, countCalls, machineFor, programOf, scenes } from "./crash-scenes.js";

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

for (const fileSystem of ["ordered", "weak"] as const) {
  for (const [name, scene] of Object.entries(scenes)) {
    describe(`${name} on a file system with ${fileSystem} names`, () => {
      test("a power loss at any port call loses nothing, and the next opening completes it", async () => {
        const calls = await countCalls(scene, fileSystem);
        const random = new SeededRandom(21);
        for (let at = 1; at <= calls + 1; at += 1) {
          const machine = await machineFor(scene, fileSystem);
          machine.crashAfter(at);
          await machine.process().run(programOf(scene));
          for (let image = 0; image < powerLossesPerCall; image += 1) {
            await checkReopened(machine.powerLoss(random), scene, `power loss ${image} at call ${at}`);
          }
        }
      });

      test("a second crash while the first one is recovered from loses nothing either", async () => {
        const calls = await countCalls(scene, fileSystem);
        const random = new SeededRandom(22);
        // Every second call on each kind of file system: together all of them.
        for (let at = fileSystem === "weak" ? 1 : 2; at <= calls; at += 2) {
          const first = await machineFor(scene, fileSystem);
          first.crashAfter(at);
          await first.process().run(programOf(scene));
          const second = random.chance(0.5) ? first.fork() : first.powerLoss(random);
          const then = 1 + random.below(calls);
          second.crashAfter(then);
          await second.process().run(programOf(scene));
          const third = random.chance(0.5) ? second.fork() : second.powerLoss(random);
          await checkReopened(third, scene, `crashes at call ${at}, then ${then}`);
        }
      });
    });
  }
}
