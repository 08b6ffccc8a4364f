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

const legacyPath = "/home/agent/sessions.json";
const location = locationOf(legacyPath);
const legacyText =
  '{"Main":{"updatedAt":1,"n":1},"main":{"updatedAt":2,"n":2},"__proto__":{"n":3},"Ünï":{"text":"🦞"}}';
const sessions = '[["__proto__",{"n":3}],["main",{"updatedAt":2,"n":2}],["ünï",{"text":"🦞"}]]';
const powerLossesPerCall = 4;

function machineWithLegacyFile(fileSystem: "ordered" | "weak"): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 3, fileSystem });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, legacyText);
  return machine;
}

function inOrder(found: Map<string, unknown>): string {
  return JSON.stringify([...found].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function namesIn(machine: SimulatedMachine, directory: string): string[] {
  const names = Object.keys(machine.dump()).filter((path) => path.startsWith(`${directory}/`));
  return [...new Set(names.map((path) => path.slice(directory.length + 1).split("/")[0] as string))];
}

async function checkReopened(machine: SimulatedMachine, what: string): Promise<void> {
  const names = namesIn(machine, "/home/agent");
  const originals = names.filter((name) => name === "sessions.json" || name.startsWith("sessions.json.bak."));
  assert.equal(originals.length, 1, `${what}: the original is there, once: ${names}`);
  assert.equal(machine.readText(`/home/agent/${originals[0]}`), legacyText, `${what}: and as it was`);
  if (originals[0] !== "sessions.json") assert.ok(names.includes("sessions.d"), `${what}: a backup has its store`);

  const outcome = await machine.process("next").run((port) => openAndReadAll(port, location));
  if (outcome.status === "failed") throw new Error(what, { cause: outcome.error });
  assert.equal(outcome.status, "returned", what);
  if (outcome.status === "returned") assert.equal(inOrder(outcome.value), sessions, what);
  const after = namesIn(machine, "/home/agent");
  assert.ok(!after.includes("sessions.json"), `${what}: the original was renamed`);
  assert.equal(after.filter((name) => name.startsWith("sessions.json.bak.")).length, 1, what);
  assert.ok(!after.some((name) => name.includes("staging")), `${what}: nothing is left over: ${after}`);
  assert.deepEqual(machine.openHandles(), [], `${what}: everything is closed`);
  assert.deepEqual(machine.misuses, [], what);
}

async function countCalls(fileSystem: "ordered" | "weak"): Promise<number> {
  const machine = machineWithLegacyFile(fileSystem);
  const process = machine.process();
  const outcome = await process.run((port) => createOrTakeOver(port, location, takeOverOptions));
  assert.equal(outcome.status, "returned");
  assert.deepEqual(machine.openHandles(), []);
  return process.calls;
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

    test("a second crash while the first one is recovered from loses nothing either", async () => {
      const calls = await countCalls(fileSystem);
      const random = new SeededRandom(12);
      for (let run = 0; run < 150; run += 1) {
        const first = machineWithLegacyFile(fileSystem);
        const at = 1 + random.below(calls);
        first.crashAfter(at);
        await first.process().run((port) => createOrTakeOver(port, location, takeOverOptions));
        const second = random.chance(0.5) ? first.fork() : first.powerLoss(random);
        const then = 1 + random.below(calls);
        second.crashAfter(then);
        await second.process().run((port) => openOrTakeOver(port, location));
        const third = random.chance(0.5) ? second.fork() : second.powerLoss(random);
        await checkReopened(third, `run ${run}: crashes at call ${at}, then ${then}`);
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
