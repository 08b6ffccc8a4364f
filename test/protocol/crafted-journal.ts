/** Journals put together record by record, as no honest run leaves them - or only a crash at one certain moment. */

import {
  type CarriedState,
  type EncodedRecord,
  encodeCarry,
  encodeCommit,
  encodeSeal,
  type RecordOperation,
  type SealReason,
} from "../../src/backends/directory/journal/record.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { filesIn, segmentPath, storePath } from "./simulated-store.js";

export class CraftedJournal {
  readonly incarnation: string;
  private readonly machine: SimulatedMachine;

  constructor(machine: SimulatedMachine) {
    this.machine = machine;
    this.incarnation = JSON.parse(machine.readText(`${storePath}/state.json`)).incarnation;
  }

  /** Makes the journal consist of these segments; a string is put in as it is. */
  write(segments: Record<number, readonly (EncodedRecord | string)[]>): void {
    for (const name of filesIn(this.machine, "journal").keys()) this.machine.unlink(`${storePath}/journal/${name}`);
    for (const [first, records] of Object.entries(segments)) {
      const text = records.map((record) => (typeof record === "string" ? record : record.bytes.toString("utf8")));
      this.machine.writeFile(segmentPath(Number(first)), text.join(""));
    }
  }

  /** A put of `{ value }`; the first record of a segment names the store. */
  put(version: number, key: string, value: unknown, fields: { first?: boolean; durable?: number } = {}): EncodedRecord {
    return this.commit(version, { type: "put", key, entry: { value } }, fields);
  }

  commit(
    version: number,
    operation: RecordOperation,
    fields: { first?: boolean; durable?: number; store?: string } = {},
  ): EncodedRecord {
    return encodeCommit({
      version,
      timeMs: 1_700_000_000_000,
      writer: "crafted",
      durable: fields.durable ?? 0,
      store: fields.store ?? (fields.first ? this.incarnation : undefined),
      operations: [operation],
    });
  }

  seal(reason: SealReason, lastVersion: number): EncodedRecord {
    return encodeSeal({ timeMs: 1_700_000_000_000, writer: "crafted", durable: 0, reason, lastVersion });
  }

  carry(fields: {
    suspectFrom: number;
    lastVersion: number;
    states: readonly CarriedState[];
    durable?: number;
    store?: string;
  }): EncodedRecord {
    return encodeCarry({
      timeMs: 1_700_000_000_000,
      writer: "crafted",
      durable: fields.durable ?? 0,
      store: fields.store ?? this.incarnation,
      suspectFrom: fields.suspectFrom,
      lastVersion: fields.lastVersion,
      lastRecord: "0badcafe",
      states: fields.states,
    });
  }
}

export function carried(version: number, key: string, value: unknown): CarriedState {
  return { type: "put", key, version, record: "0badcafe", entry: { value } };
}
