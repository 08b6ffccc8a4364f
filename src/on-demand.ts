/**
 * What few programs call, and most of those once: migrations, copies, bundles, backups. Their modules - half of the
 * package - are loaded by the first call, so that a command which only opens a store and reads a session does not pay
 * for them. The promises, options and errors are those of the functions of the same name; where they come from is
 * nobody's business outside.
 */

import type { Detection, DetectOptions } from "./migrate/detect.js";
import type { MigrateOptions, MigrationResult } from "./migrate/migrate.js";
import type { MigrateSessionStoresOptions, MigrationReport } from "./migrate/report.js";
import type { RollbackOptions, RollbackResult } from "./migrate/rollback.js";
import type { BackupOptions, BackupResult, VerifyBackupOptions } from "./transfer/backup.js";
import type { BackupManifest } from "./transfer/backup-files.js";
import type { CopyOptions, CopyResult } from "./transfer/copy.js";
import type { ExportOptions, ExportResult } from "./transfer/export.js";
import type { ImportOptions, ImportResult } from "./transfer/import.js";
import type { ByteSink } from "./transfer/output-file.js";
import type { RestoreBackupOptions, RestoreBackupResult } from "./transfer/restore.js";
import type { StorePlace } from "./transfer/store-place.js";

/** Says what lies at `location` and what `migrateStore` would do with it. Throws only for a location or options that make no sense. */
export async function detectSessionStore(location: string, options?: DetectOptions): Promise<Detection> {
  return (await import("./migrate/detect.js")).detectSessionStore(location, options);
}

/**
 * Takes over what lies at `location`: a legacy file, a directory in OpenClaw's layout, or both. Throws only for options
 * and locations that make no sense; everything else is an outcome.
 */
export async function migrateStore(location: string, options?: MigrateOptions): Promise<MigrationResult> {
  return (await import("./migrate/migrate.js")).migrateStore(location, options);
}

/**
 * Finds every store of a state directory and the configured one, and takes over what is a legacy file. Call it once when
 * a gateway starts, before anything opens a store. Throws `invalid_option` only.
 */
export async function migrateSessionStores(options?: MigrateSessionStoresOptions): Promise<MigrationReport> {
  return (await import("./migrate/report.js")).migrateSessionStores(options);
}

/** Rolls the store at `location` back (the path of the `*.json` file, or of the `*.d` directory beside it). */
export async function rollbackStore(location: string, options?: RollbackOptions): Promise<RollbackResult> {
  return (await import("./migrate/rollback.js")).rollbackStore(location, options);
}

/** Makes a backup of `store` in the directory `targetDirectory`, which is made (one level) when it is missing. */
export async function createBackup(
  store: StorePlace,
  targetDirectory: string,
  options?: BackupOptions,
): Promise<BackupResult> {
  return (await import("./transfer/backup.js")).createBackup(store, targetDirectory, options);
}

/** Reads everything back: the manifest, each session, every count and hash. Throws `invalid_bundle` at the first flaw. */
export async function verifyBackup(backupPath: string, options?: VerifyBackupOptions): Promise<BackupManifest> {
  return (await import("./transfer/backup.js")).verifyBackup(backupPath, options);
}

/** Puts a verified backup into a directory store's place; what lies there is renamed aside if `replace` says so. */
export async function restoreBackup(
  backupPath: string,
  storeLocation: string,
  options?: RestoreBackupOptions,
): Promise<RestoreBackupResult> {
  return (await import("./transfer/restore.js")).restoreBackup(backupPath, storeLocation, options);
}

/** Copies every session of one store to another one, of any backend, and reads it back. */
export async function copyStore(source: StorePlace, target: StorePlace, options?: CopyOptions): Promise<CopyResult> {
  return (await import("./transfer/copy.js")).copyStore(source, target, options);
}

/**
 * Writes a bundle of `store` to `output`: the path of a file, which appears whole or not at all, or a sink. A sink may
 * have been given a part when this rejects; that part has no trailer, and no import takes it.
 */
export async function exportSessions(
  store: StorePlace,
  output: string | ByteSink,
  options?: ExportOptions,
): Promise<ExportResult> {
  return (await import("./transfer/export.js")).exportSessions(store, output, options);
}

/** Writes the sessions of a verified bundle to `store`. */
export async function importSessions(
  bundlePath: string,
  store: StorePlace,
  options?: ImportOptions,
): Promise<ImportResult> {
  return (await import("./transfer/import.js")).importSessions(bundlePath, store, options);
}
