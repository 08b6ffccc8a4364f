/**
 * A legacy file beside a directory store: an older program still writes it. Until it is merged - the next write does
 * that - reads show what it has newer, by the rule of the merge: a session counts when the store does not have it and
 * did not remove it since, or when it is strictly newer. Costs one stat while there is no such file.
 */

import { entryFileName, parseTrashFileName, type StoreLocation, trashName } from "../backends/directory/layout.js";
import type { Manifest } from "../backends/directory/manifest.js";
import type { ReadPoint } from "../backends/directory/read-point.js";
import { WatchedFile } from "../backends/json/watched-file.js";
import type { FrozenEntry } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
import { gatewayLimits } from "../limits.js";
import { parseLegacyContent } from "../migrate/legacy-content.js";
import { knownContents } from "../migrate/merge.js";
import { judge, type StoreSide } from "../migrate/merge-plan.js";

const none: ReadonlyMap<string, FrozenEntry> = new Map();

export class ReappearedFile {
  readonly #port: Port;
  readonly #parent: Directory;
  readonly #location: StoreLocation;
  readonly #file: WatchedFile;
  #sessions: ReadonlyMap<string, FrozenEntry> = none;
  #checksum: string | undefined;

  constructor(port: Port, parent: Directory, location: StoreLocation) {
    this.#port = port;
    this.#parent = parent;
    this.#location = location;
    this.#file = new WatchedFile(port, parent, location.legacyName, gatewayLimits.legacyFileBytes);
  }

  /** A file that cannot be read or merged has nothing newer. */
  newerThan(manifest: Manifest, point: ReadPoint): ReadonlyMap<string, FrozenEntry> {
    if (!this.#look() || this.#sessions.size === 0) return none;
    if (knownContents(manifest).some(({ sha256 }) => sha256 === this.#checksum)) return none;
    const newer = new Map<string, FrozenEntry>();
    let removals: Map<string, number> | undefined;
    for (const [key, entry] of this.#sessions) {
      const store = readSide(point, key);
      // Its time stands in the trash only once it is checkpointed; it was removed within the last minute.
      if (store === undefined && point.isRemovedInJournal(key)) continue;
      if (store === undefined) removals ??= this.#listRemovals();
      const name = entryFileName(key, manifest.fileNames);
      const verdict = judge(entry, store, store === undefined ? removals?.get(name) : undefined);
      if (verdict === "added" || verdict === "replaced") newer.set(key, entry);
    }
    return newer;
  }

  #look(): boolean {
    const look = this.#file.look();
    if (look.state === "same") return true;
    if (look.state !== "changed") {
      this.#sessions = none;
      return false;
    }
    const parsed = parseLegacyContent(look.bytes, { keyRule: "openclaw", limits: gatewayLimits });
    this.#sessions = parsed.state === "invalid" ? none : parsed.entries;
    this.#checksum = look.checksum;
    return true;
  }

  /** When each session was removed last, by the name of its entry file, as far as the trash's files tell. */
  #listRemovals(): Map<string, number> {
    const removals = new Map<string, number>();
    let store: Directory | undefined;
    let trash: Directory | undefined;
    try {
      store = this.#port.openDirectory(this.#parent, this.#location.directoryName);
      trash = this.#port.openDirectory(store, trashName);
      for (const batch of this.#port.listInBatches(trash, 512)) {
        for (const { name } of batch) {
          const parsed = parseTrashFileName(name);
          const entryName = /session-.*$/.exec(name)?.[0];
          if (parsed === undefined || entryName === undefined) continue;
          removals.set(entryName, Math.max(parsed.timeMs, removals.get(entryName) ?? 0));
        }
      }
    } catch {
      // No trash, or none that can be read: then nothing is known to have been removed.
    } finally {
      if (trash !== undefined) this.#port.closeDirectory(trash);
      if (store !== undefined) this.#port.closeDirectory(store);
    }
    return removals;
  }
}

function readSide(point: ReadPoint, key: string): StoreSide {
  try {
    return point.read(key);
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "entry_damaged") return "damaged";
    throw error;
  }
}
