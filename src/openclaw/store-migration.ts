/** One store there and back, by the names that callers of pull request 51946 know. */

import { SessionStoreError } from "../errors.js";
import { gatewayLimits } from "../limits.js";
import { migrateStore } from "../migrate/migrate.js";
import type { MigrationResult } from "../migrate/result.js";
import { rollbackStore } from "../migrate/rollback.js";
import { logInfo, logWarning } from "./log.js";
import { sharedStore } from "./shared-handles.js";

const logger = { info: logInfo, warn: logWarning };

/** Takes the legacy file over, or merges it into the store that is there. Never rejects because of what lies there. */
export async function migrateSessionStoreToDirectory(storePath: string): Promise<MigrationResult> {
  const shared = sharedStore(storePath);
  await shared.close();
  return migrateStore(shared.storePath, { port: shared.port, limits: gatewayLimits, logger });
}

/**
 * Makes a legacy file of the store again; from then on it is used as it is, until it is migrated by force. False when
 * there is no directory store. Rejects when it could not be done; then the store is as it was.
 */
export async function migrateSessionStoreToLegacy(storePath: string): Promise<boolean> {
  const shared = sharedStore(storePath);
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
