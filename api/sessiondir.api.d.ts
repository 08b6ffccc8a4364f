// The public API, recorded by `npm run api`. Do not edit.

// --- api.d.ts
import type { Capabilities, Cursor, DamagedSession, Durability, Finding, Generation, KeyRule, Logger, SessionPage, SessionQuery, StoreStats, TrashedSession, VersionToken } from "./contract.js";
import type { LimitOptions } from "./limits.js";
import type { PostgresOptions } from "./postgres-options.js";
import type { SessionEntry } from "./sessions/entry.js";
export interface OpenOptions {
    durability?: Durability | undefined;
    readOnly?: boolean | undefined;
    backend?: "auto" | "json" | undefined;
    rotateBytes?: number | undefined;
    migrate?: "auto" | "never" | undefined;
    keys?: KeyRule | undefined;
    lockWaitMs?: number | undefined;
    conflictWaitMs?: number | undefined;
    cacheBytes?: number | undefined;
    limits?: LimitOptions | undefined;
    storeName?: string | undefined;
    postgres?: PostgresOptions | undefined;
    logger?: Logger | undefined;
}
export interface WriteOptions {
    ifVersion?: VersionToken | null | undefined;
    signal?: AbortSignal | undefined;
    actor?: string | undefined;
    reason?: string | undefined;
}
export interface UpdateOptions extends WriteOptions {
    onConflict?: "rerun" | "merge" | undefined;
}
export interface PatchOptions extends WriteOptions {
    createIfMissing?: boolean | undefined;
}
export interface RemoveOptions extends WriteOptions {
    purge?: boolean | undefined;
}
export interface RestoreOptions extends Omit<WriteOptions, "ifVersion"> {
    replace?: boolean | undefined;
}
export interface EmptyTrashOptions {
    ids?: readonly string[] | undefined;
    removedBeforeMs?: number | undefined;
}
export interface TransactionOptions extends Omit<WriteOptions, "ifVersion"> {
}
export interface WatchOptions {
    since?: Cursor | undefined;
    signal?: AbortSignal | undefined;
}
export type Frozen<Entry> = Readonly<Entry>;
export type EntryFields<Entry> = {
    [Field in keyof Entry]?: Entry[Field] | undefined;
};
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
    patch(key: string, fields: EntryFields<Entry>, options?: {
        createIfMissing?: boolean | undefined;
    }): Promise<void>;
    remove(key: string, options?: {
        purge?: boolean | undefined;
    }): Promise<boolean>;
}
export interface SessionStore<Entry extends object = SessionEntry> extends AsyncDisposable {
    readonly location: string;
    readonly capabilities: Capabilities;
    get(key: string): Promise<Frozen<Entry> | undefined>;
    getMany(keys: Iterable<string>): Promise<Map<string, Frozen<Entry>>>;
    getWithVersion(key: string): Promise<VersionedEntry<Entry> | undefined>;
    update(key: string, fn: (current: Frozen<Entry> | undefined) => Entry | undefined | Promise<Entry | undefined>, options?: UpdateOptions): Promise<Frozen<Entry> | undefined>;
    patch(key: string, fields: EntryFields<Entry>, options?: PatchOptions): Promise<Frozen<Entry>>;
    remove(key: string, options?: RemoveOptions): Promise<boolean>;
    generations(key: string): Promise<readonly Generation[]>;
    reopenGeneration(key: string, sessionId: string, options?: WriteOptions): Promise<Frozen<Entry>>;
    trash(): AsyncIterableIterator<TrashedSession>;
    restore(idOrKey: string, options?: RestoreOptions): Promise<TrashedSession>;
    emptyTrash(options: EmptyTrashOptions): Promise<number>;
    transaction<Result>(fn: (transaction: Transaction<Entry>) => Result | Promise<Result>, options?: TransactionOptions): Promise<Result>;
    list(query?: SessionQuery): Promise<SessionPage>;
    entries(options?: {
        onDamaged?: ((damaged: DamagedSession) => void) | undefined;
        signal?: AbortSignal | undefined;
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
        onProgress?: ((done: number, total: number) => void) | undefined;
    }): AsyncIterableIterator<Finding>;
    close(): Promise<void>;
}

// --- backends/directory/activity.d.ts
import type { SessionPage, SessionQuery } from "../../contract.js";
import type { CommitRecord } from "./journal/record.js";
import type { View, ViewFollower } from "./view.js";
export interface SessionActivity {
    readonly updatedAt: number | undefined;
    readonly sessionId: string | undefined;
}
export type ActivityListener = (before: SessionActivity | undefined, after: SessionActivity | undefined) => void;
export declare class ActivityTable implements ViewFollower {
    #private;
    readonly sessions: Map<string, SessionActivity>;
    constructor(view: View, refresh: () => void);
    get isCurrent(): boolean;
    listen(listener: ActivityListener): void;
    fill(list?: (query: SessionQuery) => Promise<SessionPage>): Promise<void>;
    close(): void;
    afterCommit(record: CommitRecord): void;
    reset(): void;
}

// --- backends/directory/entries/cache.d.ts
import type { Versioned } from "../../../contract.js";
import type { BaseState } from "../journal/overlay.js";
export interface CachedEntry extends BaseState {
    readonly versioned: Versioned | undefined;
    readonly bytes: number;
}
export declare class EntryCache {
    private readonly entries;
    private readonly bytesMax;
    private usedBytes;
    constructor(bytesMax: number);
    get(key: string): CachedEntry | undefined;
    peek(key: string): CachedEntry | undefined;
    peekVersion(key: string): number | undefined;
    set(key: string, entry: CachedEntry): void;
    private makeRoom;
    delete(key: string): void;
    clear(): void;
    get stats(): {
        entries: number;
        bytes: number;
    };
}

// --- backends/directory/entries/entry-directory.d.ts
import { type StoreOwner } from "../../../fs/checked-file.js";
import { type Directory, type DirectoryEntry, type Port } from "../../../fs/port.js";
import { type FileNameRule } from "../layout.js";
import { type StoredEntry } from "./entry-file.js";
export interface EntryPlace {
    readonly directory: Directory;
    readonly name: string;
}
export interface EntryNaming {
    readonly fileNames: FileNameRule;
    readonly shardDigits: 0 | 2;
}
export declare class EntryDirectory {
    readonly root: Directory;
    private readonly port;
    private readonly naming;
    private readonly owner;
    private readonly device;
    private readonly shards;
    constructor(port: Port, root: Directory, naming: EntryNaming, owner: StoreOwner, device?: number);
    fileName(key: string): string;
    read(key: string): StoredEntry | undefined;
    private requireRoot;
    nameIsTakenByAnother(key: string): boolean;
    findPlace(key: string): EntryPlace | undefined;
    makePlace(key: string): EntryPlace;
    directories(): Iterable<Directory>;
    list(entriesMax: number): Iterable<{
        directory: Directory;
        batch: DirectoryEntry[];
    }>;
    close(): void;
    private openShardIfExists;
}

// --- backends/directory/entries/entry-file.d.ts
import type { FrozenEntry, Generation } from "../../../contract.js";
import { type StoreOwner } from "../../../fs/checked-file.js";
import { type Directory, type Port } from "../../../fs/port.js";
import type { CommitStamp } from "../version.js";
export interface StoredEntry extends CommitStamp {
    readonly key: string;
    readonly entry: FrozenEntry;
    readonly generations?: readonly Generation[] | undefined;
    readonly fileBytes: number;
}
export declare function formatEntryFile(key: string, stamp: CommitStamp, entry: FrozenEntry, generations?: readonly Generation[] | undefined): Buffer;
export declare function parseEntryFile(bytes: Uint8Array, key: string | undefined, displayPath: string): StoredEntry;
export declare function readEntryFileIfExists(port: Port, directory: Directory, name: string, key: string | undefined, owner: StoreOwner): StoredEntry | undefined;
export declare function writeTemporaryFile(port: Port, directory: Directory, name: string, bytes: Uint8Array): Promise<void>;

// --- backends/directory/journal/live-segment.d.ts
import type { File } from "../../../fs/port.js";
import { SegmentOverlay } from "./overlay.js";
import type { SealReason } from "./record.js";
export interface LiveSegment {
    readonly first: number;
    readonly file: File;
    readonly overlay: SegmentOverlay;
    offset: number;
    seenBytes: number;
    lastVersion: number;
    seal: SealReason | undefined;
    sealOffset: number | undefined;
    firstRecordMs: number | undefined;
    suspectFrom: number;
    syncedOffset: number;
    nameSynced: boolean;
    pins: number;
    retired: boolean;
    closed: boolean;
}
export declare function hasCommits(segment: LiveSegment): boolean;
export declare function newSegment(first: number, file: File): LiveSegment;

// --- backends/directory/journal/overlay.d.ts
import type { FrozenEntry, Generation } from "../../../contract.js";
import type { CommitStamp } from "../version.js";
import type { CarryRecord, CommitRecord, JsonObject } from "./record.js";
export interface KeyChange extends CommitStamp {
    readonly type: "put" | "patch" | "remove";
    entry: JsonObject | undefined;
    frozen: boolean;
    readonly set: JsonObject | undefined;
    readonly unset: readonly string[] | undefined;
    readonly base: number;
    readonly generations: readonly Generation[] | undefined;
    previous: KeyChange | undefined;
    readonly bytes: number;
}
export interface BaseState extends CommitStamp {
    readonly entry: FrozenEntry | undefined;
    readonly generations?: readonly Generation[] | undefined;
}
export declare class BaseMismatchError extends Error {
    constructor(expected: number, found: number);
}
export declare class SegmentOverlay {
    readonly changes: Map<string, KeyChange>;
    hasRemovals: boolean;
    addCommit(record: CommitRecord, recordBytes: number, latest: (key: string) => KeyChange | undefined): void;
    addCarry(record: CarryRecord, recordBytes: number, latest: (key: string) => KeyChange | undefined): void;
}
export declare function cutChain(change: KeyChange, version: number): void;
export declare function frozenEntryOf(change: KeyChange): FrozenEntry;
export declare function materialise(change: KeyChange, cached: BaseState | undefined, readBase: () => BaseState): BaseState;

// --- backends/directory/journal/record.d.ts
import type { Generation } from "../../../contract.js";
export type JsonObject = Record<string, unknown>;
export type RecordOperation = {
    readonly type: "put";
    readonly key: string;
    readonly entry: JsonObject;
    readonly generations?: readonly Generation[] | undefined;
    readonly trashPrevious?: boolean | undefined;
} | {
    readonly type: "patch";
    readonly key: string;
    readonly base: number;
    readonly set: JsonObject;
    readonly unset: readonly string[];
    readonly generations?: readonly Generation[] | undefined;
} | {
    readonly type: "remove";
    readonly key: string;
    readonly purge: boolean;
};
interface RecordCommon {
    readonly timeMs: number;
    readonly writer: string;
    readonly durable: number;
}
export interface CommitRecord extends RecordCommon {
    readonly type: "commit";
    readonly version: number;
    readonly record: string;
    readonly commitId?: string | undefined;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
    readonly store?: string | undefined;
    readonly previousRecord?: string | undefined;
    readonly operations: readonly RecordOperation[];
}
export type SealReason = "rotated" | "fenced" | "suspect";
export interface SealRecord extends RecordCommon {
    readonly type: "seal";
    readonly reason: SealReason;
    readonly lastVersion: number;
}
export interface CarriedTrash {
    readonly version: number;
    readonly record: string;
    readonly entry: JsonObject;
    readonly generations?: readonly Generation[] | undefined;
    readonly removedAtMs: number;
    readonly removedByVersion: number;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
}
export type CarriedState = {
    readonly trashed?: readonly CarriedTrash[] | undefined;
} & CarriedSession;
type CarriedSession = {
    readonly type: "put";
    readonly key: string;
    readonly version: number;
    readonly record: string;
    readonly entry: JsonObject;
    readonly generations?: readonly Generation[] | undefined;
} | {
    readonly type: "remove";
    readonly key: string;
    readonly version: number;
    readonly record: string;
};
export interface CarryRecord extends RecordCommon {
    readonly type: "carry";
    readonly store: string;
    readonly suspectFrom: number;
    readonly lastVersion: number;
    readonly lastRecord: string;
    readonly states: readonly CarriedState[];
}
export type JournalRecord = CommitRecord | SealRecord | CarryRecord;
export interface EncodedRecord {
    readonly bytes: Buffer;
    readonly record: string;
}
export declare function encodeCommit(commit: Omit<CommitRecord, "type" | "record">, scratch?: Buffer): EncodedRecord;
export declare function encodeSeal(seal: Omit<SealRecord, "type">): EncodedRecord;
export declare function encodeCarry(carry: Omit<CarryRecord, "type">): EncodedRecord;
export declare function findLine(bytes: Uint8Array, start: number): {
    end: number;
    next: number;
} | undefined;
export declare function decodeLine(line: Uint8Array): JournalRecord | undefined;
export {};

// --- backends/directory/layout.d.ts
export declare const manifestName = "state.json";
export declare const journalName = "journal";
export declare const entriesName = "entries";
export declare const trashName = "trash";
export declare const quarantineName = "quarantine";
export declare const summaryIndexName = "summary-index";
export declare const checkpointMarkerName = ".checkpoint-running";
export declare const blobsName = "blobs";
export declare const directoryMode = 448;
export declare const fileMode = 384;
export interface StoreLocation {
    readonly parentPath: string;
    readonly directoryName: string;
    readonly legacyName: string;
}
export declare function parseStoreLocation(location: string): StoreLocation | undefined;
export declare function lockNames(directoryName: string): {
    commit: string;
    checkpoint: string;
    scan: string;
};
export declare function stagingName(directoryName: string, unique: string): string;
export declare function parseStagingName(directoryName: string, name: string): string | undefined;
export type AsideKind = "bak" | "orphan";
export declare function asideName(directoryName: string, kind: AsideKind, timeMs: number): string;
export declare function readyName(directoryName: string, kind: AsideKind, timeMs: number): string;
export declare function parseReadyName(directoryName: string, name: string): string | undefined;
export declare function rollbackMarkerName(directoryName: string): string;
export declare function rollbackMarkerTemporaryName(directoryName: string): string;
export declare function rollbackExportName(legacyName: string, unique: string): string;
export declare function isRollbackExportName(legacyName: string, name: string): boolean;
export declare function segmentName(firstVersion: number): string;
export declare function parseSegmentName(name: string): number | undefined;
export type FileNameRule = "base64url" | "hash";
export declare function entryFileName(key: string, rule: FileNameRule): string;
export declare function parseEntryFileName(name: string): {
    key: string;
} | "hashed" | undefined;
export declare function shardName(key: string): string;
export declare function isShardName(name: string): boolean;
export declare function summaryRunName(version: number, random: Uint8Array): string;
export declare function isSummaryRunName(name: string): boolean;
export declare function temporaryName(random: Uint8Array): string;
export declare function isTemporaryName(name: string): boolean;
export declare function trashFileName(timeMs: number, version: number, entryName: string): string;
export declare function parseTrashFileName(name: string): {
    timeMs: number;
    version: number;
} | undefined;
export declare function trashId(name: string): string;
export declare function trashIdVersion(id: string): number | undefined;
export declare function quarantineFileName(timeMs: number, contentTag: string, name: string): string;

// --- backends/directory/manifest.d.ts
import type { KeyRule } from "../../contract.js";
import type { FileNameRule } from "./layout.js";
import type { CommitStamp } from "./version.js";
export declare const manifestKind = "sessiondir-store";
export declare const layoutVersion = 1;
export interface Provenance {
    readonly sourceName: string;
    readonly sourceBytes: number;
    readonly sourceSha256: string;
    readonly sourceEntries: number;
    readonly migratedEntries: number;
    readonly migratedAtMs: number;
}
export interface MergeRecord {
    readonly sourceName: string;
    readonly sourceBytes: number;
    readonly sourceSha256: string;
    readonly sourceEntries: number;
    readonly takenEntries: number;
    readonly mergedAtMs: number;
}
export interface Manifest {
    readonly kind: typeof manifestKind;
    readonly layoutVersion: typeof layoutVersion;
    readonly storeId: string;
    readonly incarnation: string;
    readonly createdMs: number;
    readonly lockFamily: string;
    readonly keyRule: KeyRule;
    readonly fileNames: FileNameRule;
    readonly shardDigits: 0 | 2;
    readonly features: {
        readonly required: readonly string[];
        readonly optional: readonly string[];
        readonly requiredForWriting?: readonly string[];
    };
    readonly migration: Provenance | null;
    readonly merges?: readonly MergeRecord[];
    readonly checkpoint: CommitStamp & {
        readonly timeMs: number;
    };
}
export declare function formatManifest(manifest: Manifest): string;
export declare function parseManifest(text: string, path: string): Manifest;
export declare function requireWritable({ features }: Manifest, path: string): void;

// --- backends/directory/read-point.d.ts
import type { Versioned } from "../../contract.js";
import type { CommitRecord } from "./journal/record.js";
import type { View, ViewFollower } from "./view.js";
export declare class ReadPointLostError extends Error {
    readonly name = "ReadPointLostError";
    constructor();
}
export declare class ReadPoint implements ViewFollower {
    #private;
    readonly version: number;
    constructor(view: View, refresh: () => void);
    read(key: string): Versioned | undefined;
    keys(): string[];
    isRemovedInJournal(key: string): boolean;
    close(): void;
    beforeCommit(record: CommitRecord): void;
    reset(): void;
}

// --- backends/directory/store-files.d.ts
import { type StoreOwner } from "../../fs/checked-file.js";
import { type Directory, type Port } from "../../fs/port.js";
import { EntryDirectory } from "./entries/entry-directory.js";
import * as layout from "./layout.js";
import { type Manifest } from "./manifest.js";
export declare class StoreFiles {
    readonly port: Port;
    readonly location: layout.StoreLocation;
    readonly parent: Directory;
    readonly store: Directory;
    readonly journal: Directory;
    readonly entries: EntryDirectory;
    readonly owner: StoreOwner;
    readonly manifest: Manifest;
    private readonly identity;
    private readonly opened;
    private parentSeenMs;
    private constructor();
    static open(port: Port, location: layout.StoreLocation, readOnly: boolean): StoreFiles;
    readManifest(): Manifest;
    writeManifest(manifest: Manifest): Promise<void>;
    isInPlace(): boolean;
    private parentIsInPlace;
    private isOurs;
    openOrMakePart(name: string): Directory;
    private makePart;
    sizeOfPart(name: string): number;
    private openPart;
    openPartIfExists(name: string): Directory | undefined;
    quarantineDurably(name: string, bytes: Uint8Array): Promise<void>;
    private writeUnderFreeName;
    quarantineCopy(directory: Directory, name: string): Promise<boolean>;
    makeQuarantine(): Promise<void>;
    quarantineMove(directory: Directory, name: string): void;
    listSegments(): number[];
    close(): void;
}
export declare function sizeOfFiles(port: Port, directory: Directory): number;
export declare function requireStoreParts(port: Port, store: Directory): void;

// --- backends/directory/version.d.ts
import type { Cursor, VersionToken } from "../../contract.js";
export interface CommitStamp {
    readonly version: number;
    readonly record: string;
}
export declare const originStamp: CommitStamp;
export declare function formatToken(stamp: CommitStamp, incarnation: string): VersionToken;
export declare function formatCursor(stamp: CommitStamp, incarnation: string): Cursor;
export declare function parseCursor(cursor: Cursor): CommitStamp & {
    readonly incarnation: string;
};
export declare function cursorIsOfIncarnation(cursorIncarnation: string, incarnation: string): boolean;

// --- backends/directory/view.d.ts
import type { Versioned } from "../../contract.js";
import { type CachedEntry, EntryCache } from "./entries/cache.js";
import { type LiveSegment } from "./journal/live-segment.js";
import { type BaseState, type KeyChange } from "./journal/overlay.js";
import type { CommitRecord } from "./journal/record.js";
import type { StoreFiles } from "./store-files.js";
import { type CommitStamp } from "./version.js";
export interface OpenDoubts {
    readonly strandedSegments: readonly number[];
}
export interface ViewFollower {
    beforeCommit?(record: CommitRecord): void;
    afterCommit?(record: CommitRecord): void;
    reset(): void;
}
export declare class View {
    readonly files: StoreFiles;
    readonly cache: EntryCache;
    segments: LiveSegment[];
    last: CommitStamp;
    checkpointVersion: number;
    durableVersion: number;
    onCommit: ((record: CommitRecord) => void) | undefined;
    onReset: (() => void) | undefined;
    readonly followers: Set<ViewFollower>;
    private readonly incarnation;
    private readonly dropped;
    private readonly openMode;
    private readonly fence;
    private lastCheckpointLookMs;
    private ownCommitMs;
    private foreignCommitMs;
    constructor(files: StoreFiles, cacheBytes: number, readOnly: boolean, fence?: "refuse" | "read");
    get current(): LiveSegment;
    rebuild(): OpenDoubts;
    private rebuildOrThrow;
    refresh(): void;
    private follow;
    private enterCarriedSegment;
    private enterProvenSuccessor;
    private firstRecordOf;
    private readSegment;
    private applyRecord;
    private assertSealFits;
    applyCommit(segment: LiveSegment, record: CommitRecord, lineBytes: number): void;
    enterSuccessor(segment: LiveSegment): void;
    dropCheckpointed(version: number): void;
    unpin(segment: LiveSegment): void;
    retire(segment: LiveSegment): void;
    private closeIfRetired;
    private lookForCheckpoint;
    keepWarm(key: string, change: KeyChange): void;
    latestChange(key: string): KeyChange | undefined;
    read(key: string): Versioned | undefined;
    readJudged(key: string): Versioned | undefined;
    currentToken(key: string): string | null;
    currentVersion(key: string): number;
    private forgetDropped;
    private load;
    readAt(key: string, version: number): BaseState;
    private readBase;
    noteOwnCommit(): void;
    recall(key: string): Versioned | undefined;
    remember(key: string, state: Pick<BaseState, "entry" | "generations">, stamp: CommitStamp, token?: string): CachedEntry;
    private forgetIfOlder;
    openSegmentIfExists(first: number): LiveSegment | undefined;
    dropAll(): void;
}

// --- contract.d.ts
import type { SessionStoreError } from "./errors.js";
import type { Limits } from "./limits.js";
export type FrozenEntry = Readonly<Record<string, unknown>>;
export type VersionToken = string;
export type Cursor = string;
export interface Generation {
    readonly sessionId: string;
    readonly sessionFile?: string;
    readonly endedMs: number;
    readonly actor?: string;
    readonly reason?: string;
}
export interface Versioned {
    readonly entry: FrozenEntry;
    readonly version: VersionToken;
    readonly generations?: readonly Generation[] | undefined;
}
export type Operation = {
    readonly type: "put";
    readonly key: string;
    readonly entry: FrozenEntry;
    readonly generations?: readonly Generation[] | undefined;
    readonly trashPrevious?: boolean | undefined;
} | {
    readonly type: "patch";
    readonly key: string;
    readonly set: FrozenEntry;
    readonly unset: readonly string[];
    readonly entry: FrozenEntry;
    readonly generations?: readonly Generation[] | undefined;
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
    agent?: string | undefined;
    channel?: string | undefined;
    kind?: SessionKind | undefined;
    activeSince?: number | undefined;
    search?: string | undefined;
    order?: SessionOrder | undefined;
    limit?: number | undefined;
    cursor?: string | undefined;
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
export interface TrashedSession {
    readonly id: string;
    readonly key: string;
    readonly entry: FrozenEntry;
    readonly generations?: readonly Generation[] | undefined;
    readonly removedMs: number;
    readonly actor?: string | undefined;
    readonly reason?: string | undefined;
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
    readonly generations: boolean;
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
    readNow?(key: string): Versioned | undefined;
    recall?(key: string): Versioned | undefined;
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
    trash(): AsyncIterable<TrashedSession>;
    emptyTrash(ids: readonly string[]): Promise<number>;
    sync(): Promise<void>;
    checkpoint(): Promise<void>;
    stats(): Promise<StoreStats>;
    close(): Promise<void>;
}

// --- discovery/agent-folders.d.ts
import { type SessionStoreErrorCode } from "../errors.js";
import { type Directory, type DirectoryEntry, type Port } from "../fs/port.js";
export declare const sessionsFolderName = "sessions";
export declare const storeFileName = "sessions.json";
export interface DiscoveryProblem {
    readonly path: string;
    readonly code: SessionStoreErrorCode;
    readonly message: string;
}
export interface AgentsRoot {
    readonly path: string;
    readonly realPath: string;
    readonly directory: Directory;
}
export declare function openAgentsRoot(port: Port, agentsPath: string, report: (problem: DiscoveryProblem) => void): AgentsRoot | undefined;
export declare function listAgentNames(port: Port, root: AgentsRoot, report: (problem: DiscoveryProblem) => void): DirectoryEntry[];
export interface SessionsFolder {
    readonly path: string;
    readonly realPath: string;
    readonly directory: Directory;
}
export declare function visitSessionsFolder(port: Port, root: AgentsRoot, agentName: string, report: (problem: DiscoveryProblem) => void, visit: (folder: SessionsFolder) => void): void;
export declare function unsafePlace(somePath: string, problem: string): DiscoveryProblem;
export declare function reportUnreachable(error: unknown, somePath: string, report: (problem: DiscoveryProblem) => void): void;

// --- discovery/state-dir.d.ts
import type { Port } from "../fs/port.js";
export type Environment = Readonly<Record<string, string | undefined>>;
export interface HomeOptions {
    readonly port?: Pick<Port, "realPath" | "homeDirectory"> | undefined;
    readonly homedir?: (() => string | undefined) | undefined;
}
export declare function resolveHomeDirectory(env?: Environment, options?: HomeOptions): string;
export declare function resolveStateDir(env?: Environment, options?: HomeOptions): string;
export declare function resolveUserPath(somePath: string, env?: Environment, options?: HomeOptions): string;

// --- discovery/store-forms.d.ts
import { type StoreLocation } from "../backends/directory/layout.js";
import { type Directory, type Port } from "../fs/port.js";
export type DirectoryForm = "absent" | "store" | "openclaw" | "ready" | "unknown";
export interface StoreForms {
    readonly legacy: boolean;
    readonly directory: DirectoryForm;
    readonly unsafe: readonly {
        readonly name: string;
        readonly problem: string;
    }[];
}
export declare function inspectStoreForms(port: Port, folder: Directory, location: StoreLocation): StoreForms;
export declare function hasStore(forms: StoreForms): boolean;
export declare function hasActiveDirectory({ directory }: StoreForms): boolean;

// --- discovery/stores.d.ts
import { type Port } from "../fs/port.js";
import { type DiscoveryProblem } from "./agent-folders.js";
import { type Environment } from "./state-dir.js";
import { type DirectoryForm } from "./store-forms.js";
export interface DiscoverOptions {
    readonly port?: Port | undefined;
    readonly stateDir?: string | undefined;
    readonly env?: Environment | undefined;
    readonly configuredStorePath?: string | undefined;
    readonly agentIds?: Iterable<string> | undefined;
}
export interface DiscoveredStore {
    readonly path: string;
    readonly realPath: string;
    readonly agentId: string | undefined;
    readonly origin: "configured" | "state_dir";
    readonly legacy: boolean;
    readonly directory: DirectoryForm;
}
export interface Discovery {
    readonly stores: DiscoveredStore[];
    readonly problems: DiscoveryProblem[];
}
export declare function discoverSessionStores(options?: DiscoverOptions): Promise<Discovery>;
export declare function discoverSessionStoresSync(options?: DiscoverOptions): Discovery;

// --- errors.d.ts
export declare const errorCodes: readonly ["invalid_key", "invalid_entry", "invalid_option", "invalid_cursor", "limit_exceeded", "not_found", "conflict", "aborted", "closed", "read_only", "lock_timeout", "entry_damaged", "store_damaged", "store_missing", "store_gone", "store_fenced", "legacy_store", "invalid_legacy", "invalid_bundle", "unsupported_layout", "unsupported_platform", "unsafe_path", "disk_full", "permission_denied", "too_many_files", "io_error", "outcome_unknown", "snapshot_expired", "driver_missing", "connection_failed", "unsafe_server"];
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
export declare function translateIfOfSystem(error: unknown, details: SessionStoreErrorDetails): unknown;
export declare function translatingSystemErrors<Result>(details: SessionStoreErrorDetails, work: () => Promise<Result>): Promise<Result>;
export declare function fromSystemError(error: unknown, details: SessionStoreErrorDetails): SessionStoreError;

// --- fs/checked-file.d.ts
import { SessionStoreError } from "../errors.js";
import { type Directory, type File, type FileStat, type OpenMode, type Port } from "./port.js";
export interface StoreOwner {
    readonly uid: number | undefined;
}
export declare class UntrustedFileError extends SessionStoreError {
    readonly nextStep: string;
}
export declare function openChecked(port: Port, directory: Directory, name: string, mode: OpenMode, owner: StoreOwner): File;
export declare function readChecked(port: Port, directory: Directory, name: string, bytesMax: number, owner: StoreOwner): Uint8Array;
export declare function findFileProblem(stat: FileStat, owner: StoreOwner): string | undefined;
export declare function explainRefusal(port: Port, directory: Directory, name: string, owner: StoreOwner, error: unknown): {
    readonly problem: string;
    readonly nextStep: string | undefined;
};
export declare function openRealDirectory(port: Port, parent: Directory, name: string): Directory;
export declare function openCheckedDirectory(port: Port, parent: Directory, name: string, owner: StoreOwner, device?: number): Directory;
export declare function findDirectoryProblem(stat: FileStat, owner: StoreOwner): string | undefined;
export declare function readWhole(port: Port, file: File, bytesMax: number, sizeBytes?: number): Uint8Array;
export declare function writeNewFile(port: Port, directory: Directory, name: string, bytes: Uint8Array): File;
export declare function shortWrite(written: number, wanted: number): Error;

// --- fs/port.d.ts
export interface Directory {
    readonly displayPath: string;
}
export interface File {
    readonly displayPath: string;
}
export type FileKind = "file" | "directory" | "symlink" | "other";
export interface FileStat {
    readonly kind: FileKind;
    readonly sizeBytes: number;
    readonly mode: number;
    readonly ownerUid: number;
    readonly linkCount: number;
    readonly device: number;
    readonly inode: number;
    readonly modifiedMs: number;
}
export interface DirectoryEntry {
    readonly name: string;
    readonly kind: FileKind;
}
export type OpenMode = "read" | "append" | "create" | "lock";
export interface Timer {
    cancel(): void;
}
export interface ProcessState {
    readonly alive: boolean;
    readonly startTime: number | undefined;
}
export interface Port {
    openRoot(path: string): Directory;
    statRoot(path: string): FileStat | undefined;
    openDirectory(parent: Directory, name: string): Directory;
    realPath(path: string): string;
    closeDirectory(directory: Directory): void;
    statDirectory(directory: Directory): FileStat;
    list(directory: Directory, entriesMax: number): DirectoryEntry[];
    listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]>;
    makeDirectory(parent: Directory, name: string, mode: number): void;
    removeDirectory(parent: Directory, name: string): void;
    syncDirectory(directory: Directory): Promise<void>;
    open(directory: Directory, name: string, mode: OpenMode): File;
    close(file: File): void;
    stat(file: File): FileStat;
    statName(directory: Directory, name: string): FileStat | undefined;
    statAtPath?(directory: Directory, name: string): FileStat | undefined;
    requireWritable?(directory: Directory): void;
    read(file: File, buffer: Uint8Array, position: number): number;
    append(file: File, bytes: Uint8Array): number;
    truncate(file: File, sizeBytes: number): void;
    setMode(file: File, mode: number): void;
    syncFile(file: File): Promise<void>;
    rename(fromDirectory: Directory, fromName: string, toDirectory: Directory, toName: string): void;
    unlink(directory: Directory, name: string): void;
    statFileSystem(directory: Directory): {
        readonly freeBytes: number;
        readonly type: number;
    };
    readonly lockFamily: string;
    tryLock(file: File, kind: "exclusive" | "shared"): boolean;
    unlock(file: File): void;
    describeLockHolder(file: File): string | undefined;
    nowMs(): number;
    monotonicMs(): number;
    randomBytes(count: number): Uint8Array;
    random(): number;
    nap(microseconds: number): void;
    sleep(ms: number, signal?: AbortSignal): Promise<void>;
    yieldToEventLoop(): Promise<void>;
    startTimer(ms: number, callback: () => void): Timer;
    readonly processId: number;
    inspectProcess(processId: number): ProcessState;
    readonly userId: number | undefined;
    readonly homeDirectory: string | undefined;
}
export declare function hasCode(error: unknown, ...codes: string[]): boolean;

// --- index.d.ts
export type { EmptyTrashOptions, EntryFields, Frozen, OpenOptions, PatchOptions, RemoveOptions, RestoreOptions, SessionChange, SessionStore, Transaction, TransactionOptions, UpdateOptions, VersionedEntry, WatchOptions, WriteOptions, } from "./api.js";
export type { Capabilities, Cursor, DamagedSession, Durability, Finding, Generation, KeyRule, Logger, SessionKind, SessionOrder, SessionPage, SessionQuery, SessionSummary, StoreStats, TrashedSession, VersionToken, } from "./contract.js";
export { SessionStoreError, type SessionStoreErrorCode, type SessionStoreErrorDetails } from "./errors.js";
export type { LimitOptions, Limits } from "./limits.js";
export type { Detection, DetectionStatus, DetectOptions, RefusedKey } from "./migrate/detect.js";
export type { MigrateOptions } from "./migrate/migrate.js";
export type { DiscoveryProblem, MergeCounts, MigrateSessionStoresOptions, MigrationLog, MigrationOutcome, MigrationProgress, MigrationReport, MigrationResult, OutcomeCounts, } from "./migrate/report.js";
export type { RollbackOptions, RollbackOutcome, RollbackResult } from "./migrate/rollback.js";
export { copyStore, createBackup, detectSessionStore, exportSessions, importSessions, migrateSessionStores, migrateStore, restoreBackup, rollbackStore, verifyBackup, } from "./on-demand.js";
export { openSessionStore } from "./open.js";
export type { PostgresOptions } from "./postgres-options.js";
export type { CliSessionBinding, SessionAcpMeta, SessionChatType, SessionCompactionCheckpoint, SessionDeliveryContext, SessionEntry, SessionOrigin, SessionSkillsSnapshot, TranscriptReference, } from "./sessions/entry.js";
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
export type LimitOptions = {
    [Name in keyof Limits]?: Limits[Name] | undefined;
};
export declare const defaultLimits: Readonly<Limits>;
export declare const limitCaps: Readonly<Limits>;
export declare const gatewayLimits: Readonly<Limits>;
export declare const fixedLimits: Readonly<{
    inlineKeyBytes: 120;
    entryFileBytesMax: number;
    manifestBytesMax: number;
    lockWaitMsDefault: 5000;
    lockWaitMsMax: 60000;
    conflictWaitMsDefault: 10000;
    cacheBytesDefault: number;
    rotateBytesDefault: number;
    intervalSyncMs: 500;
    generationsMax: 200;
    strayFilesMax: 1024;
}>;

// --- migrate/detect.d.ts
import type { KeyRule } from "../contract.js";
import type { Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { type RefusedKey } from "./legacy-content.js";
export type { RefusedKey } from "./legacy-content.js";
export type DetectionStatus = "already_directory" | "ready_to_migrate" | "rolled_back" | "empty_legacy" | "invalid_legacy" | "missing";
export interface Detection {
    storePath: string;
    directoryPath: string;
    status: DetectionStatus;
    legacyExists: boolean;
    directoryActive: boolean;
    legacyEntryCount: number;
    normalizedEntryCount: number;
    sizeBytes: number;
    duplicates: string[][];
    refusedKeys: RefusedKey[];
    preview: string[];
    warnings: string[];
}
export interface DetectOptions {
    readonly keys?: KeyRule | undefined;
    readonly limits?: Partial<Limits> | undefined;
}
export declare function detectSessionStore(location: string, options?: DetectOptions): Promise<Detection>;
export declare function detectOnPort(port: Port, location: string, options?: DetectOptions): Detection;

// --- migrate/legacy-content.d.ts
import type { FrozenEntry, KeyRule } from "../contract.js";
import type { Limits } from "../limits.js";
import { type InvalidLegacy } from "../sessions/legacy-text.js";
export interface LegacyRules {
    readonly keyRule: KeyRule;
    readonly limits: Readonly<Limits>;
}
export interface RefusedKey {
    readonly key: string;
    readonly reason: string;
}
export interface LegacySessions {
    readonly state: "empty" | "valid";
    readonly sourceEntries: number;
    readonly entries: ReadonlyMap<string, FrozenEntry>;
    readonly refused: readonly RefusedKey[];
    readonly duplicates: readonly (readonly string[])[];
    readonly tolerated: readonly string[];
}
export declare function parseLegacyContent(bytes: Uint8Array, rules: LegacyRules): LegacySessions | InvalidLegacy;
export declare class SessionCollector {
    private readonly rules;
    private readonly entries;
    private readonly spellings;
    private readonly refused;
    private count;
    private holdsMoreThanNothing;
    constructor(rules: LegacyRules);
    take(name: string, value: unknown, isStrictJson: boolean): void;
    refuseFile(name: string, reason: string): void;
    finish(tolerated?: readonly string[]): LegacySessions | InvalidLegacy;
    private refuse;
}
export declare function updatedAtOf(entry: FrozenEntry): number;
export declare function listRefused(refused: readonly RefusedKey[]): string;
export declare function describeSessions(sessions: LegacySessions): string[];
export declare function countOf(count: number, one: string, many: string): string;

// --- migrate/migrate.d.ts
import type { KeyRule, Logger } from "../contract.js";
import { type Port } from "../fs/port.js";
import { type Limits } from "../limits.js";
import { type MigrationResult } from "./result.js";
export type { MergeCounts, MigrationOutcome, MigrationResult } from "./result.js";
export interface MigrateOptions {
    readonly dryRun?: boolean | undefined;
    readonly force?: boolean | undefined;
    readonly onProgress?: ((done: number, total: number) => void) | undefined;
    readonly logger?: Logger | undefined;
    readonly keys?: KeyRule | undefined;
    readonly limits?: Partial<Limits> | undefined;
    readonly port?: Port | undefined;
}
export declare function migrateStore(location: string, options?: MigrateOptions): Promise<MigrationResult>;
export declare function checkLimits(given: Partial<Limits> | undefined, operation?: string): Readonly<Limits>;

// --- migrate/report.d.ts
import type { DiscoveryProblem } from "../discovery/agent-folders.js";
import { type DiscoverOptions } from "../discovery/stores.js";
import type { Port } from "../fs/port.js";
import { type MigrateOptions } from "./migrate.js";
import type { MigrationOutcome, MigrationResult } from "./result.js";
export type { DiscoveryProblem } from "../discovery/agent-folders.js";
export type { MergeCounts, MigrationOutcome, MigrationResult } from "./migrate.js";
export interface MigrationLog {
    info(message: string): void;
    warn(message: string): void;
}
export interface MigrationProgress {
    readonly storePath: string;
    readonly store: number;
    readonly stores: number;
    readonly done: number;
    readonly total: number;
}
export interface MigrateStoresOptions extends Pick<MigrateOptions, "dryRun" | "force" | "keys" | "limits"> {
    readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
    readonly onResult?: ((result: MigrationResult) => void) | undefined;
}
export interface MigrateSessionStoresOptions extends Omit<DiscoverOptions, "port">, MigrateStoresOptions {
    readonly log?: MigrationLog | undefined;
}
export interface MigrationReport {
    results: MigrationResult[];
    problems: DiscoveryProblem[];
    counts: OutcomeCounts;
    summaryLine: string | undefined;
    level: "info" | "warn";
}
export type OutcomeCounts = {
    inspected: number;
} & Record<MigrationOutcome, number>;
export declare function migrateSessionStores(options?: MigrateSessionStoresOptions): Promise<MigrationReport>;
export declare function migrateSessionStoresOnPort(port: Port, options: MigrateSessionStoresOptions): Promise<MigrationReport>;
export declare function migrateStores(port: Port, locations: readonly string[], options: MigrateStoresOptions): Promise<MigrationResult[]>;
export declare function makeReport(results: readonly MigrationResult[], problems: readonly DiscoveryProblem[], dryRun: boolean): MigrationReport;
export declare function describeCounts(counts: OutcomeCounts, dryRun: boolean): string;

// --- migrate/result.d.ts
import type { StoreLocation } from "../backends/directory/layout.js";
import type { SessionStoreErrorCode } from "../errors.js";
export type MigrationOutcome = "migrated" | "already_directory" | "skipped_empty" | "skipped_invalid" | "failed" | "missing";
export interface MigrationResult {
    storePath: string;
    outcome: MigrationOutcome;
    legacyEntries: number;
    migratedEntries: number;
    backupPath?: string;
    displacedPath?: string;
    merge?: MergeCounts;
    directoryPath: string;
    warnings: string[];
    error?: {
        code: SessionStoreErrorCode;
        message: string;
    };
}
export interface MergeCounts {
    added: number;
    replaced: number;
    same: number;
    older: number;
    removed: number;
    damaged: number;
}
export declare function emptyResult(location: StoreLocation, outcome: MigrationOutcome): MigrationResult;
export declare function legacyPathOf(location: StoreLocation): string;
export declare function directoryPathOf(location: StoreLocation): string;

// --- migrate/rollback-result.d.ts
import type { StoreLocation } from "../backends/directory/layout.js";
import { SessionStoreError, type SessionStoreErrorCode } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
export type RollbackOutcome = "restored" | "skipped" | "failed";
export interface RollbackResult {
    legacyPath: string;
    outcome: RollbackOutcome;
    sessions: number;
    backupDirectoryPath?: string;
    replacedFilePath?: string;
    reason?: string;
    warnings: string[];
    error?: {
        code: SessionStoreErrorCode;
        message: string;
    };
}
export declare function rollbackResult(location: StoreLocation, outcome: RollbackOutcome): RollbackResult;
export declare function skipped(location: StoreLocation, reason: string): RollbackResult;
export declare function findNotOurs(port: Port, parent: Directory, location: StoreLocation): RollbackResult | undefined;
export declare function nothingToRollBack(port: Port, parent: Directory, location: StoreLocation): RollbackResult;
export declare function failedRollback(error: unknown, location: StoreLocation): RollbackResult;
export declare function notFinished(cause: unknown, location: StoreLocation): SessionStoreError;

// --- migrate/rollback.d.ts
import type { Logger } from "../contract.js";
import { type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { type RollbackResult } from "./rollback-result.js";
export type { RollbackOutcome, RollbackResult } from "./rollback-result.js";
export interface RollbackOptions {
    readonly dryRun?: boolean | undefined;
    readonly onProgress?: ((done: number, total: number) => void) | undefined;
    readonly logger?: Logger | undefined;
    readonly limits?: Partial<Limits> | undefined;
    readonly port?: Port | undefined;
}
export declare function rollbackStore(location: string, options?: RollbackOptions): Promise<RollbackResult>;

// --- on-demand.d.ts
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
export declare function detectSessionStore(location: string, options?: DetectOptions): Promise<Detection>;
export declare function migrateStore(location: string, options?: MigrateOptions): Promise<MigrationResult>;
export declare function migrateSessionStores(options?: MigrateSessionStoresOptions): Promise<MigrationReport>;
export declare function rollbackStore(location: string, options?: RollbackOptions): Promise<RollbackResult>;
export declare function createBackup(store: StorePlace, targetDirectory: string, options?: BackupOptions): Promise<BackupResult>;
export declare function verifyBackup(backupPath: string, options?: VerifyBackupOptions): Promise<BackupManifest>;
export declare function restoreBackup(backupPath: string, storeLocation: string, options?: RestoreBackupOptions): Promise<RestoreBackupResult>;
export declare function copyStore(source: StorePlace, target: StorePlace, options?: CopyOptions): Promise<CopyResult>;
export declare function exportSessions(store: StorePlace, output: string | ByteSink, options?: ExportOptions): Promise<ExportResult>;
export declare function importSessions(bundlePath: string, store: StorePlace, options?: ImportOptions): Promise<ImportResult>;

// --- open.d.ts
import type { OpenOptions, SessionStore } from "./api.js";
import type { SessionEntry } from "./sessions/entry.js";
export declare function openSessionStore<Entry extends object = SessionEntry>(location: string, options?: OpenOptions): Promise<SessionStore<Entry>>;

// --- openclaw/acp.d.ts
import type { OpenClawConfig, SessionAcpMeta, SessionEntry } from "./types.js";
type AcpConfig = Pick<OpenClawConfig, "session" | "agents">;
export interface AcpSessionStoreEntry {
    cfg: AcpConfig;
    storePath: string;
    sessionKey: string;
    storeSessionKey: string;
    entry?: SessionEntry;
    acp?: SessionAcpMeta;
    storeReadFailed?: boolean;
}
export declare function readAcpSessionEntry(params: {
    sessionKey: string;
    cfg?: AcpConfig;
}): AcpSessionStoreEntry | null;
export declare function listAcpSessionEntries(params?: {
    cfg?: AcpConfig;
    env?: NodeJS.ProcessEnv;
}): Promise<AcpSessionStoreEntry[]>;
export declare function upsertAcpSessionMeta(params: {
    sessionKey: string;
    cfg?: AcpConfig;
    mutate: (current: SessionAcpMeta | undefined, entry: SessionEntry | undefined) => SessionAcpMeta | null | undefined;
}): Promise<SessionEntry | null>;
export {};

// --- openclaw/agent-config.d.ts
import type { OpenClawConfig } from "./types.js";
type AgentsConfig = Pick<OpenClawConfig, "agents">;
export declare function listAgentIds(cfg: AgentsConfig | null | undefined): string[];
export declare function resolveDefaultAgentId(cfg: AgentsConfig | null | undefined): string;
export {};

// --- openclaw/archives.d.ts
import { type SessionArchiveReason } from "./artifacts.js";
import { type ArchivedSessionTranscript } from "./transcript-files.js";
export interface ArchiveSessionTranscriptsParams {
    sessionId: string;
    storePath: string | undefined;
    sessionFile?: string;
    agentId?: string;
    reason: "reset" | "deleted";
    restrictToStoreDir?: boolean;
}
export declare function archiveFileOnDisk(filePath: string, reason: SessionArchiveReason): string;
export declare function archiveSessionTranscripts(params: ArchiveSessionTranscriptsParams): string[];
export declare function archiveSessionTranscriptsDetailed(params: ArchiveSessionTranscriptsParams): ArchivedSessionTranscript[];
export declare function findSessionTranscripts(params: Omit<ArchiveSessionTranscriptsParams, "reason">): string[];
export declare function archiveRemovedSessionTranscripts(params: {
    removedSessionFiles: Iterable<readonly [sessionId: string, sessionFile: string | undefined]>;
    referencedSessionIds: ReadonlySet<string>;
    storePath: string;
    reason: "deleted" | "reset";
    restrictToStoreDir?: boolean;
}): Promise<Set<string>>;
export declare function cleanupArchivedSessionTranscripts(params: ExpiredArchivesParams): Promise<{
    removed: number;
    scanned: number;
}>;
export interface ExpiredArchivesParams {
    directories: Iterable<string>;
    olderThanMs: number;
    reason?: SessionArchiveReason;
    nowMs?: number;
}
export interface ExpiredArchive {
    readonly directory: string;
    readonly name: string;
    readonly sizeBytes: number;
}
export declare function findExpiredArchives(params: ExpiredArchivesParams): Promise<{
    expired: ExpiredArchive[];
    scanned: number;
}>;

// --- openclaw/artifacts.d.ts
export type SessionArchiveReason = "bak" | "reset" | "deleted";
export declare function isSessionArchiveArtifactName(fileName: string): boolean;
export declare function isSessionStoreBackupName(fileName: string): boolean;
export declare function isPrimarySessionTranscriptFileName(fileName: string): boolean;
export declare function isUsageCountedSessionTranscriptFileName(fileName: string): boolean;
export declare function parseUsageCountedSessionIdFromFileName(fileName: string): string | null;
export declare function formatSessionArchiveTimestamp(nowMs?: number): string;
export declare function parseSessionArchiveTimestamp(fileName: string, reason: SessionArchiveReason): number | null;

// --- openclaw/channel-names.d.ts
import type { SessionChatType } from "./types.js";
export declare function normalizeMessageChannel(channel: string | null | undefined): string | undefined;
export declare function channelHasRooms(channel: string): boolean;
export declare function normalizeChatType(chatType: string | null | undefined): SessionChatType | undefined;

// --- openclaw/combined.d.ts
import type { OpenClawConfig, SessionEntry } from "./types.js";
type StoreConfig = Pick<OpenClawConfig, "session" | "agents">;
export interface CombinedStoreSource {
    agentId: string;
    storePath: string;
    store: Record<string, SessionEntry>;
}
export declare const MULTIPLE_STORE_PATHS = "(multiple)";
export declare function combineSessionStores(params: {
    cfg: StoreConfig;
    sources: readonly CombinedStoreSource[];
}): {
    storePath: string;
    store: Record<string, SessionEntry>;
};
export declare function combineSharedSessionStore(params: {
    cfg: StoreConfig;
    storePath: string;
    store: Record<string, SessionEntry>;
}): {
    storePath: string;
    store: Record<string, SessionEntry>;
};
export declare function mergeSessionEntryIntoCombined(params: {
    cfg: StoreConfig;
    combined: Record<string, SessionEntry>;
    entry: SessionEntry;
    agentId: string;
    canonicalKey: string;
}): void;
export {};

// --- openclaw/conversation-label.d.ts
import type { MsgContext } from "./types.js";
export declare function resolveConversationLabel(ctx: MsgContext): string | undefined;

// --- openclaw/delivery-info.d.ts
import type { DeliveryContextSessionSource } from "./types.js";
export interface ExtractedDeliveryInfo {
    deliveryContext?: {
        channel?: string;
        to?: string;
        accountId?: string;
        threadId?: string;
    };
    threadId?: string;
}
export declare function deliveryInfoOfSession(sessionKey: string | null | undefined, findEntry: (sessionKey: string) => DeliveryContextSessionSource | null | undefined): ExtractedDeliveryInfo;

// --- openclaw/delivery.d.ts
import type { DeliveryContext, DeliveryContextSessionSource } from "./types.js";
export declare function normalizeDeliveryContext(context?: DeliveryContext | null): DeliveryContext | undefined;
export declare function mergeDeliveryContext(primary?: DeliveryContext | null, fallback?: DeliveryContext | null): DeliveryContext | undefined;
export interface SessionDeliveryFields {
    deliveryContext?: DeliveryContext;
    lastChannel?: string;
    lastTo?: string;
    lastAccountId?: string;
    lastThreadId?: string | number;
}
export declare function normalizeSessionDeliveryFields(source?: DeliveryContextSessionSource | null): SessionDeliveryFields;
export declare function deliveryContextFromSession(entry?: DeliveryContextSessionSource | null): DeliveryContext | undefined;
export declare function storedThreadId(entry: DeliveryContextSessionSource): string | number | undefined;
export declare function deliveryContextKey(context?: DeliveryContext | null): string | undefined;

// --- openclaw/derive-session-key.d.ts
import type { MsgContext, SessionScope } from "./types.js";
export declare function deriveSessionKey(scope: SessionScope, ctx: MsgContext): string;
export declare function resolveSessionKey(scope: SessionScope, ctx: MsgContext, mainKey?: string): string;
export declare function normalizeExplicitSessionKey(sessionKey: string, ctx: MsgContext): string;

// --- openclaw/disk-budget.d.ts
import type { RemovedEntry } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import type { SessionEntry } from "./types.js";
export interface SessionDiskBudgetSweepResult {
    totalBytesBefore: number;
    totalBytesAfter: number;
    removedFiles: number;
    removedEntries: number;
    freedBytes: number;
    maxBytes: number;
    highWaterBytes: number;
    overBudget: boolean;
}
export interface SessionDiskBudgetLogger {
    warn(message: string, context?: Record<string, unknown>): void;
    info(message: string, context?: Record<string, unknown>): void;
}
export interface SessionDiskBudgetParams {
    store: Record<string, SessionEntry>;
    storePath: string;
    activeSessionKey?: string;
    maintenance: Pick<ResolvedSessionMaintenanceConfig, "maxDiskBytes" | "highWaterBytes">;
    warnOnly: boolean;
    dryRun?: boolean;
    log?: SessionDiskBudgetLogger;
    referencedFiles?: ReadonlySet<string>;
    onEvicted?: (removed: RemovedEntry) => void;
    removing?: Iterable<string>;
    onPurged?: (key: string) => void;
    leaving?: ReadonlySet<string>;
    onKept?: (file: BudgetFile) => void;
    onFile?: (file: BudgetFile) => void;
}
export interface BudgetFile {
    readonly place: "folder" | "trash";
    readonly name: string;
    readonly sizeBytes: number;
}
export declare function enforceSessionDiskBudget(params: SessionDiskBudgetParams): Promise<SessionDiskBudgetSweepResult | null>;

// --- openclaw/durations.d.ts
export type DurationUnit = "ms" | "s" | "m" | "h" | "d";
export type ByteUnit = "b" | "kb" | "mb" | "gb" | "tb";
export declare function parseDurationMs(raw: string | number, opts?: {
    defaultUnit?: DurationUnit;
}): number;
export declare function parseByteSize(raw: string | number, opts?: {
    defaultUnit?: ByteUnit;
}): number;

// --- openclaw/entry-changes.d.ts
import type { FrozenEntry } from "../contract.js";
import type { Limits } from "../limits.js";
import type { StoredSession } from "./read-sources.js";
import type { TouchedSession } from "./tracked-view.js";
import type { SessionEntry } from "./types.js";
export interface SessionChange {
    readonly key: string;
    readonly base: StoredSession | undefined;
    readonly next: FrozenEntry | undefined | "unchanged";
    readonly isReliedOn: boolean;
    readonly purges?: boolean;
}
export interface ChangeRules {
    readonly limits: Readonly<Limits>;
    readonly allowDropAcpMetaSessionKeys?: readonly string[] | "all" | undefined;
}
export declare function toChanges(touched: ReadonlyMap<string, TouchedSession>, rules: ChangeRules): SessionChange[];
export declare function isSameEntry(found: SessionEntry | undefined, left: unknown): boolean;
export declare function rebase(change: SessionChange, latest: StoredSession | undefined): SessionChange | "overlap";

// --- openclaw/entry.d.ts
import type { SessionEntry, SessionEntryMergePolicy } from "./types.js";
export declare const DEFAULT_RESET_TRIGGER = "/new";
export declare const DEFAULT_RESET_TRIGGERS: string[];
export declare const DEFAULT_IDLE_MINUTES = 0;
export interface MergeSessionEntryOptions {
    policy?: SessionEntryMergePolicy;
    now?: number;
}
export declare function mergeSessionEntry(existing: SessionEntry | undefined, patch: Partial<SessionEntry>): SessionEntry;
export declare function mergeSessionEntryPreserveActivity(existing: SessionEntry | undefined, patch: Partial<SessionEntry>): SessionEntry;
export declare function mergeSessionEntryWithPolicy(existing: SessionEntry | undefined, patch: Partial<SessionEntry>, options?: MergeSessionEntryOptions): SessionEntry;
export declare function normalizeSessionRuntimeModelFields(entry: SessionEntry): SessionEntry;
export declare function setSessionRuntimeModel(entry: SessionEntry, runtime: {
    provider: string;
    model: string;
}): boolean;
type TokenFields = Pick<SessionEntry, "totalTokens" | "totalTokensFresh">;
export declare function resolveSessionTotalTokens(entry?: Pick<SessionEntry, "totalTokens"> | null): number | undefined;
export declare function resolveFreshSessionTotalTokens(entry?: TokenFields | null): number | undefined;
export declare function isSessionTotalTokensFresh(entry?: TokenFields | null): boolean;
type PluginFields = Pick<SessionEntry, "pluginDebugEntries">;
export declare function resolveSessionPluginStatusLines(entry: PluginFields | null | undefined): string[];
export declare function resolveSessionPluginTraceLines(entry: PluginFields | null | undefined): string[];
export {};

// --- openclaw/expiring-cache.d.ts
export interface ExpiringMapCacheOptions {
    ttlMs: number | (() => number);
    pruneIntervalMs?: number | ((ttlMs: number) => number);
    clock?: () => number;
}
export interface ExpiringMapCache<Key, Value> {
    get(key: Key): Value | undefined;
    set(key: Key, value: Value): void;
    delete(key: Key): void;
    clear(): void;
    keys(): Key[];
    size(): number;
    pruneExpired(): void;
}
export declare function isCacheEnabled(ttlMs: number): boolean;
export declare function resolveCacheTtlMs(params: {
    envValue: string | undefined;
    defaultTtlMs: number;
}): number;
export declare function createExpiringMapCache<Key, Value>(options: ExpiringMapCacheOptions): ExpiringMapCache<Key, Value>;

// --- openclaw/gateway-store.d.ts
import { type ExtractedDeliveryInfo } from "./delivery-info.js";
import { type SubagentDepthOptions } from "./subagent-depth.js";
import type { OpenClawConfig, SessionEntry } from "./types.js";
type StoreConfig = Pick<OpenClawConfig, "session" | "agents">;
export declare function loadCombinedSessionStoreForGateway(cfg: StoreConfig): {
    storePath: string;
    store: Record<string, SessionEntry>;
};
export declare function extractDeliveryInfo(sessionKey: string | undefined, cfg?: StoreConfig): ExtractedDeliveryInfo;
export declare function getSubagentDepthFromSessionStore(sessionKey: string | null | undefined, options?: SubagentDepthOptions): number;
export {};

// --- openclaw/group.d.ts
import type { GroupKeyResolution, MsgContext } from "./types.js";
export declare function resolveGroupSessionKey(ctx: MsgContext): GroupKeyResolution | null;
export interface GroupDisplayNameParams {
    provider?: string;
    subject?: string;
    groupChannel?: string;
    space?: string;
    id?: string;
    key: string;
}
export declare function buildGroupDisplayName(params: GroupDisplayNameParams): string;

// --- openclaw/index.d.ts
export { type DiscoveredStore, type DiscoverOptions, type Discovery, discoverSessionStores, discoverSessionStoresSync, } from "../discovery/stores.js";
export * from "./acp.js";
export * from "./agent-config.js";
export { type ArchiveSessionTranscriptsParams, archiveFileOnDisk, archiveRemovedSessionTranscripts, archiveSessionTranscripts, archiveSessionTranscriptsDetailed, cleanupArchivedSessionTranscripts, } from "./archives.js";
export * from "./artifacts.js";
export * from "./channel-names.js";
export * from "./combined.js";
export * from "./conversation-label.js";
export * from "./delivery.js";
export * from "./delivery-info.js";
export * from "./derive-session-key.js";
export { type BudgetFile, enforceSessionDiskBudget, type SessionDiskBudgetLogger, type SessionDiskBudgetParams, type SessionDiskBudgetSweepResult, } from "./disk-budget.js";
export * from "./durations.js";
export * from "./entry.js";
export * from "./expiring-cache.js";
export * from "./gateway-store.js";
export * from "./group.js";
export * from "./json-files.js";
export * from "./key-normalization.js";
export * from "./legacy-keys.js";
export { type LoadSessionStoreOptions, loadSessionStore, loadSessionStoreSummary, readSessionEntry, readSessionStoreReadOnly, readSessionUpdatedAt, type SessionStoreSummaryEntry, } from "./load.js";
export { setSessionStoreLogger } from "./log.js";
export * from "./main-session.js";
export { type CapOptions, capEntryCount, formatSessionMaintenanceWarning, getActiveSessionMaintenanceWarning, type PruneOptions, pruneStaleEntries, type RemovedEntry, type SessionMaintenanceWarning, } from "./maintenance.js";
export { type MaintenanceConfigSource, type ResolvedSessionMaintenanceConfig, resolveMaintenanceConfig, resolveMaintenanceConfigFromInput, type SessionMaintenanceMode, } from "./maintenance-config.js";
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
export { deriveSessionChatTypeFromKey, getSubagentDepth, isAcpSessionKey, isCronRunSessionKey, isCronSessionKey, isSubagentSessionKey, type ParsedThreadSessionSuffix, parseRawSessionConversationRef, parseThreadSessionSuffix, type RawSessionConversationRef, resolveThreadParentSessionKey, resolveThreadSessionKeys, type SessionKeyChatType, type ThreadSessionKeysParams, } from "./session-key-kinds.js";
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
export { acquireSessionWriteLock, resolveSessionLockMaxHoldFromTimeout, type SessionWriteLock, type SessionWriteLockParams, } from "./transcript-lock.js";
export * from "./transcript-lock-cleanup.js";
export type { SessionLockInspection } from "./transcript-lock-file.js";
export * from "./transcript-mirror.js";
export * from "./transcript-session.js";
export * from "./types.js";
export { updateSessionStore } from "./update.js";
export * from "./update-entry.js";
export * from "./write-options.js";

// --- openclaw/json-files.d.ts
import type { SessionEntry } from "./types.js";
export interface WriteTextOptions {
    mode?: number;
    ensureDirMode?: number;
    appendTrailingNewline?: boolean;
}
export interface WriteJsonOptions extends Omit<WriteTextOptions, "appendTrailingNewline"> {
    trailingNewline?: boolean;
}
export declare function readJsonFile<T>(filePath: string): Promise<T | null>;
export declare function loadJsonFile<T>(filePath: string): T | undefined;
export declare function writeJsonAtomic(filePath: string, value: unknown, options?: WriteJsonOptions): Promise<void>;
export declare function writeTextAtomic(filePath: string, content: string, options?: WriteTextOptions): Promise<void>;
export declare function saveJsonFile(filePath: string, data: unknown): void;
export declare function createAsyncLock(): <Result>(work: () => Promise<Result>) => Promise<Result>;
export declare function getFileStatSnapshot(filePath: string): {
    mtimeMs: number;
    sizeBytes: number;
} | undefined;
export declare function readSessionStoreJson5(storePath: string): {
    store: Record<string, SessionEntry>;
    ok: boolean;
};

// --- openclaw/key-normalization.d.ts
import type { OpenClawConfig, SessionEntry } from "./types.js";
export { deriveSessionKey, normalizeExplicitSessionKey, resolveSessionKey } from "./derive-session-key.js";
export { canonicalizeMainSessionAlias } from "./main-session.js";
type KeyConfig = Pick<OpenClawConfig, "session" | "agents">;
export declare function normalizeStoreSessionKey(sessionKey: string): string;
export interface ResolvedSessionStoreEntry<Entry = SessionEntry> {
    normalizedKey: string;
    existing: Entry | undefined;
    legacyKeys: string[];
}
export declare function resolveSessionStoreEntry<Entry extends {
    updatedAt?: number;
} = SessionEntry>(params: {
    store: Record<string, Entry>;
    sessionKey: string;
}): ResolvedSessionStoreEntry<Entry>;
export declare function resolveSessionStoreKey(params: {
    cfg: KeyConfig;
    sessionKey: string;
}): string;
export declare function canonicalizeSessionKeyForAgent(agentId: string, sessionKey: string): string;
export declare function resolveSessionStoreAgentId(cfg: KeyConfig, canonicalKey: string): string;
export declare function canonicalizeSpawnedByForAgent(cfg: KeyConfig, agentId: string, spawnedBy?: string | null): string | undefined;
export declare function classifySessionKey(key: string, entry?: Pick<SessionEntry, "chatType"> | null): "global" | "unknown" | "group" | "direct";

// --- openclaw/legacy-keys.d.ts
import type { SessionEntry, SessionScope } from "./types.js";
export interface LegacyKeyContext {
    agentId: string;
    mainKey?: string;
    scope?: SessionScope;
    isShared?: boolean;
}
export declare function canonicalizeLegacySessionKey(sessionKey: string, context: LegacyKeyContext): string;
export declare function canonicalizeLegacySessionStore(store: Readonly<Record<string, SessionEntry>>, context: LegacyKeyContext): {
    store: Record<string, SessionEntry>;
    renamedKeys: string[];
    droppedKeys: string[];
};

// --- openclaw/load.d.ts
import type { FrozenEntry } from "../contract.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import type { ReadSource } from "./read-sources.js";
import type { SessionEntry } from "./types.js";
export interface LoadSessionStoreOptions {
    skipCache?: boolean;
    maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}
export declare function noteKnown(store: object, storePath: string, entries: ReadonlyMap<string, FrozenEntry>): void;
export declare function isAsKnown(store: Record<string, SessionEntry>, storePath: string): boolean;
export declare function isCopyOfUnreadable(store: object): boolean;
export declare function loadSessionStore(storePath: string, _opts?: LoadSessionStoreOptions): Record<string, SessionEntry>;
export declare function readSessionStoreReadOnly(storePath: string): Record<string, SessionEntry | undefined>;
export type SessionStoreSummaryEntry = Pick<SessionEntry, "lastChannel" | "lastTo" | "updatedAt">;
export declare function loadSessionStoreSummary(storePath: string): Record<string, Partial<SessionStoreSummaryEntry>>;
export declare function readSessionUpdatedAt(params: {
    storePath: string;
    sessionKey: string;
}): number | undefined;
export declare function readSessionEntryBestEffort(storePath: string, sessionKey: string): SessionEntry | undefined;
export declare function readSessionEntry(storePath: string, sessionKey: string): SessionEntry | undefined;
export declare function readStore<Result>(storePath: string, read: (source: ReadSource) => Result): Result;

// --- openclaw/log.d.ts
import type { Logger } from "../contract.js";
export declare function setSessionStoreLogger(next: Logger | undefined): void;
export declare function hasLogger(): boolean;
export declare function logInfo(message: string, fields?: Record<string, unknown>): void;
export declare function logWarning(message: string, fields?: Record<string, unknown>): void;

// --- openclaw/main-session.d.ts
import type { OpenClawConfig } from "./types.js";
export { resolveAgentIdFromSessionKey } from "./session-key.js";
type MainKeyConfig = {
    session?: {
        mainKey?: string;
    };
};
type ScopeConfig = {
    session?: {
        scope?: string;
        mainKey?: string;
    };
};
export declare function resolveMainSessionKey(cfg?: ScopeConfig & Pick<OpenClawConfig, "agents">): string;
export declare function resolveMainSessionKeyFromConfig(): string;
export declare function resolveAgentMainSessionKey(params: {
    cfg?: MainKeyConfig;
    agentId: string;
}): string;
export declare function resolveExplicitAgentSessionKey(params: {
    cfg?: MainKeyConfig;
    agentId?: string | null;
}): string | undefined;
export declare function canonicalizeMainSessionAlias(params: {
    cfg?: ScopeConfig;
    agentId: string;
    sessionKey: string;
}): string;

// --- openclaw/maintenance-config.d.ts
import type { SessionMaintenanceConfig } from "./types.js";
export type SessionMaintenanceMode = "warn" | "enforce";
export interface ResolvedSessionMaintenanceConfig {
    mode: SessionMaintenanceMode;
    pruneAfterMs: number;
    maxEntries: number;
    rotateBytes: number;
    resetArchiveRetentionMs: number | null;
    maxDiskBytes: number | null;
    highWaterBytes: number | null;
}
export declare function resolveMaintenanceConfigFromInput(maintenance?: SessionMaintenanceConfig | null): ResolvedSessionMaintenanceConfig;
export declare function resolveMaintenanceRules(given: unknown, warn: (message: string) => void): ResolvedSessionMaintenanceConfig;
export type MaintenanceConfigSource = {
    session?: {
        maintenance?: SessionMaintenanceConfig;
    };
} | string;
export declare function resolveMaintenanceConfig(source?: MaintenanceConfigSource | null, warn?: (message: string) => void): ResolvedSessionMaintenanceConfig;

// --- openclaw/maintenance-tracker.d.ts
import { type SessionMaintenanceWarning } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
type Rules = Pick<ResolvedSessionMaintenanceConfig, "pruneAfterMs" | "maxEntries">;
type UpdatedAt = number | null | undefined;
export interface MaintenancePlan {
    readonly prune: number;
    readonly cap: number;
}
export declare class MaintenanceTracker {
    #private;
    reset(sessions: Iterable<{
        readonly updatedAt?: UpdatedAt;
    }>): void;
    added(updatedAt: UpdatedAt): void;
    changed(before: UpdatedAt, after: UpdatedAt): boolean;
    removed(before: UpdatedAt): boolean;
    get totalEntries(): number;
    plan(rules: Rules, nowMs: number): MaintenancePlan;
    warningFor(session: {
        readonly key: string;
        readonly updatedAt?: UpdatedAt;
    }, rules: Rules, nowMs: number): SessionMaintenanceWarning | null;
}
export {};

// --- openclaw/maintenance.d.ts
import type { SessionEntry } from "./types.js";
type Store = Record<string, SessionEntry>;
export interface RemovedEntry {
    key: string;
    entry: SessionEntry;
}
export interface PruneOptions {
    log?: boolean;
    onPruned?: (removed: RemovedEntry) => void;
    preserveKeys?: ReadonlySet<string>;
}
export interface CapOptions {
    log?: boolean;
    onCapped?: (removed: RemovedEntry) => void;
    preserveKeys?: ReadonlySet<string>;
}
export declare function pruneStaleEntries(store: Store, overrideMaxAgeMs?: number, opts?: PruneOptions): number;
export declare function capEntryCount(store: Store, overrideMax?: number, opts?: CapOptions): number;
export declare function updatedAtOf(entry: {
    updatedAt?: unknown;
} | null | undefined): number;
export interface SessionMaintenanceWarning {
    activeSessionKey: string;
    activeUpdatedAt?: number;
    totalEntries: number;
    pruneAfterMs: number;
    maxEntries: number;
    wouldPrune: boolean;
    wouldCap: boolean;
}
export declare function getActiveSessionMaintenanceWarning(params: {
    store: Store;
    activeSessionKey: string;
    pruneAfterMs: number;
    maxEntries: number;
    nowMs?: number;
}): SessionMaintenanceWarning | null;
export declare function makeWarning(facts: {
    activeSessionKey: string;
    updatedAt: number;
    ahead: number;
    totalEntries: number;
    pruneAfterMs: number;
    maxEntries: number;
    nowMs: number;
}): SessionMaintenanceWarning | null;
export declare function formatSessionMaintenanceWarning(warning: SessionMaintenanceWarning): string;
export {};

// --- openclaw/metadata.d.ts
import type { GroupKeyResolution, MsgContext, SessionEntry } from "./types.js";
export interface GroupSessionPatchParams {
    ctx: MsgContext;
    sessionKey: string;
    existing?: SessionEntry;
    groupResolution?: GroupKeyResolution | null;
}
export interface SessionMetaPatchParams extends GroupSessionPatchParams {
    skipSystemEventOrigin?: boolean;
}
export declare function deriveGroupSessionPatch(params: GroupSessionPatchParams): Partial<SessionEntry> | null;
export declare function deriveSessionMetaPatch(params: SessionMetaPatchParams): Partial<SessionEntry> | null;

// --- openclaw/origin.d.ts
import type { MsgContext, SessionEntry, SessionOrigin } from "./types.js";
export interface DeriveSessionOriginOptions {
    skipSystemEventOrigin?: boolean;
}
export declare function deriveSessionOrigin(ctx: MsgContext, options?: DeriveSessionOriginOptions): SessionOrigin | undefined;
export declare function mergeSessionOrigin(existing: SessionOrigin | null | undefined, next: SessionOrigin | null | undefined): SessionOrigin | undefined;
export declare function snapshotSessionOrigin(entry?: Pick<SessionEntry, "origin"> | null): SessionOrigin | undefined;

// --- openclaw/orphaned-keys.d.ts
import type { OpenClawConfig } from "./types.js";
type MigrationConfig = Pick<OpenClawConfig, "session" | "agents">;
export interface OrphanedKeysResult {
    changes: string[];
    warnings: string[];
}
export declare function migrateOrphanedSessionKeys(params: {
    cfg: MigrationConfig;
    env?: NodeJS.ProcessEnv;
}): Promise<OrphanedKeysResult>;
export declare function runStartupSessionMigration(params: {
    cfg: MigrationConfig;
    env?: NodeJS.ProcessEnv;
    log: {
        info(message: string): void;
        warn(message: string): void;
    };
    deps?: {
        migrateOrphanedSessionKeys?: typeof migrateOrphanedSessionKeys;
    };
}): Promise<void>;
export {};

// --- openclaw/paths.d.ts
import { type Environment } from "../discovery/state-dir.js";
type HomeDirectory = (() => string | undefined) | undefined;
export declare function resolveStateDir(env?: Environment, homedir?: HomeDirectory): string;
export declare function resolveStorePath(store?: string, opts?: {
    agentId?: string;
    env?: Environment;
}): string;
export declare function resolveDefaultSessionStorePath(agentId?: string): string;
export declare function resolveSessionTranscriptsDir(env?: Environment, homedir?: HomeDirectory): string;
export declare function resolveSessionTranscriptsDirForAgent(agentId?: string, env?: Environment, homedir?: HomeDirectory): string;
export declare const SAFE_SESSION_ID_RE: RegExp;
export declare function validateSessionId(sessionId: string): string;
export declare function resolveSessionTranscriptPathInDir(sessionId: string, sessionsDir: string, topicId?: string | number): string;
export declare function resolveSessionTranscriptPath(sessionId: string, agentId?: string, topicId?: string | number): string;
export interface SessionFilePathOptions {
    agentId?: string;
    sessionsDir?: string;
}
export declare function resolveSessionFilePath(sessionId: string, entry?: {
    sessionFile?: string;
} | null, opts?: SessionFilePathOptions): string;
export declare function resolveSessionFilePathOptions(params: {
    agentId?: string;
    storePath?: string;
}): SessionFilePathOptions | undefined;
export declare function resolveAgentsDirFromSessionStorePath(storePath: string): string | undefined;
export {};

// --- openclaw/prototype-keys.d.ts
export declare function isBlockedObjectKey(key: string): boolean;
export declare function ownValue<T>(record: Readonly<Record<string, T>> | null | undefined, key: string): T | undefined;
export declare function setOwnValue<T>(record: Record<string, T>, key: string, value: T): void;
export declare function emptyRecord<T>(): Record<string, T>;

// --- openclaw/read-sources.d.ts
import type { ReadPoint } from "../backends/directory/read-point.js";
import type { FrozenEntry, Generation, VersionToken } from "../contract.js";
export interface StoredSession {
    readonly entry: FrozenEntry;
    readonly version: VersionToken | undefined;
    readonly generations?: readonly Generation[] | undefined;
}
export interface ReadSource {
    readonly kind: "directory" | "json" | "legacy";
    read(name: string): StoredSession | undefined;
    names(): readonly string[];
    spellings(key: string): readonly string[];
    close(): void;
}
export declare class DirectorySource implements ReadSource {
    #private;
    readonly kind = "directory";
    constructor(point: ReadPoint, newer?: ReadonlyMap<string, FrozenEntry>);
    read(name: string): StoredSession | undefined;
    names(): readonly string[];
    spellings(key: string): readonly string[];
    close(): void;
}
export declare class MapSource implements ReadSource {
    #private;
    readonly kind: "json" | "legacy";
    constructor(kind: "json" | "legacy", sessions: ReadonlyMap<string, StoredSession>);
    static ofLegacy(entries: Readonly<Record<string, unknown>>): MapSource;
    read(name: string): StoredSession | undefined;
    names(): readonly string[];
    spellings(key: string): readonly string[];
    close(): void;
}
export declare function isStoredName(name: string): boolean;
export declare function toEntry(value: unknown): FrozenEntry | undefined;

// --- openclaw/reset-preserved-selection.d.ts
import type { SessionEntry } from "./types.js";
export type ResetPreservedSelection = Partial<Pick<SessionEntry, "providerOverride" | "modelOverride" | "modelOverrideSource" | "agentRuntimeOverride" | "authProfileOverride" | "authProfileOverrideSource" | "authProfileOverrideCompactionCount">>;
export declare function resolveResetPreservedSelection(params: {
    entry?: SessionEntry | null;
}): ResetPreservedSelection;

// --- openclaw/reset.d.ts
import type { SessionConfig, SessionResetConfig, SessionResetMode, SessionResetType } from "./types.js";
export type { SessionResetMode, SessionResetType } from "./types.js";
export declare const DEFAULT_RESET_MODE: SessionResetMode;
export declare const DEFAULT_RESET_AT_HOUR = 4;
type ResetSettings = Pick<SessionConfig, "reset" | "resetByType" | "resetByChannel" | "idleMinutes">;
export interface SessionResetPolicy {
    mode: SessionResetMode;
    atHour: number;
    idleMinutes?: number;
    configured?: boolean;
}
export interface SessionFreshness {
    fresh: boolean;
    dailyResetAt?: number;
    idleExpiresAt?: number;
}
export declare function isThreadSessionKey(sessionKey?: string | null): boolean;
export declare function resolveSessionResetType(params: {
    sessionKey?: string | null;
    isGroup?: boolean;
    isThread?: boolean;
}): SessionResetType;
export declare function resolveThreadFlag(params: {
    sessionKey?: string | null;
    messageThreadId?: string | number | null;
    threadLabel?: string | null;
    threadStarterBody?: string | null;
    parentSessionKey?: string | null;
}): boolean;
export declare function resolveDailyResetAtMs(now: number, atHour: number): number;
export declare function resolveSessionResetPolicy(params: {
    sessionCfg?: ResetSettings;
    resetType: SessionResetType;
    resetOverride?: SessionResetConfig;
}): SessionResetPolicy;
export declare function resolveChannelResetConfig(params: {
    sessionCfg?: ResetSettings;
    channel?: string | null;
}): SessionResetConfig | undefined;
export declare function evaluateSessionFreshness(params: {
    updatedAt: number;
    now: number;
    policy: SessionResetPolicy;
}): SessionFreshness;

// --- openclaw/rotate.d.ts
import type { Directory, Port } from "../fs/port.js";
export declare function rotateSessionFile(storePath: string, overrideBytes?: number): Promise<boolean>;
export interface BackupRecord {
    readonly name: string;
    readonly sizeBytes: number;
}
export declare function recordedBackups(port: Port, folder: Directory, name: string): BackupRecord[];
export declare function surplusAtNextRotation(port: Port, folder: Directory, name: string): BackupRecord[];

// --- openclaw/save.d.ts
import type { SessionEntry } from "./types.js";
import type { SaveSessionStoreOptions } from "./write-options.js";
type Store = Record<string, SessionEntry>;
export declare function saveSessionStore(storePath: string, store: Store, options?: SaveSessionStoreOptions | null): Promise<void>;
export {};

// --- openclaw/session-cache.d.ts
import type { SessionEntry } from "./types.js";
type Store = Record<string, SessionEntry>;
export declare function getSessionStoreTtl(): number;
export declare function isSessionStoreCacheEnabled(): boolean;
export declare function clearSessionStoreCaches(): void;
export declare function invalidateSessionStoreCache(storePath: string): void;
export declare function getSerializedSessionStore(storePath: string): string | undefined;
export declare function setSerializedSessionStore(storePath: string, serialized?: string): void;
export declare function dropSessionStoreObjectCache(storePath: string): void;
export declare function readSessionStoreCache(params: {
    storePath: string;
    mtimeMs?: number;
    sizeBytes?: number;
    versionToken?: string;
}): Store | null;
export declare function writeSessionStoreCache(params: {
    storePath: string;
    store: Store;
    mtimeMs?: number;
    sizeBytes?: number;
    versionToken?: string;
    serialized?: string;
}): void;
export {};

// --- openclaw/session-dirs.d.ts
export declare function resolveAgentSessionDirs(stateDir: string): Promise<string[]>;
export declare function resolveAgentSessionDirsFromAgentsDir(agentsDir: string): Promise<string[]>;
export declare function resolveAgentSessionDirsFromAgentsDirSync(agentsDir: string): string[];
export declare function listAgentSessionDirs(stateDir: string): Promise<string[]>;

// --- openclaw/session-file.d.ts
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import type { SessionEntry } from "./types.js";
export declare function resolveAndPersistSessionFile(params: {
    sessionId: string;
    sessionKey: string;
    sessionStore: Record<string, SessionEntry>;
    storePath: string;
    sessionEntry?: SessionEntry;
    agentId?: string;
    sessionsDir?: string;
    fallbackSessionFile?: string;
    activeSessionKey?: string;
    maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}): Promise<{
    sessionFile: string;
    sessionEntry: SessionEntry;
}>;

// --- openclaw/session-key-kinds.d.ts
import type { SessionChatType } from "./types.js";
type Key = string | null | undefined;
export declare function getSubagentDepth(sessionKey: Key): number;
export declare function isSubagentSessionKey(sessionKey: Key): boolean;
export declare function isAcpSessionKey(sessionKey: Key): boolean;
export declare function isCronSessionKey(sessionKey: Key): boolean;
export declare function isCronRunSessionKey(sessionKey: Key): boolean;
export interface ParsedThreadSessionSuffix {
    baseSessionKey: string | undefined;
    threadId: string | undefined;
}
export declare function parseThreadSessionSuffix(sessionKey: Key): ParsedThreadSessionSuffix;
export declare function lastMarker(key: string, marker: string): number;
export declare function resolveThreadParentSessionKey(sessionKey: Key): string | null;
export interface ThreadSessionKeysParams {
    baseSessionKey: string;
    threadId?: string | null;
    parentSessionKey?: string;
    useSuffix?: boolean;
    normalizeThreadId?: (threadId: string) => string;
}
export declare function resolveThreadSessionKeys(params: ThreadSessionKeysParams): {
    sessionKey: string;
    parentSessionKey?: string;
};
export interface RawSessionConversationRef {
    channel: string;
    kind: "group" | "channel";
    rawId: string;
    prefix: string;
}
export declare function parseRawSessionConversationRef(sessionKey: Key): RawSessionConversationRef | null;
export type SessionKeyChatType = SessionChatType | "unknown";
export declare function deriveSessionChatTypeFromKey(sessionKey: Key, legacyForms?: readonly ((key: string) => SessionChatType | undefined)[]): SessionKeyChatType;
export {};

// --- openclaw/session-key.d.ts
import type { DmScope, SessionChatType } from "./types.js";
export { isValidAgentId, normalizeAgentId } from "../sessions/agent-id.js";
export declare const DEFAULT_AGENT_ID = "main";
export declare const DEFAULT_MAIN_KEY = "main";
export declare const DEFAULT_ACCOUNT_ID = "default";
type Key = string | null | undefined;
export interface ParsedAgentSessionKey {
    agentId: string;
    rest: string;
}
export type SessionKeyShape = "missing" | "agent" | "legacy_or_alias" | "malformed_agent";
export declare function parseAgentSessionKey(sessionKey: Key): ParsedAgentSessionKey | null;
export declare function classifySessionKeyShape(sessionKey: Key): SessionKeyShape;
export declare function resolveAgentIdFromSessionKey(sessionKey: Key): string;
export declare function toAgentRequestSessionKey(storeKey: Key): string | undefined;
export declare function toAgentStoreSessionKey(params: {
    agentId: string;
    requestKey: Key;
    mainKey?: string;
}): string;
export declare function normalizeMainKey(mainKey: Key): string;
export declare function normalizeAccountId(accountId: Key): string;
export declare function normalizeOptionalAccountId(accountId: Key): string | undefined;
export declare function buildAgentMainSessionKey(params: {
    agentId: string;
    mainKey?: string;
}): string;
export type SessionPeerKind = SessionChatType | "dm";
export interface AgentPeerSessionKeyParams {
    agentId: string;
    mainKey?: string;
    channel: string;
    accountId?: string | null;
    peerKind?: SessionPeerKind | null;
    peerId?: string | null;
    identityLinks?: Record<string, string[]>;
    dmScope?: DmScope;
}
export declare function buildAgentPeerSessionKey(params: AgentPeerSessionKeyParams): string;
export declare function buildGroupHistoryKey(params: {
    channel: string;
    accountId?: string | null;
    peerKind: "group" | "channel";
    peerId: string;
}): string;

// --- openclaw/shared-handles.d.ts
import { type StoreLocation } from "../backends/directory/layout.js";
import type { Backend } from "../contract.js";
import { type Port } from "../fs/port.js";
import { type ReadSource } from "./read-sources.js";
import { WriteFacts } from "./write-facts.js";
export declare const lockWaitMs = 10000;
export declare const conflictWaitMs = 10000;
export type StoreForm = "directory" | "file" | "legacy" | "none";
export declare function sharedStore(storePath: string): SharedStore;
export declare function closeSessionStores(): Promise<void>;
export declare class SharedStore {
    #private;
    readonly location: StoreLocation;
    readonly storePath: string;
    lastUsedMs: number;
    constructor(port: Port, location: StoreLocation, id: string, handles: Map<string, SharedStore>, isSingleFile: boolean);
    get port(): Port;
    get isBusy(): boolean;
    touch(): void;
    use<Result>(work: () => Promise<Result>): Promise<Result>;
    read<Result>(work: (source: ReadSource) => Result): Result;
    source(): ReadSource;
    open(): Promise<Backend>;
    facts(backend: Backend): WriteFacts;
    form(): StoreForm;
    close(): Promise<void>;
}

// --- openclaw/stable-stringify.d.ts
export declare function stableStringify(value: unknown): string;

// --- openclaw/startup.d.ts
import { type MigrationLog, type MigrationResult } from "../migrate/report.js";
export type SessionStoreMigrationResult = MigrationResult;
export declare function runStartupSessionStoreMigration(params: {
    stateDir: string;
    configuredStorePath?: string | undefined;
    log: MigrationLog;
}): Promise<SessionStoreMigrationResult[]>;

// --- openclaw/state-migrations.d.ts
import type { OpenClawConfig, SessionScope } from "./types.js";
type MigrationConfig = Pick<OpenClawConfig, "session" | "agents">;
export interface LegacyStateDetection {
    targetAgentId: string;
    targetMainKey: string;
    targetScope?: SessionScope;
    stateDir: string;
    sessions: {
        legacyDir: string;
        legacyStorePath: string;
        targetDir: string;
        targetStorePath: string;
        hasLegacy: boolean;
        legacyKeys: string[];
    };
    preview: string[];
}
export interface LegacyStateResult {
    changes: string[];
    warnings: string[];
}
export declare function detectLegacyStateMigrations(params: {
    cfg: MigrationConfig;
    env?: NodeJS.ProcessEnv;
    homedir?: () => string;
}): Promise<LegacyStateDetection>;
export declare function runLegacyStateMigrations(params: {
    detected: LegacyStateDetection;
    now?: () => number;
}): Promise<LegacyStateResult>;
export declare function autoMigrateLegacyState(params: {
    cfg: MigrationConfig;
    env?: NodeJS.ProcessEnv;
    homedir?: () => string;
    log?: {
        info(message: string): void;
        warn(message: string): void;
    };
    now?: () => number;
}): Promise<LegacyStateResult & {
    migrated: boolean;
    skipped: boolean;
}>;
export {};

// --- openclaw/store-lock-queue.d.ts
import { type SessionWriteLock, type SessionWriteLockParams } from "./transcript-lock.js";
export interface SessionStoreLockOptions {
    timeoutMs?: number;
    pollIntervalMs?: number;
    staleMs?: number;
}
export declare function withSessionStoreLock<T>(storePath: string, fn: () => Promise<T> | T, opts?: SessionStoreLockOptions): Promise<T>;
export { withSessionStoreLock as withSessionStoreLockForTest };
export declare function clearSessionStoreCacheForTest(): void;
export declare function drainSessionStoreLockQueuesForTest(): Promise<void>;
export declare function getSessionStoreLockQueueSizeForTest(): number;
type Acquirer = (params: SessionWriteLockParams) => Promise<Pick<SessionWriteLock, "release">>;
export declare function setSessionWriteLockAcquirerForTests(acquirer: Acquirer | null): void;
export declare function resetSessionStoreLockRuntimeForTests(): void;

// --- openclaw/store-migration.d.ts
import type { MigrationResult } from "../migrate/result.js";
export declare function migrateSessionStoreToDirectory(storePath: string): Promise<MigrationResult>;
export declare function migrateSessionStoreToLegacy(storePath: string): Promise<boolean>;

// --- openclaw/store-normalize.d.ts
import type { SessionEntry } from "./types.js";
export declare function normalizeSessionStore(store: Record<string, SessionEntry>): void;
export declare function normalizeSessionEntry(entry: SessionEntry): SessionEntry;
export declare function applySessionStoreMigrations(store: Record<string, SessionEntry>): void;

// --- openclaw/strings.d.ts
export declare function normalizeOptionalString(value: unknown): string | undefined;
export declare function normalizeOptionalLowercaseString(value: unknown): string | undefined;
export declare function normalizeLowercaseStringOrEmpty(value: unknown): string;
export declare function normalizeStringifiedOptionalString(value: unknown): string | undefined;

// --- openclaw/subagent-depth.d.ts
import type { OpenClawConfig } from "./types.js";
export interface SessionDepthEntry {
    sessionId?: unknown;
    spawnDepth?: unknown;
    spawnedBy?: unknown;
}
export type SessionDepthStore = Readonly<Record<string, SessionDepthEntry | undefined>>;
export interface SubagentDepthOptions {
    cfg?: Pick<OpenClawConfig, "session" | "agents">;
    store?: SessionDepthStore;
    readStore?: (agentId: string) => SessionDepthStore | undefined;
}
export declare function getSubagentDepthFromSessionStore(sessionKey: string | null | undefined, options?: SubagentDepthOptions): number;

// --- openclaw/targets.d.ts
import type { Environment } from "../discovery/state-dir.js";
import type { OpenClawConfig } from "./types.js";
type TargetConfig = Pick<OpenClawConfig, "session" | "agents">;
export interface SessionStoreTarget {
    agentId: string;
    storePath: string;
}
export interface SessionStoreSelectionOptions {
    store?: string;
    agent?: string;
    allAgents?: boolean;
}
export declare function resolveSessionStoreTargets(cfg: TargetConfig, opts: SessionStoreSelectionOptions, params?: {
    env?: Environment;
}): SessionStoreTarget[];
export declare function resolveAllAgentSessionStoreTargets(cfg: TargetConfig, params?: {
    env?: Environment;
}): Promise<SessionStoreTarget[]>;
export declare function resolveAllAgentSessionStoreTargetsSync(cfg: TargetConfig, params?: {
    env?: Environment;
}): SessionStoreTarget[];
export interface TargetRuntime {
    log?(...message: unknown[]): void;
    error(message: string): void;
    exit(code: number): void;
}
export declare function resolveSessionStoreTargetsOrExit(params: {
    cfg: TargetConfig;
    opts: SessionStoreSelectionOptions;
    runtime: TargetRuntime;
    env?: Environment;
}): SessionStoreTarget[] | null;
export {};

// --- openclaw/thread-info.d.ts
import { type ParsedThreadSessionSuffix } from "./session-key-kinds.js";
export declare function parseSessionThreadInfo(sessionKey: string | null | undefined): ParsedThreadSessionSuffix;
export declare function parseSessionThreadInfoFast(sessionKey: string | null | undefined): ParsedThreadSessionSuffix;

// --- openclaw/tracked-view.d.ts
import type { FrozenEntry } from "../contract.js";
import type { ReadSource, StoredSession } from "./read-sources.js";
import type { SessionEntry } from "./types.js";
type Store = Record<string, SessionEntry>;
export interface TouchedSession {
    readonly stored: StoredSession | undefined;
    readonly found: SessionEntry | undefined;
    readonly left: unknown;
    readonly isReliedOn: boolean;
}
export declare function trackedViewOf(store: object): TrackedView | undefined;
export declare class TrackedView {
    #private;
    readonly store: Store;
    constructor(source: ReadSource);
    plain(): Store;
    spellingsOf(key: string): string[];
    touched(): Map<string, TouchedSession>;
}
export declare function toCallerEntry(entry: FrozenEntry): SessionEntry;
export declare function normalForm(entry: FrozenEntry): SessionEntry;
export {};

// --- openclaw/transcript-files.d.ts
export interface ArchivedSessionTranscript {
    sourcePath: string;
    archivedPath: string;
}
export declare function resolveSessionTranscriptCandidates(sessionId: string, storePath: string | undefined, sessionFile?: string, agentId?: string): string[];
export declare function resolveStableSessionEndTranscript(params: {
    sessionId: string;
    storePath: string | undefined;
    sessionFile?: string;
    agentId?: string;
    archivedTranscripts?: readonly ArchivedSessionTranscript[];
}): {
    sessionFile?: string;
    transcriptArchived?: boolean;
};

// --- openclaw/transcript-lock-cleanup.d.ts
import { type SessionLockInspection } from "./transcript-lock-file.js";
export declare function cleanStaleLockFiles(params: {
    sessionsDir: string;
    staleMs?: number;
    removeStale?: boolean;
    nowMs?: number;
    log?: {
        warn?: (message: string) => void;
        info?: (message: string) => void;
    };
}): Promise<{
    locks: SessionLockInspection[];
    cleaned: SessionLockInspection[];
}>;

// --- openclaw/transcript-lock-file.d.ts
import type { Directory, Port } from "../fs/port.js";
export declare const transcriptStaleMs: number;
export interface SessionLockInspection {
    lockPath: string;
    pid: number | null;
    pidAlive: boolean;
    createdAt: string | null;
    ageMs: number | null;
    stale: boolean;
    staleReasons: string[];
    removed: boolean;
}
export declare function inspectLockFile(port: Port, folder: Directory, name: string, { staleMs, nowMs }: {
    staleMs: number;
    nowMs: number;
}): SessionLockInspection | undefined;

// --- openclaw/transcript-lock.d.ts
import type { Port } from "../fs/port.js";
export interface SessionWriteLock {
    release(): Promise<void>;
}
export interface SessionWriteLockParams {
    sessionFile: string;
    timeoutMs?: number;
    staleMs?: number;
    maxHoldMs?: number;
    allowReentrant?: boolean;
}
export declare function acquireSessionWriteLock(params: SessionWriteLockParams): Promise<SessionWriteLock>;
export declare function resolveSessionLockMaxHoldFromTimeout(params: {
    timeoutMs: number;
    graceMs?: number;
    minMs?: number;
}): number;
export declare function isHeldHere(port: Port, lockPath: string): boolean;

// --- openclaw/transcript-mirror.d.ts
export declare function resolveMirroredTranscriptText(params: {
    text?: string | null;
    mediaUrls?: readonly string[] | null;
}): string | null;

// --- openclaw/transcript-session.d.ts
import type { SessionEntry } from "./types.js";
export declare function resolveSessionTranscriptFile(params: {
    sessionId: string;
    sessionKey: string;
    sessionEntry: SessionEntry | undefined;
    sessionStore?: Record<string, SessionEntry>;
    storePath?: string;
    agentId: string;
    threadId?: string | number;
}): Promise<{
    sessionFile: string;
    sessionEntry: SessionEntry | undefined;
}>;

// --- openclaw/turns.d.ts
import type { SharedStore } from "./shared-handles.js";
export declare class Turns {
    #private;
    constructor(shared: SharedStore);
    takeIfContended(keys: Iterable<string>): Promise<void>;
    take(key: string): Promise<void>;
    keepDuring<Value>(returned: PromiseLike<Value>): Promise<Value>;
    end(): void;
}

// --- openclaw/types.d.ts
import type { SessionChatType, SessionDeliveryContext, SessionEntry, SessionOrigin } from "../sessions/entry.js";
export type { CliSessionBinding, SessionAcpMeta, SessionChatType, SessionCompactionCheckpoint, SessionEntry, SessionOrigin, SessionSkillsSnapshot, } from "../sessions/entry.js";
export type SessionScope = "per-sender" | "global";
export type SessionChannelId = string;
export type DeliveryContext = SessionDeliveryContext;
export interface GroupKeyResolution {
    key: string;
    channel?: string;
    id?: string;
    chatType?: SessionChatType;
}
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
export type SessionEntryMergePolicy = "touch-activity" | "preserve-activity";
export type SessionResetMode = "daily" | "idle";
export type SessionResetType = "direct" | "group" | "thread";
export interface SessionResetConfig {
    mode?: SessionResetMode;
    atHour?: number;
    idleMinutes?: number;
}
export interface SessionResetByTypeConfig {
    direct?: SessionResetConfig;
    dm?: SessionResetConfig;
    group?: SessionResetConfig;
    thread?: SessionResetConfig;
}
export type DmScope = "main" | "per-peer" | "per-channel-peer" | "per-account-channel-peer";
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
    identityLinks?: Record<string, string[]>;
    mainKey?: string;
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
    agents?: {
        list?: AgentConfig[];
        defaults?: unknown;
    };
    channels?: Record<string, unknown>;
    cron?: {
        enabled?: boolean;
        sessionRetention?: string | number | false;
        store?: string;
    };
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
export interface DeliveryContextSessionSource {
    channel?: string;
    lastChannel?: string;
    lastTo?: string;
    lastAccountId?: string;
    lastThreadId?: string | number;
    deliveryContext?: DeliveryContext;
    origin?: Pick<SessionOrigin, "provider" | "accountId" | "threadId">;
}
export type SessionStoreRecord = Record<string, SessionEntry>;

// --- openclaw/update-entry.d.ts
import type { DeliveryContext, GroupKeyResolution, MsgContext, SessionEntry } from "./types.js";
import type { SaveSessionStoreOptions } from "./write-options.js";
type WriteOptions = Pick<SaveSessionStoreOptions, "skipMaintenance" | "maintenanceOverride" | "maintenanceConfig" | "onWarn">;
export declare function updateSessionStoreEntry(params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    update: (entry: SessionEntry) => Promise<Partial<SessionEntry> | null> | Partial<SessionEntry> | null;
}): Promise<SessionEntry | null>;
export declare function recordSessionMetaFromInbound(params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    ctx: MsgContext;
    groupResolution?: GroupKeyResolution | null;
    createIfMissing?: boolean;
}): Promise<SessionEntry | null>;
export declare function updateLastRoute(params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    channel?: string;
    to?: string;
    accountId?: string;
    threadId?: string | number;
    deliveryContext?: DeliveryContext;
    ctx?: MsgContext | null;
    groupResolution?: GroupKeyResolution | null;
}): Promise<SessionEntry>;
export {};

// --- openclaw/update.d.ts
import { type SessionChange } from "./entry-changes.js";
import { type SharedStore } from "./shared-handles.js";
import { Turns } from "./turns.js";
import type { SessionEntry } from "./types.js";
import type { SaveSessionStoreOptions } from "./write-options.js";
type Store = Record<string, SessionEntry>;
export declare function updateSessionStore<T>(storePath: string, mutator: (store: Store) => T | Promise<T>, opts?: SaveSessionStoreOptions | null): Promise<T>;
export declare function runUpdate<T>(shared: SharedStore, mutator: (store: Store) => T | Promise<T>, opts?: SaveSessionStoreOptions): Promise<T>;
export type OnConflict = "rerun" | "overwrite";
interface Overlap {
    readonly overlap: string;
}
export declare function commitChanges(shared: SharedStore, changes: readonly SessionChange[], attempts: Attempts, onConflict: OnConflict, opts: SaveSessionStoreOptions): Promise<"written" | "nothing" | Overlap>;
export declare class Attempts {
    #private;
    readonly turns: Turns;
    constructor(shared: SharedStore);
    get isFirst(): boolean;
    next(contended: string | undefined): Promise<void>;
}
export {};

// --- openclaw/write-facts.d.ts
import type { SessionActivity } from "../backends/directory/activity.js";
import type { Backend } from "../contract.js";
import { MaintenanceTracker } from "./maintenance-tracker.js";
export declare class WriteFacts {
    #private;
    readonly backend: Backend;
    readonly tracker: MaintenanceTracker;
    constructor(backend: Backend);
    get sessions(): ReadonlyMap<string, SessionActivity>;
    bringUpToDate(): Promise<void>;
    close(): void;
}

// --- openclaw/write-options.d.ts
import type { SessionDiskBudgetSweepResult } from "./disk-budget.js";
import type { SessionMaintenanceWarning } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
export interface SessionMaintenanceApplyReport {
    mode: ResolvedSessionMaintenanceConfig["mode"];
    beforeCount: number;
    afterCount: number;
    pruned: number;
    capped: number;
    diskBudget: SessionDiskBudgetSweepResult | null;
}
export interface SaveSessionStoreOptions {
    skipMaintenance?: boolean;
    activeSessionKey?: string;
    allowDropAcpMetaSessionKeys?: string[];
    onWarn?: (warning: SessionMaintenanceWarning) => void | Promise<void>;
    onMaintenanceApplied?: (report: SessionMaintenanceApplyReport) => void | Promise<void>;
    maintenanceOverride?: Partial<ResolvedSessionMaintenanceConfig>;
    maintenanceConfig?: ResolvedSessionMaintenanceConfig;
}

// --- postgres-options.d.ts
export interface PostgresOptions {
    prepare?: boolean;
    notify?: boolean;
    pollMs?: number;
    connections?: number;
    reconnectWaitMs?: number;
    statementTimeoutMs?: number;
    tombstoneRetentionMs?: number;
    maintenanceMs?: number;
    allowUnsafeServer?: boolean;
}
export type CheckedPostgresOptions = Readonly<Required<PostgresOptions>>;
export declare const postgresOptionNames: readonly ["prepare", "notify", "pollMs", "connections", "reconnectWaitMs", "statementTimeoutMs", "tombstoneRetentionMs", "maintenanceMs", "allowUnsafeServer"];
export declare function checkPostgresOptions(given?: PostgresOptions): CheckedPostgresOptions;

// --- postgres.d.ts
import type { OpenOptions, SessionStore } from "./api.js";
import type { SessionEntry } from "./sessions/entry.js";
export type { PostgresOptions } from "./postgres-options.js";
export declare function openPostgresStore<Entry extends object = SessionEntry>(url: string, options?: OpenOptions): Promise<SessionStore<Entry>>;
export declare const postgresSchemaDirectory: string;

// --- sessions/agent-id.d.ts
export declare function isValidAgentId(id: string | null | undefined): boolean;
export declare function normalizeAgentId(id: string | null | undefined): string;
export declare function isOwnAgentFolder(folderName: string): boolean;

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

// --- sessions/legacy-text.d.ts
export interface LegacyObject {
    readonly state: "object";
    readonly value: Readonly<Record<string, unknown>>;
    readonly tolerated: readonly string[];
}
export interface InvalidLegacy {
    readonly state: "invalid";
    readonly reason: string;
    readonly nextStep: string;
}
export declare function parseLegacyText(bytes: Uint8Array): LegacyObject | InvalidLegacy;
export declare function tooLargeStep(bytesMax: number): string;
export declare const repairStep = "Correct the file, or restore it from a backup, and try again.";
export declare function invalid(reason: string, nextStep: string): InvalidLegacy;

// --- transfer/backup-files.d.ts
import type { KeyRule } from "../contract.js";
import { type Directory, type Port } from "../fs/port.js";
export declare const backupManifestName = "manifest.json";
export declare const backupSessionsName = "sessions.jsonl";
export declare const backupKind = "sessiondir-backup";
export declare const backupFormatVersion = 1;
export interface BackupManifest {
    readonly kind: typeof backupKind;
    readonly formatVersion: typeof backupFormatVersion;
    readonly createdMs: number;
    readonly created: string;
    readonly source: {
        readonly backend: string;
        readonly name: string;
        readonly keyRule: KeyRule;
        readonly cursor: string;
    };
    readonly sessions: number;
    readonly newestUpdatedAt: number;
    readonly contentSha256: string;
    readonly files: readonly {
        readonly name: string;
        readonly bytes: number;
        readonly sha256: string;
    }[];
    readonly damaged: number;
}
export declare function backupName(name: string, timeMs: number): string;
export declare function isPartialName(name: string): boolean;
export declare function formatBackupManifest(manifest: BackupManifest): string;
export declare function openBackup(port: Port, backupPath: string): Directory;
export declare function readBackupManifest(port: Port, backup: Directory): BackupManifest;

// --- transfer/backup.d.ts
import { type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { type BackupManifest } from "./backup-files.js";
import { BundleReader } from "./bundle-reader.js";
import type { SessionProblem } from "./session-writer.js";
import { type StorePlace } from "./store-place.js";
export interface BackupOptions {
    readonly name?: string | undefined;
    readonly allowDamaged?: boolean | undefined;
    readonly allowEmpty?: boolean | undefined;
    readonly onProgress?: ((done: number) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly port?: Port | undefined;
}
export interface BackupResult {
    readonly outcome: "complete" | "partial";
    readonly path: string;
    readonly manifest: BackupManifest;
    readonly damaged: readonly SessionProblem[];
}
export declare function createBackup(store: StorePlace, targetDirectory: string, options?: BackupOptions): Promise<BackupResult>;
export interface VerifyBackupOptions {
    readonly limits?: Partial<Limits> | undefined;
    readonly port?: Port | undefined;
}
export declare function verifyBackup(backupPath: string, options?: VerifyBackupOptions): Promise<BackupManifest>;
export declare function openVerifiedBackup(port: Port, backupPath: string, limits: Readonly<Limits>): Promise<{
    manifest: BackupManifest;
    bundle: BundleReader;
}>;

// --- transfer/bundle-format.d.ts
import type { KeyRule } from "../contract.js";
import { type Limits } from "../limits.js";
import { type MarkedSession } from "./bundle-paths.js";
export declare const bundleFormat = "sessiondir-bundle";
export declare const bundleFormatVersion = 1;
export interface BundleSource {
    readonly backend: string;
    readonly keyRule: KeyRule;
    readonly cursor: string;
}
export interface BundleHeader {
    readonly format: typeof bundleFormat;
    readonly formatVersion: number;
    readonly created: string;
    readonly source: BundleSource;
}
export interface BundleTrailer {
    readonly end: true;
    readonly sessions: number;
    readonly contentSha256: string;
    readonly bytesSha256: string;
    readonly damaged: readonly string[];
}
export type BundleLine = {
    readonly kind: "session";
    readonly marked: MarkedSession;
} | {
    readonly kind: "trailer";
    readonly trailer: BundleTrailer;
};
export declare function formatSessionLine({ session, relativePaths }: MarkedSession): string;
export declare function formatTrailerEnd(bytesSha256: string): string;
export declare class LineProblem extends Error {
}
export declare function parseHeader(text: string): BundleHeader;
export declare function parseLine(text: string, limits: Readonly<Limits>): BundleLine;

// --- transfer/bundle-paths.d.ts
import type { PortableSession } from "./content-hash.js";
export interface MarkedSession {
    readonly session: PortableSession;
    readonly relativePaths: readonly string[];
}
export declare function makePathsRelative(session: PortableSession, folder: string | undefined): MarkedSession;
export declare function findMarkProblem({ session, relativePaths }: MarkedSession): string | undefined;
export declare function resolvePaths({ session, relativePaths }: MarkedSession, folder: string | undefined): PortableSession;

// --- transfer/bundle-reader.d.ts
import { SessionStoreError } from "../errors.js";
import { type Directory, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { type BundleHeader, type BundleTrailer } from "./bundle-format.js";
import type { MarkedSession } from "./bundle-paths.js";
export declare class BundleReader {
    #private;
    header: BundleHeader | undefined;
    trailer: BundleTrailer | undefined;
    fileSha256: string | undefined;
    private constructor();
    static open(port: Port, filePath: string, limits: Readonly<Limits>, operation: string): BundleReader;
    static openIn(port: Port, directory: Directory, name: string, limits: Readonly<Limits>): BundleReader;
    get path(): string;
    sizeBytes(): number;
    close(): void;
    sessions(): Generator<MarkedSession, void>;
}
export declare function invalidBundle(problem: string, where: string, cause?: unknown): SessionStoreError;

// --- transfer/bundle-writer.d.ts
import type { Backend } from "../contract.js";
import type { Port } from "../fs/port.js";
import { type BundleHeader, type BundleTrailer } from "./bundle-format.js";
import type { ByteSink } from "./output-file.js";
import { type SessionProblem } from "./session-writer.js";
export interface BundleOptions {
    readonly keys?: readonly string[] | undefined;
    readonly agent?: string | undefined;
    readonly allowDamaged?: boolean | undefined;
    readonly allowEmpty?: boolean | undefined;
    readonly onProgress?: ((done: number) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
}
export interface WrittenBundle {
    readonly header: BundleHeader;
    readonly trailer: BundleTrailer;
    readonly fileSha256: string;
    readonly fileBytes: number;
    readonly newestUpdatedAt: number;
    readonly damaged: readonly SessionProblem[];
}
export declare function writeBundle(port: Port, source: Backend, sink: ByteSink, options: BundleOptions): Promise<WrittenBundle>;

// --- transfer/content-hash.d.ts
import type { Capabilities, FrozenEntry, Generation } from "../contract.js";
export interface PortableSession {
    readonly key: string;
    readonly entry: FrozenEntry;
    readonly generations?: readonly Generation[] | undefined;
}
export type SessionDigest = string;
export declare function digestSession({ key, entry, generations }: PortableSession): SessionDigest;
export declare function digestAsKept(session: PortableSession, { generations: keepsThem }: Pick<Capabilities, "generations">): SessionDigest;
export declare function combineDigests(digests: Iterable<SessionDigest>): string;
export declare function canonicalJson(value: unknown): string;

// --- transfer/copy.d.ts
import type { Backend, Logger } from "../contract.js";
import type { Port } from "../fs/port.js";
import { type ConflictPolicy, type SessionProblem, type WriteCounts } from "./session-writer.js";
import { type StorePlace } from "./store-place.js";
export interface CopyOptions {
    readonly dryRun?: boolean | undefined;
    readonly onConflict?: ConflictPolicy | undefined;
    readonly allowEmpty?: boolean | undefined;
    readonly onProgress?: ((done: number) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly logger?: Logger | undefined;
    readonly port?: Port | undefined;
}
export interface CopyResult extends WriteCounts {
    readonly outcome: "complete" | "partial";
    readonly dryRun: boolean;
    readonly source: {
        readonly backend: string;
        readonly location: string;
    };
    readonly target: {
        readonly backend: string;
        readonly location: string;
    };
    readonly sessions: number;
    readonly contentSha256?: string;
    readonly verified?: {
        readonly sessions: number;
        readonly contentSha256: string;
    };
    readonly conflicts: readonly string[];
    readonly damaged: readonly SessionProblem[];
    readonly refused: readonly SessionProblem[];
    readonly changedSince: readonly string[];
    readonly warnings: readonly string[];
}
export declare function copyStore(source: StorePlace, target: StorePlace, options?: CopyOptions): Promise<CopyResult>;
export declare function copyBackends(port: Port, source: Backend, options: CopyOptions, openTarget: (keyRule: Backend["keyRule"]) => Promise<Backend | undefined>): Promise<CopyResult>;

// --- transfer/export.d.ts
import type { Port } from "../fs/port.js";
import { type BundleOptions } from "./bundle-writer.js";
import { type ByteSink } from "./output-file.js";
import type { SessionProblem } from "./session-writer.js";
import { type StorePlace } from "./store-place.js";
export interface ExportOptions extends BundleOptions {
    readonly force?: boolean | undefined;
    readonly port?: Port | undefined;
}
export interface ExportResult {
    readonly outcome: "complete" | "partial";
    readonly path?: string;
    readonly sessions: number;
    readonly contentSha256: string;
    readonly sha256: string;
    readonly bytes: number;
    readonly damaged: readonly SessionProblem[];
}
export declare function exportSessions(store: StorePlace, output: string | ByteSink, options?: ExportOptions): Promise<ExportResult>;

// --- transfer/import.d.ts
import type { Logger } from "../contract.js";
import type { Port } from "../fs/port.js";
import type { BundleTrailer } from "./bundle-format.js";
import { BundleReader } from "./bundle-reader.js";
import type { ConflictPolicy, SessionProblem, WriteCounts } from "./session-writer.js";
import { type StorePlace } from "./store-place.js";
export interface ImportOptions {
    readonly onConflict?: ConflictPolicy | undefined;
    readonly freshIds?: boolean | undefined;
    readonly dryRun?: boolean | undefined;
    readonly onProgress?: ((done: number, total: number) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly logger?: Logger | undefined;
    readonly port?: Port | undefined;
}
export interface ImportResult extends WriteCounts {
    readonly outcome: "complete" | "partial";
    readonly dryRun: boolean;
    readonly sessions: number;
    readonly contentSha256: string;
    readonly target: {
        readonly backend: string;
        readonly location: string;
    };
    readonly refused: readonly SessionProblem[];
    readonly damagedInSource: readonly string[];
    readonly warnings: readonly string[];
}
export declare function importSessions(bundlePath: string, store: StorePlace, options?: ImportOptions): Promise<ImportResult>;
export declare function verifyBundle(port: Port, bundle: BundleReader): Promise<BundleTrailer>;

// --- transfer/output-file.d.ts
import { type Directory, type Port } from "../fs/port.js";
export interface ByteSink {
    write(bytes: Uint8Array): void | Promise<void>;
}
export declare class FileWriter implements ByteSink {
    #private;
    sizeBytes: number;
    constructor(port: Port, directory: Directory, name: string);
    write(bytes: Uint8Array): void;
    sync(): Promise<void>;
    close(): void;
}
export declare function partialName(port: Port, name: string): string;
export declare function writeFileAtomically<Result>(port: Port, filePath: string, options: {
    readonly replace: boolean;
    readonly operation: string;
}, write: (sink: ByteSink) => Promise<Result>): Promise<Result>;

// --- transfer/restore.d.ts
import type { Logger } from "../contract.js";
import { type Port } from "../fs/port.js";
import { type Limits } from "../limits.js";
export interface RestoreBackupOptions {
    readonly replace?: boolean | undefined;
    readonly acceptLoss?: boolean | undefined;
    readonly dryRun?: boolean | undefined;
    readonly limits?: Partial<Limits> | undefined;
    readonly onProgress?: ((done: number, total: number) => void) | undefined;
    readonly logger?: Logger | undefined;
    readonly port?: Port | undefined;
}
export interface StoreFigures {
    readonly sessions: number;
    readonly newestUpdatedAt: number;
}
export interface RestoreBackupResult {
    readonly outcome: "complete" | "partial";
    readonly dryRun: boolean;
    readonly storePath: string;
    readonly backup: StoreFigures & {
        readonly created: string;
        readonly damaged: readonly string[];
    };
    readonly replaced?: StoreFigures | "unreadable";
    readonly asidePath?: string;
    readonly contentSha256?: string;
}
export declare function restoreBackup(backupPath: string, storeLocation: string, options?: RestoreBackupOptions): Promise<RestoreBackupResult>;

// --- transfer/session-writer.d.ts
import type { Backend, FrozenEntry } from "../contract.js";
import type { PortableSession } from "./content-hash.js";
export type ConflictPolicy = "fail" | "skip" | "newer" | "replace";
export declare const conflictPolicies: readonly ConflictPolicy[];
export interface SessionProblem {
    readonly key: string | undefined;
    readonly message: string;
}
export interface WriteCounts {
    created: number;
    replaced: number;
    same: number;
    skipped: number;
}
export interface SessionWriterOptions {
    readonly policy: ConflictPolicy;
    readonly dryRun: boolean;
    readonly actor: string;
    readonly reason: string;
    readonly signal?: AbortSignal | undefined;
}
export declare class SessionWriter {
    #private;
    readonly counts: WriteCounts;
    readonly conflicts: string[];
    readonly skippedKeys: string[];
    readonly refused: SessionProblem[];
    generationsLost: number;
    constructor(target: Backend | undefined, options: SessionWriterOptions);
    add(session: PortableSession): Promise<void>;
    flush(): Promise<void>;
}
export declare function updatedAtOf(entry: FrozenEntry): number;
export declare function requireNotAborted(signal: AbortSignal | undefined): void;

// --- transfer/store-place.d.ts
import type { OpenOptions } from "../api.js";
import type { Backend, KeyRule, Logger } from "../contract.js";
import type { Port } from "../fs/port.js";
export type StorePlace = string | (Omit<OpenOptions, "readOnly" | "migrate"> & {
    readonly location: string;
});
export declare function locationOf(place: StorePlace, where: string): string;
export declare function openForReading(port: Port, place: StorePlace, where: string): Promise<Backend>;
export declare function openForReadingIfExists(port: Port, place: StorePlace, where: string): Promise<Backend | undefined>;
export declare function openForWriting(port: Port, place: StorePlace, keyRule: KeyRule, where: string, logger?: Logger): Promise<Backend>;
export declare function folderOf(backend: Backend): string | undefined;
