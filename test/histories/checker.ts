/**
 * Judges a history. Each session alone must be linearizable; a short history must be so as a whole, which is what finds
 * a torn transaction or an inconsistent snapshot; a version names one state of one session, for good; and where versions
 * are dense (dense.ts) their order must be the order of everything.
 */

import { type DenseEvidence, findDenseViolations } from "./dense.js";
import { linearize, type Step, type Verdict } from "./linearize.js";
import { absent, applyToSession, isOpenEnded, keysOf, type Operation, type State, writerOf } from "./operations.js";

export interface History extends DenseEvidence {
  /** All the sessions that may be touched. At the beginning there are none. */
  readonly keys: readonly string[];
  readonly operations: readonly Operation[];
  readonly denseVersions: boolean;
}

export interface Judgement {
  /** Sentences; empty when all is well. */
  readonly violations: string[];
  /** Searches that were given up: not a violation, and no proof either. */
  readonly undecided: string[];
  /** Steps that were tried. */
  readonly attempts: number;
  readonly wholeStoreChecked: boolean;
}

/** Up to so many operations the whole store is checked as one object. */
export const wholeStoreOperationsMax = 200;

export function judgeHistory(history: History, attemptsMax = 2_000_000): Judgement {
  const violations = findTokenViolations(history.operations);
  const undecided: string[] = [];
  let attempts = 0;
  const note = (what: string, steps: readonly Operation[], verdict: Verdict) => {
    attempts += verdict.attempts;
    if (verdict.verdict === "linearizable") return;
    const blocked = verdict.blocked.map((index) => JSON.stringify(steps[index])).join("\n    ");
    const after = verdict.longestOrder.slice(-6).map((index) => JSON.stringify(steps[index]));
    const text = `${what} is ${verdict.verdict}; after\n    ${after.join("\n    ")}\n  none of these can follow:\n    ${blocked}`;
    (verdict.verdict === "undecided" ? undecided : violations).push(text);
  };
  for (const key of history.keys) {
    const steps = history.operations.filter((operation) => matters(operation, key, history.keys));
    note(`session ${key}`, steps, checkSession(steps, key, attemptsMax));
  }
  const everything = history.operations.filter(({ outcome }) => outcome?.status !== "failed");
  const wholeStoreChecked = history.keys.length > 1 && everything.length <= wholeStoreOperationsMax;
  if (wholeStoreChecked) note("the store", everything, checkWholeStore(everything, history.keys, attemptsMax));
  if (history.denseVersions) violations.push(...findDenseViolations(history.operations, history, history.keys));
  return { violations, undecided, attempts, wholeStoreChecked };
}

/** One session as a register. The operations must all touch it. */
export function checkSession(operations: readonly Operation[], key: string, attemptsMax?: number): Verdict {
  const steps = operations.map(
    (operation): Step<State> => ({
      ...timesOf(operation),
      apply: (state) => applyToSession(operation, key, state),
    }),
  );
  return linearize(steps, absent, (state) => state, attemptsMax);
}

/** All sessions as one object: a transaction and a snapshot are one step. */
export function checkWholeStore(
  operations: readonly Operation[],
  keys: readonly string[],
  attemptsMax?: number,
): Verdict {
  const places = new Map(keys.map((key, index) => [key, index]));
  const steps = operations.map((operation): Step<readonly State[]> => {
    const touched = keysOf(operation.action, keys);
    return {
      ...timesOf(operation),
      apply: (states) => {
        const next = [...states];
        for (const key of touched) {
          const place = places.get(key)!;
          const state = applyToSession(operation, key, states[place]!);
          if (state === undefined) return undefined;
          next[place] = state;
        }
        return next;
      },
    };
  });
  const initial: readonly State[] = keys.map(() => absent);
  return linearize(steps, initial, (states) => states.join("\n"), attemptsMax);
}

function timesOf(operation: Operation): { call: number; return: number } {
  return {
    call: operation.callMicroseconds,
    return: isOpenEnded(operation) ? Number.POSITIVE_INFINITY : operation.returnMicroseconds!,
  };
}

function matters(operation: Operation, key: string, keys: readonly string[]): boolean {
  if (operation.outcome?.status === "failed") return false;
  if (!keysOf(operation.action, keys).includes(key)) return false;
  // What nobody saw and what changes nothing proves nothing.
  return !(isOpenEnded(operation) && (operation.action.type === "read" || operation.action.type === "scan"));
}

/** A version is the name of one state of one session, and no state has two. */
function findTokenViolations(operations: readonly Operation[]): string[] {
  const violations: string[] = [];
  const tokens = new Map<string, string>();
  const writers = new Map<string, string>();
  const note = (writer: string, version: string, operation: Operation) => {
    for (const [map, from, to] of [
      [tokens, writer, version],
      [writers, version, writer],
    ] as const) {
      const known = map.get(from);
      if (known !== undefined && known !== to) {
        violations.push(`${from} goes with ${known} and with ${to}: ${JSON.stringify(operation)}`);
      }
      map.set(from, to);
    }
  };
  for (const operation of operations) {
    const { outcome, id } = operation;
    if (outcome?.status !== "done") continue;
    if (outcome.version !== undefined) note(id, outcome.version, operation);
    for (const [key, version] of Object.entries(outcome.sawVersions ?? {})) {
      const writer = writerOf(outcome.saw?.[key] ?? absent);
      if (writer !== null) note(writer, version, operation);
    }
  }
  return violations;
}
