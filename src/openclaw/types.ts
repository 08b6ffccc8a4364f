/**
 * The types that callers of the compatible API pass and get. The configuration is the part of OpenClaw's that session
 * code reads; everything else in it may be there and is not looked at. Nothing here has an index signature where
 * callers pass objects of their own interfaces: TypeScript would refuse those.
 */

import type { SessionChatType, SessionDeliveryContext, SessionEntry, SessionOrigin } from "../sessions/entry.js";

export type {
  CliSessionBinding,
  SessionAcpMeta,
  SessionChatType,
  SessionCompactionCheckpoint,
  SessionEntry,
  SessionOrigin,
  SessionSkillsSnapshot,
} from "../sessions/entry.js";

/** `per-sender`: one session per conversation. `global`: one session for everything. */
export type SessionScope = "per-sender" | "global";

/** A channel such as `telegram`; any name is possible, because plugins bring their own. */
export type SessionChannelId = string;

/** Where a reply goes. */
export type DeliveryContext = SessionDeliveryContext;

/** The group or channel that a message belongs to. */
export interface GroupKeyResolution {
  /** `<channel>:<group|channel>:<id>`, lower case. */
  key: string;
  channel?: string;
  id?: string;
  chatType?: SessionChatType;
}

/** The fields of an inbound message that session code reads, and those that usually stand beside them. */
export interface MsgContext {
  From?: string;
  To?: string;
  Provider?: string;
  Surface?: string;
  ChatType?: string;
  SessionKey?: string;
  ParentSessionKey?: string;
  AccountId?: string;
  MessageThreadId?: string | number;
  OriginatingChannel?: string;
  OriginatingTo?: string;
  ConversationLabel?: string;
  ThreadLabel?: string;
  ThreadStarterBody?: string;
  SenderName?: string;
  SenderId?: string;
  GroupSubject?: string;
  GroupChannel?: string;
  GroupSpace?: string;
  NativeChannelId?: string;
  NativeDirectUserId?: string;
  // Not read here; callers write them into the same literal.
  Body?: string;
  RawBody?: string;
  CommandBody?: string;
  BodyForAgent?: string;
  BodyForCommands?: string;
  MessageSid?: string;
  Timestamp?: number;
  SenderUsername?: string;
  SenderE164?: string;
  WasMentioned?: boolean;
  CommandAuthorized?: boolean;
  CommandSource?: string;
}

/** `touch-activity` moves `updatedAt` to now, `preserve-activity` keeps that of an existing entry. */
export type SessionEntryMergePolicy = "touch-activity" | "preserve-activity";

export type SessionResetMode = "daily" | "idle";
export type SessionResetType = "direct" | "group" | "thread";

/** When a session starts anew by itself. */
export interface SessionResetConfig {
  mode?: SessionResetMode;
  /** Local hour of the daily boundary, 0 to 23. */
  atHour?: number;
  /** 0 is never. */
  idleMinutes?: number;
}

export interface SessionResetByTypeConfig {
  direct?: SessionResetConfig;
  /** The older name of `direct`. */
  dm?: SessionResetConfig;
  group?: SessionResetConfig;
  thread?: SessionResetConfig;
}

export type DmScope = "main" | "per-peer" | "per-channel-peer" | "per-account-channel-peer";

/** Section 4 of the configuration: what may be removed, and when. Values are resolved elsewhere. */
export interface SessionMaintenanceConfig {
  mode?: "warn" | "enforce";
  pruneAfter?: string | number;
  pruneDays?: number;
  maxEntries?: number;
  rotateBytes?: number | string;
  resetArchiveRetention?: string | number | false;
  maxDiskBytes?: number | string;
  highWaterBytes?: number | string;
}

export interface SessionConfig {
  scope?: SessionScope;
  dmScope?: DmScope;
  /** Canonical name -> the peers it stands for, as `<peer>` or `<channel>:<peer>`. */
  identityLinks?: Record<string, string[]>;
  mainKey?: string;
  /** Path of the store; may contain `{agentId}` and begin with `~`. */
  store?: string;
  resetTriggers?: string[];
  idleMinutes?: number;
  reset?: SessionResetConfig;
  resetByType?: SessionResetByTypeConfig;
  resetByChannel?: Record<string, SessionResetConfig>;
  maintenance?: SessionMaintenanceConfig;
  sendPolicy?: unknown;
  agentToAgent?: unknown;
  threadBindings?: unknown;
  typingMode?: unknown;
  typingIntervalSeconds?: number;
  parentForkMaxTokens?: number;
}

export interface AgentConfig {
  id?: string;
  default?: boolean;
  name?: string;
  workspace?: string;
  agentDir?: string;
  model?: unknown;
}

export interface OpenClawConfig {
  session?: SessionConfig;
  agents?: { list?: AgentConfig[]; defaults?: unknown };
  channels?: Record<string, unknown>;
  cron?: { enabled?: boolean; sessionRetention?: string | number | false; store?: string };
  messages?: unknown;
  commands?: unknown;
  gateway?: unknown;
  models?: unknown;
  plugins?: unknown;
  tools?: unknown;
  hooks?: unknown;
  bindings?: unknown;
  broadcast?: unknown;
  acp?: unknown;
  auth?: unknown;
  env?: unknown;
  logging?: unknown;
  meta?: unknown;
  skills?: unknown;
  ui?: unknown;
  web?: unknown;
}

/** The fields of an entry that say where its replies go, or went before `deliveryContext` existed. */
export interface DeliveryContextSessionSource {
  channel?: string;
  lastChannel?: string;
  lastTo?: string;
  lastAccountId?: string;
  lastThreadId?: string | number;
  deliveryContext?: DeliveryContext;
  origin?: Pick<SessionOrigin, "provider" | "accountId" | "threadId">;
}

/** What the gateway and its plugins call a store: session key -> entry. */
export type SessionStoreRecord = Record<string, SessionEntry>;
