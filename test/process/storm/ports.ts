/**
 * The real port with one thing wrong about it: a clock that nobody should trust, a process that falls asleep, or hardly
 * any file descriptors left.
 */

import fs from "node:fs";
import { createNodePort } from "../../../src/fs/node-port.js";
import type { Port } from "../../../src/fs/port.js";

export const clocks = {
  "30 days behind": (nowMs: number) => nowMs - 30 * 86_400_000,
  "10 years ahead": (nowMs: number) => nowMs + 10 * 365 * 86_400_000,
  "running backwards": (nowMs: number, startMs: number) => 2 * startMs - nowMs,
  frozen: (_: number, startMs: number) => startMs,
  "at the beginning of time": () => 0,
  "jumping about": (nowMs: number) => nowMs + (Math.random() - 0.5) * 20 * 365 * 86_400_000,
} as const satisfies Record<string, (nowMs: number, startMs: number) => number>;

export type ClockName = keyof typeof clocks;

export interface PortWish {
  readonly clock?: ClockName;
  /** Stops the process after so many calls of the method, before (or after) the call has its effect. */
  readonly stopAt?: { readonly method: StopMethod; readonly call: number; readonly when: "before" | "after" };
  /** Takes all file descriptors that the process may have, but for so many. Its own limit should be low. */
  readonly descriptorsLeft?: number;
}

export type StopMethod = "append" | "tryLock" | "unlock" | "syncFile" | "rename" | "open" | "unlink";

export function wishedPort(wish: PortWish | undefined, say: (kind: "stopping", method: string) => void): Port {
  const port = createNodePort();
  const startMs = port.nowMs();
  const { clock, stopAt, descriptorsLeft } = wish ?? {};
  const wished: Port = { ...port };
  if (clock !== undefined) wished.nowMs = () => clocks[clock](port.nowMs(), startMs);
  if (stopAt !== undefined) {
    const { method, when } = stopAt;
    let left = stopAt.call;
    const original = port[method] as (...parameters: unknown[]) => unknown;
    const sleepy = (...parameters: unknown[]) => {
      left -= 1;
      const stop = () => {
        say("stopping", method);
        process.kill(process.pid, "SIGSTOP");
      };
      if (left === 0 && when === "before") stop();
      const result = original(...parameters);
      if (left === 0 && when === "after") stop();
      return result;
    };
    Object.assign(wished, { [method]: sleepy });
  }
  if (descriptorsLeft !== undefined) {
    for (const descriptor of takeAllDescriptors().slice(0, descriptorsLeft)) fs.closeSync(descriptor);
  }
  return wished;
}

/** How many file descriptors the process may still open. */
export function countFreeDescriptors(): number {
  const taken = takeAllDescriptors();
  for (const descriptor of taken) fs.closeSync(descriptor);
  return taken.length;
}

function takeAllDescriptors(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(fs.openSync("/dev/null", "r"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
  }
  return taken;
}
