/**
 * A fixed number of places for connections, served in order of arrival. A place keeps its connection from one user to
 * the next, and gets a new one when it broke; so a failover needs no restart. Each place has a row of its own in
 * `sessiondir_writer` (outcome.ts), because only one commit at a time goes through it.
 */

import type { Port } from "../../fs/port.js";
import type { Connection } from "./connection.js";
import { ConnectionLost, isHopeless, isTransient, pauseMs, wantsAnotherConnection } from "./failures.js";

export interface Place {
  /** Unique among all processes. */
  readonly writer: string;
  /** The epoch of the writer's row; `undefined` until it was registered. */
  epoch: number | undefined;
  connection: Connection | undefined;
}

export interface PoolOptions {
  readonly size: number;
  /** Unique among all pools of all processes. */
  readonly name: string;
  /** Milliseconds to wait for a server that is away. */
  readonly reconnectWaitMs: number;
  connect(): Promise<Connection>;
  closedError(): Error;
  abortedError(): Error;
}

export class Pool {
  readonly #port: Port;
  readonly #options: PoolOptions;
  readonly #idle: Place[] = [];
  readonly #waiting: ((place: Place) => void)[] = [];
  #made = 0;
  #busy = 0;
  #closed = false;
  #whenIdle: (() => void) | undefined;

  constructor(port: Port, options: PoolOptions) {
    this.#port = port;
    this.#options = options;
  }

  /** Begins with a connection that is there already. */
  adopt(connection: Connection): void {
    this.#idle.push({ ...this.#newPlace(), connection });
    connection.keepAlive(false);
  }

  /** Runs `work` with a place of its own. Places are free again whatever happens. */
  async use<Result>(work: (place: Place) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const place = await this.acquire(signal);
    try {
      return await work(place);
    } finally {
      this.release(place);
    }
  }

  async acquire(signal?: AbortSignal): Promise<Place> {
    if (this.#closed) throw this.#options.closedError();
    if (signal?.aborted) throw this.#options.abortedError();
    this.#busy += 1;
    let place = this.#idle.pop();
    if (place === undefined && this.#made < this.#options.size) {
      place = this.#newPlace();
    }
    try {
      place ??= await this.#wait(signal);
    } catch (error) {
      this.#left();
      throw error;
    }
    place.connection?.keepAlive(true);
    return place;
  }

  release(place: Place): void {
    place.connection?.keepAlive(false);
    const next = this.#waiting.shift();
    if (next) {
      place.connection?.keepAlive(true);
      next(place);
    } else {
      this.#idle.push(place);
    }
    this.#left();
  }

  /** The connection of a place, a new one if it has none; waits for a server that is away, and no longer. */
  async connected(place: Place, deadlineMs: number, signal?: AbortSignal): Promise<Connection> {
    for (let attempt = 1; ; attempt += 1) {
      if (place.connection !== undefined && !place.connection.broken) return place.connection;
      if (signal?.aborted) throw this.#options.abortedError();
      try {
        place.connection = await this.#options.connect();
        // Perhaps to another server, which may have lost the writer's row: it is registered anew.
        place.epoch = undefined;
        return place.connection;
      } catch (error) {
        place.connection = undefined;
        if (isHopeless(error) || this.#port.monotonicMs() >= deadlineMs) throw error;
      }
      await this.pause(attempt, signal);
    }
  }

  /** Runs what may be run again: reads. A lost connection is replaced, and the work begins anew. */
  async read<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    return this.use(async (place) => {
      const deadlineMs = this.deadline();
      for (let attempt = 1; ; attempt += 1) {
        const connection = await this.connected(place, deadlineMs);
        try {
          return await work(connection);
        } catch (error) {
          if (wantsAnotherConnection(error)) connection.destroy();
          else if (!(error instanceof ConnectionLost) && !isTransient(error)) throw error;
          if (this.#port.monotonicMs() >= deadlineMs) throw error;
        }
        await this.pause(attempt);
      }
    });
  }

  deadline(): number {
    return this.#port.monotonicMs() + this.#options.reconnectWaitMs;
  }

  /** Random, so that those who met once do not meet again. Rejects when the signal aborts. */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    try {
      await this.#port.sleep(
        pauseMs(() => this.#port.random(), attempt),
        signal,
      );
    } catch {
      throw this.#options.abortedError();
    }
  }

  /** Waits for everything under way; what comes later is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await Promise.all(this.#idle.map(({ connection }) => connection?.end()));
  }

  #newPlace(): Place {
    this.#made += 1;
    return { writer: `${this.#options.name}.${this.#made}`, epoch: undefined, connection: undefined };
  }

  #wait(signal: AbortSignal | undefined): Promise<Place> {
    return new Promise((resolve, reject) => {
      const take = (place: Place) => {
        signal?.removeEventListener("abort", abort);
        resolve(place);
      };
      const abort = () => {
        const index = this.#waiting.indexOf(take);
        if (index === -1) return;
        this.#waiting.splice(index, 1);
        reject(this.#options.abortedError());
      };
      this.#waiting.push(take);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #left(): void {
    this.#busy -= 1;
    if (this.#busy === 0) this.#whenIdle?.();
  }
}
