/**
 * What went wrong, by the codes of PostgreSQL (SQLSTATE). Three kinds matter to the callers: the connection is gone, so
 * nobody knows what happened to what was sent; the server undid the statement and says that trying again may help; and
 * everything else, which becomes a `SessionStoreError`.
 */

import { SessionStoreError, type SessionStoreErrorCode } from "../../errors.js";

/** The connection is of no more use. What was sent last may have happened or not. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

interface DatabaseError extends Error {
  readonly code: string;
  readonly severity?: string;
}

/** The server said it, in an error message of the protocol; everything else is trouble with the connection. */
function isDatabaseError(error: unknown): error is DatabaseError {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && typeof severity === "string";
}

export function sqlState(error: unknown): string | undefined {
  if (error instanceof ConnectionLost) return sqlState(error.cause);
  return isDatabaseError(error) ? error.code : undefined;
}

/**
 * True when nothing more can be done with the connection: it broke, or the server ends it. A server that ends a
 * connection may do so between a commit and its answer, so this says nothing about what happened.
 */
export function endsConnection(error: unknown): boolean {
  if (!isDatabaseError(error)) return true;
  return error.severity === "FATAL" || error.severity === "PANIC" || /^(08|57P0)/.test(error.code);
}

/** The server undid it: serialisation failure, deadlock, lock not available. Trying again may help. */
export function isTransient(error: unknown): boolean {
  return /^(40001|40P01|40003|55P03)$/.test(sqlState(error) ?? "");
}

/** The server refused it, and another connection - perhaps to another host - may take it. */
export function wantsAnotherConnection(error: unknown): boolean {
  const state = sqlState(error) ?? "";
  // Read-only: a primary that became a standby. 0A000: a prepared plan from before a change of the schema.
  return state === "25006" || (state === "0A000" && /cached plan/.test(String((error as Error).message)));
}

/** While connecting: it will not get better by waiting. */
export function isHopeless(error: unknown): boolean {
  return /^(28|3D|42501|0A|22|42)/.test(sqlState(error) ?? "");
}

/** How often something is tried again, in milliseconds: random, and longer with each time. */
export function pauseMs(random: () => number, attempt: number, maxMs = 250): number {
  return random() * Math.min(maxMs, 5 * 2 ** Math.min(attempt, 10));
}

/** The error for users. Whatever the driver said is the cause; a password is never in it. */
export function translate(error: unknown, operation: string, location: string): SessionStoreError {
  if (error instanceof SessionStoreError) return error;
  const details = { operation, path: location, cause: error };
  const state = sqlState(error);
  if (state === undefined || error instanceof ConnectionLost) {
    return new SessionStoreError("connection_failed", `the server cannot be reached: ${reasonOf(error)}`, {
      ...details,
      onDisk: "What was acknowledged is in the database.",
      nextStep: "Check that the server runs and accepts connections from here, then try again.",
    });
  }
  const known = knownStates.find(({ pattern }) => pattern.test(state));
  return new SessionStoreError(known?.code ?? "io_error", `the server refused it: ${reasonOf(error)} (${state})`, {
    ...details,
    ...(known?.nextStep === undefined ? {} : { nextStep: known.nextStep }),
  });
}

const knownStates: readonly { pattern: RegExp; code: SessionStoreErrorCode; nextStep?: string }[] = [
  { pattern: /^28/, code: "permission_denied", nextStep: "Check the user and the password, and pg_hba.conf." },
  { pattern: /^42501$/, code: "permission_denied", nextStep: "Grant the role what docs/postgres.md lists." },
  { pattern: /^3D000$/, code: "store_missing", nextStep: "Create the database, or correct its name." },
  { pattern: /^42P01$/, code: "store_gone", nextStep: "The tables were dropped: restore them from a backup." },
  {
    pattern: /^54000$/,
    code: "limit_exceeded",
    nextStep: "Use shorter keys: an index of PostgreSQL holds 2,704 bytes of store name and key, and no more.",
  },
  { pattern: /^53100$/, code: "disk_full", nextStep: "Free some space on the server and try again." },
  {
    pattern: /^(26000|42P05)$/,
    code: "unsafe_server",
    nextStep:
      "A pooler shares connections between transactions: open with { postgres: { prepare: false, notify: false } }.",
  },
  { pattern: /^(40|55P03|25006|53300|57)/, code: "connection_failed", nextStep: "Try again." },
];

function reasonOf(error: unknown): string {
  const cause = error instanceof ConnectionLost && error.cause !== undefined ? error.cause : error;
  // Of several addresses that were tried, each has its own error.
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
  return inner instanceof Error ? inner.message : String(inner);
}

export function invalidLocation(problem: string): SessionStoreError {
  return new SessionStoreError("invalid_option", problem, {
    operation: "openSessionStore",
    nextStep: "Give postgres://user:password@host:5432/database",
  });
}

export function unsafeServer(problem: string, location: string, nextStep: string): SessionStoreError {
  return new SessionStoreError("unsafe_server", problem, { operation: "open the store", path: location, nextStep });
}

export function closedError(location: string): SessionStoreError {
  return new SessionStoreError("closed", "the store is closed", { path: location });
}
