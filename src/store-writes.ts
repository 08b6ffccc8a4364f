/**
 * update, patch and remove of one session. Each is the same loop: look at the current state, work out what to change
 * without any lock, try to commit it on the condition that nothing changed meanwhile, and begin again with the state
 * that the conflict reports. Keys and options were checked by the caller.
 */

import type { PatchOptions, RemoveOptions, UpdateOptions, WriteOptions } from "./api.js";
import type { CommitResult, FrozenEntry, Operation, Versioned, VersionToken } from "./contract.js";
import { SessionStoreError } from "./errors.js";
import { type PrivateFields, privatizeChanges, privatizeEntry, privatizeFields } from "./sessions/entry-value.js";
import { applyPatch, diffEntries, effectiveFields, mergeThreeWay } from "./sessions/patch.js";
import { Attempts, readSession, recallSession, requireVersion, type StoreContext } from "./store-context.js";
import { checkEntryBytes } from "./store-entry-size.js";
import { reopened, withGenerations } from "./store-generations.js";
import { requireNotAborted } from "./store-lifetime.js";

export type UpdateFunction = (current: FrozenEntry | undefined) => unknown;

/** A write of its own, from `begin` to `end`: an async function around it would cost each update one more promise. */
export async function updateSession(
  context: StoreContext,
  key: string,
  fn: UpdateFunction,
  options: UpdateOptions,
): Promise<FrozenEntry | undefined> {
  const { backend, lifetime } = context;
  const { limits } = backend;
  lifetime.begin("update");
  try {
    const recalled = recallSession(backend, key, options.ifVersion);
    /** False: others may have changed it since, and nobody has looked. */
    let certain = recalled === undefined;
    // Awaited in any case: no caller's function runs before the call that it was given to has returned.
    let current = await (recalled ?? readSession(backend, key));
    requireVersion(options.ifVersion, current?.version, "update", key, 0);
    const attempts = new Attempts(context, "update", key, options.signal);
    for (;;) {
      let operation: WriteOperation | undefined;
      let failure: { error: unknown } | undefined;
      try {
        const given = runCallerFunction(context, () => fn(current?.entry), options.signal, "update");
        // Awaiting what is no promise would cost every update another turn of the microtasks.
        const returned = given instanceof Promise ? await given : given;
        if (returned !== undefined) {
          operation =
            current === undefined
              ? operationFor(key, undefined, privatizeEntry(returned, limits), limits.entryBytes)
              : patchFor(key, current.entry, privatizeChanges(returned, current.entry, limits), limits.entryBytes);
        }
      } catch (error) {
        if (certain || options.signal?.aborted || context.lifetime.closed) throw error;
        failure = { error };
      }
      if (operation === undefined && !certain) {
        // Nothing to commit may be the answer to a state that is no more.
        const seen = current;
        current = await readSession(context.backend, key);
        certain = true;
        if (current?.version !== seen?.version) {
          requireVersion(options.ifVersion, current?.version, "update", key, 0);
          context.lifetime.requireOpen("update");
          requireNotAborted(options.signal, "update");
          continue;
        }
      }
      if (failure !== undefined) throw failure.error;
      // With "merge" the same result may be tried several times, each time on top of what the others did.
      for (;;) {
        if (operation === undefined) return current?.entry;
        if (certain) attempts.count++;
        const result = await commitOne(context, operation, current, options);
        if (result.status === "committed") return operation.entry;
        const latest = certain ? await latestAfterConflict(context, key, result, attempts) : result.current.get(key);
        certain = true;
        requireVersion(options.ifVersion, latest?.version, "update", key, attempts.count);
        const merged: FrozenEntry | "overlap" =
          options.onConflict === "merge" ? mergeThreeWay(current?.entry, operation.entry, latest?.entry) : "overlap";
        current = latest;
        if (merged === "overlap") break;
        operation = operationFor(key, current?.entry, merged, limits.entryBytes);
      }
      // Nobody's code is run after the store began to close.
      context.lifetime.requireOpen("update");
      requireNotAborted(options.signal, "update");
    }
  } finally {
    lifetime.end();
  }
}

export async function patchSession(
  context: StoreContext,
  key: string,
  fields: unknown,
  options: PatchOptions,
): Promise<FrozenEntry> {
  const { limits } = context.backend;
  const wanted = privatizeFields(fields, limits);
  const attempts = new Attempts(context, "patch", key, options.signal);
  let current = recallSession(context.backend, key, options.ifVersion);
  let certain = current === undefined;
  if (certain) current = await readSession(context.backend, key);
  for (;;) {
    requireVersion(options.ifVersion, current?.version, "patch", key, attempts.count);
    if (current === undefined && options.createIfMissing !== true) throw notFound("patch", key);
    let operation: WriteOperation | undefined;
    try {
      operation = patchFor(key, current?.entry, wanted, limits.entryBytes);
    } catch (error) {
      if (certain) throw error;
    }
    if (operation === undefined) {
      if (certain) return current!.entry;
      // Nothing to change, or too much: perhaps only for a state that is no more.
      current = await readSession(context.backend, key);
    } else {
      if (certain) attempts.count++;
      const result = await commitOne(context, operation, current, options);
      if (result.status === "committed") return operation.entry;
      current = certain ? await latestAfterConflict(context, key, result, attempts) : result.current.get(key);
    }
    certain = true;
    requireNotAborted(options.signal, "patch");
  }
}

export async function removeSession(context: StoreContext, key: string, options: RemoveOptions): Promise<boolean> {
  let current = await readSession(context.backend, key);
  const attempts = new Attempts(context, "remove", key, options.signal);
  for (;;) {
    requireVersion(options.ifVersion, current?.version, "remove", key, attempts.count);
    if (current === undefined) return false;
    attempts.count++;
    const operation: Operation = { type: "remove", key, purge: options.purge === true };
    const result = await commitOne(context, operation, current, options);
    if (result.status === "committed") return true;
    current = await latestAfterConflict(context, key, result, attempts);
    requireNotAborted(options.signal, "remove");
  }
}

/** Makes an earlier generation current again; the present one becomes an earlier one. */
export async function reopenSession(
  context: StoreContext,
  key: string,
  sessionId: string,
  options: WriteOptions,
): Promise<FrozenEntry> {
  const { limits } = context.backend;
  let current = await readSession(context.backend, key);
  const attempts = new Attempts(context, "reopenGeneration", key, options.signal);
  for (;;) {
    requireVersion(options.ifVersion, current?.version, "reopenGeneration", key, attempts.count);
    const next = reopened(context, key, current, sessionId);
    const operation = operationFor(key, current?.entry, next, limits.entryBytes);
    if (operation === undefined) return next;
    attempts.count++;
    const result = await commitOne(context, operation, current, options);
    if (result.status === "committed") return operation.entry;
    current = await latestAfterConflict(context, key, result, attempts);
    requireNotAborted(options.signal, "reopenGeneration");
  }
}

// --- shared with transactions --------------------------------------------------------------------------------------

/** Runs the caller's function; what it throws passes through. Waits for its promise no longer than anybody wants it. */
export function runCallerFunction(
  context: StoreContext,
  fn: () => unknown,
  signal: AbortSignal | undefined,
  operation: string,
): unknown {
  const returned = fn();
  if (isThenable(returned)) return context.lifetime.awaitCaller(returned, signal, operation);
  requireNotAborted(signal, operation);
  return returned;
}

/** The operation that turns one entry into the other: nothing, a patch, or - when no field stays - a whole new entry. */
export function operationFor(
  key: string,
  current: FrozenEntry | undefined,
  next: FrozenEntry,
  entryBytesMax: number,
): WriteOperation | undefined {
  if (current === undefined) {
    checkEntryBytes(next, entryBytesMax, key);
    return { type: "put", key, entry: next };
  }
  const difference = diffEntries(current, next);
  if (difference === undefined) return undefined;
  const { set, unset, keptFields } = difference;
  if (keptFields === 0) {
    checkEntryBytes(next, entryBytesMax, key);
    return { type: "put", key, entry: next };
  }
  checkEntryBytes(next, entryBytesMax, key, current, set);
  return { type: "patch", key, set, unset, entry: next };
}

/** The entry with the fields over it; the entry itself when they change nothing. */
export function patched(entry: FrozenEntry | undefined, fields: PrivateFields): FrozenEntry {
  if (entry === undefined) return fields.set;
  const effective = effectiveFields(entry, fields);
  return effective === undefined ? entry : applyPatch(entry, effective.set, effective.unset);
}

export function notFound(operation: string, key: string): SessionStoreError {
  return new SessionStoreError("not_found", "there is no such session", {
    operation,
    key,
    nextStep: "Pass { createIfMissing: true } to create it.",
  });
}

// --- helpers -------------------------------------------------------------------------------------------------------

type WriteOperation = Exclude<Operation, { type: "remove" }>;

function patchFor(
  key: string,
  current: FrozenEntry | undefined,
  wanted: PrivateFields,
  entryBytesMax: number,
): WriteOperation | undefined {
  if (current === undefined) return operationFor(key, undefined, wanted.set, entryBytesMax);
  const effective = effectiveFields(current, wanted);
  if (effective === undefined) return undefined;
  const { set, unset } = effective;
  const entry = applyPatch(current, set, unset);
  const keepsNothing = Object.keys(entry).length === Object.keys(set).length;
  if (keepsNothing) return operationFor(key, undefined, entry, entryBytesMax);
  checkEntryBytes(entry, entryBytesMax, key, current, set);
  return { type: "patch", key, set, unset, entry };
}

function commitOne(
  context: StoreContext,
  operation: Operation,
  current: Versioned | undefined,
  options: UpdateOptions,
): Promise<CommitResult> {
  // Neither from a list nor spread: both cost more than all the rest of the request.
  const expected = new Map<string, VersionToken | null>();
  expected.set(operation.key, current === undefined ? null : current.version);
  const operations = [withGenerations(context, operation, current, options)];
  const { actor, reason, signal } = options;
  return context.backend.commit({ operations, expected, actor, reason, signal });
}

/** The conflict itself says what the session is now, unless so much time passed since that asking again is better. */
async function latestAfterConflict(
  context: StoreContext,
  key: string,
  conflict: Extract<CommitResult, { status: "conflict" }>,
  attempts: Attempts,
): Promise<Versioned | undefined> {
  return (await attempts.pause()) ? readSession(context.backend, key) : conflict.current.get(key);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
