/**
 * Bringing the session keys of older versions to the present grammar, as a gateway does when it starts. Each store is
 * read once, and written only when there is something to rename; a session that is renamed onto another one loses or
 * wins as `canonicalizeLegacySessionStore` says, and the loser is in the trash.
 */

import { renameLegacyKeys } from "./key-renaming.js";
import type { LegacyKeyContext } from "./legacy-keys.js";
import { normalizeOptionalString } from "./strings.js";
import { resolveAllAgentSessionStoreTargets } from "./targets.js";
import type { OpenClawConfig } from "./types.js";

type MigrationConfig = Pick<OpenClawConfig, "session" | "agents">;

export interface OrphanedKeysResult {
  /** One sentence for each store that was changed. */
  changes: string[];
  /** One for each store that could not be. */
  warnings: string[];
}

/** Of all stores, configured or found on the disk. What has no `sessionId` is left as it is. */
export async function migrateOrphanedSessionKeys(params: {
  cfg: MigrationConfig;
  env?: NodeJS.ProcessEnv;
}): Promise<OrphanedKeysResult> {
  const { cfg, env } = params;
  const configured = normalizeOptionalString(cfg.session?.store);
  const isShared = configured !== undefined && !configured.includes("{agentId}");
  const result: OrphanedKeysResult = { changes: [], warnings: [] };
  for (const { agentId, storePath } of await resolveAllAgentSessionStoreTargets(
    cfg,
    env === undefined ? {} : { env },
  )) {
    const { mainKey, scope } = cfg.session ?? {};
    const context: LegacyKeyContext = {
      agentId,
      isShared,
      ...(mainKey === undefined ? {} : { mainKey }),
      ...(scope === undefined ? {} : { scope }),
    };
    try {
      const count = await renameLegacyKeys(storePath, context);
      if (count > 0) result.changes.push(`Brought ${count} session key(s) to their present form in ${storePath}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      result.warnings.push(`Session keys of an older version stay as they are in ${storePath}: ${reason}`);
    }
  }
  return result;
}

/** The same when a gateway starts: logs what was done, and never throws. */
export async function runStartupSessionMigration(params: {
  cfg: MigrationConfig;
  env?: NodeJS.ProcessEnv;
  log: { info(message: string): void; warn(message: string): void };
  deps?: { migrateOrphanedSessionKeys?: typeof migrateOrphanedSessionKeys };
}): Promise<void> {
  const { cfg, env, log, deps } = params;
  try {
    const migrate = deps?.migrateOrphanedSessionKeys ?? migrateOrphanedSessionKeys;
    const { changes, warnings } = await migrate(env === undefined ? { cfg } : { cfg, env });
    if (changes.length > 0) log.info(`session keys: ${changes.join("; ")}`);
    if (warnings.length > 0) log.warn(`session keys: ${warnings.join("; ")}`);
  } catch (error) {
    log.warn(
      `session keys of older versions could not be looked at: ${error instanceof Error ? error.message : error}`,
    );
  }
}
