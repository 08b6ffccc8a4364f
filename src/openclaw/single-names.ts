/**
 * Acting on a path outside any store - a transcript, a backup - in the way the port demands: its folder is opened once,
 * and then only the single name inside it is looked at and changed.
 */

import path from "node:path";
import type { Directory, FileStat, Port } from "../fs/port.js";

/** Opens the folder for the time of the work. Links in the folder's path are followed, as its user wrote it. */
export function inFolderOf<Result>(
  port: Port,
  filePath: string,
  work: (folder: Directory, name: string) => Result,
): Result {
  return inFolder(port, path.dirname(path.resolve(filePath)), (folder) => work(folder, path.basename(filePath)));
}

export function inFolder<Result>(port: Port, folderPath: string, work: (folder: Directory) => Result): Result {
  const folder = port.openRoot(port.realPath(folderPath));
  let isPending = false;
  const close = () => port.closeDirectory(folder);
  try {
    const result = work(folder);
    if (result instanceof Promise) {
      isPending = true;
      return result.finally(close) as Result;
    }
    return result;
  } finally {
    if (!isPending) close();
  }
}

/** `undefined` when there is nothing, when it is no ordinary file, and when its folder cannot be reached. */
export function statFileBestEffort(port: Port, filePath: string): FileStat | undefined {
  try {
    const stat = inFolderOf(port, filePath, (folder, name) => port.statName(folder, name));
    return stat?.kind === "file" ? stat : undefined;
  } catch {
    return undefined;
  }
}
