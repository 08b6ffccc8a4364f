/**
 * A port on top of another port in which every call passes one method, `intercept`: what counting and failing ports are
 * built on. Handles are those of the port below, so the two may be mixed.
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

export type PortMethod = {
  [Name in keyof Port]-?: Port[Name] extends (...parameters: never[]) => unknown ? Name : never;
}[keyof Port];

/** One call, as interceptors see it. */
export interface PortCall {
  readonly method: PortMethod;
  /** The path of what the call acts on: the file, or the directory with the name. Empty for the clock and its like. */
  readonly path: string;
  /** The name that it takes, for calls that take one. */
  readonly name?: string;
  /** The file that it takes. */
  readonly file?: File;
  /** Bytes to be appended or to be read. */
  readonly sizeBytes?: number;
}

export abstract class InterceptedPort implements Port {
  /** The port below. */
  readonly inner: Port;

  constructor(inner: Port) {
    this.inner = inner;
  }

  /** Called for every call; `proceed` makes it on the port below. For `append` and `read` it takes a shorter length. */
  protected abstract intercept<T>(call: PortCall, proceed: (sizeBytes?: number) => T): T;

  get lockFamily(): string {
    return this.inner.lockFamily;
  }

  get processId(): number {
    return this.inner.processId;
  }

  get userId(): number | undefined {
    return this.inner.userId;
  }

  get homeDirectory(): string | undefined {
    return this.inner.homeDirectory;
  }

  openRoot(path: string): Directory {
    return this.intercept({ method: "openRoot", path }, () => this.inner.openRoot(path));
  }

  statRoot(path: string): FileStat | undefined {
    return this.intercept({ method: "statRoot", path }, () => this.inner.statRoot(path));
  }

  openDirectory(parent: Directory, name: string): Directory {
    return this.#onName("openDirectory", parent, name, () => this.inner.openDirectory(parent, name));
  }

  realPath(path: string): string {
    return this.intercept({ method: "realPath", path }, () => this.inner.realPath(path));
  }

  closeDirectory(directory: Directory): void {
    this.#onDirectory("closeDirectory", directory, () => this.inner.closeDirectory(directory));
  }

  statDirectory(directory: Directory): FileStat {
    return this.#onDirectory("statDirectory", directory, () => this.inner.statDirectory(directory));
  }

  list(directory: Directory, entriesMax: number): DirectoryEntry[] {
    return this.#onDirectory("list", directory, () => this.inner.list(directory, entriesMax));
  }

  listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]> {
    return this.#onDirectory("listInBatches", directory, () => this.inner.listInBatches(directory, batchSize));
  }

  makeDirectory(parent: Directory, name: string, mode: number): void {
    this.#onName("makeDirectory", parent, name, () => this.inner.makeDirectory(parent, name, mode));
  }

  removeDirectory(parent: Directory, name: string): void {
    this.#onName("removeDirectory", parent, name, () => this.inner.removeDirectory(parent, name));
  }

  syncDirectory(directory: Directory): Promise<void> {
    return this.#onDirectory("syncDirectory", directory, () => this.inner.syncDirectory(directory));
  }

  open(directory: Directory, name: string, mode: OpenMode): File {
    return this.#onName("open", directory, name, () => this.inner.open(directory, name, mode));
  }

  close(file: File): void {
    this.#onFile("close", file, () => this.inner.close(file));
  }

  stat(file: File): FileStat {
    return this.#onFile("stat", file, () => this.inner.stat(file));
  }

  statName(directory: Directory, name: string): FileStat | undefined {
    return this.#onName("statName", directory, name, () => this.inner.statName(directory, name));
  }

  read(file: File, buffer: Uint8Array, position: number): number {
    const call = { method: "read", path: file.displayPath, file, sizeBytes: buffer.length } as const;
    return this.intercept(call, (sizeBytes) => {
      return this.inner.read(file, sizeBytes === undefined ? buffer : buffer.subarray(0, sizeBytes), position);
    });
  }

  append(file: File, bytes: Uint8Array): number {
    const call = { method: "append", path: file.displayPath, file, sizeBytes: bytes.length } as const;
    return this.intercept(call, (sizeBytes) => {
      return this.inner.append(file, sizeBytes === undefined ? bytes : bytes.subarray(0, sizeBytes));
    });
  }

  truncate(file: File, sizeBytes: number): void {
    this.#onFile("truncate", file, () => this.inner.truncate(file, sizeBytes));
  }

  setMode(file: File, mode: number): void {
    this.#onFile("setMode", file, () => this.inner.setMode(file, mode));
  }

  syncFile(file: File): Promise<void> {
    return this.#onFile("syncFile", file, () => this.inner.syncFile(file));
  }

  rename(fromDirectory: Directory, fromName: string, toDirectory: Directory, toName: string): void {
    this.#onName("rename", toDirectory, toName, () => this.inner.rename(fromDirectory, fromName, toDirectory, toName));
  }

  unlink(directory: Directory, name: string): void {
    this.#onName("unlink", directory, name, () => this.inner.unlink(directory, name));
  }

  requireWritable(directory: Directory): void {
    this.inner.requireWritable?.(directory);
  }

  statFileSystem(directory: Directory): { readonly freeBytes: number; readonly type: number } {
    return this.#onDirectory("statFileSystem", directory, () => this.inner.statFileSystem(directory));
  }

  tryLock(file: File, kind: "exclusive" | "shared"): boolean {
    return this.#onFile("tryLock", file, () => this.inner.tryLock(file, kind));
  }

  unlock(file: File): void {
    this.#onFile("unlock", file, () => this.inner.unlock(file));
  }

  describeLockHolder(file: File): string | undefined {
    return this.#onFile("describeLockHolder", file, () => this.inner.describeLockHolder(file));
  }

  inspectProcess(processId: number): ProcessState {
    return this.intercept({ method: "inspectProcess", path: "" }, () => this.inner.inspectProcess(processId));
  }

  nowMs(): number {
    return this.intercept({ method: "nowMs", path: "" }, () => this.inner.nowMs());
  }

  monotonicMs(): number {
    return this.intercept({ method: "monotonicMs", path: "" }, () => this.inner.monotonicMs());
  }

  randomBytes(count: number): Uint8Array {
    return this.intercept({ method: "randomBytes", path: "" }, () => this.inner.randomBytes(count));
  }

  random(): number {
    return this.intercept({ method: "random", path: "" }, () => this.inner.random());
  }

  nap(microseconds: number): void {
    this.intercept({ method: "nap", path: "" }, () => this.inner.nap(microseconds));
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.intercept({ method: "sleep", path: "" }, () => this.inner.sleep(ms, signal));
  }

  yieldToEventLoop(): Promise<void> {
    return this.intercept({ method: "yieldToEventLoop", path: "" }, () => this.inner.yieldToEventLoop());
  }

  startTimer(ms: number, callback: () => void): Timer {
    return this.intercept({ method: "startTimer", path: "" }, () => this.inner.startTimer(ms, callback));
  }

  #onFile<T>(method: PortMethod, file: File, proceed: () => T): T {
    return this.intercept({ method, path: file.displayPath, file }, proceed);
  }

  #onDirectory<T>(method: PortMethod, directory: Directory, proceed: () => T): T {
    return this.intercept({ method, path: directory.displayPath }, proceed);
  }

  #onName<T>(method: PortMethod, directory: Directory, name: string, proceed: () => T): T {
    return this.intercept({ method, path: `${directory.displayPath}/${name}`, name }, proceed);
  }
}
