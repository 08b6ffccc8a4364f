/**
 * Everything that a name can be instead of the file or directory that was expected: the kinds of the corpus, each made at
 * a path where nothing lies. What links lead to lies in `outside`, so that a test can see that nobody followed them.
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { makeFifo } from "./store-tree.js";

export interface Kind {
  readonly make: (at: string, outside: string) => void;
  /** Why it cannot be made here. */
  readonly skip?: string | false;
}

export const foreignUser = 65_534;
const isRoot = process.geteuid?.() === 0;
export const needsRoot = !isRoot && "skipped: needs a root user";
const needsDevices = !canMakeDevices() && "skipped: needs a root user who may make devices";

/** What no open of a file, and none of a directory, may take. */
export const kinds: Readonly<Record<string, Kind>> = {
  "a FIFO": { make: (at) => makeFifo(at) },
  "a socket": { make: makeSocket },
  "a character device": { make: makeEndlessDevice, skip: needsDevices },
  "a link to a file": { make: (at, outside) => fs.symlinkSync(path.join(outside, "file"), at) },
  "a link to a directory": { make: (at, outside) => fs.symlinkSync(path.join(outside, "folder"), at) },
  "a link to nothing": { make: (at, outside) => fs.symlinkSync(path.join(outside, "nothing"), at) },
  "a link to itself": { make: (at) => fs.symlinkSync(path.basename(at), at) },
};

/** What only an open of a directory may not take. */
export const kindsForDirectories: Readonly<Record<string, Kind>> = {
  ...kinds,
  "a file": { make: (at) => fs.writeFileSync(at, "mine") },
  "a directory that everybody may write to": {
    make: (at) => {
      fs.mkdirSync(at);
      fs.chmodSync(at, 0o777);
    },
  },
  "a directory of another user": {
    make: (at) => {
      fs.mkdirSync(at, { mode: 0o700 });
      fs.chownSync(at, foreignUser, foreignUser);
    },
    skip: needsRoot,
  },
};

/** What only an open of a file may not take. */
export const kindsForFiles: Readonly<Record<string, Kind>> = {
  ...kinds,
  "a directory": {
    make: (at) => {
      fs.mkdirSync(at);
      fs.writeFileSync(path.join(at, "inside"), "kept");
    },
  },
  "a hard link to a foreign file": { make: (at, outside) => fs.linkSync(path.join(outside, "file"), at) },
  "a sparse file of a terabyte": {
    make: (at) => {
      fs.writeFileSync(at, "", { mode: 0o600 });
      fs.truncateSync(at, 2 ** 40);
    },
  },
  "a file of another user": {
    make: (at) => {
      fs.writeFileSync(at, "theirs", { mode: 0o666 });
      fs.chownSync(at, foreignUser, foreignUser);
    },
    skip: needsRoot,
  },
};

/** The directory that links lead to. */
export function makeOutside(at: string): void {
  fs.mkdirSync(path.join(at, "folder"), { recursive: true, mode: 0o700 });
  fs.writeFileSync(path.join(at, "file"), "what must stay as it is", { mode: 0o600 });
  fs.writeFileSync(path.join(at, "folder", "file"), "what must stay as it is", { mode: 0o600 });
}

/** Bound where its path is short enough for every system, then moved. Nobody answers; it stays when the process ends. */
export function makeSocket(at: string): void {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sd-"));
  const server = net.createServer();
  // The name is made before `listen` returns; closing the server would remove it.
  server.listen(path.join(directory, "s"));
  server.unref();
  fs.renameSync(path.join(directory, "s"), at);
  fs.rmdirSync(directory);
}

/** The one that is `/dev/zero`: read to its end, it has none. */
export function makeEndlessDevice(at: string): void {
  execFileSync("mknod", [at, "c", "1", "5"], { stdio: ["ignore", "ignore", "pipe"] });
}

/** Containers may forbid it, and file systems may forbid to open what was made. */
function canMakeDevices(): boolean {
  if (!isRoot || process.platform !== "linux") return false;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sd-"));
  try {
    makeEndlessDevice(path.join(directory, "zero"));
    fs.closeSync(fs.openSync(path.join(directory, "zero"), "r"));
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}
