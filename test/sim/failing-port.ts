/**
 * A port whose N-th call fails: for the loop "fail call 1, 2, 3 ... until the operation runs clean". Only calls that can
 * fail on a real system are counted; the clock and random numbers are not.
 *
 * The failing call has no effect, except that a short append writes, and a short read reads, a part. A failed sync may
 * lose the pending bytes of its file for good, as Linux does: pass `onFailedSync: (file) => process.loseWrites(file)`.
 */

import type { File, Port } from "../../src/fs/port.js";
import { InterceptedPort, type PortCall, type PortMethod } from "./intercepted-port.js";
import { SystemError } from "./system-error.js";

export interface FailureOptions {
  /** Which call fails, counted from 1 among those that match. Never, if missing. */
  readonly failAt?: number;
  /** Fail that call only, or all matching ones from it on. Default: "once". */
  readonly lasts?: "once" | "from then on";
  /** A POSIX code; or "short": appends and reads get half of the bytes, at least one less. Default: EIO. */
  readonly code?: string;
  /** Which methods are counted. Default: all that can fail; for "short", append and read. */
  readonly methods?: readonly PortMethod[];
  /** Which calls of these methods are counted. */
  readonly matches?: (call: PortCall) => boolean;
  /** Called when a `syncFile` fails. */
  readonly onFailedSync?: (file: File) => void;
}

/** Methods that may throw an error of the system. Closing and unlocking may not: nobody could do anything about it. */
export const fallibleMethods: readonly PortMethod[] = [
  "openRoot",
  "statRoot",
  "openDirectory",
  "realPath",
  "statDirectory",
  "list",
  "listInBatches",
  "makeDirectory",
  "removeDirectory",
  "syncDirectory",
  "open",
  "stat",
  "statName",
  "read",
  "append",
  "truncate",
  "setMode",
  "syncFile",
  "rename",
  "unlink",
  "statFileSystem",
  "tryLock",
];

export class FailingPort extends InterceptedPort {
  /** Calls that matched so far. */
  callsSeen = 0;
  /** Calls that were made to fail. */
  readonly failures: PortCall[] = [];
  #options: FailureOptions;
  #methods: ReadonlySet<PortMethod> = new Set();

  constructor(inner: Port, options: FailureOptions = {}) {
    super(inner);
    this.#options = options;
    this.fail(options);
  }

  /** Starts again with other options; counts from zero. */
  fail(options: FailureOptions): void {
    this.#options = options;
    this.#methods = new Set(options.methods ?? (options.code === "short" ? ["append", "read"] : fallibleMethods));
    this.callsSeen = 0;
    this.failures.length = 0;
  }

  protected override intercept<T>(call: PortCall, proceed: (sizeBytes?: number) => T): T {
    const { failAt, lasts, code = "EIO", matches, onFailedSync } = this.#options;
    if (!this.#methods.has(call.method) || matches?.(call) === false) return proceed();
    const number = ++this.callsSeen;
    const fails = failAt !== undefined && (lasts === "from then on" ? number >= failAt : number === failAt);
    if (!fails) return proceed();
    if (code === "short") {
      if (call.sizeBytes === undefined || call.sizeBytes < 2) return proceed();
      this.failures.push(call);
      return proceed(call.sizeBytes >> 1);
    }
    this.failures.push(call);
    const error = new SystemError(code, call.method, call.path);
    if (call.method === "syncFile") onFailedSync?.(call.file!);
    if (call.method === "syncFile" || call.method === "syncDirectory") return Promise.reject(error) as T;
    throw error;
  }
}
