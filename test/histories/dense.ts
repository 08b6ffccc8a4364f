/**
 * The dense check, for backends whose versions begin with the number of the commit in the whole store. It needs no
 * search, so it works at any length: no number is missing and none is used twice; whoever returned before another began
 * has the smaller number; nobody sees a session go back; a snapshot or a transaction shows one point of the order.
 */

import { absent, isOpenEnded, keysOf, type Operation, type State, toState, writerOf } from "./operations.js";

export interface FeedChange {
  readonly key: string;
  readonly version: string;
  /** Absent when the session was removed. */
  readonly entry?: unknown;
}

export interface DenseEvidence {
  /** What a watcher was told from the beginning to the end; `undefined` when its history had gone in between. */
  readonly feed?: readonly FeedChange[] | undefined;
}

/** One session's commit number and state, as somebody reported it. */
interface Written {
  readonly version: number;
  /** `undefined`: known to exist then, but nobody told as what. */
  readonly state: State | undefined;
}

export function findDenseViolations(
  operations: readonly Operation[],
  evidence: DenseEvidence,
  keys: readonly string[],
): string[] {
  return [
    ...findHoles(operations, evidence),
    ...findDisorder(operations, keys),
    ...findGoingBack(operations),
    ...findTornViews(operations, evidence, keys),
    ...findFeedDisorder(evidence),
  ];
}

export function numberOf(version: string): number {
  return Number.parseInt(version, 10);
}

/** Every number from 1 on belongs to one commit: an acknowledged one, or one whose process was killed. */
function findHoles(operations: readonly Operation[], { feed }: DenseEvidence): string[] {
  const violations: string[] = [];
  const owners = new Map<number, string>();
  for (const { id, outcome } of operations) {
    const version = outcome?.status === "done" || outcome?.status === "unknown" ? outcome.version : undefined;
    if (version === undefined) continue;
    const number = numberOf(version);
    if (owners.has(number)) violations.push(`commit ${number} belongs to ${owners.get(number)} and to ${id}`);
    owners.set(number, id);
  }
  const openEnds = operations.filter(isOpenEnded);
  const told = new Set<number>(owners.keys());
  for (const { version } of feed ?? []) told.add(numberOf(version));
  for (const { outcome } of operations) {
    for (const version of Object.values((outcome?.status === "done" && outcome.sawVersions) || {})) {
      told.add(numberOf(version));
    }
  }
  const highest = Math.max(0, ...told);
  const unowned: number[] = [];
  for (let number = 1; number <= highest; number += 1) if (!owners.has(number)) unowned.push(number);
  if (unowned.length > openEnds.length) {
    violations.push(`nobody made the commits ${unowned.join(", ")}; ${openEnds.length} operations have an open end`);
  }
  return violations;
}

/** Real time: an operation that was called after another returned has, or sees, no older commit. */
function findDisorder(operations: readonly Operation[], keys: readonly string[]): string[] {
  const violations: string[] = [];
  const ended: { at: number; number: number; id: string }[] = [];
  const endedOn = new Map<string, { at: number; number: number; id: string }[]>(keys.map((key) => [key, []]));
  const done = operations.filter(({ outcome }) => outcome?.status === "done");
  for (const { id, action, outcome, returnMicroseconds } of done) {
    if (outcome?.status !== "done") continue;
    if (outcome.version !== undefined) {
      ended.push({ at: returnMicroseconds!, number: numberOf(outcome.version), id });
      for (const key of keysOf(action, [])) {
        const looksOnly = action.type === "transaction" && action.steps.some((s) => s.key === key && s.does === "look");
        if (!looksOnly) endedOn.get(key)?.push({ at: returnMicroseconds!, number: numberOf(outcome.version), id });
      }
    }
    for (const [key, version] of Object.entries(outcome.sawVersions ?? {})) {
      endedOn.get(key)?.push({ at: returnMicroseconds!, number: numberOf(version), id });
    }
  }
  const newestBefore = makeNewestBefore(ended);
  const newestOn = new Map([...endedOn].map(([key, list]) => [key, makeNewestBefore(list)]));
  for (const { id, outcome, callMicroseconds } of done) {
    if (outcome?.status !== "done") continue;
    if (outcome.version !== undefined) {
      const before = newestBefore(callMicroseconds);
      if (before && before.number > numberOf(outcome.version)) {
        violations.push(`${id} is commit ${outcome.version}, although ${before.id} (${before.number}) had returned`);
      }
    }
    for (const [key, version] of Object.entries(outcome.sawVersions ?? {})) {
      const before = newestOn.get(key)?.(callMicroseconds);
      if (before && before.number > numberOf(version)) {
        violations.push(`${id} saw ${key} at ${version}, although ${before.id} (${before.number}) had returned`);
      }
    }
  }
  return violations;
}

/** The highest number that had returned before a time. */
function makeNewestBefore(ended: { at: number; number: number; id: string }[]) {
  const sorted = [...ended].sort((x, y) => x.at - y.at);
  const best: typeof sorted = [];
  for (const end of sorted) best.push(best.length > 0 && best.at(-1)!.number > end.number ? best.at(-1)! : end);
  return (time: number) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.at < time) low = middle + 1;
      else high = middle;
    }
    return best[low - 1];
  };
}

/** Monotonic readers: what a client saw of a session, it never sees older. */
function findGoingBack(operations: readonly Operation[]): string[] {
  const violations: string[] = [];
  const seen = new Map<string, number>();
  for (const { client, id, outcome } of operations) {
    if (outcome?.status !== "done") continue;
    for (const [key, version] of Object.entries(outcome.sawVersions ?? {})) {
      const reader = `${client} ${key}`;
      if ((seen.get(reader) ?? 0) > numberOf(version)) {
        violations.push(`${id}: ${client} saw ${key} at ${version} after ${seen.get(reader)}`);
      }
      seen.set(reader, numberOf(version));
    }
  }
  return violations;
}

/** What an operation saw of several sessions must have been so at one point of the order. */
function findTornViews(operations: readonly Operation[], { feed }: DenseEvidence, keys: readonly string[]): string[] {
  const violations: string[] = [];
  const written = collectWrites(operations, feed);
  // A killed process may have removed them, and nobody but the feed would tell.
  const perhapsRemoved = new Set<string>();
  for (const operation of operations) {
    if (feed === undefined && isOpenEnded(operation)) {
      for (const key of keysOf(operation.action, [])) perhapsRemoved.add(key);
    }
  }
  const numbers = new Map<string, number>();
  for (const { id, outcome } of operations) {
    if (outcome?.status === "done" && outcome.version !== undefined) numbers.set(id, numberOf(outcome.version));
  }
  for (const writes of written.values()) {
    for (const { state, version } of writes) {
      const writer = state === undefined ? null : writerOf(state);
      if (writer !== null) numbers.set(writer, version);
    }
  }
  for (const { id, action, outcome } of operations) {
    if (outcome?.status !== "done" || outcome.saw === undefined) continue;
    if (action.type !== "scan" && action.type !== "transaction") continue;
    // Between the newest commit that was seen and the first one that was missed.
    const commit = action.type === "transaction" && outcome.version ? numberOf(outcome.version) - 1 : undefined;
    let from = commit ?? 0;
    let upTo = commit ?? Number.POSITIVE_INFINITY;
    for (const key of keysOf(action, keys)) {
      const state = outcome.saw[key];
      if (state === undefined || state === absent) continue;
      const number = numbers.get(writerOf(state)!);
      if (number === undefined) continue;
      from = Math.max(from, number);
      const missed = written.get(key)?.find(({ version }) => version > number);
      if (missed !== undefined) upTo = Math.min(upTo, missed.version - 1);
    }
    const gone = keysOf(action, keys).filter((key) => outcome.saw![key] === absent && !perhapsRemoved.has(key));
    from = firstPointWithout(gone, from, written);
    if (from > upTo) {
      violations.push(
        `${id} saw the commits up to ${from}, but not commit ${upTo + 1}: ${JSON.stringify(outcome.saw)}`,
      );
    }
  }
  return violations;
}

/** The first point from which on none of these sessions exists; Infinity when there is none. */
function firstPointWithout(gone: readonly string[], from: number, written: ReadonlyMap<string, Written[]>): number {
  let point = from;
  for (let moved = true; moved && point !== Number.POSITIVE_INFINITY; ) {
    moved = false;
    for (const key of gone) {
      const writes = written.get(key) ?? [];
      const last = writes.findLast(({ version }) => version <= point);
      if (last === undefined || last.state === absent) continue;
      point =
        writes.find(({ version, state }) => version > point && state === absent)?.version ?? Number.POSITIVE_INFINITY;
      moved = true;
    }
  }
  return point;
}

/** All that is known about who wrote what at which commit, for each session, in order. */
function collectWrites(operations: readonly Operation[], feed: DenseEvidence["feed"]): Map<string, Written[]> {
  const known = new Map<string, Map<number, State | undefined>>();
  const note = (key: string, version: string, state: State | undefined) => {
    const writes = known.get(key) ?? new Map<number, State | undefined>();
    known.set(key, writes);
    const number = numberOf(version);
    if (state !== undefined || !writes.has(number)) writes.set(number, state);
  };
  for (const { action, outcome } of operations) {
    if (outcome?.status !== "done") continue;
    for (const [key, version] of Object.entries(outcome.sawVersions ?? {})) note(key, version, outcome.saw?.[key]);
    if (outcome.version === undefined) continue;
    if (action.type === "transaction") {
      for (const { key, does } of action.steps) {
        // Removing what is not there changes nothing.
        if (does === "look" || (does === "remove" && outcome.saw?.[key] === absent)) continue;
        note(key, outcome.version, does === "remove" ? absent : undefined);
      }
    } else if (action.type !== "scan") {
      note(action.key, outcome.version, action.type === "remove" ? absent : undefined);
    }
  }
  for (const { key, version, entry } of feed ?? []) note(key, version, toState(entry));
  return new Map(
    [...known].map(([key, writes]) => [
      key,
      [...writes].map(([version, state]) => ({ version, state })).sort((x, y) => x.version - y.version),
    ]),
  );
}

/** A watcher is told of each session's changes in order, each once. */
function findFeedDisorder({ feed }: DenseEvidence): string[] {
  const violations: string[] = [];
  const last = new Map<string, number>();
  for (const { key, version } of feed ?? []) {
    const number = numberOf(version);
    if (number <= (last.get(key) ?? 0)) violations.push(`the watcher got ${key} at ${version} after ${last.get(key)}`);
    last.set(key, number);
  }
  return violations;
}
