/**
 * One connection to the primary. Several hosts are tried in turn, and a server that is a standby is passed over. A
 * statement without an answer for too long is a lost connection: the socket is destroyed, and nobody knows what happened
 * to what was sent.
 *
 * Promises: `query` rejects with `ConnectionLost` when the connection is of no more use, and with the server's own error
 * when the statement was undone. Nothing of a password is in any error.
 */

import type { Port } from "../../fs/port.js";
import type { DriverClient, DriverConfig, DriverResult, MakeClient } from "./driver.js";
import { ConnectionLost, endsConnection, invalidLocation, sqlState, unsafeServer } from "./failures.js";
import type { PostgresLocation } from "./location.js";

export type Row = Record<string, unknown>;

/** A text with a name for its plan. The name changes with the text, or an old plan answers for the new text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface ConnectionOptions {
  readonly prepare: boolean;
  readonly readOnly: boolean;
  readonly statementTimeoutMs: number;
  /** Acknowledge before the disk has it. */
  readonly asynchronousCommit: boolean;
}

const connectTimeoutMsDefault = 5_000;

export class Connection {
  /** Where this server's history comes from: another one after a failover, a restore, another database. */
  generation = "";
  broken = false;
  /** Unlike that of any other connection. */
  readonly writerMark: string;
  /** Told once when the connection is gone. */
  onBroken: (() => void) | undefined;
  onNotification: (() => void) | undefined;
  readonly #client: DriverClient;
  readonly #port: Port;
  readonly #options: ConnectionOptions;

  private constructor(client: DriverClient, port: Port, options: ConnectionOptions) {
    this.#client = client;
    this.#port = port;
    this.#options = options;
    this.writerMark = Buffer.from(port.randomBytes(12)).toString("base64url");
    client.on("error", () => this.#break());
    client.on("end", () => this.#break());
    client.on("notification", () => this.onNotification?.());
  }

  /**
   * To the first host that is a primary, beginning with the one that was it last: so a host that does not answer holds up
   * one connection and not each. Throws what the last one said.
   */
  static async open(
    makeClient: MakeClient,
    port: Port,
    location: PostgresLocation,
    options: ConnectionOptions,
    primary: { index: number },
  ): Promise<Connection> {
    const { connectionStrings, connectTimeoutMs = connectTimeoutMsDefault, driverOptions } = location;
    let failure: unknown;
    for (let turn = 0; turn < connectionStrings.length; turn += 1) {
      const index = (primary.index + turn) % connectionStrings.length;
      const client = clientFor(makeClient, {
        connectionString: connectionStrings[index],
        ...driverOptions,
        fallback_application_name: "sessiondir",
        connectionTimeoutMillis: connectTimeoutMs,
      });
      const connection = new Connection(client, port, options);
      try {
        await connection.#connect(location);
        primary.index = index;
        return connection;
      } catch (error) {
        connection.destroy();
        // A host that is no primary is passed over; what it says counts only if no other says something else.
        if (failure === undefined || !isStandby(error)) failure = error;
      }
    }
    throw failure;
  }

  async query(statement: Statement | string, values: readonly unknown[] = [], waitMs?: number): Promise<DriverResult> {
    if (this.broken) throw new ConnectionLost("the connection is closed");
    const { prepare, statementTimeoutMs } = this.#options;
    const text = typeof statement === "string" ? statement : statement.text;
    const named = prepare && typeof statement !== "string" ? { name: statement.name } : {};
    let late = false;
    const deadlineMs = waitMs ?? statementTimeoutMs;
    const patience = this.#port.startTimer(deadlineMs, () => {
      late = true;
      this.destroy();
    });
    try {
      return await this.#client.query({ ...named, text, ...(values.length === 0 ? {} : { values: [...values] }) });
    } catch (error) {
      if (!endsConnection(error) && !this.broken) throw error;
      this.destroy();
      throw new ConnectionLost(late ? `no answer for ${deadlineMs} ms` : "the connection was lost", { cause: error });
    } finally {
      patience.cancel();
    }
  }

  /** A connection that is only kept in case must not keep the process alive. */
  keepAlive(alive: boolean): void {
    if (this.broken) return;
    if (alive) this.#client.ref();
    else this.#client.unref();
  }

  destroy(): void {
    this.#client.connection?.stream?.destroy();
    this.#break();
  }

  /** Finds out whose history it shows. */
  async identify(): Promise<void> {
    this.generation = await this.#findGeneration();
  }

  async end(): Promise<void> {
    if (this.broken) return;
    this.#client.ref();
    const patience = this.#port.startTimer(1_000, () => this.destroy());
    await this.#client.end().catch(() => {});
    patience.cancel();
    this.#break();
  }

  #break(): void {
    if (this.broken) return;
    this.broken = true;
    this.onBroken?.();
  }

  async #connect(location: PostgresLocation): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      if (sqlState(error) !== undefined) throw error;
      throw new ConnectionLost("cannot connect", { cause: error });
    }
    const { rows } = await this.query(
      "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS read_only",
    );
    if (rows[0]?.standby === true) {
      throw unsafeServer(
        "the server is a standby, which takes no commits and shows what is no longer true",
        location.display,
        "Connect to the primary, or name all hosts in the URL: postgres://host1,host2/database.",
      );
    }
    if (rows[0]?.read_only === "on" && !this.#options.readOnly) {
      throw unsafeServer(
        "the server takes no commits (default_transaction_read_only is on)",
        location.display,
        "Turn it off for this role and database, or open the store with { readOnly: true }.",
      );
    }
    await this.#prepareSession();
    await this.identify();
  }

  /** Only where the session is ours alone: a pooler would give our settings to others. */
  async #prepareSession(): Promise<void> {
    const { prepare, asynchronousCommit, readOnly, statementTimeoutMs } = this.#options;
    if (!prepare) return;
    const settings = [
      // The server gives up before we do, so that most of the time its answer is known.
      `SET statement_timeout = ${Math.ceil(statementTimeoutMs * 0.8)}`,
      // A process that stops in the middle of a commit must not hold its lanes for ever.
      `SET idle_in_transaction_session_timeout = ${statementTimeoutMs}`,
    ];
    // Plans with a name are made once: all of them go along a primary key.
    settings.push("SET plan_cache_mode = force_generic_plan");
    // The small tables with much traffic too: read whole, they cost their dead rows.
    settings.push("SET enable_seqscan = off");
    if (asynchronousCommit) settings.push("SET synchronous_commit = off");
    if (readOnly) settings.push("SET default_transaction_read_only = on");
    await this.query(settings.join("; "));
  }

  /**
   * The system identifier, the timeline (a promotion begins a new one), the database and the table. Other engines have
   * none of this; there a cursor says only which store it belongs to.
   */
  async #findGeneration(): Promise<string> {
    try {
      const { rows } = await this.query(`SELECT
        (SELECT system_identifier FROM pg_control_system())::text || '.' ||
        substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) || '.' ||
        (SELECT oid FROM pg_database WHERE datname = current_database())::text || '.' ||
        coalesce(to_regclass('sessiondir_lane')::oid::text, '') AS generation`);
      return String(rows[0]?.generation);
    } catch (error) {
      if (error instanceof ConnectionLost) throw error;
      return "";
    }
  }
}

/** Throws `invalid_option` for what the driver does not take, like a certificate that is not there. */
function clientFor(makeClient: MakeClient, config: DriverConfig): DriverClient {
  try {
    return makeClient(config);
  } catch (error) {
    // Without the cause: nobody knows what the driver puts into it besides this text.
    throw invalidLocation(`the driver refuses the location: ${(error as Error).message}`);
  }
}

function isStandby(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "unsafe_server";
}
