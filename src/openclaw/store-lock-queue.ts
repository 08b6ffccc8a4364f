/**
 * The lock that the gateway puts around each save of its single file: functions of one path take turns in this process,
 * and whoever has the turn holds `<store>.lock` against other processes. Our own functions need none of it - what they
 * commit waits for nobody's callback -, so this does not keep them out of a directory store. It is for code, and for
 * tests of code, that did something else to the file under that lock.
 */

import { invalidOption } from "../options.js";
import { clearSessionStoreCaches } from "./session-cache.js";
import { closeSessionStores } from "./shared-handles.js";
import {
  acquireSessionWriteLock,
  resolveSessionLockMaxHoldFromTimeout,
  type SessionWriteLock,
  type SessionWriteLockParams,
} from "./transcript-lock.js";

export interface SessionStoreLockOptions {
  /** How long to wait for other processes; the wait for this one's own turn does not count. Default 10 s; 0 is for ever. */
  timeoutMs?: number;
  /** Accepted and not used. */
  pollIntervalMs?: number;
  /** Default 30 s. */
  staleMs?: number;
}

const timeoutMsDefault = 10_000;
const staleMsDefault = 30_000;
const graceMs = 5_000;

interface Waiting {
  readonly begin: () => void;
  readonly reject: (error: Error) => void;
}

interface Line {
  readonly waiting: Waiting[];
  /** Settles when nobody is left. */
  readonly drained: Promise<void>;
  readonly drain: () => void;
}

/** By the path as it was written. */
const lines = new Map<string, Line>();

/** Runs `fn` in turn and under the lock file; resolves with what it returned. One that fails does not stop the next. */
export async function withSessionStoreLock<T>(
  storePath: string,
  fn: () => Promise<T> | T,
  opts: SessionStoreLockOptions = {},
): Promise<T> {
  if (typeof storePath !== "string" || storePath.trim() === "") {
    const problem = `storePath must be a non-empty string, got ${JSON.stringify(storePath)}`;
    throw invalidOption("withSessionStoreLock", problem);
  }
  const line = await takeTurn(storePath);
  try {
    const lock = await acquire(lockParams(storePath, opts));
    try {
      return await fn();
    } finally {
      await lock.release();
    }
  } finally {
    endTurn(storePath, line);
  }
}

function lockParams(storePath: string, opts: SessionStoreLockOptions): SessionWriteLockParams {
  const { timeoutMs: given = timeoutMsDefault, staleMs = staleMsDefault } = opts;
  if (!Number.isFinite(given) || given <= 0) {
    return { sessionFile: storePath, timeoutMs: Number.POSITIVE_INFINITY, staleMs };
  }
  const maxHoldMs = resolveSessionLockMaxHoldFromTimeout({ timeoutMs: given, graceMs, minMs: graceMs });
  return { sessionFile: storePath, timeoutMs: given, staleMs, maxHoldMs };
}

async function takeTurn(storePath: string): Promise<Line> {
  const line = lines.get(storePath);
  if (line !== undefined) {
    await new Promise<void>((begin, reject) => line.waiting.push({ begin, reject }));
    return line;
  }
  let drain = () => {};
  const drained = new Promise<void>((resolve) => {
    drain = resolve;
  });
  const made: Line = { waiting: [], drained, drain };
  lines.set(storePath, made);
  return made;
}

function endTurn(storePath: string, line: Line): void {
  const next = line.waiting.shift();
  if (next === undefined) {
    lines.delete(storePath);
    line.drain();
  } else next.begin();
}

// --- for the tests of callers ----------------------------------------------------------------------------------------------

export { withSessionStoreLock as withSessionStoreLockForTest };

/** Empties the caches and turns away whoever waits for a turn; who has one keeps it. */
export function clearSessionStoreCacheForTest(): void {
  clearSessionStoreCaches();
  for (const { waiting } of lines.values()) {
    for (const { reject } of waiting.splice(0)) reject(new Error("session store queue cleared for test"));
  }
}

/** Waits until nobody waits for a turn or has one, and closes the stores: after it their folders may be removed. */
export async function drainSessionStoreLockQueuesForTest(): Promise<void> {
  while (lines.size > 0) await Promise.all([...lines.values()].map(({ drained }) => drained));
  await closeSessionStores();
}

/** The paths for which somebody has a turn. */
export function getSessionStoreLockQueueSizeForTest(): number {
  return lines.size;
}

type Acquirer = (params: SessionWriteLockParams) => Promise<Pick<SessionWriteLock, "release">>;

let acquire: Acquirer = acquireSessionWriteLock;

/** Takes another lock in place of `<store>.lock`; `null` goes back. */
export function setSessionWriteLockAcquirerForTests(acquirer: Acquirer | null): void {
  acquire = acquirer ?? acquireSessionWriteLock;
}

export function resetSessionStoreLockRuntimeForTests(): void {
  acquire = acquireSessionWriteLock;
}
