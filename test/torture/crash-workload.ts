/**
 * A random workload of one process: commits of every kind on a handful of sessions, rotations, checkpoints, scans,
 * pauses, closing and opening again. It tells the model what it begins and what it was told.
 */

import type { Backend, Operation, VersionToken } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import { defaultLimits, type Limits } from "../../src/limits.js";
import { openBackend } from "../../src/open-backend.js";
import { type CheckedOpenOptions, checkOpenOptions } from "../../src/open-options.js";
import type { SeededRandom } from "../sim/random.js";
import { type CrashModel, numberOf } from "./crash-model.js";
import { Harmed } from "./figures.js";

export const storeLocation = "/home/agent/sessions.json";

/** A short name, one that no object may have, one that names a directory, one that is not ASCII, one that is hashed. */
export const sessionKeys = ["main", "__proto__", "../up", "größe 🦞", `long-${"k".repeat(150)}`];

export interface CrashPlan {
  readonly options: CheckedOpenOptions;
  readonly steps: number;
  readonly closesAtEnd: boolean;
}

export function drawPlan(random: SeededRandom): CrashPlan {
  const limits: Limits = {
    ...defaultLimits,
    segmentBytes: random.pick([1, 400, 1_200, 4_000, defaultLimits.segmentBytes]),
    segmentRetentionMs: random.pick([0, defaultLimits.segmentRetentionMs]),
    segmentRetentionBytes: random.pick([0, 1_000, defaultLimits.segmentRetentionBytes]),
  };
  const options = {
    ...checkOpenOptions({ keys: "exact" }),
    durability: random.chance(0.2) ? ("interval" as const) : ("commit" as const),
    cacheBytes: random.pick([0, 1_000_000]),
    limits,
  };
  return { options, steps: 8 + random.below(14), closesAtEnd: random.chance(0.7) };
}

export async function runCrashWorkload(port: Port, model: CrashModel, plan: CrashPlan, random: SeededRandom) {
  const life = new Life(port, model, plan, random);
  await life.open();
  for (let step = 0; step < plan.steps; step++) await life.step(step);
  if (plan.closesAtEnd) await life.close();
}

class Life {
  readonly #port: Port;
  readonly #model: CrashModel;
  readonly #plan: CrashPlan;
  readonly #random: SeededRandom;
  #backend: Backend | undefined;

  constructor(port: Port, model: CrashModel, plan: CrashPlan, random: SeededRandom) {
    this.#port = port;
    this.#model = model;
    this.#plan = plan;
    this.#random = random;
  }

  async open(): Promise<void> {
    this.#backend = await openBackend(this.#port, storeLocation, this.#plan.options);
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#everythingIsDurable();
  }

  async step(number: number): Promise<void> {
    const random = this.#random;
    const choice = random.below(20);
    const key = random.pick(sessionKeys);
    if (choice < 5) await this.#commit([this.#put(key, number)]);
    else if (choice < 9) await this.#patch(key, number);
    else if (choice < 11) await this.#removeOne();
    else if (choice < 13) await this.#transaction(number);
    else if (choice < 14) await this.#compareAndSwap(key, number);
    else if (choice < 16) await this.#together(number);
    else if (choice < 17) await this.#store.checkpoint?.();
    else if (choice < 18) await this.#scan();
    else if (choice < 19) {
      if (random.chance(0.5)) await this.#sync();
      else await this.#port.sleep(random.pick([10, 700, 40_000]));
    } else {
      await this.close();
      await this.open();
    }
  }

  get #store(): Backend {
    return this.#backend as Backend;
  }

  #put(key: string, number: number): Operation {
    const random = this.#random;
    const text = random.chance(0.3) ? { text: "x".repeat(random.below(700)) } : {};
    return { type: "put", key, entry: Object.freeze({ number, draw: random.below(1_000), ...text }) };
  }

  #remove(key: string): Operation {
    return { type: "remove", key, purge: this.#random.chance(0.3) };
  }

  async #patch(key: string, number: number): Promise<void> {
    const found = (await this.#store.read([key])).get(key);
    const held = this.#model.newest.get(key);
    if (found === undefined || held === undefined) {
      if (found !== undefined || held !== undefined)
        throw new Harmed("disagreements", `read ${key}: ${found}, ${held}`);
      return this.#commit([this.#put(key, number)], [[key, null]]);
    }
    const unset = this.#random.chance(0.2) && "number" in found.entry ? ["number"] : [];
    const set = Object.freeze({ [`field-${this.#random.below(3)}`]: number });
    const entry: Record<string, unknown> = { ...found.entry, ...set };
    for (const field of unset) delete entry[field];
    const operation: Operation = { type: "patch", key, set, unset, entry: Object.freeze(entry) };
    return this.#commit([operation], [[key, found.version]]);
  }

  async #removeOne(): Promise<void> {
    const present = [...this.#model.newest.keys()];
    if (present.length > 0) await this.#commit([this.#remove(this.#random.pick(present))]);
  }

  /** Two or more sessions, all or nothing. */
  async #transaction(number: number): Promise<void> {
    const first = this.#random.below(sessionKeys.length - 1);
    const keys = sessionKeys.slice(first, first + 2 + this.#random.below(3));
    const operations = keys.map((key) => {
      const removes = this.#model.newest.has(key) && this.#random.chance(0.3);
      return removes ? this.#remove(key) : this.#put(key, number);
    });
    await this.#commit(operations);
  }

  async #compareAndSwap(key: string, number: number): Promise<void> {
    const found = (await this.#store.read([key])).get(key);
    const right = found?.version ?? null;
    const operations = [this.#put(key, number)];
    if (this.#random.chance(0.5)) return this.#commit(operations, [[key, right]]);
    const wrong = right === null ? "1-00000000-000000000000" : null;
    const result = await this.#store.commit({ operations, expected: new Map([[key, wrong]]) });
    if (result.status === "committed") throw new Harmed("disagreements", `a compare-and-swap on ${wrong} was accepted`);
  }

  /** They share the lock and the sync. */
  async #together(number: number): Promise<void> {
    const count = 2 + this.#random.below(3);
    await Promise.all(
      Array.from({ length: count }, () => this.#commit([this.#put(this.#random.pick(sessionKeys), number)])),
    );
  }

  async #commit(operations: readonly Operation[], expected: [string, VersionToken | null][] = []): Promise<void> {
    const version = this.#model.begin(operations);
    const result = await this.#store.commit({ operations, expected: new Map(expected) });
    if (result.status !== "committed")
      throw new Harmed(
        "disagreements",
        `commit ${version} met a ${result.status}: ${JSON.stringify([result, operations, expected])}`,
      );
    if (numberOf(result.version) !== version) {
      throw new Harmed("disagreements", `commit ${version} was given ${result.version}: versions are not dense`);
    }
    this.#model.acknowledged = Math.max(this.#model.acknowledged, version);
    if (this.#plan.options.durability === "commit") this.#everythingIsDurable();
  }

  async #scan(): Promise<void> {
    const snapshot = await this.#store.scan();
    const found = new Map();
    for await (const { key, entry, version } of snapshot) found.set(key, { entry, version });
    const version = numberOf(snapshot.cursor);
    this.#model.compare(found, version, this.#model.acknowledged, this.#model.begun);
  }

  async #sync(): Promise<void> {
    const { acknowledged } = this.#model;
    await this.#store.sync();
    this.#model.durable = Math.max(this.#model.durable, acknowledged);
  }

  #everythingIsDurable(): void {
    this.#model.durable = this.#model.acknowledged;
  }
}
