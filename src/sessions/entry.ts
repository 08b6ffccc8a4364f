/**
 * The session entry of an OpenClaw gateway, all fields as of April 2026. The store itself needs none of them: it keeps
 * unknown fields and never invents one. Only `sessionId` and `updatedAt` are required by the gateway.
 */

export type SessionChatType = "direct" | "group" | "channel";

export interface SessionEntry {
  /** The current transcript: `<sessionId>.jsonl`, unless `sessionFile` says otherwise. */
  sessionId: string;
  /** Last activity of the session, milliseconds since 1970. */
  updatedAt: number;
  /** Explicit path of the transcript. */
  sessionFile?: string;

  /** The last heartbeat that was delivered, to suppress duplicates. */
  lastHeartbeatText?: string;
  lastHeartbeatSentAt?: number;
  /** Marks `<base>:heartbeat` as a synthetic isolated session. */
  heartbeatIsolatedBaseSessionKey?: string;
  /** Heartbeat task -> its last run, milliseconds since 1970. */
  heartbeatTaskState?: Record<string, number>;

  /** The session that spawned this one. */
  spawnedBy?: string;
  spawnedWorkspaceDir?: string;
  parentSessionKey?: string;
  forkedFromParent?: boolean;
  /** 0 main, 1 sub-agent, 2 sub-agent of a sub-agent. */
  spawnDepth?: number;
  subagentRole?: "orchestrator" | "leaf";
  subagentControlScope?: "children" | "none";

  systemSent?: boolean;
  abortedLastRun?: boolean;
  startedAt?: number;
  endedAt?: number;
  runtimeMs?: number;
  status?: "running" | "done" | "failed" | "killed" | "timeout";
  abortCutoffMessageSid?: string;
  abortCutoffTimestamp?: number;

  chatType?: SessionChatType;
  thinkingLevel?: string;
  verboseLevel?: string;
  reasoningLevel?: string;
  elevatedLevel?: string;
  traceLevel?: string;
  fastMode?: boolean;
  ttsAuto?: string;
  execHost?: string;
  execSecurity?: string;
  execAsk?: string;
  execNode?: string;
  responseUsage?: "on" | "off" | "tokens" | "full";

  providerOverride?: string;
  modelOverride?: string;
  /** Only overrides by the user survive a reset; absent means "user". */
  modelOverrideSource?: "auto" | "user";
  agentRuntimeOverride?: string;
  agentHarnessId?: string;
  authProfileOverride?: string;
  authProfileOverrideSource?: "auto" | "user";
  authProfileOverrideCompactionCount?: number;
  liveModelSwitchPending?: boolean;

  groupActivation?: "mention" | "always";
  groupActivationNeedsSystemIntro?: boolean;
  sendPolicy?: "allow" | "deny";
  queueMode?: "steer" | "followup" | "collect" | "steer-backlog" | "steer+backlog" | "queue" | "interrupt";
  queueDebounceMs?: number;
  queueCap?: number;
  queueDrop?: "old" | "new" | "summarize";

  inputTokens?: number;
  outputTokens?: number;
  totalTokens?: number;
  /** False: `totalTokens` is stale. */
  totalTokensFresh?: boolean;
  contextTokens?: number;
  cacheRead?: number;
  cacheWrite?: number;
  estimatedCostUsd?: number;
  /** The model of the last run; the provider means nothing without the model. */
  modelProvider?: string;
  model?: string;
  fallbackNoticeSelectedModel?: string;
  fallbackNoticeActiveModel?: string;
  fallbackNoticeReason?: string;

  compactionCount?: number;
  compactionCheckpoints?: SessionCompactionCheckpoint[];
  memoryFlushAt?: number;
  memoryFlushCompactionCount?: number;
  memoryFlushContextHash?: string;

  cliSessionIds?: Record<string, string>;
  cliSessionBindings?: Record<string, CliSessionBinding>;
  claudeCliSessionId?: string;

  label?: string;
  displayName?: string;
  channel?: string;
  groupId?: string;
  subject?: string;
  groupChannel?: string;
  space?: string;
  /** Where the conversation came from. */
  origin?: SessionOrigin;
  /** Where replies go. `last*` mirror it. */
  deliveryContext?: SessionDeliveryContext;
  lastChannel?: string;
  lastTo?: string;
  lastAccountId?: string;
  lastThreadId?: string | number;

  /** Large: the main driver of the size of a store. */
  skillsSnapshot?: SessionSkillsSnapshot;
  systemPromptReport?: Record<string, unknown>;
  pluginDebugEntries?: { pluginId: string; lines: string[] }[];
  acp?: SessionAcpMeta;

  /** Fields this version does not know are kept untouched. */
  [field: string]: unknown;
}

export interface SessionOrigin {
  label?: string;
  provider?: string;
  surface?: string;
  chatType?: SessionChatType;
  from?: string;
  to?: string;
  nativeChannelId?: string;
  nativeDirectUserId?: string;
  accountId?: string;
  threadId?: string | number;
}

export interface SessionDeliveryContext {
  channel?: string;
  to?: string;
  accountId?: string;
  threadId?: string | number;
}

export interface SessionSkillsSnapshot {
  prompt: string;
  skills: { name: string; primaryEnv?: string; requiredEnv?: string[] }[];
  skillFilter?: string[];
  resolvedSkills?: unknown[];
  version?: number;
}

export interface CliSessionBinding {
  sessionId: string;
  authProfileId?: string;
  authEpoch?: string;
  extraSystemPromptHash?: string;
  mcpConfigHash?: string;
}

export interface TranscriptReference {
  sessionId: string;
  sessionFile?: string;
  leafId?: string;
  entryId?: string;
}

export interface SessionCompactionCheckpoint {
  checkpointId: string;
  sessionKey: string;
  sessionId: string;
  createdAt: number;
  reason: "manual" | "auto-threshold" | "overflow-retry" | "timeout-retry";
  tokensBefore?: number;
  tokensAfter?: number;
  summary?: string;
  firstKeptEntryId?: string;
  preCompaction: TranscriptReference;
  postCompaction: TranscriptReference;
}

/** Protected from accidental loss: a write that drops it by mistake would orphan a running agent. */
export interface SessionAcpMeta {
  backend: string;
  agent: string;
  runtimeSessionName: string;
  identity?: {
    state: "pending" | "resolved";
    acpxRecordId?: string;
    acpxSessionId?: string;
    agentSessionId?: string;
    source: "ensure" | "status" | "event";
    lastUpdatedAt: number;
  };
  mode: "persistent" | "oneshot";
  runtimeOptions?: {
    runtimeMode?: string;
    model?: string;
    cwd?: string;
    permissionProfile?: string;
    timeoutSeconds?: number;
    backendExtras?: Record<string, string>;
  };
  cwd?: string;
  state: "idle" | "running" | "error";
  lastActivityAt: number;
  lastError?: string;
}
