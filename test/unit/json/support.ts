/** Legacy stores on the simulated machine and on the real disk, for the tests of the json backend. */

import assert from "node:assert/strict";
import { JsonBackend, type JsonBackendOptions } from "../../../src/backends/json/backend.js";
import type { JsonLocation } from "../../../src/backends/json/layout.js";
import type { CommitRequest, Operation, VersionToken } from "../../../src/contract.js";
import type { Port } from "../../../src/fs/port.js";
import { defaultLimits, fixedLimits } from "../../../src/limits.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { type MachineOptions, SimulatedMachine } from "../../sim/machine.js";
import type { SimulatedProcess } from "../../sim/simulated-process.js";

export const home = "/home/agent";
export const livePath = `${home}/sessions.json`;
export const lockPath = `${livePath}.lock`;
export const versionsPath = `${livePath}.versions`;
export const location: JsonLocation = {
  parentPath: home,
  legacyName: "sessions.json",
  directoryName: "sessions.d",
};

export function machineWith(text: string | undefined, options: MachineOptions = {}): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 5, ...options });
  machine.makeDirectory(home);
  if (text !== undefined) machine.writeFile(livePath, text);
  return machine;
}

export type TestOptions = Partial<JsonBackendOptions>;

export function openJson(port: Port, options: TestOptions = {}, where = location): Promise<JsonBackend> {
  return JsonBackend.open(port, where, {
    keyRule: "openclaw",
    limits: defaultLimits,
    readOnly: false,
    lockWaitMs: 5_000,
    rotateBytes: fixedLimits.rotateBytesDefault,
    logger: undefined,
    ...options,
  });
}

export interface Started {
  readonly process: SimulatedProcess;
  readonly backend: JsonBackend;
}

export async function start(machine: SimulatedMachine, name: string, options?: TestOptions): Promise<Started> {
  const process = machine.process(name);
  return { process, backend: await machine.settle(openJson(process, options)) };
}

export function put(key: string, entry: Record<string, unknown>): Operation {
  return { type: "put", key, entry: freezeParsedJson(entry) };
}

export function request(
  operations: readonly Operation[],
  expected: Iterable<readonly [string, VersionToken | null]> = [],
): CommitRequest {
  return { operations, expected: new Map(expected) };
}

export async function commitPut(
  machine: SimulatedMachine,
  { backend }: Started,
  key: string,
  entry: Record<string, unknown>,
): Promise<VersionToken> {
  const result = await machine.settle(backend.commit(request([put(key, entry)])));
  assert.equal(result.status, "committed");
  return (result as { version: VersionToken }).version;
}

/** The sessions as the next process reads them; closing leaves nothing open. */
export async function readStore(machine: SimulatedMachine, options?: TestOptions): Promise<Record<string, unknown>> {
  const process = machine.process("checker");
  const outcome = await process.run(async (port) => {
    const backend = await openJson(port, options);
    try {
      const sessions: [string, unknown][] = [];
      for await (const { key, entry } of await backend.scan()) sessions.push([key, entry]);
      return Object.fromEntries(sessions);
    } finally {
      await backend.close();
    }
  });
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  assert.deepEqual(process.openHandles(), []);
  return (outcome as { value: Record<string, unknown> }).value;
}

export function namesIn(machine: SimulatedMachine): string[] {
  const prefix = `${home}/`;
  return Object.keys(machine.dump())
    .filter((path) => path.startsWith(prefix) && path !== prefix)
    .map((path) => path.slice(prefix.length));
}

export function backupsIn(machine: SimulatedMachine): string[] {
  return namesIn(machine).filter((name) => name.startsWith("sessions.json.bak."));
}

/** Two spaces, no newline at the end: the form of the gateway. */
export function textOf(sessions: unknown): string {
  return JSON.stringify(sessions, null, 2);
}
