/** A legacy file to be taken over, to be crashed anywhere, and what must hold afterwards. */

import assert from "node:assert/strict";
import { SimulatedMachine } from "../../sim/machine.js";
import { outwaitUnnamedLock } from "./left-locks.js";
import { locationOf, openAndReadAll } from "./support.js";

export const legacyPath = "/home/agent/sessions.json";
export const location = locationOf(legacyPath);
const legacyText =
  '{"Main":{"updatedAt":1,"n":1},"main":{"updatedAt":2,"n":2},"__proto__":{"n":3},"Ünï":{"text":"🦞"}}';
const sessions = '[["__proto__",{"n":3}],["main",{"updatedAt":2,"n":2}],["ünï",{"text":"🦞"}]]';

export function machineWithLegacyFile(fileSystem: "ordered" | "weak"): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 3, fileSystem });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, legacyText);
  return machine;
}

export function inOrder(found: Map<string, unknown>): string {
  return JSON.stringify([...found].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function namesIn(machine: SimulatedMachine, directory: string): string[] {
  const names = Object.keys(machine.dump()).filter((path) => path.startsWith(`${directory}/`));
  return [...new Set(names.map((path) => path.slice(directory.length + 1).split("/")[0] as string))];
}

export async function checkReopened(machine: SimulatedMachine, what: string): Promise<void> {
  const names = namesIn(machine, "/home/agent");
  const originals = names.filter((name) => name === "sessions.json" || name.startsWith("sessions.json.bak."));
  assert.equal(originals.length, 1, `${what}: the original is there, once: ${names}`);
  assert.equal(machine.readText(`/home/agent/${originals[0]}`), legacyText, `${what}: and as it was`);
  if (originals[0] !== "sessions.json") assert.ok(names.includes("sessions.d"), `${what}: a backup has its store`);

  await outwaitUnnamedLock(machine);
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
