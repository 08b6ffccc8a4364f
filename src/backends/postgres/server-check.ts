/**
 * What is refused when a store is opened, because it would break a promise later and silently: a server that may lose
 * what it acknowledged, an encoding that cannot hold every entry, and a pooler that shares connections between
 * transactions although statements, settings or notifications were to outlive them.
 */

import type { Logger } from "../../contract.js";
import type { CheckedPostgresOptions } from "../../postgres-options.js";
import type { Connection } from "./connection.js";
import { ConnectionLost, isTransient, sqlState, unsafeServer } from "./failures.js";

const versionMin = 140_000;

export async function refuseUnsafeServer(
  connection: Connection,
  location: string,
  options: CheckedPostgresOptions,
  durable: boolean,
  logger: Logger | undefined,
): Promise<void> {
  // `true`: NULL for a setting that another engine does not have.
  const { rows } = await connection.query(`SELECT current_setting('server_version_num', true) AS version,
    current_setting('server_encoding', true) AS encoding, current_setting('fsync', true) AS fsync,
    current_setting('full_page_writes', true) AS full_page_writes,
    current_setting('synchronous_commit', true) AS synchronous_commit,
    current_setting('synchronous_standby_names', true) AS standbys`);
  const { version, encoding, fsync, full_page_writes, synchronous_commit, standbys } = rows[0] ?? {};
  if (version !== null && Number(version) < versionMin) {
    throw unsafeServer("the server is older than PostgreSQL 14", location, "Upgrade it.");
  }
  if (encoding !== null && !/^utf-?8$/i.test(String(encoding))) {
    throw unsafeServer(
      `the database's encoding is ${encoding}, which cannot hold every session`,
      location,
      "Create the database with ENCODING 'UTF8' TEMPLATE template0.",
    );
  }
  const problems: string[] = [];
  if (fsync === "off") problems.push("fsync is off: a crash of the machine can destroy the whole database");
  if (full_page_writes === "off") problems.push("full_page_writes is off: a crash of the machine can tear pages");
  if (durable && synchronous_commit === "off") {
    problems.push("synchronous_commit is off: a crash can lose what was acknowledged");
  }
  if (durable && synchronous_commit === "local" && standbys) {
    problems.push("synchronous_commit is local: a failover can lose what was acknowledged");
  }
  for (const problem of problems) {
    if (!options.allowUnsafeServer) {
      throw unsafeServer(
        problem,
        location,
        "Turn it on for the server, the database and the role, or accept the loss with { postgres: { allowUnsafeServer: true } }.",
      );
    }
    logger?.warn(`the server may lose acknowledged commits: ${problem}`, { path: location });
  }
}

/**
 * While the second connection is in a transaction, the first one must still be on the server connection on which it left
 * a mark. A pooler that shares by transaction had given that one away.
 */
export async function refuseSharedConnections(
  connection: Connection,
  connectAnother: () => Promise<Connection>,
  location: string,
  options: CheckedPostgresOptions,
): Promise<void> {
  if (!options.prepare && !options.notify) return;
  const second = await connectAnother();
  try {
    const mark = connection.writerMark;
    await connection.query("SELECT set_config('sessiondir.mark', $1, false)", [mark]);
    await second.query("BEGIN");
    await second.query("SELECT 1");
    const { rows } = await connection.query("SELECT current_setting('sessiondir.mark', true) AS mark");
    await second.query("ROLLBACK");
    if (rows[0]?.mark === mark) return;
  } catch (error) {
    // Other engines may know no settings of our own.
    if (error instanceof ConnectionLost || isTransient(error) || !/^(42|0A|22)/.test(sqlState(error) ?? ""))
      throw error;
    return;
  } finally {
    await second.end();
  }
  throw unsafeServer(
    "a pooler between here and the server shares connections between transactions",
    location,
    "Connect to the server itself, use session pooling, or open with { postgres: { prepare: false, notify: false } }.",
  );
}
