/** A backup to be restored, over a store or into an empty place, to be crashed anywhere, and what must hold afterwards. */

import assert from "node:assert/strict";
import type { Port } from "../../../src/fs/port.js";
import { createBackup } from "../../../src/transfer/backup.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { makeStore, open, readTexts } from "./support.js";

const folder = "/home/agent";
export const store = `${folder}/sessions.d`;
export const backups = "/home/backups";
const oldSessions = { a: { v: "old" }, b: { updatedAt: 2 } };
const savedSessions = { a: { v: "saved" }, b: { updatedAt: 2 }, __c: { n: 3 } };

function textsOf(sessions: Record<string, unknown>): string {
  const texts = Object.entries(sessions).map(([key, entry]) => [key, JSON.stringify(entry)] as const);
  return JSON.stringify(texts.sort(([left], [right]) => (left < right ? -1 : 1)));
}

export const before = textsOf(oldSessions);
export const after = textsOf(savedSessions);

export async function run<Result>(machine: SimulatedMachine, work: (port: Port) => Promise<Result>): Promise<Result> {
  const outcome = await machine.process().run(work);
  if (outcome.status === "failed") throw outcome.error;
  if (outcome.status !== "returned") throw new Error(`the process was ${outcome.status}`);
  return outcome.value;
}

/** A machine with a backup, and - unless it is to be restored into an empty place - a store. */
export async function prepare(fileSystem: "ordered" | "weak", withStore: boolean): Promise<[SimulatedMachine, string]> {
  const machine = new SimulatedMachine({ seed: 5, fileSystem });
  machine.makeDirectory(folder);
  machine.makeDirectory("/home/other");
  const backup = await run(machine, async (port) => {
    await makeStore("/home/other/sessions.d", savedSessions, port);
    return (await createBackup("/home/other/sessions.d", backups, { port })).path;
  });
  if (withStore) await run(machine, (port) => makeStore(store, oldSessions, port));
  return [machine, backup];
}

export const restore = (backup: string) => (port: Port) => restoreBackup(backup, store, { replace: true, port });

export async function readAt(machine: SimulatedMachine, location: string): Promise<string> {
  return await run(machine, async (port) => {
    const backend = await open(location, { port });
    try {
      return JSON.stringify([...(await readTexts(backend))]);
    } finally {
      await backend.close();
    }
  });
}

export function namesIn(machine: SimulatedMachine): string[] {
  const paths = Object.keys(machine.dump()).filter((path) => path.startsWith(`${folder}/`));
  return [...new Set(paths.map((path) => path.slice(folder.length + 1).split("/")[0] as string))];
}

/** After up to so many restores, of which each may have been interrupted. */
export async function checkReopened(
  machine: SimulatedMachine,
  what: string,
  withStore: boolean,
  restores = 1,
): Promise<string> {
  const found = await readAt(machine, store).catch((error: unknown) => {
    throw new Error(what, { cause: error });
  });
  const names = namesIn(machine);
  const aside = names.filter((name) => name.startsWith("sessions.d.bak."));
  if (withStore) {
    assert.ok(found === before || found === after, `${what}: ${found}`);
    const [least, most] = found === after ? [1, restores] : [0, 0];
    assert.ok(aside.length >= least && aside.length <= most, `${what}: ${names}`);
  } else {
    assert.ok(found === "[]" || found === after, `${what}: ${found}`);
    assert.ok(aside.length < restores, `${what}: ${names}`);
  }
  // What a restore that is given up leaves is removed by the next one; beside what it restored it leaves nothing.
  const isAlone = found === after && restores === 1;
  if (isAlone) assert.ok(!names.some((name) => name.includes("staging")), `${what}: nothing is left over: ${names}`);
  assert.deepEqual(machine.openHandles(), [], what);
  assert.deepEqual(machine.misuses, [], what);
  return found;
}

/** The store that made way can be put back, with everything in it. */
export async function checkAside(machine: SimulatedMachine, what: string): Promise<void> {
  const aside = namesIn(machine).find((name) => name.startsWith("sessions.d.bak."))!;
  await run(machine, async (port) => {
    const parent = port.openRoot(folder);
    port.rename(parent, "sessions.d", parent, "restored-away");
    port.rename(parent, aside, parent, "sessions.d");
    port.closeDirectory(parent);
  });
  assert.equal(await readAt(machine, store), before, what);
}
