/** Bringing the keys of one store to the present grammar: read once, written only when there is something to rename. */

import { canonicalizeLegacySessionKey, canonicalizeLegacySessionStore, type LegacyKeyContext } from "./legacy-keys.js";
import { loadSessionStore } from "./load.js";
import { ownValue, setOwnValue } from "./prototype-keys.js";
import { updateSessionStore } from "./update.js";

/** How many keys were renamed; the session that loses to another one is in the trash. */
export async function renameLegacyKeys(storePath: string, context: LegacyKeyContext): Promise<number> {
  const { renamedKeys } = canonicalizeLegacySessionStore(loadSessionStore(storePath), context);
  if (renamedKeys.length === 0) return 0;
  // Maintenance is no part of a start, and what it would remove is not decided by a renaming.
  return updateSessionStore(
    storePath,
    (store) => {
      const canonical = canonicalizeLegacySessionStore({ ...store }, context);
      for (const key of canonical.renamedKeys) {
        const presentKey = canonicalizeLegacySessionKey(key, context);
        const winner = ownValue(canonical.store, presentKey);
        if (winner !== undefined) setOwnValue(store, presentKey, winner);
      }
      for (const key of canonical.renamedKeys) delete store[key];
      return canonical.renamedKeys.length;
    },
    { skipMaintenance: true },
  );
}
