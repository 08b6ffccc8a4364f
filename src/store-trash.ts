/**
 * The trash at the level of the store: finding a removed session, putting it back, and emptying. A restore is a commit
 * on the condition that its key is free - or, with `replace`, that what is there goes to the trash in the same commit.
 * Only then does the item leave the trash: a crash in between leaves it in both places, and nothing is lost.
 */

import type { EmptyTrashOptions, RestoreOptions } from "./api.js";
import type { Operation, TrashedSession, Versioned } from "./contract.js";
import { SessionStoreError } from "./errors.js";
import { invalidOption } from "./options.js";
import { Attempts, commitDetails, type StoreContext } from "./store-context.js";
import { checkEntryBytes } from "./store-entry-size.js";
import { noGenerations } from "./store-generations.js";
import { requireNotAborted } from "./store-lifetime.js";

/** `key` is `idOrKey` as a key, if it can be one. An id goes before a key; of several removals the newest counts. */
export async function restoreSession(
  context: StoreContext,
  idOrKey: string,
  key: string | undefined,
  options: RestoreOptions,
): Promise<TrashedSession> {
  const { backend } = context;
  const item = await findTrashed(context, idOrKey, key);
  checkEntryBytes(item.entry, backend.limits.entryBytes, item.key);
  const attempts = new Attempts(context, "restore", item.key, options.signal);
  let current = await readUnlessDamaged(context, item.key, options.replace === true);
  for (;;) {
    if (current !== undefined && options.replace !== true) throw keyTaken(item);
    const operation: Operation = {
      type: "put",
      key: item.key,
      entry: item.entry,
      generations: item.generations ?? noGenerations,
      ...(options.replace ? { trashPrevious: true } : {}),
    };
    // What is damaged is replaced whatever it is; the backend keeps a copy.
    const expected = new Map(current === "damaged" ? [] : [[item.key, current?.version ?? null]]);
    attempts.count++;
    const result = await backend.commit({ operations: [operation], expected, ...commitDetails(options) });
    if (result.status === "committed") break;
    current = (await attempts.pause())
      ? await readUnlessDamaged(context, item.key, true)
      : result.current.get(item.key);
    requireNotAborted(options.signal, "restore");
  }
  try {
    await backend.emptyTrash([item.id]);
  } catch (error) {
    // The session is back, which is what was asked for.
    context.logger?.warn("a session was restored, and is still listed in the trash", { error: String(error) });
  }
  return item;
}

export async function emptyTrash(context: StoreContext, options: EmptyTrashOptions): Promise<number> {
  const { ids, removedBeforeMs } = options;
  if (ids === undefined && removedBeforeMs === undefined) {
    throw invalidOption(
      "emptyTrash",
      "needs ids or removedBeforeMs",
      "To throw everything away, give { removedBeforeMs: Infinity }.",
    );
  }
  const wanted = ids === undefined ? undefined : new Set(ids);
  if (removedBeforeMs === undefined) return context.backend.emptyTrash([...(wanted ?? [])]);
  const chosen: string[] = [];
  for await (const { id, removedMs } of context.backend.trash()) {
    if (removedMs < removedBeforeMs && (wanted === undefined || wanted.has(id))) chosen.push(id);
  }
  return context.backend.emptyTrash(chosen);
}

async function findTrashed(context: StoreContext, idOrKey: string, key: string | undefined): Promise<TrashedSession> {
  let newest: TrashedSession | undefined;
  for await (const item of context.backend.trash()) {
    if (item.id === idOrKey) return item;
    if (item.key === key) newest ??= item;
  }
  if (newest) return newest;
  const keepsNone = !context.backend.capabilities.trash;
  throw new SessionStoreError(
    "not_found",
    keepsNone ? `a ${context.backend.kind} store keeps no removed sessions` : "the trash holds no such session",
    {
      operation: "restore",
      key: idOrKey,
      nextStep: keepsNone
        ? "Restore it from a backup."
        : "See what it holds: store.trash() or `sessiondir trash list`.",
    },
  );
}

async function readUnlessDamaged(
  context: StoreContext,
  key: string,
  acceptDamaged: boolean,
): Promise<Versioned | "damaged" | undefined> {
  try {
    return (await context.backend.read([key])).get(key);
  } catch (error) {
    if (acceptDamaged && error instanceof SessionStoreError && error.code === "entry_damaged") return "damaged";
    throw error;
  }
}

function keyTaken({ id, key }: TrashedSession): SessionStoreError {
  return new SessionStoreError("conflict", "there is a session of this key again", {
    operation: "restore",
    key,
    attempts: 0,
    onDisk: `The removed one stays in the trash as ${id}.`,
    nextStep: "Pass { replace: true } (--replace) to change places: the one that is there now goes to the trash.",
  });
}
