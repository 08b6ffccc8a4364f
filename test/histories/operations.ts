/**
 * What a history is made of, and what each action means: the reference semantics of a session as a register.
 *
 * Every write carries an identity of its own, and what it makes of a session follows from the state before it and from
 * that identity alone. So a state names the write that made it, the effect of a write whose process was killed is known
 * as well, and "the version I read" can be written down as the identity that was read with it.
 */

/** A session's entry in a history: who wrote last, how many updates, and who wrote each field last. */
export interface HistoryEntry {
  id: string;
  updates?: number;
  a?: string;
  b?: string;
  c?: string;
}

export type Field = "a" | "b" | "c";

/** A session as one string; "" when there is none. */
export type State = string;

export const absent: State = "";

export type Action =
  | { readonly type: "read"; readonly key: string }
  /** A whole entry, whatever there was. */
  | { readonly type: "put"; readonly key: string }
  /** Reads and writes: one more update, the field `a`. */
  | { readonly type: "update"; readonly key: string }
  /** An update on the condition that the session is still the one that was read; null: that there is none. */
  | { readonly type: "swap"; readonly key: string; readonly expected: string | null }
  | { readonly type: "patch"; readonly key: string; readonly field: Field; readonly createIfMissing: boolean }
  | { readonly type: "remove"; readonly key: string; readonly expected?: string }
  /** All of these at once. "look" only reads. */
  | { readonly type: "transaction"; readonly steps: readonly TransactionStep[] }
  /** Every session of the history, as one snapshot shows them. */
  | { readonly type: "scan" };

export interface TransactionStep {
  readonly key: string;
  readonly does: "look" | "put" | "update" | "remove";
}

/** What a client was told. Nothing at all when its process was killed. */
export type Outcome =
  | {
      readonly status: "done";
      /** The sessions that it saw: before its own write, except for a patch, which tells what it made. */
      readonly saw?: Readonly<Record<string, State>>;
      /** For "remove": whether there was something to remove. */
      readonly existed?: boolean;
      /** The versions of what it saw, where the client asked for them. */
      readonly sawVersions?: Readonly<Record<string, string>>;
      /** The version of its commit, when it made one. */
      readonly version?: string;
    }
  /** Refused because of the session's state: a "swap" or "remove" met another version, a "patch" no session. */
  | { readonly status: "refused" }
  /** Failed in a way that changes nothing. */
  | { readonly status: "failed"; readonly code: string }
  /** `outcome_unknown`. */
  | { readonly status: "unknown"; readonly version?: string };

export interface Operation {
  readonly id: string;
  /** Who did it: one thing after the other. */
  readonly client: string;
  readonly action: Action;
  /** Microseconds of the monotonic clock that all processes of a machine share. */
  readonly callMicroseconds: number;
  readonly returnMicroseconds?: number;
  /** Absent when nobody knows: the process was killed. */
  readonly outcome?: Outcome;
}

/** Whether the operation may have happened at any time after its call, or never. */
export function isOpenEnded({ outcome }: Operation): boolean {
  return outcome === undefined || outcome.status === "unknown";
}

/** The sessions that an action touches, out of all the sessions of the history. */
export function keysOf(action: Action, allKeys: readonly string[]): readonly string[] {
  if (action.type === "scan") return allKeys;
  return action.type === "transaction" ? action.steps.map(({ key }) => key) : [action.key];
}

export function toState(entry: unknown): State {
  if (entry === undefined) return absent;
  const { id, updates, a, b, c, ...more } = entry as HistoryEntry & Record<string, unknown>;
  return JSON.stringify([id, updates ?? null, a ?? null, b ?? null, c ?? null, ...Object.entries(more)]);
}

/** The identity of the write that made the state; null for no session. */
export function writerOf(state: State): string | null {
  return state === absent ? null : (JSON.parse(state) as [string])[0];
}

// --- what the writes make: used by the clients to write, and by the model to check -----------------------------------

export function putEntry(id: string): HistoryEntry {
  return { id, updates: 0, a: id, b: id, c: id };
}

export function updatedEntry(current: HistoryEntry | undefined, id: string): HistoryEntry {
  return current === undefined
    ? { id, updates: 1, a: id }
    : { ...current, id, updates: (current.updates ?? 0) + 1, a: id };
}

export function patchFields(field: Field, id: string): Partial<HistoryEntry> {
  return { id, [field]: id };
}

/** The state that an action makes of one session, or `undefined` when what its client was told cannot be true here. */
export function applyToSession(operation: Operation, key: string, state: State): State | undefined {
  const { action, outcome, id } = operation;
  if (outcome?.status === "refused") return isRefused(action, state) ? state : undefined;
  const done = outcome?.status === "done" ? outcome : undefined;
  const seen = done?.saw?.[key];
  if (action.type !== "patch" && seen !== undefined && seen !== state) return undefined;
  switch (action.type) {
    case "read":
    case "scan":
      return state;
    case "put":
      return toState(putEntry(id));
    case "update":
      return updated(state, id);
    case "swap":
      return isRefused(action, state) ? undefined : updated(state, id);
    case "patch": {
      if (isRefused(action, state)) return undefined;
      const next = toState({ ...toEntry(state), ...patchFields(action.field, id) });
      return seen !== undefined && seen !== next ? undefined : next;
    }
    case "remove":
      if (isRefused(action, state)) return undefined;
      return done?.existed !== undefined && done.existed !== (state !== absent) ? undefined : absent;
    case "transaction": {
      const { does } = action.steps.find((step) => step.key === key)!;
      if (does === "look") return state;
      if (does === "remove") return absent;
      return does === "put" ? toState(putEntry(id)) : updated(state, id);
    }
  }
}

function isRefused(action: Action, state: State): boolean {
  if (action.type === "swap") return writerOf(state) !== action.expected;
  if (action.type === "remove") return action.expected !== undefined && writerOf(state) !== action.expected;
  return action.type === "patch" && !action.createIfMissing && state === absent;
}

function updated(state: State, id: string): State {
  return toState(updatedEntry(toEntry(state), id));
}

function toEntry(state: State): HistoryEntry | undefined {
  if (state === absent) return undefined;
  const [id, updates, a, b, c] = JSON.parse(state) as [string, number, ...(string | null)[]];
  return {
    id,
    ...(updates === null ? {} : { updates }),
    ...(a ? { a } : {}),
    ...(b ? { b } : {}),
    ...(c ? { c } : {}),
  } as HistoryEntry;
}
