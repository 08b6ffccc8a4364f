/**
 * The drop-in API: the functions of OpenClaw's session store (as of 2026.4.24) under their own names, so that a gateway or
 * a plugin changes one import. A list of exports and nothing else; each file says what its functions promise.
 */

export * from "./agent-config.js";
export * from "./channel-names.js";
export * from "./combined.js";
export * from "./conversation-label.js";
export * from "./delivery.js";
export * from "./delivery-info.js";
export * from "./derive-session-key.js";
export * from "./entry.js";
export * from "./expiring-cache.js";
export * from "./group.js";
export * from "./key-normalization.js";
export * from "./legacy-keys.js";
export * from "./main-session.js";
export * from "./metadata.js";
export * from "./origin.js";
export { isBlockedObjectKey } from "./prototype-keys.js";
export * from "./reset.js";
export * from "./reset-preserved-selection.js";
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
export * from "./stable-stringify.js";
export * from "./store-normalize.js";
export * from "./strings.js";
export * from "./subagent-depth.js";
export * from "./thread-info.js";
export * from "./transcript-mirror.js";
export * from "./types.js";
