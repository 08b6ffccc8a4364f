/** Where the transcript of a session may lie, and which of these places is the one to name when the session ends. */

import path from "node:path";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { resolveHomeDirectory } from "../discovery/state-dir.js";
import { ambientPort } from "./ambient.js";
import { resolveSessionFilePath, resolveSessionTranscriptPath, resolveSessionTranscriptPathInDir } from "./paths.js";
import { statFileBestEffort } from "./single-names.js";
import { normalizeOptionalString } from "./strings.js";

/** Of a transcript that was archived: where it lay, and where it lies. */
export interface ArchivedSessionTranscript {
  sourcePath: string;
  archivedPath: string;
}

/**
 * The places, best first: the entry's own file, the one that the id gives in the store's folder, the agent's folder, and
 * the folder of the first versions, `<home>/.openclaw/sessions`. A file whose name holds the id of another session was
 * left over by a reset and comes last. An id or path that is unsafe gives no place.
 */
export function resolveSessionTranscriptCandidates(
  sessionId: string,
  storePath: string | undefined,
  sessionFile?: string,
  agentId?: string,
): string[] {
  const candidates = new Set<string>();
  const add = (resolve: () => string) => {
    try {
      candidates.add(resolve());
    } catch {
      // An unsafe id: there is no such place.
    }
  };
  const ownFile = normalizeOptionalString(sessionFile);
  const isStale = ownFile !== undefined && namesAnotherSession(ownFile, sessionId);
  const addOwnFile = () => {
    if (ownFile === undefined) return;
    if (storePath !== undefined) {
      const sessionsDir = path.dirname(path.resolve(storePath));
      add(() => resolveSessionFilePath(sessionId, { sessionFile: ownFile }, { sessionsDir, agentId }));
    } else if (agentId !== undefined) {
      add(() => resolveSessionFilePath(sessionId, { sessionFile: ownFile }, { agentId }));
    } else {
      candidates.add(path.resolve(ownFile));
    }
  };
  if (!isStale) addOwnFile();
  if (storePath !== undefined) add(() => resolveSessionTranscriptPathInDir(sessionId, path.dirname(storePath)));
  if (agentId !== undefined) add(() => resolveSessionTranscriptPath(sessionId, agentId));
  add(() => resolveSessionTranscriptPathInDir(sessionId, firstVersionsFolder()));
  if (isStale) addOwnFile();
  return [...candidates];
}

function firstVersionsFolder(): string {
  return path.join(resolveHomeDirectory(process.env, { port: ambientPort() }), ".openclaw", "sessions");
}

const uuid = /(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f])/i;

/** Only generated ids are told from names that a person chose. */
function namesAnotherSession(sessionFile: string, sessionId: string): boolean {
  const named = uuid.exec(path.basename(sessionFile))?.[0];
  return named !== undefined && !sessionId.toLowerCase().includes(named.toLowerCase());
}

/**
 * The transcript to name when a session ends: the archive of its own file, else the first that was archived just now,
 * else the first place where one lies; nothing when there is none.
 */
export function resolveStableSessionEndTranscript(params: {
  sessionId: string;
  storePath: string | undefined;
  sessionFile?: string;
  agentId?: string;
  archivedTranscripts?: readonly ArchivedSessionTranscript[];
}): { sessionFile?: string; transcriptArchived?: boolean } {
  const { sessionId, storePath, sessionFile, agentId, archivedTranscripts = [] } = params;
  const port = ambientPort();
  const ownFile = normalizeOptionalString(sessionFile);
  const ownPath = ownFile === undefined ? undefined : realPathOfDeepest(port, ownFile);
  const archived = archivedTranscripts.find(({ sourcePath }) => sourcePath === ownPath) ?? archivedTranscripts[0];
  if (archived !== undefined) return { sessionFile: archived.archivedPath, transcriptArchived: true };
  for (const candidate of resolveSessionTranscriptCandidates(sessionId, storePath, sessionFile, agentId)) {
    const realPath = realPathOfDeepest(port, candidate);
    if (statFileBestEffort(port, realPath)) return { sessionFile: realPath, transcriptArchived: false };
  }
  return {};
}
