/**
 * `updateSessionStore`, and what every other write is made of: run a callback on a view of one state of the store, find
 * what it changed, and commit that on the condition that what it relied on is still as it was.
 *
 * No lock is held and nothing is queued while a callback runs: it may await for minutes, and update the same store from
 * within, without holding up anybody or waiting for itself. Only second attempts at the same session take turns
 * (`turns.ts`). **The callback runs again** when others changed what it
 * relied on - a session that it read by name and did not change, or a field that it changed too -, at most until
 * `conflictWaitMs` have passed since the first conflict; then the call rejects with `conflict`. Changes of other
 * sessions, and of other fields of the same session, are merged without running it again. It also runs again, once and
 * on an ordinary object, when it tried to clone the view (`structuredClone`), which no proxy allows.
 */

import { ReadPointLostError } from "../backends/directory/read-point.js";
import type { Backend, CommitRequest, Operation, VersionToken } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { gatewayLimits } from "../limits.js";
import { generationsAfter } from "../sessions/generations.js";
import { jsonEqual } from "../sessions/json-equal.js";
import { operationFor } from "../store-writes.js";
import { rebase, type SessionChange, toChanges } from "./entry-changes.js";
import { logWarning } from "./log.js";
import { MapSource, type ReadSource, type StoredSession } from "./read-sources.js";
import { conflictWaitMs, type SharedStore, sharedStore } from "./shared-handles.js";
import { TrackedView } from "./tracked-view.js";
import { Turns } from "./turns.js";
import type { SessionEntry } from "./types.js";
import { setUnreadableFileAside } from "./unreadable-file.js";
import { maintainAfterWrite, rotateBeforeWrite } from "./write-maintenance.js";
import type { SaveSessionStoreOptions } from "./write-options.js";

type Store = Record<string, SessionEntry>;

/**
 * Lets `mutator` change the store in place and writes what it changed; resolves with what it returned. A mutator that
 * throws changes nothing. A session that had ACP metadata keeps it, unless its key is in `allowDropAcpMetaSessionKeys`,
 * the mutator gave it other metadata, or removed the session. What is as it was is not written.
 *
 * Sessions that the mutator read by name or wrote are validated at the commit; those that it only met while enumerating
 * the store are not. All of it is one commit. See the top of this file for when the mutator runs again.
 */
export async function updateSessionStore<T>(
  storePath: string,
  mutator: (store: Store) => T | Promise<T>,
  opts?: SaveSessionStoreOptions | null,
): Promise<T> {
  return runUpdate(sharedStore(storePath), mutator, opts ?? {});
}

/** The same on a store that is at hand. */
export function runUpdate<T>(
  shared: SharedStore,
  mutator: (store: Store) => T | Promise<T>,
  opts: SaveSessionStoreOptions = {},
): Promise<T> {
  return shared.use(async () => {
    const attempts = new Attempts(shared);
    try {
      let usePlain = mentionsCloning(mutator);
      for (;;) {
        const run = await runOnce(shared, mutator, usePlain, attempts.turns, opts);
        let overlap: string | undefined;
        if (run.outcome === "clone") usePlain = true;
        else if (run.outcome === "done") {
          const outcome = await commitChanges(shared, run.changes, attempts, "rerun", opts);
          if (outcome === "written" || outcome === "nothing") {
            attempts.turns.end();
            await maintainAfterWrite(shared, opts);
            return run.value;
          }
          overlap = outcome.overlap;
        }
        await attempts.next(overlap);
      }
    } finally {
      attempts.turns.end();
    }
  });
}

type Run<T> =
  | { readonly outcome: "done"; readonly value: T; readonly changes: readonly SessionChange[] }
  /** The state that it began with can no longer be told in full. */
  | { readonly outcome: "lost" }
  | { readonly outcome: "clone" };

async function runOnce<T>(
  shared: SharedStore,
  mutator: (store: Store) => T | Promise<T>,
  usePlain: boolean,
  turns: Turns,
  opts: SaveSessionStoreOptions,
): Promise<Run<T>> {
  const source = await sourceForUpdate(shared);
  const watched = new WatchedSource(source, shared);
  try {
    const view = new TrackedView(watched);
    const returned = mutator(usePlain ? view.plain() : view.store);
    let value = isThenable(returned) ? await turns.keepDuring(returned) : returned;
    // Whoever gets the store itself back may look at all of it, long after this version is gone.
    if (value === view.store) value = view.plain() as T;
    if (watched.isLost) return { outcome: "lost" };
    const rules = { limits: gatewayLimits, allowDropAcpMetaSessionKeys: opts.allowDropAcpMetaSessionKeys };
    return { outcome: "done", value, changes: toChanges(view.touched(), rules) };
  } catch (error) {
    if (watched.isLost) return { outcome: "lost" };
    if (!usePlain && isCloneError(error)) return { outcome: "clone" };
    throw error;
  } finally {
    watched.close();
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/**
 * Notes when a read could not be answered as of the view's version: a callback might swallow the error. A view that its
 * callback kept is answered as of now.
 */
class WatchedSource implements ReadSource {
  readonly #source: ReadSource;
  readonly #shared: SharedStore;
  isLost = false;
  #isClosed = false;

  constructor(source: ReadSource, shared: SharedStore) {
    this.#source = source;
    this.#shared = shared;
  }

  get kind(): ReadSource["kind"] {
    return this.#source.kind;
  }

  read(name: string): StoredSession | undefined {
    return this.#ask((source) => source.read(name));
  }

  names(): readonly string[] {
    return this.#ask((source) => source.names());
  }

  spellings(key: string): readonly string[] {
    return this.#ask((source) => source.spellings(key));
  }

  close(): void {
    this.#isClosed = true;
    this.#source.close();
  }

  #ask<Result>(read: (source: ReadSource) => Result): Result {
    if (this.#isClosed) return this.#shared.read(read);
    try {
      return read(this.#source);
    } catch (error) {
      if (error instanceof ReadPointLostError) this.isLost = true;
      throw error;
    }
  }
}

/** The engine says it in one of two ways, `v8.serialize` with the second. */
function isCloneError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "DataCloneError" || /could not be cloned/.test(error.message);
}

/** Spares the second run where the text of the callback shows that it clones. A guess: a wrong one costs time only. */
function mentionsCloning(mutator: unknown): boolean {
  return /\bstructuredClone\b|\bserialize\b|\bpostMessage\b/.test(Function.prototype.toString.call(mutator));
}

/**
 * The state a callback begins with. A store that was not taken over yet is read as it lies there: only a callback that
 * changes something makes a directory of it.
 */
async function sourceForUpdate(shared: SharedStore): Promise<ReadSource> {
  const form = shared.form();
  if (form === "directory" || form === "file") {
    const backend = await openForWriting(shared);
    return backend.kind === "directory" ? shared.source() : jsonSource(backend);
  }
  try {
    return shared.source();
  } catch (error) {
    if (!(error instanceof SessionStoreError && error.code === "invalid_legacy")) throw error;
    return MapSource.ofLegacy({});
  }
}

async function jsonSource(backend: Backend): Promise<ReadSource> {
  const sessions = new Map<string, StoredSession>();
  for await (const { key, entry, version } of await backend.scan()) sessions.set(key, { entry, version });
  return new MapSource("json", sessions);
}

/** Opens the store; an unreadable legacy file in its place is first renamed aside. */
async function openForWriting(shared: SharedStore): Promise<Backend> {
  try {
    return await shared.open();
  } catch (error) {
    if (!(error instanceof SessionStoreError && error.code === "invalid_legacy")) throw error;
    const aside = await setUnreadableFileAside(shared.port, shared.location);
    if (aside === undefined) throw error;
    logWarning("an unreadable session store was set aside before the first write", { path: shared.storePath, aside });
    return shared.open();
  }
}

/** What to do when others changed what a change was made on. */
export type OnConflict = "rerun" | "overwrite";

/** The session whose change no longer fits what is stored. */
interface Overlap {
  readonly overlap: string;
}

/**
 * Writes the changes as one commit. An overlap: nothing was written. Opens the store - takes a legacy file over - only
 * when there is something to write.
 */
export async function commitChanges(
  shared: SharedStore,
  changes: readonly SessionChange[],
  attempts: Attempts,
  onConflict: OnConflict,
  opts: SaveSessionStoreOptions,
): Promise<"written" | "nothing" | Overlap> {
  if (changes.every(({ next }) => next === "unchanged")) return "nothing";
  const backend = await openForWriting(shared);
  if (attempts.isFirst) await rotateBeforeWrite(shared, opts);
  await attempts.turns.takeIfContended(changes.filter(isValidated).map(({ key }) => key));
  let current = await withVersions(backend, changes, onConflict);
  for (;;) {
    if ("overlap" in current) return current;
    const request = toRequest(shared, backend, current);
    if (request.operations.length === 0) return "nothing";
    const result = await backend.commit(request);
    if (result.status === "committed") return "written";
    const [conflicting] = result.current.keys();
    current = rebaseAll(current, result.current, onConflict);
    if (!("overlap" in current)) await attempts.next(conflicting);
  }
}

/** Sessions that were read from a legacy file have versions only now. */
async function withVersions(
  backend: Backend,
  changes: readonly SessionChange[],
  onConflict: OnConflict,
): Promise<readonly SessionChange[] | Overlap> {
  const unknown = changes.filter(({ base }) => base !== undefined && base.version === undefined).map(({ key }) => key);
  if (unknown.length === 0) return changes;
  const found = await backend.read(unknown);
  const different = new Map<string, StoredSession | undefined>();
  const same: SessionChange[] = changes.map((change) => {
    if (change.base === undefined || change.base.version !== undefined) return change;
    const latest = found.get(change.key);
    if (latest === undefined || !jsonEqual(latest.entry, change.base.entry)) different.set(change.key, latest);
    return latest === undefined ? change : { ...change, base: { ...change.base, version: latest.version } };
  });
  return rebaseAll(same, different, onConflict);
}

function rebaseAll(
  changes: readonly SessionChange[],
  latest: ReadonlyMap<string, StoredSession | undefined>,
  onConflict: OnConflict,
): readonly SessionChange[] | Overlap {
  const rebased: SessionChange[] = [];
  for (const change of changes) {
    if (!latest.has(change.key)) {
      rebased.push(change);
      continue;
    }
    const now = latest.get(change.key);
    const next = onConflict === "overwrite" ? { ...change, base: now } : rebase(change, now);
    if (next === "overlap") return { overlap: change.key };
    rebased.push(next);
  }
  return rebased;
}

/** The commit finds it as it was, or is none. */
function isValidated({ isReliedOn, next }: SessionChange): boolean {
  return isReliedOn || next !== "unchanged";
}

function toRequest(shared: SharedStore, backend: Backend, changes: readonly SessionChange[]): CommitRequest {
  const expected = new Map<string, VersionToken | null>();
  const operations: Operation[] = [];
  for (const change of changes) {
    const { key, base, next } = change;
    if (isValidated(change)) expected.set(key, base?.version ?? null);
    if (next === "unchanged") continue;
    if (next === undefined) {
      if (base !== undefined) operations.push({ type: "remove", key, purge: change.purges === true });
      continue;
    }
    const operation = operationFor(key, base?.entry, next, gatewayLimits.entryBytes);
    if (operation === undefined) continue;
    const generations =
      base === undefined || !backend.capabilities.generations
        ? undefined
        : generationsAfter(base, next, { endedMs: shared.port.nowMs() });
    operations.push(generations === undefined ? operation : { ...operation, generations });
  }
  return { operations, expected };
}

const pauseMsMax = 8;

/** What must have been tried before a call gives up: the last of them in turn, however long the line was. */
const attemptsMin = 4;

/** How long one call goes on after conflicts, and its turns. The time before the first conflict does not count. */
export class Attempts {
  readonly turns: Turns;
  readonly #shared: SharedStore;
  #firstMs: number | undefined;
  #attempts = 0;

  constructor(shared: SharedStore) {
    this.#shared = shared;
    this.turns = new Turns(shared);
  }

  get isFirst(): boolean {
    return this.#attempts === 0;
  }

  /** Waits until it is time to try again, in turn at this session. Throws `conflict` when it has been enough. */
  async next(contended: string | undefined): Promise<void> {
    await this.#pause();
    if (contended !== undefined) await this.turns.take(contended);
  }

  /** A random moment that grows with the attempts. */
  async #pause(): Promise<void> {
    const { port } = this.#shared;
    const nowMs = port.monotonicMs();
    this.#firstMs ??= nowMs;
    this.#attempts += 1;
    if (this.#attempts >= attemptsMin && nowMs - this.#firstMs >= conflictWaitMs) {
      throw new SessionStoreError("conflict", `others kept changing the same sessions: ${this.#attempts} attempts`, {
        operation: "updateSessionStore",
        path: this.#shared.storePath,
        attempts: this.#attempts,
        nextStep: "Make the callback faster, or let it change fewer fields.",
      });
    }
    if (this.#attempts < 2) return;
    const pauseMs = port.random() * Math.min(pauseMsMax, 0.25 * 2 ** this.#attempts);
    if (pauseMs >= 0.5) await port.sleep(pauseMs);
    else await port.yieldToEventLoop();
  }
}
