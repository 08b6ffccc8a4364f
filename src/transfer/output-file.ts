/**
 * A file that appears whole or not at all: written beside its place under a name that says what it is, synced, renamed.
 * What a crash leaves is `<name>.partial-<random>`; nothing ever takes that for the file.
 */

import path from "node:path";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { shortWrite } from "../fs/checked-file.js";
import { type Directory, type File, hasCode, type Port } from "../fs/port.js";

/** Where the bytes of a bundle go. */
export interface ByteSink {
  write(bytes: Uint8Array): void | Promise<void>;
}

export class FileWriter implements ByteSink {
  sizeBytes = 0;
  readonly #port: Port;
  readonly #file: File;

  /** Creates the file; it must not exist. */
  constructor(port: Port, directory: Directory, name: string) {
    this.#port = port;
    this.#file = port.open(directory, name, "create");
    try {
      port.setMode(this.#file, 0o600);
    } catch (error) {
      port.close(this.#file);
      removeBestEffort(port, directory, name);
      throw error;
    }
  }

  write(bytes: Uint8Array): void {
    const written = this.#port.append(this.#file, bytes);
    this.sizeBytes += written;
    // A full disk does not throw: the count comes back short.
    if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
  }

  sync(): Promise<void> {
    return this.#port.syncFile(this.#file);
  }

  close(): void {
    this.#port.close(this.#file);
  }
}

export function partialName(port: Port, name: string): string {
  return `${name}.partial-${Buffer.from(port.randomBytes(6)).toString("hex")}`;
}

/**
 * Calls `write` with a sink and puts the result at `filePath`, mode 0600. An existing file is replaced only with
 * `replace`; after a failure everything is as it was.
 */
export async function writeFileAtomically<Result>(
  port: Port,
  filePath: string,
  options: { readonly replace: boolean; readonly operation: string },
  write: (sink: ByteSink) => Promise<Result>,
): Promise<Result> {
  const absolute = path.resolve(filePath);
  const name = path.basename(absolute);
  try {
    const directory = port.openRoot(path.dirname(absolute));
    try {
      const refuseExisting = () => {
        const there = port.statName(directory, name);
        if (there === undefined || (options.replace && there.kind === "file")) return;
        throw fileExists(absolute, there.kind, options.operation);
      };
      refuseExisting();
      const temporary = partialName(port, name);
      const file = new FileWriter(port, directory, temporary);
      try {
        const result = await write(file);
        await file.sync();
        refuseExisting();
        port.rename(directory, temporary, directory, name);
        await port.syncDirectory(directory);
        return result;
      } catch (error) {
        removeBestEffort(port, directory, temporary);
        throw error;
      } finally {
        file.close();
      }
    } finally {
      port.closeDirectory(directory);
    }
  } catch (error) {
    if (typeof (error as { code?: unknown } | undefined)?.code !== "string") throw error;
    throw fromSystemError(error, {
      operation: options.operation,
      path: absolute,
      onDisk: "No file was made.",
      ...(hasCode(error, "ENOENT") ? { nextStep: "The folder must exist." } : {}),
    });
  }
}

function removeBestEffort(port: Port, directory: Directory, name: string): void {
  try {
    port.unlink(directory, name);
  } catch {
    // Renamed already, or it cannot be removed: the error that brought us here is the one to report.
  }
}

function fileExists(filePath: string, kind: string, operation: string): SessionStoreError {
  return new SessionStoreError("conflict", kind === "file" ? "the file exists already" : `there is a ${kind} already`, {
    operation,
    path: filePath,
    onDisk: "It was left as it is.",
    nextStep: "Choose another name, or replace it with { force: true } (--force).",
  });
}
