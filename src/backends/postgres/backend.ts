/**
 * The PostgreSQL backend: puts its parts together and gives them one life. What each part promises is written there; here
 * is the order in which things open, run in the background, and close.
 */

import type {
  Backend,
  BackendChange,
  Capabilities,
  CommitRequest,
  CommitResult,
  Cursor,
  DamagedSession,
  Finding,
  KeyRule,
  SessionPage,
  SessionQuery,
  Snapshot,
  StoreStats,
  TrashedSession,
  Versioned,
} from "../../contract.js";
import { SessionStoreError, shortenKey } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import type { CheckedPostgresOptions } from "../../postgres-options.js";
import { followChanges, readPosition } from "./changes.js";
import { checkStore } from "./check.js";
import { Committer } from "./commit.js";
import { formatCursor } from "./cursor.js";
import { closedError, translate } from "./failures.js";
import { listSessions } from "./list.js";
import { Maintenance } from "./maintenance.js";
import { type OpenedStore, openStore, type PostgresBackendOptions } from "./opening.js";
import { Pool } from "./pool.js";
import { ReadTogether } from "./read-together.js";
import { Recall } from "./recall.js";
import { Room } from "./room.js";
import { PostgresSnapshot } from "./scan.js";
import type { StoreRow } from "./store-row.js";
import { emptyTrash, readTrash } from "./trash.js";
import { Wakeup } from "./wakeup.js";

export const postgresCapabilities: Capabilities = Object.freeze({
  denseVersions: false,
  crossProcess: true,
  changesAcrossRestart: true,
  persistent: true,
  trash: true,
  generations: true,
});

const scanConnections = 4;

export class PostgresBackend implements Backend {
  readonly kind = "postgres";
  readonly location: string;
  readonly capabilities = postgresCapabilities;
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly readOnly: boolean;

  private readonly port: Port;
  private readonly options: PostgresBackendOptions;
  private readonly store: StoreRow;
  private readonly settings: CheckedPostgresOptions;
  private readonly pool: Pool;
  private readonly scanPool: Pool;
  private readonly committer: Committer;
  private readonly recalled: Recall;
  private readonly reads: ReadTogether;
  private readonly wakeup: Wakeup;
  private readonly maintenance: Maintenance;
  private readonly room: Room;
  private readonly closedController = new AbortController();
  private readonly scans = new Set<PostgresSnapshot>();
  /** Reads of the position after everything so far, which are under way. */
  private readonly positionReads = new Set<Promise<Cursor>>();
  private closing: Promise<void> | undefined;

  /** Opens the store of that name in the database; makes the tables and the store when they are not there. */
  static async open(port: Port, location: string, options: PostgresBackendOptions): Promise<PostgresBackend> {
    const opened = await openStore(port, location, options);
    const backend = new PostgresBackend(port, opened, options);
    backend.pool.adopt(opened.connection);
    return backend;
  }

  private constructor(
    port: Port,
    { location, store, connect, settings }: OpenedStore,
    options: PostgresBackendOptions,
  ) {
    this.port = port;
    this.location = location;
    this.store = store;
    this.options = options;
    this.settings = settings;
    this.keyRule = store.keyRule;
    this.limits = options.limits;
    this.readOnly = options.readOnly;
    const owner = Buffer.from(port.randomBytes(12)).toString("base64url");
    const shared = {
      reconnectWaitMs: settings.reconnectWaitMs,
      connect,
      closedError: () => closedError(location),
      abortedError: () => new SessionStoreError("aborted", "the call was aborted", { path: location }),
    };
    this.pool = new Pool(port, { ...shared, name: owner, size: settings.connections });
    this.scanPool = new Pool(port, { ...shared, name: `${owner}.scan`, size: scanConnections });
    this.wakeup = new Wakeup({ port, pool: this.pool, store: store.name, notify: settings.notify, connect });
    this.recalled = new Recall(options.readOnly ? 0 : options.cacheBytes, () => port.monotonicMs());
    this.reads = new ReadTogether(this.pool, store.name, this.recalled);
    this.committer = new Committer({
      port,
      pool: this.pool,
      store: store.name,
      lanes: store.lanes,
      limits: options.limits,
      location,
      recall: this.recalled,
    });
    this.maintenance = new Maintenance({
      port,
      pool: this.pool,
      store: store.name,
      owner,
      intervalMs: settings.maintenanceMs,
      trashRetentionMs: options.limits.trashRetentionMs,
      tombstoneRetentionMs: settings.tombstoneRetentionMs,
      onError: (error) => this.warn(`maintenance failed: ${translate(error, "maintain the store", location).message}`),
    });
    this.room = new Room(
      options.limits.sessions,
      () => port.monotonicMs(),
      () => this.countSessions(),
    );
    if (!options.readOnly) this.maintenance.start();
  }

  async read(keys: readonly string[]): Promise<Map<string, Versioned>> {
    this.requireOpen();
    return this.run("read", () => this.reads.read(keys));
  }

  recall(key: string): Versioned | undefined {
    return this.recalled.recall(key);
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    this.requireOpen();
    if (this.readOnly) throw this.readOnlyError("commit");
    return this.run("commit", async () => {
      const created = request.operations.filter(
        ({ type, key }) => type === "put" && (request.expected.get(key) ?? null) === null,
      );
      await this.room.require(created.length);
      // "From now on" of a watcher is before every commit that is made here after it.
      while (this.positionReads.size > 0) await Promise.allSettled(this.positionReads);
      const result = await this.committer.commit(request);
      if (result.status === "committed") this.wakeup.committed();
      return result;
    });
  }

  async scan(options: { onDamaged?: (damaged: DamagedSession) => void; signal?: AbortSignal } = {}): Promise<Snapshot> {
    this.requireOpen();
    return this.run("scan", async () => {
      const ended: { snapshot?: PostgresSnapshot } = {};
      const snapshot = await PostgresSnapshot.start({
        port: this.port,
        pool: this.scanPool,
        store: this.store,
        location: this.location,
        scanMaxMs: this.limits.scanMaxMs,
        signal: options.signal,
        onDamaged: options.onDamaged,
        onEnded: () => {
          if (ended.snapshot) this.scans.delete(ended.snapshot);
        },
      });
      ended.snapshot = snapshot;
      this.scans.add(snapshot);
      if (this.closing !== undefined) snapshot.end(closedError(this.location));
      return snapshot;
    });
  }

  async list(query: SessionQuery): Promise<SessionPage> {
    this.requireOpen();
    return this.run("list", () =>
      this.pool.read((connection) =>
        listSessions(connection, this.store.name, query, (key) => this.warn(`not listed: session ${shortenKey(key)}`)),
      ),
    );
  }

  async *changes(since: Cursor | undefined, options: { signal?: AbortSignal } = {}): AsyncGenerator<BackendChange> {
    const ended = AbortSignal.any([this.closedController.signal, ...(options.signal ? [options.signal] : [])]);
    if (ended.aborted) return;
    const { pool, wakeup, store, settings } = this;
    try {
      yield* followChanges({ pool, wakeup, store, pollMs: settings.pollMs }, since ?? (await this.cursor()), ended);
    } catch (error) {
      if (ended.aborted) return;
      throw translate(error, "watch", this.location);
    }
  }

  async cursor(): Promise<Cursor> {
    this.requireOpen();
    const reading = this.run("cursor", () =>
      this.pool.read(async (connection) => formatCursor(await readPosition(connection, this.store))),
    );
    this.positionReads.add(reading);
    return reading.finally(() => this.positionReads.delete(reading));
  }

  async *check(options: { onProgress?: (done: number, total: number) => void } = {}): AsyncGenerator<Finding> {
    this.requireOpen();
    try {
      yield* checkStore(this.pool, this.store, options.onProgress);
    } catch (error) {
      throw translate(error, "check", this.location);
    }
  }

  async *trash(): AsyncGenerator<TrashedSession> {
    this.requireOpen();
    try {
      yield* readTrash(this.pool, this.store.name, (key) =>
        this.warn(`a session in the trash cannot be read: ${shortenKey(key)}`),
      );
    } catch (error) {
      throw translate(error, "read the trash", this.location);
    }
  }

  async emptyTrash(ids: readonly string[]): Promise<number> {
    this.requireOpen();
    if (this.readOnly) throw this.readOnlyError("empty the trash");
    return this.run("empty the trash", () =>
      this.pool.read((connection) => emptyTrash(connection, this.store.name, ids)),
    );
  }

  /** With durability "interval" the server is asked to write out its log, by a commit that waits for it. */
  async sync(): Promise<void> {
    this.requireOpen();
    if (this.readOnly || this.options.durability !== "interval") return;
    await this.run("sync", () =>
      this.pool.use(async (place) => {
        const connection = await this.pool.connected(place, this.pool.deadline());
        await connection.query("BEGIN; SET LOCAL synchronous_commit = on");
        await connection.query(
          `INSERT INTO sessiondir_lease (store, name, owner, until_us) VALUES ($1, 'sync', $2, 0)
           ON CONFLICT (store, name) DO UPDATE SET owner = EXCLUDED.owner`,
          [this.store.name, place.writer],
        );
        await connection.query("COMMIT");
      }),
    );
  }

  /** Nothing here is derived; a round of maintenance is done. */
  async checkpoint(): Promise<void> {
    this.requireOpen();
    if (this.readOnly) return;
    await this.run("checkpoint", () => this.maintenance.run());
  }

  async stats(): Promise<StoreStats> {
    this.requireOpen();
    const { rows } = await this.run("stats", () =>
      this.pool.read((connection) =>
        connection.query(
          `SELECT (SELECT count(*) FROM sessiondir_session WHERE store = $1 AND doc IS NOT NULL)::int AS sessions,
            (SELECT count(*) FROM sessiondir_session WHERE store = $1 AND doc IS NULL)::int AS tombstones,
            (SELECT count(*) FROM sessiondir_trash WHERE store = $1)::int AS trashed,
            pg_total_relation_size('sessiondir_session')::float8 AS bytes,
            (SELECT x.version FROM sessiondir_lane l CROSS JOIN LATERAL (SELECT s.version, s.committed_us
               FROM sessiondir_session s WHERE s.store = $1 AND s.lane = l.lane ORDER BY s.rev DESC LIMIT 1) x
             WHERE l.store = $1 ORDER BY x.committed_us DESC LIMIT 1) AS version`,
          [this.store.name],
        ),
      ),
    );
    const { sessions, tombstones, trashed, bytes, version } = rows[0] ?? {};
    return {
      backend: this.kind,
      location: this.location,
      version: typeof version === "string" ? version : "",
      sessions: Number(sessions),
      tombstones: Number(tombstones),
      trashedSessions: Number(trashed),
      tableBytesOfAllStores: Number(bytes),
      storeName: this.store.name,
      keyRule: this.keyRule,
      durability: this.options.durability,
    };
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    this.closedController.abort();
    for (const snapshot of this.scans) snapshot.end(closedError(this.location));
    await this.maintenance.stop();
    await this.wakeup.close();
    await Promise.all([this.pool.close(), this.scanPool.close()]);
  }

  private async countSessions(): Promise<number> {
    const { rows } = await this.pool.read((connection) =>
      connection.query(
        "SELECT count(*)::int AS sessions FROM sessiondir_session WHERE store = $1 AND doc IS NOT NULL",
        [this.store.name],
      ),
    );
    return Number(rows[0]?.sessions);
  }

  private async run<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw translate(error, operation, this.location);
    }
  }

  private warn(message: string): void {
    this.options.logger?.warn(message, { path: this.location });
  }

  private requireOpen(): void {
    if (this.closing !== undefined) throw closedError(this.location);
  }

  private readOnlyError(operation: string): SessionStoreError {
    return new SessionStoreError("read_only", "the store is open for reading only", { operation, path: this.location });
  }
}
