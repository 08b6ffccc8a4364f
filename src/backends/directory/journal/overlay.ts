/**
 * The overlay: what is journaled but not yet in entry files, one map per live segment. A change of a session is an
 * immutable node; a patch points to the change before it, so that a state at any version of the overlay can be put
 * together without keeping a copy of the entry for each patch.
 */

import type { FrozenEntry, Generation } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import { limitCaps } from "../../../limits.js";
import { freezeParsedJson } from "../../../sessions/entry-value.js";
import { applyPatch } from "../../../sessions/patch.js";
import type { CommitStamp } from "../version.js";
import type { CarryRecord, CommitRecord, JsonObject, RecordOperation } from "./record.js";

export interface KeyChange extends CommitStamp {
  readonly type: "put" | "patch" | "remove";
  /** put: the whole entry, frozen when it is first read. */
  entry: JsonObject | undefined;
  frozen: boolean;
  /** patch: the fields, and the version of the entry they were set on. */
  readonly set: JsonObject | undefined;
  readonly unset: readonly string[] | undefined;
  readonly base: number;
  /** put: all there are. patch: the list from then on; undefined: as in the base. */
  readonly generations: readonly Generation[] | undefined;
  /** patch: the change before this one, unless that is already in the entry file. Cut when it has come there (P4). */
  previous: KeyChange | undefined;
  /** Bytes of the record, shared out: what this change may cost in memory. */
  readonly bytes: number;
}

/** What a patch chain is put together on. `entry` undefined means absent. */
export interface BaseState extends CommitStamp {
  readonly entry: FrozenEntry | undefined;
  readonly generations?: readonly Generation[] | undefined;
}

/** A patch whose base is not what it was made on: damage of this one session (P14). */
export class BaseMismatchError extends Error {
  constructor(expected: number, found: number) {
    super(`a patch was made on version ${expected}, but the entry before it has version ${found}`);
  }
}

export class SegmentOverlay {
  readonly changes = new Map<string, KeyChange>();
  /** Whether something in this segment goes to the trash. */
  hasRemovals = false;

  /** Adds a commit. `latest` finds the newest change of a key in this or older segments. */
  addCommit(record: CommitRecord, recordBytes: number, latest: (key: string) => KeyChange | undefined): void {
    const bytes = recordBytes / record.operations.length;
    for (const operation of record.operations) {
      if (operation.type === "remove" || (operation.type === "put" && operation.trashPrevious)) this.hasRemovals = true;
      this.changes.set(operation.key, toChange(operation, record, bytes, latest(operation.key)));
    }
  }

  /** States that were carried over from a suspect segment keep their versions; known ones are not applied twice. */
  addCarry(record: CarryRecord, recordBytes: number, latest: (key: string) => KeyChange | undefined): void {
    const bytes = recordBytes / Math.max(1, record.states.length);
    for (const state of record.states) {
      if (state.type === "remove" || state.trashed?.length) this.hasRemovals = true;
      const known = latest(state.key);
      if (known && known.version > state.version) continue;
      this.changes.set(state.key, {
        type: state.type,
        version: state.version,
        record: state.record,
        entry: state.type === "put" ? state.entry : undefined,
        frozen: false,
        set: undefined,
        unset: undefined,
        base: 0,
        generations: state.type === "put" ? state.generations : undefined,
        previous: undefined,
        bytes,
      });
    }
  }
}

/** Every version up to `version` is in the entry files now: the chain ends there. */
export function cutChain(change: KeyChange, version: number): void {
  for (let at: KeyChange | undefined = change; at; at = at.previous) {
    if (at.previous && at.previous.version <= version) at.previous = undefined;
  }
}

function toChange(
  operation: RecordOperation,
  stamp: CommitStamp,
  bytes: number,
  previous: KeyChange | undefined,
): KeyChange {
  const isPatch = operation.type === "patch";
  return {
    type: operation.type,
    version: stamp.version,
    record: stamp.record,
    entry: operation.type === "put" ? operation.entry : undefined,
    frozen: false,
    set: isPatch ? operation.set : undefined,
    unset: isPatch ? operation.unset : undefined,
    base: isPatch ? operation.base : 0,
    generations: operation.type === "remove" ? undefined : operation.generations,
    previous: isPatch ? previous : undefined,
    bytes,
  };
}

/** An intact record may hold what no entry may: too deep, or a number out of range. That costs its own session only. */
function freezeJournaled(value: JsonObject): JsonObject {
  try {
    return freezeParsedJson(value, limitCaps.nestingLevels);
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    throw new SessionStoreError("entry_damaged", `a journaled change cannot be used: ${error.problem}`, {
      operation: "read the journal",
      onDisk: "The journal was left as it is; all other sessions are served.",
      nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
      cause: error,
    });
  }
}

export function frozenEntryOf(change: KeyChange): FrozenEntry {
  if (!change.frozen) {
    change.entry = freezeJournaled(change.entry as JsonObject);
    change.frozen = true;
  }
  return change.entry as FrozenEntry;
}

/**
 * The state that `change` leads to. `cached` is a known older state of the session, if there is one; `readBase` reads
 * the entry file and is called only when the chain needs it. A change applies to an entry only if its version is
 * higher, and a patch only on the version it was made on (P14).
 */
export function materialise(change: KeyChange, cached: BaseState | undefined, readBase: () => BaseState): BaseState {
  const { version, record } = change;
  if (change.type === "remove") return { version, record, entry: undefined };
  if (change.type === "put") return putState(change);

  const steps: KeyChange[] = [];
  let base: BaseState | undefined;
  for (let at: KeyChange = change; ; ) {
    if (cached && at.version === cached.version) {
      base = cached;
      break;
    }
    if (at.type !== "patch") {
      base = at.type === "put" ? putState(at) : { version: at.version, record: at.record, entry: undefined };
      break;
    }
    steps.push(at);
    if (cached && at.base === cached.version && (at.previous === undefined || at.previous.version === cached.version)) {
      base = cached;
      break;
    }
    if (at.previous === undefined) break;
    at = at.previous;
  }
  base ??= readBase();
  // Another process may have written the entry file since: then it is as new as this view, or newer.
  const baseVersion = base.version;
  if (baseVersion >= version) return base;
  const told = steps.find((step) => step.version > baseVersion && step.generations !== undefined);
  const generations = told === undefined ? base.generations : told.generations;
  return { version, record, entry: foldPatches(base, steps), generations };
}

function putState(change: KeyChange): BaseState {
  const { version, record, generations } = change;
  return { version, record, entry: frozenEntryOf(change), generations };
}

/** `steps` newest first. */
function foldPatches(base: BaseState, steps: KeyChange[]): FrozenEntry {
  const set = Object.create(null) as JsonObject;
  const unset = new Set<string>();
  let { version } = base;
  for (const step of steps.reverse()) {
    if (step.version <= base.version) continue;
    if (step.base !== version) throw new BaseMismatchError(step.base, version);
    version = step.version;
    const fields = step.set as JsonObject;
    for (const name of Object.keys(fields)) {
      set[name] = fields[name];
      unset.delete(name);
    }
    for (const name of step.unset as readonly string[]) {
      delete set[name];
      unset.add(name);
    }
  }
  if (base.entry === undefined) throw new BaseMismatchError(steps[0]?.base ?? 0, base.version);
  return applyPatch(base.entry, freezeJournaled(set), [...unset]);
}
