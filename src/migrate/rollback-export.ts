/**
 * The text of a legacy `sessions.json`, written session by session and compared with the store afterwards: the same
 * bytes as `JSON.stringify(sessions, null, 2)`, which is how the gateway wrote it, in the order of the keys.
 *
 * Nothing here ever puts sessions into one object of our own: `__proto__` is a key like any other.
 */

import { createHash } from "node:crypto";
import type { FenceableStore } from "../backends/directory/fence.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { FrozenEntry } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { openChecked, readWhole, shortWrite } from "../fs/checked-file.js";
import { Pace } from "../fs/pace.js";
import type { Directory, File, Port } from "../fs/port.js";
import { limitCaps } from "../limits.js";
import { jsonEqual } from "../sessions/json-equal.js";
import { parseLegacyText } from "../sessions/legacy-text.js";
import { countOf } from "./legacy-content.js";
import type { Fingerprint } from "./legacy-file.js";
import { directoryPathOf } from "./result.js";

export interface Inventory {
  /** Of every session that can be read, in the order of their code units. */
  readonly keys: readonly string[];
  /** Of the file that the sessions make. */
  readonly bytes: number;
  /** Sessions - or files, where not even the key can be told - that cannot be read. */
  readonly damaged: readonly { readonly key: string | undefined; readonly problem: string }[];
}

/** Reads every session once. */
export async function takeInventory(store: FenceableStore): Promise<Inventory> {
  const keys: string[] = [];
  const damaged: { key: string | undefined; problem: string }[] = [];
  let bytes = emptyText.length;
  const snapshot = store.snapshot((key, error) => damaged.push({ key, problem: error.problem }));
  for await (const { key, entry } of snapshot) {
    keys.push(key);
    bytes += bytesOf(key, entry) + separator.length;
  }
  // The first session has no comma before it; the last one has a line break behind it.
  keys.sort(byCodeUnits);
  return { keys, bytes, damaged };
}

/** With sessions that come from elsewhere: an upper bound, because some may replace others. */
export function withWinners(inventory: Inventory, winners: ReadonlyMap<string, FrozenEntry>): Inventory {
  let { bytes } = inventory;
  for (const [key, entry] of winners) bytes += bytesOf(key, entry) + separator.length;
  return { ...inventory, bytes };
}

function byCodeUnits(left: string, right: string): number {
  return left < right ? -1 : 1;
}

/** A session of 16 MiB may be far longer than any string, once each of its numbers has a line of its own. */
function bytesOf(key: string, entry: unknown): number {
  try {
    return Buffer.byteLength(formatSession(key, entry), "utf8");
  } catch (error) {
    if (error instanceof RangeError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** Throws `limit_exceeded` when no program could read the file. */
export function requireReadable({ bytes }: Pick<Inventory, "bytes">, location: StoreLocation): void {
  if (bytes <= limitCaps.legacyFileBytes) return;
  const size = Number.isFinite(bytes) ? `${bytes} bytes` : "more bytes than can be counted";
  throw new SessionStoreError(
    "limit_exceeded",
    `the sessions make a file of ${size}; a legacy file can have ${limitCaps.legacyFileBytes}, because programs read it as one text`,
    {
      operation: "roll back",
      path: directoryPathOf(location),
      onDisk: "Nothing was changed: the store is as it was.",
      nextStep: "Remove sessions that are no longer needed, or large fields of them, then try again.",
    },
  );
}

const emptyText = "{}";
const separator = ",\n";
/** Larger appends do not get faster. */
const chunkBytes = 1024 * 1024;

export type OnSession = () => void;

/** What is written: sessions of the store, and those of a file beside it that win over them. */
export interface ExportSource {
  /** In the order in which they are written. */
  readonly keys: readonly string[];
  read(key: string): FrozenEntry | undefined;
}

export function exportSource(
  { view }: FenceableStore,
  keys: readonly string[],
  winners: ReadonlyMap<string, FrozenEntry>,
): ExportSource {
  const all = winners.size === 0 ? keys : [...new Set([...keys, ...winners.keys()])].sort(byCodeUnits);
  return { keys: all, read: (key) => winners.get(key) ?? view.read(key)?.entry };
}

/** Writes all sessions to a file of their own, synced; it must not exist. */
export async function writeExport(
  port: Port,
  parent: Directory,
  name: string,
  { keys, read }: ExportSource,
  onSession: OnSession,
): Promise<Fingerprint> {
  const pace = new Pace(port);
  const file = port.open(parent, name, "create");
  try {
    port.setMode(file, 0o600);
    const output = new Output(port, file);
    output.write(keys.length === 0 ? emptyText : "{\n");
    for (const [index, key] of keys.entries()) {
      const entry = read(key);
      if (entry === undefined) throw notTheSame(file, `a session vanished (${shortenKey(key)})`);
      output.write(formatSession(key, entry));
      output.write(index < keys.length - 1 ? separator : "\n}");
      onSession();
      await pace.breathe();
    }
    const written = output.end();
    await port.syncFile(file);
    return written;
  } finally {
    port.close(file);
  }
}

/** Reads the file back as any program would, and compares every session with its source. Throws `io_error`. */
export async function verifyExport(
  port: Port,
  parent: Directory,
  name: string,
  expected: Fingerprint & ExportSource,
  onSession: OnSession,
): Promise<void> {
  const file = openChecked(port, parent, name, "read", { uid: port.userId });
  try {
    const bytes = readWhole(port, file, limitCaps.legacyFileBytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== expected.sha256) throw notTheSame(file, "it does not have the bytes that were written");
    const parsed = parseLegacyText(bytes);
    if (parsed.state === "invalid") throw notTheSame(file, `it ${parsed.reason}`);
    if (parsed.tolerated.length > 0) throw notTheSame(file, `it holds ${parsed.tolerated.join(", ")}`);
    const found = Object.keys(parsed.value).length;
    const wanted = expected.keys.length;
    if (found !== wanted)
      throw notTheSame(file, `it holds ${countOf(found, "session", "sessions")}, the store has ${wanted}`);
    const pace = new Pace(port);
    for (const key of expected.keys) {
      const same = Object.hasOwn(parsed.value, key) && jsonEqual(parsed.value[key], expected.read(key));
      if (!same) throw notTheSame(file, `the session ${shortenKey(key)} is not what the store holds`);
      onSession();
      await pace.breathe();
    }
  } finally {
    port.close(file);
  }
}

/** One member of the object. A line break in JSON text is never part of a string. */
function formatSession(key: string, entry: unknown): string {
  return `  ${JSON.stringify(key)}: ${JSON.stringify(entry, undefined, 2).replaceAll("\n", "\n  ")}`;
}

/** Collects text into large appends, and counts and hashes what goes out. */
class Output {
  private readonly port: Port;
  private readonly file: File;
  private readonly hash = createHash("sha256");
  private parts: string[] = [];
  private partsLength = 0;
  private sizeBytes = 0;

  constructor(port: Port, file: File) {
    this.port = port;
    this.file = file;
  }

  write(text: string): void {
    this.parts.push(text);
    this.partsLength += text.length;
    if (this.partsLength >= chunkBytes) this.flush();
  }

  end(): Fingerprint {
    this.flush();
    return { sizeBytes: this.sizeBytes, sha256: this.hash.digest("hex") };
  }

  private flush(): void {
    const bytes = Buffer.from(this.parts.join(""), "utf8");
    this.parts = [];
    this.partsLength = 0;
    if (bytes.byteLength === 0) return;
    const written = this.port.append(this.file, bytes);
    if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
    this.hash.update(bytes);
    this.sizeBytes += bytes.byteLength;
  }
}

function notTheSame(file: File, problem: string): SessionStoreError {
  return new SessionStoreError("io_error", `the exported file was read back and is not right: ${problem}`, {
    operation: "roll back",
    path: file.displayPath,
    nextStep: "Check the disk and its file system, then try again.",
  });
}
