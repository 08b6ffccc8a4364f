/** What the writers of a storm work on, and what they say about it. */

import type { OpenOptions } from "../../../src/index.js";
import type { PortWish } from "./ports.js";

/** One life of a writer. */
export interface WriterLife {
  readonly location: string;
  readonly options: OpenOptions;
  /** The writer's number: nobody else writes the sessions of its slot. */
  readonly slot: number;
  /** Never used twice in a storm: part of the names of new sessions. */
  readonly name: string;
  readonly seed: number;
  /** Operations before it ends by itself; without it, it lives until it is killed. */
  readonly operations?: number;
  /** Sessions that earlier lives of this slot created, for it to remove. */
  readonly leftovers: readonly string[];
  readonly wish?: PortWish;
}

/** "began" is said before a commit can happen, "acknowledged" after the store said so. */
export type Said =
  | readonly ["ready"]
  | readonly ["opened"]
  | readonly ["began", Deed, string]
  | readonly ["acknowledged", Deed, string, tookMs: number]
  /** It is about to stop itself, inside a call of the port. */
  | readonly ["stopping", method: string]
  /** The store is closed, or was not opened; so many file descriptors are free. */
  | readonly ["free", descriptors: number]
  | readonly ["refused", Deed, code: string, message: string]
  | readonly ["finished"]
  | readonly ["broke", text: string];

export type Deed = "count" | "share" | "transact" | "create" | "remove" | "checkpoint";

/** Everybody counts here, each in the field of its slot, and all in `total`. */
export const sharedKey = "agent:main:shared";

export function counterKey(slot: number): string {
  return `agent:main:counter:${slot}`;
}

/** Always written together, with one number. */
export function transactionKeys(slot: number): readonly string[] {
  return ["a", "b", "c"].map((part) => `agent:main:together:${slot}:${part}`);
}

export const shortLivedPrefix = "agent:main:short-lived:";

export function slotField(slot: number): string {
  return `slot${slot}`;
}
