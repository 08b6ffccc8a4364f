/**
 * Reads a bundle from a file of a stranger: line by line, never more than one line in memory, and everything checked -
 * UTF-8, JSON, the fields, the keys, the count and both hashes. An error names the line and where it begins.
 *
 * A pass that ends without an error has seen a whole and unchanged bundle. Reading it twice is two passes over the same
 * open file.
 */

import { createHash } from "node:crypto";
import path from "node:path";
import { fromSystemError, SessionStoreError, shortenKey } from "../errors.js";
import { type Directory, type File, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import {
  type BundleHeader,
  type BundleTrailer,
  formatTrailerEnd,
  LineProblem,
  parseHeader,
  parseLine,
} from "./bundle-format.js";
import type { MarkedSession } from "./bundle-paths.js";
import { combineDigests, digestSession, type SessionDigest } from "./content-hash.js";

/** Around the entry: its key, its earlier generations, marks. */
const lineBytesBesidesEntry = 16 * 1024 * 1024;
const chunkBytes = 256 * 1024;

export class BundleReader {
  /** Known after the first `next` of a pass. */
  header: BundleHeader | undefined;
  /** Known when a pass has ended. */
  trailer: BundleTrailer | undefined;
  /** Of the whole file; known when a pass has ended. */
  fileSha256: string | undefined;
  readonly #port: Port;
  readonly #file: File;
  readonly #limits: Readonly<Limits>;
  readonly #close: () => void;

  private constructor(port: Port, file: File, limits: Readonly<Limits>, close: () => void) {
    this.#port = port;
    this.#file = file;
    this.#limits = limits;
    this.#close = close;
  }

  /** Opens the file at a path that its user chose. */
  static open(port: Port, filePath: string, limits: Readonly<Limits>, operation: string): BundleReader {
    const absolute = path.resolve(filePath);
    try {
      const directory = port.openRoot(path.dirname(absolute));
      try {
        return BundleReader.openIn(port, directory, path.basename(absolute), limits);
      } finally {
        port.closeDirectory(directory);
      }
    } catch (error) {
      if (hasCode(error, "ENOENT")) {
        throw new SessionStoreError("not_found", "there is no such file", { operation, path: absolute, cause: error });
      }
      throw fromSystemError(error, { operation, path: absolute });
    }
  }

  static openIn(port: Port, directory: Directory, name: string, limits: Readonly<Limits>): BundleReader {
    const file = port.open(directory, name, "read");
    const close = () => port.close(file);
    try {
      const { kind } = port.stat(file);
      if (kind === "file") return new BundleReader(port, file, limits, close);
      throw new SessionStoreError("unsafe_path", `this is a ${kind}, not an ordinary file`, { path: file.displayPath });
    } catch (error) {
      close();
      throw error;
    }
  }

  get path(): string {
    return this.#file.displayPath;
  }

  sizeBytes(): number {
    return this.#telling(() => this.#port.stat(this.#file).sizeBytes);
  }

  close(): void {
    this.#close();
  }

  /** One pass over the bundle. Throws `invalid_bundle` at the place where it is wrong; at the latest at its end. */
  *sessions(): Generator<MarkedSession, void> {
    const bytesHash = createHash("sha256");
    const digests = new Map<string, SessionDigest>();
    let trailer: BundleTrailer | undefined;
    this.header = undefined;
    this.trailer = undefined;
    for (const line of this.#lines()) {
      if (trailer !== undefined) throw this.#invalid("goes on after its trailer", line);
      const text = this.#decode(line);
      if (line.number === 1) {
        this.header = this.#parse(line, () => parseHeader(text));
      } else {
        const parsed = this.#parse(line, () => parseLine(text, this.#limits));
        if (parsed.kind === "trailer") {
          trailer = parsed.trailer;
          const end = formatTrailerEnd(trailer.bytesSha256);
          bytesHash.update(line.bytes.subarray(0, -end.length));
          if (!text.endsWith(end) || trailer.bytesSha256 !== bytesHash.copy().digest("hex"))
            throw this.#invalid("was changed since it was written: the hash of its bytes does not fit", line);
          bytesHash.update(end).update("\n");
          continue;
        }
        const { session } = parsed.marked;
        if (digests.has(session.key))
          throw this.#invalid(`has a second line for the session ${shortenKey(session.key)}`, line);
        if (digests.size >= this.#limits.sessions)
          throw this.#invalid(`holds more than ${this.#limits.sessions} sessions, the limit (sessions)`, line);
        digests.set(session.key, digestSession(session));
        yield parsed.marked;
      }
      bytesHash.update(line.bytes).update("\n");
    }
    if (this.header === undefined) throw this.#invalid("is empty");
    if (trailer === undefined) throw this.#invalid("has no trailer: it was cut off");
    if (trailer.sessions !== digests.size)
      throw this.#invalid(`holds ${digests.size} sessions, its trailer says ${trailer.sessions}`);
    if (trailer.contentSha256 !== combineDigests(digests.values()))
      throw this.#invalid("has a content hash that does not fit its sessions");
    this.trailer = trailer;
    this.fileSha256 = bytesHash.digest("hex");
  }

  *#lines(): Generator<Line, void> {
    const bytesMax = this.#limits.entryBytes + lineBytesBesidesEntry;
    const chunk = Buffer.allocUnsafe(chunkBytes);
    let parts: Buffer[] = [];
    let partBytes = 0;
    let number = 1;
    let offset = 0;
    for (let position = 0; ; ) {
      const count = this.#telling(() => this.#port.read(this.#file, chunk, position));
      if (count === 0) break;
      position += count;
      const read = chunk.subarray(0, count);
      for (let start = 0; start < count; ) {
        const newline = read.indexOf(0x0a, start);
        const end = newline < 0 ? count : newline;
        partBytes += end - start;
        // The chunk is read into again: what is kept of it is a copy.
        parts.push(Buffer.from(read.subarray(start, end)));
        const here = { number, offset };
        if (partBytes > bytesMax) throw this.#invalid(`has a line of more than ${bytesMax} bytes`, here);
        if (newline < 0) break;
        yield { ...here, bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts) };
        offset += partBytes + 1;
        number += 1;
        parts = [];
        partBytes = 0;
        start = newline + 1;
      }
    }
    if (partBytes > 0) throw this.#invalid("ends in the middle of a line: it was cut off", { number, offset });
  }

  /** The file was opened; what the system says of it from here on is said of this file. */
  #telling<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw fromSystemError(error, { operation: "read a bundle", path: this.path });
    }
  }

  #decode(line: Line): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line.bytes);
    } catch {
      throw this.#invalid("is not valid UTF-8", line);
    }
  }

  #parse<Result>(line: Line, parse: () => Result): Result {
    try {
      return parse();
    } catch (error) {
      if (error instanceof LineProblem) throw this.#invalid(`has a line that ${error.message}`, line);
      throw error;
    }
  }

  #invalid(problem: string, place?: Pick<Line, "number" | "offset">): SessionStoreError {
    const at = place === undefined ? "" : ` (line ${place.number}, from byte ${place.offset})`;
    return invalidBundle(`the bundle ${problem}${at}`, this.path);
  }
}

interface Line {
  /** From 1 on. */
  readonly number: number;
  /** Bytes before the line. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export function invalidBundle(problem: string, where: string, cause?: unknown): SessionStoreError {
  return new SessionStoreError("invalid_bundle", problem, {
    operation: "read a bundle",
    path: where,
    onDisk: "Nothing was changed.",
    nextStep: "Use another copy of it.",
    cause,
  });
}
