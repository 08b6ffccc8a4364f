/**
 * A client of a history: does a seeded mix of everything with the sessions, one operation after the other, and reports
 * each call before it is made and each return after it. What a killed client had called and not returned is known so.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { SessionStore } from "../../src/api.js";
import type { Backend } from "../../src/contract.js";
import { SessionStoreError } from "../../src/errors.js";
import { SeededRandom } from "../sim/random.js";
import {
  type Action,
  type HistoryEntry,
  type Operation,
  type Outcome,
  patchFields,
  putEntry,
  type State,
  type TransactionStep,
  toState,
  updatedEntry,
} from "./operations.js";

export interface ClientWork {
  readonly client: string;
  readonly keys: readonly string[];
  readonly operations: number;
  readonly seed: number;
}

export type Call = Pick<Operation, "id" | "client" | "action" | "callMicroseconds">;

export interface Recorder {
  called(call: Call): void;
  returned(id: string, returnMicroseconds: number, outcome: Outcome): void;
}

type Store = SessionStore<Record<string, unknown>>;
type Token = { readonly id: string; readonly version: string } | null;
type Done = Extract<Outcome, { status: "done" }>;

const mix: readonly (readonly [type: Action["type"], weight: number])[] = [
  ["read", 24],
  ["put", 8],
  ["update", 20],
  ["swap", 16],
  ["patch", 12],
  ["remove", 7],
  ["transaction", 9],
  ["scan", 4],
];

export async function runClient(store: Store, work: ClientWork, recorder: Recorder): Promise<void> {
  const random = new SeededRandom(work.seed);
  /** What this client read last of each session. */
  const known = new Map<string, Token>();
  for (let number = 0; number < work.operations; number += 1) {
    const id = `${work.client}:${number}`;
    const action = chooseAction(random, work.keys, known);
    recorder.called({ id, client: work.client, action, callMicroseconds: nowMicroseconds() });
    const outcome = await tryAction(store, id, action, work.keys, known);
    recorder.returned(id, nowMicroseconds(), outcome);
  }
}

/** CLOCK_MONOTONIC: the same for all processes of the machine. */
export function nowMicroseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}

/** The version of the last commit made for the operation that is running. */
const commits = new AsyncLocalStorage<{ version?: string }>();

/** The backend, telling the operation that is running which version its commit got: the store does not return it. */
export function tellingVersions(backend: Backend): Backend {
  return new Proxy(backend, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (name !== "commit") return typeof value === "function" ? value.bind(target) : value;
      return async (request: Parameters<Backend["commit"]>[0]) => {
        const operation = commits.getStore();
        const result = await target.commit(request);
        if (operation && result.status === "committed") operation.version = result.version;
        return result;
      };
    },
  });
}

function chooseAction(random: SeededRandom, keys: readonly string[], known: ReadonlyMap<string, Token>): Action {
  const type = chooseType(random);
  const key = random.pick(keys);
  switch (type) {
    case "swap": {
      const token = known.get(key);
      return token === undefined ? { type: "read", key } : { type: "swap", key, expected: token?.id ?? null };
    }
    case "patch":
      return { type: "patch", key, field: random.pick(["a", "b", "c"]), createIfMissing: random.chance(0.5) };
    case "remove": {
      const token = known.get(key);
      return token && random.chance(0.4) ? { type: "remove", key, expected: token.id } : { type: "remove", key };
    }
    case "transaction":
      return { type: "transaction", steps: chooseSteps(random, keys) };
    case "scan":
      return { type: "scan" };
    default:
      return { type, key };
  }
}

function chooseType(random: SeededRandom): Action["type"] {
  let left = random.below(mix.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [type, weight] of mix) {
    left -= weight;
    if (left < 0) return type;
  }
  return "read";
}

/** Two or three sessions; the first one is written, because what writes nothing is not checked when it ends. */
function chooseSteps(random: SeededRandom, keys: readonly string[]): TransactionStep[] {
  const left = [...keys];
  const steps: TransactionStep[] = [];
  while (left.length > 0 && steps.length < 2 + random.below(2)) {
    const [key] = left.splice(random.below(left.length), 1) as [string];
    const does =
      steps.length === 0
        ? random.pick(["put", "update"] as const)
        : random.pick(["look", "put", "update", "update", "remove"] as const);
    steps.push({ key, does });
  }
  return steps;
}

async function tryAction(
  store: Store,
  id: string,
  action: Action,
  keys: readonly string[],
  known: Map<string, Token>,
): Promise<Outcome> {
  const commit: { version?: string } = {};
  try {
    const done = await commits.run(commit, () => perform(store, id, action, keys, known));
    return commit.version === undefined ? done : { ...done, version: commit.version };
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    if (error.code === "outcome_unknown") {
      return { status: "unknown", ...(error.version === undefined ? {} : { version: error.version }) };
    }
    const expects = action.type === "swap" || (action.type === "remove" && action.expected !== undefined);
    if (error.code === "conflict" && expects) return { status: "refused" };
    if (error.code === "not_found" && action.type === "patch") return { status: "refused" };
    return { status: "failed", code: error.code };
  }
}

async function perform(
  store: Store,
  id: string,
  action: Action,
  keys: readonly string[],
  known: Map<string, Token>,
): Promise<Done> {
  const saw: Record<string, State> = {};
  const sawVersions: Record<string, string> = {};
  const remember = (key: string, found: { entry: unknown; version: string } | undefined) => {
    saw[key] = toState(found?.entry);
    if (found) sawVersions[key] = found.version;
    known.set(key, found ? { id: (found.entry as HistoryEntry).id, version: found.version } : null);
  };
  switch (action.type) {
    case "read":
      remember(action.key, await store.getWithVersion(action.key));
      return { status: "done", saw, sawVersions };
    case "scan": {
      const found = new Map<string, { entry: unknown; version: string }>();
      for await (const { key, entry, version } of store.entries()) found.set(key, { entry, version });
      for (const key of keys) remember(key, found.get(key));
      return { status: "done", saw, sawVersions };
    }
    case "put":
      await store.transaction((transaction) => transaction.set(action.key, putEntry(id) as never));
      return { status: "done" };
    case "update":
    case "swap": {
      const token = action.type === "swap" ? known.get(action.key) : undefined;
      const options = token === undefined ? {} : { ifVersion: token === null ? null : token.version };
      const update = (current: Record<string, unknown> | undefined) => {
        saw[action.key] = toState(current);
        return updatedEntry(current as HistoryEntry | undefined, id) as never;
      };
      await store.update(action.key, update, options);
      return { status: "done", saw };
    }
    case "patch": {
      const { key, field, createIfMissing } = action;
      saw[key] = toState(await store.patch(key, patchFields(field, id) as never, { createIfMissing }));
      return { status: "done", saw };
    }
    case "remove": {
      const token = action.expected === undefined ? undefined : known.get(action.key);
      const existed = await store.remove(action.key, token ? { ifVersion: token.version } : {});
      return { status: "done", existed };
    }
    case "transaction": {
      await store.transaction(async (transaction) => {
        for (const { key, does } of action.steps) {
          if (does === "put") {
            transaction.set(key, putEntry(id) as never);
            continue;
          }
          const current = await transaction.get(key);
          saw[key] = toState(current);
          if (does === "update") {
            transaction.set(key, updatedEntry(current as HistoryEntry | undefined, id) as never);
          } else if (does === "remove") {
            await transaction.remove(key);
          }
        }
      });
      return { status: "done", saw };
    }
  }
}
