/**
 * What has happened in an interleaved run, as a text that is the same for two runs which differ only in the order of
 * calls that commute (footprint.ts): the processes are then in the same place, on the same disk, and what follows is the
 * same, but for the clock.
 *
 * Each call is known by its process's last call and by the last calls that it does not commute with.
 */

import { createHash } from "node:crypto";
import type { Footprint } from "./footprint.js";

interface Accesses {
  lastChange: string;
  looksSince: string[];
}

export class Trace {
  readonly #lastCalls: string[];
  readonly #accesses = new Map<string, Accesses>();

  constructor(processes: number) {
    this.#lastCalls = new Array<string>(processes).fill("");
  }

  add(process: number, call: string, { looksAt, changes }: Footprint): void {
    const known = [call, String(process), this.#lastCalls[process]!];
    for (const name of looksAt) known.push(this.#accessesOf(name).lastChange);
    for (const name of changes) {
      const { lastChange, looksSince } = this.#accessesOf(name);
      known.push(lastChange, ...looksSince.sort());
    }
    const id = createHash("sha1").update(known.join("\n")).digest("base64url");
    for (const name of looksAt) this.#accessesOf(name).looksSince.push(id);
    for (const name of changes) this.#accesses.set(name, { lastChange: id, looksSince: [] });
    this.#lastCalls[process] = id;
  }

  /** Of all calls so far. */
  get text(): string {
    return this.#lastCalls.join(" ");
  }

  #accessesOf(name: string): Accesses {
    let accesses = this.#accesses.get(name);
    if (accesses === undefined) {
      accesses = { lastChange: "", looksSince: [] };
      this.#accesses.set(name, accesses);
    }
    return accesses;
  }
}
