/** A whole store as the gateway knows it: a plain object that belongs to its reader, with all entries in their present form. */

import type { FrozenEntry } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { logWarning } from "./log.js";
import { setOwnValue } from "./prototype-keys.js";
import type { ReadSource } from "./read-sources.js";
import { toCallerEntry } from "./tracked-view.js";
import type { SessionEntry } from "./types.js";

/** Damaged sessions are left out and logged; everything else throws. `onEntry` hears what each copy was made of. */
export function copyOfStore<Entry = SessionEntry>(
  source: ReadSource,
  toEntry: (entry: FrozenEntry) => Entry = toCallerEntry as never,
  onEntry?: (name: string, entry: FrozenEntry) => void,
): Record<string, Entry> {
  const store: Record<string, Entry> = {};
  for (const name of source.names()) {
    try {
      const stored = source.read(name);
      if (stored === undefined) continue;
      setOwnValue(store, name, toEntry(stored.entry));
      onEntry?.(name, stored.entry);
    } catch (error) {
      if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
      logWarning(`a session is left out: ${error.message}`);
    }
  }
  return store;
}
