/**
 * Putting a restored store into its place. It is built elsewhere, complete and synced, and appears by one rename under
 * the checkpoint lock (P22). Where a store lies already, that one is fenced (P20: whoever has it open is told, and
 * nothing is written behind the fence) and renamed aside, never deleted:
 *
 *   1. `sessions.d.staging-restore-<hex>/`   holds the store while it is built -> removed by the next restore or creation
 *   2. `sessions.d.staging-bak.<ms>`         the complete store, waiting      -> removed; the old store is in its place
 *   3. the old store is fenced                                                -> lifted by the next opener for writing
 *   4. the old store becomes `sessions.d.bak.<ms>`                            -> the next opener for writing does step 5
 *   5. the waiting store becomes `sessions.d`
 *
 * The arrows say what becomes of a crash after the step: at every moment either the old or the new store is the one.
 */

import path from "node:path";
import { findReadyStore } from "../backends/directory/create.js";
import { FenceableStore } from "../backends/directory/fence.js";
import * as layout from "../backends/directory/layout.js";
import { LockFile } from "../backends/directory/lock-file.js";
import { SessionStoreError } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
import { fixedLimits, type Limits } from "../limits.js";

const restorePrefix = "restore-";
/** The folder, the store in it, `entries/`, its shards. */
const levelsMax = 4;

export class RestorePlace {
  readonly port: Port;
  readonly location: layout.StoreLocation;
  readonly parent: Directory;
  readonly #folderName: string;

  private constructor(port: Port, location: layout.StoreLocation, parent: Directory) {
    this.port = port;
    this.location = location;
    this.parent = parent;
    const unique = Buffer.from(port.randomBytes(8)).toString("hex");
    this.#folderName = layout.stagingName(location.directoryName, restorePrefix + unique);
  }

  /** Calls `work` under the checkpoint lock of the place: nobody creates, migrates or rolls back a store there. */
  static async hold<Result>(
    port: Port,
    location: layout.StoreLocation,
    work: (place: RestorePlace) => Promise<Result>,
  ): Promise<Result> {
    const parent = port.openRoot(location.parentPath);
    try {
      const place = new RestorePlace(port, location, parent);
      const { checkpoint } = layout.lockNames(location.directoryName);
      return await underLock(port, parent, checkpoint, "restore the backup", async () => {
        try {
          await place.#finishInterrupted();
          place.#removeLeftovers();
          return await work(place);
        } finally {
          place.#removeLeftovers();
        }
      });
    } finally {
      port.closeDirectory(parent);
    }
  }

  /** The same for looking only: without the lock, because its file would be made. */
  static async look<Result>(
    port: Port,
    location: layout.StoreLocation,
    work: (place: RestorePlace) => Promise<Result>,
  ): Promise<Result> {
    const parent = port.openRoot(location.parentPath);
    try {
      return await work(new RestorePlace(port, location, parent));
    } finally {
      port.closeDirectory(parent);
    }
  }

  get storePath(): string {
    return path.join(this.location.parentPath, this.location.directoryName);
  }

  hasStore(): boolean {
    return this.port.statName(this.parent, this.location.directoryName) !== undefined;
  }

  /** Refuses what a restored store would shadow or be shadowed by. */
  requireNothingElse(): void {
    const { port, parent, location } = this;
    const marker = layout.rollbackMarkerName(location.directoryName);
    const other = [location.legacyName, marker].find((name) => port.statName(parent, name) !== undefined);
    if (other === undefined) return;
    throw new SessionStoreError("conflict", `${other} lies beside the place of the store`, {
      operation: "restore the backup",
      path: path.join(location.parentPath, other),
      onDisk: "Nothing was changed.",
      nextStep: "Finish or undo what it belongs to (a migration or a rollback), or move it away.",
    });
  }

  /** Lifts the fence of a restore that died between steps 3 and 4. Not for a store that is being rolled back. */
  async liftFence(limits: Readonly<Limits>): Promise<void> {
    const store = FenceableStore.open(this.port, this.location, false, limits);
    try {
      await store.lift();
    } finally {
      store.close();
    }
  }

  /** Where the store is to be built. */
  makeBuildingPlace(): string {
    this.port.makeDirectory(this.parent, this.#folderName, layout.directoryMode);
    return path.join(this.location.parentPath, this.#folderName, this.location.directoryName);
  }

  /** Step 5 alone: there is no store yet. */
  async publish(): Promise<void> {
    await this.#moveOut(this.location.directoryName);
    await this.port.syncDirectory(this.parent);
    this.#makeLockFiles();
  }

  /** P21: readers that may not create them find them. */
  #makeLockFiles(): void {
    const { port, parent, location } = this;
    for (const name of Object.values(layout.lockNames(location.directoryName))) {
      LockFile.open(port, parent, name, { uid: port.userId }, false).close();
    }
  }

  /**
   * Steps 2 to 5. `isStillRight` is told, behind the fence, the version that the old store ended with; false gives up.
   * Returns the path of the old store, or "overtaken".
   */
  async replace(
    limits: Readonly<Limits>,
    isStillRight: (lastVersion: number | undefined) => boolean,
  ): Promise<string | "overtaken"> {
    const { port, parent, location } = this;
    const { directoryName } = location;
    let timeMs = Math.floor(port.nowMs());
    while (port.statName(parent, layout.asideName(directoryName, "bak", timeMs))) timeMs += 1;
    const ready = layout.readyName(directoryName, "bak", timeMs);
    const aside = layout.asideName(directoryName, "bak", timeMs);
    await this.#moveOut(ready);
    await port.syncDirectory(parent);
    try {
      const fence = await raiseFence(port, location, limits);
      try {
        if (!isStillRight(fence?.lastVersion)) {
          await fence?.lift();
          removeTree(port, parent, ready, levelsMax);
          return "overtaken";
        }
        const { commit } = layout.lockNames(directoryName);
        await underLock(port, parent, commit, "restore the backup", async () =>
          port.rename(parent, directoryName, parent, aside),
        );
      } finally {
        fence?.close();
      }
    } catch (error) {
      if (this.hasStore()) removeTreeBestEffort(port, parent, ready);
      throw error;
    }
    // From here on what is ready is the store, whoever puts it into place.
    await port.syncDirectory(parent);
    port.rename(parent, ready, parent, directoryName);
    await port.syncDirectory(parent);
    return path.join(location.parentPath, aside);
  }

  async #moveOut(name: string): Promise<void> {
    const folder = this.port.openDirectory(this.parent, this.#folderName);
    try {
      this.port.rename(folder, this.location.directoryName, this.parent, name);
    } finally {
      this.port.closeDirectory(folder);
    }
  }

  /** Step 5 of somebody who died after step 4. */
  async #finishInterrupted(): Promise<void> {
    const { port, parent, location } = this;
    const ready = this.hasStore() ? undefined : findReadyStore(port, parent, location);
    if (ready === undefined) return;
    port.rename(parent, ready, parent, location.directoryName);
    await port.syncDirectory(parent);
  }

  /** Of restores that died; the lock says that none of them is still at work. */
  #removeLeftovers(): void {
    const { port, parent, location } = this;
    const prefix = layout.stagingName(location.directoryName, restorePrefix);
    for (const { name, kind } of port.list(parent, Number.POSITIVE_INFINITY)) {
      if (kind !== "directory") continue;
      const aside = layout.parseReadyName(location.directoryName, name);
      // What waits for a place that nobody left for it waits in vain.
      const waitsInVain = aside !== undefined && this.hasStore() && port.statName(parent, aside) === undefined;
      if (waitsInVain || name.startsWith(prefix)) removeTreeBestEffort(port, parent, name);
    }
  }
}

/** Undefined for a store that is too damaged to be fenced; its writers then meet the rename instead. */
async function raiseFence(
  port: Port,
  location: layout.StoreLocation,
  limits: Readonly<Limits>,
): Promise<FenceableStore | undefined> {
  let store: FenceableStore;
  try {
    store = FenceableStore.open(port, location, false, limits);
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "store_damaged") return undefined;
    throw error;
  }
  try {
    if (!store.isFenced) await store.raise();
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

async function underLock<Result>(
  port: Port,
  parent: Directory,
  name: string,
  operation: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const lock = LockFile.open(port, parent, name, { uid: port.userId }, false);
  try {
    const deadlineMs = port.monotonicMs() + fixedLimits.lockWaitMsMax;
    while (!lock.tryExclusiveChecked()) {
      if (port.monotonicMs() >= deadlineMs) throw lock.timeoutError(operation, fixedLimits.lockWaitMsMax);
      await port.sleep(2);
    }
    try {
      return await work();
    } finally {
      lock.release();
    }
  } finally {
    lock.close();
  }
}

/** What cannot be removed now, the next one removes. */
function removeTreeBestEffort(port: Port, parent: Directory, name: string): void {
  try {
    removeTree(port, parent, name, levelsMax);
  } catch {
    // The error that made us give up is the one to report.
  }
}

/** Removes a tree that we made ourselves, without following links, no deeper than we ever build one. */
function removeTree(port: Port, parent: Directory, name: string, levels: number): void {
  const directory = port.openDirectory(parent, name);
  try {
    for (const entry of port.list(directory, Number.POSITIVE_INFINITY)) {
      if (entry.kind === "directory" && levels > 0) removeTree(port, directory, entry.name, levels - 1);
      else port.unlink(directory, entry.name);
    }
  } finally {
    port.closeDirectory(directory);
  }
  port.removeDirectory(parent, name);
}
