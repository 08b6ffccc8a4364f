/** File systems of a test's own, for who may mount: small ones in memory, and real ones in a file. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TemporaryPlace, withPlace } from "./temporary-store.js";

export interface SmallDisk {
  readonly name: string;
  /** What it lacks on this machine, as a reason to skip. */
  readonly missing: string | undefined;
  readonly mount: (directory: string, image: string) => boolean;
}

/** `sizeText`: "1m". `inodes`: how many files and directories there can be; default: as many as there is room for. */
export function tmpfs(sizeText: string, inodes = 0): SmallDisk {
  return {
    name: `tmpfs of ${sizeText}${inodes > 0 ? ` and ${inodes} inodes` : ""}`,
    missing: canMount() ? undefined : "needs a root user who may mount",
    mount: (directory) =>
      run("mount", "-t", "tmpfs", "-o", `size=${sizeText},nr_inodes=${inodes},mode=700`, "tmpfs", directory),
  };
}

/** A real ext4 with blocks of 1 KiB in a file. */
export function ext4(sizeText: string, inodes?: number): SmallDisk {
  return {
    name: `ext4 of ${sizeText}${inodes === undefined ? "" : ` and ${inodes} inodes`}`,
    missing: canMakeExt4() ? undefined : "needs mkfs.ext4 and a root user who may mount a loop device",
    mount: (directory, image) =>
      run("truncate", "-s", sizeText, image) &&
      run(
        "mkfs.ext4",
        "-q",
        "-F",
        "-b",
        "1024",
        "-m",
        "0",
        ...(inodes === undefined ? [] : ["-N", String(inodes)]),
        image,
      ) &&
      run("mount", "-o", "loop", image, directory) &&
      run("rmdir", path.join(directory, "lost+found")) &&
      run("chmod", "700", directory),
  };
}

/** A place on a file system of its own. */
export async function withSmallDisk(disk: SmallDisk, body: (place: TemporaryPlace) => Promise<void>): Promise<void> {
  await withPlace(async ({ parent }) => {
    const mounted = path.join(parent, "mounted");
    fs.mkdirSync(mounted, { mode: 0o700 });
    assert.ok(disk.mount(mounted, path.join(parent, "image")), disk.name);
    try {
      await body({
        parent: mounted,
        location: path.join(mounted, "sessions.json"),
        directory: path.join(mounted, "sessions.d"),
      });
    } finally {
      // Lazily, so that a failed test that left something open does not leave the mount behind as well.
      assert.equal(spawnSync("umount", ["-l", mounted]).status, 0);
    }
  });
}

/** Fills the file system, but for so many bytes as far as its blocks allow; returns the size of the file that does it. */
export function fillDisk(file: string, leftBytes: number): number {
  const { bavail, bsize } = fs.statfsSync(path.dirname(file));
  const sizeBytes = Math.max(0, bavail * bsize - leftBytes);
  const descriptor = fs.openSync(file, "w");
  try {
    const block = Buffer.alloc(Math.min(sizeBytes, 65_536), 1);
    let left = sizeBytes;
    while (left > 0) {
      const written = fs.writeSync(descriptor, block, 0, Math.min(left, block.length));
      left -= written;
      if (written === 0) break;
    }
  } catch (error) {
    // The file needs blocks for its own bookkeeping as well.
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    fs.closeSync(descriptor);
  }
  return sizeBytes;
}

/** Makes files until there can be no more, and takes so many away again. They stand in `directory`, which must be new. */
export function takeInodes(directory: string, left: number): void {
  fs.mkdirSync(directory, { mode: 0o700 });
  let count = 0;
  try {
    for (; ; count += 1) fs.writeFileSync(path.join(directory, String(count)), "");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  for (let freed = 0; freed < left && count > 0; freed += 1) fs.rmSync(path.join(directory, String(--count)));
}

export function mountAgain(directory: string, options: string): boolean {
  return run("mount", "-o", `remount,${options}`, directory);
}

function run(program: string, ...parameters: string[]): boolean {
  return spawnSync(program, parameters, { stdio: "ignore" }).status === 0;
}

let mayMount: boolean | undefined;
let mayMakeExt4: boolean | undefined;

function canMount(): boolean {
  mayMount ??=
    isRootOnLinux() && tryMount((directory) => run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory));
  return mayMount;
}

function canMakeExt4(): boolean {
  mayMakeExt4 ??=
    isRootOnLinux() &&
    tryMount((directory, image) => {
      return (
        run("truncate", "-s", "1m", image) &&
        run("mkfs.ext4", "-q", "-F", image) &&
        run("mount", "-o", "loop", image, directory)
      );
    });
  return mayMakeExt4;
}

function isRootOnLinux(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

function tryMount(mount: (directory: string, image: string) => boolean): boolean {
  const parent = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), "sessiondir-mount-"));
  const directory = path.join(parent, "mounted");
  fs.mkdirSync(directory);
  try {
    const isMounted = mount(directory, path.join(parent, "image"));
    if (isMounted) spawnSync("umount", [directory]);
    return isMounted;
  } finally {
    fs.rmSync(parent, { recursive: true, force: true });
  }
}
