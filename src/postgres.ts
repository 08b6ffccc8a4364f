/**
 * The sub-path `sessiondir/postgres`: what concerns only stores on PostgreSQL. Opening one needs nothing of it -
 * `openSessionStore("postgres://...")` does -; here is what a deployment wants to do apart from that.
 */

import { fileURLToPath } from "node:url";
import type { OpenOptions, SessionStore } from "./api.js";
import { openSessionStore } from "./open.js";
import type { SessionEntry } from "./sessions/entry.js";

export type { PostgresOptions } from "./postgres-options.js";

/** The same as `openSessionStore`, for those who like to see in the import what they use. */
export function openPostgresStore<Entry extends object = SessionEntry>(
  url: string,
  options?: OpenOptions,
): Promise<SessionStore<Entry>> {
  return openSessionStore<Entry>(url, options);
}

/**
 * The directory of the numbered SQL files, for those who apply them with tools and rights of their own, and of
 * `row-level-security.sql`, which walls off the stores of one database from each other.
 */
export const postgresSchemaDirectory: string = fileURLToPath(new URL("./backends/postgres/schema", import.meta.url));
