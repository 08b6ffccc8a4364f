/**
 * Who listens for notifications: a row of `sessiondir_lease` that every listening process renews. Without listeners
 * nobody sends any, and they cost as much as a small commit.
 *
 * A writer asks at most four times a second. So a listener that has just announced itself may miss what is committed in
 * the quarter of a second after, and polls fast until then; one that may not write the row polls fast always.
 */

import type { Port, Timer } from "../../fs/port.js";
import type { Connection, Statement } from "./connection.js";
import { ConnectionLost } from "./failures.js";
import type { Pool } from "./pool.js";
import { nowMicroseconds } from "./rows.js";

const leaseMs = 60_000;
const renewAfterMs = 20_000;
export const nobodyIsGoodForMs = 250;
const newFor = 2 * nobodyIsGoodForMs;
const fastPollMs = 20;
const unannouncedPollMs = 100;

/** As a condition on `$2`, the store: somebody listens. */
export const somebodyListens = `EXISTS (SELECT 1 FROM sessiondir_lease
  WHERE store = $2 AND name = 'listeners' AND until_us > ${nowMicroseconds})`;

const announceStatement: Statement = {
  name: "sessiondir_announce_1",
  text: `INSERT INTO sessiondir_lease AS t (store, name, owner, until_us)
  VALUES ($1, 'listeners', '', ${nowMicroseconds} + ${leaseMs * 1_000})
  ON CONFLICT (store, name) DO UPDATE SET until_us = greatest(t.until_us, EXCLUDED.until_us)`,
};

export interface ListenerParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  /** Everything may have changed unnoticed. */
  wake(): void;
}

/** This process as a listener. */
export class Announcement {
  readonly #parts: ListenerParts;
  /** Since when every writer could know; `undefined`: they cannot. */
  #sinceMs: number | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /** Says that this process listens, and goes on saying so. Rejects when the connection is lost. */
  async make(connection: Connection): Promise<void> {
    this.#timer?.cancel();
    const { port } = this.#parts;
    try {
      await this.#write(connection);
      const nowMs = port.monotonicMs();
      // A process that slept for long was forgotten meanwhile.
      const isNew = this.#sinceMs === undefined || nowMs - this.#lastMs > leaseMs - renewAfterMs;
      if (isNew) this.#sinceMs = nowMs;
      this.#lastMs = nowMs;
      if (isNew) this.#parts.wake();
    } catch (error) {
      this.#sinceMs = undefined;
      if (error instanceof ConnectionLost) throw error;
      // A role that may only read.
    }
    if (this.#stopped) return;
    this.#timer = port.startTimer(renewAfterMs, () => void this.#renew());
  }

  /** How long to wait for a notification before a look, where `pollMs` is enough for who gets them all. */
  patienceMs(pollMs: number): number {
    if (this.#sinceMs === undefined) return Math.min(pollMs, unannouncedPollMs);
    return this.#parts.port.monotonicMs() - this.#sinceMs < newFor ? Math.min(pollMs, fastPollMs) : pollMs;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #renew(): Promise<void> {
    try {
      await this.#parts.pool.read((connection) => this.make(connection));
    } catch {
      // The listening connection is gone too, or the store is closed; who connects again announces itself again.
      this.#sinceMs = undefined;
    }
  }

  async #write(connection: Connection): Promise<void> {
    // Also where everything else of the session only reads.
    await connection.query("BEGIN READ WRITE");
    try {
      await connection.query(announceStatement, [this.#parts.store]);
      await connection.query("COMMIT");
    } catch (error) {
      if (!connection.broken) await connection.query("ROLLBACK");
      throw error;
    }
  }
}
