/** Stores to roll back on a simulated machine, and what must be true of such a machine at any time afterwards. */

import assert from "node:assert/strict";
import type { Backend, Operation } from "../../../src/contract.js";
import type { Port } from "../../../src/fs/port.js";
import { type RollbackOptions, type RollbackResult, rollbackStore } from "../../../src/migrate/rollback.js";
import { createOrTakeOver } from "../../../src/migrate/take-over.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { locationOf, openOrTakeOver, takeOverOptions } from "./support.js";

export const legacyPath = "/home/agent/sessions.json";
export const location = locationOf(legacyPath);

export type Sessions = ReadonlyMap<string, unknown>;

/** What `machineToRollBack` holds: some of it was migrated, some committed since, some checkpointed, some journaled. */
export const expectedText =
  '[["__proto__",{"n":3}],["main",{"changed":true,"updatedAt":2}],["new",{"since":"the migration"}],["ünï",{"text":"🦞"}]]';

/** The same with sessions that an older program wrote into the legacy file beside the store. */
export function expectedWith(sessions: Record<string, unknown>): string {
  const all = new Map([...(JSON.parse(expectedText) as [string, unknown][]), ...Object.entries(sessions)]);
  return inOrder(all);
}

/** A store that was migrated and written to since; nobody has it open. */
export async function machineToRollBack(fileSystem: "ordered" | "weak" = "ordered"): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 5, fileSystem });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, '{"main":{"updatedAt":1},"__proto__":{"n":3},"Ünï":{"text":"🦞"},"gone":{"n":4}}');
  const outcome = await machine.process("before").run(async (port) => {
    await createOrTakeOver(port, location, takeOverOptions);
    const backend = await openOrTakeOver(port, location);
    await commit(backend, put("main", { updatedAt: 2, changed: true }), { type: "remove", key: "gone", purge: true });
    await backend.checkpoint();
    await commit(backend, put("new", { since: "the migration" }));
    // Killed: what it committed last is in the journal only.
  });
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  return machine.fork();
}

/** A store as the migration of a canonical file made it: its export is that very file again, to the byte. */
export async function machineUnchanged(): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 6 });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, JSON.stringify({ main: { n: 1 }, other: { n: 2 } }, null, 2));
  const outcome = await machine.process("before").run((port) => createOrTakeOver(port, location, takeOverOptions));
  assert.equal(outcome.status, "returned");
  return machine.fork();
}

/** Only the legacy file; nothing was migrated yet. */
export async function machineWithFile(): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 6 });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, JSON.stringify({ main: { n: 1 }, other: { n: 2 } }, null, 2));
  return machine;
}

export const unchangedText = '[["main",{"n":1}],["other",{"n":2}]]';

export function put(key: string, entry: Record<string, unknown>): Operation {
  return { type: "put", key, entry: freezeParsedJson(entry) };
}

export async function commit(backend: Backend, ...operations: Operation[]): Promise<void> {
  const result = await backend.commit({ operations, expected: new Map() });
  assert.equal(result.status, "committed");
}

export async function rollBackOn(
  machine: SimulatedMachine,
  options: Omit<RollbackOptions, "port"> = {},
): Promise<RollbackResult> {
  const process = machine.process("rollback");
  const outcome = await process.run((port: Port) => rollbackStore(legacyPath, { ...options, port }));
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  assert.deepEqual(process.openHandles(), [], "the rollback left something open");
  return outcome.value;
}

/** Names directly in the home directory. */
export function namesIn(machine: SimulatedMachine): string[] {
  const names = Object.keys(machine.dump()).filter((path) => path.startsWith("/home/agent/"));
  const first = names.map((path) => path.slice("/home/agent/".length).split("/")[0] as string);
  return [...new Set(first)].filter((name) => name !== "").sort();
}

export function inOrder(sessions: Sessions): string {
  const sorted = [...sessions].sort(([left], [right]) => (left < right ? -1 : 1));
  const withSortedFields = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)))
      : value;
  return JSON.stringify(sorted, withSortedFields);
}

/** What a program sees that knows only the file. */
export function plainRead(machine: SimulatedMachine): string {
  return inOrder(new Map(Object.entries(JSON.parse(machine.readText(legacyPath)) as object)));
}
