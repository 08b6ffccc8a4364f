/**
 * Opening a store in a database: the driver, the options and the location, a server that keeps what it acknowledges, its
 * tables, and the row of the store. What is wrong with any of them is told before anything is written.
 */

import type { Durability, KeyRule, Logger } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import { type CheckedPostgresOptions, checkPostgresOptions, type PostgresOptions } from "../../postgres-options.js";
import { Connection } from "./connection.js";
import { loadDriver } from "./driver.js";
import { translate } from "./failures.js";
import { type PostgresLocation, parsePostgresLocation } from "./location.js";
import { applyMigrations, readMigrations } from "./schema.js";
import { refuseSharedConnections, refuseUnsafeServer } from "./server-check.js";
import { checkStoreName, findOrCreateStore, type StoreRow } from "./store-row.js";

export interface PostgresBackendOptions {
  readonly durability: Durability;
  readonly readOnly: boolean;
  readonly keyRule: KeyRule;
  readonly cacheBytes: number;
  readonly limits: Readonly<Limits>;
  readonly logger: Logger | undefined;
  readonly storeName: string | undefined;
  readonly postgres: PostgresOptions | undefined;
}

export interface OpenedStore {
  /** Without user, password and options. */
  readonly location: string;
  readonly store: StoreRow;
  readonly settings: CheckedPostgresOptions;
  /** The one that the store was opened through. */
  readonly connection: Connection;
  /** Makes another one, to whichever host is the primary then. */
  connect(): Promise<Connection>;
}

/** Makes the tables and the store when they are not there and may be made. */
export async function openStore(port: Port, location: string, options: PostgresBackendOptions): Promise<OpenedStore> {
  const settings = checkPostgresOptions(options.postgres);
  const parsed = parsePostgresLocation(location, options.storeName);
  checkStoreName(parsed.storeName);
  const connect = await connector(port, parsed, options, settings);
  let connection: Connection | undefined;
  try {
    connection = await connect();
    const store = await prepareStore(port, connection, connect, parsed, options, settings);
    // The tables may not have been there when it was made.
    await connection.identify();
    return { location: parsed.display, store, settings, connection, connect };
  } catch (error) {
    await connection?.end();
    throw translate(error, "open the store", parsed.display);
  }
}

async function connector(
  port: Port,
  location: PostgresLocation,
  options: PostgresBackendOptions,
  settings: CheckedPostgresOptions,
): Promise<() => Promise<Connection>> {
  const makeClient = await loadDriver();
  const durable = options.durability === "commit";
  const { prepare, statementTimeoutMs } = settings;
  const connectionOptions = { prepare, readOnly: options.readOnly, statementTimeoutMs, asynchronousCommit: !durable };
  const primary = { index: 0 };
  let checked = -1;
  return async () => {
    const connection = await Connection.open(makeClient, port, location, connectionOptions, primary);
    // After a failover it is another server, which may lose what the first one would not.
    if (primary.index === checked) return connection;
    try {
      await refuseUnsafeServer(connection, location.display, settings, durable, options.logger);
      checked = primary.index;
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  };
}

async function prepareStore(
  port: Port,
  connection: Connection,
  connect: () => Promise<Connection>,
  location: PostgresLocation,
  options: PostgresBackendOptions,
  settings: CheckedPostgresOptions,
): Promise<StoreRow> {
  const { display } = location;
  const mayCreate = !options.readOnly;
  await refuseSharedConnections(connection, connect, display, settings);
  await applyMigrations(connection, readMigrations(port), display, mayCreate);
  const store = await findOrCreateStore(connection, port, location.storeName, options.keyRule, mayCreate);
  if (store !== undefined) return store;
  throw new SessionStoreError("store_missing", "there is no store of this name in the database", {
    operation: "open the store",
    path: display,
    onDisk: "A reader creates nothing.",
    nextStep: "Check the option storeName, or open it for writing to create the store.",
  });
}
