/**
 * The way back: a directory store becomes a legacy `sessions.json` again, with everything that was committed to it,
 * also since the migration. An outcome instead of an exception, so that one bad store never stops the others.
 *
 * Under the checkpoint lock (nobody migrates, checkpoints or rolls back meanwhile), one step after the other is made
 * durable before the next. What lies on the disk after each, and what a crash there leads to:
 *
 *   0. Look, without changing anything: is every session readable, does the file fit, is there space? A dry run ends here.
 *   1. The fence: the last record of the journal is a final seal. Open handles fail with `store_fenced` from now on.
 *      -> sessions.d, fenced. The next opener for writing undoes the rollback: it cuts the fence off.
 *   2. Every session is written to `sessions.json.rollback-<hex>.tmp`, synced, read back and compared with the store.
 *      -> the same, and the temporary file, which the next opener removes.
 *   3. Under the gateway's lock until 5 is done: what lies at `sessions.json` (an ignored file; usually nothing) is
 *      renamed to `sessions.json.bak.<ms>`.
 *   4. The marker `sessions.d.rolled-back` is written; it names the fence and the temporary file.
 *      -> still undone by the next opener: the export is not in its place.
 *   5. The temporary file is renamed to `sessions.json`. This is the moment: before it the directory is authoritative,
 *      after it the file, for us and for a program that knows only the file.
 *      -> the next opener *finishes*: it does step 6. The fence keeps the directory as it was exported until then.
 *   6. `sessions.d` is renamed to `sessions.d.bak.<ms>`. Its lock files stay where they are.
 *      -> sessions.json, the marker, the backup. The marker keeps the file from being migrated by itself.
 *
 * There is no moment without an authoritative store, which is why the file appears before the directory goes. Nothing
 * that existed is deleted. rollback-recovery.ts does what the arrows say, and rollback itself when it must give up.
 *
 * What a legacy file cannot hold stays in the backup: trash, earlier generations, versions. Versions are never used
 * again: a store that is made of the file later has another incarnation, so no old token or cursor fits it.
 */

import { FenceableStore } from "../backends/directory/fence.js";
import { parseStoreLocation, rollbackExportName, type StoreLocation } from "../backends/directory/layout.js";
import { rollbackMarkerKind } from "../backends/directory/rollback-details.js";
import type { Logger } from "../contract.js";
import { fromSystemError, SessionStoreError, type SessionStoreErrorCode, shortenKey } from "../errors.js";
import { freeBackupName } from "../fs/backup-name.js";
import { nodePort } from "../fs/node-port.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { defaultLimits, type Limits } from "../limits.js";
import { checkOptions, invalidOption } from "../options.js";
import { countOf } from "./legacy-content.js";
import type { Fingerprint } from "./legacy-file.js";
import { legacyLockWaitMs, underLegacyLock } from "./legacy-lock.js";
import { setVersionsAside } from "./original.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import { type Inventory, requireReadable, takeInventory, verifyExport, writeExport } from "./rollback-export.js";
import {
  hasRollbackMarker,
  type RollbackDetails,
  readRollbackMarker,
  setRollbackMarkerAside,
  writeRollbackMarker,
} from "./rollback-marker.js";
import {
  isPublished,
  moveDirectoryAside,
  settleUnderLock,
  underCheckpointLock,
  undoRollback,
} from "./rollback-recovery.js";

export interface RollbackOptions {
  /** Only say what would happen; touches nothing. */
  readonly dryRun?: boolean | undefined;
  /** Told after each session: `total` counts every session twice, because each is written and then compared. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly port?: Port | undefined;
}

export type RollbackOutcome =
  /** The sessions are in the legacy file now; the directory was renamed aside. */
  | "restored"
  /** There is no directory store: nothing to do. `reason` says what is there. */
  | "skipped"
  /** `error` says why, and what is on the disk: the store as it was, unless it says otherwise. */
  | "failed";

export interface RollbackResult {
  /** The legacy file, also when it is not there (yet). */
  legacyPath: string;
  outcome: RollbackOutcome;
  /** Sessions in the legacy file. */
  sessions: number;
  /** Where the directory lies now; absent in a dry run. */
  backupDirectoryPath?: string;
  /** Where a file lies that was in the legacy file's place. */
  replacedFilePath?: string;
  reason?: string;
  /** Sentences for a person. The message of `error` is among them. */
  warnings: string[];
  error?: { code: SessionStoreErrorCode; message: string };
}

const optionNames = [
  "dryRun",
  "onProgress",
  "logger",
  "limits",
  "port",
] as const satisfies readonly (keyof RollbackOptions)[];

/** Rolls the store at `location` back (the path of the `*.json` file, or of the `*.d` directory beside it). */
export async function rollbackStore(location: string, options: RollbackOptions = {}): Promise<RollbackResult> {
  checkOptions(options, optionNames, "rollback");
  const place = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (place === undefined) {
    throw invalidOption("rollback", `${JSON.stringify(location)} is neither a *.json file nor a *.d directory`);
  }
  try {
    return await new Rollback(options.port ?? nodePort(), place, options).run();
  } catch (error) {
    return failed(error, place);
  }
}

class Rollback {
  private readonly port: Port;
  private readonly location: StoreLocation;
  private readonly options: RollbackOptions;
  private readonly limits: Readonly<Limits>;

  constructor(port: Port, location: StoreLocation, options: RollbackOptions) {
    this.port = port;
    this.location = location;
    this.options = options;
    this.limits = { ...defaultLimits, ...options.limits };
  }

  async run(): Promise<RollbackResult> {
    let parent: Directory;
    try {
      parent = this.port.openRoot(this.location.parentPath);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return this.skipped("there is nothing at this path");
      throw error;
    }
    try {
      if (this.port.statName(parent, this.location.directoryName) === undefined) return this.nothingToDo(parent);
      if (this.options.dryRun) return await this.predict(parent);
      const result = await underCheckpointLock(this.port, parent, this.location, () => this.rollBack(parent));
      if (result.outcome === "restored") {
        this.options.logger?.info?.(`rolled ${countOf(result.sessions, "session", "sessions")} back`, {
          path: result.legacyPath,
          backupPath: result.backupDirectoryPath,
        });
      }
      return result;
    } finally {
      this.port.closeDirectory(parent);
    }
  }

  private async predict(parent: Directory): Promise<RollbackResult> {
    const store = FenceableStore.open(this.port, this.location, true, this.limits);
    try {
      const result = this.result("restored");
      if (store.isFenced && isPublished(this.port, parent, this.location, store)) {
        result.sessions = readRollbackMarker(this.port, parent, this.location)?.sessions ?? 0;
        result.warnings.push("An interrupted rollback has put its legacy file in place; only the directory must go.");
        return result;
      }
      const inventory = await this.takeInventoryBesideCheckpoints(store);
      this.assertPossible(parent, inventory);
      result.sessions = inventory.keys.length;
      result.warnings.push(...this.warningsOf(inventory));
      if (this.port.statName(parent, this.location.legacyName)) {
        result.warnings.push(`${legacyPathOf(this.location)} is not part of the store and would be renamed aside.`);
      }
      return result;
    } finally {
      store.close();
    }
  }

  /** A dry run takes no lock, so a checkpoint of somebody else may come between. */
  private async takeInventoryBesideCheckpoints(store: FenceableStore): Promise<Inventory> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await takeInventory(store);
      } catch (error) {
        if (!hasCode(error, "snapshot_expired") || attempt >= inventoryAttemptsMax) throw error;
        store.view.rebuild();
      }
    }
  }

  private assertPossible(parent: Directory, inventory: Inventory): void {
    refuseDamaged(inventory, this.location);
    const { bytes } = inventory;
    requireReadable(inventory, this.location);
    const { freeBytes } = this.port.statFileSystem(parent);
    if (freeBytes >= bytes) return;
    throw new SessionStoreError("disk_full", `this needs ${bytes} bytes on the disk, ${freeBytes} are free`, {
      operation: "roll back",
      path: legacyPathOf(this.location),
      onDisk: unchanged,
      nextStep: "Free some space and try again.",
    });
  }

  private warningsOf({ bytes }: Inventory): string[] {
    if (bytes <= this.limits.legacyFileBytes) return [];
    return [
      `The legacy file has ${bytes} bytes, more than the limit legacyFileBytes (${this.limits.legacyFileBytes}): to open or migrate it again, raise that limit.`,
    ];
  }

  // --- under the checkpoint lock -----------------------------------------------------------------------------------

  private async rollBack(parent: Directory): Promise<RollbackResult> {
    const before = await settleUnderLock(this.port, parent, this.location, this.limits);
    if (before.state === "absent") return this.nothingToDo(parent); // Somebody else was faster.
    if (before.state === "finished") {
      const result = this.result("restored");
      result.sessions = before.marker?.sessions ?? 0;
      result.backupDirectoryPath = this.pathOf(before.backupName);
      result.warnings.push("An interrupted rollback had put its legacy file in place; only the directory had to go.");
      return result;
    }
    const store = FenceableStore.open(this.port, this.location, false, this.limits);
    try {
      return await this.rollBackStore(parent, store);
    } finally {
      store.close();
    }
  }

  private async rollBackStore(parent: Directory, store: FenceableStore): Promise<RollbackResult> {
    const result = this.result("restored");
    // Step 0. The lock keeps checkpoints away, so that a busy store is looked at once and not for ever.
    this.assertPossible(parent, await takeInventory(store));
    // One of an earlier rollback could be mistaken for ours.
    const oldMarker = await setRollbackMarkerAside(this.port, parent, this.location);
    if (oldMarker !== undefined) result.warnings.push(`The marker of an earlier rollback was renamed to ${oldMarker}.`);
    await store.raise();
    let isInPlace = false;
    let marker: RollbackDetails;
    try {
      const exported = await this.exportSessions(parent, store, result);
      // A program that still writes the file does so before this or after it.
      marker = await underLegacyLock(this.port, parent, this.location.legacyName, legacyLockWaitMs, async () => {
        const replaced = await this.setLegacyFileAside(parent, result);
        const details = this.describe(store, exported, replaced);
        await writeRollbackMarker(this.port, parent, this.location, details);
        await this.refuseToReplace(parent, store, result);
        this.port.rename(parent, details.exportFile, parent, this.location.legacyName);
        isInPlace = true;
        return details;
      });
      result.sessions = marker.sessions;
      result.backupDirectoryPath = this.pathOf(await moveDirectoryAside(this.port, parent, this.location, marker));
      return result;
    } catch (error) {
      if (isInPlace) throw notFinished(error, this.location);
      await this.undo(parent, store, error);
      throw error;
    }
  }

  /** Step 2. */
  private async exportSessions(
    parent: Directory,
    store: FenceableStore,
    result: RollbackResult,
  ): Promise<Fingerprint & { name: string; keys: readonly string[] }> {
    // Commits were made since the first look.
    const inventory = await takeInventory(store);
    this.assertPossible(parent, inventory);
    result.warnings.push(...this.warningsOf(inventory));
    const { keys } = inventory;
    const unique = Buffer.from(this.port.randomBytes(8)).toString("hex");
    const name = rollbackExportName(this.location.legacyName, unique);
    let done = 0;
    const onSession = () => {
      done += 1;
      this.options.onProgress?.(done, 2 * keys.length);
    };
    const written = await writeExport(store, parent, name, keys, onSession);
    await verifyExport(store, parent, name, { ...written, keys }, onSession);
    // Its name is what tells whether step 5 was made.
    await this.port.syncDirectory(parent);
    return { ...written, name, keys };
  }

  /** Step 3: it is not part of the store, and it is somebody's. */
  private async setLegacyFileAside(parent: Directory, result: RollbackResult): Promise<string | undefined> {
    const { legacyName } = this.location;
    setVersionsAside(this.port, parent, legacyName);
    if (this.port.statName(parent, legacyName) === undefined) return undefined;
    const name = freeBackupName(this.port, parent, legacyName);
    this.port.rename(parent, legacyName, parent, name);
    await this.port.syncDirectory(parent);
    result.replacedFilePath = this.pathOf(name);
    result.warnings.push(
      `${legacyPathOf(this.location)} was not part of the store; it was renamed to ${this.pathOf(name)}.`,
    );
    return name;
  }

  /** Right before step 5: an older program may have written the file anew, and a foreign hand moved the directory. */
  private async refuseToReplace(parent: Directory, store: FenceableStore, result: RollbackResult): Promise<void> {
    for (let attempt = 0; this.port.statName(parent, this.location.legacyName); attempt += 1) {
      if (attempt >= replaceAttemptsMax) throw keepsComing(this.location);
      await this.setLegacyFileAside(parent, result);
    }
    if (store.files.isInPlace()) return;
    throw new SessionStoreError("store_gone", "the store directory was moved, replaced or deleted", {
      operation: "roll back",
      path: directoryPathOf(this.location),
      nextStep: "Find out who moved it, put it back, then try again.",
    });
  }

  private describe(
    store: FenceableStore,
    exported: Fingerprint & { name: string; keys: readonly string[] },
    replacedFile: string | undefined,
  ): RollbackDetails {
    const { legacyName, directoryName } = this.location;
    const { storeId, incarnation } = store.files.manifest;
    const backup = freeBackupName(this.port, store.files.parent, directoryName);
    return {
      kind: rollbackMarkerKind,
      note:
        `The store ${directoryName} was rolled back: its sessions are in ${legacyName}, and the directory as it was is ${backup}. ` +
        `As long as this file is here, nothing migrates ${legacyName} again by itself; "sessiondir migrate --force" does.`,
      rolledBackAt: new Date(this.port.nowMs()).toISOString(),
      sessions: exported.keys.length,
      legacyFile: legacyName,
      backupDirectory: backup,
      replacedFile,
      legacyBytes: exported.sizeBytes,
      legacySha256: exported.sha256,
      storeId,
      incarnation,
      lastVersion: store.lastVersion,
      exportFile: exported.name,
    };
  }

  /** What cannot be undone now, the next opener undoes. */
  private async undo(parent: Directory, store: FenceableStore, cause: unknown): Promise<void> {
    try {
      await undoRollback(this.port, parent, this.location, store);
    } catch (error) {
      this.options.logger?.warn("a rollback that failed could not be undone yet; the next opening does it", {
        path: directoryPathOf(this.location),
        error: String(error),
        cause: String(cause),
      });
    }
  }

  // --- results -----------------------------------------------------------------------------------------------------

  private nothingToDo(parent: Directory): RollbackResult {
    if (this.port.statName(parent, this.location.legacyName) === undefined)
      return this.skipped("there is neither a directory store nor a legacy file");
    if (hasRollbackMarker(this.port, parent, this.location)) return this.skipped("it was rolled back already");
    return this.skipped("it is a legacy file, which was never migrated");
  }

  private skipped(reason: string): RollbackResult {
    return { ...this.result("skipped"), reason };
  }

  private result(outcome: RollbackOutcome): RollbackResult {
    return { legacyPath: legacyPathOf(this.location), outcome, sessions: 0, warnings: [] };
  }

  private pathOf(name: string): string {
    return legacyPathOf({ ...this.location, legacyName: name });
  }
}

const inventoryAttemptsMax = 5;
const replaceAttemptsMax = 5;
const shownDamagedMax = 5;
const unchanged = "Nothing was changed: the store is as it was.";

function refuseDamaged({ damaged }: Inventory, location: StoreLocation): void {
  if (damaged.length === 0) return;
  const shown = damaged
    .slice(0, shownDamagedMax)
    .map(({ key, problem }) =>
      key === undefined ? `one without a key (${problem})` : `${shortenKey(key)} (${problem})`,
    );
  const more = damaged.length > shown.length ? `, and ${damaged.length - shown.length} more` : "";
  throw new SessionStoreError(
    "entry_damaged",
    `${countOf(damaged.length, "session is", "sessions are")} damaged and would be missing from the legacy file: ${shown.join(", ")}${more}`,
    {
      operation: "roll back",
      path: directoryPathOf(location),
      onDisk: unchanged,
      nextStep: "Run `sessiondir repair`, which keeps every original, then roll back.",
    },
  );
}

function keepsComing(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("io_error", "another program writes the legacy file again and again", {
    operation: "roll back",
    path: legacyPathOf(location),
    onDisk: "The directory store is as it was; what that program wrote was renamed to .bak.<time>.",
    nextStep: "Stop that program, then try again.",
  });
}

function notFinished(cause: unknown, location: StoreLocation): SessionStoreError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new SessionStoreError("io_error", `the directory could not be renamed aside (${problem})`, {
    operation: "roll back",
    path: directoryPathOf(location),
    onDisk: `Every session is in ${legacyPathOf(location)}, which counts from now on; the directory is closed by its fence.`,
    nextStep: "Find out why, then run the rollback again: it only finishes.",
    cause,
  });
}

/** Errors of ours and of the system become an outcome; anything else is a bug and is thrown on. */
function failed(error: unknown, location: StoreLocation): RollbackResult {
  if (typeof (error as { code?: unknown } | undefined)?.code !== "string") throw error;
  const { code, message } = fromSystemError(error, {
    operation: "roll back",
    path: directoryPathOf(location),
    onDisk: "The directory store has every session, as before.",
  });
  return {
    legacyPath: legacyPathOf(location),
    outcome: "failed",
    sessions: 0,
    warnings: [message],
    error: { code, message },
  };
}
