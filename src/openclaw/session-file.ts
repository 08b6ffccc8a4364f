/** The transcript of a session: where it is to be written, and that written down in the session. */

import { nowMs } from "./ambient.js";
import { normalizeStoreSessionKey, resolveSessionStoreEntry } from "./key-normalization.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { resolveSessionFilePath } from "./paths.js";
import { ownValue, setOwnValue } from "./prototype-keys.js";
import { normalizeOptionalString } from "./strings.js";
import type { SessionEntry } from "./types.js";
import { updateSessionStore } from "./update.js";

/**
 * Finds the transcript's path and puts it, with the id, into the caller's copy of the store; into the store itself only
 * when one of the two is new there. A file of another session id is never taken over.
 */
export async function resolveAndPersistSessionFile(params: {
  sessionId: string;
  sessionKey: string;
  sessionStore: Record<string, SessionEntry>;
  storePath: string;
  sessionEntry?: SessionEntry;
  agentId?: string;
  sessionsDir?: string;
  fallbackSessionFile?: string;
  activeSessionKey?: string;
  maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}): Promise<{ sessionFile: string; sessionEntry: SessionEntry }> {
  const { sessionId, sessionKey, sessionStore, agentId, sessionsDir, activeSessionKey, maintenanceConfig } = params;
  const now = nowMs();
  const base = params.sessionEntry ?? ownValue(sessionStore, sessionKey) ?? { sessionId, updatedAt: now };
  const own = base.sessionId === sessionId ? normalizeOptionalString(base.sessionFile) : undefined;
  const candidate = own ?? normalizeOptionalString(params.fallbackSessionFile);
  const sessionFile = resolveSessionFilePath(sessionId, candidate === undefined ? {} : { sessionFile: candidate }, {
    ...(agentId === undefined ? {} : { agentId }),
    ...(sessionsDir === undefined ? {} : { sessionsDir }),
  });
  const sessionEntry: SessionEntry = { ...base, sessionId, updatedAt: now, sessionFile };
  const isNew = base.sessionId !== sessionId || base.sessionFile !== sessionFile || !isStored(params);
  setOwnValue(sessionStore, sessionKey, sessionEntry);
  if (isNew) {
    await updateSessionStore(
      params.storePath,
      (store) => {
        const { existing, legacyKeys } = resolveSessionStoreEntry({ store, sessionKey });
        for (const key of legacyKeys) delete store[key];
        setOwnValue(store, normalizeStoreSessionKey(sessionKey), { ...existing, ...sessionEntry });
      },
      {
        ...(activeSessionKey === undefined ? {} : { activeSessionKey }),
        ...(maintenanceConfig === undefined ? {} : { maintenanceConfig }),
      },
    );
  }
  return { sessionFile, sessionEntry };
}

/** A session that nobody has written yet is written now, even when its path is the one that its id gives. */
function isStored({ sessionEntry, sessionStore, sessionKey }: Parameters<typeof resolveAndPersistSessionFile>[0]) {
  return sessionEntry !== undefined || ownValue(sessionStore, sessionKey) !== undefined;
}
