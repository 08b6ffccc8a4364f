/**
 * What one segment does to the entry file of one session: a pure function of the file and the session's changes. Run
 * twice, or again after a crash in the middle, it comes to the same result (P7, P14).
 */

import type { FrozenEntry, Generation } from "../../../contract.js";
import { fromSystemError, SessionStoreError } from "../../../errors.js";
import { UntrustedFileError } from "../../../fs/checked-file.js";
import { isRefusalOfTheSystem, readPatiently } from "../../../fs/refusal.js";
import { freezeParsedJson } from "../../../sessions/entry-value.js";
import { applyPatch } from "../../../sessions/patch.js";
import type { JournaledChange, KeyHistory } from "../journal/key-histories.js";
import type { CommitStamp } from "../version.js";
import type { EntryDirectory } from "./entry-directory.js";

export interface FoldedState extends CommitStamp {
  readonly entry: FrozenEntry;
  readonly generations?: readonly Generation[] | undefined;
}

/** A state that a removal - or a put that says so - ended, to be kept in the trash. */
export interface TrashedState {
  readonly state: FoldedState;
  readonly removal: JournaledChange;
}

export type FoldedAction =
  | { readonly action: "none" }
  /** `removesDamaged`, `replacesDamaged`: an unreadable file lies there, which must be kept. */
  | { readonly action: "unlink"; readonly removesDamaged: boolean }
  | { readonly action: "write"; readonly state: FoldedState; readonly replacesDamaged: boolean }
  /** The changes were made on something that is not there. The file, if there is one, stays as it is (P16). */
  | { readonly action: "quarantine"; readonly problem: string };

export interface FoldedKey {
  readonly key: string;
  readonly trashed: readonly TrashedState[];
  readonly result: FoldedAction;
}

export function foldKey(entries: EntryDirectory, history: KeyHistory): FoldedKey {
  const { key } = history[0] as JournaledChange;
  const base = readBase(entries, key);
  let baseVersion = -1;
  // "broken": what the next patch was made on is not there; a put or a removal makes the session whole again.
  let state: FoldedState | "absent" | { readonly broken: string };
  if ("damage" in base) {
    state = { broken: base.damage };
  } else if (base.stored) {
    state = base.stored;
    baseVersion = base.stored.version;
  } else {
    state = "absent";
  }
  const trashed: TrashedState[] = [];
  let changed = false;
  for (const change of history) {
    // P14: what the file already has is not applied again.
    if (change.version <= baseVersion) continue;
    changed = true;
    const { version, record } = change;
    trashed.push(...carriedTrash(change));
    if (change.type === "put") {
      if (change.trashPrevious && state !== "absent" && !("broken" in state)) trashed.push({ state, removal: change });
      const entry = freezeJournaled(change.entry);
      state = "broken" in entry ? entry : { version, record, entry: entry.frozen, generations: change.generations };
    } else if (change.type === "remove") {
      const isKept = !change.purge && change.trashed === undefined;
      if (isKept && state !== "absent" && !("broken" in state)) trashed.push({ state, removal: change });
      state = "absent";
    } else {
      state = patchState(state, change);
    }
  }
  const baseIsDamaged = "damage" in base;
  let result = toAction(changed, state, baseIsDamaged);
  if (changed && baseIsDamaged && entries.nameIsTakenByAnother(key)) {
    result = { action: "quarantine", problem: base.damage };
  }
  if (result.action === "quarantine" && baseIsDamaged && base.refusal !== undefined) throw base.refusal;
  return { key, trashed, result };
}

/** P11: what only suspect segments held of the trash, with the removals that it always had. */
function carriedTrash(change: JournaledChange): TrashedState[] {
  const states: TrashedState[] = [];
  for (const item of change.trashed ?? []) {
    const { version, record, generations, removedAtMs, removedByVersion, actor, reason } = item;
    const entry = freezeJournaled(item.entry);
    if ("broken" in entry) continue;
    const removal = { type: "remove", key: change.key, record, purge: false, actor, reason } as const;
    const stamp = { timeMs: removedAtMs, version: removedByVersion };
    states.push({ state: { version, record, entry: entry.frozen, generations }, removal: { ...removal, ...stamp } });
  }
  return states;
}

function toAction(
  changed: boolean,
  state: FoldedState | "absent" | { readonly broken: string },
  baseIsDamaged: boolean,
): FoldedAction {
  if (!changed) return { action: "none" };
  if (state === "absent") return { action: "unlink", removesDamaged: baseIsDamaged };
  if ("broken" in state) return { action: "quarantine", problem: state.broken };
  return { action: "write", state, replacesDamaged: baseIsDamaged };
}

function patchState(
  state: FoldedState | "absent" | { readonly broken: string },
  change: JournaledChange,
): FoldedState | { readonly broken: string } {
  if (state === "absent") return { broken: `version ${change.version} changes fields of an entry that is not there` };
  if ("broken" in state) return state;
  // P14: each patch carries the version it was made on.
  if (state.version !== change.base) {
    return {
      broken: `version ${change.version} was made on version ${change.base}, the entry has version ${state.version}`,
    };
  }
  const set = freezeJournaled(change.set);
  if ("broken" in set) return set;
  const entry = applyPatch(state.entry, set.frozen, change.unset ?? []);
  const generations = change.generations ?? state.generations;
  return { version: change.version, record: change.record, entry, generations };
}

/** What no entry may hold - too deep, a number out of range - must not keep its segment from being checkpointed. */
function freezeJournaled(value: unknown): { readonly frozen: FrozenEntry } | { readonly broken: string } {
  try {
    return { frozen: freezeParsedJson(value as FrozenEntry) };
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    return { broken: error.problem };
  }
}

function readBase(
  entries: EntryDirectory,
  key: string,
): { stored: FoldedState | undefined } | { damage: string; refusal: UntrustedFileError | undefined } {
  try {
    // P16: a sector that is gone must not block its segment for ever.
    return { stored: readPatiently(() => entries.read(key)) };
  } catch (error) {
    if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
    const { cause } = error;
    // A file that cannot be read just now is not damaged. To go on without it would drop changes that were
    // acknowledged; so this checkpoint fails, and the journal keeps them for the next one.
    if (isRefusalOfTheSystem(cause)) throw fromSystemError(cause, { path: error.path, nextStep: error.nextStep });
    // The same of one that is intact for all we know; unless the changes make the session whole without it.
    return { damage: error.problem, refusal: cause instanceof UntrustedFileError ? cause : undefined };
  }
}
