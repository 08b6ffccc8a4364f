/** The public surface of sessiondir. What is not exported here may change at any time. */

export type {
  EmptyTrashOptions,
  Frozen,
  OpenOptions,
  PatchOptions,
  RemoveOptions,
  RestoreOptions,
  SessionChange,
  SessionStore,
  Transaction,
  TransactionOptions,
  UpdateOptions,
  VersionedEntry,
  WatchOptions,
  WriteOptions,
} from "./api.js";
export type {
  Capabilities,
  Cursor,
  DamagedSession,
  Durability,
  Finding,
  Generation,
  KeyRule,
  Logger,
  SessionKind,
  SessionOrder,
  SessionPage,
  SessionQuery,
  SessionSummary,
  StoreStats,
  TrashedSession,
  VersionToken,
} from "./contract.js";
export { SessionStoreError, type SessionStoreErrorCode, type SessionStoreErrorDetails } from "./errors.js";
export type { Limits } from "./limits.js";
export {
  type Detection,
  type DetectionStatus,
  type DetectOptions,
  detectSessionStore,
  type RefusedKey,
} from "./migrate/detect.js";
export { type MigrateOptions, migrateStore } from "./migrate/migrate.js";
export {
  type DiscoveryProblem,
  type MergeCounts,
  type MigrateSessionStoresOptions,
  type MigrationLog,
  type MigrationOutcome,
  type MigrationProgress,
  type MigrationReport,
  type MigrationResult,
  migrateSessionStores,
  type OutcomeCounts,
} from "./migrate/report.js";
export { type RollbackOptions, type RollbackOutcome, type RollbackResult, rollbackStore } from "./migrate/rollback.js";
export { openSessionStore } from "./open.js";
export type { PostgresOptions } from "./postgres-options.js";
export type {
  CliSessionBinding,
  SessionAcpMeta,
  SessionChatType,
  SessionCompactionCheckpoint,
  SessionDeliveryContext,
  SessionEntry,
  SessionOrigin,
  SessionSkillsSnapshot,
  TranscriptReference,
} from "./sessions/entry.js";
export {
  type BackupOptions,
  type BackupResult,
  createBackup,
  type VerifyBackupOptions,
  verifyBackup,
} from "./transfer/backup.js";
export type { BackupManifest } from "./transfer/backup-files.js";
export type { BundleSource } from "./transfer/bundle-format.js";
export type { BundleOptions } from "./transfer/bundle-writer.js";
export { type CopyOptions, type CopyResult, copyStore } from "./transfer/copy.js";
export { type ExportOptions, type ExportResult, exportSessions } from "./transfer/export.js";
export { type ImportOptions, type ImportResult, importSessions } from "./transfer/import.js";
export type { ByteSink } from "./transfer/output-file.js";
export {
  type RestoreBackupOptions,
  type RestoreBackupResult,
  restoreBackup,
  type StoreFigures,
} from "./transfer/restore.js";
export type { ConflictPolicy, SessionProblem, WriteCounts } from "./transfer/session-writer.js";
export type { StorePlace } from "./transfer/store-place.js";
