/**
 * What the records of a segment did to each session, in order, without all of the records in memory: of most changes
 * only the number of their record is kept, and the record is read again when its session's turn comes.
 */

import type { Generation } from "../../../contract.js";
import type { CommitStamp } from "../version.js";
import type { CarriedTrash, CommitRecord, JournalRecord, JsonObject } from "./record.js";

/** One change of one session, as it lies in the journal. */
export interface JournaledChange extends CommitStamp {
  readonly type: "put" | "patch" | "remove";
  readonly key: string;
  readonly timeMs: number;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
  readonly purge: boolean;
  readonly entry?: JsonObject;
  readonly set?: JsonObject;
  readonly unset?: readonly string[];
  readonly base?: number;
  readonly generations?: readonly Generation[] | undefined;
  /** put: the state before goes to the trash. */
  readonly trashPrevious?: boolean | undefined;
  /** Carried: all of this session that goes to the trash, if it can be told. */
  readonly trashed?: readonly CarriedTrash[] | undefined;
}

/** The changes of one session in one segment, oldest first; never empty. */
export type KeyHistory = readonly JournaledChange[];

/** Reading a record of many operations once for each of them would take the square of their number. */
const operationsReadAgainMax = 4;

export class KeyHistories {
  /** Of each session: changes, and numbers of records. */
  private readonly changes = new Map<string, (JournaledChange | number)[]>();
  private readonly trashing = new Set<string>();
  private readonly readAgain: ((number: number) => CommitRecord) | undefined;

  /** Without `readAgain` everything is kept in memory. */
  constructor(readAgain?: (number: number) => CommitRecord) {
    this.readAgain = readAgain;
  }

  /** The record of this number, counted from 0; each one after the other. */
  add(record: JournalRecord, number: number): void {
    if (record.type === "seal") return;
    const isReadAgain =
      this.readAgain !== undefined && record.type === "commit" && record.operations.length <= operationsReadAgainMax;
    for (const change of changesIn(record)) {
      if (change.type === "remove" || change.trashPrevious || change.trashed) this.trashing.add(change.key);
      const kept = isReadAgain ? number : change;
      const history = this.changes.get(change.key);
      if (history === undefined) this.changes.set(change.key, [kept]);
      else if (kept !== history.at(-1)) history.push(kept);
    }
  }

  keys(): IterableIterator<string> {
    return this.changes.keys();
  }

  /** The sessions that have a state which goes to the trash. */
  keysWithTrash(): IterableIterator<string> {
    return this.trashing.values();
  }

  historyOf(key: string): KeyHistory {
    return (this.changes.get(key) ?? []).flatMap((change) =>
      typeof change === "number" ? this.changesOfRecord(change, key) : [change],
    );
  }

  private changesOfRecord(number: number, key: string): JournaledChange[] {
    const record = (this.readAgain as (number: number) => CommitRecord)(number);
    return [...changesIn(record)].filter((change) => change.key === key);
  }
}

export function* changesIn(record: JournalRecord): Generator<JournaledChange, void> {
  if (record.type === "commit") {
    const { version, record: stamp, timeMs, actor, reason } = record;
    for (const operation of record.operations) {
      const purge = operation.type === "remove" && operation.purge;
      yield { ...operation, version, record: stamp, timeMs, actor, reason, purge };
    }
  } else if (record.type === "carry") {
    for (const state of record.states) yield { ...state, timeMs: record.timeMs, purge: false };
  }
}

/** With all records in memory. */
export function historiesOf(records: readonly JournalRecord[]): KeyHistories {
  const histories = new KeyHistories();
  for (const [number, record] of records.entries()) histories.add(record, number);
  return histories;
}
