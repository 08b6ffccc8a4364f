/** The public surface of sessiondir. What is not exported here may change at any time. */

export type {
  Frozen,
  OpenOptions,
  PatchOptions,
  RemoveOptions,
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
  KeyRule,
  Logger,
  SessionKind,
  SessionOrder,
  SessionPage,
  SessionQuery,
  SessionSummary,
  StoreStats,
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
