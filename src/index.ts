/** The public surface of sessiondir. What is not exported here may change at any time. */

export type {
  EmptyTrashOptions,
  EntryFields,
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
export type { LimitOptions, Limits } from "./limits.js";
export type { Detection, DetectionStatus, DetectOptions, RefusedKey } from "./migrate/detect.js";
export type { MigrateOptions } from "./migrate/migrate.js";
export type {
  DiscoveryProblem,
  MergeCounts,
  MigrateSessionStoresOptions,
  MigrationLog,
  MigrationOutcome,
  MigrationProgress,
  MigrationReport,
  MigrationResult,
  OutcomeCounts,
} from "./migrate/report.js";
export type { RollbackOptions, RollbackOutcome, RollbackResult } from "./migrate/rollback.js";
export {
  copyStore,
  createBackup,
  detectSessionStore,
  exportSessions,
  importSessions,
  migrateSessionStores,
  migrateStore,
  restoreBackup,
  rollbackStore,
  verifyBackup,
} from "./on-demand.js";
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
export type { BackupOptions, BackupResult, VerifyBackupOptions } from "./transfer/backup.js";
export type { BackupManifest } from "./transfer/backup-files.js";
export type { BundleSource } from "./transfer/bundle-format.js";
export type { BundleOptions } from "./transfer/bundle-writer.js";
export type { CopyOptions, CopyResult } from "./transfer/copy.js";
export type { ExportOptions, ExportResult } from "./transfer/export.js";
export type { ImportOptions, ImportResult } from "./transfer/import.js";
export type { ByteSink } from "./transfer/output-file.js";
export type { RestoreBackupOptions, RestoreBackupResult, StoreFigures } from "./transfer/restore.js";
export type { ConflictPolicy, SessionProblem, WriteCounts } from "./transfer/session-writer.js";
export type { StorePlace } from "./transfer/store-place.js";
