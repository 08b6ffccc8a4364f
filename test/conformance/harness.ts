/**
 * What a backend brings to the conformance suite. A harness stands for one store: it makes nothing before `open`, and
 * `destroy` closes every handle it gave out and deletes what it made.
 */

import type { SessionStore } from "../../src/api.js";
import type { Backend, Capabilities, KeyRule } from "../../src/contract.js";
import type { Limits } from "../../src/limits.js";

/** The suite uses entries of any shape; a store does not care. */
export type AnyEntry = Record<string, unknown>;

export interface HarnessOptions {
  keys?: KeyRule;
  limits?: Partial<Limits>;
  readOnly?: boolean;
  conflictWaitMs?: number;
}

export interface Handle {
  readonly backend: Backend;
  readonly store: SessionStore<AnyEntry>;
}

export interface Harness {
  readonly capabilities: Capabilities;
  /** Creates the store and opens it. With `readOnly` only where nothing persists: a store that is empty forever. */
  open(options?: HarnessOptions): Promise<Handle>;
  /** Opens the store again after all its handles were closed. Where it is `persistent`. */
  reopen?(options?: HarnessOptions): Promise<Handle>;
  /** One more handle on the store, sharing no memory with the others. Where it is `crossProcess`. */
  openSecond?(options?: HarnessOptions): Promise<Handle>;
  /** A harness for another store of the same kind. */
  makeAnother(): Harness;
  destroy(): Promise<void>;
}

export type MakeHarness = () => Harness;

/** A handle that can only read, on a store with the session "present" if the backend can keep one. */
export async function openReadOnly(harness: Harness): Promise<Handle> {
  if (harness.reopen === undefined) return harness.open({ readOnly: true });
  const { store } = await harness.open();
  await store.update("present", () => ({ n: 1 }));
  await store.close();
  return harness.reopen({ readOnly: true });
}
