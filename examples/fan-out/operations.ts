/**
 * What the gateway of this example does to its sessions, whichever API it uses. `store-operations.ts` does it with the
 * store's own methods.
 */

import { openStoreOperations } from "./store-operations.js";

export interface Operations {
  /** A new session that works for its parent. */
  spawn(parentKey: string, childKey: string): Promise<void>;
  /** The sub-agent is done: its own session and the parent's list of those that have announced, both or neither. */
  announce(parentKey: string, childKey: string): Promise<void>;
  /**
   * Holds one update of the session open until `whileHeld` resolves, then writes the plan that was made meanwhile.
   * Resolves with how often the function had to run.
   */
  holdOpen(parentKey: string, whileHeld: () => Promise<void>): Promise<number>;
  /** An inbound message of a channel. */
  deliver(key: string, channel: string): Promise<void>;
  readAll(): Promise<Map<string, Readonly<Record<string, unknown>>>>;
  close(): Promise<void>;
}

/** `json` is the legacy single file, rewritten as a whole by every change. */
export type Backend = "directory" | "json";

export interface Place {
  backend: Backend;
  /** The path of a sessions.json; the directory store lies beside it. */
  location: string;
}

export function openOperations(place: Place): Promise<Operations> {
  return openStoreOperations(place);
}
