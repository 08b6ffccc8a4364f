/**
 * Restores a backup as a directory store: verified first, built beside its place, read back and compared, then put into
 * place by a rename (restore-place.ts). The restored store is a new one: no version token and no cursor of an earlier
 * life fits it.
 *
 * An existing store is only replaced when asked for, and then renamed aside. One that holds more or newer sessions than
 * the backup is only replaced when the loss is accepted in so many words: the usual accident is to restore the wrong, or
 * an empty, backup over a good store.
 */

import { parseStoreLocation } from "../backends/directory/layout.js";
import type { Backend, Logger } from "../contract.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { Pace } from "../fs/pace.js";
import { hasCode, type Port } from "../fs/port.js";
import { type Limits, limitCaps } from "../limits.js";
import { checkLimits } from "../open-options.js";
import { checkOptions, invalidOption } from "../options.js";
import { openVerifiedBackup } from "./backup.js";
import type { BackupManifest } from "./backup-files.js";
import { resolvePaths } from "./bundle-paths.js";
import type { BundleReader } from "./bundle-reader.js";
import { combineDigests, digestAsKept, type SessionDigest } from "./content-hash.js";
import { RestorePlace } from "./restore-place.js";
import { SessionWriter, updatedAtOf } from "./session-writer.js";
import { openForReading, openForWriting } from "./store-place.js";

export interface RestoreBackupOptions {
  /** Put the restored store in the place of an existing one, which is renamed to `.bak.<ms>`. */
  readonly replace?: boolean | undefined;
  /** Replace the existing store even if it holds more or newer sessions than the backup, or cannot be read. */
  readonly acceptLoss?: boolean | undefined;
  /** Verify and compare, but change nothing. */
  readonly dryRun?: boolean | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  readonly port?: Port | undefined;
}

/** The two figures by which stores are compared. */
export interface StoreFigures {
  readonly sessions: number;
  /** Milliseconds since 1970; 0 when no session has one. */
  readonly newestUpdatedAt: number;
}

export interface RestoreBackupResult {
  /** "partial": the backup was made without sessions that could not be read. */
  readonly outcome: "complete" | "partial";
  readonly dryRun: boolean;
  readonly storePath: string;
  readonly backup: StoreFigures & { readonly created: string; readonly damaged: readonly string[] };
  /** What lay at the place, if anything did; "unreadable" when it could not be read. */
  readonly replaced?: StoreFigures | "unreadable";
  /** Where that is now. */
  readonly asidePath?: string;
  /** The content hash of the restored store, read back. */
  readonly contentSha256?: string;
}

const optionNames = ["replace", "acceptLoss", "dryRun", "limits", "onProgress", "logger", "port"];
const where = "restoreBackup";

export async function restoreBackup(
  backupPath: string,
  storeLocation: string,
  options: RestoreBackupOptions = {},
): Promise<RestoreBackupResult> {
  checkOptions(options, optionNames, where);
  const location =
    typeof storeLocation === "string" && !storeLocation.includes("\0") ? parseStoreLocation(storeLocation) : undefined;
  if (location === undefined) {
    throw invalidOption(
      where,
      "a backup is restored as a directory store: give the path of a sessions.json or of a *.d directory",
      "For another backend, import the backup's sessions.jsonl.",
    );
  }
  const port = options.port ?? nodePort();
  const { keyBytes, entryBytes, nestingLevels } = limitCaps;
  // What was taken in is given out: larger entries than the default allows may be in a backup.
  const limits = checkLimits({ keyBytes, entryBytes, nestingLevels, ...options.limits });
  const { manifest, bundle } = await openVerifiedBackup(port, backupPath, limits);
  try {
    const work = (place: RestorePlace) => restoreInto(place, manifest, bundle, limits, options);
    return await (options.dryRun ? RestorePlace.look(port, location, work) : RestorePlace.hold(port, location, work));
  } catch (error) {
    if (typeof (error as { code?: unknown } | undefined)?.code !== "string") throw error;
    const details = { operation: "restore the backup", path: location.parentPath };
    if (!hasCode(error, "ENOENT")) throw fromSystemError(error, details);
    const nextStep = "Make it first.";
    throw new SessionStoreError("not_found", "there is no such folder", { ...details, nextStep, cause: error });
  } finally {
    bundle.close();
  }
}

async function restoreInto(
  place: RestorePlace,
  manifest: BackupManifest,
  bundle: BundleReader,
  limits: Readonly<Limits>,
  options: RestoreBackupOptions,
): Promise<RestoreBackupResult> {
  place.requireNothingElse();
  const dryRun = options.dryRun ?? false;
  const replaces = place.hasStore();
  if (replaces && !options.replace) throw storeExists(place);
  const live = replaces ? await measureLive(place, limits, dryRun) : undefined;
  if (live !== undefined && !options.acceptLoss) requireNoLoss(place, manifest, live);
  const result: RestoreBackupResult = {
    outcome: manifest.damaged === 0 ? "complete" : "partial",
    dryRun,
    storePath: place.storePath,
    backup: {
      created: manifest.created,
      sessions: manifest.sessions,
      newestUpdatedAt: manifest.newestUpdatedAt,
      damaged: bundle.trailer?.damaged ?? [],
    },
    ...(live === undefined ? {} : { replaced: live.figures ?? ("unreadable" as const) }),
  };
  if (dryRun) return result;
  const contentSha256 = await build(place, manifest, bundle, limits, options);
  if (live === undefined) {
    await place.publish();
    return { ...result, contentSha256 };
  }
  const asidePath = await place.replace(
    limits,
    (lastVersion) => options.acceptLoss === true || lastVersion === live.lastVersion,
  );
  if (asidePath === "overtaken") throw overtaken(place);
  options.logger?.info?.("restored a backup; the store that lay there was renamed", {
    path: place.storePath,
    asidePath,
  });
  return { ...result, contentSha256, asidePath };
}

interface Live {
  /** Undefined when it cannot be read. */
  readonly figures?: StoreFigures;
  readonly lastVersion?: number;
}

async function measureLive(place: RestorePlace, limits: Readonly<Limits>, dryRun: boolean): Promise<Live> {
  try {
    const live = await openLive(place, limits, dryRun);
    try {
      // Before the scan: a commit in between makes the comparison out of date, and must be noticed.
      const lastVersion = Number((await live.stats()).lastVersion);
      let sessions = 0;
      let newestUpdatedAt = 0;
      // A session that is damaged may be repaired: it counts.
      const onDamaged = () => {
        sessions += 1;
      };
      for await (const { entry } of await live.scan({ onDamaged })) {
        sessions += 1;
        newestUpdatedAt = Math.max(newestUpdatedAt, updatedAtOf(entry));
      }
      return { figures: { sessions, newestUpdatedAt }, lastVersion };
    } finally {
      await live.close();
    }
  } catch (error) {
    const codes = ["store_missing", "store_damaged", "unsupported_layout"];
    if (!(error instanceof SessionStoreError) || !codes.includes(error.code)) throw error;
    return {};
  }
}

async function openLive(place: RestorePlace, limits: Readonly<Limits>, dryRun: boolean): Promise<Backend> {
  try {
    return await openForReading(place.port, place.storePath, where);
  } catch (error) {
    if (dryRun || !(error instanceof SessionStoreError) || error.code !== "store_fenced") throw error;
  }
  await place.liftFence(limits);
  return await openForReading(place.port, place.storePath, where);
}

/** Builds the store beside its place and reads it back; its content hash. */
async function build(
  place: RestorePlace,
  manifest: BackupManifest,
  bundle: BundleReader,
  limits: Readonly<Limits>,
  options: RestoreBackupOptions,
): Promise<string> {
  const { port, location } = place;
  const building = { location: place.makeBuildingPlace(), durability: "interval", limits } as const;
  const digests: SessionDigest[] = [];
  const pace = new Pace(port);
  const store = await openForWriting(port, building, manifest.source.keyRule, where, options.logger);
  try {
    const writer = new SessionWriter(store, {
      policy: "fail",
      dryRun: false,
      actor: "sessiondir backup restore",
      reason: `restored from the backup of ${manifest.created}`,
    });
    for (const marked of bundle.sessions()) {
      const session = resolvePaths(marked, location.parentPath);
      await writer.add(session);
      digests.push(digestAsKept(session, store.capabilities));
      options.onProgress?.(digests.length, manifest.sessions);
      await pace.breathe();
    }
    await writer.flush();
    const [refused] = writer.refused;
    if (refused !== undefined) throw notTaken(place, refused.message, writer.refused.length);
    await store.sync();
    await store.checkpoint();
  } finally {
    await store.close();
  }
  const expected = combineDigests(digests);
  if ((await hashOf(port, building)) !== expected || bundle.fileSha256 !== manifest.files[0]?.sha256) {
    throw new SessionStoreError("io_error", "the restored store, read back, is not what the backup holds", {
      operation: "restore the backup",
      path: place.storePath,
      onDisk: "What lies at the place of the store was not touched.",
      nextStep: "Check the disk, then restore again.",
    });
  }
  return expected;
}

async function hashOf(port: Port, building: Parameters<typeof openForReading>[1]): Promise<string> {
  const store = await openForReading(port, building, where);
  try {
    const digests: SessionDigest[] = [];
    for await (const session of await store.scan()) {
      digests.push(digestAsKept(session, store.capabilities));
    }
    return combineDigests(digests);
  } finally {
    await store.close();
  }
}

function requireNoLoss(place: RestorePlace, backup: BackupManifest, { figures: live }: Live): void {
  const details = {
    operation: "restore the backup",
    path: place.storePath,
    onDisk: "Nothing was changed.",
  };
  if (live === undefined) {
    throw new SessionStoreError("conflict", "the store there cannot be read, so nobody knows what would be lost", {
      ...details,
      nextStep: "Try `sessiondir repair` first, or accept the loss: { acceptLoss: true } (--accept-loss).",
    });
  }
  if (backup.sessions >= live.sessions && backup.newestUpdatedAt >= live.newestUpdatedAt) return;
  const problem =
    `the store there holds ${live.sessions} sessions, the newest of ${formatTime(live.newestUpdatedAt)}; ` +
    `the backup holds ${backup.sessions}, the newest of ${formatTime(backup.newestUpdatedAt)}`;
  throw new SessionStoreError("conflict", problem, {
    ...details,
    nextStep: "Take a backup of the store first, then accept the loss: { acceptLoss: true } (--accept-loss).",
  });
}

function formatTime(ms: number): string {
  return ms > 0 && ms < 8.64e15 ? new Date(ms).toISOString() : "unknown time";
}

function storeExists(place: RestorePlace): SessionStoreError {
  return new SessionStoreError("conflict", "there is a store already", {
    operation: "restore the backup",
    path: place.storePath,
    onDisk: "Nothing was changed.",
    nextStep: "Restore elsewhere, or put it in its place: { replace: true } (--replace). The old one is renamed aside.",
  });
}

function overtaken(place: RestorePlace): SessionStoreError {
  return new SessionStoreError("conflict", "the store was written to while the backup was restored", {
    operation: "restore the backup",
    path: place.storePath,
    onDisk:
      "The store is in its place, with everything that was committed; programs that have it open must open it again.",
    nextStep:
      "Stop the programs that write to it and try again, or accept the loss: { acceptLoss: true } (--accept-loss).",
  });
}

function notTaken(place: RestorePlace, problem: string, count: number): SessionStoreError {
  return new SessionStoreError("limit_exceeded", `${count} of the sessions cannot be restored: ${problem}`, {
    operation: "restore the backup",
    path: place.storePath,
    onDisk: "What lies at the place of the store was not touched.",
    nextStep: "Raise the limits.",
  });
}
