/** The directory that a store lies in, made when it is missing, and durable then. */

import path from "node:path";
import { type Directory, hasCode, type Port } from "./port.js";

const directoryMode = 0o700;

/**
 * Opens the directory that a store will lie in, and makes it - mode 0700 - when it is missing. A name is durable only
 * when the directory above it was synced; whoever made the lowest one there is may have died before that, so the one
 * above it is synced here too.
 */
export async function openOrMakeParent(port: Port, parentPath: string): Promise<Directory> {
  const missing: string[] = [];
  let existing = parentPath;
  let directory = openIfExists(port, existing);
  while (directory === undefined) {
    missing.unshift(path.basename(existing));
    existing = path.dirname(existing);
    directory = openIfExists(port, existing);
  }
  try {
    await syncAbove(port, existing);
    for (const name of missing) {
      makeUnlessThere(port, directory, name);
      await port.syncDirectory(directory);
      const made = port.openDirectory(directory, name);
      port.closeDirectory(directory);
      directory = made;
    }
    return directory;
  } catch (error) {
    port.closeDirectory(directory);
    throw error;
  }
}

/** The root of the file system always exists; if not, nothing can be made. */
function openIfExists(port: Port, directoryPath: string): Directory | undefined {
  try {
    return port.openRoot(directoryPath);
  } catch (error) {
    if (!hasCode(error, "ENOENT") || path.dirname(directoryPath) === directoryPath) throw error;
    return undefined;
  }
}

async function syncAbove(port: Port, existing: string): Promise<void> {
  let above: Directory;
  try {
    above = port.openRoot(path.dirname(existing));
  } catch (error) {
    // It may be a link, or nothing we may read: then it was not we who made the directory below it.
    if (hasCode(error, "ELOOP", "EACCES", "EPERM")) return;
    throw error;
  }
  try {
    await port.syncDirectory(above);
  } catch (error) {
    if (!hasCode(error, "EROFS", "EINVAL", "EACCES", "EPERM")) throw error;
  } finally {
    port.closeDirectory(above);
  }
}

/** Another process may be making it just now. */
function makeUnlessThere(port: Port, parent: Directory, name: string): void {
  try {
    port.makeDirectory(parent, name, directoryMode);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}
