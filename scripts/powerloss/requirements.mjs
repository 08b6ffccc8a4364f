/**
 * What the rig needs of the machine, and what to do when it is not there. Installs nothing unless told to: then only
 * Debian packages, with apt-get.
 */

import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileSystems } from "./file-systems.mjs";

/** Each program with the Debian package that has it. */
const programs = [
  ["qemu-storage-daemon", "qemu-system-common"],
  ["mount", "mount"],
  ["umount", "mount"],
  ["losetup", "mount"],
  ["cp", "coreutils"],
];

/** What is missing for any run: sentences, empty when nothing is. */
export function missingForAll() {
  if (process.platform !== "linux") return ["Linux (block devices and mounts are its own)"];
  const missing = [];
  if (process.getuid() !== 0) missing.push("root, to mount file systems (run it with sudo, or in a virtual machine)");
  for (const [device, module] of [
    ["/dev/fuse", "fuse"],
    ["/dev/loop-control", "loop"],
  ]) {
    const problem = opens(device);
    if (problem)
      missing.push(`${device} (${problem}; load the kernel module: modprobe ${module}, or allow the device)`);
  }
  for (const [program, debianPackage] of programs) {
    if (!hasProgram(program)) missing.push(howToGet(program, debianPackage));
  }
  if (missing.length === 0 && !/type=\]?fuse/.test(outputOf("qemu-storage-daemon", ["--help"]))) {
    missing.push("a qemu-storage-daemon that was built with FUSE exports (version 6.0 or newer)");
  }
  return missing;
}

/** What is missing for one file system; `undefined` when nothing is. */
export function missingForFileSystem(name) {
  const { makeCommand, debianPackage } = fileSystems[name];
  if (!hasProgram(makeCommand[0])) return howToGet(makeCommand[0], debianPackage);
  if (kernelKnows(name)) return undefined;
  spawnSync("modprobe", [name]);
  return kernelKnows(name) ? undefined : `a kernel with ${name} (modprobe ${name} did not bring it)`;
}

/** Installs the packages of everything that is missing. */
export function installMissing(fileSystemNames) {
  const wanted = [
    ...programs,
    ...fileSystemNames.map((name) => [fileSystems[name].makeCommand[0], fileSystems[name].debianPackage]),
  ];
  const packages = [...new Set(wanted.filter(([program]) => !hasProgram(program)).map(([, name]) => name))];
  if (packages.length === 0) return;
  console.log(`Installing ${packages.join(", ")} ...`);
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...packages]]) {
    const { status, error, stdout, stderr } = spawnSync("apt-get", args, { env: environment, encoding: "utf8" });
    if (status === 0) continue;
    console.log(`apt-get ${args[0]} failed: ${error?.message ?? `${stdout}${stderr}`.trim().slice(-2_000)}`);
    return;
  }
}

function howToGet(program, debianPackage) {
  return `${program} (Debian: apt-get install ${debianPackage}, or run this with --install)`;
}

function opens(device) {
  try {
    closeSync(openSync(device, "r+"));
    return undefined;
  } catch (error) {
    return error.code;
  }
}

function hasProgram(program) {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

function kernelKnows(fileSystem) {
  return readFileSync("/proc/filesystems", "utf8").split(/\s+/).includes(fileSystem);
}

function outputOf(program, args) {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return `${stdout}${stderr}`;
}
