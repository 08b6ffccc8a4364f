/** The directory that `sessions.json` lies in, made when it is missing, and durable then. */

import path from "node:path";
import { type Directory, hasCode, type Port } from "../../fs/port.js";

const directoryMode = 0o700;

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

/** Another process may be making it just now. */
function makeUnlessThere(port: Port, parent: Directory, name: string): void {
  try {
    port.makeDirectory(parent, name, directoryMode);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}
