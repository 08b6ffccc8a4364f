/**
 * The npm package `pg`, loaded when the first postgres location is opened and never before: it is an optional peer of
 * this package. Only the few parts of it that are used are named here, so that nobody needs its types.
 */

import { SessionStoreError } from "../../errors.js";

export interface DriverResult {
  readonly rows: Record<string, unknown>[];
  readonly rowCount: number | null;
}

export interface DriverClient {
  connect(): Promise<unknown>;
  query(query: { name?: string; text: string; values?: unknown[] }): Promise<DriverResult>;
  end(): Promise<void>;
  on(event: string, listener: (argument: never) => void): unknown;
  ref(): void;
  unref(): void;
  /** Not part of its documented surface, but the only way to let go of a connection that does not answer. */
  readonly connection?: { readonly stream?: { destroy(): void } };
}

export type DriverConfig = Readonly<Record<string, unknown>>;
export type MakeClient = (config: DriverConfig) => DriverClient;

export type ImportDriver = () => Promise<unknown>;

/** Throws `driver_missing` with the line that installs it. */
export async function loadDriver(importDriver: ImportDriver = importPg): Promise<MakeClient> {
  let loaded: unknown;
  try {
    loaded = await importDriver();
  } catch (error) {
    const missing = (error as { code?: unknown } | null)?.code === "ERR_MODULE_NOT_FOUND";
    throw new SessionStoreError(
      "driver_missing",
      `the npm package pg ${missing ? "is not installed" : "does not load"}`,
      {
        operation: "open a PostgreSQL store",
        nextStep: "Install it beside sessiondir: npm install pg",
        cause: error,
      },
    );
  }
  type Loaded = { Client?: new (config: DriverConfig) => DriverClient };
  const found = (loaded as { default?: Loaded }).default ?? (loaded as Loaded);
  const { Client } = found;
  if (Client === undefined) {
    throw new SessionStoreError("driver_missing", "the npm package pg that was found has no Client", {
      operation: "open a PostgreSQL store",
      nextStep: "Install version 8.16 or newer: npm install pg@^8.16.0",
    });
  }
  return (config) => new Client(config);
}

function importPg(): Promise<unknown> {
  return import("pg");
}
