/**
 * Directory stores on a simulated machine, for tests of the commit protocol: opening them in processes of that machine,
 * stopping or killing a process at one chosen port call, and reading what a store holds in the end.
 *
 * Everything here is driven by `machine.settle`, in one thread; interleaved.test.ts has true interleaving.
 */

import assert from "node:assert/strict";
import { DirectoryBackend, type DirectoryBackendOptions } from "../../src/backends/directory/backend.js";
import { createStore } from "../../src/backends/directory/create.js";
import { parseStoreLocation, type StoreLocation } from "../../src/backends/directory/layout.js";
import type { CommitRequest, Operation, VersionToken } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import { defaultLimits, type Limits } from "../../src/limits.js";
import { InterceptedPort, type PortCall } from "../sim/intercepted-port.js";
import { type MachineOptions, SimulatedMachine } from "../sim/machine.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";

export const storePath = "/home/agent/sessions.d";
export const location = parseStoreLocation("/home/agent/sessions.json") as StoreLocation;

export interface StoreOptions extends Partial<Omit<DirectoryBackendOptions, "limits">> {
  readonly limits?: Partial<Limits>;
}

/** A machine with an empty store, and nobody who has it open. */
export async function makeMachine(options: MachineOptions = {}): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine(options);
  machine.makeDirectory("/home/agent");
  const creator = machine.process("creator");
  await machine.settle(
    createStore(creator, location, {
      keyRule: "exact",
      prepare: async () => ({ entries: new Map(), provenance: null }),
    }),
  );
  assert.deepEqual(creator.openHandles(), []);
  return machine.fork();
}

export function openStore(port: Port, options: StoreOptions = {}): Promise<DirectoryBackend> {
  return DirectoryBackend.open(port, location, {
    durability: "commit",
    readOnly: false,
    lockWaitMs: 5_000,
    cacheBytes: 1_000_000,
    logger: undefined,
    ...options,
    limits: { ...defaultLimits, ...options.limits },
  });
}

export interface StartedStore {
  readonly process: SimulatedProcess;
  readonly port: HookedPort;
  readonly backend: DirectoryBackend;
}

/** Opens the store in a process of its own. `port.before` may be set at any time. */
export async function start(machine: SimulatedMachine, name: string, options?: StoreOptions): Promise<StartedStore> {
  const process = machine.process(name);
  const port = new HookedPort(process);
  return { process, port, backend: await machine.settle(openStore(port, options)) };
}

/** Lets a test act before any port call of a process: look, change the machine, kill the process, or hold back a sync. */
export class HookedPort extends InterceptedPort {
  before: (call: PortCall) => void | Promise<void> = () => {};

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    const held = this.before(call);
    return held === undefined ? proceed() : (held.then(proceed) as T);
  }
}

/** Kills the process before its next port call that matches. */
export function killBefore({ port, process }: StartedStore, matches: (call: PortCall) => boolean): void {
  port.before = (call) => {
    if (matches(call)) process.kill();
  };
}

/** Asynchronous calls that match do not begin before `matches` says false; they ask again every 10 ms. */
export function holdBackWhile({ port, process }: StartedStore, matches: (call: PortCall) => boolean): void {
  port.before = (call) => {
    if (!matches(call)) return undefined;
    return (async () => {
      while (matches(call)) await process.sleep(10);
    })();
  };
}

// --- what is committed -------------------------------------------------------------------------------------------------

export function request(
  operations: readonly Operation[],
  expected: Iterable<readonly [string, VersionToken | null]> = [],
): CommitRequest {
  return { operations, expected: new Map(expected) };
}

export function put(key: string, entry: Record<string, unknown>): Operation {
  return { type: "put", key, entry: Object.freeze(entry) };
}

export function remove(key: string): Operation {
  return { type: "remove", key, purge: false };
}

/** Commits a put without an expectation, and waits for the acknowledgement. */
export async function commitPut(machine: SimulatedMachine, store: StartedStore, key: string, value: unknown) {
  return committed(await machine.settle(store.backend.commit(request([put(key, { value })]))));
}

/** Reads the session and sets one field of it. */
export async function commitPatch(
  machine: SimulatedMachine,
  store: StartedStore,
  key: string,
  field: string,
  value: unknown,
) {
  const found = (await store.backend.read([key])).get(key);
  assert.ok(found, `${key} does not exist`);
  const operation: Operation = {
    type: "patch",
    key,
    set: Object.freeze({ [field]: value }),
    unset: [],
    entry: Object.freeze({ ...found.entry, [field]: value }),
  };
  return committed(await machine.settle(store.backend.commit(request([operation], [[key, found.version]]))));
}

export function committed(result: Awaited<ReturnType<DirectoryBackend["commit"]>>): VersionToken {
  assert.equal(result.status, "committed");
  return (result as { version: VersionToken }).version;
}

export async function readEntry({ backend }: StartedStore, key: string): Promise<unknown> {
  return (await backend.read([key])).get(key)?.entry;
}

export async function readValue(store: StartedStore, key: string): Promise<unknown> {
  return ((await readEntry(store, key)) as { value?: unknown } | undefined)?.value;
}

// --- what is on the disk -----------------------------------------------------------------------------------------------

/** The machine after a power loss in which nothing arrived that was not synced. */
export function loseEverythingPending(machine: SimulatedMachine): SimulatedMachine {
  for (const rebooted of machine.powerLossImages(2)) return rebooted;
  throw new Error("no image");
}

/** The files in one directory of the store: name -> content. */
export function filesIn(machine: SimulatedMachine, part: string): Map<string, string> {
  const prefix = `${storePath}/${part}/`;
  const found = Object.entries(machine.dump()).filter(([path]) => path.startsWith(prefix) && path !== prefix);
  return new Map(found.map(([path, content]) => [path.slice(prefix.length), content]));
}

export function segmentPath(first: number): string {
  return `${storePath}/journal/${String(first).padStart(16, "0")}.jsonl`;
}

export function isSegmentCall(first: number): (call: PortCall) => boolean {
  return (call) => call.path === segmentPath(first);
}

export function entryFileName(key: string): string {
  return `session-${Buffer.from(key).toString("base64url")}.json`;
}

/** The entry file of a key as the disk has it now. */
export function readEntryFile(machine: SimulatedMachine, key: string): { version: number; entry: unknown } | undefined {
  const text = filesIn(machine, "entries").get(entryFileName(key));
  return text === undefined ? undefined : JSON.parse(text);
}

// --- what the store says -----------------------------------------------------------------------------------------------

/**
 * Opens the store as the next process would, and returns all sessions. On the way: reading key by key says the same as
 * the scan, `check` finds nothing wrong, and closing leaves nothing open.
 */
export async function readStore(machine: SimulatedMachine, options?: StoreOptions): Promise<Record<string, unknown>> {
  const process = machine.process("checker");
  const outcome = await process.run((port) => readWholeStore(port, options));
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  assert.deepEqual(process.openHandles(), [], "the checker left something open");
  assert.deepEqual(machine.misuses, []);
  return (outcome as { value: Record<string, unknown> }).value;
}

async function readWholeStore(port: Port, options?: StoreOptions): Promise<Record<string, unknown>> {
  const backend = await openStore(port, options);
  try {
    const state: Record<string, unknown> = Object.create(null);
    for await (const { key, entry } of await backend.scan()) {
      assert.ok(!(key in state), `the scan gave ${key} twice`);
      state[key] = entry;
    }
    const read = await backend.read(Object.keys(state));
    for (const key of Object.keys(state)) assert.deepEqual(read.get(key)?.entry, state[key], `${key}: read and scan`);
    for await (const finding of backend.check()) {
      assert.notEqual(finding.severity, "error", `check: ${finding.code} ${finding.path} ${finding.message}`);
    }
    return { ...state };
  } finally {
    await backend.close();
  }
}
