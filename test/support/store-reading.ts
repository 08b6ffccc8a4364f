/** Reads whole stores and parts of change feeds, for comparing them with what they should be. */

import assert from "node:assert/strict";
import type { SessionChange, SessionStore } from "../../src/api.js";
import type { SessionSummary } from "../../src/contract.js";
import { SessionStoreError, type SessionStoreErrorCode } from "../../src/errors.js";

type AnyEntry = Record<string, unknown>;
type AnyStore = SessionStore<AnyEntry>;
type Change = SessionChange<AnyEntry>;

/** Sessions that `changesSince` writes to find the end of the feed; no other helper shows them. */
const markerPrefix = "marker:";
let markers = 0;

export async function readAll(store: AnyStore): Promise<Map<string, AnyEntry>> {
  const all = new Map<string, AnyEntry>();
  for await (const { key, entry } of store.entries()) {
    assert.ok(!all.has(key), `a scan yields ${key} once`);
    if (!key.startsWith(markerPrefix)) all.set(key, entry);
  }
  return all;
}

/** Every change from the cursor to now, without waiting for a time: up to a marker that is written for it. */
export async function changesSince(store: AnyStore, since: string, writer: AnyStore = store): Promise<Change[]> {
  const marker = `${markerPrefix}${process.pid}:${++markers}`;
  await writer.update(marker, () => ({ marker }));
  const changes: Change[] = [];
  for await (const change of store.watch({ since })) {
    if (change.key === marker) break;
    if (!change.key?.startsWith(markerPrefix)) changes.push(change);
  }
  return changes;
}

/** The next changes of a watch that is already running. */
export async function take(watch: AsyncIterator<Change>, count: number): Promise<Change[]> {
  const changes: Change[] = [];
  while (changes.length < count) {
    const next = await watch.next();
    assert.ok(!next.done, "the watch goes on");
    changes.push(next.value);
  }
  return changes;
}

export function applyChanges(state: ReadonlyMap<string, AnyEntry>, changes: readonly Change[]): Map<string, AnyEntry> {
  const result = new Map(state);
  for (const change of changes) {
    assert.notEqual(change.type, "reset", "the history is still there");
    if (change.type === "put") result.set(change.key, change.entry);
    if (change.type === "remove") result.delete(change.key);
  }
  return result;
}

/** All pages of a list. */
export async function listAll(store: AnyStore, query: Parameters<AnyStore["list"]>[0] = {}): Promise<SessionSummary[]> {
  const sessions: SessionSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(cursor === undefined ? query : { ...query, cursor });
    assert.ok(page.sessions.length <= (query.limit ?? 100), "a page holds no more than asked for");
    sessions.push(...page.sessions);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return sessions;
}

/** The rejection must be one of ours with this code; returns it. */
export async function rejectsWith(
  code: SessionStoreErrorCode,
  promise: Promise<unknown> | (() => unknown),
): Promise<SessionStoreError> {
  let result: unknown;
  try {
    result = await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    assert.ok(error instanceof SessionStoreError, `a SessionStoreError, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`rejects with ${code}, but resolved with ${JSON.stringify(result)?.slice(0, 200)}`);
}

/** A promise and its ends, for tests that decide what happens when. */
export function deferred<Result = void>() {
  let resolve!: (value: Result) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<Result>((ok, failed) => {
    resolve = ok;
    reject = failed;
  });
  return { promise, resolve, reject };
}
