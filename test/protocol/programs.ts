/**
 * A program for interleaved processes: opens the store, makes the calls of a script one after another, and closes it. It
 * records what the history checks need (history.ts): what was acknowledged, and when each read began and what it saw.
 */

import type { DirectoryBackend } from "../../src/backends/directory/backend.js";
import type { CommitResult, Operation, Versioned } from "../../src/contract.js";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import type { ProgramContext } from "../sim/worker-main.js";
import { openStore, type StoreOptions } from "./simulated-store.js";

export type Call =
  | readonly ["put", key: string, value: unknown]
  | readonly ["create", key: string, value: unknown]
  | readonly ["patch", key: string, field: string, value: unknown]
  | readonly ["remove", key: string]
  /** Reads all the keys, and puts them all if none has changed meanwhile. */
  | readonly ["swap", keys: readonly string[], value: unknown]
  | readonly ["read", keys: readonly string[]]
  | readonly ["scan"]
  /** The keys of a list. */
  | readonly ["list"]
  | readonly ["trash"]
  /** Throws away all that the trash holds. */
  | readonly ["emptyTrash"]
  | readonly ["checkpoint"]
  | readonly ["sync"]
  | readonly ["sleep", ms: number];

export interface Script {
  readonly calls: readonly Call[];
  readonly options?: StoreOptions;
  /** End without closing, as if killed. */
  readonly leaveOpen?: boolean;
}

/** What was seen of some sessions: key -> version token and entry. Keys that are missing did not exist. */
export type Seen = Readonly<Record<string, { readonly version: string; readonly entry: unknown }>>;

export type HistoryEvent =
  | { readonly type: "acknowledged"; readonly commitId: string; readonly version: string; readonly durable: boolean }
  | { readonly type: "refused"; readonly commitId: string }
  | { readonly type: "reading"; readonly id: string }
  /** `cursor` for a scan. */
  | {
      readonly type: "seen";
      readonly id: string;
      readonly keys: readonly string[] | "all";
      readonly seen: Seen;
      readonly cursor?: string;
    }
  | { readonly type: "listed"; readonly keys: readonly string[] }
  /** Key -> entry of each removed session. */
  | { readonly type: "trash seen"; readonly id: string; readonly seen: Readonly<Record<string, unknown>> }
  | { readonly type: "emptying" }
  | { readonly type: "emptied" };

export async function runScript(port: Port, script: Script, context: ProgramContext): Promise<string> {
  const backend = await openStore(port, script.options);
  const durable = backend.readOnly || script.options?.durability !== "interval";
  for (const [index, call] of script.calls.entries()) {
    await make(backend, port, call, `${context.name}-${index}`, durable, (event) => context.record(event));
  }
  if (!script.leaveOpen) await backend.close();
  return "done";
}

async function make(
  backend: DirectoryBackend,
  port: Port,
  call: Call,
  id: string,
  durable: boolean,
  record: (event: HistoryEvent) => void,
): Promise<void> {
  const commit = async (operations: Operation[], expected: [string, string | null][]) => {
    const result: CommitResult = await backend.commit({ operations, expected: new Map(expected), commitId: id });
    if (result.status === "committed") record({ type: "acknowledged", commitId: id, version: result.version, durable });
    else record({ type: "refused", commitId: id });
  };
  const read = async (keys: readonly string[]): Promise<Map<string, Versioned>> => {
    record({ type: "reading", id });
    const found = await backend.read(keys);
    record({ type: "seen", id, keys, seen: Object.fromEntries(found) });
    return found;
  };
  switch (call[0]) {
    case "put":
      return commit([{ type: "put", key: call[1], entry: Object.freeze({ value: call[2] }) }], []);
    case "create":
      return commit([{ type: "put", key: call[1], entry: Object.freeze({ value: call[2] }) }], [[call[1], null]]);
    case "remove":
      return commit([{ type: "remove", key: call[1], purge: false }], []);
    case "patch": {
      const [, key, field, value] = call;
      const found = (await read([key])).get(key);
      if (found === undefined) return;
      const set = Object.freeze({ [field]: value });
      const entry = Object.freeze({ ...found.entry, [field]: value });
      return commit([{ type: "patch", key, set, unset: [], entry }], [[key, found.version]]);
    }
    case "swap": {
      const [, keys, value] = call;
      const found = await read(keys);
      const operations = keys.map(
        (key): Operation => ({ type: "put", key, entry: Object.freeze({ value, swap: id }) }),
      );
      return commit(
        operations,
        keys.map((key) => [key, found.get(key)?.version ?? null]),
      );
    }
    case "read":
      await read(call[1]);
      return;
    case "scan":
      return scan(backend, id, record);
    case "list": {
      const { sessions } = await backend.list({ limit: 100, order: "key" });
      return record({ type: "listed", keys: sessions.map((summary) => summary.key) });
    }
    case "trash": {
      const seen: Record<string, unknown> = Object.create(null);
      record({ type: "reading", id });
      for await (const { key, entry } of backend.trash()) seen[key] = entry;
      return record({ type: "trash seen", id, seen: { ...seen } });
    }
    case "emptyTrash": {
      const ids: string[] = [];
      for await (const removed of backend.trash()) ids.push(removed.id);
      record({ type: "emptying" });
      await backend.emptyTrash(ids);
      return record({ type: "emptied" });
    }
    case "checkpoint":
      return backend.checkpoint();
    case "sync":
      return backend.sync();
    case "sleep":
      return port.sleep(call[1]);
  }
}

async function scan(backend: DirectoryBackend, id: string, record: (event: HistoryEvent) => void): Promise<void> {
  record({ type: "reading", id });
  const snapshot = await backend.scan();
  const seen: Record<string, { version: string; entry: unknown }> = Object.create(null);
  for await (const { key, version, entry } of snapshot) {
    if (key in seen) throw new SessionStoreError("io_error", `the scan gave ${key} twice`);
    seen[key] = { version, entry };
  }
  record({ type: "seen", id, keys: "all", seen: { ...seen }, cursor: snapshot.cursor });
}
