/**
 * The clock and the random numbers of the compatible API, whose functions are called without any port. Both come from
 * the real port, so this file is the one place where a test - or a simulated machine - replaces them.
 */

import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";

/** The part of a port that is needed here. */
export type AmbientPort = Pick<Port, "nowMs" | "randomBytes">;

let current: AmbientPort | undefined;

/** Milliseconds since 1970. */
export function nowMs(): number {
  return (current ?? nodePort()).nowMs();
}

/** The whole machine, for the functions that touch files: the port that a test set, when it is a whole one. */
export function ambientPort(): Port {
  return current !== undefined && "openRoot" in current ? (current as Port) : nodePort();
}

/** A random UUID of version 4. */
export function makeUuid(): string {
  const bytes = (current ?? nodePort()).randomBytes(16).slice();
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Replaces both until called again; `undefined` goes back to the real machine. For tests. */
export function setAmbientPort(port: AmbientPort | undefined): void {
  current = port;
}
