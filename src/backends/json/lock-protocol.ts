/**
 * The lock file of OpenClaw, `sessions.json.lock`: created exclusively, holding `{ pid, createdAt, starttime }`, removed
 * when done. A running gateway of that time and we exclude each other by it, so its rules are followed to the letter:
 * whose lock may be taken away, and after what time.
 *
 * Relies on the kernel lock (store-lock.ts) for everything between our own processes: only its holder comes here, so
 * nobody of ours takes away a lock that another one of ours just took.
 *
 * What the protocol cannot do: a pid says nothing across containers, and a holder that slept for longer than `staleMs`
 * is overtaken. Both are as the gateway has them.
 */

import { openChecked, readWhole, shortWrite } from "../../fs/checked-file.js";
import { type Directory, type FileStat, hasCode, type Port } from "../../fs/port.js";
import { removeBestEffort } from "./new-file.js";

/** The age at which the gateway takes the lock of a store away, alive or not. */
export const staleMs = 30_000;
/** Ours are 80 bytes. */
const lockBytesMax = 4_096;

export type LockAttempt =
  | { readonly status: "acquired" }
  /** `holder` follows "held by". */
  | { readonly status: "held"; readonly holder: string };

export class LegacyLock {
  readonly #port: Port;
  readonly #parent: Directory;
  readonly #name: string;
  readonly #staleMs: number;
  #held: FileStat | undefined;

  /** `staleAfterMs`: the age of a lock that may be taken away; other files than a store's have longer ones. */
  constructor(port: Port, parent: Directory, name: string, staleAfterMs = staleMs) {
    this.#port = port;
    this.#parent = parent;
    this.#name = name;
    this.#staleMs = staleAfterMs;
  }

  /** Takes the lock if it is free or may be taken away. `unsafe_path` when no ordinary file of ours lies there. */
  tryAcquire(): LockAttempt {
    if (this.#create()) return { status: "acquired" };
    const found = this.#inspect();
    if (found === undefined) return this.#create() ? { status: "acquired" } : { status: "held", holder: "unknown" };
    if (!found.isAbandoned) return { status: "held", holder: found.holder };
    this.#remove(found.stat);
    return this.#create() ? { status: "acquired" } : { status: "held", holder: "unknown" };
  }

  /** Removes the lock file, unless somebody took the lock away meanwhile. */
  release(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#remove(held);
  }

  #create(): boolean {
    // Ready before the file is there: one that names nobody holds everybody up until it is stale.
    const bytes = this.#payload();
    let file: ReturnType<Port["open"]>;
    try {
      file = this.#port.open(this.#parent, this.#name, "create");
    } catch (error) {
      if (hasCode(error, "EEXIST")) return false;
      throw error;
    }
    try {
      const written = this.#port.append(file, bytes);
      if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
      this.#held = this.#port.stat(file);
      return true;
    } catch (error) {
      removeBestEffort(this.#port, this.#parent, this.#name);
      throw error;
    } finally {
      this.#port.close(file);
    }
  }

  #payload(): Uint8Array {
    const { processId } = this.#port;
    const { startTime } = this.#port.inspectProcess(processId);
    const createdAt = new Date(this.#port.nowMs()).toISOString();
    return Buffer.from(JSON.stringify({ pid: processId, createdAt, starttime: startTime }));
  }

  /** `undefined` when it is gone. */
  #inspect(): { stat: FileStat; isAbandoned: boolean; holder: string } | undefined {
    let bytes: Uint8Array;
    let stat: FileStat;
    try {
      const file = openChecked(this.#port, this.#parent, this.#name, "read", { uid: this.#port.userId });
      try {
        stat = this.#port.stat(file);
        bytes = readWhole(this.#port, file, lockBytesMax);
      } finally {
        this.#port.close(file);
      }
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      if (!hasCode(error, "limit_exceeded")) throw error;
      bytes = new Uint8Array();
      const there = this.#port.statName(this.#parent, this.#name);
      if (there === undefined) return undefined;
      stat = there;
    }
    return { stat, ...this.#judge(parsePayload(bytes), stat) };
  }

  #judge(payload: Payload, stat: FileStat): { isAbandoned: boolean; holder: string } {
    const { pid, createdMs, startTime } = payload;
    const nowMs = this.#port.nowMs();
    // Perhaps its owner is about to write it: only the time of the file tells.
    const isOldFile = nowMs - stat.modifiedMs > this.#staleMs;
    if (pid === undefined) return { isAbandoned: isOldFile, holder: "unknown (the lock file names no process)" };
    const holder = `pid ${pid}`;
    const owner = this.#port.inspectProcess(pid);
    if (!owner.alive) return { isAbandoned: true, holder };
    const isRecycled = startTime !== undefined && owner.startTime !== undefined && startTime !== owner.startTime;
    if (isRecycled) return { isAbandoned: true, holder };
    // A process that was here before had our number: this one holds nothing, or it would not have come here.
    if (pid === this.#port.processId && startTime === undefined) return { isAbandoned: true, holder };
    if (createdMs === undefined) return { isAbandoned: isOldFile, holder };
    return { isAbandoned: nowMs - createdMs > this.#staleMs, holder };
  }

  /** Only the very file that was looked at; between the look and the removal lies one system call. */
  #remove(expected: FileStat): void {
    const there = this.#port.statName(this.#parent, this.#name);
    if (there === undefined || there.inode !== expected.inode || there.device !== expected.device) return;
    if (there.modifiedMs !== expected.modifiedMs) return;
    try {
      this.#port.unlink(this.#parent, this.#name);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }
}

export interface Payload {
  readonly pid: number | undefined;
  readonly createdMs: number | undefined;
  readonly startTime: number | undefined;
}

/** Undefined is what the file does not say, or not in a form that it could have. */
export function parsePayload(bytes: Uint8Array): Payload {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    value = undefined;
  }
  const { pid, createdAt, starttime } = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const createdMs = typeof createdAt === "string" ? Date.parse(createdAt) : Number.NaN;
  return {
    pid: isProcessNumber(pid) ? pid : undefined,
    createdMs: Number.isFinite(createdMs) ? createdMs : undefined,
    startTime: typeof starttime === "number" && Number.isSafeInteger(starttime) ? starttime : undefined,
  };
}

function isProcessNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
