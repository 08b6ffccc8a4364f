/** The errors that several parts of the json backend raise, each saying what is on disk and what to do. */

import { SessionStoreError } from "../../errors.js";
import type { Directory, Port } from "../../fs/port.js";
import type { InvalidLegacy } from "../../sessions/legacy-text.js";
import { shellWord } from "../../shell-word.js";
import { type JsonLocation, livePathOf } from "./layout.js";
import { newestValidBackup } from "./rotate.js";

/** Names the newest backup that can be read, and how to go back to it. Nobody does that but the user. */
export function invalidLive(
  port: Port,
  parent: Directory,
  location: JsonLocation,
  found: InvalidLegacy,
  bytesMax: number,
): SessionStoreError {
  const path = livePathOf(location);
  const backup = newestValidBackup(port, parent, location.legacyName, bytesMax);
  const restore =
    backup === undefined
      ? `${found.nextStep} No valid backup (${location.legacyName}.bak.<ms>) lies beside it.`
      : `The newest valid backup is ${backup.name}, with ${backup.entries} ${backup.entries === 1 ? "session" : "sessions"}. Stop every program that uses the store, then go back to it with: ` +
        `cp -p ${shellWord(path)} ${shellWord(`${path}.damaged`)} && cp -p ${shellWord(`${location.parentPath}/${backup.name}`)} ${shellWord(path)}`;
  return new SessionStoreError("invalid_legacy", `the file ${found.reason}`, {
    operation: "read the store",
    path,
    onDisk: "The file was left as it is, and nothing is written over it.",
    nextStep: restore,
  });
}

export function unsafeFile(path: string, problem: string): SessionStoreError {
  return new SessionStoreError("unsafe_path", `this file ${problem}`, {
    path,
    onDisk: "It was not read and not changed.",
    nextStep: "Find out who made it, then put an ordinary file of your own in its place.",
  });
}

/** Somebody took the store over into a directory store while it was open here. */
export function takenOver(location: JsonLocation): SessionStoreError {
  return new SessionStoreError(
    "store_gone",
    `the store was taken over into ${location.directoryName} while it was open`,
    {
      path: livePathOf(location),
      onDisk: `Nothing of this call was written. The sessions are in ${location.directoryName}.`,
      nextStep: "Close this store and open it again by the same path.",
    },
  );
}

export function damagedEntry(location: JsonLocation, key: string | undefined, problem: string): SessionStoreError {
  return new SessionStoreError("entry_damaged", problem, {
    path: livePathOf(location),
    ...(key === undefined ? {} : { key }),
    onDisk: "It stays in the file exactly as it is, whatever is written to other sessions.",
    nextStep: "Correct it in the file, or replace it with transaction((tx) => tx.set(key, entry)).",
  });
}
