/**
 * The ways in which rotating `sessions.json` lost sessions elsewhere, as regression tests: a kill or a power loss at every
 * port call of a save that rotates, a live file that is empty, cut off or missing, and old backups that came back.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultLimits } from "../../../src/limits.js";
import { SeededRandom } from "../../sim/random.js";
import { rejectsWith } from "../../support/store-reading.js";
import { afterwards, checkSurvived, original, rotateAndSave } from "./rotation-scene.js";
import { backupsIn, livePath, machineWith, openJson, put, readStore, request, start, textOf } from "./support.js";

const powerLossesPerCall = 3;

async function countCalls(fileSystem: "ordered" | "weak"): Promise<number> {
  const machine = machineWith(textOf(original), { fileSystem });
  const process = machine.process();
  assert.equal((await process.run(rotateAndSave)).status, "returned");
  assert.deepEqual(machine.openHandles(), []);
  assert.deepEqual(machine.heldLocks(), []);
  assert.deepEqual(backupsIn(machine).length, 1);
  assert.equal(machine.readText(livePath), textOf(afterwards));
  return process.calls;
}

for (const fileSystem of ["ordered", "weak"] as const) {
  describe(`on a file system with ${fileSystem} names`, () => {
    test("a kill at any port call of a save that rotates leaves the original sessions or the new ones", async () => {
      const calls = await countCalls(fileSystem);
      assert.ok(calls > 40, `${calls} calls`);
      for (let at = 1; at <= calls; at += 1) {
        const machine = machineWith(textOf(original), { fileSystem });
        const process = machine.process();
        process.crashAfter(at, { tear: at % 2 === 0 });
        assert.equal((await process.run(rotateAndSave)).status, "killed", `call ${at}`);
        await checkSurvived(machine.fork(), `killed at call ${at}`);
      }
    });

    test("a power loss at any port call of a save that rotates leaves the original sessions or the new ones", async () => {
      const calls = await countCalls(fileSystem);
      const random = new SeededRandom(21);
      for (let at = 1; at <= calls; at += 1) {
        const machine = machineWith(textOf(original), { fileSystem });
        machine.crashAfter(at);
        await machine.process().run(rotateAndSave);
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          await checkSurvived(machine.powerLoss(random), `power loss ${image} at call ${at}`);
        }
      }
    });

    test("an acknowledged save that rotated outlives a power loss, and so does its backup", async () => {
      const random = new SeededRandom(22);
      const machine = machineWith(textOf(original), { fileSystem });
      await machine.process().run(rotateAndSave);
      for (let image = 0; image < 20; image += 1) {
        const rebooted = machine.powerLoss(random);
        assert.equal(rebooted.readText(livePath), textOf(afterwards));
        assert.equal(backupsIn(rebooted).length, 1);
      }
    });
  });
}

test("a crash after the rotation and before the save still loads the original sessions", async () => {
  const calls = await countCalls("ordered");
  let crashes = 0;
  for (let at = 1; at <= calls; at += 1) {
    const machine = machineWith(textOf(original));
    const process = machine.process();
    process.crashAfter(at);
    await process.run(rotateAndSave);
    if (backupsIn(machine).length === 0 || machine.readText(livePath) !== textOf(original)) continue;
    crashes += 1;
    assert.deepEqual(await readStore(machine.fork()), original);
  }
  assert.ok(crashes > 0, "there is a moment at which the backup is there and the save is not");
});

for (const [what, text, message] of [
  ["of 0 bytes", "", /is empty \(0 bytes\)/],
  ["cut off in the middle", textOf(afterwards).slice(0, 40), /is neither strict JSON nor JSON5/],
  ["nothing but NUL bytes", "\0\0\0\0", /is neither strict JSON nor JSON5/],
] as const) {
  test(`a live file that is ${what} is an error that names the newest valid backup and how to restore it`, async () => {
    const machine = machineWith(text);
    machine.writeFile(`${livePath}.bak.1000`, textOf({ oldest: {} }));
    machine.writeFile(`${livePath}.bak.2000`, textOf(original));
    machine.writeFile(`${livePath}.bak.3000`, "{");
    machine.writeFile(`${livePath}.bak.note`, "not a backup");
    const error = await rejectsWith("invalid_legacy", () => machine.settle(openJson(machine.process())));
    assert.match(error.message, message);
    assert.match(error.message, /newest valid backup is sessions\.json\.bak\.2000, with 2 sessions/);
    assert.match(error.message, /cp -p \/home\/agent\/sessions\.json\.bak\.2000 \/home\/agent\/sessions\.json$/);
    assert.equal(machine.readText(livePath), text, "nothing is written over it");
  });
}

test("a live file that becomes invalid while the store is open stops reads and writes, and its repair lets them go on", async () => {
  const machine = machineWith(textOf(original));
  const { backend } = await start(machine, "gateway");
  machine.writeFile(livePath, "");
  await rejectsWith("invalid_legacy", backend.read(["other"]));
  await rejectsWith("invalid_legacy", () => machine.settle(backend.commit(request([put("new", {})]))));
  assert.equal(machine.readText(livePath), "");
  machine.writeFile(livePath, textOf(original));
  assert.deepEqual((await backend.read(["other"])).get("other")?.entry, { n: 1 });
  await machine.settle(backend.commit(request([put("added", { n: 2 })])));
  assert.equal(machine.readText(livePath), textOf(afterwards));
});

test("a backup that is larger than the limit (legacyFileBytes) is not read for the message", async () => {
  const machine = machineWith("");
  machine.writeFile(`${livePath}.bak.1000`, textOf({ small: {} }));
  machine.writeFile(`${livePath}.bak.2000`, textOf({ large: { text: "x".repeat(1_000) } }));
  const limits = { ...defaultLimits, legacyFileBytes: 500 };
  const error = await rejectsWith("invalid_legacy", () => machine.settle(openJson(machine.process(), { limits })));
  assert.match(error.message, /newest valid backup is sessions\.json\.bak\.1000/);
});

test("without any valid backup the error says so", async () => {
  const machine = machineWith("");
  const error = await rejectsWith("invalid_legacy", () => machine.settle(openJson(machine.process())));
  assert.match(error.message, /No valid backup/);
});

test("a legitimately empty store never resurrects an old backup", async () => {
  const machine = machineWith("{}");
  machine.writeFile(`${livePath}.bak.1000`, textOf(original));
  const store = await start(machine, "gateway");
  assert.deepEqual(await readStore(machine), {});
  await machine.settle(store.backend.commit(request([put("new", { n: 1 })])));
  assert.equal(machine.readText(livePath), textOf({ new: { n: 1 } }));
});

test("a missing file is an empty store, made by the first write; backups beside it are only mentioned", async () => {
  const machine = machineWith(undefined);
  machine.writeFile(`${livePath}.bak.1000`, textOf(original));
  const warnings: unknown[] = [];
  const logger = { warn: (message: string, fields?: object) => warnings.push([message, fields]) };
  const store = await start(machine, "gateway", { logger });
  assert.match(JSON.stringify(warnings), /sessions\.json\.bak\.1000/);
  assert.ok(!machine.exists(livePath), "opening writes nothing");
  await machine.settle(store.backend.commit(request([put("new", { n: 1 })])));
  assert.equal(machine.readText(livePath), textOf({ new: { n: 1 } }));
  assert.equal(machine.inodeAt(livePath).mode, 0o600);
});
