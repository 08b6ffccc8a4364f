/**
 * A temporary directory with everything that must be undone in it: mounts, loop devices, processes. What was taken is
 * given back in reverse order - at the end, after an error, and on Ctrl-C. A killed rig's leftovers are cleared away by
 * the next one.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const prefix = "sessiondir-powerloss-";
const freeBytesMin = 3 * 1024 ** 3;

export class Workspace {
  #undos = [];
  #closed = false;

  constructor() {
    const parent = fastDirectory();
    clearLeftovers(parent);
    this.path = mkdtempSync(path.join(parent, `${prefix}${process.pid}-`));
    process.on("exit", () => this.close());
    for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
      process.on(signal, () => {
        this.close();
        process.exit(128 + number);
      });
    }
  }

  file(name) {
    return path.join(this.path, name);
  }

  /** Remembers how to undo something; returns a function that does it now, once. */
  take(undo) {
    this.#undos.push(undo);
    return () => {
      const at = this.#undos.indexOf(undo);
      if (at < 0) return;
      this.#undos.splice(at, 1);
      undo();
    };
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#undos.length > 0) {
      try {
        this.#undos.pop()();
      } catch (error) {
        console.error(`cleaning up: ${error.message}`);
      }
    }
    removeTree(this.path);
  }
}

/** Runs a program of the system to its end; throws with what it printed when it fails. Returns its output. */
export function runSystem(program, ...args) {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status === 0) return stdout.trim();
  // Ctrl-C goes to every process in the terminal; this one is told only when it is idle again.
  if (signal === "SIGINT") process.exit(130);
  throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** Unmounts; false when something still had it open, so that it only went out of sight. */
export function unmount(where) {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    if (spawnSync("umount", [where]).status === 0 || !mountedAt().includes(where)) return true;
    pause(25);
  }
  spawnSync("umount", ["-l", where]);
  return false;
}

export function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** In memory where that is possible: then a crash state costs tens of milliseconds. */
function fastDirectory() {
  const inMemory = "/dev/shm";
  if (!existsSync(inMemory)) return os.tmpdir();
  const { bavail, bsize } = statfsSync(inMemory);
  return bavail * bsize >= freeBytesMin ? inMemory : os.tmpdir();
}

/** Of rigs that were killed: their process is gone, their mounts and devices are not. */
function clearLeftovers(parent) {
  for (const name of readdirSync(parent)) {
    const owner = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    const directory = path.join(parent, name);
    const inside = (file) => file.startsWith(`${directory}/`);
    for (const where of mountedAt().filter(inside).reverse()) {
      if (path.basename(where) !== "exported.raw") unmount(where);
    }
    for (const line of spawnSync("losetup", ["-n", "-l", "-O", "NAME,BACK-FILE"], { encoding: "utf8" }).stdout.split(
      "\n",
    )) {
      const [device, file] = line.trim().split(/\s+/);
      if (file !== undefined && inside(file)) spawnSync("losetup", ["-d", device]);
    }
    const daemon = existsSync(path.join(directory, "daemon.pid"))
      ? Number(readFileSync(path.join(directory, "daemon.pid"), "utf8"))
      : 0;
    if (daemon > 1 && commandLine(daemon).includes(directory)) process.kill(daemon, "SIGKILL");
    for (const where of mountedAt().filter(inside)) unmount(where);
    removeTree(directory);
  }
}

/** Never into something that is still mounted. */
function removeTree(directory) {
  if (mountedAt().some((where) => where.startsWith(`${directory}/`))) {
    console.error(`cleaning up: ${directory} still has a mount in it and stays`);
  } else {
    rmSync(directory, { recursive: true, force: true });
  }
}

function mountedAt() {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return lines.map((line) => line.split(" ")[1] ?? "");
}

function commandLine(processId) {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
