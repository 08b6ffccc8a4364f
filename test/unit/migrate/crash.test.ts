/**
 * Kills the process, or cuts the power, at every port call of a take-over on the simulated machine, then opens the store
 * again: either the legacy file or the complete directory is authoritative, and every session is there.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { createOrTakeOver } from "../../../src/migrate/take-over.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { crashTwice, everyCrash } from "./every-crash.js";
import { locationOf, openAndReadAll, openOrTakeOver, takeOverOptions } from "./support.js";
import { checkReopened, inOrder, location, machineWithLegacyFile } from "./take-over-scene.js";

const powerLossesPerCall = 4;

async function countCalls(fileSystem: "ordered" | "weak"): Promise<number> {
  const machine = machineWithLegacyFile(fileSystem);
  const process = machine.process();
  const outcome = await process.run((port) => createOrTakeOver(port, location, takeOverOptions));
  assert.equal(outcome.status, "returned");
  assert.deepEqual(machine.openHandles(), []);
  return process.calls;
}

const takeOver = (port: Port) => createOrTakeOver(port, location, takeOverOptions);
const openAndClose = async (port: Port) => (await openOrTakeOver(port, location)).close();

for (const fileSystem of ["ordered", "weak"] as const) {
  describe(`on a file system with ${fileSystem} names`, () => {
    test("a kill at any port call of a take-over loses nothing, and the next opening completes it", async () => {
      const calls = await countCalls(fileSystem);
      assert.ok(calls > 60, `${calls} calls`);
      for (let at = 1; at <= calls + 1; at += 1) {
        const machine = machineWithLegacyFile(fileSystem);
        const process = machine.process();
        process.crashAfter(at, { tear: at % 2 === 0 });
        const outcome = await process.run((port) => createOrTakeOver(port, location, takeOverOptions));
        assert.equal(outcome.status, at <= calls ? "killed" : "returned", `call ${at}`);
        await checkReopened(machine.fork(), `killed at call ${at}`);
      }
    });

    test("a power loss at any port call of a take-over loses nothing, and the next opening completes it", async () => {
      const calls = await countCalls(fileSystem);
      const random = new SeededRandom(11);
      for (let at = 1; at <= calls + 1; at += 1) {
        const machine = machineWithLegacyFile(fileSystem);
        machine.crashAfter(at);
        await machine.process().run((port) => createOrTakeOver(port, location, takeOverOptions));
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          await checkReopened(machine.powerLoss(random), `power loss ${image} at call ${at}`);
        }
      }
    });

    test("a commit to a store whose creator died outlives a power loss, and so do the directories above it", async () => {
      const deep = locationOf("/home/agent/a/b/sessions.json");
      const random = new SeededRandom(13);
      const machineWithout = () => {
        const machine = new SimulatedMachine({ seed: 4, fileSystem });
        machine.makeDirectory("/home/agent");
        return machine;
      };
      const counting = machineWithout().process();
      await counting.run((port) => createOrTakeOver(port, deep, takeOverOptions));
      for (let at = 1; at <= counting.calls + 1; at += 1) {
        // Somebody dies while creating it; the next one opens it and is told that its commit is durable; the power goes.
        const machine = machineWithout();
        const creator = machine.process();
        creator.crashAfter(at);
        await creator.run((port) => createOrTakeOver(port, deep, takeOverOptions));
        const writer = await machine.process().run(async (port) => {
          const backend = await openOrTakeOver(port, deep);
          const entry = freezeParsedJson({ n: 1 });
          await backend.commit({ operations: [{ type: "put", key: "main", entry }], expected: new Map() });
        });
        if (writer.status === "failed") throw new Error(`call ${at}`, { cause: writer.error });
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          const opened = await machine
            .powerLoss(random)
            .process()
            .run((port) => openAndReadAll(port, deep));
          if (opened.status === "failed") throw new Error(`call ${at}`, { cause: opened.error });
          assert.ok(opened.status === "returned");
          assert.equal(inOrder(opened.value), '[["main",{"n":1}]]', `call ${at}`);
        }
      }
    });
  });
}

// On weak names only: they allow every disk that ordered ones do.
test("a second crash at any call, whatever the first one left, loses nothing either", async () => {
  const scene = { machine: machineWithLegacyFile("weak"), program: takeOver, recovery: openAndClose };
  const crashes = { random: new SeededRandom(12), powerLosses: [2, 2] } as const;
  const { first, second } = await crashTwice({ ...scene, check: checkReopened }, crashes);
  assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
});

// Found by the long run (a take-over, weak names, killed at call 73, then killed between the rename and the sync of the next
// one): the second process removed the staging tree of the first one, and put its own into place, before the removal was on
// the disk. The power loss brought the tree back, beside a complete store, where nobody looks for it.
test("what the dead left is gone from the disk before a store appears", async () => {
  const machine = machineWithLegacyFile("weak");
  const first = machine.process("first");
  first.crashAfter(73);
  assert.equal((await first.run(takeOver)).status, "killed");
  const options = { random: new SeededRandom(1), powerLosses: 10, seen: new Set<string>(), isFollowed: false };
  for (const { image, where } of await everyCrash(machine, openAndClose, "the next opening ", options)) {
    await checkReopened(image, where);
  }
});
