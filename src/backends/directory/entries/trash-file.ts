/**
 * Trash files: `{ sessionKey, version, record, removedAtMs, removedByVersion, actor, reason, checksum, generations,
 * entry }`, pretty JSON; `generations` only where there are any. What lies in trash/ is trusted no more than an entry
 * file: it is opened checked, its checksum is compared, and its content must be what its name says.
 */

import type { FrozenEntry, TrashedSession } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import { openChecked, readWhole } from "../../../fs/checked-file.js";
import { type Directory, hasCode } from "../../../fs/port.js";
import { fixedLimits, limitCaps } from "../../../limits.js";
import { freezeParsedJson } from "../../../sessions/entry-value.js";
import { parseGenerations, presentGenerations } from "../../../sessions/generations.js";
import { documentIsIntact, sealDocument } from "../checksum.js";
import * as layout from "../layout.js";
import type { StoreFiles } from "../store-files.js";
import type { TrashedState } from "./fold.js";

/** `version` is the one of the entry as it was; the removal's own version is in the file's name. */
export function formatTrashFile({ state, removal }: TrashedState): Buffer {
  return Buffer.from(
    sealDocument({
      sessionKey: removal.key,
      version: state.version,
      record: state.record,
      removedAtMs: removal.timeMs,
      removedByVersion: removal.version,
      actor: removal.actor ?? null,
      reason: removal.reason ?? null,
      checksum: "00000000" as const,
      ...presentGenerations(state.generations),
      entry: state.entry,
    } as { checksum: "00000000" }),
    "utf8",
  );
}

/** The removed session in the file of this name, or `undefined` when there is none; `entry_damaged` otherwise. */
export function readTrashFileIfExists(files: StoreFiles, trash: Directory, name: string): TrashedSession | undefined {
  const path = `${trash.displayPath}/${name}`;
  let bytes: Uint8Array;
  try {
    const file = openChecked(files.port, trash, name, "read", files.owner);
    try {
      bytes = readWhole(files.port, file, fixedLimits.entryFileBytesMax);
    } finally {
      files.port.close(file);
    }
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    if (hasCode(error, "EMFILE", "ENFILE")) throw error;
    throw trashDamaged("cannot be read", path, error);
  }
  return parseTrashFile(files, bytes, name, path);
}

function parseTrashFile(files: StoreFiles, bytes: Uint8Array, name: string, path: string): TrashedSession {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw trashDamaged("is not JSON", path, error);
  }
  if (typeof value !== "object" || value === null) throw trashDamaged("is not an object", path);
  const { sessionKey, removedAtMs, removedByVersion, actor, reason, entry, generations } = value as Record<
    string,
    unknown
  >;
  if (!documentIsIntact(text)) throw trashDamaged("does not match its checksum", path);
  if (typeof sessionKey !== "string" || typeof removedAtMs !== "number" || typeof removedByVersion !== "number")
    throw trashDamaged("does not say what was removed", path);
  if (name !== layout.trashFileName(removedAtMs, removedByVersion, files.entries.fileName(sessionKey)))
    throw trashDamaged("is not what its name says", path);
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw trashDamaged("holds no entry", path);
  try {
    return {
      id: layout.trashId(name),
      key: sessionKey,
      entry: freezeParsedJson(entry as FrozenEntry, limitCaps.nestingLevels),
      ...presentGenerations(parseGenerations(generations)),
      removedMs: removedAtMs,
      ...(typeof actor === "string" ? { actor } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
    };
  } catch (error) {
    throw trashDamaged("holds what no entry may hold", path, error);
  }
}

function trashDamaged(what: string, path: string, cause?: unknown): SessionStoreError {
  return new SessionStoreError("entry_damaged", `the trash file ${what}`, {
    path,
    onDisk: "The file was left as it is; sessions are not concerned.",
    nextStep: "Look at it by hand if the removed session is still wanted; it goes when its time in the trash is over.",
    cause,
  });
}
