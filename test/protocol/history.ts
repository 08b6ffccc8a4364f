/**
 * Judges what processes saw and were told (programs.ts) by what the journal says in the end: every acknowledged commit is
 * in it under its version, versions are dense, compare-and-swap held, every read saw one state of the store that was not
 * older than what had been acknowledged when it began, and the sessions now are what the records lead to.
 *
 * Relies on journal/ holding all segments since the store was created, and reads them with a parser of its own.
 */

import assert from "node:assert/strict";
import type { SimulatedMachine } from "../sim/machine.js";
import type { RecordedEvent } from "../sim/scheduler.js";
import type { HistoryEvent, Seen } from "./programs.js";
import { filesIn, readStore, type StoreOptions } from "./simulated-store.js";

interface Session {
  readonly version: number;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** The sessions at each version: index 0 is the empty store. */
type States = readonly ReadonlyMap<string, Session>[];

interface JournalLine {
  readonly version: number;
  readonly commitId?: string;
  readonly operations: readonly Record<string, unknown>[];
}

/** Opens the store on this machine as the next process would, and compares it with the history so far. */
export async function assertHistory(
  machine: SimulatedMachine,
  events: readonly RecordedEvent<HistoryEvent>[],
  after: "kill" | "power loss",
  options?: StoreOptions,
  /** The machine whose journal has every segment, where this one has dropped some. */
  whole: SimulatedMachine = machine,
): Promise<void> {
  const state = await readStore(machine, options);
  const lines = readJournal(whole);
  const states = replay(lines);
  assert.deepEqual(state, entriesOf(states.at(-1)!), "the sessions are not what the journal leads to");
  const versionOf = new Map(lines.map(({ commitId, version }) => [commitId, version]));
  for (const { event } of events) {
    if (event.type === "acknowledged" && (event.durable || after === "kill")) {
      assert.equal(versionOf.get(event.commitId), numberOf(event.version), `lost: ${event.commitId} ${event.version}`);
    }
    if (event.type === "refused") assert.equal(versionOf.get(event.commitId), undefined, `written: ${event.commitId}`);
  }
  // Reads may have seen what a power loss took back (P12).
  if (after === "kill") assertReads(events, states);
}

function readJournal(machine: SimulatedMachine): JournalLine[] {
  const lines: JournalLine[] = [];
  for (const [name, content] of [...filesIn(machine, "journal")].sort()) {
    // Behind the last newline there is nothing, or an unfinished line, which is no record.
    for (const text of content.split("\n").slice(0, -1)) {
      const line = JSON.parse(text) as JournalLine & { seal?: string };
      if (line.seal !== undefined) continue;
      assert.equal(line.version, lines.length + 1, `${name}: version ${line.version} is not the next`);
      lines.push(line);
    }
  }
  return lines;
}

function replay(lines: readonly JournalLine[]): States {
  const states: Map<string, Session>[] = [new Map()];
  for (const { version, operations } of lines) {
    const after = new Map(states.at(-1));
    for (const operation of operations) {
      if (typeof operation.put === "string") {
        after.set(operation.put, { version, entry: operation.entry as Session["entry"] });
      } else if (typeof operation.remove === "string") {
        after.delete(operation.remove);
      } else {
        const key = operation.patch as string;
        const base = after.get(key);
        assert.equal(base?.version, operation.base, `the patch of ${key} at ${version} was made on another version`);
        after.set(key, { version, entry: { ...base?.entry, ...(operation.set as object) } });
      }
    }
    states.push(after);
  }
  return states;
}

/** Every read is one state, at a version not older than what was acknowledged to anybody before it began. */
function assertReads(events: readonly RecordedEvent<HistoryEvent>[], states: States): void {
  let acknowledged = 0;
  const floorOf = new Map<string, number>();
  const lastSeenBy = new Map<number, number>();
  for (const { event, process } of events) {
    if (event.type === "acknowledged") acknowledged = Math.max(acknowledged, numberOf(event.version));
    if (event.type === "reading") floorOf.set(event.id, Math.max(acknowledged, lastSeenBy.get(process) ?? 0));
    if (event.type !== "seen") continue;
    const floor = floorOf.get(event.id) as number;
    if (event.cursor !== undefined) {
      const version = numberOf(event.cursor.slice(1));
      assert.ok(version >= floor, `${event.id}: a scan at ${version}, but ${floor} was acknowledged before it began`);
      assert.deepEqual(
        seenEntries(event.seen),
        entriesOf(states[version]!),
        `${event.id}: the scan is not version ${version}`,
      );
      lastSeenBy.set(process, version);
      continue;
    }
    const fits = states.findIndex(
      (state, version) => version >= floor && matches(state, event.keys as string[], event.seen),
    );
    assert.notEqual(fits, -1, `${event.id}: ${JSON.stringify(event.seen)} is no state since version ${floor}`);
    lastSeenBy.set(process, fits);
  }
}

function matches(state: ReadonlyMap<string, Session>, keys: readonly string[], seen: Seen): boolean {
  return keys.every((key) => {
    const expected = state.get(key);
    const found = seen[key];
    if (expected === undefined || found === undefined) return expected === undefined && found === undefined;
    return numberOf(found.version) === expected.version && isEqual(found.entry, expected.entry);
  });
}

function seenEntries(seen: Seen): Record<string, unknown> {
  return Object.fromEntries(Object.entries(seen).map(([key, { entry }]) => [key, entry]));
}

function entriesOf(state: ReadonlyMap<string, Session>): Record<string, unknown> {
  return Object.fromEntries([...state].map(([key, { entry }]) => [key, entry]));
}

function numberOf(token: string): number {
  return Number.parseInt(token, 10);
}

function isEqual(left: unknown, right: unknown): boolean {
  try {
    assert.deepEqual(left, right);
    return true;
  } catch {
    return false;
  }
}
