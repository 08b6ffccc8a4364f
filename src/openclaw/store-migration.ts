/** One store there and back, by the names that callers of pull request 51946 know. */

import { parseStoreLocation } from "../backends/directory/layout.js";
import { SessionStoreError } from "../errors.js";
import { gatewayLimits } from "../limits.js";
import { migrateStore } from "../migrate/migrate.js";
import type { MigrationResult } from "../migrate/result.js";
import { rollbackStore } from "../migrate/rollback.js";
import { logInfo, logWarning } from "./log.js";
import { type SharedStore, sharedStore } from "./shared-handles.js";

const logger = { info: logInfo, warn: logWarning };

/**
 * Takes the legacy file over, or merges it into the store that is there. Never rejects because of what lies there; a file
 * whose name leaves no room for a directory beside it - it does not end in `.json` - has the outcome `failed`.
 */
export async function migrateSessionStoreToDirectory(storePath: string): Promise<MigrationResult> {
  const shared = sharedStore(storePath);
  if (parseStoreLocation(storePath) === undefined) return staysFile(shared);
  await shared.close();
  return migrateStore(shared.storePath, { port: shared.port, limits: gatewayLimits, logger });
}

/**
 * Makes a legacy file of the store again; from then on it is used as it is, until it is migrated by force. False when
 * there is no directory store. Rejects when it could not be done; then the store is as it was.
 */
export async function migrateSessionStoreToLegacy(storePath: string): Promise<boolean> {
  const shared = sharedStore(storePath);
  // It never was anything but a file.
  if (parseStoreLocation(storePath) === undefined) return false;
  await shared.close();
  const { outcome, error } = await rollbackStore(shared.storePath, {
    port: shared.port,
    limits: gatewayLimits,
    logger,
  });
  if (outcome !== "failed") return outcome === "restored";
  throw new SessionStoreError(error?.code ?? "io_error", error?.message ?? "the store could not be rolled back", {
    operation: "migrateSessionStoreToLegacy",
    path: shared.storePath,
  });
}

function staysFile({ storePath }: SharedStore): MigrationResult {
  const { code, message } = new SessionStoreError("invalid_option", "only a *.json file becomes a directory store", {
    operation: "migrateSessionStoreToDirectory",
    path: storePath,
    onDisk: "Nothing was changed: the store stays the single file that it is.",
    nextStep: "Give it a name that ends in .json, in session.store as well, then try again.",
  });
  const none = { legacyEntries: 0, migratedEntries: 0 };
  return {
    storePath,
    directoryPath: storePath,
    outcome: "failed",
    ...none,
    warnings: [message],
    error: { code, message },
  };
}
