/**
 * Chooses the backend by the location, creates a directory store that does not exist yet, and takes over a legacy
 * `sessions.json` that lies there instead. What opening a directory store that is there does not need is loaded when it
 * is needed: a short-lived command spends most of its time on loading modules.
 */

import { DirectoryBackend } from "./backends/directory/backend.js";
import { parseStoreLocation, rollbackMarkerName, type StoreLocation } from "./backends/directory/layout.js";
import type { Backend } from "./contract.js";
import { fromSystemError, SessionStoreError, translatingSystemErrors } from "./errors.js";
import { type Directory, hasCode, type Port } from "./fs/port.js";
import { LegacyWatch } from "./migrate/legacy-watch.js";
import type { CheckedOpenOptions } from "./open-options.js";
import { describeType, invalidOption, shownLocation } from "./options.js";

/** The backend at a location, without the public store around it. What the system refuses has a code as well. */
export function openBackend(port: Port, location: string, options: CheckedOpenOptions): Promise<Backend> {
  const details = { operation: "open the store", path: location };
  return translatingSystemErrors(details, () => chooseBackend(port, location, options));
}

async function chooseBackend(port: Port, location: string, options: CheckedOpenOptions): Promise<Backend> {
  if (typeof location !== "string") {
    throw invalidOption("openSessionStore", `the location is a string, not ${describeType(location)}`);
  }
  if (location === ":memory:") {
    const { MemoryBackend } = await import("./backends/memory/backend.js");
    return new MemoryBackend(port, options);
  }
  if (/^postgres(ql)?:\/\//i.test(location)) {
    const { PostgresBackend } = await import("./backends/postgres/backend.js");
    return PostgresBackend.open(port, location, options);
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location)) {
    throw invalidOption(
      "openSessionStore",
      "there is no backend for URLs of this kind",
      "Give postgres://..., the path of a sessions.json or of a *.d directory.",
    );
  }
  const storeLocation = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (storeLocation === undefined) {
    throw invalidOption(
      "openSessionStore",
      `the location ${shownLocation(location)} is neither a *.json file nor a *.d directory`,
      "Give the path of a sessions.json (its store lies beside it as sessions.d), of a *.d directory, or :memory:.",
    );
  }
  if (options.backend === "json") return openJson(port, storeLocation, options);
  try {
    return await openDirectory(port, storeLocation, options);
  } catch (error) {
    if (!hasCode(error, "store_fenced") || options.readOnly) throw error;
    const { openPastFence } = await import("./migrate/rollback-recovery.js");
    return openPastFence(port, storeLocation, options, () => openDirectory(port, storeLocation, options));
  }
}

/** The legacy file itself. Refused where a directory store lies: two stores at one place would each miss half. */
async function openJson(port: Port, location: StoreLocation, options: CheckedOpenOptions): Promise<Backend> {
  if (hasBeside(port, location, location.directoryName)) {
    throw invalidOption(
      "openSessionStore",
      `the backend "json" cannot be used at ${location.parentPath}/${location.legacyName}: the sessions are in ${location.directoryName}`,
      "Leave the option out, or go back to the single file with `sessiondir rollback` first.",
    );
  }
  const { JsonBackend } = await import("./backends/json/backend.js");
  return JsonBackend.open(port, location, options);
}

/** Whether something of this name lies where the store is. */
function hasBeside(port: Port, location: StoreLocation, name: string): boolean {
  let parent: Directory;
  try {
    parent = port.openRoot(location.parentPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw fromSystemError(error, { operation: "open the store", path: location.parentPath });
  }
  try {
    return port.statName(parent, name) !== undefined;
  } finally {
    port.closeDirectory(parent);
  }
}

/** After a rollback the legacy file is the store again, until somebody says otherwise. */
function openRolledBack(port: Port, location: StoreLocation, options: CheckedOpenOptions): Promise<Backend> {
  if (hasBeside(port, location, location.directoryName)) throw inTheWay(location);
  options.logger?.warn(
    "the store was rolled back: the single file is used as it is; `sessiondir migrate --force` takes it over again",
    { path: `${location.parentPath}/${location.legacyName}` },
  );
  return openJson(port, location, options);
}

/** After a rollback nothing is taken over by itself, and a file beside a directory may not be all there is. */
function inTheWay(location: StoreLocation): SessionStoreError {
  const name = location.directoryName;
  return new SessionStoreError(
    "legacy_store",
    `the store was rolled back, and a directory that is no store lies at ${name}`,
    {
      operation: "open the store",
      path: storePath(location),
      onDisk: `Nothing was changed: the rollback put the sessions into ${location.legacyName}.`,
      nextStep:
        "Find out who made the directory. Move it away to use the file; or run `sessiondir migrate --force`, which keeps both.",
    },
  );
}

async function openDirectory(port: Port, location: StoreLocation, options: CheckedOpenOptions): Promise<Backend> {
  try {
    return await openExisting(port, location, options);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) {
      const { mayMakeWay } = await import("./migrate/place.js");
      if (!mayMakeWay(port, location, error, options)) throw error;
    }
  }
  if (hasBeside(port, location, rollbackMarkerName(location.directoryName))) {
    return openRolledBack(port, location, options);
  }
  const { createOrTakeOver, inspectWithoutLock } = await import("./migrate/take-over.js");
  if (options.readOnly) {
    // Says `legacy_store` when there is one.
    inspectWithoutLock(port, location, { ...options, migrate: "never" });
    throw nothingToRead(location);
  }
  let lateBackup: string | undefined;
  try {
    await createOrTakeOver(port, location, {
      ...options,
      onLateWrite: (name) => {
        lateBackup = name;
      },
    });
  } catch (error) {
    // A rollback came to its end just now.
    const isRolledBack = hasBeside(port, location, rollbackMarkerName(location.directoryName));
    if (hasCode(error, "legacy_store") && isRolledBack) return openRolledBack(port, location, options);
    throw error;
  }
  try {
    return await openExisting(port, location, options, lateBackup);
  } catch (error) {
    throw fromSystemError(error, { operation: "open the store", path: storePath(location) });
  }
}

async function openExisting(
  port: Port,
  location: StoreLocation,
  options: CheckedOpenOptions,
  lateBackup?: string,
): Promise<DirectoryBackend> {
  const backend = await DirectoryBackend.open(port, location, options);
  // A crash may have come between the appearance of the store and the renaming of what it was made from; or an older
  // program still writes there.
  if (!options.readOnly) await LegacyWatch.start(port, backend, location, { ...options, lateBackup });
  return backend;
}

function nothingToRead(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("store_missing", "there is no store", {
    operation: "open the store",
    path: storePath(location),
    onDisk: "A reader creates nothing.",
    nextStep: "Check the path, or open it for writing to create the store.",
  });
}

function storePath(location: StoreLocation): string {
  return `${location.parentPath}/${location.directoryName}`;
}
