/**
 * A legacy file beside a store that is rolled back: an older program wrote it since the migration, and nobody has merged it
 * yet. What in it the store does not have, or has in an older form, is rolled back with the store, by the rules of a merge
 * (merge-plan.ts); the file is renamed aside as a whole, so what loses is kept there. Looks only.
 */

import type { FenceableStore } from "../backends/directory/fence.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import { readTrash } from "../backends/directory/trash.js";
import type { FrozenEntry } from "../contract.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { countOf } from "./legacy-content.js";
import { inspectUnlessKnown } from "./legacy-file.js";
import { knownContents, lastRemovals } from "./merge.js";
import { judge, noCounts, type StoreSide, takenOf } from "./merge-plan.js";
import { legacyPathOf } from "./result.js";

export interface Beside {
  /** Of the file's content, hex; `undefined` when there is no session in it that is to be taken. */
  readonly sha256: string | undefined;
  /** The sessions that are taken. */
  readonly entries: ReadonlyMap<string, FrozenEntry>;
  readonly warnings: readonly string[];
}

const nothing: Beside = { sha256: undefined, entries: new Map(), warnings: [] };

export async function lookBeside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  store: FenceableStore,
  limits: Readonly<Limits>,
): Promise<Beside> {
  const { manifest } = store.files;
  const rules = { keyRule: manifest.keyRule, limits };
  const found = inspectUnlessKnown(port, parent, location.legacyName, rules, knownContents(manifest));
  if (found.state !== "valid") return nothing;
  const removals = await lastRemovals(readTrash(store.view, undefined));
  const entries = new Map<string, FrozenEntry>();
  const counts = noCounts();
  for (const [key, entry] of found.entries) {
    const verdict = judge(entry, sideOf(store, key), removals.get(key));
    counts[verdict] += 1;
    if (verdict === "added" || verdict === "replaced") entries.set(key, entry);
  }
  if (takenOf(counts) === 0) return nothing;
  const many = countOf(takenOf(counts), "session", "sessions");
  const warning = `${legacyPathOf(location)} was written by an older program since the migration: ${many} of it that the store lacks or has in an older form are rolled back as well.`;
  return { sha256: found.sha256, entries, warnings: [warning] };
}

function sideOf(store: FenceableStore, key: string): StoreSide {
  try {
    return store.view.read(key);
  } catch (error) {
    if (hasCode(error, "entry_damaged")) return "damaged";
    throw error;
  }
}
