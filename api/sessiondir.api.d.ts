// The public API, recorded by `npm run api`. Do not edit.

// --- api.d.ts
import type { Capabilities, Cursor, DamagedSession, Durability, Finding, KeyRule, Logger, SessionPage, SessionQuery, StoreStats, VersionToken } from "./contract.js";
import type { Limits } from "./limits.js";
import type { SessionEntry } from "./sessions/entry.js";
export interface OpenOptions {
    durability?: Durability;
    readOnly?: boolean;
    migrate?: "auto" | "never";
    keys?: KeyRule;
    lockWaitMs?: number;
    conflictWaitMs?: number;
    cacheBytes?: number;
    limits?: Partial<Limits>;
    storeName?: string;
    logger?: Logger;
}
export interface WriteOptions {
    ifVersion?: VersionToken | null;
    signal?: AbortSignal;
    actor?: string;
    reason?: string;
}
export interface UpdateOptions extends WriteOptions {
    onConflict?: "rerun" | "merge";
}
export interface PatchOptions extends WriteOptions {
    createIfMissing?: boolean;
}
export interface RemoveOptions extends WriteOptions {
    purge?: boolean;
}
export interface TransactionOptions extends Omit<WriteOptions, "ifVersion"> {
}
export interface WatchOptions {
    since?: Cursor;
    signal?: AbortSignal;
}
export type Frozen<Entry> = Readonly<Entry>;
export interface VersionedEntry<Entry> {
    readonly entry: Frozen<Entry>;
    readonly version: VersionToken;
}
export type SessionChange<Entry> = {
    readonly type: "put";
    readonly key: string;
    readonly entry: Frozen<Entry>;
    readonly version: VersionToken;
    readonly commitId: string;
    readonly time: number;
    readonly actor?: string;
    readonly reason?: string;
    readonly cursor: Cursor;
} | {
    readonly type: "remove";
    readonly key: string;
    readonly entry?: undefined;
    readonly version: VersionToken;
    readonly commitId: string;
    readonly time: number;
    readonly actor?: string;
    readonly reason?: string;
    readonly cursor: Cursor;
} | {
    readonly type: "reset";
    readonly key?: undefined;
    readonly entry?: undefined;
    readonly version?: undefined;
    readonly cursor: Cursor;
};
export interface Transaction<Entry> {
    get(key: string): Promise<Frozen<Entry> | undefined>;
    set(key: string, entry: Entry): void;
    patch(key: string, fields: Partial<Entry>, options?: {
        createIfMissing?: boolean;
    }): Promise<void>;
    remove(key: string, options?: {
        purge?: boolean;
    }): Promise<boolean>;
}
export interface SessionStore<Entry extends object = SessionEntry> extends AsyncDisposable {
    readonly location: string;
    readonly capabilities: Capabilities;
    get(key: string): Promise<Frozen<Entry> | undefined>;
    getMany(keys: Iterable<string>): Promise<Map<string, Frozen<Entry>>>;
    getWithVersion(key: string): Promise<VersionedEntry<Entry> | undefined>;
    update(key: string, fn: (current: Frozen<Entry> | undefined) => Entry | undefined | Promise<Entry | undefined>, options?: UpdateOptions): Promise<Frozen<Entry> | undefined>;
    patch(key: string, fields: Partial<Entry>, options?: PatchOptions): Promise<Frozen<Entry>>;
    remove(key: string, options?: RemoveOptions): Promise<boolean>;
    transaction<Result>(fn: (transaction: Transaction<Entry>) => Result | Promise<Result>, options?: TransactionOptions): Promise<Result>;
    list(query?: SessionQuery): Promise<SessionPage>;
    entries(options?: {
        onDamaged?: (damaged: DamagedSession) => void;
        signal?: AbortSignal;
    }): AsyncIterableIterator<{
        key: string;
        entry: Frozen<Entry>;
        version: VersionToken;
    }>;
    watch(options?: WatchOptions): AsyncIterableIterator<SessionChange<Entry>>;
    sync(): Promise<void>;
    checkpoint(): Promise<void>;
    cursor(): Promise<Cursor>;
    stats(): Promise<StoreStats>;
    verify(options?: {
        onProgress?: (done: number, total: number) => void;
    }): AsyncIterableIterator<Finding>;
    close(): Promise<void>;
}

// --- contract.d.ts
import type { SessionStoreError } from "./errors.js";
import type { Limits } from "./limits.js";
export type FrozenEntry = Readonly<Record<string, unknown>>;
export type VersionToken = string;
export type Cursor = string;
export interface Versioned {
    readonly entry: FrozenEntry;
    readonly version: VersionToken;
}
export type Operation = {
    readonly type: "put";
    readonly key: string;
    readonly entry: FrozenEntry;
} | {
    readonly type: "patch";
    readonly key: string;
    readonly set: FrozenEntry;
    readonly unset: readonly string[];
    readonly entry: FrozenEntry;
} | {
    readonly type: "remove";
    readonly key: string;
    readonly purge: boolean;
};
export interface CommitRequest {
    readonly operations: readonly Operation[];
    readonly expected: ReadonlyMap<string, VersionToken | null>;
    readonly commitId?: string | undefined;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
    readonly signal?: AbortSignal | undefined;
}
export type CommitResult = {
    readonly status: "committed";
    readonly version: VersionToken;
} | {
    readonly status: "conflict";
    readonly current: ReadonlyMap<string, Versioned | undefined>;
};
export interface SnapshotEntry extends Versioned {
    readonly key: string;
}
export interface Snapshot extends AsyncIterable<SnapshotEntry> {
    readonly cursor: Cursor;
}
export type BackendChange = {
    readonly type: "put";
    readonly key: string;
    readonly entry: FrozenEntry;
    readonly version: VersionToken;
    readonly commitId: string;
    readonly timeMs: number;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
    readonly cursor: Cursor;
} | {
    readonly type: "remove";
    readonly key: string;
    readonly version: VersionToken;
    readonly commitId: string;
    readonly timeMs: number;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
    readonly cursor: Cursor;
} | {
    readonly type: "reset";
    readonly cursor: Cursor;
};
export type SessionOrder = "updatedAt" | "key";
export interface SessionQuery {
    agent?: string;
    channel?: string;
    kind?: SessionKind;
    activeSince?: number;
    search?: string;
    order?: SessionOrder;
    limit?: number;
    cursor?: string;
}
export type SessionKind = "main" | "direct" | "group" | "channel" | "thread" | "cron" | "subagent" | "acp" | "hook" | "global" | "unknown" | "other";
export interface SessionSummary {
    key: string;
    agent?: string;
    kind: SessionKind;
    channel?: string;
    updatedAt?: number;
    sessionId?: string;
    label?: string;
    displayName?: string;
    subject?: string;
    model?: string;
    modelProvider?: string;
    totalTokens?: number;
    contextTokens?: number;
    entryBytes?: number;
}
export interface SessionPage {
    sessions: SessionSummary[];
    nextCursor?: string;
}
export interface Finding {
    severity: "error" | "warning";
    code: string;
    path?: string;
    key?: string;
    message: string;
    nextStep: string;
}
export interface DamagedSession {
    key: string | undefined;
    error: SessionStoreError;
}
export interface StoreStats {
    backend: string;
    location: string;
    sessions?: number;
    version: VersionToken;
    [detail: string]: unknown;
}
export interface Capabilities {
    readonly denseVersions: boolean;
    readonly crossProcess: boolean;
    readonly changesAcrossRestart: boolean;
    readonly persistent: boolean;
    readonly trash: boolean;
}
export type KeyRule = "openclaw" | "exact";
export type Durability = "commit" | "interval";
export interface Logger {
    info?(message: string, fields?: Record<string, unknown>): void;
    warn(message: string, fields?: Record<string, unknown>): void;
}
export interface Backend {
    readonly kind: string;
    readonly location: string;
    readonly capabilities: Capabilities;
    readonly keyRule: KeyRule;
    readonly limits: Readonly<Limits>;
    readonly readOnly: boolean;
    read(keys: readonly string[]): Promise<Map<string, Versioned>>;
    commit(request: CommitRequest): Promise<CommitResult>;
    scan(options?: {
        onDamaged?: (damaged: DamagedSession) => void;
        signal?: AbortSignal;
    }): Promise<Snapshot>;
    list(query: SessionQuery): Promise<SessionPage>;
    changes(since: Cursor | undefined, options?: {
        signal?: AbortSignal;
    }): AsyncIterable<BackendChange>;
    cursor(): Promise<Cursor>;
    check(options?: {
        onProgress?: (done: number, total: number) => void;
    }): AsyncIterable<Finding>;
    sync(): Promise<void>;
    checkpoint(): Promise<void>;
    stats(): Promise<StoreStats>;
    close(): Promise<void>;
}

// --- errors.d.ts
export declare const errorCodes: readonly ["invalid_key", "invalid_entry", "invalid_option", "invalid_cursor", "limit_exceeded", "not_found", "conflict", "aborted", "closed", "read_only", "lock_timeout", "entry_damaged", "store_damaged", "store_missing", "store_gone", "store_fenced", "legacy_store", "invalid_legacy", "unsupported_layout", "unsupported_platform", "unsafe_path", "disk_full", "permission_denied", "too_many_files", "io_error", "outcome_unknown", "snapshot_expired"];
export type SessionStoreErrorCode = (typeof errorCodes)[number];
export interface SessionStoreErrorDetails {
    operation?: string;
    path?: string;
    key?: string;
    onDisk?: string;
    nextStep?: string;
    version?: string;
    attempts?: number;
    cause?: unknown;
}
export declare class SessionStoreError extends Error {
    readonly name = "SessionStoreError";
    readonly code: SessionStoreErrorCode;
    readonly problem: string;
    readonly operation: string | undefined;
    readonly path: string | undefined;
    readonly key: string | undefined;
    readonly onDisk: string | undefined;
    readonly nextStep: string | undefined;
    readonly version: string | undefined;
    readonly attempts: number | undefined;
    constructor(code: SessionStoreErrorCode, problem: string, details?: SessionStoreErrorDetails);
}
export declare function shortenKey(key: string): string;
export declare function fromSystemError(error: unknown, details: SessionStoreErrorDetails): SessionStoreError;

// --- index.d.ts
export type { Frozen, OpenOptions, PatchOptions, RemoveOptions, SessionChange, SessionStore, Transaction, TransactionOptions, UpdateOptions, VersionedEntry, WatchOptions, WriteOptions, } from "./api.js";
export type { Capabilities, Cursor, DamagedSession, Durability, Finding, KeyRule, Logger, SessionKind, SessionOrder, SessionPage, SessionQuery, SessionSummary, StoreStats, VersionToken, } from "./contract.js";
export { SessionStoreError, type SessionStoreErrorCode, type SessionStoreErrorDetails } from "./errors.js";
export type { Limits } from "./limits.js";
export { openSessionStore } from "./open.js";
export type { CliSessionBinding, SessionAcpMeta, SessionChatType, SessionCompactionCheckpoint, SessionDeliveryContext, SessionEntry, SessionOrigin, SessionSkillsSnapshot, TranscriptReference, } from "./sessions/entry.js";

// --- limits.d.ts
export interface Limits {
    keyBytes: number;
    entryBytes: number;
    recordBytes: number;
    nestingLevels: number;
    sessions: number;
    legacyFileBytes: number;
    segmentBytes: number;
    segmentAgeMs: number;
    segmentRetentionMs: number;
    segmentRetentionBytes: number;
    scanMaxMs: number;
    trashRetentionMs: number;
}
export declare const defaultLimits: Readonly<Limits>;
export declare const limitCaps: Readonly<Limits>;
export declare const fixedLimits: Readonly<{
    inlineKeyBytes: 120;
    entryFileBytesMax: number;
    manifestBytesMax: number;
    lockWaitMsDefault: 5000;
    lockWaitMsMax: 60000;
    conflictWaitMsDefault: 10000;
    cacheBytesDefault: number;
    intervalSyncMs: 500;
    strayFilesMax: 1024;
}>;

// --- open.d.ts
import type { OpenOptions, SessionStore } from "./api.js";
import type { SessionEntry } from "./sessions/entry.js";
export declare function openSessionStore<Entry extends object = SessionEntry>(location: string, options?: OpenOptions): Promise<SessionStore<Entry>>;

// --- sessions/entry.d.ts
export type SessionChatType = "direct" | "group" | "channel";
export interface SessionEntry {
    sessionId: string;
    updatedAt: number;
    sessionFile?: string;
    lastHeartbeatText?: string;
    lastHeartbeatSentAt?: number;
    heartbeatIsolatedBaseSessionKey?: string;
    heartbeatTaskState?: Record<string, number>;
    spawnedBy?: string;
    spawnedWorkspaceDir?: string;
    parentSessionKey?: string;
    forkedFromParent?: boolean;
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
    totalTokensFresh?: boolean;
    contextTokens?: number;
    cacheRead?: number;
    cacheWrite?: number;
    estimatedCostUsd?: number;
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
    origin?: SessionOrigin;
    deliveryContext?: SessionDeliveryContext;
    lastChannel?: string;
    lastTo?: string;
    lastAccountId?: string;
    lastThreadId?: string | number;
    skillsSnapshot?: SessionSkillsSnapshot;
    systemPromptReport?: Record<string, unknown>;
    pluginDebugEntries?: {
        pluginId: string;
        lines: string[];
    }[];
    acp?: SessionAcpMeta;
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
    skills: {
        name: string;
        primaryEnv?: string;
        requiredEnv?: string[];
    }[];
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
