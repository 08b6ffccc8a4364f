/**
 * The open directories of one store, and the manifest. Everything that the backend reads or writes is reached from
 * these handles by single names. Relies on nothing but the layout; holds no state of the journal.
 */

import { SessionStoreError } from "../../errors.js";
import {
  findDirectoryProblem,
  openChecked,
  openCheckedDirectory,
  openRealDirectory,
  readWhole,
  type StoreOwner,
} from "../../fs/checked-file.js";
import { type Directory, type FileStat, hasCode, type Port } from "../../fs/port.js";
import { fixedLimits } from "../../limits.js";
import { checksumOf } from "./checksum.js";
import { EntryDirectory } from "./entries/entry-directory.js";
import { writeTemporaryFile } from "./entries/entry-file.js";
import * as layout from "./layout.js";
import { formatManifest, type Manifest, parseManifest, requireWritable } from "./manifest.js";

export class StoreFiles {
  readonly port: Port;
  readonly location: layout.StoreLocation;
  readonly parent: Directory;
  readonly store: Directory;
  readonly journal: Directory;
  readonly entries: EntryDirectory;
  readonly owner: StoreOwner;
  /** What was fixed at creation. The checkpoint in it is as of opening; `readManifest` tells the present one. */
  readonly manifest: Manifest;
  private readonly identity: { readonly device: number; readonly inode: number };
  private readonly opened: Directory[];
  /** When the folder above was last seen to lie at its path. */
  private parentSeenMs: number;

  private constructor(
    fields: Pick<
      StoreFiles,
      "port" | "location" | "parent" | "store" | "journal" | "entries" | "owner" | "manifest"
    > & { opened: Directory[]; identity: { device: number; inode: number } },
  ) {
    this.port = fields.port;
    this.location = fields.location;
    this.parent = fields.parent;
    this.store = fields.store;
    this.journal = fields.journal;
    this.entries = fields.entries;
    this.owner = fields.owner;
    this.manifest = fields.manifest;
    this.opened = fields.opened;
    this.identity = fields.identity;
    this.parentSeenMs = fields.port.monotonicMs();
  }

  /** Opens an existing store; ENOENT passes through when there is none. */
  static open(port: Port, location: layout.StoreLocation, readOnly: boolean): StoreFiles {
    const opened: Directory[] = [];
    const keep = (directory: Directory) => {
      opened.push(directory);
      return directory;
    };
    try {
      const parent = keep(port.openRoot(location.parentPath));
      const store = keep(openRealDirectory(port, parent, location.directoryName));
      const stat = port.statDirectory(store);
      const owner: StoreOwner = { uid: port.userId === undefined ? undefined : stat.ownerUid };
      const problem = findDirectoryProblem(stat, owner) ?? (readOnly ? undefined : findWriterProblem(port, owner));
      if (problem) {
        throw new SessionStoreError("unsafe_path", `the store directory ${problem}`, {
          path: store.displayPath,
          onDisk: "Nothing was read and nothing changed.",
          nextStep: "Correct its owner or mode, then open it again.",
        });
      }
      const manifest = readManifestIn(port, store, owner);
      if (!readOnly) requireWritable(manifest, `${store.displayPath}/${layout.manifestName}`);
      if (manifest.lockFamily !== port.lockFamily && !readOnly) throw lockFamilyMismatch(manifest, port, store);
      const journal = keep(openPart(port, store, layout.journalName, owner, stat.device));
      // Its handle is the entry directory's own, which closes it; until then it is ours.
      const entriesRoot = keep(openPart(port, store, layout.entriesName, owner, stat.device));
      const { device, inode } = stat;
      opened.pop();
      const entries = new EntryDirectory(port, entriesRoot, manifest, owner, device);
      return new StoreFiles({
        port,
        location,
        parent,
        store,
        journal,
        entries,
        owner,
        manifest,
        opened,
        identity: { device, inode },
      });
    } catch (error) {
      for (const directory of opened.reverse()) port.closeDirectory(directory);
      throw error;
    }
  }

  readManifest(): Manifest {
    return readManifestIn(this.port, this.store, this.owner);
  }

  /** Replaces the manifest atomically and durably. Only under the checkpoint lock. */
  async writeManifest(manifest: Manifest): Promise<void> {
    const name = layout.temporaryName(this.port.randomBytes(16));
    await writeTemporaryFile(this.port, this.store, name, Buffer.from(formatManifest(manifest), "utf8"));
    this.port.rename(this.store, name, this.store, layout.manifestName);
    await this.port.syncDirectory(this.store);
  }

  /**
   * P20: what we hold open must still be what lies at its path; otherwise a commit would land in a moved directory. The
   * folder above, which may be moved with the store in it, is looked at once a second only.
   */
  isInPlace(): boolean {
    const { port, parent } = this;
    const { directoryName } = this.location;
    if (port.monotonicMs() - this.parentSeenMs >= parentLookMs && !this.parentIsInPlace()) return false;
    if (port.statAtPath !== undefined) {
      // Only the good answer of the short cut counts.
      if (this.isOurs(port.statAtPath(parent, directoryName))) return true;
      if (!this.parentIsInPlace()) return false;
    }
    return this.isOurs(port.statName(parent, directoryName));
  }

  /** Otherwise the name in it still leads to our directory, but the path does not. */
  private parentIsInPlace(): boolean {
    const { port } = this;
    let there: FileStat | undefined;
    try {
      there = port.statRoot(this.location.parentPath);
    } catch (error) {
      // Folders above may have become unreadable since; through the descriptor they do not matter.
      return !hasCode(error, "ENOTDIR");
    }
    const { device, inode } = port.statDirectory(this.parent);
    if (there?.inode !== inode || there.device !== device) return false;
    this.parentSeenMs = port.monotonicMs();
    return true;
  }

  private isOurs(stat: FileStat | undefined): boolean {
    return stat !== undefined && stat.inode === this.identity.inode && stat.device === this.identity.device;
  }

  /** `trash/` or `quarantine/`, made when missing. The caller closes it. */
  openOrMakePart(name: string): Directory {
    const existing = this.openPartIfExists(name);
    if (existing) return existing;
    this.makePart(name);
    return this.openPart(name);
  }

  private makePart(name: string): void {
    try {
      this.port.makeDirectory(this.store, name, layout.directoryMode);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error; // Another process needed it at the same moment.
    }
  }

  /** Bytes of the files in `trash/` or `quarantine/`. */
  sizeOfPart(name: string): number {
    const directory = this.openPartIfExists(name);
    if (directory === undefined) return 0;
    try {
      return sizeOfFiles(this.port, directory);
    } finally {
      this.port.closeDirectory(directory);
    }
  }

  private openPart(name: string): Directory {
    return openCheckedDirectory(this.port, this.store, name, this.owner, this.identity.device);
  }

  openPartIfExists(name: string): Directory | undefined {
    try {
      return this.openPart(name);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Keeps a copy of what is then replaced, or leaves the journal; it is on the disk when this resolves. */
  async quarantineDurably(name: string, bytes: Uint8Array): Promise<void> {
    const directory = this.openOrMakePart(layout.quarantineName);
    try {
      await this.writeUnderFreeName(directory, name, bytes);
      await this.port.syncDirectory(directory);
    } finally {
      this.port.closeDirectory(directory);
    }
    await this.port.syncDirectory(this.store);
  }

  private async writeUnderFreeName(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
    const tag = checksumOf(bytes);
    for (let timeMs = this.port.nowMs(); ; timeMs += 1) {
      try {
        await writeTemporaryFile(this.port, directory, layout.quarantineFileName(timeMs, tag, name), bytes);
        return;
      } catch (error) {
        // A copy by somebody else may be of the same bytes, but is perhaps not whole, or not on the disk.
        if (!hasCode(error, "EEXIST")) throw error;
      }
    }
  }

  /** Keeps a copy of an ordinary file of ours, durably; false when it is none. */
  async quarantineCopy(directory: Directory, name: string): Promise<boolean> {
    let bytes: Uint8Array;
    try {
      const file = openChecked(this.port, directory, name, "read", this.owner);
      try {
        bytes = readWhole(this.port, file, fixedLimits.entryFileBytesMax);
      } finally {
        this.port.close(file);
      }
    } catch (error) {
      if (hasCode(error, "ENOENT")) return true;
      return false;
    }
    await this.quarantineDurably(name, bytes);
    return true;
  }

  /** Before `quarantineMove`: if quarantine/ is not on the disk, a power cut takes away what was moved into it. */
  async makeQuarantine(): Promise<void> {
    this.port.closeDirectory(this.openOrMakePart(layout.quarantineName));
    await this.port.syncDirectory(this.store);
  }

  /** Moves whatever lies there - also what may not be opened - into quarantine/. Nothing is ever deleted. */
  quarantineMove(directory: Directory, name: string): void {
    const quarantine = this.openOrMakePart(layout.quarantineName);
    try {
      const unique = Buffer.from(this.port.randomBytes(4)).toString("hex");
      this.port.rename(directory, name, quarantine, layout.quarantineFileName(this.port.nowMs(), unique, name));
    } finally {
      this.port.closeDirectory(quarantine);
    }
  }

  /** The first versions of all segments there are, oldest first. */
  listSegments(): number[] {
    const firsts: number[] = [];
    for (const { name, kind } of this.port.list(this.journal, journalFilesMax)) {
      // What only has the name of a segment leads nowhere, and must not keep anybody from the others.
      const first = kind === "file" ? layout.parseSegmentName(name) : undefined;
      if (first !== undefined) firsts.push(first);
    }
    return firsts.sort((a, b) => a - b);
  }

  close(): void {
    this.entries.close();
    for (const directory of this.opened.reverse()) this.port.closeDirectory(directory);
    this.opened.length = 0;
  }
}

/** Files that go away meanwhile count nothing. */
export function sizeOfFiles(port: Port, directory: Directory): number {
  let bytes = 0;
  for (const batch of port.listInBatches(directory, 512)) {
    for (const { name, kind } of batch) if (kind === "file") bytes += port.statName(directory, name)?.sizeBytes ?? 0;
  }
  return bytes;
}

const parentLookMs = 1_000;
/** A journal holds a handful of segments; more than this is somebody else's doing. */
const journalFilesMax = 65_536;

function openPart(port: Port, store: Directory, name: string, owner: StoreOwner, device: number): Directory {
  try {
    return openCheckedDirectory(port, store, name, owner, device);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    throw new SessionStoreError("store_damaged", `${name}/ is missing`, {
      path: store.displayPath,
      onDisk: "Nothing was changed.",
      nextStep: "Run `sessiondir repair`, or restore the directory from a backup.",
      cause: error,
    });
  }
}

function readManifestIn(port: Port, store: Directory, owner: StoreOwner): Manifest {
  const path = `${store.displayPath}/${layout.manifestName}`;
  let text: string;
  try {
    const file = openChecked(port, store, layout.manifestName, "read", owner);
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        readWhole(port, file, fixedLimits.manifestBytesMax),
      );
    } finally {
      port.close(file);
    }
  } catch (error) {
    if (!hasCode(error, "ENOENT") && !(error instanceof TypeError)) throw error;
    requireStoreParts(port, store);
    throw new SessionStoreError(
      "store_damaged",
      hasCode(error, "ENOENT") ? "the manifest is missing" : "the manifest is not UTF-8",
      {
        path,
        onDisk: "The sessions themselves are in entries/ and journal/ and were not touched.",
        nextStep: "Run `sessiondir repair` to rebuild the manifest from them.",
        cause: error,
      },
    );
  }
  return parseManifest(text, path);
}

/** Names that end in .d are common: what belongs to another program is not to be repaired. Throws `store_missing`. */
export function requireStoreParts(port: Port, store: Directory): void {
  const parts = [layout.manifestName, layout.journalName, layout.entriesName];
  if (parts.some((name) => port.statName(store, name) !== undefined)) return;
  throw new SessionStoreError("store_missing", "this directory is no session store", {
    path: store.displayPath,
    onDisk: "It has neither a manifest nor journal/ nor entries/. Nothing was changed.",
    nextStep: "Check the path.",
  });
}

/** A superuser writing into somebody else's store would leave files there that their owner cannot read. */
function findWriterProblem(port: Port, owner: StoreOwner): string | undefined {
  if (owner.uid === undefined || owner.uid === port.userId) return undefined;
  return `belongs to user ${owner.uid}; run as that user to write to it (you are user ${port.userId})`;
}

function lockFamilyMismatch(manifest: Manifest, port: Port, store: Directory): SessionStoreError {
  return new SessionStoreError(
    "unsupported_platform",
    `the store is guarded by ${manifest.lockFamily} locks, this platform has ${port.lockFamily}; they do not exclude each other`,
    {
      path: store.displayPath,
      onDisk: "Nothing was changed.",
      nextStep: "Open it read-only, or on the kind of system it was created on.",
    },
  );
}
