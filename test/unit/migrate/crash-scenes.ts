/** Merges, imports and creations beside foreign directories, to be crashed anywhere, and what must hold afterwards. */

import assert from "node:assert/strict";
import type { Port } from "../../../src/fs/port.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { outwaitUnnamedLock } from "./left-locks.js";
import { locationOf, openAndReadAll } from "./support.js";

const home = "/home/agent";
const legacyPath = `${home}/sessions.json`;
const location = locationOf(legacyPath);

export interface Scene {
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

export const scenes: Record<string, Scene> = {
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

export async function machineFor(scene: Scene, fileSystem: "ordered" | "weak"): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 3, fileSystem });
  machine.makeDirectory(home);
  await scene.prepare(machine);
  return machine.fork();
}

/** What a gateway does: it opens the store - which does whatever there is to do - and closes it. */
export function programOf({ durability }: Scene) {
  return async (port: Port) => {
    const options = checkOpenOptions({ durability: durability ?? "commit" });
    await (await openBackend(port, legacyPath, options)).close();
  };
}

export async function countCalls(scene: Scene, fileSystem: "ordered" | "weak"): Promise<number> {
  const process = (await machineFor(scene, fileSystem)).process();
  assert.equal((await process.run(programOf(scene))).status, "returned");
  return process.calls;
}

function checkOriginals(machine: SimulatedMachine, { originals }: Scene, what: string): void {
  const contents = Object.values(machine.dump());
  for (const original of originals) assert.ok(contents.includes(original), `${what}: ${original} is kept`);
}

export async function checkReopened(machine: SimulatedMachine, scene: Scene, what: string): Promise<void> {
  checkOriginals(machine, scene, what);
  await outwaitUnnamedLock(machine);
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
