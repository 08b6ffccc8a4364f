/**
 * Kills the process, or cuts the power, at every port call of a take-over on the simulated machine, then opens the store
 * again: either the legacy file or the complete directory is authoritative, and every session is there.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOrTakeOver } from "../../../src/migrate/take-over.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
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

interface CrashImage {
  readonly image: SimulatedMachine;
  readonly where: string;
}

/** What a kill or a power loss at each call leaves on the disk, each different disk once. */
async function imagesAfterOneCrash(fileSystem: "ordered" | "weak", random: SeededRandom): Promise<CrashImage[]> {
  const calls = await countCalls(fileSystem);
  const images = new Map<string, CrashImage>();
  for (let at = 1; at <= calls; at += 1) {
    const first = machineWithLegacyFile(fileSystem);
    first.crashAfter(at);
    await first.process().run((port) => createOrTakeOver(port, location, takeOverOptions));
    for (const image of [first.fork(), first.powerLoss(random)]) {
      const disk = shapeOf(image);
      if (!images.has(disk)) images.set(disk, { image, where: `a crash at call ${at}` });
    }
  }
  return [...images.values()];
}

/** A timer's callback may be the call that dies; its error has nobody else to go to. */
function ignoreDeathInTimer(error: unknown): void {
  if ((error as Error).name !== "ProcessKilled") throw error;
}

/** Names and contents; names that are drawn at random are all alike. */
function shapeOf(machine: SimulatedMachine): string {
  return JSON.stringify(machine.dump()).replaceAll(
    /staging-[0-9a-f]+|\.bak\.\d+|[0-9a-f]{32}|"(?:time|createdMs|migratedAtMs|timeMs)\\?": ?\d+/g,
    "",
  );
}

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
  const random = new SeededRandom(12);
  const looked = new Set<string>();
  let runs = 0;
  for (const { image, where } of await imagesAfterOneCrash("weak", random)) {
    const counting = image.fork().process();
    await counting.run((port) => openAndReadAll(port, location));
    for (let then = 1; then <= counting.calls; then += 1) {
      const second = image.fork();
      second.crashAfter(then);
      await second
        .process()
        .run((port) => openAndReadAll(port, location))
        .catch(ignoreDeathInTimer);
      runs += 1;
      for (const third of [second.fork(), second.powerLoss(random)]) {
        const disk = shapeOf(third);
        if (looked.has(disk)) continue;
        looked.add(disk);
        await checkReopened(third, `${where}, then a crash at call ${then}`);
      }
    }
  }
  assert.ok(runs > 1_000 && looked.size > 20, `${runs} runs, ${looked.size} different disks`);
});
