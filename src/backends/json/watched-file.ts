/**
 * A file that others replace or rewrite, and what was last read of it. A look costs one stat while nothing happens.
 *
 * A stat alone is believed only when it cannot deceive: times of a file have the grain of the system's clock tick, and
 * inode numbers are used again. So a file that was written shortly before it was read is read again, and its checksum
 * compared, until a later write would have to show a later time.
 */

import { createHash } from "node:crypto";
import type { Directory, FileStat, Port } from "../../fs/port.js";
import { isSameFile, readStableFile, type StableFile } from "../../fs/stable-file.js";

export type Look =
  | { readonly state: "same" }
  | { readonly state: "changed"; readonly bytes: Uint8Array; readonly stat: FileStat; readonly checksum: string }
  | Exclude<StableFile, { state: "read" }>;

/** Longer than a clock tick (up to 10 ms), and than the grain of file systems that keep whole seconds. */
const tickMs = 50;
const wholeSecondsMs = 2_000;

interface Seen {
  readonly stat: FileStat | undefined;
  readonly checksum: string | undefined;
  /** The wall clock before it was read. */
  readonly readAtMs: number;
}

export class WatchedFile {
  readonly #port: Port;
  readonly #parent: Directory;
  readonly #name: string;
  readonly #bytesMax: number;
  #seen: Seen | undefined;

  constructor(port: Port, parent: Directory, name: string, bytesMax: number) {
    this.#port = port;
    this.#parent = parent;
    this.#name = name;
    this.#bytesMax = bytesMax;
  }

  /** "same": as at the last look that found something. A file that is missing again is reported as missing again. */
  look(): Look {
    const readAtMs = this.#port.nowMs();
    const stat = this.#port.statName(this.#parent, this.#name);
    const seen = this.#seen;
    if (seen?.stat !== undefined && isSameFile(seen.stat, stat) && isSettled(seen.stat, seen.readAtMs)) {
      return { state: "same" };
    }
    const found = readStableFile(this.#port, this.#parent, this.#name, this.#bytesMax);
    if (found.state !== "read") {
      this.forget();
      return found;
    }
    const checksum = checksumOf(found.bytes);
    this.remember(found.stat, checksum, readAtMs);
    if (seen?.checksum === checksum) return { state: "same" };
    return { state: "changed", bytes: found.bytes, stat: found.stat, checksum };
  }

  /** For who just wrote the file. */
  remember(stat: FileStat, checksum: string, readAtMs: number): void {
    this.#seen = { stat, checksum, readAtMs };
  }

  forget(): void {
    this.#seen = undefined;
  }
}

/** Whether any later write must show a later time. */
function isSettled(stat: FileStat, readAtMs: number): boolean {
  const grainMs = stat.modifiedMs % 1_000 === 0 ? wholeSecondsMs : tickMs;
  return stat.modifiedMs + grainMs < readAtMs;
}

/** A rename keeps it; a copy, and a file that was written again, have another one. */
export function identityOf({ device, inode, modifiedMs }: FileStat): string {
  return `${device}:${inode}:${modifiedMs}`;
}

export function checksumOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
