/**
 * Where the functions of the compatible API say what they did on their own. They are called without a logger, and a
 * library does not print: nothing is said until somebody sets one.
 */

import type { Logger } from "../contract.js";

let logger: Logger | undefined;

/** For all functions of this folder; `undefined` is silence again. */
export function setSessionStoreLogger(next: Logger | undefined): void {
  logger = next;
}

/** Whether anybody hears what is logged. */
export function hasLogger(): boolean {
  return logger !== undefined;
}

export function logInfo(message: string, fields: Record<string, unknown> = {}): void {
  logger?.info?.(message, fields);
}

export function logWarning(message: string, fields: Record<string, unknown> = {}): void {
  logger?.warn(message, fields);
}
