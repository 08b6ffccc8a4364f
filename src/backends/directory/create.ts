/**
 * Creation: a store appears only by the rename of a complete, synced staging tree, under the checkpoint lock, also an
 * empty one (P22). Openers never make the directory. A crash before the rename leaves a staging directory that the
 * next creation removes; a crash after it leaves a complete store.
 *
 * Where a directory that is no store of ours has to make way, the complete staging tree first gets a name that says so;
 * then the directory is renamed aside; then the store appears. Each step is on the disk before the next, so a crash in
 * between leaves a complete store that the next creation - or opening - puts into its place.
 */

import type { FrozenEntry, KeyRule } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { StoreOwner } from "../../fs/checked-file.js";
import { refuseNetworkFileSystem } from "../../fs/network-file-system.js";
import { openOrMakeParent } from "../../fs/parent-directory.js";
import type { Directory, Port } from "../../fs/port.js";
import { checksumOf } from "./checksum.js";
import { EntryDirectory } from "./entries/entry-directory.js";
import { formatEntryFile, writeTemporaryFile } from "./entries/entry-file.js";
import * as layout from "./layout.js";
import { LockFile } from "./lock-file.js";
import { formatManifest, layoutVersion, type Manifest, manifestKind, type Provenance } from "./manifest.js";
import { findReadyStore, freeAsideNames, removeLeftovers, removeTree, removeTreeBestEffort } from "./staging.js";
import { writeFirstIndex } from "./summary-index/first-index.js";
import { underLock } from "./under-lock.js";
import { type CommitStamp, originStamp } from "./version.js";

export interface CreateOptions {
  readonly keyRule: KeyRule;
  /**
   * Called under the checkpoint lock when something lies at the store's place: how to name it aside, or `undefined`
   * when it stays, which is the rule.
   */
  readonly displaces?: (parent: Directory) => layout.AsideKind | undefined;
  /**
   * Called under the checkpoint lock, when the store is known not to exist: what it starts with. Undefined means that
   * there is nothing to create after all.
   */
  readonly prepare: (parent: Directory) => Promise<StoreContent | undefined>;
  /**
   * Called when everything is written and synced, right before the store appears. False discards what was written and
   * begins again with `prepare`, which is what bounds the repetition.
   */
  readonly isStillRight?: (parent: Directory) => boolean;
  /** Called under the same lock, right before the store appears: the last chance to make that right. */
  readonly beforehand?: (parent: Directory) => Promise<void>;
  /**
   * Called under the same lock, after the store has appeared: the original is renamed, for example. `aside` is the name
   * of the directory that made way.
   */
  readonly afterwards?: (parent: Directory, aside: string | undefined) => Promise<void>;
}

export interface StoreContent {
  readonly entries: ReadonlyMap<string, FrozenEntry>;
  readonly provenance: Provenance | null;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** "finished": another process had died when its store was complete; it is in its place now. */
export type CreateOutcome = "created" | "exists" | "finished" | "nothing";

/** Whoever holds the lock may be taking over a large legacy file; the kernel frees it should they die. */
const creationWait = { operation: "create the store", waitMs: 10 * 60_000 };

/** From so many entries on, one directory is no longer a good place for all of them. */
const shardedFromEntries = 50_000;
const parallelFilesMax = 16;

/** Creates the store unless somebody - perhaps another process, just now - has done so. */
export async function createStore(
  port: Port,
  location: layout.StoreLocation,
  options: CreateOptions,
): Promise<CreateOutcome> {
  const parent = await openOrMakeParent(port, location.parentPath);
  try {
    refuseNetworkFileSystem(port, parent);
    const { checkpoint } = layout.lockNames(location.directoryName);
    return await underLock(port, parent, checkpoint, creationWait, async (lock) => {
      lock.selfTestHeld();
      return await createUnderLock(port, parent, location, options);
    });
  } finally {
    port.closeDirectory(parent);
  }
}

async function createUnderLock(
  port: Port,
  parent: Directory,
  location: layout.StoreLocation,
  options: CreateOptions,
): Promise<CreateOutcome> {
  if (port.statName(parent, location.directoryName)) {
    if (options.displaces?.(parent) === undefined) return "exists";
  } else {
    const ready = findReadyStore(port, parent, location);
    if (ready !== undefined) {
      await removeLeftovers(port, parent, location, (name) => name !== ready);
      port.rename(parent, ready, parent, location.directoryName);
      await makeLasting(port, parent, location);
      return "finished";
    }
  }
  await removeLeftovers(port, parent, location);
  const published = await publish(port, parent, location, options);
  if (published === "nothing") return "nothing";
  await makeLasting(port, parent, location);
  await options.afterwards?.(parent, published.aside);
  return "created";
}

async function makeLasting(port: Port, parent: Directory, location: layout.StoreLocation): Promise<void> {
  await port.syncDirectory(parent);
  for (const name of Object.values(layout.lockNames(location.directoryName))) openLock(port, parent, name).close();
}

/** Builds the staging tree and renames it into place; "nothing" when there is nothing to create after all. */
async function publish(
  port: Port,
  parent: Directory,
  location: layout.StoreLocation,
  options: CreateOptions,
): Promise<"nothing" | { readonly aside: string | undefined }> {
  for (;;) {
    const content = await options.prepare(parent);
    if (content === undefined) return "nothing";
    const staging = layout.stagingName(location.directoryName, Buffer.from(port.randomBytes(8)).toString("hex"));
    try {
      await buildStaging(port, parent, staging, content, options.keyRule);
      if (options.isStillRight?.(parent) !== false) {
        await options.beforehand?.(parent);
        return await putIntoPlace(port, parent, location, staging, options);
      }
    } catch (error) {
      removeTreeBestEffort(port, parent, staging);
      throw error;
    }
    removeTree(port, parent, staging);
    await port.syncDirectory(parent);
  }
}

async function putIntoPlace(
  port: Port,
  parent: Directory,
  location: layout.StoreLocation,
  staging: string,
  options: CreateOptions,
): Promise<{ readonly aside: string | undefined }> {
  const { directoryName } = location;
  // What is no store of ours may vanish or come while the staging tree was built: nobody asks for our lock to do so.
  if (port.statName(parent, directoryName) === undefined) {
    port.rename(parent, staging, parent, directoryName);
    return { aside: undefined };
  }
  const kind = options.displaces?.(parent);
  if (kind === undefined) throw somethingAppeared(parent, location);
  const { ready, aside } = freeAsideNames(port, parent, directoryName, kind);
  port.rename(parent, staging, parent, ready);
  try {
    await port.syncDirectory(parent);
    port.rename(parent, directoryName, parent, aside);
  } catch (error) {
    removeTreeBestEffort(port, parent, ready);
    throw error;
  }
  // From here on `ready` is the store, whoever puts it into place.
  await port.syncDirectory(parent);
  port.rename(parent, ready, parent, directoryName);
  return { aside };
}

function somethingAppeared(parent: Directory, location: layout.StoreLocation): SessionStoreError {
  return new SessionStoreError("unsafe_path", "something appeared at the store's place while the store was made", {
    path: `${parent.displayPath}/${location.directoryName}`,
    onDisk: "It was not touched, and no store was made.",
    nextStep: "Find out who made it, then try again.",
  });
}

async function buildStaging(
  port: Port,
  parent: Directory,
  name: string,
  content: StoreContent,
  keyRule: KeyRule,
): Promise<void> {
  port.makeDirectory(parent, name, layout.directoryMode);
  const staging = port.openDirectory(parent, name);
  try {
    const { entries } = content;
    const naming = {
      fileNames: diskTellsCase(port, staging) ? ("base64url" as const) : ("hash" as const),
      shardDigits: entries.size >= shardedFromEntries ? (2 as const) : (0 as const),
    };
    // Everything that is taken over is one commit, version 1; its record is what tells it from others (P13).
    const incarnation = Buffer.from(port.randomBytes(16)).toString("hex");
    const stamp = entries.size === 0 ? originStamp : { version: 1, record: checksumOf(incarnation) };
    await writeEntries(port, makeDirectory(port, staging, layout.entriesName), naming, stamp, content);
    if (entries.size > 0) await writeIndex(port, staging, incarnation, stamp, entries);
    await writeFirstSegment(port, makeDirectory(port, staging, layout.journalName), stamp.version + 1);
    const manifest: Manifest = {
      kind: manifestKind,
      layoutVersion,
      storeId: Buffer.from(port.randomBytes(16)).toString("hex"),
      incarnation,
      createdMs: port.nowMs(),
      lockFamily: port.lockFamily,
      keyRule,
      ...naming,
      features: { required: [], optional: [] },
      migration: content.provenance,
      checkpoint: { ...stamp, timeMs: port.nowMs() },
    };
    await writeTemporaryFile(port, staging, layout.manifestName, Buffer.from(formatManifest(manifest), "utf8"));
    await port.syncDirectory(staging);
  } finally {
    port.closeDirectory(staging);
  }
}

async function writeEntries(
  port: Port,
  root: Directory,
  naming: { fileNames: layout.FileNameRule; shardDigits: 0 | 2 },
  stamp: { version: number; record: string },
  content: StoreContent,
): Promise<void> {
  const owner: StoreOwner = { uid: port.userId };
  const directory = new EntryDirectory(port, root, naming, owner);
  try {
    const pending = content.entries.entries();
    let done = 0;
    const worker = async () => {
      for (const [key, entry] of pending) {
        const place = directory.makePlace(key);
        await writeTemporaryFile(port, place.directory, place.name, formatEntryFile(key, stamp, entry));
        done += 1;
        content.onProgress?.(done, content.entries.size);
      }
    };
    await settleAll(Array.from({ length: parallelFilesMax }, worker));
    if (naming.shardDigits > 0) for (const shard of directory.directories()) await port.syncDirectory(shard);
    await port.syncDirectory(root);
  } finally {
    directory.close();
  }
}

async function writeIndex(
  port: Port,
  staging: Directory,
  incarnation: string,
  stamp: CommitStamp,
  entries: ReadonlyMap<string, FrozenEntry>,
): Promise<void> {
  const directory = makeDirectory(port, staging, layout.summaryIndexName);
  try {
    await writeFirstIndex(port, directory, incarnation, stamp, entries);
  } finally {
    port.closeDirectory(directory);
  }
}

async function writeFirstSegment(port: Port, journal: Directory, first: number): Promise<void> {
  try {
    await writeTemporaryFile(port, journal, layout.segmentName(first), new Uint8Array(0));
    await port.syncDirectory(journal);
  } finally {
    port.closeDirectory(journal);
  }
}

/** Waits for all before it throws: a staging directory must not change after this returned. */
async function settleAll(promises: Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(promises);
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

function makeDirectory(port: Port, parent: Directory, name: string): Directory {
  port.makeDirectory(parent, name, layout.directoryMode);
  return port.openDirectory(parent, name);
}

/** P17: names that differ only by case must be two files, or hashes are used for names. */
function diskTellsCase(port: Port, directory: Directory): boolean {
  port.close(port.open(directory, "case-probe", "create"));
  const found = port.statName(directory, "CASE-PROBE");
  port.unlink(directory, "case-probe");
  return found === undefined;
}

function openLock(port: Port, parent: Directory, name: string): LockFile {
  return LockFile.open(port, parent, name, { uid: port.userId }, false);
}
