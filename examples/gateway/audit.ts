/**
 * Was anything lost? Each worker counted what was acknowledged to it. Here the stores are opened afresh and every
 * counter must say the same: fewer is a lost update, more is one that was applied twice.
 */

import { openSessionStore } from "sessiondir";
import type { WorkerResult } from "./messages.js";
import type { AgentStore } from "./state-directory.js";

/** Message counters and sessions before the run; a given state directory may have had a run before. */
export type Counters = Map<string, number>;

export interface Audit {
  acknowledged: number;
  lost: number;
  /** What differs, in words. */
  differences: string[];
}

export async function readCounters(stores: readonly AgentStore[]): Promise<Counters> {
  const counters: Counters = new Map();
  for (const { location } of stores) {
    const store = await openSessionStore(location, { readOnly: true });
    for await (const { key, entry } of store.entries()) counters.set(key, Number(entry.demoMessages ?? 0));
    await store.close();
  }
  return counters;
}

export function compareCounters(before: Counters, after: Counters, results: readonly WorkerResult[]): Audit {
  const audit: Audit = { acknowledged: 0, lost: 0, differences: [] };
  const expected = new Map<string, number>();
  for (const { acknowledged } of results) {
    for (const [key, count] of acknowledged) expected.set(key, (expected.get(key) ?? 0) + count);
  }
  for (const [key, count] of expected) {
    const wanted = (before.get(key) ?? 0) + count;
    const found = after.get(key) ?? 0;
    audit.acknowledged += count;
    if (found === wanted) continue;
    audit.lost += Math.max(0, wanted - found);
    audit.differences.push(`${key}: ${wanted} messages were acknowledged, the store has ${found}`);
  }
  const subagents = results.flatMap((result) => result.subagents);
  audit.acknowledged += subagents.length;
  for (const key of [...before.keys(), ...subagents].filter((candidate) => !after.has(candidate))) {
    audit.lost += 1;
    audit.differences.push(`${key}: the session is gone`);
  }
  return audit;
}
