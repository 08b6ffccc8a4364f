/**
 * Kills the process, or cuts the power, at every port call of a merge, of an import of a directory in OpenClaw's layout,
 * and of a creation where a foreign directory makes way - and again while the next opening recovers. Afterwards every
 * session is there, every original is kept, and nothing is left over.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { locationOf, openAndReadAll } from "./support.js";

const home = "/home/agent";
const legacyPath = `${home}/sessions.json`;
const location = locationOf(legacyPath);
const powerLossesPerCall = 2;

interface Scene {
  readonly durability?: "interval";
  readonly prepare: (machine: SimulatedMachine) => Promise<void>;
  readonly sessions: Record<string, object>;
  /** Contents that must be found in some file, whatever its name, as often as given. */
  readonly originals: readonly string[];
}

const openClawFiles: Record<string, string> = {
  "state.json": '{"kind":"openclaw-session-store-directory","layoutVersion":1,"version":3,"updatedAt":5}',
  [`entries/${entryName("main")}`]: '{"sessionKey":"main","entry":{"updatedAt":5,"in":"directory"}}',
  [`entries/${entryName("Twin")}`]: '{"sessionKey":"Twin","entry":{"updatedAt":1}}',
  [`entries/${entryName("twin")}`]: '{"updatedAt":2,"in":"directory"}',
};

function entryName(key: string): string {
  return `session-${Buffer.from(key, "utf8").toString("base64url")}.json`;
}

function writeOpenClawStore(machine: SimulatedMachine): void {
  machine.makeDirectory(`${home}/sessions.d`, { mode: 0o700 });
  machine.makeDirectory(`${home}/sessions.d/entries`, { mode: 0o700 });
  for (const [name, text] of Object.entries(openClawFiles)) machine.writeFile(`${home}/sessions.d/${name}`, text);
}

const reappeared = '{"main":{"updatedAt":6,"in":"file"},"lost":{"updatedAt":1},"added":{"in":"file"}}';

const scenes: Record<string, Scene> = {
  "a merge": {
    prepare: async (machine) => {
      machine.writeFile(legacyPath, '{"main":{"updatedAt":5},"lost":{"updatedAt":5}}');
      await run(machine, (port) => migrateStore(legacyPath, { port }));
      machine.writeFile(legacyPath, reappeared);
    },
    sessions: { main: { updatedAt: 6, in: "file" }, lost: { updatedAt: 5 }, added: { in: "file" } },
    originals: ['{"main":{"updatedAt":5},"lost":{"updatedAt":5}}', reappeared],
  },
  "a merge of a store whose commits are acknowledged before they are on the disk": {
    durability: "interval",
    prepare: async (machine) => {
      machine.writeFile(legacyPath, '{"main":{"updatedAt":5}}');
      await run(machine, (port) => migrateStore(legacyPath, { port }));
      machine.writeFile(legacyPath, '{"main":{"updatedAt":6},"added":{}}');
    },
    sessions: { main: { updatedAt: 6 }, added: {} },
    originals: ['{"main":{"updatedAt":5}}', '{"main":{"updatedAt":6},"added":{}}'],
  },
  "an import": {
    prepare: async (machine) => writeOpenClawStore(machine),
    sessions: { main: { updatedAt: 5, in: "directory" }, twin: { updatedAt: 2, in: "directory" } },
    originals: Object.values(openClawFiles),
  },
  "an import with a legacy file beside it": {
    prepare: async (machine) => {
      writeOpenClawStore(machine);
      machine.writeFile(legacyPath, reappeared);
    },
    sessions: {
      main: { updatedAt: 6, in: "file" },
      twin: { updatedAt: 2, in: "directory" },
      lost: { updatedAt: 1 },
      added: { in: "file" },
    },
    originals: [...Object.values(openClawFiles), reappeared],
  },
  "a take-over where a foreign directory makes way": {
    prepare: async (machine) => {
      machine.makeDirectory(`${home}/sessions.d`);
      machine.writeFile(`${home}/sessions.d/notes.txt`, "somebody's notes");
      machine.writeFile(legacyPath, reappeared);
    },
    sessions: JSON.parse(reappeared),
    originals: ["somebody's notes", reappeared],
  },
};

async function run<T>(
  machine: SimulatedMachine,
  program: Parameters<ReturnType<SimulatedMachine["process"]>["run"]>[0],
): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value as T;
}

async function machineFor(scene: Scene, fileSystem: "ordered" | "weak"): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 3, fileSystem });
  machine.makeDirectory(home);
  await scene.prepare(machine);
  return machine.fork();
}

/** What a gateway does: it opens the store - which does whatever there is to do - and closes it. */
function programOf({ durability }: Scene) {
  return async (port: Port) => {
    const options = checkOpenOptions({ durability: durability ?? "commit" });
    await (await openBackend(port, legacyPath, options)).close();
  };
}

async function countCalls(scene: Scene, fileSystem: "ordered" | "weak"): Promise<number> {
  const process = (await machineFor(scene, fileSystem)).process();
  assert.equal((await process.run(programOf(scene))).status, "returned");
  return process.calls;
}

function checkOriginals(machine: SimulatedMachine, { originals }: Scene, what: string): void {
  const contents = Object.values(machine.dump());
  for (const original of originals) assert.ok(contents.includes(original), `${what}: ${original} is kept`);
}

async function checkReopened(machine: SimulatedMachine, scene: Scene, what: string): Promise<void> {
  checkOriginals(machine, scene, what);
  const outcome = await machine.process("next").run((port) => {
    // Another process than the one that died: it draws other names for its temporary files.
    port.randomBytes(16);
    return openAndReadAll(port, location);
  });
  if (outcome.status === "failed") throw new Error(what, { cause: outcome.error });
  assert.ok(outcome.status === "returned", what);
  assert.deepEqual(
    Object.fromEntries([...outcome.value].sort()),
    Object.fromEntries(Object.entries(scene.sessions).sort()),
    what,
  );
  checkOriginals(machine, scene, what);
  const names = Object.keys(machine.dump());
  assert.ok(!names.includes(legacyPath), `${what}: the legacy file was renamed`);
  assert.ok(!names.some((name) => name.includes("staging")), `${what}: nothing is left over: ${names}`);
  assert.deepEqual(machine.openHandles(), [], what);
  assert.deepEqual(machine.misuses, [], what);
}

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
