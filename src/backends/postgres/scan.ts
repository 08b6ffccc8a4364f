/**
 * Scans: one state of the whole store, read in pages inside one read-only transaction. The pages are read ahead of the
 * consumer, up to some megabytes, so that a scan of an ordinary store holds its connection for a moment only, and a slow
 * consumer holds one for `scanMaxMs` at most.
 */

import type { Cursor, DamagedSession, Snapshot, SnapshotEntry } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Port, Timer } from "../../fs/port.js";
import { readPosition } from "./changes.js";
import type { Connection, Statement } from "./connection.js";
import { formatCursor } from "./cursor.js";
import { closedError, translate } from "./failures.js";
import type { Place, Pool } from "./pool.js";
import { decodeKey, type SessionRow, sessionOf } from "./rows.js";
import type { StoreRow } from "./store-row.js";

const bufferBytesMax = 16 * 1024 * 1024;
const pageBytes = 2 * 1024 * 1024;
const pageRowsMax = 1_000;
/** Larger entries are read one by one, so that no page is larger than memory. */
const inlineBytesMax = 256 * 1024;

const pageStatement: Statement = {
  name: "sessiondir_scan_1",
  text: `SELECT key, version, generations, CASE WHEN octet_length(doc) <= ${inlineBytesMax} THEN doc END AS doc
  FROM sessiondir_session WHERE store = $1 AND key > $2 AND doc IS NOT NULL ORDER BY key LIMIT $3`,
};

const largeStatement: Statement = {
  name: "sessiondir_scan_large_1",
  text: "SELECT doc FROM sessiondir_session WHERE store = $1 AND key = $2",
};

export interface ScanParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: StoreRow;
  readonly location: string;
  readonly scanMaxMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onDamaged: ((damaged: DamagedSession) => void) | undefined;
  /** The scan holds nothing any more. */
  onEnded(): void;
}

export class PostgresSnapshot implements Snapshot {
  readonly cursor: Cursor;
  readonly #parts: ScanParts;
  readonly #place: Place;
  readonly #connection: Connection;
  readonly #timer: Timer;
  readonly #ready: (SnapshotEntry | SessionStoreError)[] = [];
  #bufferedBytes = 0;
  #readEverything = false;
  #failure: SessionStoreError | undefined;
  #released = false;
  /** Wakes the reader when there is room, the consumer when there is something. */
  #wakeReader = () => {};
  #wakeConsumer = () => {};

  static async start(parts: ScanParts): Promise<PostgresSnapshot> {
    const { pool, store } = parts;
    const place = await pool.acquire(parts.signal);
    try {
      const deadlineMs = pool.deadline();
      for (;;) {
        const connection = await pool.connected(place, deadlineMs, parts.signal);
        try {
          await connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
          await connection.query(`SET LOCAL idle_in_transaction_session_timeout = ${parts.scanMaxMs + 10_000}`);
          const position = await readPosition(connection, store);
          return new PostgresSnapshot(parts, place, connection, formatCursor(position));
        } catch (error) {
          if (!connection.broken) throw error;
          if (parts.port.monotonicMs() >= deadlineMs) throw error;
        }
      }
    } catch (error) {
      pool.release(place);
      throw error;
    }
  }

  private constructor(parts: ScanParts, place: Place, connection: Connection, cursor: Cursor) {
    this.#parts = parts;
    this.#place = place;
    this.#connection = connection;
    this.cursor = cursor;
    this.#timer = parts.port.startTimer(parts.scanMaxMs, () => this.end(expired(parts)));
    void this.#readPages();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SnapshotEntry> {
    const { signal } = this.#parts;
    try {
      for (;;) {
        if (signal?.aborted) throw new SessionStoreError("aborted", "the scan was aborted");
        if (this.#failure) throw this.#failure;
        const next = this.#ready.shift();
        if (next instanceof SessionStoreError) throw next;
        if (next !== undefined) {
          // About: the text of the entry is no longer there to be measured.
          this.#bufferedBytes -= this.#sizes.get(next) ?? 0;
          this.#wakeReader();
          yield next;
        } else if (this.#readEverything) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeConsumer = resolve;
          });
        }
      }
    } finally {
      this.end(closedError(this.#parts.location));
    }
  }

  readonly #sizes = new WeakMap<SnapshotEntry, number>();

  /** Whatever comes now, comes as this error; what was held is let go. */
  end(error: SessionStoreError): void {
    this.#failure ??= error;
    this.#wakeReader();
    this.#wakeConsumer();
  }

  async #readPages(): Promise<void> {
    const { store, onDamaged } = this.#parts;
    let last = "";
    let count = 64;
    try {
      for (;;) {
        const { rows } = await this.#connection.query(pageStatement, [store.name, last, count]);
        let bytes = 0;
        for (const row of rows) {
          last = String(row.key);
          if (row.doc === null) {
            const found = await this.#connection.query(largeStatement, [store.name, last]);
            row.doc = found.rows[0]?.doc;
          }
          const size = String(row.doc).length;
          bytes += size;
          this.#add(last, row as unknown as SessionRow, size, onDamaged);
          await this.#room();
          if (this.#failure) return;
        }
        if (rows.length < count) {
          this.#readEverything = true;
          return;
        }
        const average = Math.max(1, bytes / rows.length);
        count = Math.max(16, Math.min(pageRowsMax, Math.floor(pageBytes / average)));
      }
    } catch (error) {
      this.#failure ??= translate(error, "scan", this.#parts.location);
    } finally {
      await this.#release();
      this.#wakeConsumer();
    }
  }

  #add(stored: string, row: SessionRow, size: number, onDamaged: ScanParts["onDamaged"]): void {
    const key = decodeKey(stored);
    try {
      const entry: SnapshotEntry = { key, ...sessionOf(key, row) };
      this.#sizes.set(entry, size);
      this.#bufferedBytes += size;
      this.#ready.push(entry);
    } catch (error) {
      const damage = translate(error, "scan", this.#parts.location);
      if (onDamaged) onDamaged({ key, error: damage });
      else this.#ready.push(damage);
    }
    this.#wakeConsumer();
  }

  async #room(): Promise<void> {
    while (this.#bufferedBytes > bufferBytesMax && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  async #release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#timer.cancel();
    try {
      if (!this.#connection.broken) await this.#connection.query("COMMIT");
    } catch {
      this.#connection.destroy();
    }
    this.#parts.pool.release(this.#place);
    this.#parts.onEnded();
  }
}

function expired({ scanMaxMs, location }: ScanParts): SessionStoreError {
  return new SessionStoreError("snapshot_expired", `the scan took longer than ${scanMaxMs} ms (limits.scanMaxMs)`, {
    operation: "scan",
    path: location,
    nextStep: "Do less work inside the loop, or raise the limit.",
  });
}
