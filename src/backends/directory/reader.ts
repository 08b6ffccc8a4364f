/**
 * A directory store opened synchronously, for reading: no lock, no lock file, nothing written, nothing awaited. For
 * callers that must answer at once. Relies on the same view as the backend; sees every commit that was acknowledged
 * before a read, by anyone. Throws `store_fenced` and `store_gone` like any other handle: open it anew.
 */

import type { Versioned } from "../../contract.js";
import { fromSystemError, type SessionStoreError } from "../../errors.js";
import { hasCode, type Port } from "../../fs/port.js";
import type { StoreLocation } from "./layout.js";
import type { Manifest } from "./manifest.js";
import { ReadPoint } from "./read-point.js";
import { findLostCommits } from "./recover.js";
import { StoreFiles } from "./store-files.js";
import { View } from "./view.js";

export class DirectoryReader {
  readonly location: string;
  readonly #files: StoreFiles;
  readonly #view: View;
  /** The journal lacks commits that were acknowledged: every read says so. */
  readonly #lost: SessionStoreError | undefined;

  /** ENOENT passes through when there is no store. */
  static open(port: Port, location: StoreLocation, cacheBytes: number): DirectoryReader {
    const path = `${location.parentPath}/${location.directoryName}`;
    let files: StoreFiles;
    try {
      files = StoreFiles.open(port, location, true);
    } catch (error) {
      if (hasCode(error, "ENOENT")) throw error;
      throw fromSystemError(error, { operation: "open the store", path });
    }
    try {
      return new DirectoryReader(files, cacheBytes);
    } catch (error) {
      files.close();
      throw fromSystemError(error, { operation: "open the store", path });
    }
  }

  private constructor(files: StoreFiles, cacheBytes: number) {
    this.#files = files;
    this.location = files.store.displayPath;
    this.#view = new View(files, cacheBytes, true);
    try {
      this.#lost = findLostCommits(this.#view, this.#view.rebuild().strandedSegments);
    } catch (error) {
      this.#view.dropAll();
      throw error;
    }
  }

  get manifest(): Manifest {
    return this.#files.manifest;
  }

  /** The session now. */
  read(key: string): Versioned | undefined {
    this.#refresh();
    try {
      return this.#view.readJudged(key);
    } catch (error) {
      throw this.#translate(error);
    }
  }

  /** Everything as of now. The caller closes it. */
  readPoint(): ReadPoint {
    return new ReadPoint(this.#view, () => this.#refresh());
  }

  close(): void {
    this.#view.dropAll();
    this.#files.close();
  }

  #refresh(): void {
    if (this.#lost) throw this.#lost;
    try {
      this.#view.refresh();
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #translate(error: unknown): SessionStoreError {
    return fromSystemError(error, { operation: "read", path: this.location });
  }
}
