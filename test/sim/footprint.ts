/**
 * What a port call looks at and what it changes, so that two calls of different processes can be told to commute: they
 * do when neither changes what the other looks at or changes. Coarser than the truth wherever that is simpler.
 *
 * Time is no part of it, although the clock of a simulated machine counts calls.
 */

import type { OpenMode } from "../../src/fs/port.js";
import type { Disk } from "./disk.js";
import type { DirectoryInode, Inode } from "./inodes.js";
import { privateMethods, type RemoteState } from "./remote-calls.js";

/** Objects by name. Inode numbers in them depend on the run: good for one run only. */
export interface Footprint {
  readonly looksAt: readonly string[];
  readonly changes: readonly string[];
}

const locks = "the locks of all";
const allNames = "the names in all directories";

/** A process that ends lets go of what it locked. */
export const endOfProcess: Footprint = { looksAt: [], changes: [locks] };

export function footprintsCommute(one: Footprint, other: Footprint): boolean {
  const isTouched = (name: string) => other.changes.includes(name) || other.looksAt.includes(name);
  return !one.changes.some(isTouched) && !one.looksAt.some((name) => other.changes.includes(name));
}

/** To be asked before the call is made. */
export function footprintOf(slot: RemoteState, method: string, parameters: readonly unknown[]): Footprint {
  const { disk } = slot.process.machine;
  const [first, second] = parameters;
  const inode = inodeOf(slot, first);
  const name = second as string;
  switch (method) {
    case "openRoot":
    case "statRoot":
    case "realPath":
      return lookAlong(disk, first as string);
    case "openDirectory":
    case "statName":
      return look(disk, inode, name);
    case "open":
      return open(disk, inode, name, parameters[2] as OpenMode);
    case "statDirectory":
    case "stat":
    case "read":
    case "syncFile":
      return { looksAt: content(inode), changes: [] };
    case "append":
    case "truncate":
    case "setMode":
    case "loseWrites":
      return { looksAt: [], changes: content(inode) };
    case "list":
    case "listInBatches":
      return { looksAt: namesIn(inode), changes: [] };
    // Changes in different directories commute with each other, but not with these: here the roles are exchanged.
    case "nextBatch":
    case "syncDirectory":
      return { looksAt: [], changes: [allNames] };
    case "makeDirectory":
    case "unlink":
      return change(disk, inode, name);
    case "removeDirectory": {
      const removed = find(disk, inode, name);
      return both(change(disk, inode, name), { looksAt: namesIn(removed), changes: [] });
    }
    case "rename": {
      const [, , to, toName] = parameters;
      return both(change(disk, inode, name), change(disk, inodeOf(slot, to), toName as string));
    }
    case "tryLock":
    case "unlock":
    case "close":
      return { looksAt: [locks], changes: [`lock ${inode?.number}`] };
    case "describeLockHolder":
    case "inspectProcess":
      return { looksAt: [locks, `lock ${inode?.number}`], changes: [] };
    case "closeDirectory":
    case "statFileSystem":
      return { looksAt: [], changes: [] };
    default:
      if (privateMethods.has(method)) return { looksAt: [], changes: [] };
      throw new Error(`no footprint is known of the port call ${method}`);
  }
}

function look(disk: Disk, directory: Inode | undefined, name: string): Footprint {
  return { looksAt: [nameIn(directory, name), ...content(find(disk, directory, name))], changes: [] };
}

/** Two changes in one directory do not commute: they become durable in their order. */
function change(disk: Disk, directory: Inode | undefined, name: string): Footprint {
  return {
    looksAt: [allNames, ...content(directory)],
    changes: [...namesIn(directory), nameIn(directory, name), ...content(find(disk, directory, name))],
  };
}

function open(disk: Disk, directory: Inode | undefined, name: string, mode: OpenMode): Footprint {
  const creates = (mode === "create" || mode === "lock") && find(disk, directory, name) === undefined;
  return creates ? change(disk, directory, name) : look(disk, directory, name);
}

function lookAlong(disk: Disk, path: string): Footprint {
  let directory: Inode | undefined = disk.root;
  const looksAt: string[] = [];
  for (const name of path.split("/").filter((step) => step !== "")) {
    looksAt.push(...look(disk, directory, name).looksAt);
    directory = find(disk, directory, name);
    if (directory?.kind === "symlink") throw new Error(`no footprint is known of the symlink in ${path}`);
  }
  return { looksAt, changes: [] };
}

function both(one: Footprint, other: Footprint): Footprint {
  return { looksAt: [...one.looksAt, ...other.looksAt], changes: [...one.changes, ...other.changes] };
}

function content(inode: Inode | undefined): string[] {
  return inode === undefined ? [] : [`content ${inode.number}`];
}

function namesIn(inode: Inode | undefined): string[] {
  return inode === undefined ? [] : [`names in ${inode.number}`];
}

function nameIn(directory: Inode | undefined, name: string): string {
  return `name ${directory?.number}/${name}`;
}

function find(disk: Disk, directory: Inode | undefined, name: string): Inode | undefined {
  return directory?.kind === "directory" ? disk.find(directory satisfies DirectoryInode, name) : undefined;
}

function inodeOf(slot: RemoteState, handle: unknown): Inode | undefined {
  return (slot.handles.get(handle as number) as { inode?: Inode } | undefined)?.inode;
}
