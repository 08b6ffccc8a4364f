/**
 * A block device that records every write and every flush it gets: qemu-storage-daemon with its `blklogwrites` filter,
 * exported as a file through FUSE, under a loop device. A real file system is mounted on it.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileSystems } from "./file-systems.mjs";
import { runSystem, unmount } from "./workspace.mjs";

const logBytes = 8 * 1024 ** 3;
const startMs = 20_000;

/** An empty file system with what `fill` puts into it, as a sparse image: where every crash state starts. */
export function makeBaseImage(workspace, fileSystem, fill, moreOptions = []) {
  const base = workspace.file("base.raw");
  const { sizeBytes, makeCommand } = fileSystems[fileSystem];
  makeSparse(base, sizeBytes);
  runSystem(...makeCommand, ...moreOptions, base);
  const { where, release } = mountImage(workspace, fileSystem, base);
  try {
    fill(where);
  } finally {
    release();
  }
  return base;
}

/** Mounts an image file; the kernel recovers the file system on the way, if it has to. */
export function mountImage(workspace, fileSystem, image) {
  return mountDevice(workspace, fileSystem, image, "loop,");
}

/** Mounts a block device, or with "loop," an image. */
export function mountDevice(workspace, fileSystem, device, firstOption = "") {
  const where = workspace.file("mounted");
  mkdirSync(where, { recursive: true });
  runSystem("mount", "-t", fileSystem, "-o", `${firstOption}${fileSystems[fileSystem].mountOptions}`, device, where);
  let isClean = true;
  const release = workspace.take(() => {
    isClean = unmount(where);
  });
  return {
    where,
    /** False when something in it was still open. */
    release: () => {
      release();
      return isClean;
    },
  };
}

/**
 * Runs `work` with the path where a copy of `base` is mounted and the path of the log; resolves with the log when the
 * device is gone.
 */
export async function record(workspace, fileSystem, base, work) {
  const live = workspace.file("live.raw");
  const log = workspace.file("log.raw");
  const exported = workspace.file("exported.raw");
  copySparse(base, live);
  makeSparse(log, logBytes);
  writeFileSync(exported, "");
  const stopDaemon = await startDaemon(workspace, { live, log, exported });
  const device = runSystem("losetup", "--find", "--show", exported);
  const detach = workspace.take(() => runSystem("losetup", "-d", device));
  const where = workspace.file("recorded");
  mkdirSync(where, { recursive: true });
  runSystem("mount", "-t", fileSystem, "-o", fileSystems[fileSystem].mountOptions, device, where);
  const release = workspace.take(() => unmount(where));
  try {
    await work(where, log);
  } finally {
    release();
    detach();
    await stopDaemon();
  }
  return log;
}

export function copySparse(from, to) {
  runSystem("cp", "--sparse=auto", from, to);
}

function makeSparse(file, sizeBytes) {
  const descriptor = openSync(file, "w");
  ftruncateSync(descriptor, sizeBytes);
  closeSync(descriptor);
}

async function startDaemon(workspace, { live, log, exported }) {
  const messages = workspace.file("daemon.txt");
  const output = openSync(messages, "w");
  const file = (name, filename) => ["--blockdev", `driver=file,node-name=${name},filename=${filename}`];
  const logged =
    "driver=blklogwrites,node-name=logged,file=live,log=log,log-sector-size=512,log-super-update-interval=1";
  const fuse = `type=fuse,id=export,node-name=logged,mountpoint=${exported},writable=on`;
  const args = [...file("live", live), ...file("log", log), "--blockdev", logged, "--export", fuse];
  // In a group of its own: Ctrl-C must not take the disk away under a mounted file system.
  const daemon = spawn("qemu-storage-daemon", args, { detached: true, stdio: ["ignore", output, output] });
  closeSync(output);
  const ended = once(daemon, "exit");
  writeFileSync(workspace.file("daemon.pid"), String(daemon.pid));
  const kill = workspace.take(() => {
    daemon.kill("SIGKILL");
    unmount(exported);
  });
  for (let waitedMs = 0; statSync(exported).size === 0; waitedMs += 10) {
    if (daemon.exitCode !== null || waitedMs > startMs) {
      throw new Error(`qemu-storage-daemon did not start: ${readFileSync(messages, "utf8").trim()}`);
    }
    await sleep(10);
  }
  return async () => {
    daemon.kill("SIGTERM");
    await ended;
    kill();
  };
}
