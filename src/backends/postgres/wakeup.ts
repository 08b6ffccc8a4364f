/**
 * Tells waiting watchers that there may be something new: after each commit of this process, after a notification of
 * another one, and after the listening connection came back. A hint and nothing more - who misses one polls anyway -, so
 * notifications are sent outside of every commit and at most one in three milliseconds: inside, they would make all
 * commits of the cluster wait for one lock.
 */

import { createHash } from "node:crypto";
import type { Port } from "../../fs/port.js";
import { type Waiter, WaitingRoom } from "../../fs/waiting-room.js";
import type { Connection, Statement } from "./connection.js";
import { pauseMs } from "./failures.js";
import { Announcement, nobodyIsGoodForMs, somebodyListens } from "./listeners.js";
import type { Pool } from "./pool.js";

const notifyPauseMs = 3;

/**
 * No row: nobody listens. A notification has a number in the log, and would make the server's disk sync once more for
 * nothing that must last.
 */
const notifyStatement: Statement = {
  name: "sessiondir_notify_3",
  text: `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '') WHERE ${somebodyListens}`,
};

export interface WakeupParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  /** False: neither listens nor notifies. */
  readonly notify: boolean;
  connect(): Promise<Connection>;
}

export class Wakeup {
  readonly #parts: WakeupParts;
  readonly #channel: string;
  readonly #watchers: WaitingRoom;
  readonly #announcement: Announcement;
  #listener: Connection | undefined;
  #connecting: Promise<void> | undefined;
  #closed = false;
  #notifying = false;
  #notifyAgain = false;
  /** Until then, that nobody listens is taken for granted. */
  #nobodyUntilMs = Number.NEGATIVE_INFINITY;
  /** Grows with every hint, so that one that comes between a look and the wait for the next is not missed. */
  hints = 0;

  constructor(parts: WakeupParts) {
    this.#parts = parts;
    this.#watchers = new WaitingRoom(parts.port);
    this.#announcement = new Announcement({ ...parts, wake: () => this.wake() });
    // A name of at most 63 bytes, whatever the store is called.
    this.#channel = `sessiondir_${createHash("sha256").update(parts.store).digest("hex").slice(0, 16)}`;
  }

  /** Something was committed here. */
  committed(): void {
    this.wake();
    if (!this.#parts.notify || this.#closed) return;
    if (this.#notifying) {
      this.#notifyAgain = true;
      return;
    }
    if (this.#parts.port.monotonicMs() < this.#nobodyUntilMs) return;
    this.#notifying = true;
    void this.#notify();
  }

  /** A place for one watcher, until `ended` aborts. */
  enter(ended: AbortSignal): Waiter {
    return this.#watchers.enter(ended);
  }

  /** Resolves at the next hint after `seen`, after `ms`, or at the watcher's end. */
  async wait(waiter: Waiter, seen: number, ms: number): Promise<void> {
    if (this.hints !== seen) return;
    await waiter.next(this.#parts.notify ? this.#announcement.patienceMs(ms) : ms);
  }

  /** Resolves when the listening connection is there, or cannot be had at the moment. */
  listen(): Promise<void> {
    if (!this.#parts.notify || this.#closed || this.#listener !== undefined) return Promise.resolve();
    this.#connecting ??= this.#connectListener().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  wake(): void {
    this.hints += 1;
    this.#watchers.wakeAll();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#announcement.stop();
    this.wake();
    // What was committed last is told too, although its turn has not come.
    if (this.#notifyAgain) await this.#send();
    await this.#connecting;
    await this.#listener?.end();
  }

  async #connectListener(): Promise<void> {
    try {
      const connection = await this.#parts.connect();
      if (this.#closed) return await connection.end();
      connection.onNotification = () => this.wake();
      connection.onBroken = () => {
        this.#listener = undefined;
        void this.#listenAgain();
      };
      this.#listener = connection;
      await this.#announcement.make(connection);
      await connection.query(`LISTEN "${this.#channel}"`);
      connection.keepAlive(false);
    } catch {
      // Watchers poll meanwhile.
    }
  }

  async #listenAgain(): Promise<void> {
    for (let attempt = 1; !this.#closed && this.#listener === undefined; attempt += 1) {
      const ms = 20 + pauseMs(() => this.#parts.port.random(), attempt, 2_000);
      await new Promise<void>((resolve) => this.#parts.port.startTimer(ms, resolve));
      await this.listen();
    }
    // What was notified meanwhile is lost: look.
    this.wake();
  }

  async #notify(): Promise<void> {
    do {
      await this.#send();
      await new Promise<void>((resolve) => this.#parts.port.startTimer(notifyPauseMs, resolve));
    } while (this.#notifyAgain && !this.#closed);
    this.#notifying = false;
  }

  async #send(): Promise<void> {
    this.#notifyAgain = false;
    if (this.#parts.port.monotonicMs() < this.#nobodyUntilMs) return;
    try {
      await this.#parts.pool.use(async ({ connection }) => {
        if (connection === undefined || connection.broken) return;
        const sentMs = this.#parts.port.monotonicMs();
        const { rows } = await connection.query(notifyStatement, [this.#channel, this.#parts.store]);
        if (rows.length === 0) this.#nobodyUntilMs = sentMs + nobodyIsGoodForMs;
      });
    } catch {
      // Only a hint.
    }
  }
}
