/**
 * What the marker of a rollback says, read here because a fenced handle tells its user where the sessions are now.
 * Writing it, and what it means, is in migrate/rollback-marker.ts. The marker may have been edited by hand: whatever
 * does not fit is `undefined`, never an error.
 */

import { openChecked, readWhole } from "../../fs/checked-file.js";
import type { Directory, Port } from "../../fs/port.js";
import { fixedLimits } from "../../limits.js";
import { rollbackMarkerName } from "./layout.js";

export const rollbackMarkerKind = "sessiondir-rollback";

export interface RollbackDetails {
  readonly kind: typeof rollbackMarkerKind;
  /** Sentences for a person who finds the file. */
  readonly note: string;
  /** ISO 8601. */
  readonly rolledBackAt: string;
  readonly sessions: number;
  /** Names beside the marker: the file that holds the sessions now, and the directory that held them before. */
  readonly legacyFile: string;
  readonly backupDirectory: string;
  /** What lay in the legacy file's place before, if anything did. */
  readonly replacedFile?: string | undefined;
  readonly legacyBytes: number;
  readonly legacySha256: string;
  /** Which store, and which of its fences, this marker belongs to. */
  readonly storeId: string;
  readonly incarnation: string;
  readonly lastVersion: number;
  /** The export's name until it was put in the legacy file's place. */
  readonly exportFile: string;
}

/** `undefined` when there is no marker, or one that cannot be read. */
export function readRollbackDetails(port: Port, parent: Directory, directoryName: string): RollbackDetails | undefined {
  try {
    const file = openChecked(port, parent, rollbackMarkerName(directoryName), "read", { uid: undefined });
    try {
      return parse(Buffer.from(readWhole(port, file, fixedLimits.manifestBytesMax)).toString("utf8"));
    } finally {
      port.close(file);
    }
  } catch {
    return undefined;
  }
}

function parse(text: string): RollbackDetails | undefined {
  const fields = JSON.parse(text) as Record<string, unknown> | null;
  if (typeof fields !== "object" || fields === null || fields.kind !== rollbackMarkerKind) return undefined;
  const names = [fields.legacyFile, fields.backupDirectory, fields.exportFile];
  // Names that came from a file are used as names and never as paths.
  if (!names.every((name) => typeof name === "string" && name !== "" && !/[/\\\0]/.test(name))) return undefined;
  const texts = [fields.note, fields.rolledBackAt, fields.legacySha256, fields.storeId, fields.incarnation];
  const counts = [fields.sessions, fields.legacyBytes, fields.lastVersion];
  if (!texts.every((text) => typeof text === "string") || !counts.every(Number.isSafeInteger)) return undefined;
  return fields as unknown as RollbackDetails;
}
