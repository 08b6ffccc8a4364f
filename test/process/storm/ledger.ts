/**
 * The supervisor's book: what was begun and what was acknowledged, kept outside of every process that may die. Compared
 * with the store it tells what was lost, what is there in part, and what came back.
 *
 * What was begun and not acknowledged may be there or not. Once it was seen there, it must stay.
 */

import type { SessionStore } from "../../../src/index.js";
import {
  counterKey,
  type Deed,
  type Said,
  sharedKey,
  shortLivedPrefix,
  slotField,
  transactionKeys,
} from "./sessions.js";

export interface StormCounts {
  acknowledgements: number;
  /** Acknowledged, and not there. */
  lost: number;
  /** Transactions of which only a part is there. */
  partlyVisible: number;
  /** Removed sessions that are there again, and numbers that nobody wrote. */
  resurrected: number;
  /** The longest that a writer waited for an acknowledgement. */
  slowestMs: number;
}

interface Range {
  acknowledged: number;
  begun: number;
}

export class Ledger {
  readonly counts: StormCounts = { acknowledgements: 0, lost: 0, partlyVisible: 0, resurrected: 0, slowestMs: 0 };
  /** Sentences; empty when all is well. */
  readonly problems: string[] = [];
  /** What was refused, by code. */
  readonly refusals = new Map<string, number>();
  readonly #slots: number;
  readonly #numbers = new Map<string, Range>();
  readonly #shortLived = new Map<string, "creating" | "present" | "removing">();

  constructor(slots: number) {
    this.#slots = slots;
  }

  hear(slot: number, said: Said): void {
    if (said[0] === "broke") this.problems.push(`writer ${slot} broke: ${said[1]}`);
    if (said[0] === "refused") this.refusals.set(said[2], (this.refusals.get(said[2]) ?? 0) + 1);
    if (said[0] === "began") this.#began(slot, said[1], said[2]);
    if (said[0] !== "acknowledged") return;
    const [, deed, subject, tookMs] = said;
    this.counts.acknowledgements += 1;
    this.counts.slowestMs = Math.max(this.counts.slowestMs, tookMs);
    if (deed === "create") this.#shortLived.set(subject, "present");
    else if (deed === "remove") this.#shortLived.delete(subject);
    else if (deed !== "checkpoint") this.#range(slot, deed).acknowledged = Number(subject);
  }

  /** Refusals with this code are no problem, nor are writers that ended because of one when they opened the store. */
  forgive(code: string): void {
    this.refusals.delete(code);
    const problems = this.problems
      .splice(0)
      .filter((text) => !(/^writer \d+ broke: /.test(text) && text.includes(code)));
    this.problems.push(...problems);
  }

  /** Sessions that a later life of the slot may remove. */
  leftoversOf(name: (key: string) => boolean, countMax: number): string[] {
    const present = [...this.#shortLived].filter(([key, state]) => state === "present" && name(key));
    return present.slice(0, countMax).map(([key]) => key);
  }

  /** Compares the store with the book; nobody may be writing. */
  async check(store: SessionStore<Record<string, unknown>>, when: string): Promise<void> {
    for await (const { severity, code, message } of store.verify()) {
      if (severity === "error") this.problems.push(`${when}: verify found ${code}: ${message}`);
    }
    const found = new Map<string, Readonly<Record<string, unknown>>>();
    for await (const { key, entry } of store.entries()) found.set(key, entry);
    const shared = found.get(sharedKey);
    let total = 0;
    for (let slot = 0; slot < this.#slots; slot += 1) {
      const counter = found.get(counterKey(slot));
      this.#compare(slot, "count", (counter?.n as number | undefined) ?? 0, when);
      const share = (shared?.[slotField(slot)] as number | undefined) ?? 0;
      this.#compare(slot, "share", share, when);
      total += share;
      const parts = transactionKeys(slot).map((key) => (found.get(key)?.n as number | undefined) ?? 0);
      if (new Set(parts).size > 1) {
        this.counts.partlyVisible += 1;
        this.problems.push(`${when}: slot ${slot}: a transaction is there in part: ${parts.join(", ")}`);
      }
      this.#compare(slot, "transact", parts[0]!, when);
    }
    if (((shared?.total as number | undefined) ?? 0) !== total) {
      this.counts.lost += 1;
      this.problems.push(`${when}: an update of ${sharedKey} undid another: ${JSON.stringify(shared)}`);
    }
    this.#compareShortLived(found, when);
  }

  #compareShortLived(found: ReadonlyMap<string, unknown>, when: string): void {
    for (const key of found.keys()) {
      if (!key.startsWith(shortLivedPrefix)) continue;
      if (this.#shortLived.has(key)) {
        this.#shortLived.set(key, "present");
      } else {
        this.counts.resurrected += 1;
        this.problems.push(`${when}: ${key} was removed and is there`);
      }
    }
    for (const [key, state] of this.#shortLived) {
      if (found.has(key)) continue;
      this.#shortLived.delete(key);
      if (state !== "present") continue;
      this.counts.lost += 1;
      this.problems.push(`${when}: ${key} was created and is not there`);
    }
  }

  #compare(slot: number, deed: Deed, value: number, when: string): void {
    const range = this.#range(slot, deed);
    const text = `${when}: slot ${slot}, ${deed}: ${range.acknowledged} <= ${value} <= ${range.begun}`;
    if (value < range.acknowledged) {
      this.counts.lost += range.acknowledged - value;
      this.problems.push(`lost ${text}`);
    }
    if (value > range.begun) {
      this.counts.resurrected += 1;
      this.problems.push(`nobody wrote ${text}`);
    }
    range.acknowledged = value;
    range.begun = value;
  }

  #began(slot: number, deed: Deed, subject: string): void {
    if (deed === "create") this.#shortLived.set(subject, "creating");
    else if (deed === "remove") this.#shortLived.set(subject, "removing");
    else if (deed !== "checkpoint") this.#range(slot, deed).begun = Number(subject);
  }

  #range(slot: number, deed: Deed): Range {
    const name = `${deed} ${slot}`;
    const range = this.#numbers.get(name) ?? { acknowledged: 0, begun: 0 };
    this.#numbers.set(name, range);
    return range;
  }
}
