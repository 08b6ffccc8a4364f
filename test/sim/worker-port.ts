/**
 * The port of a simulated process that runs in a worker: every call is a question to the coordinator, which executes it
 * on the machine when the schedule says so. The worker's thread is blocked meanwhile.
 *
 * Asynchronous calls are begun by a question, too; their completion comes as the answer to `awaitCompletion`, which the
 * worker asks whenever it has nothing else to do.
 */

import type {
  Directory,
  DirectoryEntry,
  File,
  FileStat,
  OpenMode,
  Port,
  ProcessState,
  Timer,
} from "../../src/fs/port.js";
import type { WorkerEnd } from "./channel.js";
import { ProcessKilled, SystemError } from "./system-error.js";

/** What the coordinator says about the process when it starts. */
export interface ProcessFacts {
  readonly name: string;
  readonly processId: number;
  readonly userId: number | null;
  readonly lockFamily: string;
}

export type Answer =
  | { readonly status: "ok"; readonly value?: unknown }
  | { readonly status: "error"; readonly code: string; readonly syscall: string; readonly where: string }
  | { readonly status: "killed" };

interface RemoteHandle {
  readonly displayPath: string;
  readonly id: number;
}

export class WorkerPort implements Port {
  readonly processId: number;
  readonly userId: number | undefined;
  /** Of what programs in workers do, nothing needs one. */
  readonly homeDirectory = undefined;
  readonly lockFamily: string;
  isKilled = false;
  readonly #name: string;
  readonly #channel: WorkerEnd;
  readonly #waiting = new Map<number, () => void>();
  #nextCall = 1;

  constructor(channel: WorkerEnd, facts: ProcessFacts) {
    this.#channel = channel;
    this.#name = facts.name;
    this.processId = facts.processId;
    this.userId = facts.userId ?? undefined;
    this.lockFamily = facts.lockFamily;
  }

  /** Blocks until something that was begun is done, and lets its promise or callback run. */
  awaitCompletion(): void {
    const id = this.ask("wait", [this.#waiting.size]) as number;
    const done = this.#waiting.get(id);
    this.#waiting.delete(id);
    done?.();
  }

  ask(method: string, parameters: unknown[], bytes?: Uint8Array): unknown {
    return this.#ask(method, parameters, bytes).value;
  }

  openRoot(path: string): Directory {
    return this.#handle(this.ask("openRoot", [path]));
  }

  statRoot(path: string): FileStat | undefined {
    return this.ask("statRoot", [path]) as FileStat | undefined;
  }

  openDirectory(parent: Directory, name: string): Directory {
    return this.#handle(this.ask("openDirectory", [idOf(parent), name]));
  }

  realPath(path: string): string {
    return this.ask("realPath", [path]) as string;
  }

  closeDirectory(directory: Directory): void {
    this.ask("closeDirectory", [idOf(directory)]);
  }

  statDirectory(directory: Directory): FileStat {
    return this.ask("statDirectory", [idOf(directory)]) as FileStat;
  }

  list(directory: Directory, entriesMax: number): DirectoryEntry[] {
    // JSON has no infinity.
    return this.ask("list", [idOf(directory), Math.min(entriesMax, Number.MAX_SAFE_INTEGER)]) as DirectoryEntry[];
  }

  *listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]> {
    const id = this.ask("listInBatches", [idOf(directory), batchSize]);
    for (;;) {
      const batch = this.ask("nextBatch", [id]) as DirectoryEntry[] | null;
      if (batch === null) return;
      yield batch;
    }
  }

  makeDirectory(parent: Directory, name: string, mode: number): void {
    this.ask("makeDirectory", [idOf(parent), name, mode]);
  }

  removeDirectory(parent: Directory, name: string): void {
    this.ask("removeDirectory", [idOf(parent), name]);
  }

  syncDirectory(directory: Directory): Promise<void> {
    return this.#begin("syncDirectory", [idOf(directory)]);
  }

  open(directory: Directory, name: string, mode: OpenMode): File {
    return this.#handle(this.ask("open", [idOf(directory), name, mode]));
  }

  close(file: File): void {
    this.ask("close", [idOf(file)]);
  }

  stat(file: File): FileStat {
    return this.ask("stat", [idOf(file)]) as FileStat;
  }

  statName(directory: Directory, name: string): FileStat | undefined {
    return (this.ask("statName", [idOf(directory), name]) ?? undefined) as FileStat | undefined;
  }

  read(file: File, buffer: Uint8Array, position: number): number {
    const { bytes } = this.#ask("read", [idOf(file), buffer.length, position]);
    buffer.set(bytes);
    return bytes.length;
  }

  append(file: File, bytes: Uint8Array): number {
    return this.ask("append", [idOf(file)], bytes) as number;
  }

  truncate(file: File, sizeBytes: number): void {
    this.ask("truncate", [idOf(file), sizeBytes]);
  }

  setMode(file: File, mode: number): void {
    this.ask("setMode", [idOf(file), mode]);
  }

  syncFile(file: File): Promise<void> {
    return this.#begin("syncFile", [idOf(file)]);
  }

  rename(fromDirectory: Directory, fromName: string, toDirectory: Directory, toName: string): void {
    this.ask("rename", [idOf(fromDirectory), fromName, idOf(toDirectory), toName]);
  }

  unlink(directory: Directory, name: string): void {
    this.ask("unlink", [idOf(directory), name]);
  }

  statFileSystem(directory: Directory): { readonly freeBytes: number; readonly type: number } {
    return this.ask("statFileSystem", [idOf(directory)]) as { freeBytes: number; type: number };
  }

  tryLock(file: File, kind: "exclusive" | "shared"): boolean {
    return this.ask("tryLock", [idOf(file), kind]) as boolean;
  }

  unlock(file: File): void {
    this.ask("unlock", [idOf(file)]);
  }

  describeLockHolder(file: File): string | undefined {
    return (this.ask("describeLockHolder", [idOf(file)]) ?? undefined) as string | undefined;
  }

  inspectProcess(processId: number): ProcessState {
    const { alive, startTime } = this.ask("inspectProcess", [processId]) as ProcessState;
    return { alive, startTime };
  }

  nowMs(): number {
    return this.ask("nowMs", []) as number;
  }

  monotonicMs(): number {
    return this.ask("monotonicMs", []) as number;
  }

  randomBytes(count: number): Uint8Array {
    return Uint8Array.from(this.#ask("randomBytes", [count]).bytes);
  }

  random(): number {
    return this.ask("random", []) as number;
  }

  nap(microseconds: number): void {
    this.ask("nap", [microseconds]);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        timer.cancel();
        reject(signal!.reason);
      };
      const timer = this.#beginTimer("sleep", ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  yieldToEventLoop(): Promise<void> {
    return this.#begin("yieldToEventLoop", []);
  }

  startTimer(ms: number, callback: () => void): Timer {
    return this.#beginTimer("startTimer", ms, callback);
  }

  #ask(method: string, parameters: unknown[], bytes?: Uint8Array): { value: unknown; bytes: Uint8Array } {
    if (this.isKilled) throw new ProcessKilled(this.#name);
    const message = this.#channel.call([method, ...parameters], bytes);
    const answer = message.json as Answer;
    if (answer.status === "ok") return { value: answer.value, bytes: message.bytes };
    if (answer.status === "error") throw new SystemError(answer.code, answer.syscall, answer.where);
    this.isKilled = true;
    throw new ProcessKilled(this.#name);
  }

  #begin(method: string, parameters: unknown[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = this.#nextCall++;
      this.#waiting.set(id, resolve);
      try {
        this.ask(method, [...parameters, id]);
      } catch (error) {
        this.#waiting.delete(id);
        // As in a real death, what a killed process waits for never happens.
        if (!(error instanceof ProcessKilled)) reject(error);
      }
    });
  }

  #beginTimer(method: string, ms: number, callback: () => void): Timer {
    const id = this.#nextCall++;
    this.#waiting.set(id, callback);
    try {
      this.ask(method, [ms, id]);
    } catch (error) {
      this.#waiting.delete(id);
      throw error;
    }
    return {
      cancel: () => {
        if (this.#waiting.delete(id) && !this.isKilled) this.ask("cancel", [id]);
      },
    };
  }

  #handle(value: unknown): RemoteHandle {
    const [id, displayPath] = value as [number, string];
    return { id, displayPath };
  }
}

/** The number by which the coordinator knows the handle; -1, which it does not know, for what is no handle of ours. */
export function idOf(handle: File | Directory): number {
  return (handle as RemoteHandle).id ?? -1;
}
