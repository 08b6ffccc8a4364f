/** Writing a file whole, synced, under a temporary name: what is renamed afterwards is complete on the disk. */

import { writeNewFile } from "../../fs/checked-file.js";
import type { Directory, File, FileStat, Port } from "../../fs/port.js";

/** Mode 0600. Removes what it wrote when it fails; a failed sync is never tried again (P11). */
export async function writeSynced(port: Port, parent: Directory, name: string, bytes: Uint8Array): Promise<File> {
  const file = writeNewFile(port, parent, name, bytes);
  try {
    await port.syncFile(file);
    return file;
  } catch (error) {
    port.close(file);
    removeBestEffort(port, parent, name);
    throw error;
  }
}

/** The identity of the file, which a rename does not change. */
export function closeAfter(port: Port, file: File): FileStat {
  try {
    return port.stat(file);
  } finally {
    port.close(file);
  }
}

export function removeBestEffort(port: Port, parent: Directory, name: string): void {
  try {
    port.unlink(parent, name);
  } catch {
    // Whoever saves next sweeps it.
  }
}
