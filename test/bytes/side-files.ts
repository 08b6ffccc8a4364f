/**
 * Fuzzed files beside a store and derived ones in it: the versions of the json backend, the marker of a rollback, the
 * index of lists, directories in OpenClaw's layout, bundles and backups. Each is made honestly, spoilt, and used. Promised: what the sessions are does not depend on
 * a derived file; what carries hashes is taken whole or refused; nobody's file is removed; errors are typed.
 *
 * Every input follows from its seed: `spoilSideFile(4711)` does it again.
 */

import assert from "node:assert/strict";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { createBackup, verifyBackup } from "../../src/transfer/backup.js";
import { exportSessions } from "../../src/transfer/export.js";
import { importSessions } from "../../src/transfer/import.js";
import { assertListsEqualScan } from "../protocol/list-checks.js";
import { makeMachine, openStore } from "../protocol/simulated-store.js";
import { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { livePath, machineWith, openJson, put, request, textOf, versionsPath } from "../unit/json/support.js";
import {
  expectedText,
  inOrder,
  legacyPath,
  location,
  machineToRollBack,
  namesIn,
} from "../unit/migrate/rollback-support.js";
import { openAndReadAll } from "../unit/migrate/support.js";
import { makeStore } from "../unit/transfer/support.js";
import { byteMutators, documentMutators, type Mutator } from "./mutators.js";

export interface SideOutcome {
  readonly kind: string;
  readonly refused: boolean;
}

const home = "/home/agent";
const mutators: readonly Mutator[] = [
  ...Object.values(byteMutators),
  documentMutators.changeWithoutSealing as Mutator,
  documentMutators.changeWithoutSealing as Mutator,
];

const kinds: Readonly<Record<string, (random: SeededRandom) => Promise<boolean>>> = {
  "the versions file": spoilVersions,
  "a rollback's marker": spoilMarker,
  "a directory in OpenClaw's layout": spoilOpenClawDirectory,
  "a bundle": spoilBundle,
  "a backup": spoilBackup,
  "the index of lists": spoilIndex,
};

/** Throws when something is not as promised. The kind follows from the seed, too, when it is not given. */
export async function spoilSideFile(seed: number, given?: string): Promise<SideOutcome> {
  const names = Object.keys(kinds);
  const kind = given ?? (names[seed % names.length] as string);
  try {
    return { kind, refused: await (kinds[kind] as (typeof kinds)[string])(new SeededRandom(seed)) };
  } catch (error) {
    throw new Error(`spoilSideFile(${seed}) [${kind}]: ${(error as Error).message}`, { cause: error });
  }
}

/** Resolves to undefined when the work was refused with a typed error. */
async function attempt<T>(machine: SimulatedMachine, work: (port: Port) => Promise<T>): Promise<T | undefined> {
  const process = machine.process("user");
  const outcome = await process.run(work);
  assert.deepEqual(process.openHandles(), [], "left open");
  assert.deepEqual(process.heldLocks(), [], "left locked");
  if (outcome.status === "returned") return outcome.value;
  const error = outcome.status === "failed" ? outcome.error : new Error("it was killed");
  if (error instanceof SessionStoreError) return undefined;
  throw error;
}

async function mustReturn<T>(machine: SimulatedMachine, work: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process("maker").run(work);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

/** Changes the file; false when the mutator left it as it was. */
function spoil(machine: SimulatedMachine, path: string, random: SeededRandom): boolean {
  const before = machine.readFile(path);
  const other = Buffer.from(JSON.stringify({ kind: "other", sessions: { x: {} } }), "utf8");
  const after = random.pick(mutators)(before, random, random.chance(0.5) ? other : before);
  machine.writeFile(path, after);
  return Buffer.compare(before, after) !== 0;
}

/** The sessions are those of `sessions.json`, whatever lies beside it; a commit changes what it says, and nobody's file. */
async function spoilVersions(random: SeededRandom): Promise<boolean> {
  const machine = machineWith(textOf({ a: { n: 0 }, "agent:main:main": { updatedAt: 1 } }));
  const options = { rotateBytes: random.pick([0, 0, 1_000_000]) };
  await mustReturn(machine, async (port) => {
    const backend = await openJson(port, options);
    for (let n = 1 + random.below(6); n > 0; n -= 1) {
      await backend.commit(request([put(random.pick(["a", "b", "c"]), { n })]));
    }
    await backend.close();
  });
  const foreign = { [`${livePath}.bak.5`]: textOf({ a: { mine: 1 } }), [`${home}/notes.txt`]: "mine" };
  for (const [path, text] of Object.entries(foreign)) machine.writeFile(path, text);
  const before = JSON.parse(machine.readText(livePath));
  spoil(machine, versionsPath, random);
  const found = await attempt(machine.fork(), async (port) => {
    const backend = await openJson(port, { ...options, readOnly: true });
    const sessions: Record<string, unknown> = {};
    for await (const { key, entry } of await backend.scan()) sessions[key] = entry;
    await backend.close();
    return sessions;
  });
  if (found !== undefined) assert.deepEqual(found, before, "the sessions are those of the legacy file");
  const committed = await attempt(machine, async (port) => {
    const backend = await openJson(port, options);
    try {
      await backend.commit(request([put("next", { n: 9 })]));
      return true;
    } finally {
      await backend.close();
    }
  });
  const expected = committed === undefined ? before : { ...before, next: { n: 9 } };
  assert.deepEqual(JSON.parse(machine.readText(livePath)), expected);
  for (const [path, text] of Object.entries(foreign))
    assert.equal(machine.readText(path), text, `${path} is untouched`);
  return committed === undefined;
}

/** Whatever the marker says, the sessions are all there: in what opens, or in the file that it is refused for. */
async function spoilMarker(random: SeededRandom): Promise<boolean> {
  const machine = await machineToRollBack(random.pick(["ordered", "weak"]));
  const process = machine.process("rollback");
  if (random.chance(0.7)) process.crashAfter(1 + random.below(400));
  await process.run((port) => rollbackStore(legacyPath, { port }));
  const after = machine.fork();
  const marker = namesIn(after).find((name) => name === "sessions.d.rolled-back");
  if (marker !== undefined) spoil(after, `${home}/${marker}`, random);
  const found = await attempt(after, (port) => openAndReadAll(port, location));
  if (found !== undefined) {
    assert.equal(inOrder(found), expectedText, "what opens has every session");
    return false;
  }
  assert.ok(marker !== undefined, "nothing else is a reason to refuse");
  const file = new Map(Object.entries(JSON.parse(after.readText(legacyPath)) as object));
  assert.equal(inOrder(file), expectedText, "what it is refused for has every session");
  return true;
}

/** One spoilt file costs at most that session; every original is kept. */
async function spoilOpenClawDirectory(random: SeededRandom): Promise<boolean> {
  const machine = new SimulatedMachine({ seed: 3 });
  machine.makeDirectory(home);
  const directory = `${home}/sessions.d`;
  machine.makeDirectory(directory, { mode: 0o700 });
  machine.makeDirectory(`${directory}/entries`, { mode: 0o700 });
  const entries: Record<string, Record<string, unknown>> = { main: { updatedAt: 5 }, other: { n: 1 }, third: { n: 2 } };
  const pathOf = (key: string) => `${directory}/entries/session-${Buffer.from(key, "utf8").toString("base64url")}.json`;
  for (const [key, entry] of Object.entries(entries)) {
    machine.writeFile(pathOf(key), JSON.stringify(key === "third" ? entry : { sessionKey: key, entry }));
  }
  const statePath = `${directory}/state.json`;
  machine.writeFile(
    statePath,
    '{"kind":"openclaw-session-store-directory","layoutVersion":1,"version":3,"updatedAt":5}',
  );
  const spoilt = random.pick([...Object.keys(entries), "state"]);
  spoil(machine, spoilt === "state" ? statePath : pathOf(spoilt), random);
  const originals = [statePath, ...Object.keys(entries).map(pathOf)].map((path) => machine.readText(path));
  const found = await attempt(machine, (port) => openAndReadAll(port, location));
  const contents = Object.values(machine.dump());
  for (const original of originals) assert.ok(contents.includes(original), "every original is kept");
  if (found === undefined) return true;
  // A directory that does not say what it is makes way, whole.
  const madeWay = namesIn(machine).some((name) => name.startsWith("sessions.d.orphan."));
  if (madeWay) {
    assert.ok(spoilt === "state" && found.size === 0, "only for a directory that does not say what it is");
    return false;
  }
  for (const [key, entry] of Object.entries(entries)) {
    if (key !== spoilt) assert.deepEqual(found.get(key), entry, `${key} came over`);
  }
  assert.ok(found.size <= 3, "nothing is invented");
  return false;
}

/** A bundle is taken whole, or refused with nothing written. */
async function spoilBundle(random: SeededRandom): Promise<boolean> {
  const machine = await machineWithStore();
  const bundle = `${home}/sessions.jsonl`;
  await mustReturn(machine, (port) => exportSessions(`${home}/sessions.d`, bundle, { port }));
  const isSpoilt = spoil(machine, bundle, random);
  const result = await attempt(machine, (port) => importSessions(bundle, "/home/other/sessions.d", { port }));
  assert.equal(result === undefined, isSpoilt, "what was changed is refused, what was not is taken");
  assert.equal(machine.exists("/home/other/sessions.d"), !isSpoilt);
  return isSpoilt;
}

/** A backup of which any byte was changed is none. */
async function spoilBackup(random: SeededRandom): Promise<boolean> {
  const machine = await machineWithStore();
  const { path } = await mustReturn(machine, (port) => createBackup(`${home}/sessions.d`, "/home/other", { port }));
  const isSpoilt = spoil(machine, `${path}/${random.pick(["manifest.json", "sessions.jsonl"])}`, random);
  const result = await attempt(machine, (port) => verifyBackup(path, { port }));
  assert.equal(result === undefined, isSpoilt, "what was changed is refused, what was not is taken");
  return isSpoilt;
}

/** Lists are what a scan tells, for a reader and for a writer, who may build the index anew. */
async function spoilIndex(random: SeededRandom): Promise<boolean> {
  indexed ??= await machineWithIndex();
  const machine = indexed.fork();
  const files = Object.keys(machine.dump()).filter((path) => /\/summary-index\/[^/]+$/.test(path));
  for (let left = 1 + random.below(2); left > 0; left -= 1) spoil(machine, random.pick(files), random);
  for (const readOnly of [true, false]) {
    const found = await attempt(machine, async (port) => {
      const backend = await openStore(port, { readOnly });
      try {
        await assertListsEqualScan(backend, "a spoilt index", [{ limit: 7 }, { order: "key", limit: 60 }]);
        if (!readOnly) await backend.commit(request([put("k3", { updatedAt: 900 })]));
        await backend.checkpoint();
        await assertListsEqualScan(backend, "the index after it", [{ limit: 3 }]);
        return true;
      } finally {
        await backend.close();
      }
    });
    assert.ok(found, "an index is no reason to refuse anything");
  }
  return false;
}

let indexed: SimulatedMachine | undefined;

/** A run of many sessions, and a small one of the checkpoint after it. */
async function machineWithIndex(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  await mustReturn(machine, async (port) => {
    const backend = await openStore(port);
    const sessions = Array.from({ length: 60 }, (_, n) => put(`k${n}`, { updatedAt: n, label: `é ${n}` }));
    await backend.commit(request(sessions));
    await backend.checkpoint();
    await backend.list({ limit: 1 });
    await backend.commit(request([put("k1", { updatedAt: 100 }), put("new", { updatedAt: 101 })]));
    await backend.checkpoint();
    await backend.close();
  });
  const files = Object.keys(machine.dump()).filter((path) => path.includes("/summary-index/"));
  assert.ok(files.length > 2, `${files.join()}`);
  return machine.fork();
}

let template: SimulatedMachine | undefined;

async function machineWithStore(): Promise<SimulatedMachine> {
  if (template === undefined) {
    const machine = new SimulatedMachine({ seed: 4 });
    machine.makeDirectory(home);
    machine.makeDirectory("/home/other");
    const sessions = {
      a: { n: 1 },
      "agent:main:main": { sessionId: "s", text: "é漢🎉" },
      __proto__x: { n: [1, null] },
    };
    await mustReturn(machine, (port) => makeStore(`${home}/sessions.d`, sessions, port));
    template = machine;
  }
  return template.fork();
}
