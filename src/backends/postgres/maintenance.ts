/**
 * Maintenance: what is older than its retention goes - trash, tombstones, rows of writers that are long gone. One process
 * does it for all, the one that holds the lease row; a process that dies with it is followed after two rounds. Nothing
 * here holds a lane for longer than one short batch takes.
 */

import type { Port, Timer } from "../../fs/port.js";
import type { Connection } from "./connection.js";
import type { Pool } from "./pool.js";
import { nowMicroseconds } from "./rows.js";

const batchRows = 1_000;
const writerRetentionMs = 7 * 24 * 60 * 60_000;

export interface MaintenanceParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  readonly owner: string;
  /** 0: only when asked. */
  readonly intervalMs: number;
  readonly trashRetentionMs: number;
  readonly tombstoneRetentionMs: number;
  onError(error: unknown): void;
}

export class Maintenance {
  readonly #parts: MaintenanceParts;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  start(): void {
    const { port, intervalMs } = this.#parts;
    if (intervalMs === 0 || this.#stopped) return;
    // Not all processes of a cluster at the same moment.
    const ms = intervalMs * (0.75 + 0.5 * port.random());
    this.#timer = port.startTimer(ms, () => {
      this.run().then(
        () => this.start(),
        (error) => {
          this.#parts.onError(error);
          this.start();
        },
      );
    });
  }

  /** One round, unless another process has the lease. Calls that come together share a round. */
  run(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running?.catch(() => {});
  }

  async #round(): Promise<void> {
    const { pool, store } = this.#parts;
    if (!(await pool.read((connection) => this.#takeLease(connection)))) return;
    await this.#untilFew(
      `DELETE FROM sessiondir_trash WHERE store = $1 AND id IN (SELECT id FROM sessiondir_trash
         WHERE store = $1 AND removed_us < ${nowMicroseconds} - $2::bigint * 1000 ORDER BY removed_us LIMIT ${batchRows})`,
      this.#parts.trashRetentionMs,
    );
    await this.#purgeTombstones();
    await pool.read((connection) =>
      connection.query(
        `DELETE FROM sessiondir_writer WHERE store = $1 AND seen_us < ${nowMicroseconds} - $2::bigint * 1000`,
        [store, writerRetentionMs],
      ),
    );
  }

  async #takeLease(connection: Connection): Promise<boolean> {
    const { store, owner, intervalMs } = this.#parts;
    const leaseMs = Math.max(1, intervalMs) * 2;
    const { rows } = await connection.query(
      `INSERT INTO sessiondir_lease AS t (store, name, owner, until_us)
       VALUES ($1, 'maintenance', $2, ${nowMicroseconds} + $3::bigint * 1000)
       ON CONFLICT (store, name) DO UPDATE SET owner = EXCLUDED.owner, until_us = EXCLUDED.until_us
       WHERE t.owner = EXCLUDED.owner OR t.until_us < ${nowMicroseconds} RETURNING 1`,
      [store, owner, leaseMs],
    );
    return rows.length > 0;
  }

  async #untilFew(text: string, retentionMs: number): Promise<void> {
    const { pool, store } = this.#parts;
    for (let count = batchRows; count >= batchRows && !this.#stopped; ) {
      const { rowCount } = await pool.read((connection) => connection.query(text, [store, retentionMs]));
      count = rowCount ?? 0;
    }
  }

  /**
   * The lane's row first, as everywhere, and its floor in the same statement: whoever sees that a tombstone is gone also
   * sees that the history begins after it.
   */
  async #purgeTombstones(): Promise<void> {
    const { pool, store, tombstoneRetentionMs } = this.#parts;
    const { rows: lanes } = await pool.read((connection) =>
      connection.query(
        `SELECT DISTINCT lane FROM sessiondir_session
         WHERE store = $1 AND doc IS NULL AND committed_us < ${nowMicroseconds} - $2::bigint * 1000`,
        [store, tombstoneRetentionMs],
      ),
    );
    for (const { lane } of lanes) {
      for (let count = batchRows; count >= batchRows && !this.#stopped; ) {
        count = await pool.read((connection) => this.#purgeLane(connection, Number(lane)));
      }
    }
  }

  async #purgeLane(connection: Connection, lane: number): Promise<number> {
    const { store, tombstoneRetentionMs } = this.#parts;
    await connection.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    try {
      await connection.query("SELECT 1 FROM sessiondir_lane WHERE store = $1 AND lane = $2 FOR UPDATE", [store, lane]);
      const { rows } = await connection.query(
        `WITH old AS (SELECT key FROM sessiondir_session WHERE store = $1 AND lane = $2 AND doc IS NULL
           AND committed_us < ${nowMicroseconds} - $3::bigint * 1000 ORDER BY rev LIMIT ${batchRows}),
         gone AS (DELETE FROM sessiondir_session t USING old
           WHERE t.store = $1 AND t.key = old.key AND t.doc IS NULL RETURNING t.rev),
         raised AS (UPDATE sessiondir_lane SET floor = greatest(floor, (SELECT max(rev) FROM gone))
           WHERE store = $1 AND lane = $2 AND EXISTS (SELECT 1 FROM gone))
         SELECT count(*)::int AS count FROM gone`,
        [store, lane, tombstoneRetentionMs],
      );
      await connection.query("COMMIT");
      return Number(rows[0]?.count);
    } catch (error) {
      if (!connection.broken) await connection.query("ROLLBACK");
      throw error;
    }
  }
}
