/**
 * One workload with everything in it - puts, patches, removals, commits of several sessions, rotations, checkpoints, a
 * scan, closing and opening again - and the ledger of what it was told, from which follows what a store may hold after
 * it was cut off anywhere.
 */

import assert from "node:assert/strict";
import type { DirectoryBackend } from "../../src/backends/directory/backend.js";
import type { Operation } from "../../src/contract.js";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import { openStore, put, remove, type StoreOptions } from "./simulated-store.js";

export type State = Readonly<Record<string, unknown>>;

/** The commits that were tried, in order. */
export class Ledger {
  private readonly commits: {
    operations: readonly Operation[];
    told: "nothing yet" | "done" | "unknown" | "not done";
  }[] = [];

  begin(operations: readonly Operation[]): (told: "done" | "unknown" | "not done") => void {
    const commit = { operations, told: "nothing yet" as "nothing yet" | "done" | "unknown" | "not done" };
    this.commits.push(commit);
    return (told) => {
      commit.told = told;
    };
  }

  get doneCount(): number {
    return this.commits.filter(({ told }) => told === "done").length;
  }

  /** What was acknowledged is there; what was refused is not; of the rest nobody knows. */
  possibleStates(): State[] {
    let states: State[] = [{}];
    for (const { operations, told } of this.commits) {
      if (told === "not done") continue;
      const after = states.flatMap((state): State[] => {
        const applied = applyTo(state, operations);
        return applied === undefined ? [] : [applied];
      });
      states = told === "done" ? after : [...states, ...after];
    }
    return states;
  }

  copy(): Ledger {
    const copy = new Ledger();
    copy.commits.push(...this.commits.map((commit) => ({ ...commit })));
    return copy;
  }

  assertPossible(state: State, where: string): void {
    const possible = this.possibleStates();
    for (const candidate of possible) {
      try {
        assert.deepEqual(state, candidate);
        return;
      } catch {}
    }
    assert.fail(`${where}: the store holds ${JSON.stringify(state)}, possible: ${JSON.stringify(possible)}`);
  }
}

/** Undefined when the operations cannot have been made on this state. */
function applyTo(state: State, operations: readonly Operation[]): State | undefined {
  const after: Record<string, unknown> = { ...state };
  for (const operation of operations) {
    if (operation.type === "put") after[operation.key] = operation.entry;
    else if (operation.type === "remove") delete after[operation.key];
    else if (after[operation.key] === undefined) return undefined;
    else after[operation.key] = { ...(after[operation.key] as object), ...operation.set };
  }
  return after;
}

export const workloadOptions: StoreOptions = { limits: { segmentBytes: 1_200 } };

/** A part of the workload; what it throws ends that part only. */
type Part = (backend: DirectoryBackend, ledger: Ledger) => Promise<unknown>;

export const parts: readonly Part[] = [
  (backend, ledger) => commit(backend, ledger, [put("a", { value: 1 })]),
  (backend, ledger) => commit(backend, ledger, [put("b", { value: 1 }), put("c", { value: 1, text: "x".repeat(200) })]),
  (backend, ledger) => patch(backend, ledger, "a", "first", 1),
  async (backend, ledger) => {
    // Shares the lock and the sync.
    await Promise.all([
      commit(backend, ledger, [put("d", { value: 1 })]),
      commit(backend, ledger, [put("e", { value: 1 })]),
    ]);
  },
  (backend, ledger) => commit(backend, ledger, [remove("b"), put("f", { text: "y".repeat(600) })]), // Rotates.
  (backend, ledger) => patch(backend, ledger, "a", "second", 2),
  (backend) => scanAll(backend),
  (backend) => backend.checkpoint(),
  (backend, ledger) => patch(backend, ledger, "c", "third", 3),
  (backend, ledger) => commit(backend, ledger, [remove("d"), put("b", { value: 2 })]),
  (backend, ledger) => commit(backend, ledger, [put("a", { value: 2 })]),
  (backend) => backend.sync(),
];

/** Twice the parts, each time in a store opened anew. Throws nothing but what is no typed error. */
export async function runWorkload(
  port: Port,
  ledger: Ledger,
  onFailure: (error: SessionStoreError) => void,
): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const backend = await tolerate(openStore(port, workloadOptions), onFailure);
    if (backend === undefined) continue;
    for (const part of round === 0 ? parts : parts.slice(0, 6)) await tolerate(part(backend, ledger), onFailure);
    await tolerate(backend.close(), onFailure);
  }
}

async function tolerate<T>(work: Promise<T>, onFailure: (error: SessionStoreError) => void): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    onFailure(error);
    return undefined;
  }
}

async function commit(
  backend: DirectoryBackend,
  ledger: Ledger,
  operations: readonly Operation[],
  expected: [string, string][] = [],
): Promise<void> {
  const told = ledger.begin(operations);
  try {
    const result = await backend.commit({ operations, expected: new Map(expected) });
    told(result.status === "committed" ? "done" : "not done");
  } catch (error) {
    told(error instanceof SessionStoreError && error.code !== "outcome_unknown" ? "not done" : "unknown");
    throw error;
  }
}

async function patch(
  backend: DirectoryBackend,
  ledger: Ledger,
  key: string,
  field: string,
  value: unknown,
): Promise<void> {
  const found = (await backend.read([key])).get(key);
  if (found === undefined) return;
  const set = Object.freeze({ [field]: value });
  const entry = Object.freeze({ ...found.entry, ...set });
  await commit(backend, ledger, [{ type: "patch", key, set, unset: [], entry }], [[key, found.version]]);
}

async function scanAll(backend: DirectoryBackend): Promise<void> {
  const snapshot = await backend.scan();
  for await (const { key, version } of snapshot) assert.ok(key !== "" && version !== "");
}
