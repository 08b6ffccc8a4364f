/**
 * Backups. A rotation copies a large `sessions.json` to `sessions.json.bak.<ms>` before it is replaced: `sessions.json`
 * itself is never moved away, so there is no instant at which a crash finds no sessions.
 *
 * The names and checksums of the backups that a rotation made are in the versions file. Only these are ever removed, and
 * only while they still have the content that was copied; without the versions file none is.
 */

import type { Directory, Port } from "../../fs/port.js";
import { readStableFile } from "../../fs/stable-file.js";
import { fixedLimits } from "../../limits.js";
import { parseLegacyText } from "../../sessions/legacy-text.js";
import { parseBackupName } from "./layout.js";
import type { BackupRecord } from "./versions-file.js";
import { checksumOf } from "./watched-file.js";

/** As the gateway of that time. */
export const backupsKept = 3;

/** More than this many invalid backups in a row, and nobody is served by reading on. */
const backupsReadMax = 20;

/** The newest backup whose text is whole, whoever made it. Best effort: for a message. */
export function newestValidBackup(
  port: Port,
  parent: Directory,
  legacyName: string,
  bytesMax: number,
): { name: string; entries: number } | undefined {
  try {
    for (const name of backupNames(port, parent, legacyName).slice(0, backupsReadMax)) {
      const found = readStableFile(port, parent, name, bytesMax);
      if (found.state !== "read") continue;
      const parsed = parseLegacyText(found.bytes);
      if (parsed.state === "object") return { name, entries: Object.keys(parsed.value).length };
    }
  } catch {
    // What is wrong with the store itself is the message that counts.
  }
  return undefined;
}

/** Newest first. */
export function backupNames(port: Port, parent: Directory, legacyName: string): string[] {
  const found: { name: string; ms: number }[] = [];
  for (const batch of port.listInBatches(parent, fixedLimits.strayFilesMax)) {
    for (const { name } of batch) {
      const ms = parseBackupName(legacyName, name);
      if (ms !== undefined) found.push({ name, ms });
    }
  }
  return found.sort((left, right) => right.ms - left.ms).map(({ name }) => name);
}

/** Those of the recorded backups that are still there. */
export function existingBackups(port: Port, parent: Directory, records: readonly BackupRecord[]): BackupRecord[] {
  return records.filter(({ name }) => port.statName(parent, name) !== undefined);
}

/** Removes all but the newest three. Best effort: an old backup that stays is only a file, and the next rotation tries again. */
export function pruneBackups(
  port: Port,
  parent: Directory,
  legacyName: string,
  records: readonly BackupRecord[],
  bytesMax: number,
): void {
  const byAge = [...records].sort(
    (left, right) => (parseBackupName(legacyName, right.name) ?? 0) - (parseBackupName(legacyName, left.name) ?? 0),
  );
  for (const { name, checksum } of byAge.slice(backupsKept)) {
    try {
      // The versions file may have been edited: nothing but a backup, and with the very content that was copied.
      if (parseBackupName(legacyName, name) === undefined) continue;
      const found = readStableFile(port, parent, name, bytesMax);
      if (found.state === "read" && checksumOf(found.bytes) === checksum) port.unlink(parent, name);
    } catch {
      // See above.
    }
  }
}
