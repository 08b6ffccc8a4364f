/**
 * The three lock files beside a store. Each is created once and never deleted, renamed or replaced: a second file of
 * the same name would mean two holders. Lock order: checkpoint, scan, commit - never the reverse (P21).
 */

import { SessionStoreError } from "../../errors.js";
import { openChecked, type StoreOwner } from "../../fs/checked-file.js";
import type { Directory, File, Port } from "../../fs/port.js";

export class LockFile {
  private readonly port: Port;
  private readonly parent: Directory;
  private readonly name: string;
  private readonly owner: StoreOwner;
  private readonly readOnly: boolean;
  private file: File;
  /** P19: the kernel grants a second lock on one descriptor, and one unlock frees both. So we keep count ourselves. */
  private held = false;
  private sharedHolds = 0;

  private constructor(port: Port, parent: Directory, name: string, owner: StoreOwner, readOnly: boolean) {
    this.port = port;
    this.parent = parent;
    this.name = name;
    this.owner = owner;
    this.readOnly = readOnly;
    this.file = this.openFile();
  }

  /** Opens the lock file, creating it when missing. A reader may not create; ENOENT and EACCES then pass through. */
  static open(port: Port, parent: Directory, name: string, owner: StoreOwner, readOnly: boolean): LockFile {
    return new LockFile(port, parent, name, owner, readOnly);
  }

  tryExclusive(): boolean {
    if (this.held || this.sharedHolds > 0 || !this.port.tryLock(this.file, "exclusive")) return false;
    this.held = true;
    return true;
  }

  /**
   * The same, and the file must still be the one at its path: whoever opened a replaced lock file excludes nobody.
   * Costs a stat, so it is not done for every commit.
   */
  tryExclusiveChecked(): boolean {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (!this.tryExclusive()) return false;
      let inPlace = false;
      try {
        inPlace = this.isInPlace();
      } finally {
        // Also when that could not be told: a lock that nobody knows to be held is held for ever.
        if (!inPlace) this.release();
      }
      if (inPlace) return true;
      const replacement = this.openFile();
      this.port.close(this.file);
      this.file = replacement;
    }
    return false;
  }

  /** Several scans of one process share the hold. */
  tryShared(): boolean {
    if (this.held) return false;
    if (this.sharedHolds === 0 && !this.port.tryLock(this.file, "shared")) return false;
    this.sharedHolds += 1;
    return true;
  }

  release(): void {
    this.held = false;
    this.port.unlock(this.file);
  }

  releaseShared(): void {
    this.sharedHolds -= 1;
    if (this.sharedHolds === 0) this.port.unlock(this.file);
  }

  isInPlace(): boolean {
    const ours = this.port.stat(this.file);
    const there = this.port.statName(this.parent, this.name);
    return there !== undefined && there.inode === ours.inode && there.device === ours.device;
  }

  /** Locked on this descriptor, refused on another: catches file systems whose locks do nothing. Call while holding it. */
  selfTestHeld(): void {
    const second = this.openFile();
    let granted: boolean;
    try {
      granted = this.port.tryLock(second, "exclusive");
      if (granted) this.port.unlock(second);
    } finally {
      this.port.close(second);
    }
    if (granted) {
      throw new SessionStoreError("unsupported_platform", "file locks have no effect on this file system", {
        path: this.file.displayPath,
        onDisk: "Nothing was changed.",
        nextStep: "Put the store on a local file system.",
      });
    }
  }

  timeoutError(operation: string, waitedMs: number): SessionStoreError {
    const holder = this.port.describeLockHolder(this.file) ?? "unknown (perhaps it was released just now)";
    return new SessionStoreError("lock_timeout", `the lock was not free within ${waitedMs} ms; held by ${holder}`, {
      operation,
      path: this.file.displayPath,
      onDisk: "Nothing was changed.",
      nextStep: "A lock is held for microseconds: look at what its holder is doing. Never delete the lock file.",
    });
  }

  close(): void {
    this.port.close(this.file);
  }

  private openFile(): File {
    return openChecked(this.port, this.parent, this.name, this.readOnly ? "read" : "lock", this.owner);
  }
}
