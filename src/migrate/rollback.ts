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
 *   3. Under the gateway's lock until 5 is done: the marker `sessions.d.rolled-back` is written; it names the fence and
 *      the temporary file. -> still undone by the next opener: the export is not in its place.
 *   4. What lies at `sessions.json` (usually nothing) is renamed to `sessions.json.bak.<ms>`. An older program may have
 *      written it since the migration: what is newer in it is part of the export (rollback-beside.ts), which is made again
 *      when the file has changed meanwhile. -> undone, and the file is put back.
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
import { StoreFiles } from "../backends/directory/store-files.js";
import type { Logger } from "../contract.js";
import { nodePort } from "../fs/node-port.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { checkOptions, invalidOption, shownLocation } from "../options.js";
import { countOf } from "./legacy-content.js";
import { checkLimits } from "./migrate.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import { type Beside, lookBeside } from "./rollback-beside.js";
import { requirePossible, sizeWarnings, takeInventoryBesideCheckpoints } from "./rollback-checks.js";
import {
  exportSource,
  type Inventory,
  takeInventory,
  verifyExport,
  withWinners,
  writeExport,
} from "./rollback-export.js";
import {
  hasRollbackMarker,
  type RollbackDetails,
  readRollbackMarker,
  setRollbackMarkerAside,
} from "./rollback-marker.js";
import { type Exported, publishExport } from "./rollback-publish.js";
import {
  isPublished,
  moveDirectoryAside,
  settleUnderLock,
  underCheckpointLock,
  undoRollback,
} from "./rollback-recovery.js";
import {
  failedRollback,
  findNotOurs,
  notFinished,
  nothingToRollBack,
  type RollbackResult,
  rollbackResult,
  skipped,
} from "./rollback-result.js";

export type { RollbackOutcome, RollbackResult } from "./rollback-result.js";

export interface RollbackOptions {
  /** Only say what would happen; touches nothing. */
  readonly dryRun?: boolean | undefined;
  /** Told after each session: `total` counts every session twice, because each is written and then compared. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly port?: Port | undefined;
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
    throw invalidOption("rollback", `${shownLocation(location)} is neither a *.json file nor a *.d directory`);
  }
  const limits = checkLimits(options.limits, "rollback");
  try {
    return await new Rollback(options.port ?? nodePort(), place, options, limits).run();
  } catch (error) {
    return failedRollback(error, place);
  }
}

class Rollback {
  private readonly port: Port;
  private readonly location: StoreLocation;
  private readonly options: RollbackOptions;
  private readonly limits: Readonly<Limits>;

  constructor(port: Port, location: StoreLocation, options: RollbackOptions, limits: Readonly<Limits>) {
    this.port = port;
    this.location = location;
    this.options = options;
    this.limits = limits;
  }

  async run(): Promise<RollbackResult> {
    const { port, location } = this;
    let parent: Directory;
    try {
      parent = port.openRoot(location.parentPath);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return skipped(location, "there is nothing at this path");
      throw error;
    }
    try {
      const notOurs = findNotOurs(port, parent, location);
      if (notOurs !== undefined) return notOurs;
      this.requireWriter();
      if (this.options.dryRun) return await this.predict(parent);
      const result = await underCheckpointLock(port, parent, location, () => this.rollBack(parent));
      if (result.outcome === "restored") {
        this.options.logger?.info?.(`rolled ${countOf(result.sessions, "session", "sessions")} back`, {
          path: result.legacyPath,
          backupPath: result.backupDirectoryPath,
        });
      }
      return result;
    } finally {
      port.closeDirectory(parent);
    }
  }

  /** Before any lock file is opened, and in a dry run as well: what no writer may open is refused. Writes nothing. */
  private requireWriter(): void {
    try {
      StoreFiles.open(this.port, this.location, false).close();
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error; // Somebody else was faster.
    }
  }

  private async predict(parent: Directory): Promise<RollbackResult> {
    const { port, location } = this;
    const store = FenceableStore.open(port, location, true, this.limits);
    try {
      const result = rollbackResult(location, "restored");
      if (store.isFenced && isPublished(port, parent, location, store)) {
        result.sessions = readRollbackMarker(port, parent, location)?.sessions ?? 0;
        result.warnings.push("An interrupted rollback has put its legacy file in place; only the directory must go.");
        return result;
      }
      const found = await takeInventoryBesideCheckpoints(store);
      const beside = await lookBeside(port, parent, location, store, this.limits);
      const inventory = withWinners(found, beside.entries);
      requirePossible(port, parent, location, inventory);
      result.sessions = exportSource(store, inventory.keys, beside.entries).keys.length;
      result.warnings.push(...sizeWarnings(inventory, this.limits), ...beside.warnings);
      if (hasRollbackMarker(port, parent, location)) {
        result.warnings.push("The marker of an earlier rollback would be renamed aside.");
      }
      if (port.statName(parent, location.legacyName)) {
        result.warnings.push(`${legacyPathOf(location)} is not part of the store and would be renamed aside.`);
      }
      return result;
    } finally {
      store.close();
    }
  }

  // --- under the checkpoint lock -----------------------------------------------------------------------------------

  private async rollBack(parent: Directory): Promise<RollbackResult> {
    const { port, location } = this;
    const before = await settleUnderLock(port, parent, location, this.limits);
    if (before.state === "absent") return nothingToRollBack(port, parent, location); // Somebody else was faster.
    if (before.state === "finished") {
      const result = rollbackResult(location, "restored");
      result.sessions = before.marker?.sessions ?? 0;
      result.backupDirectoryPath = this.pathOf(before.backupName);
      result.warnings.push("An interrupted rollback had put its legacy file in place; only the directory had to go.");
      return result;
    }
    const store = FenceableStore.open(port, location, false, this.limits);
    try {
      return await this.rollBackStore(parent, store);
    } finally {
      store.close();
    }
  }

  private async rollBackStore(parent: Directory, store: FenceableStore): Promise<RollbackResult> {
    const { port, location } = this;
    const result = rollbackResult(location, "restored");
    // Step 0. The lock keeps checkpoints away, so that a busy store is looked at once and not for ever.
    requirePossible(port, parent, location, await takeInventory(store));
    // One of an earlier rollback could be mistaken for ours.
    const oldMarker = await setRollbackMarkerAside(port, parent, location);
    if (oldMarker !== undefined) result.warnings.push(`The marker of an earlier rollback was renamed to ${oldMarker}.`);
    await store.raise();
    let marker: RollbackDetails;
    try {
      // Commits were made since the first look.
      const inventory = await takeInventory(store);
      const exportWith = (beside: Beside) => this.exportSessions(parent, store, inventory, beside);
      const look = () => lookBeside(port, parent, location, store, this.limits);
      const exported = await exportWith(await look());
      marker = await publishExport(port, parent, location, store, { exported, exportWith, look }, result);
    } catch (error) {
      await this.undo(parent, store, error);
      throw error;
    }
    try {
      result.sessions = marker.sessions;
      result.backupDirectoryPath = this.pathOf(await moveDirectoryAside(port, parent, location, marker));
      return result;
    } catch (error) {
      throw notFinished(error, location);
    }
  }

  /** Step 2. */
  private async exportSessions(
    parent: Directory,
    store: FenceableStore,
    found: Inventory,
    beside: Beside,
  ): Promise<Exported> {
    const { port, location } = this;
    const inventory = withWinners(found, beside.entries);
    requirePossible(port, parent, location, inventory);
    const source = exportSource(store, inventory.keys, beside.entries);
    const sessions = source.keys.length;
    const name = rollbackExportName(location.legacyName, Buffer.from(port.randomBytes(8)).toString("hex"));
    let done = 0;
    const onSession = () => {
      done += 1;
      this.options.onProgress?.(done, 2 * sessions);
    };
    const written = await writeExport(port, parent, name, source, onSession);
    await verifyExport(port, parent, name, { ...written, ...source }, onSession);
    // Its name is what tells whether step 5 was made.
    await port.syncDirectory(parent);
    return {
      ...written,
      name,
      sessions,
      beside,
      warnings: [...sizeWarnings(inventory, this.limits), ...beside.warnings],
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

  private pathOf(name: string): string {
    return legacyPathOf({ ...this.location, legacyName: name });
  }
}
