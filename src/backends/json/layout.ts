/**
 * Every file name of a legacy store `sessions.json`, built and parsed here and nowhere else.
 *
 *     sessions.json                    the sessions; authoritative at every instant
 *     sessions.json.lock               the lock file of the gateway's own protocol (lock-protocol.ts)
 *     sessions.json.bak.<ms>           backups that a rotation made, or the gateway, or a person
 *     sessions.json.versions           derived: what version each session has (versions-file.ts)
 *     sessions.d.checkpoint.lock       the kernel lock; the same file that taking the store over into `sessions.d` locks
 */

/** Where a legacy store lies, and the directory store that may take its place. */
export interface JsonLocation {
  readonly parentPath: string;
  /** `sessions.json` */
  readonly legacyName: string;
  /** `sessions.d` */
  readonly directoryName: string;
}

export function livePathOf(location: JsonLocation): string {
  return `${location.parentPath}/${location.legacyName}`;
}

export function versionsName(legacyName: string): string {
  return `${legacyName}.versions`;
}

/** Must be the checkpoint lock of the directory store: creation and take-over hold it, so they and a save exclude each other. */
export function kernelLockName(directoryName: string): string {
  return `${directoryName}.checkpoint.lock`;
}

export function lockFileName(legacyName: string): string {
  return `${legacyName}.lock`;
}

/** Not a form that other programs use, so that whoever holds the locks may remove those of a writer that died. */
export function temporaryName(legacyName: string, random: Uint8Array): string {
  return `.${legacyName}.${Buffer.from(random).toString("hex")}.tmp`;
}

export function isTemporaryName(legacyName: string, name: string): boolean {
  const prefix = `.${legacyName}.`;
  return name.startsWith(prefix) && /^[0-9a-f]{32}\.tmp$/.test(name.slice(prefix.length));
}

/** The time in the name of a backup, or `undefined` for any other name. */
export function parseBackupName(legacyName: string, name: string): number | undefined {
  const prefix = `${legacyName}.bak.`;
  if (!name.startsWith(prefix) || !/^\d{1,15}$/.test(name.slice(prefix.length))) return undefined;
  return Number(name.slice(prefix.length));
}
