/**
 * The names of files in a sessions folder: transcripts, and what becomes of them. `<file>.<reason>.<time>` is an archive,
 * the time in ISO form with `-` for `:`, because not every disk takes a colon. Pure.
 */

import { nowMs as currentMs } from "./ambient.js";

export type SessionArchiveReason = "bak" | "reset" | "deleted";

const archiveReasons: readonly SessionArchiveReason[] = ["bak", "reset", "deleted"];

/** An archived transcript, or a backup of the store. */
export function isSessionArchiveArtifactName(fileName: string): boolean {
  return (
    isSessionStoreBackupName(fileName) ||
    archiveReasons.some((reason) => parseSessionArchiveTimestamp(fileName, reason) !== null)
  );
}

/** `sessions.json.bak.<digits>` */
export function isSessionStoreBackupName(fileName: string): boolean {
  return /^sessions\.json\.bak\.\d+$/.test(fileName);
}

/** A transcript that is in use: `*.jsonl`. */
export function isPrimarySessionTranscriptFileName(fileName: string): boolean {
  return fileName.endsWith(".jsonl") && !isSessionArchiveArtifactName(fileName);
}

/** What counts for usage: transcripts in use, and those that a reset or a removal archived. */
export function isUsageCountedSessionTranscriptFileName(fileName: string): boolean {
  return parseUsageCountedSessionIdFromFileName(fileName) !== null;
}

/** The session id in the name of a file that counts for usage, else null. */
export function parseUsageCountedSessionIdFromFileName(fileName: string): string | null {
  let id: string | undefined;
  if (isPrimarySessionTranscriptFileName(fileName)) id = fileName.slice(0, -".jsonl".length);
  for (const reason of ["reset", "deleted"] as const) {
    if (parseSessionArchiveTimestamp(fileName, reason) === null) continue;
    const end = fileName.lastIndexOf(`.jsonl.${reason}.`);
    if (end >= 0) id = fileName.slice(0, end);
  }
  return id || null;
}

/** `2026-04-24T08-15-30.123Z`, now when no time is given. */
export function formatSessionArchiveTimestamp(nowMs: number = currentMs()): string {
  return new Date(nowMs).toISOString().replaceAll(":", "-");
}

/** Milliseconds since 1970, or null when the name is no archive of this kind. */
export function parseSessionArchiveTimestamp(fileName: string, reason: SessionArchiveReason): number | null {
  const mark = `.${reason}.`;
  const at = fileName.lastIndexOf(mark);
  if (at <= 0) return null;
  const time = /^(\d{4}-\d{2}-\d{2})T(\d{2})-(\d{2})-(\d{2})(\.\d{3})?Z$/.exec(fileName.slice(at + mark.length));
  if (!time) return null;
  const [, date, hours, minutes, seconds, fraction = ""] = time;
  const ms = Date.parse(`${date}T${hours}:${minutes}:${seconds}${fraction}Z`);
  return Number.isNaN(ms) ? null : ms;
}
