/**
 * The virtual clock and what is to happen on it. Time passes by a microsecond per port call, by naps, and by jumps to
 * the next event; the real clock plays no part. Events of the same moment happen in an order drawn from the seed.
 */

import type { SeededRandom } from "./random.js";

export interface Event {
  readonly dueMicros: number;
  readonly order: number;
  /** Whose it is: what a killed process waits for never happens. */
  readonly owner: object;
  /** False for timers that do not keep a process alive. */
  readonly keepsAlive: boolean;
  readonly run: () => void;
}

export class EventQueue {
  nowMicros = 0;
  #events: Event[] = [];
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get size(): number {
    return this.#events.length;
  }

  add(owner: object, delayMs: number, run: () => void, keepsAlive = true): Event {
    const dueMicros = this.nowMicros + Math.max(0, Math.round(delayMs * 1000));
    const event = { dueMicros, order: this.#random.next(), owner, keepsAlive, run };
    this.#events.push(event);
    return event;
  }

  cancel(event: Event): void {
    const index = this.#events.indexOf(event);
    if (index >= 0) this.#events.splice(index, 1);
  }

  cancelAllOf(owner: object): void {
    this.#events = this.#events.filter((event) => event.owner !== owner);
  }

  /** Takes the next event, if there is one that is due by then. It moves the clock to it, but never back. */
  take(untilMicros = Number.POSITIVE_INFINITY): Event | undefined {
    return this.#takeFirst((event) => event.dueMicros <= untilMicros);
  }

  /** Takes the next of the events that keep this process alive, also before earlier ones of others. */
  takeOf(owner: object): Event | undefined {
    return this.#takeFirst((event) => event.owner === owner && event.keepsAlive);
  }

  keepsAlive(owner: object): boolean {
    return this.#events.some((event) => event.owner === owner && event.keepsAlive);
  }

  #takeFirst(isWanted: (event: Event) => boolean): Event | undefined {
    let best: Event | undefined;
    for (const event of this.#events) {
      if (isWanted(event) && (best === undefined || isBefore(event, best))) best = event;
    }
    if (best === undefined) return undefined;
    this.cancel(best);
    this.nowMicros = Math.max(this.nowMicros, best.dueMicros);
    return best;
  }

  hasWorkThatKeepsAlive(): boolean {
    return this.#events.some((event) => event.keepsAlive);
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.dueMicros < right.dueMicros || (left.dueMicros === right.dueMicros && left.order < right.order);
}
