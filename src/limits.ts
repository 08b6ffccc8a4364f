/** Defaults and hard caps of all limits, units last. A user may set each limit up to its cap, never above. */

export interface Limits {
  /** UTF-8 bytes of a session key. */
  keyBytes: number;
  /** Bytes of one entry as JSON text. */
  entryBytes: number;
  /** Bytes of one journal record, that is of one commit. */
  recordBytes: number;
  /** Levels of nesting in an entry; the entry itself is level 1. */
  nestingLevels: number;
  /** Sessions in a store. */
  sessions: number;
  /** Bytes of a legacy `sessions.json` that migration reads. */
  legacyFileBytes: number;
  /** Bytes after which a journal segment is sealed. */
  segmentBytes: number;
  /** Milliseconds after which a segment with commits is sealed, so that entry files lag at most a minute. */
  segmentAgeMs: number;
  /** Milliseconds for which checkpointed segments are kept for watchers. */
  segmentRetentionMs: number;
  /** Bytes of checkpointed segments kept for watchers. */
  segmentRetentionBytes: number;
  /** Milliseconds a snapshot scan may live before it ends with `snapshot_expired`. */
  scanMaxMs: number;
  /** Milliseconds removed sessions stay in the trash. */
  trashRetentionMs: number;
}

/** Those that a user sets. */
export type LimitOptions = { [Name in keyof Limits]?: Limits[Name] | undefined };

const mebibyte = 1024 * 1024;
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export const defaultLimits: Readonly<Limits> = Object.freeze({
  keyBytes: 512,
  entryBytes: 16 * mebibyte,
  recordBytes: 256 * mebibyte,
  nestingLevels: 64,
  sessions: 1_000_000,
  legacyFileBytes: 256 * mebibyte,
  segmentBytes: 16 * mebibyte,
  segmentAgeMs: 30_000,
  segmentRetentionMs: 10 * minuteMs,
  segmentRetentionBytes: 64 * mebibyte,
  scanMaxMs: 5 * minuteMs,
  trashRetentionMs: 7 * dayMs,
});

export const limitCaps: Readonly<Limits> = Object.freeze({
  keyBytes: 4_096,
  entryBytes: 64 * mebibyte,
  recordBytes: 256 * mebibyte,
  nestingLevels: 256,
  sessions: 1_000_000,
  legacyFileBytes: 512 * mebibyte - 1,
  segmentBytes: 256 * mebibyte,
  segmentAgeMs: 60_000,
  segmentRetentionMs: dayMs,
  segmentRetentionBytes: 1024 * mebibyte,
  scanMaxMs: 60 * minuteMs,
  trashRetentionMs: 3_650 * dayMs,
});

/**
 * For what stands in a gateway's place, which had no limits of its own: whatever its file can hold is taken over, written
 * and rolled back, as far as a store can hold it. A file of more bytes is longer than any text of the engine (V8), which
 * the gateway reads its file as.
 */
export const gatewayLimits: Readonly<Limits> = Object.freeze({
  ...defaultLimits,
  keyBytes: limitCaps.keyBytes,
  entryBytes: limitCaps.entryBytes,
  nestingLevels: limitCaps.nestingLevels,
  legacyFileBytes: limitCaps.legacyFileBytes,
});

/** What is fixed: formats and the protocol rely on these. */
export const fixedLimits = Object.freeze({
  /** Keys up to this length are readable in file names; longer ones are hashed. */
  inlineKeyBytes: 120,
  /** An entry file wraps its entry: room for the wrapper, the key and the indentation of pretty JSON. */
  entryFileBytesMax: 512 * mebibyte - 1,
  manifestBytesMax: mebibyte,
  lockWaitMsDefault: 5_000,
  lockWaitMsMax: 60_000,
  conflictWaitMsDefault: 10_000,
  cacheBytesDefault: 16 * mebibyte,
  /** A legacy `sessions.json` of more bytes is copied before it is replaced; as the gateway of that time. */
  rotateBytesDefault: 10 * mebibyte,
  /** "interval" durability: a power cut may cost at most what was committed since so long. */
  intervalSyncMs: 500,
  /** Earlier generations kept for a session; the oldest go first. */
  generationsMax: 200,
  /** Other directory entries that a scan passes over before it refuses. */
  strayFilesMax: 1_024,
});

for (const name of Object.keys(defaultLimits) as (keyof Limits)[]) {
  if (defaultLimits[name] > limitCaps[name]) throw new Error(`limits: the default of ${name} is above its cap`);
}
if (defaultLimits.entryBytes > defaultLimits.recordBytes) throw new Error("limits: an entry must fit in a record");
