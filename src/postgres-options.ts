/** What a postgres location may be opened with besides the options of every store, with the defaults filled in. */

import { SessionStoreError } from "./errors.js";

export interface PostgresOptions {
  /**
   * Named prepared statements, a quarter faster; default true. With false no statement, no setting and no lock outlives
   * its transaction, so a pooler may share connections between transactions.
   */
  prepare?: boolean;
  /** LISTEN and NOTIFY as a hint for watchers; default true. With false they only poll: for poolers and other engines. */
  notify?: boolean;
  /** Milliseconds between two polls of a waiting watcher; default 1,000 with `notify`, 100 without. */
  pollMs?: number;
  /** Connections for reads and commits; default 10. Scans have up to four more, and watchers share one. */
  connections?: number;
  /** Milliseconds for which a call waits for a server that went away, for example during a failover; default 30,000. */
  reconnectWaitMs?: number;
  /** Milliseconds after which a statement without an answer counts as a lost connection; default 30,000. */
  statementTimeoutMs?: number;
  /** Milliseconds for which a watcher may be away and still resume without a reset; default one day. */
  tombstoneRetentionMs?: number;
  /** Milliseconds between two rounds of maintenance; default 60,000. 0: this process does none. */
  maintenanceMs?: number;
  /** Open although the server may lose what it acknowledged (`fsync` or `synchronous_commit` off); default false. */
  allowUnsafeServer?: boolean;
}

export type CheckedPostgresOptions = Readonly<Required<PostgresOptions>>;

export const postgresOptionNames = [
  "prepare",
  "notify",
  "pollMs",
  "connections",
  "reconnectWaitMs",
  "statementTimeoutMs",
  "tombstoneRetentionMs",
  "maintenanceMs",
  "allowUnsafeServer",
] as const satisfies readonly (keyof PostgresOptions)[];

const dayMs = 24 * 60 * 60_000;

/** Names were checked by the caller; throws `invalid_option` for a bad value. */
export function checkPostgresOptions(given: PostgresOptions = {}): CheckedPostgresOptions {
  const notify = flag("notify", given.notify, true);
  return {
    prepare: flag("prepare", given.prepare, true),
    notify,
    pollMs: amount("pollMs", given.pollMs, 1, 60_000, notify ? 1_000 : 100),
    connections: amount("connections", given.connections, 1, 1_000, 10),
    reconnectWaitMs: amount("reconnectWaitMs", given.reconnectWaitMs, 0, 3_600_000, 30_000),
    statementTimeoutMs: amount("statementTimeoutMs", given.statementTimeoutMs, 100, 3_600_000, 30_000),
    tombstoneRetentionMs: amount("tombstoneRetentionMs", given.tombstoneRetentionMs, 0, 3_650 * dayMs, dayMs),
    maintenanceMs: amount("maintenanceMs", given.maintenanceMs, 0, dayMs, 60_000),
    allowUnsafeServer: flag("allowUnsafeServer", given.allowUnsafeServer, false),
  };
}

function flag(name: string, given: unknown, fallback: boolean): boolean {
  if (given === undefined) return fallback;
  if (typeof given === "boolean") return given;
  throw invalid(`the option postgres.${name} is true or false`);
}

function amount(name: string, given: unknown, min: number, max: number, fallback: number): number {
  if (given === undefined) return fallback;
  if (typeof given === "number" && Number.isInteger(given) && given >= min && given <= max) return given;
  throw invalid(`the option postgres.${name} is a whole number from ${min} to ${max}`);
}

function invalid(problem: string): SessionStoreError {
  return new SessionStoreError("invalid_option", problem, { operation: "openSessionStore" });
}
