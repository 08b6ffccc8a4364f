/**
 * The lock of a transcript, by which a gateway keeps its own runs and other processes from writing into one file at the
 * same time: `<file>.lock`, in the form of lock-protocol.ts. No store of ours needs it - commits have a lock of the
 * kernel's - but code that appends to transcripts takes it from here.
 *
 * A lock belongs to the process, and is counted: who has it gets it again at once. What a process forgets to give back is
 * taken from it after `maxHoldMs`, and everything is given back when it ends by itself or by one of four signals.
 */

import path from "node:path";
import { lockFileName } from "../backends/json/layout.js";
import { LegacyLock } from "../backends/json/lock-protocol.js";
import { SessionStoreError } from "../errors.js";
import { openOrMakeParent } from "../fs/parent-directory.js";
import type { Directory, Port, Timer } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { inspectLockFile, transcriptStaleMs } from "./transcript-lock-file.js";

export interface SessionWriteLock {
  /** May be called more than once; only the first call counts. */
  release(): Promise<void>;
}

export interface SessionWriteLockParams {
  sessionFile: string;
  /** How long to wait. Default 10 s; infinity is for ever. */
  timeoutMs?: number;
  /** The age at which the lock of a living process may be taken away. Default 30 minutes. */
  staleMs?: number;
  /** How long this process may keep it. Default 5 minutes. */
  maxHoldMs?: number;
  /** Default true: who has it in this process gets it again. */
  allowReentrant?: boolean;
}

const timeoutMsDefault = 10_000;
const maxHoldMsDefault = 5 * 60_000;
const maxHoldMsMax = 2_147_000_000;
const graceMsDefault = 120_000;
const pauseMsStep = 50;
const pauseMsMax = 1_000;
const watchEveryMs = 60_000;

interface Hold {
  readonly lockPath: string;
  readonly lock: LegacyLock;
  readonly folder: Directory;
  readonly sinceMs: number;
  readonly maxHoldMs: number;
  count: number;
}

/** By the real path of the lock file. */
const holdsOfPort = new WeakMap<Port, Map<string, Hold>>();

/**
 * Waits for the lock, in steps of 50 ms that grow to a second. Rejects with `lock_timeout`, whose message begins
 * "session file locked (timeout <n>ms): pid=<p>|unknown <lock file>". The folder of the file is made when it is missing.
 */
export async function acquireSessionWriteLock(params: SessionWriteLockParams): Promise<SessionWriteLock> {
  const port = ambientPort();
  const timeoutMs = positiveMs(params.timeoutMs, timeoutMsDefault, "infinity-too");
  const staleMs = positiveMs(params.staleMs, transcriptStaleMs);
  const maxHoldMs = positiveMs(params.maxHoldMs, maxHoldMsDefault);
  const { allowReentrant = true } = params;
  const sessionFile = path.resolve(params.sessionFile);
  const folder = await openOrMakeParent(port, path.dirname(sessionFile));
  try {
    const name = lockFileName(path.basename(sessionFile));
    const lockPath = path.join(port.realPath(path.dirname(sessionFile)), name);
    const lock = new LegacyLock(port, folder, name, staleMs);
    const startedMs = port.monotonicMs();
    for (let attempt = 1; ; attempt += 1) {
      const held = holdsOf(port).get(lockPath);
      if (held !== undefined && allowReentrant) {
        held.count += 1;
        port.closeDirectory(folder);
        return handleOf(port, held);
      }
      // The lock file of this very process would look like one that an earlier process of its number left.
      if (held === undefined && lock.tryAcquire().status === "acquired") {
        const hold = { lockPath, lock, folder, sinceMs: port.monotonicMs(), maxHoldMs, count: 1 };
        addHold(port, hold);
        return handleOf(port, hold);
      }
      const leftMs = startedMs + timeoutMs - port.monotonicMs();
      if (leftMs <= 0) throw timeout(port, folder, name, lockPath, params.timeoutMs ?? timeoutMs);
      await port.sleep(Math.min(leftMs, pauseMsMax, pauseMsStep * attempt));
    }
  } catch (error) {
    port.closeDirectory(folder);
    throw error;
  }
}

function positiveMs(given: number | undefined, otherwise: number, infinity?: "infinity-too"): number {
  if (typeof given !== "number" || Number.isNaN(given) || given <= 0) return otherwise;
  return given === Number.POSITIVE_INFINITY && infinity === undefined ? otherwise : given;
}

function timeout(port: Port, folder: Directory, name: string, lockPath: string, timeoutMs: number): SessionStoreError {
  const pid = inspectLockFile(port, folder, name, { staleMs: transcriptStaleMs, nowMs: port.nowMs() })?.pid;
  const owner = typeof pid === "number" ? `pid=${pid}` : "unknown";
  return new SessionStoreError("lock_timeout", `session file locked (timeout ${timeoutMs}ms): ${owner} ${lockPath}`, {
    onDisk: "Nothing was written.",
    nextStep: "Look at what that process is doing, then try again.",
  });
}

/** One count of the lock. What was taken away meanwhile is not given back a second time. */
function handleOf(port: Port, hold: Hold): SessionWriteLock {
  let isReleased = false;
  return {
    async release() {
      if (isReleased) return;
      isReleased = true;
      hold.count -= 1;
      if (hold.count <= 0) endHold(port, hold);
    },
  };
}

/**
 * How long a process may keep a lock for which it waits so long: the wait and `graceMs` more, at least `minMs`, at most
 * 2,147,000,000 ms.
 */
export function resolveSessionLockMaxHoldFromTimeout(params: {
  timeoutMs: number;
  graceMs?: number;
  minMs?: number;
}): number {
  const minMs = positiveMs(params.minMs, maxHoldMsDefault);
  const timeoutMs = positiveMs(params.timeoutMs, minMs, "infinity-too");
  const graceMs = positiveMs(params.graceMs, graceMsDefault);
  return Math.min(maxHoldMsMax, Math.max(minMs, timeoutMs + graceMs));
}

// --- what this process holds -----------------------------------------------------------------------------------------------

function holdsOf(port: Port): Map<string, Hold> {
  const holds = holdsOfPort.get(port) ?? new Map<string, Hold>();
  holdsOfPort.set(port, holds);
  return holds;
}

/** Whether this process has the lock whose file lies there. */
export function isHeldHere(port: Port, lockPath: string): boolean {
  return holdsOf(port).has(lockPath);
}

interface Guard {
  timer: Timer;
  readonly giveBack: () => void;
  readonly signals: ReadonlyMap<NodeJS.Signals, () => void>;
}

const guards = new Map<Port, Guard>();
const endingSignals = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGABRT"] as const;

function addHold(port: Port, hold: Hold): void {
  holdsOf(port).set(hold.lockPath, hold);
  if (guards.has(port)) return;
  const giveBack = () => giveAllBack(port);
  const signals = new Map<NodeJS.Signals, () => void>();
  for (const signal of endingSignals) signals.set(signal, () => endBySignal(port, signal));
  guards.set(port, { timer: port.startTimer(watchEveryMs, () => watch(port)), giveBack, signals });
  process.on("exit", giveBack);
  for (const [signal, end] of signals) process.on(signal, end);
}

function endHold(port: Port, hold: Hold): void {
  const holds = holdsOf(port);
  if (holds.get(hold.lockPath) !== hold) return;
  holds.delete(hold.lockPath);
  try {
    hold.lock.release();
  } catch {
    // It names us: it is taken away when we are gone, or when it is stale.
  }
  port.closeDirectory(hold.folder);
  if (holds.size === 0) removeGuard(port);
}

/** A process that holds nothing ends as if this file were not there. */
function removeGuard(port: Port): void {
  const guard = guards.get(port);
  if (guard === undefined) return;
  guards.delete(port);
  guard.timer.cancel();
  process.off("exit", guard.giveBack);
  for (const [signal, end] of guard.signals) process.off(signal, end);
}

function giveAllBack(port: Port): void {
  for (const hold of [...holdsOf(port).values()]) endHold(port, hold);
}

/** Who listens to a signal keeps it from ending the process; when nobody else does, it has to end all the same. */
function endBySignal(port: Port, signal: NodeJS.Signals): void {
  giveAllBack(port);
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function watch(port: Port): void {
  const guard = guards.get(port);
  if (guard === undefined) return;
  guard.timer = port.startTimer(watchEveryMs, () => watch(port));
  for (const hold of [...holdsOf(port).values()]) {
    const heldMs = Math.round(port.monotonicMs() - hold.sinceMs);
    if (heldMs <= hold.maxHoldMs) continue;
    process.stderr.write(
      `[session-write-lock] releasing lock held for ${heldMs}ms (max=${hold.maxHoldMs}ms): ${hold.lockPath}\n`,
    );
    endHold(port, hold);
  }
}
