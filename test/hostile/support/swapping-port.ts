/**
 * The port of this process with somebody else at work between its calls: before the N-th call that touches files,
 * something is swapped for a link or another object, and put back after that call or at the end. Nothing is synced.
 */

import fs from "node:fs";
import path from "node:path";
import { nodePort } from "../../../src/fs/node-port.js";
import type { Directory, File } from "../../../src/fs/port.js";
import { InterceptedPort, type PortCall, type PortMethod } from "../../sim/intercepted-port.js";

/** Swaps, and returns what puts it back; undefined when this call is not one to swap before. */
export type Swap = (call: PortCall) => (() => void) | undefined;

const touchesNothing: ReadonlySet<PortMethod> = new Set([
  "nowMs",
  "monotonicMs",
  "randomBytes",
  "random",
  "nap",
  "sleep",
  "yieldToEventLoop",
  "startTimer",
  "closeDirectory",
  "close",
  "unlock",
  "describeLockHolder",
  "inspectProcess",
]);

export class SwappingPort extends InterceptedPort {
  /** Calls that touch files. */
  calls = 0;
  /** The call before which it was swapped. */
  swappedBefore: string | undefined;
  readonly #swap: Swap | undefined;
  readonly #at: number;
  readonly #lasts: "one call" | "to the end";
  #putBack: (() => void) | undefined;

  constructor(swap?: Swap, at = 0, lasts: "one call" | "to the end" = "one call") {
    super(nodePort());
    this.#swap = swap;
    this.#at = at;
    this.#lasts = lasts;
  }

  putBack(): void {
    this.#putBack?.();
    this.#putBack = undefined;
  }

  override syncFile(file: File): Promise<void> {
    return this.intercept({ method: "syncFile", path: file.displayPath, file }, () => Promise.resolve());
  }

  override syncDirectory(directory: Directory): Promise<void> {
    return this.intercept({ method: "syncDirectory", path: directory.displayPath }, () => Promise.resolve());
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    if (touchesNothing.has(call.method)) return proceed();
    this.calls += 1;
    if (this.calls < this.#at || this.swappedBefore !== undefined || this.#swap === undefined) return proceed();
    const putBack = this.#swap(call);
    if (putBack === undefined) return proceed();
    this.swappedBefore = `call ${this.calls} (${call.method} ${path.basename(call.path)}), for ${this.#lasts}`;
    this.#putBack = putBack;
    try {
      return proceed();
    } finally {
      if (this.#lasts === "one call") this.putBack();
    }
  }
}

/** Moves aside what lies at a path and lets `make` put something else there; if nothing lies there, nothing happens. */
export function swapFor(at: string, make: (at: string) => void): (() => void) | undefined {
  if (fs.lstatSync(at, { throwIfNoEntry: false }) === undefined) return undefined;
  const aside = `${at}.real`;
  fs.renameSync(at, aside);
  make(at);
  const { ino } = fs.lstatSync(at);
  return () => {
    // The directory around it was renamed or removed.
    if (fs.lstatSync(aside, { throwIfNoEntry: false }) === undefined) return;
    // What the library has put in its place meanwhile is newer than what was there.
    if (fs.lstatSync(at, { throwIfNoEntry: false })?.ino === ino || !fs.existsSync(at)) {
      fs.rmSync(at, { recursive: true, force: true });
      fs.renameSync(aside, at);
    } else fs.rmSync(aside, { recursive: true, force: true });
  };
}
