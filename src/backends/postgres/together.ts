/**
 * Commits of this process that come while another one is under way go to the server together. A caller who is the only one
 * goes at once and alone; others wait for the end of the turn of the event loop, so that everybody who was just told of a
 * commit can come with the next one. They share a round trip, the lock of the writer's row, and a sync of the server's disk.
 *
 * Only replacements of one session that expect a version take part. Each is applied or not for itself. One that was not
 * applied, for whatever reason, is certain not to come later - the statement is fenced by the epoch (outcome.ts) - and
 * its caller tries it alone, which also finds out why.
 */

import type { Port } from "../../fs/port.js";
import { replaceManyStatement } from "./commit-statements.js";
import type { Connection } from "./connection.js";
import { ConnectionLost, wantsAnotherConnection } from "./failures.js";
import { registeredEpoch } from "./outcome.js";
import type { Place, Pool } from "./pool.js";

/** One session: the values of the statement from `$5` on. */
export interface Replacement {
  readonly key: string;
  readonly version: string;
  readonly lane: number;
  readonly values: readonly (string | number | null)[];
  /** Of the entry, to bound what goes into one statement. */
  readonly bytes: number;
}

interface Waiting {
  readonly replacement: Replacement;
  /** Each settles the caller and never rejects. */
  committed(): void;
  alone(): Promise<void>;
  failed(error: unknown): void;
}

/** What became of a group cannot be found out. */
class Undecided extends Error {}

export interface TogetherParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  /** What the writer's row of the place says after its epoch was raised; rejects when that cannot be found out. */
  lastThrough(place: Place): Promise<string | undefined>;
  /** The error for a caller who must be told that nobody knows. */
  unknown(version: string, cause: unknown): Error;
}

/**
 * Each lane belongs to one of these, so that two statements of this process never wait for each other: a lane is locked
 * until its commit is on the disk. Several, so that one can be on the disk while the next is put together, and a lane that
 * somebody else holds does not stop everybody.
 */
const slotCount = 2;
const membersMax = 64;
const bytesMax = 4 * 1_024 * 1_024;

/** One statement at a time. */
interface Slot {
  waiting: Waiting[];
  flying: boolean;
  gathering: boolean;
}

export class Together {
  readonly #parts: TogetherParts;
  readonly #slots: readonly Slot[] = Array.from({ length: slotCount }, () => ({
    waiting: [],
    flying: false,
    gathering: false,
  }));

  constructor(parts: TogetherParts) {
    this.#parts = parts;
  }

  /** `alone` runs at once, or the replacement goes with others; when those did not apply it, `alone` runs then. */
  async commit<Result>(
    replacement: Replacement,
    committed: () => Result,
    alone: () => Promise<Result>,
  ): Promise<Result> {
    const slot = this.#slots[replacement.lane % slotCount]!;
    if (!slot.flying && !slot.gathering) return this.#fly(slot, 1, alone);
    return new Promise<Result>((resolve, reject) => {
      slot.waiting.push({
        replacement,
        committed: () => resolve(committed()),
        alone: () => alone().then(resolve, reject),
        failed: reject,
      });
    });
  }

  async #fly<Result>(slot: Slot, members: number, work: () => Promise<Result>): Promise<Result> {
    slot.flying = true;
    try {
      return await work();
    } finally {
      slot.flying = false;
      if (slot.waiting.length > 0 || members > 1) this.#gather(slot);
    }
  }

  /** Sends what waits, after everybody who can come now has come: those who were just told of a commit. */
  #gather(slot: Slot): void {
    slot.gathering = true;
    void this.#parts.port.yieldToEventLoop().then(() => {
      slot.gathering = false;
      if (slot.waiting.length === 0) return;
      const group = this.#take(slot);
      void this.#fly(slot, group.length, () => this.#send(group));
    });
  }

  /** Those that waited longest; of one session only the first, because the statement can replace it once. */
  #take(slot: Slot): Waiting[] {
    const group = new Map<string, Waiting>();
    let bytes = 0;
    let index = 0;
    const left: Waiting[] = [];
    for (; index < slot.waiting.length && group.size < membersMax && bytes < bytesMax; index += 1) {
      const one = slot.waiting[index]!;
      if (group.has(one.replacement.key)) left.push(one);
      else {
        group.set(one.replacement.key, one);
        bytes += one.replacement.bytes;
      }
    }
    slot.waiting.splice(0, index, ...left);
    return [...group.values()];
  }

  async #send(group: readonly Waiting[]): Promise<void> {
    if (group.length === 1) return group[0]!.alone();
    try {
      const applied = await this.#apply(group.map(({ replacement }) => replacement));
      for (const [index, one] of group.entries()) {
        if (applied.has(index + 1)) one.committed();
        else void one.alone();
      }
    } catch (error) {
      for (const one of group) {
        const { version } = one.replacement;
        one.failed(error instanceof Undecided ? this.#parts.unknown(version, error.cause) : error);
      }
    }
  }

  /** The positions, from 1 on, of those that were applied. The others were not and never will be. */
  #apply(group: readonly Replacement[]): Promise<ReadonlySet<number>> {
    const { pool } = this.#parts;
    return pool.use(async (place) => {
      const connection = await pool.connected(place, pool.deadline());
      const mark = group[0]!.version;
      const sent = { mayHaveHappened: false };
      try {
        return await this.#replaceMany(connection, place, mark, group, sent);
      } catch (error) {
        if (error instanceof ConnectionLost) return sent.mayHaveHappened ? this.#find(place, mark) : new Set();
        if (wantsAnotherConnection(error)) connection.destroy();
        // The server undid the statement as a whole; each is told alone what is wrong with it, if it still is.
        return new Set();
      }
    });
  }

  async #replaceMany(
    connection: Connection,
    place: Place,
    mark: string,
    group: readonly Replacement[],
    sent: { mayHaveHappened: boolean },
  ): Promise<ReadonlySet<number>> {
    const { store } = this.#parts;
    const epoch = await registeredEpoch(connection, store, place);
    const columns = group[0]!.values.map((_, column) => group.map(({ values }) => values[column]));
    sent.mayHaveHappened = true;
    const { rows } = await connection.query(replaceManyStatement, [store, place.writer, epoch, mark, ...columns]);
    if (rows[0]?.fenced === 0) place.epoch = undefined;
    return positions(String(rows[0]?.applied ?? ""));
  }

  async #find(place: Place, mark: string): Promise<ReadonlySet<number>> {
    try {
      const last = await this.#parts.lastThrough(place);
      return last?.startsWith(`${mark}:`) ? positions(last.slice(mark.length + 1)) : new Set();
    } catch (error) {
      throw new Undecided("the server did not come back", { cause: error });
    }
  }
}

function positions(applied: string): ReadonlySet<number> {
  return new Set(applied === "" ? [] : applied.split(",").map(Number));
}
