/**
 * Changes of entries by top-level field: what differs, applying a difference, and merging two of them. A commit then
 * writes the few fields that changed and not an entry of hundreds of kilobytes.
 *
 * All entries here are private and frozen (`entry-value.ts`); so are the results, which share every unchanged value.
 */

import type { FrozenEntry } from "../contract.js";
import { registerOver, registerShallow, setField } from "./entry-value.js";
import { jsonEqual } from "./json-equal.js";

export interface EntryDifference {
  readonly set: FrozenEntry;
  readonly unset: readonly string[];
  /** Fields that both have and that are equal. None: the next entry has nothing to do with the current one. */
  readonly keptFields: number;
}

/** What turns `current` into `next`, or `undefined` when they are equal. */
export function diffEntries(current: FrozenEntry, next: FrozenEntry): EntryDifference | undefined {
  if (current === next) return undefined;
  let set: Record<string, unknown> | undefined;
  let keptFields = 0;
  let sharedFields = 0;
  for (const name of Object.keys(next)) {
    const value = next[name];
    // An inherited value (`constructor`) is never identical to a JSON value, so this is safe before `hasOwn`.
    if (current[name] === value) {
      keptFields++;
      sharedFields++;
      continue;
    }
    if (Object.hasOwn(current, name)) {
      sharedFields++;
      if (jsonEqual(current[name], value)) {
        keptFields++;
        continue;
      }
    }
    set ??= {};
    setField(set, name, value);
  }
  const names = Object.keys(current);
  const unset = sharedFields === names.length ? nothing : names.filter((name) => !Object.hasOwn(next, name));
  if (set === undefined && unset.length === 0) return undefined;
  return { set: set === undefined ? noFields : registerShallow(set), unset, keptFields };
}

/** A new frozen entry: `entry` with fields set and unset. */
export function applyPatch(entry: FrozenEntry, set: FrozenEntry, unset: readonly string[]): FrozenEntry {
  if (unset.length === 0) return registerOver({ ...entry, ...set }, entry, set);
  const kept = Object.entries(entry).filter(([name]) => !unset.includes(name));
  return registerShallow({ ...Object.fromEntries(kept), ...set });
}

/** Those of the fields that change the entry, or `undefined` when none does. */
export function effectiveFields(
  entry: FrozenEntry,
  fields: { readonly set: FrozenEntry; readonly unset: readonly string[] },
): { readonly set: FrozenEntry; readonly unset: readonly string[] } | undefined {
  const names = Object.keys(fields.set);
  const changes = (name: string) => !Object.hasOwn(entry, name) || !jsonEqual(entry[name], fields.set[name]);
  if (names.length > 0 && fields.unset.length === 0 && names.every(changes)) return fields;
  const changed = names.filter(changes);
  const unset = fields.unset.length === 0 ? nothing : fields.unset.filter((name) => Object.hasOwn(entry, name));
  if (changed.length === 0 && unset.length === 0) return undefined;
  if (changed.length === names.length) return { set: fields.set, unset };
  const set: Record<string, unknown> = {};
  for (const name of changed) setField(set, name, fields.set[name]);
  return { set: registerShallow(set), unset };
}

/**
 * Both sides started from `base`. Fields that only one side changed are taken from it; fields that both changed alike
 * are no problem; a field that both changed differently, or a removal or creation of the whole entry by the others
 * that cannot be reconciled field by field, is an "overlap".
 */
export function mergeThreeWay(
  base: FrozenEntry | undefined,
  mine: FrozenEntry,
  theirs: FrozenEntry | undefined,
): FrozenEntry | "overlap" {
  if (theirs === undefined) return "overlap";
  const ours = diffEntries(base ?? noFields, mine);
  if (ours === undefined) return theirs;
  const others = diffEntries(base ?? noFields, theirs);
  if (others === undefined) return mine;
  for (const name of Object.keys(ours.set)) {
    if (others.unset.includes(name)) return "overlap";
    if (Object.hasOwn(others.set, name) && !jsonEqual(others.set[name], ours.set[name])) return "overlap";
  }
  for (const name of ours.unset) {
    if (Object.hasOwn(others.set, name)) return "overlap";
  }
  return applyPatch(theirs, ours.set, ours.unset);
}

const nothing: readonly string[] = Object.freeze([]);
const noFields: FrozenEntry = registerShallow({});
