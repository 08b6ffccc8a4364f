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
export { openSessionStore } from "./open.js";
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
