/**
 * Transcripts of sessions that are over. They are renamed beside themselves, `<file>.<reason>.<time>`, never over a name
 * that exists; only `cleanupArchivedSessionTranscripts` deletes, and only archives that are old enough. A link is left
 * alone: what it leads to is not this session's own.
 */

import path from "node:path";
import { isInside, realPathOfDeepest } from "../discovery/real-paths.js";
import { ambientPort, nowMs as currentMs } from "./ambient.js";
import { formatSessionArchiveTimestamp, parseSessionArchiveTimestamp, type SessionArchiveReason } from "./artifacts.js";
import { inFolder, inFolderOf, statFileBestEffort } from "./single-names.js";
import { type ArchivedSessionTranscript, resolveSessionTranscriptCandidates } from "./transcript-files.js";

export interface ArchiveSessionTranscriptsParams {
  sessionId: string;
  storePath: string | undefined;
  sessionFile?: string;
  agentId?: string;
  reason: "reset" | "deleted";
  /** Leave alone whatever lies outside the store's folder, after links. */
  restrictToStoreDir?: boolean;
}

/** Renames the file and returns its new path. Throws what the system says, ENOENT for a file that is missing. */
export function archiveFileOnDisk(filePath: string, reason: SessionArchiveReason): string {
  const port = ambientPort();
  return inFolderOf(port, filePath, (folder, name) => {
    for (let timeMs = currentMs(); ; timeMs += 1) {
      const archiveName = `${name}.${reason}.${formatSessionArchiveTimestamp(timeMs)}`;
      // Two archives of one millisecond must not replace each other.
      if (port.statName(folder, archiveName) !== undefined) continue;
      port.rename(folder, name, folder, archiveName);
      return `${filePath}.${archiveName.slice(name.length + 1)}`;
    }
  });
}

/** Archives every transcript of the session that there is, best effort; returns the new paths. */
export function archiveSessionTranscripts(params: ArchiveSessionTranscriptsParams): string[] {
  return archiveSessionTranscriptsDetailed(params).map(({ archivedPath }) => archivedPath);
}

export function archiveSessionTranscriptsDetailed(
  params: ArchiveSessionTranscriptsParams,
): ArchivedSessionTranscript[] {
  const archived: ArchivedSessionTranscript[] = [];
  for (const sourcePath of findSessionTranscripts(params)) {
    try {
      archived.push({ sourcePath, archivedPath: archiveFileOnDisk(sourcePath, params.reason) });
    } catch {
      // Best effort: a transcript that stays where it is does no harm.
    }
  }
  return archived;
}

/** The transcripts of the session that are there, and would be archived. */
export function findSessionTranscripts(params: Omit<ArchiveSessionTranscriptsParams, "reason">): string[] {
  const { sessionId, storePath, sessionFile, agentId, restrictToStoreDir } = params;
  const port = ambientPort();
  const storeDir =
    restrictToStoreDir && storePath !== undefined ? realPathOfDeepest(port, path.dirname(storePath)) : undefined;
  const found: string[] = [];
  for (const candidate of resolveSessionTranscriptCandidates(sessionId, storePath, sessionFile, agentId)) {
    try {
      // The folder without links, but the file's own name: a link in its place is not followed.
      const sourcePath = path.join(realPathOfDeepest(port, path.dirname(candidate)), path.basename(candidate));
      if (storeDir !== undefined && !isInside(storeDir, sourcePath)) continue;
      if (statFileBestEffort(port, sourcePath) !== undefined && !found.includes(sourcePath)) found.push(sourcePath);
    } catch {
      // One that cannot be reached stays where it is.
    }
  }
  return found;
}

/**
 * Archives the transcripts of sessions that were removed from a store, except of those whose id another session still
 * has; returns the folders in which something was archived.
 */
export async function archiveRemovedSessionTranscripts(params: {
  removedSessionFiles: Iterable<readonly [sessionId: string, sessionFile: string | undefined]>;
  referencedSessionIds: ReadonlySet<string>;
  storePath: string;
  reason: "deleted" | "reset";
  restrictToStoreDir?: boolean;
}): Promise<Set<string>> {
  const { removedSessionFiles, referencedSessionIds, storePath, reason, restrictToStoreDir } = params;
  const folders = new Set<string>();
  for (const [sessionId, sessionFile] of removedSessionFiles) {
    if (referencedSessionIds.has(sessionId)) continue;
    const options = { sessionId, storePath, reason, restrictToStoreDir, sessionFile };
    for (const archivedPath of archiveSessionTranscripts(options)) folders.add(path.dirname(archivedPath));
  }
  return folders;
}

const filesPerBatch = 512;

/**
 * Deletes archives that are older than `olderThanMs`, by the time in their names; exactly as old is not older. A negative
 * or infinite age does nothing. What cannot be read or deleted is passed over.
 */
export async function cleanupArchivedSessionTranscripts(
  params: ExpiredArchivesParams,
): Promise<{ removed: number; scanned: number }> {
  const { expired, scanned } = await findExpiredArchives(params);
  const port = ambientPort();
  let removed = 0;
  for (const { directory, name } of expired) {
    try {
      inFolder(port, directory, (folder) => port.unlink(folder, name));
      removed += 1;
    } catch {
      // One that is gone already, or that cannot be deleted.
    }
  }
  return { removed, scanned };
}

export interface ExpiredArchivesParams {
  directories: Iterable<string>;
  olderThanMs: number;
  reason?: SessionArchiveReason;
  nowMs?: number;
}

export interface ExpiredArchive {
  /** Absolute. */
  readonly directory: string;
  readonly name: string;
  readonly sizeBytes: number;
}

/** What `cleanupArchivedSessionTranscripts` would delete. Changes nothing. */
export async function findExpiredArchives(
  params: ExpiredArchivesParams,
): Promise<{ expired: ExpiredArchive[]; scanned: number }> {
  const { olderThanMs, reason = "deleted" } = params;
  const found = { expired: [] as ExpiredArchive[], scanned: 0 };
  if (!Number.isFinite(olderThanMs) || olderThanMs < 0) return found;
  const port = ambientPort();
  const beforeMs = (params.nowMs ?? currentMs()) - olderThanMs;
  for (const directory of new Set([...params.directories].map((somePath) => path.resolve(somePath)))) {
    try {
      await inFolder(port, directory, async (folder) => {
        for (const batch of port.listInBatches(folder, filesPerBatch)) {
          for (const { name, kind } of batch) {
            const timeMs = parseSessionArchiveTimestamp(name, reason);
            if (timeMs === null) continue;
            found.scanned += 1;
            if (timeMs >= beforeMs || kind !== "file") continue;
            const sizeBytes = port.statName(folder, name)?.sizeBytes ?? 0;
            found.expired.push({ directory, name, sizeBytes });
          }
          await port.yieldToEventLoop();
        }
      });
    } catch {
      // A folder that is gone has no archives; one that cannot be read keeps them.
    }
  }
  return found;
}
