/**
 * The drop-in API: the functions of OpenClaw's session store (as of 2026.4.24) under their own names, so that a gateway or
 * a plugin changes one import. A list of exports and nothing else; each file says what its functions promise.
 */

export {
  type DiscoveredStore,
  type DiscoverOptions,
  type Discovery,
  discoverSessionStores,
  discoverSessionStoresSync,
} from "../discovery/stores.js";
export * from "./acp.js";
export * from "./agent-config.js";
export {
  type ArchiveSessionTranscriptsParams,
  archiveFileOnDisk,
  archiveRemovedSessionTranscripts,
  archiveSessionTranscripts,
  archiveSessionTranscriptsDetailed,
  cleanupArchivedSessionTranscripts,
} from "./archives.js";
export * from "./artifacts.js";
export * from "./channel-names.js";
export * from "./combined.js";
export * from "./conversation-label.js";
export * from "./delivery.js";
export * from "./delivery-info.js";
export * from "./derive-session-key.js";
export {
  type BudgetFile,
  enforceSessionDiskBudget,
  type SessionDiskBudgetLogger,
  type SessionDiskBudgetParams,
  type SessionDiskBudgetSweepResult,
} from "./disk-budget.js";
export * from "./durations.js";
export * from "./entry.js";
export * from "./expiring-cache.js";
export * from "./gateway-store.js";
export * from "./group.js";
export * from "./json-files.js";
export * from "./key-normalization.js";
export * from "./legacy-keys.js";
export {
  type LoadSessionStoreOptions,
  loadSessionStore,
  loadSessionStoreSummary,
  readSessionEntry,
  readSessionStoreReadOnly,
  readSessionUpdatedAt,
  type SessionStoreSummaryEntry,
} from "./load.js";
export { setSessionStoreLogger } from "./log.js";
export * from "./main-session.js";
export {
  type CapOptions,
  capEntryCount,
  formatSessionMaintenanceWarning,
  getActiveSessionMaintenanceWarning,
  type PruneOptions,
  pruneStaleEntries,
  type RemovedEntry,
  type SessionMaintenanceWarning,
} from "./maintenance.js";
export {
  type MaintenanceConfigSource,
  type ResolvedSessionMaintenanceConfig,
  resolveMaintenanceConfig,
  resolveMaintenanceConfigFromInput,
  type SessionMaintenanceMode,
} from "./maintenance-config.js";
export * from "./maintenance-tracker.js";
export * from "./metadata.js";
export * from "./origin.js";
export * from "./orphaned-keys.js";
export * from "./paths.js";
export { isBlockedObjectKey } from "./prototype-keys.js";
export * from "./reset.js";
export * from "./reset-preserved-selection.js";
export { rotateSessionFile } from "./rotate.js";
export { saveSessionStore } from "./save.js";
export * from "./session-cache.js";
export * from "./session-dirs.js";
export * from "./session-file.js";
export * from "./session-key.js";
export {
  deriveSessionChatTypeFromKey,
  getSubagentDepth,
  isAcpSessionKey,
  isCronRunSessionKey,
  isCronSessionKey,
  isSubagentSessionKey,
  type ParsedThreadSessionSuffix,
  parseRawSessionConversationRef,
  parseThreadSessionSuffix,
  type RawSessionConversationRef,
  resolveThreadParentSessionKey,
  resolveThreadSessionKeys,
  type SessionKeyChatType,
  type ThreadSessionKeysParams,
} from "./session-key-kinds.js";
export { closeSessionStores } from "./shared-handles.js";
export * from "./stable-stringify.js";
export * from "./startup.js";
export * from "./state-migrations.js";
export * from "./store-lock-queue.js";
export * from "./store-migration.js";
export * from "./store-normalize.js";
export * from "./strings.js";
export type { SessionDepthEntry, SessionDepthStore, SubagentDepthOptions } from "./subagent-depth.js";
export * from "./targets.js";
export * from "./thread-info.js";
export * from "./transcript-files.js";
export {
  acquireSessionWriteLock,
  resolveSessionLockMaxHoldFromTimeout,
  type SessionWriteLock,
  type SessionWriteLockParams,
} from "./transcript-lock.js";
export * from "./transcript-lock-cleanup.js";
export type { SessionLockInspection } from "./transcript-lock-file.js";
export * from "./transcript-mirror.js";
export * from "./transcript-session.js";
export * from "./types.js";
export { updateSessionStore } from "./update.js";
export * from "./update-entry.js";
export * from "./write-options.js";
