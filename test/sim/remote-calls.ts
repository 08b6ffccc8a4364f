/**
 * The port calls of workers, as the coordinator makes them on the machine: one case per method of the port, handles
 * translated from the numbers by which workers know them.
 */

import type { DirectoryEntry, OpenMode, Timer } from "../../src/fs/port.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { SystemError } from "./system-error.js";

/** What the coordinator knows about the port of one worker. */
export interface RemoteState {
  readonly process: SimulatedProcess;
  /** What the worker began and what is done, but not told to it yet. */
  readonly completions: number[];
  readonly timers: Map<number, Timer>;
  /** Of any type: each call knows what it gave out. */
  readonly handles: Map<number, never>;
  nextHandle: number;
}

/** Steps that no other process can see: an interruption before one of them is as good as one before the next step. */
export const privateMethods = new Set([
  "start",
  "record",
  "nowMs",
  "monotonicMs",
  "random",
  "randomBytes",
  "nap",
  "wait",
  "sleep",
  "yieldToEventLoop",
  "startTimer",
  "cancel",
]);
/** Makes a port call that a worker asked for. Calls that need the schedule (waits, naps) or bytes back are not here. */
export function callRemotely(slot: RemoteState, method: string, p: readonly unknown[], bytes: Uint8Array): unknown {
  const { process } = slot;
  const first = () => remoteHandle(slot, p[0]);
  const complete = (id: unknown) => () => {
    slot.timers.delete(id as number);
    slot.completions.push(id as number);
  };
  switch (method) {
    case "start":
      return undefined;
    case "openRoot":
      return keep(slot, process.openRoot(p[0] as string));
    case "statRoot":
      return process.statRoot(p[0] as string);
    case "openDirectory":
      return keep(slot, process.openDirectory(first(), p[1] as string));
    case "realPath":
      return process.realPath(p[0] as string);
    case "closeDirectory":
      return process.closeDirectory(first());
    case "statDirectory":
      return process.statDirectory(first());
    case "list":
      return process.list(first(), p[1] as number);
    case "listInBatches": {
      const batches = process.listInBatches(first(), p[1] as number)[Symbol.iterator]();
      return keep(slot, batches as unknown as { displayPath: string })[0];
    }
    case "nextBatch": {
      const next = (remoteHandle(slot, p[0]) as unknown as Iterator<DirectoryEntry[]>).next();
      return next.done ? null : next.value;
    }
    case "makeDirectory":
      return process.makeDirectory(first(), p[1] as string, p[2] as number);
    case "removeDirectory":
      return process.removeDirectory(first(), p[1] as string);
    case "syncDirectory":
      return process.beginSyncDirectory(first(), complete(p[1]));
    case "open":
      return keep(slot, process.open(first(), p[1] as string, p[2] as OpenMode));
    case "close":
      return process.close(first());
    case "stat":
      return process.stat(first());
    case "statName":
      return process.statName(first(), p[1] as string);
    case "append":
      return process.append(first(), bytes);
    case "truncate":
      return process.truncate(first(), p[1] as number);
    case "setMode":
      return process.setMode(first(), p[1] as number);
    case "syncFile":
      return process.beginSyncFile(first(), complete(p[1]));
    case "rename":
      return process.rename(first(), p[1] as string, remoteHandle(slot, p[2]), p[3] as string);
    case "unlink":
      return process.unlink(first(), p[1] as string);
    case "statFileSystem":
      return process.statFileSystem(first());
    case "tryLock":
      return process.tryLock(first(), p[1] as "exclusive" | "shared");
    case "unlock":
      return process.unlock(first());
    case "describeLockHolder":
      return process.describeLockHolder(first());
    case "inspectProcess":
      return process.inspectProcess(p[0] as number);
    case "nowMs":
      return process.nowMs();
    case "monotonicMs":
      return process.monotonicMs();
    case "random":
      return process.random();
    case "sleep":
      slot.timers.set(p[1] as number, process.beginSleep(p[0] as number, complete(p[1])));
      return undefined;
    case "startTimer":
      slot.timers.set(p[1] as number, process.startTimer(p[0] as number, complete(p[1])));
      return undefined;
    case "cancel": {
      slot.timers.get(p[0] as number)?.cancel();
      slot.timers.delete(p[0] as number);
      const index = slot.completions.indexOf(p[0] as number);
      if (index >= 0) slot.completions.splice(index, 1);
      return undefined;
    }
    case "yieldToEventLoop":
      return process.beginYield(complete(p[0]));
    case "loseWrites":
      return process.loseWrites(first());
    default:
      throw new Error(`unknown port call ${method}`);
  }
}

export function remoteHandle(slot: RemoteState, id: unknown): never {
  const handle = slot.handles.get(id as number);
  if (handle === undefined) throw new SystemError("EBADF", "port", String(id));
  return handle;
}

/** What a call acts on, for people. */
export function pathOf(slot: RemoteState, method: string, parameters: readonly unknown[]): string {
  if (privateMethods.has(method)) return "";
  const [first, second] = parameters;
  if (typeof first === "string") return first;
  const handle = slot.handles.get(first as number) as { displayPath?: string } | undefined;
  if (handle?.displayPath === undefined) return "";
  // A lock's second parameter is its kind, that of an open directory's calls a name.
  return typeof second === "string" && method !== "tryLock" ? `${handle.displayPath}/${second}` : handle.displayPath;
}

function keep(slot: RemoteState, handle: { displayPath: string }): [number, string] {
  const id = slot.nextHandle++;
  slot.handles.set(id, handle as never);
  return [id, handle.displayPath];
}
