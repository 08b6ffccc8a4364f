/**
 * What the gateway of this example does to its sessions, whichever API it uses: `store-operations.ts` does it with the
 * store's own methods, `gateway-operations.ts` with the functions that OpenClaw's gateway calls.
 */

import { openGatewayOperations } from "./gateway-operations.js";
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

/**
 * - `directory`: a directory store, by the store's own methods.
 * - `gateway`: the same store, by the drop-in functions.
 * - `json`: the legacy single file, rewritten as a whole by every change; by the store's own methods.
 */
export type Way = "directory" | "gateway" | "json";

export interface Place {
  way: Way;
  /** The path of a sessions.json; the directory store lies beside it. */
  location: string;
}

export async function openOperations(place: Place): Promise<Operations> {
  return place.way === "gateway" ? openGatewayOperations(place) : openStoreOperations(place);
}
