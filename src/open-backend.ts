/**
 * Chooses the backend by the location, creates a directory store that does not exist yet, and takes over a legacy
 * `sessions.json` that lies there instead.
 */

import { DirectoryBackend } from "./backends/directory/backend.js";
import { parseStoreLocation, type StoreLocation } from "./backends/directory/layout.js";
import { MemoryBackend } from "./backends/memory/backend.js";
import type { Backend } from "./contract.js";
import { fromSystemError, SessionStoreError } from "./errors.js";
import { hasCode, type Port } from "./fs/port.js";
import { finishTakeOver } from "./migrate/original.js";
import { openPastFence } from "./migrate/rollback-recovery.js";
import { createOrTakeOver, inspectWithoutLock } from "./migrate/take-over.js";
import type { CheckedOpenOptions } from "./open-options.js";
import { describeType, invalidOption } from "./options.js";

/** The backend at a location, without the public store around it. */
export async function openBackend(port: Port, location: string, options: CheckedOpenOptions): Promise<Backend> {
  if (typeof location !== "string") {
    throw invalidOption("openSessionStore", `the location is a string, not ${describeType(location)}`);
  }
  if (location === ":memory:") return new MemoryBackend(port, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location)) {
    throw invalidOption(
      "openSessionStore",
      "this version has no backend for URLs",
      "Give the path of a sessions.json or of a *.d directory.",
    );
  }
  const storeLocation = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (storeLocation === undefined) {
    throw invalidOption(
      "openSessionStore",
      `the location ${JSON.stringify(location.slice(0, 200))} is neither a *.json file nor a *.d directory`,
      "Give the path of a sessions.json (its store lies beside it as sessions.d), of a *.d directory, or :memory:.",
    );
  }
  return openPastFence(port, storeLocation, options, () => openDirectory(port, storeLocation, options));
}

async function openDirectory(port: Port, location: StoreLocation, options: CheckedOpenOptions): Promise<Backend> {
  try {
    return await openExisting(port, location, options);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  if (options.readOnly) {
    // Says `legacy_store` when there is one.
    inspectWithoutLock(port, location, { ...options, migrate: "never" });
    throw nothingToRead(location);
  }
  await createOrTakeOver(port, location, options);
  try {
    return await openExisting(port, location, options);
  } catch (error) {
    throw fromSystemError(error, { operation: "open the store", path: storePath(location) });
  }
}

async function openExisting(
  port: Port,
  location: StoreLocation,
  options: CheckedOpenOptions,
): Promise<DirectoryBackend> {
  const backend = await DirectoryBackend.open(port, location, options);
  // A crash may have come between the appearance of the store and the renaming of what it was made from.
  if (!options.readOnly) await finishTakeOver(port, location, backend.manifest, options.logger);
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
