/** The migration that a gateway runs when it starts, under the name and with the parameters that it is called by there. */

import { gatewayLimits } from "../limits.js";
import { type MigrationLog, type MigrationResult, migrateSessionStoresOnPort } from "../migrate/report.js";
import { ambientPort } from "./ambient.js";

export type SessionStoreMigrationResult = MigrationResult;

/**
 * Takes over every store below `stateDir` and the configured one, one after the other, and logs one summary line: `warn`
 * when a store is invalid or failed or a place could not be read, else `info`; nothing when there is no store. Never
 * rejects because of a store.
 */
export async function runStartupSessionStoreMigration(params: {
  stateDir: string;
  /** `session.store` of the configuration: a path, perhaps with `{agentId}` in it and `~` before it. */
  configuredStorePath?: string | undefined;
  log: MigrationLog;
}): Promise<SessionStoreMigrationResult[]> {
  const { stateDir, configuredStorePath, log } = params;
  const { results } = await migrateSessionStoresOnPort(ambientPort(), {
    stateDir,
    configuredStorePath,
    limits: gatewayLimits,
    log,
  });
  return results;
}
