/** The transcript that a run of a session writes to, found before the run begins. */

import {
  resolveSessionFilePath,
  resolveSessionFilePathOptions,
  resolveSessionTranscriptPathInDir,
  resolveSessionTranscriptsDirForAgent,
} from "./paths.js";
import { resolveAndPersistSessionFile } from "./session-file.js";
import { normalizeOptionalString } from "./strings.js";
import { parseSessionThreadInfo } from "./thread-info.js";
import type { SessionEntry } from "./types.js";

/**
 * The path, by the entry or by the session's id and topic. With a store at hand (`sessionStore` and `storePath`) it is
 * written down there as `resolveAndPersistSessionFile` does. Throws for an id that cannot name a file.
 */
export async function resolveSessionTranscriptFile(params: {
  sessionId: string;
  sessionKey: string;
  sessionEntry: SessionEntry | undefined;
  sessionStore?: Record<string, SessionEntry>;
  storePath?: string;
  agentId: string;
  threadId?: string | number;
}): Promise<{ sessionFile: string; sessionEntry: SessionEntry | undefined }> {
  const { sessionId, sessionKey, sessionEntry, sessionStore, storePath, agentId } = params;
  const pathOptions = resolveSessionFilePathOptions({ agentId, ...(storePath === undefined ? {} : { storePath }) });
  if (sessionStore === undefined || storePath === undefined) {
    return { sessionFile: resolveSessionFilePath(sessionId, sessionEntry, pathOptions), sessionEntry };
  }
  const threadId = params.threadId ?? parseSessionThreadInfo(sessionKey).threadId;
  const sessionsDir = pathOptions?.sessionsDir ?? resolveSessionTranscriptsDirForAgent(agentId);
  const hasOwnFile = normalizeOptionalString(sessionEntry?.sessionFile) !== undefined;
  return resolveAndPersistSessionFile({
    sessionId,
    sessionKey,
    sessionStore,
    storePath,
    agentId,
    sessionsDir,
    ...(sessionEntry === undefined ? {} : { sessionEntry }),
    ...(hasOwnFile ? {} : { fallbackSessionFile: resolveSessionTranscriptPathInDir(sessionId, sessionsDir, threadId) }),
  });
}
