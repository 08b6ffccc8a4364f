/**
 * A legacy file that nobody can read - torn, empty, no object of sessions - stands in the way of the first write. It is
 * renamed to `.corrupt.<ms>`, never deleted and never over another name, so that a person can still look into it.
 */

import type { StoreLocation } from "../backends/directory/layout.js";
import type { Port } from "../fs/port.js";
import { isSameFile, readStableFile } from "../fs/stable-file.js";
import { gatewayLimits } from "../limits.js";
import { parseLegacyText } from "../sessions/legacy-text.js";
import { inFolder } from "./single-names.js";

/** Its new path; undefined when the file is no such file: a link, too large, or readable after all. */
export async function setUnreadableFileAside(port: Port, location: StoreLocation): Promise<string | undefined> {
  const { parentPath, legacyName } = location;
  return inFolder(port, parentPath, async (folder) => {
    const found = readStableFile(port, folder, legacyName, gatewayLimits.legacyFileBytes);
    if (found.state !== "read") return undefined;
    const parsed = parseLegacyText(found.bytes);
    const holdsSessions = parsed.state === "object" && Object.values(parsed.value).some(isObject);
    if (holdsSessions || !isSameFile(found.stat, port.statName(folder, legacyName))) return undefined;
    let timeMs = port.nowMs();
    while (port.statName(folder, `${legacyName}.corrupt.${timeMs}`) !== undefined) timeMs += 1;
    const aside = `${legacyName}.corrupt.${timeMs}`;
    port.rename(folder, legacyName, folder, aside);
    await port.syncDirectory(folder);
    return `${parentPath}/${aside}`;
  });
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
