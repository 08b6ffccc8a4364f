/**
 * What a power loss leaves of a simulated disk.
 *
 * Per file any subset of the pending changes arrives; a write may be torn at any byte, or only its size arrives (zeros).
 * Of the pending changes of names, those arrive that `selectNames` allows for the kind of file system. Bytes and names
 * are independent of each other: a renamed file whose content was not synced may be empty or torn.
 *
 * `losePower` draws one image from a seeded source; `powerLossImages` lists them all where they are few.
 */

import type { Bytes } from "./bytes.js";
import { applyName, Disk, type NameOperation, selectNames } from "./disk.js";
import {
  applyData,
  type DataFate,
  type DirectoryInode,
  type FileInode,
  type Inode,
  type Link,
  makeFileInode,
} from "./inodes.js";
import type { SeededRandom } from "./random.js";

/** One image, drawn at random. Extremes (nothing arrives, everything arrives) are drawn more often than chance has it. */
export function losePower(disk: Disk, random: SeededRandom): Disk {
  const keepNames = drawNames(disk, random);
  return buildImage(disk, selectNames(disk, keepNames), (file) => drawContent(file, random));
}

/**
 * All images when there are at most `imagesMax`: every set of names that the file system allows, and for each file every
 * subset of up to three changes (of more: every prefix, and everything but one), with the last one also torn and zeroed.
 * Otherwise the two extremes and drawn ones, `imagesMax` in all.
 */
export function* powerLossImages(disk: Disk, imagesMax: number, random: SeededRandom): Iterable<Disk> {
  const files = pendingFiles(disk);
  const contents = files.map(possibleContents);
  const contentCount = contents.reduce((product, list) => product * list.length, 1);
  const selections = contentCount > imagesMax ? undefined : possibleNames(disk, Math.floor(imagesMax / contentCount));
  if (selections === undefined) {
    yield buildImage(disk, [], (file) => file.durable);
    yield buildImage(disk, disk.pendingNames, everything);
    for (let drawn = 2; drawn < imagesMax; drawn++) yield losePower(disk, random);
    return;
  }
  for (const selection of selections) {
    for (let number = 0; number < contentCount; number++) {
      const chosen = new Map<FileInode, Bytes>();
      let rest = number;
      for (const [index, file] of files.entries()) {
        const list = contents[index]!;
        chosen.set(file, list[rest % list.length]!);
        rest = Math.floor(rest / list.length);
      }
      yield buildImage(disk, selection, (file) => chosen.get(file) ?? file.durable);
    }
  }
}

/** The disk without any loss, with what is pending still pending: what is left when all processes are killed. */
export function copyDisk(disk: Disk): Disk {
  const copies = new Map<Inode, Inode>();
  const image = emptyCopy(disk);
  const copyNames = (names: Map<string, Link>) => {
    const result = new Map<string, Link>();
    for (const [key, link] of names) result.set(key, { name: link.name, inode: copy(link.inode) });
    return result;
  };
  const copy = (inode: Inode): Inode => {
    const known = copies.get(inode);
    if (known !== undefined) return known;
    if (inode.kind === "directory") {
      const result: DirectoryInode = { ...inode, names: new Map(), durableNames: new Map() };
      copies.set(inode, result);
      result.names = copyNames(inode.names);
      result.durableNames = copyNames(inode.durableNames);
      return result;
    }
    const result: Inode =
      inode.kind === "file" ? { ...inode, pending: [...inode.pending], openCount: 0, locks: new Map() } : { ...inode };
    copies.set(inode, result);
    return result;
  };
  image.root = copy(disk.root) as DirectoryInode;
  image.pendingNames = disk.pendingNames.map((operation) => {
    const link = { name: operation.link.name, inode: copy(operation.link.inode) };
    const directory = copy(operation.directory) as DirectoryInode;
    if (operation.kind !== "rename") return { ...operation, link, directory };
    return { ...operation, link, directory, fromDirectory: copy(operation.fromDirectory) as DirectoryInode };
  });
  return image;
}

function drawNames(disk: Disk, random: SeededRandom): (operation: NameOperation, index: number) => boolean {
  const mood = random.below(5);
  if (mood === 0) return () => false;
  if (mood === 1) return () => true;
  if (disk.options.fileSystem === "weak") {
    const probability = random.pick([0.2, 0.5, 0.8]);
    return () => random.chance(probability);
  }
  const cuts = new Map<DirectoryInode, number>();
  for (const [directory, count] of operationCounts(disk)) cuts.set(directory, random.below(count + 1));
  return beforeCuts(cuts);
}

/** Takes so many of the changes of each directory, then none; called in order. */
function beforeCuts(cuts: Map<DirectoryInode, number>): (operation: NameOperation) => boolean {
  const left = new Map(cuts);
  return (operation) => {
    let wanted = true;
    for (const directory of directoriesOf(operation)) {
      const count = left.get(directory) ?? 0;
      left.set(directory, count - 1);
      if (count <= 0) wanted = false;
    }
    return wanted;
  };
}

function operationCounts(disk: Disk): Map<DirectoryInode, number> {
  const counts = new Map<DirectoryInode, number>();
  for (const operation of disk.pendingNames) {
    for (const directory of directoriesOf(operation)) counts.set(directory, (counts.get(directory) ?? 0) + 1);
  }
  return counts;
}

function directoriesOf(operation: NameOperation): DirectoryInode[] {
  if (operation.kind !== "rename" || operation.fromDirectory === operation.directory) return [operation.directory];
  return [operation.fromDirectory, operation.directory];
}

/** Every allowed selection of names, or undefined when there may be more than `selectionsMax`. */
function possibleNames(disk: Disk, selectionsMax: number): NameOperation[][] | undefined {
  const found = new Map<string, NameOperation[]>();
  const add = (selection: NameOperation[]) => {
    found.set(selection.map((operation) => operation.sequence).join(), selection);
  };
  if (disk.options.fileSystem === "weak") {
    if (disk.pendingNames.length > 20 || 2 ** disk.pendingNames.length > selectionsMax * 8) return undefined;
    for (let subset = 0; subset < 2 ** disk.pendingNames.length; subset++) {
      add(selectNames(disk, (_, index) => (subset >> index) % 2 === 1));
    }
  } else {
    const counts = [...operationCounts(disk)];
    const combinations = counts.reduce((product, [, count]) => product * (count + 1), 1);
    if (combinations > selectionsMax * 8) return undefined;
    for (let number = 0; number < combinations; number++) {
      const cuts = new Map<DirectoryInode, number>();
      let rest = number;
      for (const [directory, count] of counts) {
        cuts.set(directory, rest % (count + 1));
        rest = Math.floor(rest / (count + 1));
      }
      add(selectNames(disk, beforeCuts(cuts)));
    }
  }
  return found.size > selectionsMax ? undefined : [...found.values()];
}

function pendingFiles(disk: Disk): FileInode[] {
  const files = new Set<FileInode>();
  const seen = new Set<DirectoryInode>();
  const visit = (inode: Inode) => {
    if (inode.kind === "file" && inode.pending.length > 0) files.add(inode);
    if (inode.kind !== "directory" || seen.has(inode)) return;
    seen.add(inode);
    for (const link of inode.names.values()) visit(link.inode);
    for (const link of inode.durableNames.values()) visit(link.inode);
  };
  visit(disk.root);
  for (const operation of disk.pendingNames) visit(operation.link.inode);
  return [...files];
}

function possibleContents(file: FileInode): Bytes[] {
  const count = file.pending.length;
  const fates: DataFate[][] = [];
  if (count <= 3) {
    for (let subset = 0; subset < 2 ** count; subset++) {
      fates.push(file.pending.map((_, index) => ((subset >> index) % 2 === 1 ? "kept" : "lost")));
    }
  } else {
    for (let kept = 0; kept <= count; kept++) fates.push(prefix(count, kept));
    for (let missing = 0; missing < count - 1; missing++) {
      fates.push(file.pending.map((_, index) => (index === missing ? "lost" : "kept")));
    }
  }
  for (const [index, operation] of file.pending.entries()) {
    fates.push([...prefix(index, index), "zeroed", ...prefix(count - index - 1, 0)]);
    if (operation.kind !== "write") continue;
    for (const tornAt of new Set([1, operation.size >> 1, operation.size - 1])) {
      if (tornAt > 0) fates.push([...prefix(index, index), { tornAt }, ...prefix(count - index - 1, 0)]);
    }
  }
  const found = new Map<string, Bytes>();
  for (const list of fates) {
    const content = contentAfter(file, list);
    found.set(Buffer.from(content.view()).toString("latin1"), content);
  }
  return [...found.values()];
}

function prefix(count: number, kept: number): DataFate[] {
  return Array.from({ length: count }, (_, index) => (index < kept ? "kept" : "lost"));
}

function drawContent(file: FileInode, random: SeededRandom): Bytes {
  const count = file.pending.length;
  if (count === 0) return file.durable;
  switch (random.below(5)) {
    case 0:
      return file.durable;
    case 1:
      return everything(file);
    case 2:
    case 3: {
      const kept = random.below(count);
      const next = file.pending[kept]!;
      const fates = prefix(count, kept);
      if (next.kind === "write" && random.chance(0.8)) fates[kept] = { tornAt: random.below(next.size) };
      else if (random.chance(0.5)) fates[kept] = "zeroed";
      return contentAfter(file, fates);
    }
    default:
      return contentAfter(
        file,
        file.pending.map((operation) => drawFate(operation.kind === "write" ? operation.size : 0, random)),
      );
  }
}

function drawFate(size: number, random: SeededRandom): DataFate {
  const draw = random.next();
  if (draw < 0.5) return "kept";
  if (draw < 0.75) return "lost";
  return draw < 0.9 && size > 0 ? { tornAt: random.below(size) } : "zeroed";
}

function everything(file: FileInode): Bytes {
  return contentAfter(file, prefix(file.pending.length, file.pending.length));
}

function contentAfter(file: FileInode, fates: readonly DataFate[]): Bytes {
  let content = file.durable;
  let index = 0;
  if (!file.hasLostWrites) {
    // A prefix needs no copy: what the file contained then is still there.
    while (index < fates.length && fates[index] === "kept") index++;
    if (index > 0) content = file.pending[index - 1]!.after;
  }
  for (; index < fates.length; index++) content = applyData(content, file.pending[index]!, fates[index]!);
  return content;
}

function buildImage(disk: Disk, selection: readonly NameOperation[], contentOf: (file: FileInode) => Bytes): Disk {
  const changed = new Map<DirectoryInode, Map<string, Link>>();
  for (const operation of selection) {
    applyName(operation, (directory) => {
      let names = changed.get(directory);
      if (names === undefined) {
        names = new Map(directory.durableNames);
        changed.set(directory, names);
      }
      return names;
    });
  }
  const image = emptyCopy(disk);
  const copies = new Map<Inode, Inode>();
  const copy = (inode: Inode): Inode => {
    const known = copies.get(inode);
    if (known !== undefined) {
      if (known.kind !== "directory") known.linkCount++;
      return known;
    }
    const made = copyInode(inode);
    copies.set(inode, made);
    return made;
  };
  const copyInode = (inode: Inode): Inode => {
    if (inode.kind === "file") {
      const file = makeFileInode(inode);
      file.linkCount = 1;
      file.content = contentOf(inode);
      file.durable = file.content;
      return file;
    }
    if (inode.kind !== "directory") return { ...inode, linkCount: 1 };
    const names = new Map<string, Link>();
    for (const [key, link] of changed.get(inode) ?? inode.durableNames) {
      names.set(key, { name: link.name, inode: copy(link.inode) });
    }
    return { ...inode, linkCount: 2, names, durableNames: new Map(names) };
  };
  image.root = copy(disk.root) as DirectoryInode;
  return image;
}

function emptyCopy(disk: Disk): Disk {
  const image = new Disk(disk.options);
  image.nextInode = disk.nextInode;
  image.sequence = disk.sequence;
  image.freeBytes = disk.freeBytes;
  image.freeInodes = disk.freeInodes;
  image.readOnly = disk.readOnly;
  return image;
}
