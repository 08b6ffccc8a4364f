/**
 * What is asked before a rollback changes anything, and again behind its fence: whether every session can be read, whether
 * any program could read the file that they make, and whether it may be written and there is space for it.
 */

import type { FenceableStore } from "../backends/directory/fence.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { countOf } from "./legacy-content.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import { type Inventory, requireReadable, takeInventory } from "./rollback-export.js";

/** Throws `entry_damaged`, `limit_exceeded`, `disk_full`, and errors of the system where nothing may be written. */
export function requirePossible(port: Port, parent: Directory, location: StoreLocation, inventory: Inventory): void {
  refuseDamaged(inventory, location);
  requireReadable(inventory, location);
  const { bytes } = inventory;
  const { freeBytes } = port.statFileSystem(parent);
  port.requireWritable?.(parent);
  if (freeBytes >= bytes) return;
  throw new SessionStoreError("disk_full", `this needs ${bytes} bytes on the disk, ${freeBytes} are free`, {
    operation: "roll back",
    path: legacyPathOf(location),
    onDisk: unchanged,
    nextStep: "Free some space and try again.",
  });
}

/** What a person should know of a file that can be written. */
export function sizeWarnings({ bytes }: Inventory, { legacyFileBytes }: Readonly<Limits>): string[] {
  if (bytes <= legacyFileBytes) return [];
  return [
    `The legacy file has ${bytes} bytes, more than the limit legacyFileBytes (${legacyFileBytes}): to open or migrate it again, raise that limit.`,
  ];
}

const inventoryAttemptsMax = 5;

/** A dry run takes no lock, so a checkpoint of somebody else may come between. */
export async function takeInventoryBesideCheckpoints(store: FenceableStore): Promise<Inventory> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await takeInventory(store);
    } catch (error) {
      if (!hasCode(error, "snapshot_expired") || attempt >= inventoryAttemptsMax) throw error;
      store.view.rebuild();
    }
  }
}

const shownDamagedMax = 5;
const unchanged = "Nothing was changed: the store is as it was.";

function refuseDamaged({ damaged }: Inventory, location: StoreLocation): void {
  if (damaged.length === 0) return;
  const shown = damaged
    .slice(0, shownDamagedMax)
    .map(({ key, problem }) =>
      key === undefined ? `one without a key (${problem})` : `${shortenKey(key)} (${problem})`,
    );
  const more = damaged.length > shown.length ? `, and ${damaged.length - shown.length} more` : "";
  throw new SessionStoreError(
    "entry_damaged",
    `${countOf(damaged.length, "session is", "sessions are")} damaged and would be missing from the legacy file: ${shown.join(", ")}${more}`,
    {
      operation: "roll back",
      path: directoryPathOf(location),
      onDisk: unchanged,
      nextStep: "Run `sessiondir repair`, which keeps every original, then roll back.",
    },
  );
}
