/**
 * A legacy file that a gateway writes all the time: its store is built, and the file renamed, under the gateway's lock, so
 * that the gateway waits that long and the file stays what was read. Not at first: building a store takes longer than a
 * save, and most files are still for so long.
 *
 * Relies on: the caller holds the checkpoint lock. A gateway takes a lock away that is 30 seconds old; then the file may
 * change after all, which the caller notices by its content.
 */

import type { StoreLocation } from "../backends/directory/layout.js";
import { hasCode, type Port } from "../fs/port.js";
import { legacyLockWaitMs, takeLegacyLock } from "./legacy-lock.js";

/** So many starts of a take-over let a gateway that writes the file go on meanwhile. */
const startsBesideWriters = 2;
/** It waits 10 s for its lock: what would take longer than this is not done under it. */
const lockedBuildMsMax = 8_000;

export class BusySource {
  readonly #port: Port;
  readonly #location: StoreLocation;
  #startedMs = 0;
  #giveBack: (() => void) | undefined;

  constructor(port: Port, location: StoreLocation) {
    this.#port = port;
    this.#location = location;
  }

  get isHeld(): boolean {
    return this.#giveBack !== undefined;
  }

  /** Called before each start. */
  async beforeStart(start: number): Promise<void> {
    const lastBuildMs = this.#port.monotonicMs() - this.#startedMs;
    if (start > startsBesideWriters && !this.isHeld && lastBuildMs <= lockedBuildMsMax) await this.#hold();
    this.#startedMs = this.#port.monotonicMs();
  }

  async #hold(): Promise<void> {
    const port = this.#port;
    const { parentPath, legacyName } = this.#location;
    // Of its own: the lock is given back when the creation has closed its folder.
    const parent = port.openRoot(parentPath);
    try {
      const giveBack = await takeLegacyLock(port, parent, legacyName, legacyLockWaitMs);
      this.#giveBack = () => {
        giveBack();
        port.closeDirectory(parent);
      };
    } catch (error) {
      port.closeDirectory(parent);
      // Then once more beside whoever holds it.
      if (!hasCode(error, "lock_timeout")) throw error;
    }
  }

  release(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }
}
