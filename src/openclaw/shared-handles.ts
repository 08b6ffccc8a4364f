/**
 * The open stores behind functions that are called with a path. One handle per real path, whatever spelling it is named
 * by; opened when it is needed, closed when nobody used it for a while, and never a reason for the process to live on.
 *
 * Reading needs no open backend: a reader is opened synchronously, or the legacy file is read as it lies there, and
 * nothing is changed. Writing opens the backend, which takes a legacy file over. A handle whose store was moved away,
 * rolled back or replaced is dropped and opened once more before anybody hears of it.
 */

import path from "node:path";
import { DirectoryBackend } from "../backends/directory/backend.js";
import { parseStoreLocation, rollbackMarkerName, type StoreLocation } from "../backends/directory/layout.js";
import { DirectoryReader } from "../backends/directory/reader.js";
import { JsonBackend } from "../backends/json/backend.js";
import { readLegacyStoreSync } from "../backends/json/legacy-reader.js";
import type { Backend } from "../contract.js";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { SessionStoreError, type SessionStoreErrorCode } from "../errors.js";
import { type Directory, type FileStat, hasCode, type Port, type Timer } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import { gatewayLimits } from "../limits.js";
import { mergeLegacyFile } from "../migrate/merge.js";
import { readOpenClawDirectory } from "../migrate/openclaw-directory.js";
import { inspectPlace, isInTheWay } from "../migrate/place.js";
import { openBackend } from "../open-backend.js";
import { checkOpenOptions } from "../open-options.js";
import { invalidOption } from "../options.js";
import { ambientPort } from "./ambient.js";
import { readThroughLinks } from "./linked-file.js";
import { logInfo, logWarning } from "./log.js";
import { DirectorySource, MapSource, type ReadSource, type StoredSession } from "./read-sources.js";
import { ReappearedFile } from "./reappeared-file.js";
import { inFolder } from "./single-names.js";
import { WriteFacts } from "./write-facts.js";

/** How long a store stays open after its last use, and how many may be open at once. */
const idleMs = 30_000;
const handlesMax = 64;
export const lockWaitMs = 10_000;
export const conflictWaitMs = 10_000;

const handlesOfPort = new WeakMap<Port, Map<string, SharedStore>>();

/**
 * What lies at a path, seen without opening anything.
 *
 * - `file`: the sessions are in a single file and stay there: it was rolled back, or its name leaves no room for a
 *   directory beside it.
 */
export type StoreForm = "directory" | "file" | "legacy" | "none";

/** Throws `invalid_option` for what cannot be the path of a store. */
export function sharedStore(storePath: string): SharedStore {
  const port = ambientPort();
  if (typeof storePath !== "string" || storePath.trim() === "" || storePath.includes("\0")) {
    throw invalidOption("session store", `${JSON.stringify(storePath)} is not the path of a store`);
  }
  const named = parseStoreLocation(storePath);
  const { parentPath, ...names } = named ?? singleFileLocation(storePath);
  const location = { ...names, parentPath: realPathOfDeepest(port, parentPath) };
  let handles = handlesOfPort.get(port);
  if (handles === undefined) {
    handles = new Map();
    handlesOfPort.set(port, handles);
  }
  const id = `${location.parentPath}/${location.directoryName}`;
  let handle = handles.get(id);
  if (handle === undefined) {
    if (handles.size >= handlesMax) closeOneIdle(handles);
    handle = new SharedStore(port, location, id, handles, named === undefined);
    handles.set(id, handle);
  }
  handle.touch();
  return handle;
}

/** A gateway may name its store as it likes; only `*.json` can become a directory, `*.d`. */
function singleFileLocation(storePath: string): StoreLocation {
  const absolute = path.resolve(storePath);
  const legacyName = path.basename(absolute);
  return { parentPath: path.dirname(absolute), legacyName, directoryName: `${legacyName}.d` };
}

function closeOneIdle(handles: ReadonlyMap<string, SharedStore>): void {
  let oldest: SharedStore | undefined;
  for (const handle of handles.values()) {
    if (!handle.isBusy && (oldest === undefined || handle.lastUsedMs < oldest.lastUsedMs)) oldest = handle;
  }
  void oldest?.close();
}

/**
 * Closes every store that functions of this module have open. Nothing needs it - what was acknowledged is durable -, but
 * after it each session's own file is complete. The next call opens the store again.
 */
export async function closeSessionStores(): Promise<void> {
  const handles = handlesOfPort.get(ambientPort());
  await Promise.all([...(handles?.values() ?? [])].map((handle) => handle.close()));
}

const staleCodes: readonly SessionStoreErrorCode[] = ["store_fenced", "store_gone", "closed"];

function isStale(error: unknown): boolean {
  return error instanceof SessionStoreError && staleCodes.includes(error.code);
}

function isOutOfHandles(error: unknown): boolean {
  return hasCode(error, "EMFILE", "ENFILE", "too_many_files");
}

export class SharedStore {
  readonly location: StoreLocation;
  readonly storePath: string;
  lastUsedMs = 0;
  readonly #port: Port;
  readonly #id: string;
  readonly #handles: Map<string, SharedStore>;
  readonly #isSingleFile: boolean;
  #parent: Directory | undefined;
  #reader: DirectoryReader | undefined;
  #backend: Backend | undefined;
  #opening: Promise<Backend> | undefined;
  #facts: WriteFacts | undefined;
  #reappeared: ReappearedFile | undefined;
  /** The legacy file beside the open store, as it was when it was dealt with last. */
  #mergedFile: FileStat | undefined;
  #users = 0;
  #timer: Timer | undefined;

  constructor(
    port: Port,
    location: StoreLocation,
    id: string,
    handles: Map<string, SharedStore>,
    isSingleFile: boolean,
  ) {
    this.#port = port;
    this.#isSingleFile = isSingleFile;
    this.location = location;
    this.storePath = `${location.parentPath}/${location.legacyName}`;
    this.#id = id;
    this.#handles = handles;
  }

  get port(): Port {
    return this.#port;
  }

  get isBusy(): boolean {
    return this.#users > 0 || this.#opening !== undefined;
  }

  touch(): void {
    this.lastUsedMs = this.#port.monotonicMs();
    this.#timer ??= this.#port.startTimer(idleMs, () => this.#closeIfIdle());
  }

  #closeIfIdle(): void {
    this.#timer = undefined;
    if (!this.isBusy && this.#port.monotonicMs() - this.lastUsedMs >= idleMs) void this.close();
    else this.#timer = this.#port.startTimer(idleMs, () => this.#closeIfIdle());
  }

  /**
   * Keeps the store open while `work` runs, and runs it once more when the store turned out to be another one, or when
   * other stores had to give their file handles back first.
   */
  async use<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#users += 1;
    try {
      return await work();
    } catch (error) {
      if (isStale(error)) await this.#drop();
      else if (isOutOfHandles(error)) await this.#closeOthers();
      else throw error;
      return await work();
    } finally {
      this.#users -= 1;
      this.touch();
    }
  }

  async #closeOthers(): Promise<void> {
    const idle = [...this.#handles.values()].filter((handle) => handle !== this && !handle.isBusy);
    if (idle.length > 0) logWarning(`out of file handles: ${idle.length} idle session stores are closed`);
    await Promise.all(idle.map((handle) => handle.close()));
  }

  /** The same for reads, which are synchronous. */
  read<Result>(work: (source: ReadSource) => Result): Result {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const source = this.source();
        try {
          return work(source);
        } finally {
          source.close();
        }
      } catch (error) {
        const isOut = isOutOfHandles(error);
        if (attempt > 0 || !(isOut || isStale(error))) throw error;
        if (isOut) {
          for (const handle of this.#handles.values()) if (handle !== this && !handle.isBusy) handle.#dropReader();
          continue;
        }
        this.#dropReader();
        if (this.#backend !== undefined) void this.#drop();
      }
    }
  }

  /** The store's present state, whatever its form. Changes nothing. The caller closes it. */
  source(): ReadSource {
    const directory = this.#backend instanceof DirectoryBackend ? this.#backend : this.#openReader();
    if (directory === undefined) return this.#legacySource();
    const point = directory.readPoint();
    try {
      this.#reappeared ??= new ReappearedFile(this.#port, this.#openParent(), this.location);
      return new DirectorySource(point, this.#reappeared.newerThan(directory.manifest, point));
    } catch (error) {
      point.close();
      throw error;
    }
  }

  /** The open backend; opens - creates, takes over - it when it is not open. */
  async open(): Promise<Backend> {
    if (this.#backend !== undefined) {
      await this.#mergeReappeared(this.#backend);
      return this.#backend;
    }
    this.#opening ??= this.#openBackend().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openBackend(): Promise<Backend> {
    const { parentPath, legacyName } = this.location;
    const logger = { info: logInfo, warn: logWarning };
    const options = checkOpenOptions({ lockWaitMs, conflictWaitMs, limits: gatewayLimits, logger });
    const backend = this.#isSingleFile
      ? await JsonBackend.open(this.#port, this.location, options)
      : await openBackend(this.#port, `${parentPath}/${legacyName}`, options);
    this.#backend = backend;
    // What is read from now on comes from the backend's own view.
    this.#dropReader();
    return backend;
  }

  /** What maintenance has to know about all sessions; of the open backend. */
  facts(backend: Backend): WriteFacts {
    if (this.#facts?.backend !== backend) {
      this.#facts?.close();
      this.#facts = new WriteFacts(backend);
    }
    return this.#facts;
  }

  form(): StoreForm {
    if (this.#backend instanceof DirectoryBackend) return "directory";
    if (this.#isSingleFile) return "file";
    let parent: Directory;
    try {
      parent = this.#openParent();
    } catch (error) {
      if (hasCode(error, "ENOENT")) return "none";
      throw error;
    }
    const { directoryName, legacyName } = this.location;
    if (this.#port.statName(parent, directoryName) !== undefined) return "directory";
    if (this.#port.statName(parent, rollbackMarkerName(directoryName)) !== undefined) return "file";
    return this.#port.statName(parent, legacyName) === undefined ? "none" : "legacy";
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#handles.get(this.#id) === this) this.#handles.delete(this.#id);
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const { opening, backend } = { opening: this.#opening, backend: this.#backend };
    this.#dropReader();
    this.#facts?.close();
    this.#facts = undefined;
    this.#reappeared = undefined;
    this.#mergedFile = undefined;
    this.#backend = undefined;
    if (this.#parent !== undefined) this.#port.closeDirectory(this.#parent);
    this.#parent = undefined;
    const late = await opening?.catch(() => undefined);
    if (late !== undefined && this.#backend === late) this.#backend = undefined;
    for (const open of new Set([backend, late])) {
      await open?.close().catch((error) => logWarning(`closing a session store failed: ${String(error)}`));
    }
  }

  #dropReader(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  #openParent(): Directory {
    this.#parent ??= this.#port.openRoot(this.location.parentPath);
    return this.#parent;
  }

  #openReader(): DirectoryReader | undefined {
    if (this.#isSingleFile) return undefined;
    if (this.#reader !== undefined) return this.#reader;
    try {
      this.#reader = DirectoryReader.open(this.#port, this.location, readerCacheBytes);
    } catch (error) {
      if (hasCode(error, "ENOENT") || this.#isNoStore()) return undefined;
      throw error;
    }
    return this.#reader;
  }

  /** A directory that is not ours: in OpenClaw's layout, or something that makes way at the first write. */
  #isNoStore(): boolean {
    const parent = this.#openParent();
    const place = inspectPlace(this.#port, parent, this.location);
    return place.state === "openclaw" || isInTheWay(this.#port, parent, this.location, place);
  }

  #legacySource(): ReadSource {
    const { parentPath } = this.location;
    try {
      return MapSource.ofLegacy(readLegacyStoreSync(this.#port, this.location, gatewayLimits).entries);
    } catch (error) {
      const linked = hasCode(error, "unsafe_path") ? readThroughLinks(this.#port, this.location) : undefined;
      if (linked !== undefined) return MapSource.ofLegacy(linked);
      // The directory is there: a store that appeared just now, or one in OpenClaw's layout.
      if (!hasCode(error, "store_gone")) throw error;
      const imported = inFolder(this.#port, parentPath, (parent) => {
        const place = inspectPlace(this.#port, parent, this.location);
        if (isInTheWay(this.#port, parent, this.location, place)) return undefined;
        if (place.state !== "openclaw") throw error;
        return readOpenClawDirectory(this.#port, parent, this.location, { keyRule: "openclaw", limits: gatewayLimits });
      });
      // It makes way at the first write, and until then it does not count.
      if (imported === undefined) {
        return MapSource.ofLegacy(readLegacyStoreSync(this.#port, this.location, gatewayLimits, true).entries);
      }
      if (imported.state === "invalid") throw error;
      const sessions = new Map<string, StoredSession>();
      for (const [key, entry] of imported.entries) sessions.set(key, { entry, version: undefined });
      return new MapSource("legacy", sessions);
    }
  }

  /** A legacy file that appeared beside the open store is merged before anything is written. */
  async #mergeReappeared(backend: Backend): Promise<void> {
    if (!(backend instanceof DirectoryBackend)) return;
    const there = this.#port.statName(this.#openParent(), this.location.legacyName);
    if (there === undefined || (this.#mergedFile !== undefined && isSameFile(this.#mergedFile, there))) return;
    this.#mergedFile = there;
    try {
      await mergeLegacyFile(this.#port, backend, this.location, { limits: gatewayLimits });
    } catch (error) {
      logWarning(`a legacy file beside the store could not be merged; it stays where it is: ${String(error)}`, {
        path: this.storePath,
      });
    }
  }
}

const readerCacheBytes = 64 * 1024 * 1024;
