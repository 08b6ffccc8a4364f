/**
 * Puts the bytes of a store onto a simulated machine, opens them with the library, and says what it made of them in the
 * words of `recoverPurely`; and compares the two.
 */

import type { Backend } from "../../src/contract.js";
import { SessionStoreError } from "../../src/errors.js";
import { openStore, storePath } from "../protocol/simulated-store.js";
import { SimulatedMachine } from "../sim/machine.js";
import { lockFamily } from "./honest-store.js";
import { type Recovered, recoverPurely, type StoreBytes, servedLine } from "./pure-recovery.js";

export type Role = "writer" | "reader";

export type Opened = Recovered | { readonly kind: "broken"; readonly because: string };

/** Refusals are typed, and these are all that bytes may lead to. */
const refusals: readonly string[] = [
  "store_damaged",
  "unsupported_layout",
  "unsupported_platform",
  "store_fenced",
  "limit_exceeded",
];

let template: SimulatedMachine | undefined;

export function machineWith(store: StoreBytes): SimulatedMachine {
  if (template === undefined) {
    template = new SimulatedMachine();
    for (const part of ["journal", "entries"]) template.makeDirectory(`${storePath}/${part}`);
    for (const lock of [".lock", ".checkpoint.lock", ".scan.lock"]) template.writeFile(`${storePath}${lock}`, "");
  }
  const machine = template.fork();
  machine.writeFile(`${storePath}/state.json`, store.manifest);
  for (const [name, bytes] of store.segments) machine.writeFile(`${storePath}/journal/${name}`, bytes);
  for (const [name, bytes] of store.entries) {
    if (name.includes("/")) machine.makeDirectory(`${storePath}/entries/${name.split("/")[0]}`);
    machine.writeFile(`${storePath}/entries/${name}`, bytes);
  }
  return machine;
}

/** What lies there now, to be recovered purely again. */
export function bytesOn(machine: SimulatedMachine): StoreBytes {
  const inPart = (part: string) => {
    const prefix = `${storePath}/${part}/`;
    const paths = Object.keys(machine.dump()).filter((path) => path.startsWith(prefix) && !path.endsWith("/"));
    return new Map(paths.map((path) => [path.slice(prefix.length), machine.readFile(path)]));
  };
  return {
    manifest: machine.readFile(`${storePath}/state.json`),
    segments: inPart("journal"),
    entries: inPart("entries"),
  };
}

/** Opens the store and reads all of it; the process is then killed, so that closing changes nothing. */
export async function openReally(machine: SimulatedMachine, role: Role): Promise<Opened> {
  const process = machine.process(role);
  try {
    return await machine.settle(
      openStore(process, { readOnly: role === "reader" }).then((backend) => readEverything(backend)),
    );
  } catch (error) {
    return asOutcome(error);
  } finally {
    process.kill();
  }
}

export async function readEverything(backend: Backend): Promise<Opened> {
  const sessions = new Map<string, string>();
  const damaged = new Set<string>();
  const snapshot = await backend.scan({
    onDamaged: ({ key, error }) => damaged.add(key ?? String(error.path?.split("/").at(-1))),
  });
  for await (const { key, version, entry, generations } of snapshot) {
    if (sessions.has(key)) return { kind: "broken", because: `the scan gave ${key} twice` };
    sessions.set(key, servedLine(version, entry, generations));
  }
  const read = await backend.read([...sessions.keys()]);
  for (const [key, line] of sessions) {
    const found = read.get(key);
    const alone = found && servedLine(found.version, found.entry, found.generations);
    if (alone !== line) return { kind: "broken", because: `${key}: the scan says ${line}, a read ${alone}` };
  }
  return { kind: "state", version: Number(/^c(\d+)-/.exec(snapshot.cursor)?.[1]), sessions, damaged };
}

function asOutcome(error: unknown): Opened {
  if (!(error instanceof SessionStoreError)) {
    return { kind: "broken", because: `an error without a type: ${error instanceof Error ? error.stack : error}` };
  }
  if (!refusals.includes(error.code)) return { kind: "broken", because: `${error.code}: ${error.message}` };
  return { kind: "refused", reason: error.code as "store_damaged", because: error.message };
}

/** Opens the bytes in this role; undefined when the library and the pure function agree, else what differs. */
export async function compareRecoveries(store: StoreBytes, role: Role): Promise<Comparison> {
  const pure = recoverPurely(store, role === "writer" ? lockFamily : undefined);
  const machine = machineWith(store);
  const before = process.cpuUsage();
  const real = await openReally(machine, role);
  const { user, system } = process.cpuUsage(before);
  const cost = { calls: machine.calls, cpuMs: (user + system) / 1_000 };
  return { pure, real, machine, cost, difference: differenceOf(pure, real) };
}

/** What the library spent on opening the store and reading all of it. */
export interface Cost {
  /** Of the port. */
  readonly calls: number;
  readonly cpuMs: number;
}

export interface Comparison {
  readonly cost: Cost;
  readonly pure: Recovered;
  readonly real: Opened;
  readonly machine: SimulatedMachine;
  readonly difference: string | undefined;
}

export function differenceOf(pure: Recovered, real: Opened): string | undefined {
  if (real.kind === "broken") return `broken: ${real.because} (pure: ${describe(pure)})`;
  if (pure.kind === "refused" || real.kind === "refused") {
    const agree = pure.kind === "refused" && real.kind === "refused" && pure.reason === real.reason;
    return agree ? undefined : `real: ${describe(real)}; pure: ${describe(pure)}`;
  }
  if (pure.version !== real.version) return `real ends at version ${real.version}, pure at ${pure.version}`;
  for (const key of new Set([...pure.sessions.keys(), ...real.sessions.keys()])) {
    if (pure.sessions.get(key) !== real.sessions.get(key)) {
      return `${JSON.stringify(key)}: real ${real.sessions.get(key)}; pure ${pure.sessions.get(key)}`;
    }
  }
  const onlyOne = [...pure.damaged, ...real.damaged].filter(
    (name) => !(pure.damaged.has(name) && real.damaged.has(name)),
  );
  return onlyOne.length > 0 ? `damaged for only one: ${JSON.stringify(onlyOne)}` : undefined;
}

function describe(outcome: Opened): string {
  if (outcome.kind === "state") return `state ${outcome.version}, ${outcome.sessions.size} sessions`;
  return outcome.kind === "broken" ? outcome.because : `refused ${outcome.reason} (${outcome.because})`;
}
