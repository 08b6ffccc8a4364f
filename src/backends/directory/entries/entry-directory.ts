/** The directory `entries/`: where the file of a session lies, with or without shards, and what lies in there at all. */

import { SessionStoreError } from "../../../errors.js";
import { openCheckedDirectory, type StoreOwner } from "../../../fs/checked-file.js";
import { type Directory, type DirectoryEntry, hasCode, type Port } from "../../../fs/port.js";
import { directoryMode, entryFileName, type FileNameRule, isShardName, shardName } from "../layout.js";
import { readEntryFileIfExists, type StoredEntry } from "./entry-file.js";

export interface EntryPlace {
  readonly directory: Directory;
  readonly name: string;
}

export interface EntryNaming {
  readonly fileNames: FileNameRule;
  readonly shardDigits: 0 | 2;
}

export class EntryDirectory {
  readonly root: Directory;
  private readonly port: Port;
  private readonly naming: EntryNaming;
  private readonly owner: StoreOwner;
  private readonly device: number | undefined;
  private readonly shards = new Map<string, Directory>();

  /** `device` is that of the store: a shard on another one would hide sessions. */
  constructor(port: Port, root: Directory, naming: EntryNaming, owner: StoreOwner, device?: number) {
    this.port = port;
    this.root = root;
    this.naming = naming;
    this.owner = owner;
    this.device = device;
  }

  fileName(key: string): string {
    return entryFileName(key, this.naming.fileNames);
  }

  /** The intact entry file of a key, or `undefined` when there is none; `entry_damaged` otherwise. */
  read(key: string): StoredEntry | undefined {
    const place = this.findPlace(key);
    const stored = place && readEntryFileIfExists(this.port, place.directory, place.name, key, this.owner);
    if (stored === undefined) this.requireRoot();
    return stored;
  }

  /** In a directory that was deleted under us no session is missing: the next write would make it anew, without its fields. */
  private requireRoot(): void {
    if (this.port.statDirectory(this.root).linkCount > 0) return;
    throw new SessionStoreError("store_gone", "entries/ was deleted while the store was open", {
      path: this.root.displayPath,
      onDisk: "What was committed since the last checkpoint is in journal/.",
      nextStep: "Close the store, bring the directory back from a backup, and open it again.",
    });
  }

  /**
   * P17: whether the name of this key is, on this disk, also the name of another session, whose entry lies there and must
   * not be replaced. A mere copy of another session's file under this name is damage like any other.
   */
  nameIsTakenByAnother(key: string): boolean {
    const place = this.findPlace(key);
    if (place === undefined) return false;
    try {
      const stored = readEntryFileIfExists(this.port, place.directory, place.name, undefined, this.owner);
      if (stored === undefined || stored.key === key) return false;
      const other = this.findPlace(stored.key);
      const there = this.port.statName(place.directory, place.name);
      const others = other && this.port.statName(other.directory, other.name);
      return there !== undefined && others?.inode === there.inode && others.device === there.device;
    } catch {
      return false;
    }
  }

  /** Where the file of a key lies; `undefined` when its shard does not exist yet. */
  findPlace(key: string): EntryPlace | undefined {
    const directory = this.naming.shardDigits === 0 ? this.root : this.openShardIfExists(shardName(key));
    return directory && { directory, name: this.fileName(key) };
  }

  /** The same, making the shard when it is missing. Only under the checkpoint lock. */
  makePlace(key: string): EntryPlace {
    if (this.naming.shardDigits === 2 && this.openShardIfExists(shardName(key)) === undefined) {
      this.port.makeDirectory(this.root, shardName(key), directoryMode);
    }
    return this.findPlace(key) as EntryPlace;
  }

  /** Every directory that may hold entry files; shards only as far as they exist. */
  *directories(): Iterable<Directory> {
    if (this.naming.shardDigits === 0) {
      yield this.root;
      return;
    }
    const names: string[] = [];
    for (const batch of this.port.listInBatches(this.root, 1_024)) {
      for (const { name, kind } of batch) if (kind === "directory" && isShardName(name)) names.push(name);
    }
    for (const name of names.sort()) {
      const shard = this.openShardIfExists(name);
      if (shard) yield shard;
    }
  }

  /** Everything in `entries/`, in batches, with the directory it lies in. Refuses when there is far too much. */
  *list(entriesMax: number): Iterable<{ directory: Directory; batch: DirectoryEntry[] }> {
    let seen = 0;
    for (const directory of this.directories()) {
      for (const batch of this.port.listInBatches(directory, 512)) {
        seen += batch.length;
        if (seen > entriesMax) {
          throw new SessionStoreError("limit_exceeded", `entries/ holds more than ${entriesMax} files`, {
            path: this.root.displayPath,
            onDisk: "Nothing was changed.",
            nextStep: "Move the files away that do not belong there.",
          });
        }
        yield { directory, batch };
      }
    }
  }

  close(): void {
    for (const shard of this.shards.values()) this.port.closeDirectory(shard);
    this.shards.clear();
    this.port.closeDirectory(this.root);
  }

  private openShardIfExists(name: string): Directory | undefined {
    const open = this.shards.get(name);
    if (open) return open;
    try {
      const shard = openCheckedDirectory(this.port, this.root, name, this.owner, this.device);
      this.shards.set(name, shard);
      return shard;
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }
}
