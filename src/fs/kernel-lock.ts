/**
 * Kernel locks through `fs-native-extensions`: Linux open-file-description locks, BSD locks on macOS, LockFileEx on
 * Windows. The families do not exclude each other, so a store records the one it was created with. There is no
 * fallback by lease files: those are what sessions were lost to.
 */

import { createRequire } from "node:module";
import { SessionStoreError } from "../errors.js";

export interface KernelLocks {
  readonly family: string;
  tryLock(descriptor: number, shared: boolean): boolean;
  unlock(descriptor: number): void;
}

interface Binding {
  tryLock(descriptor: number, options?: { shared?: boolean }): boolean;
  unlock(descriptor: number): void;
}

const families: Partial<Record<NodeJS.Platform, string>> = {
  linux: "ofd",
  android: "ofd",
  darwin: "flock",
  win32: "lockfileex",
};

export function loadKernelLocks(): KernelLocks {
  const family = families[process.platform];
  let binding: Binding;
  try {
    if (family === undefined) throw new Error(`no lock family is known for ${process.platform}`);
    binding = createRequire(import.meta.url)("fs-native-extensions") as Binding;
  } catch (error) {
    throw new SessionStoreError(
      "unsupported_platform",
      `no kernel lock is available on ${process.platform}-${process.arch}`,
      {
        operation: "load the lock binding",
        onDisk: "Nothing was touched.",
        nextStep: "Use a platform with a prebuilt fs-native-extensions (glibc Linux, macOS, Windows; x64 or arm64).",
        cause: error,
      },
    );
  }
  return {
    family,
    tryLock: (descriptor, shared) =>
      shared ? binding.tryLock(descriptor, { shared: true }) : binding.tryLock(descriptor),
    unlock: (descriptor) => binding.unlock(descriptor),
  };
}
