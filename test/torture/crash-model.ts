/**
 * What a store may hold after a crash: the state after each commit that was begun, and how many of them were
 * acknowledged. Commits are numbered densely, so a recovered store names its prefix itself, and has to be exactly that
 * prefix: one number, one state, each session under the version of the commit that changed it last.
 *
 * Relies on commits being begun in the order in which they are made, and on refusals being foreseen: `begin` is called
 * only for commits that will be accepted if they are made at all.
 */

import type { Operation, Versioned } from "../../src/contract.js";
import { Harmed } from "./figures.js";

interface Held {
  readonly version: number;
  readonly text: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

type State = ReadonlyMap<string, Held>;

/** How far the commits must have survived, at one moment. */
export interface Floors {
  /** Of the commits begun: those that the death of the process may not cost. */
  readonly kill: number;
  readonly powerLoss: number;
  readonly begun: number;
}

export class CrashModel {
  /** At index n: after n commits. */
  readonly states: State[] = [new Map()];
  acknowledged = 0;
  durable = 0;

  /** Sessions of a legacy file are taken over as commit 1; the file stays until they are durable. */
  constructor(legacy: Readonly<Record<string, Record<string, unknown>>> = {}) {
    const sessions = Object.entries(legacy);
    if (sessions.length === 0) return;
    this.states.push(new Map(sessions.map(([key, entry]) => [key, held(1, entry)])));
    this.acknowledged = 1;
    this.durable = 1;
  }

  get newest(): State {
    return this.states.at(-1) as State;
  }

  get begun(): number {
    return this.states.length - 1;
  }

  floors(): Floors {
    return { kill: this.acknowledged, powerLoss: this.durable, begun: this.begun };
  }

  /** Returns the version that the commit will have. */
  begin(operations: readonly Operation[]): number {
    const version = this.states.length;
    const after = new Map(this.newest);
    for (const operation of operations) {
      if (operation.type === "remove") after.delete(operation.key);
      else after.set(operation.key, held(version, operation.entry));
    }
    this.states.push(after);
    return version;
  }

  /** Throws `Harmed` unless the store is one of the prefixes that it may be. */
  compare(found: ReadonlyMap<string, Versioned>, version: number, floor: number, begun: number): void {
    if (version < floor) throw new Harmed("lost", `the store is at ${version}, but ${floor} was acknowledged`);
    if (version > begun) throw new Harmed("disagreements", `the store is at ${version}, but only ${begun} were begun`);
    const expected = this.states[version] as State;
    for (const [key, { version: at, text }] of expected) {
      const there = found.get(key);
      const label = `at version ${version} (floor ${floor}): session ${show(key)} of version ${at}`;
      if (there === undefined) throw new Harmed(at <= floor ? "lost" : "partlyVisible", `${label} is missing`);
      const foundAt = numberOf(there.version);
      if (foundAt < at) {
        throw new Harmed(at <= floor ? "lost" : "partlyVisible", `${label} is still the one of ${foundAt}`);
      }
      if (foundAt > at) throw new Harmed("partlyVisible", `${label} is already the one of ${foundAt}`);
      if (canonical(there.entry) !== text) {
        throw new Harmed("disagreements", `${label} is ${canonical(there.entry)}, expected ${text}`);
      }
    }
    for (const key of found.keys()) {
      if (expected.has(key)) continue;
      const existed = this.states.slice(0, version).some((state) => state.has(key));
      throw new Harmed(existed ? "resurrected" : "partlyVisible", `at version ${version}: there is no ${show(key)}`);
    }
  }
}

function held(version: number, entry: Readonly<Record<string, unknown>>): Held {
  return { version, text: canonical(entry), entry };
}

/** The same for entries whose fields were set in another order. */
export function canonical(entry: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.entries(entry).sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** The number in a version token or a cursor. */
export function numberOf(token: string): number {
  return Number.parseInt(token.replace(/^c/, ""), 10);
}

function show(key: string): string {
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}...` : key);
}
