/** A save of the json backend that rotates, to be crashed anywhere, and what must hold afterwards. */

import assert from "node:assert/strict";
import type { Port } from "../../../src/fs/port.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { backupsIn, livePath, lockPath, namesIn, openJson, put, readStore, request, textOf } from "./support.js";

export const original = { "agent:main:main": { sessionId: "one", updatedAt: 1 }, other: { n: 1 } };
export const afterwards = { ...original, added: { n: 2 } };
/** Every save rotates. */
const options = { rotateBytes: 0 };

/** Opens the store and makes one commit, which rotates. */
export async function rotateAndSave(port: Port): Promise<void> {
  const backend = await openJson(port, options);
  await backend.commit(request([put("added", { n: 2 })]));
  await backend.close();
}

/** The live file is whole, old or new, and the next process reads and writes on. */
export async function checkSurvived(machine: SimulatedMachine, what: string): Promise<void> {
  const text = machine.readText(livePath);
  assert.ok(text === textOf(original) || text === textOf(afterwards), `${what}: the live file is whole: ${text}`);
  const expected = text === textOf(original) ? original : afterwards;
  assert.deepEqual(await readStore(machine), expected, what);
  for (const name of backupsIn(machine)) {
    assert.equal(machine.readText(`/home/agent/${name}`), textOf(original), `${what}: ${name} is whole`);
  }
  // Whoever comes after the dead process need not wait for its lock, nor live with what it left. Only a lock file in
  // which it could not yet write its number holds others up until it is stale, as the gateway's protocol has it.
  const lock = machine.exists(lockPath) ? machine.readText(lockPath) : "";
  const isNameless = machine.exists(lockPath) && !lock.endsWith("}");
  const next = await machine.process("next").run(async (port) => {
    const backend = await openJson(port, { lockWaitMs: isNameless ? 60_000 : 100 });
    await backend.commit(request([put("next", { n: 3 })]));
    await backend.close();
  });
  if (next.status === "failed") throw new Error(what, { cause: next.error });
  assert.deepEqual(await readStore(machine), { ...expected, next: { n: 3 } }, what);
  const strays = namesIn(machine).filter((name) => name.endsWith(".tmp") || name === "sessions.json.lock");
  assert.deepEqual(strays, [], what);
}
