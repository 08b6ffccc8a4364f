/**
 * Counts the calls on a port: how many of each method, on which paths, how many bytes appended and read. For tests that
 * promise a price ("a refresh reads one record and no directory"). Tracing keeps every call, so it is off by default.
 */

import type { Port } from "../../src/fs/port.js";
import { InterceptedPort, type PortCall, type PortMethod } from "./intercepted-port.js";

export interface PortCounts {
  readonly calls: number;
  /** Calls of each method that was called. */
  readonly byMethod: ReadonlyMap<PortMethod, number>;
  /** Calls of each method on each path, as "method path". */
  readonly byPath: ReadonlyMap<string, number>;
  /** Names that files and directories were opened by, in order. */
  readonly namesOpened: readonly string[];
  readonly bytesAppended: number;
  readonly bytesRead: number;
  /** Bytes appended to each path. */
  readonly bytesAppendedTo: ReadonlyMap<string, number>;
}

export class CountingPort extends InterceptedPort {
  /** Every call since the last reset, when tracing. */
  readonly trace: PortCall[] = [];
  readonly #keepsTrace: boolean;
  #counts = emptyCounts();

  constructor(inner: Port, options: { trace?: boolean } = {}) {
    super(inner);
    this.#keepsTrace = options.trace ?? false;
  }

  get counts(): PortCounts {
    return this.#counts;
  }

  /** Calls of one method, or of all. */
  count(method?: PortMethod): number {
    return method === undefined ? this.#counts.calls : (this.#counts.byMethod.get(method) ?? 0);
  }

  reset(): void {
    this.#counts = emptyCounts();
    this.trace.length = 0;
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    const counts = this.#counts;
    counts.calls++;
    add(counts.byMethod, call.method, 1);
    if (call.path !== "") add(counts.byPath, `${call.method} ${call.path}`, 1);
    if (call.method === "open" || call.method === "openDirectory") counts.namesOpened.push(call.name!);
    if (this.#keepsTrace) this.trace.push(call);
    const result = proceed();
    if (call.method === "append") {
      counts.bytesAppended += result as number;
      add(counts.bytesAppendedTo, call.path, result as number);
    }
    if (call.method === "read") counts.bytesRead += result as number;
    return result;
  }
}

function emptyCounts() {
  return {
    calls: 0,
    byMethod: new Map<PortMethod, number>(),
    byPath: new Map<string, number>(),
    namesOpened: [] as string[],
    bytesAppended: 0,
    bytesRead: 0,
    bytesAppendedTo: new Map<string, number>(),
  };
}

function add<Key>(map: Map<Key, number>, key: Key, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}
