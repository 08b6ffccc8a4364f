/**
 * Putting a restored store into its place. It is built elsewhere, complete and synced, and appears by one rename under
 * the checkpoint lock (P22). Where a store lies already, that one is fenced (P20: whoever has it open is told, and
 * nothing is written behind the fence) and renamed aside, never deleted:
 *
 *   1. `sessions.d.staging-restore-<hex>/`   holds the store while it is built -> removed by the next restore or creation
 *   2. `sessions.d.staging-bak.<ms>`         the complete store, waiting      -> the same; the old store is in its place
 *   3. the old store is fenced                                                -> lifted by the next opener for writing
 *   4. the old store becomes `sessions.d.bak.<ms>`                            -> the next opener for writing does step 5
 *   5. the waiting store becomes `sessions.d`
 *
 * The arrows say what becomes of a crash after the step: at every moment either the old or the new store is the one. In an
 * empty place, what waits is called `sessions.d.staging-<hex>`, and the steps 3 and 4 are left out. Nothing is ever left
 * beside a restored store: what was built around it is gone from the disk before it appears.
 */

import path from "node:path";
import { FenceableStore } from "../backends/directory/fence.js";
import * as layout from "../backends/directory/layout.js";
import { LockFile } from "../backends/directory/lock-file.js";
import {
  findReadyStore,
  freeAsideNames,
  removeLeftovers,
  removeTree,
  removeTreeBestEffort,
} from "../backends/directory/staging.js";
import { underLock } from "../backends/directory/under-lock.js";
import { SessionStoreError } from "../errors.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits, type Limits } from "../limits.js";

const restorePrefix = "restore-";
const wait = { operation: "restore the backup", waitMs: fixedLimits.lockWaitMsMax };

export class RestorePlace {
  readonly port: Port;
  readonly location: layout.StoreLocation;
  readonly parent: Directory;
  readonly #unique: string;

  private constructor(port: Port, location: layout.StoreLocation, parent: Directory) {
    this.port = port;
    this.location = location;
    this.parent = parent;
    this.#unique = Buffer.from(port.randomBytes(8)).toString("hex");
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
      return await underLock(port, parent, checkpoint, wait, async () => {
        await place.#finishInterrupted();
        await place.#removeLeftovers();
        try {
          return await work(place);
        } finally {
          // What cannot be removed now, the next one removes.
          await place.#removeLeftovers().catch(() => {});
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
    const others = [location.legacyName, marker].filter((name) => port.statName(parent, name) !== undefined);
    const [other] = others;
    if (other === undefined) return;
    const isRolledBack = others.includes(marker);
    const problem = others.length === 1 ? "lies beside the place of the store" : "lie beside the place of the store";
    throw new SessionStoreError("conflict", `${others.join(" and ")} ${problem}`, {
      operation: "restore the backup",
      path: path.join(location.parentPath, other),
      onDisk: isRolledBack
        ? "Nothing was changed. The store was rolled back: what counts now is the legacy file."
        : "Nothing was changed. A legacy file counts that was not taken over yet.",
      nextStep: isRolledBack
        ? "Stop the gateway and move both away; or run `sessiondir migrate --force`, then restore with --replace."
        : "Run `sessiondir migrate`, then restore with --replace; or move it away.",
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

  /** For an empty place. */
  async publish(): Promise<void> {
    const { port, parent, location } = this;
    const waiting = layout.stagingName(location.directoryName, this.#unique);
    await this.#moveOut(waiting);
    port.rename(parent, waiting, parent, location.directoryName);
    await port.syncDirectory(parent);
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
    const { ready, aside } = freeAsideNames(port, parent, directoryName, "bak");
    await this.#moveOut(ready);
    try {
      const fence = await raiseFence(port, location, limits);
      try {
        if (!isStillRight(fence?.lastVersion)) {
          await fence?.lift();
          removeTree(port, parent, ready);
          return "overtaken";
        }
        const { commit } = layout.lockNames(directoryName);
        await underLock(port, parent, commit, wait, async () => port.rename(parent, directoryName, parent, aside));
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

  get #folderName(): string {
    return layout.stagingName(this.location.directoryName, restorePrefix + this.#unique);
  }

  /** The store leaves the folder in which it was built, and the folder goes; both durably. */
  async #moveOut(name: string): Promise<void> {
    const { port, parent } = this;
    const folder = port.openDirectory(parent, this.#folderName);
    try {
      port.rename(folder, this.location.directoryName, parent, name);
    } finally {
      port.closeDirectory(folder);
    }
    removeTree(port, parent, this.#folderName);
    await port.syncDirectory(parent);
  }

  /** Step 5 of somebody who died after step 4. */
  async #finishInterrupted(): Promise<void> {
    const { port, parent, location } = this;
    const ready = this.hasStore() ? undefined : findReadyStore(port, parent, location);
    if (ready === undefined) return;
    await removeLeftovers(port, parent, location, (name) => name !== ready);
    port.rename(parent, ready, parent, location.directoryName);
    await port.syncDirectory(parent);
  }

  /**
   * Of restores and creations that died; the lock says that none of them is still at work. Not what waits for a place that
   * a store has left for it.
   */
  async #removeLeftovers(): Promise<void> {
    const { port, parent, location } = this;
    const isLeftover = (name: string) => {
      const aside = layout.parseReadyName(location.directoryName, name);
      return aside === undefined || port.statName(parent, aside) === undefined;
    };
    await removeLeftovers(port, parent, location, isLeftover);
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
    if (hasCode(error, "store_damaged", "store_missing")) return undefined;
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
