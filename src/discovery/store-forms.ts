/**
 * What a folder holds in the place of one store: its legacy file, its directory, both or neither. Read-only and cheap -
 * a few looks and at most one small file -, because it is asked of thousands of folders. Whether what is there is sound
 * is for whoever opens it.
 */

import { entriesName, journalName, manifestName, type StoreLocation } from "../backends/directory/layout.js";
import { manifestKind } from "../backends/directory/manifest.js";
import { findReadyStore } from "../backends/directory/staging.js";
import { openChecked, readWhole } from "../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits } from "../limits.js";
import { isOpenClawState } from "./openclaw-state.js";

/**
 * - `store`: ours, perhaps damaged.
 * - `openclaw`: in the layout of OpenClaw's directory store, and active.
 * - `ready`: a complete store that waits for its place; whoever made it died.
 * - `unknown`: a directory that is no store.
 */
export type DirectoryForm = "absent" | "store" | "openclaw" | "ready" | "unknown";

export interface StoreForms {
  /** An ordinary file lies at the legacy path. */
  readonly legacy: boolean;
  readonly directory: DirectoryForm;
  /** What lies at one of the two paths and may not, as clauses that follow the path: "is a symbolic link". */
  readonly unsafe: readonly { readonly name: string; readonly problem: string }[];
}

/** Errors of the system pass through (EACCES ...). */
export function inspectStoreForms(port: Port, folder: Directory, location: StoreLocation): StoreForms {
  const unsafe: { name: string; problem: string }[] = [];
  const file = port.statName(folder, location.legacyName);
  if (file !== undefined && file.kind !== "file") {
    unsafe.push({ name: location.legacyName, problem: `is ${kindNames[file.kind]}, not a file` });
  }
  const legacy = file?.kind === "file";
  const place = port.statName(folder, location.directoryName);
  if (place !== undefined && place.kind !== "directory") {
    unsafe.push({ name: location.directoryName, problem: `is ${kindNames[place.kind]}, not a directory` });
  }
  let directory: DirectoryForm = "absent";
  if (place?.kind === "directory") directory = inspectDirectory(port, folder, location.directoryName);
  else if (place === undefined && !legacy && findReadyStore(port, folder, location)) directory = "ready";
  return { legacy, directory, unsafe };
}

/** A folder with either is one with a store; what is only in its way is not. */
export function hasStore(forms: StoreForms): boolean {
  return forms.legacy || hasActiveDirectory(forms);
}

export function hasActiveDirectory({ directory }: StoreForms): boolean {
  return directory !== "absent" && directory !== "unknown";
}

const kindNames = {
  file: "an ordinary file",
  directory: "a directory",
  symlink: "a symbolic link",
  other: "a FIFO, socket or device",
} as const;

function inspectDirectory(port: Port, folder: Directory, name: string): DirectoryForm {
  let directory: Directory;
  try {
    directory = port.openDirectory(folder, name);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "absent";
    throw error;
  }
  try {
    const text = readManifestText(port, directory);
    // A store of ours that lost its manifest can be repaired, so it is found too.
    if (text?.includes(manifestKind) || port.statName(directory, journalName)) return "store";
    const hasEntries = port.statName(directory, entriesName)?.kind === "directory";
    return hasEntries && isOpenClawState(text) ? "openclaw" : "unknown";
  } finally {
    port.closeDirectory(directory);
  }
}

/** `undefined` when there is no ordinary, small file of that name. */
function readManifestText(port: Port, directory: Directory): string | undefined {
  const stat = port.statName(directory, manifestName);
  if (stat?.kind !== "file" || stat.sizeBytes > fixedLimits.manifestBytesMax) return undefined;
  try {
    // Whose file it is decides whether it may be used, not whether it is there.
    const file = openChecked(port, directory, manifestName, "read", { uid: undefined });
    try {
      return new TextDecoder().decode(readWhole(port, file, fixedLimits.manifestBytesMax));
    } finally {
      port.close(file);
    }
  } catch (error) {
    if (hasCode(error, "ENOENT", "unsafe_path", "limit_exceeded")) return undefined;
    throw error;
  }
}
