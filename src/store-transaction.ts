/**
 * Transactions: the caller's function reads and writes through a `Transaction` that keeps its writes to itself; then
 * everything is committed at once, on the condition that every session it read is still as it was. So the result is as
 * if transactions had run one after the other (on the sessions each of them touched).
 *
 * Within one run a session that was read stays as it was read. A run that reads several sessions may see states that
 * never existed together; its commit then fails and it runs again.
 */

import type { Transaction, TransactionOptions } from "./api.js";
import type { FrozenEntry, Operation, Versioned, VersionToken } from "./contract.js";
import { SessionStoreError } from "./errors.js";
import { privatizeEntry, privatizeFields } from "./sessions/entry-value.js";
import { normalizeKey } from "./sessions/keys.js";
import { Attempts, commitDetails, type StoreContext } from "./store-context.js";
import { checkEntryBytes } from "./store-entry-size.js";
import { noGenerations, withGenerations } from "./store-generations.js";
import { requireNotAborted } from "./store-lifetime.js";
import { checkMethodOptions } from "./store-options.js";
import { notFound, operationFor, patched, runCallerFunction } from "./store-writes.js";

export async function runTransaction(
  context: StoreContext,
  fn: (transaction: Transaction<Record<string, unknown>>) => unknown,
  options: TransactionOptions,
): Promise<unknown> {
  const attempts = new Attempts(context, "transaction", undefined, options.signal);
  let known: ReadonlyMap<string, Versioned | undefined> = new Map();
  for (;;) {
    const run = new TransactionRun(context, known);
    let returned: unknown;
    try {
      returned = await runCallerFunction(context, () => fn(run), options.signal, "transaction");
    } finally {
      run.end();
    }
    const conflict = await commitRun(context, run, attempts, options);
    if (conflict === undefined) return returned;
    known = (await attempts.pause()) ? new Map() : conflict;
    context.lifetime.requireOpen("transaction");
    requireNotAborted(options.signal, "transaction");
  }
}

type States = ReadonlyMap<string, Versioned | undefined>;

/**
 * Commits what a run wrote; the states that conflict with what it read, if there are any. A session that it wrote
 * without reading it may have changed in between: the function has nothing to do with that, but a generation that ends
 * must not be lost, so only the commit is tried again.
 */
async function commitRun(
  context: StoreContext,
  run: TransactionRun,
  attempts: Attempts,
  options: TransactionOptions,
): Promise<States | undefined> {
  const expected = run.expected();
  const blind = context.backend.capabilities.generations ? run.keysWrittenBlindly() : [];
  let unread = await readIntact(context, blind);
  for (;;) {
    const operations = run.operations(unread, options);
    if (operations.length === 0) return undefined;
    attempts.count++;
    const all = new Map(expected);
    for (const [key, session] of unread) all.set(key, session === undefined ? null : session.version);
    const result = await context.backend.commit({ operations, expected: all, ...commitDetails(options) });
    if (result.status === "committed") return undefined;
    if ([...result.current.keys()].some((key) => expected.has(key))) return result.current;
    unread = (await attempts.pause()) ? await readIntact(context, blind) : new Map([...unread, ...result.current]);
    requireNotAborted(options.signal, "transaction");
  }
}

/** Without those that are damaged: they are replaced whatever they are, and nothing is known of them. */
async function readIntact(context: StoreContext, keys: readonly string[]): Promise<States> {
  const states = new Map<string, Versioned | undefined>();
  if (keys.length === 0) return states;
  try {
    const found = await context.backend.read(keys);
    for (const key of keys) states.set(key, found.get(key));
    return states;
  } catch (error) {
    if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
    if (keys.length === 1) return states;
  }
  for (const key of keys) for (const [name, state] of await readIntact(context, [key])) states.set(name, state);
  return states;
}

interface Write {
  /** `undefined`: removed. */
  readonly entry: FrozenEntry | undefined;
  /** The stored session, which this transaction removed, does not go to the trash. */
  readonly purge: boolean;
  /** The session was removed, or set after that, so the commit must not depend on the fields it had. */
  readonly whole: boolean;
}

/** Removed and made again in one commit: the removed one goes to the trash with its generations, the new one has none. */
function asNew(operation: Operation, trashPrevious: boolean): Operation {
  if (operation.type !== "put") return operation;
  return { ...operation, generations: noGenerations, ...(trashPrevious ? { trashPrevious } : {}) };
}

class TransactionRun implements Transaction<Record<string, unknown>> {
  readonly #context: StoreContext;
  /** States that the last conflict reported, which saves reading them again. */
  readonly #known: ReadonlyMap<string, Versioned | undefined>;
  readonly #reads = new Map<string, Versioned | undefined>();
  readonly #writes = new Map<string, Write>();
  #ended = false;

  constructor(context: StoreContext, known: ReadonlyMap<string, Versioned | undefined>) {
    this.#context = context;
    this.#known = known;
  }

  async get(key: string): Promise<FrozenEntry | undefined> {
    return this.#current(this.#key(key, "transaction.get"));
  }

  set(key: string, entry: Record<string, unknown>): void {
    const normalized = this.#key(key, "transaction.set");
    const { limits } = this.#context.backend;
    const value = privatizeEntry(entry, limits);
    checkEntryBytes(value, limits.entryBytes, normalized);
    this.#writes.set(normalized, { entry: value, ...this.#removal(normalized) });
  }

  async patch(
    key: string,
    fields: Record<string, unknown>,
    options: { createIfMissing?: boolean } = {},
  ): Promise<void> {
    const normalized = this.#key(key, "transaction.patch");
    checkMethodOptions("transaction.patch", options);
    const { limits } = this.#context.backend;
    const wanted = privatizeFields(fields, limits);
    const current = await this.#current(normalized);
    this.#requireRunning("transaction.patch");
    if (current === undefined && options.createIfMissing !== true) throw notFound("transaction.patch", normalized);
    const entry = patched(current, wanted);
    checkEntryBytes(entry, limits.entryBytes, normalized, current, wanted.set);
    this.#writes.set(normalized, { entry, ...this.#removal(normalized) });
  }

  async remove(key: string, options: { purge?: boolean } = {}): Promise<boolean> {
    const normalized = this.#key(key, "transaction.remove");
    checkMethodOptions("transaction.remove", options);
    // What is stored must be known even when this transaction wrote the session blindly before.
    await this.#stored(normalized);
    const current = await this.#current(normalized);
    this.#requireRunning("transaction.remove");
    this.#writes.set(normalized, { entry: undefined, purge: options.purge === true, whole: true });
    return current !== undefined;
  }

  /** From now on every call is refused: what it would do could not be part of the commit. */
  end(): void {
    this.#ended = true;
  }

  /**
   * One operation for each session that is not as it was. `unread` holds what is known of sessions that were written
   * without being read.
   */
  operations(unread: States, by: TransactionOptions): Operation[] {
    const operations: Operation[] = [];
    for (const [key, write] of this.#writes) {
      const before = this.#reads.get(key);
      if (write.entry === undefined) {
        if (before !== undefined) operations.push({ type: "remove", key, purge: write.purge });
        continue;
      }
      const base = write.whole ? undefined : before?.entry;
      const operation = operationFor(key, base, write.entry, this.#context.backend.limits.entryBytes);
      if (operation === undefined) continue;
      if (write.whole && before !== undefined) operations.push(asNew(operation, !write.purge));
      else operations.push(withGenerations(this.#context, operation, before ?? unread.get(key), by));
    }
    return operations;
  }

  keysWrittenBlindly(): string[] {
    return [...this.#writes.keys()].filter((key) => !this.#reads.has(key));
  }

  expected(): Map<string, VersionToken | null> {
    const expected = new Map<string, VersionToken | null>();
    for (const [key, session] of this.#reads) expected.set(key, session === undefined ? null : session.version);
    return expected;
  }

  /** The session as this transaction sees it. */
  async #current(key: string): Promise<FrozenEntry | undefined> {
    const written = this.#writes.get(key);
    if (written !== undefined) return written.entry;
    const stored = await this.#stored(key);
    const writtenMeanwhile = this.#writes.get(key);
    return writtenMeanwhile === undefined ? stored?.entry : writtenMeanwhile.entry;
  }

  /** The session as it was when this transaction read it first; from then on the commit depends on it. */
  async #stored(key: string): Promise<Versioned | undefined> {
    if (this.#reads.has(key)) return this.#reads.get(key);
    const session = this.#known.has(key) ? this.#known.get(key) : (await this.#context.backend.read([key])).get(key);
    // Of two reads at the same time the first that arrives counts for both.
    if (!this.#reads.has(key)) this.#reads.set(key, session);
    return this.#reads.get(key);
  }

  /** Whether this transaction removed the stored session before, and how. */
  #removal(key: string): { readonly whole: boolean; readonly purge: boolean } {
    const written = this.#writes.get(key);
    return { whole: written?.whole === true, purge: written?.purge === true };
  }

  #key(key: string, operation: string): string {
    this.#requireRunning(operation);
    const { backend } = this.#context;
    return normalizeKey(key, backend.keyRule, backend.limits.keyBytes);
  }

  #requireRunning(operation: string): void {
    if (this.#ended) throw this.#context.lifetime.closedError(operation, "the transaction has ended");
  }
}
