/**
 * Entry files describe themselves: `{ sessionKey, version, record, checksum, generations, entry }`, pretty JSON;
 * `generations` only where there are any. Reading one never
 * trusts anything but its own content: the key inside is compared, the checksum checked, the kind of file refused that
 * is not an ordinary one of ours.
 */

import type { FrozenEntry, Generation } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import { explainRefusal, readChecked, type StoreOwner, writeNewFile } from "../../../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../../../fs/port.js";
import { mayBeIntact } from "../../../fs/refusal.js";
import { fixedLimits, limitCaps } from "../../../limits.js";
import { estimateJsonBytes, freezeParsedJson } from "../../../sessions/entry-value.js";
import { parseGenerations, presentGenerations } from "../../../sessions/generations.js";
import { documentIsIntact, sealDocument, sealText } from "../checksum.js";
import type { CommitStamp } from "../version.js";

export interface StoredEntry extends CommitStamp {
  readonly key: string;
  readonly entry: FrozenEntry;
  readonly generations?: readonly Generation[] | undefined;
  /** Bytes of the file, for the cache's account. */
  readonly fileBytes: number;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Indentation can make a deeply nested entry sixty times as long: larger ones are written on one line. */
const prettyBytesMax = 1024 * 1024;

export function formatEntryFile(
  key: string,
  stamp: CommitStamp,
  entry: FrozenEntry,
  generations?: readonly Generation[] | undefined,
): Buffer {
  const head = {
    sessionKey: key,
    version: stamp.version,
    record: stamp.record,
    checksum: "00000000" as const,
    ...presentGenerations(generations),
  };
  const isLarge = estimateJsonBytes(entry) > prettyBytesMax;
  return Buffer.from(isLarge ? sealCompact(head, entry) : sealDocument({ ...head, entry } as typeof head), "utf8");
}

/** The same document with the entry on one line. */
function sealCompact(head: object, entry: FrozenEntry): string {
  return sealText(`${JSON.stringify(head, null, 2).slice(0, -2)},\n  "entry": ${JSON.stringify(entry)}\n}\n`);
}

/** Throws `entry_damaged` unless the text is an intact entry file. `key` undefined takes whatever key is inside. */
export function parseEntryFile(bytes: Uint8Array, key: string | undefined, displayPath: string): StoredEntry {
  const damaged = (what: string, cause?: unknown) => entryDamaged(what, key, displayPath, cause);
  let text: string;
  let value: unknown;
  try {
    text = strictUtf8.decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(bytes.byteLength === 0 ? "is empty" : "is not JSON", error);
  }
  if (typeof value !== "object" || value === null) throw damaged("is not an object");
  const { sessionKey, version, record, entry, generations } = value as Record<string, unknown>;
  if (typeof sessionKey !== "string") throw damaged("names no session");
  if (key !== undefined && sessionKey !== key) throw damaged("belongs to another session");
  if (!Number.isSafeInteger(version) || (version as number) < 0 || typeof record !== "string")
    throw damaged("has no version");
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw damaged("holds no entry");
  if (!documentIsIntact(bytes)) throw damaged("does not match its checksum: it was edited or damaged");
  const stamp = { version: version as number, record };
  try {
    return {
      key: sessionKey,
      ...stamp,
      entry: freezeParsedJson(entry as FrozenEntry, limitCaps.nestingLevels),
      ...presentGenerations(parseGenerations(generations)),
      fileBytes: bytes.byteLength,
    };
  } catch (error) {
    throw damaged("is nested too deeply", error);
  }
}

/** The entry file of this name, or `undefined` when there is none (ENOENT and nothing else). */
export function readEntryFileIfExists(
  port: Port,
  directory: Directory,
  name: string,
  key: string | undefined,
  owner: StoreOwner,
): StoredEntry | undefined {
  let bytes: Uint8Array;
  const displayPath = `${directory.displayPath}/${name}`;
  try {
    bytes = readChecked(port, directory, name, fixedLimits.entryFileBytesMax, owner);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    if (hasCode(error, "EMFILE", "ENFILE")) throw error;
    const { problem, nextStep } = explainRefusal(port, directory, name, owner, error);
    throw entryDamaged(
      `cannot be read: ${problem}`,
      key,
      displayPath,
      error,
      mayBeIntact(error) ? nextStep : undefined,
    );
  }
  return parseEntryFile(bytes, key, displayPath);
}

/** Writes a complete, synced temporary file of mode 0600; the caller renames it into place (P8). */
export async function writeTemporaryFile(
  port: Port,
  directory: Directory,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const file = writeNewFile(port, directory, name, bytes);
  try {
    await port.syncFile(file);
  } finally {
    port.close(file);
  }
}

function entryDamaged(
  what: string,
  key: string | undefined,
  path: string,
  cause: unknown,
  nextStep = "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
): SessionStoreError {
  return new SessionStoreError("entry_damaged", `the entry file ${what}`, {
    key,
    path,
    onDisk: "The file was left as it is; all other sessions are served.",
    nextStep,
    cause,
  });
}
