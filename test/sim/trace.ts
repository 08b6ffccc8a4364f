/**
 * What has happened in an interleaved run, as a text that is the same for two runs which differ only in the order of
 * calls that commute (footprint.ts): the processes are then in the same place, on the same disk, and what follows is the
 * same, but for the clock.
 *
 * Each call is known by its process's last call and by who last changed what it looks at or changes.
 */

import { createHash } from "node:crypto";
import type { Footprint } from "./footprint.js";

export class Trace {
  readonly #lastCalls: string[];
  /** Object -> the call that changed it. */
  readonly #lastChanges = new Map<string, string>();

  constructor(processes: number) {
    this.#lastCalls = new Array<string>(processes).fill("");
  }

  add(process: number, call: string, { looksAt, changes }: Footprint): void {
    const known = [call, String(process), this.#lastCalls[process]!];
    for (const name of [...looksAt, ...changes]) known.push(this.#lastChanges.get(name) ?? "");
    const id = createHash("sha1").update(known.join("\n")).digest("base64url");
    for (const name of changes) this.#lastChanges.set(name, id);
    this.#lastCalls[process] = id;
  }

  /** Of all calls so far. */
  get text(): string {
    return this.#lastCalls.join(" ");
  }
}
