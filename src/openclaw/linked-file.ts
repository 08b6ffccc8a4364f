/**
 * A `sessions.json` that is a link, has a hard link elsewhere, or belongs to somebody else. The gateway reads such a file
 * like any other, so the functions that only read do the same. Nothing takes it over or writes to it: that would rename
 * or replace what others hold as well, and is refused with the reason.
 */

import type { StoreLocation } from "../backends/directory/layout.js";
import { readWhole } from "../fs/checked-file.js";
import type { Port } from "../fs/port.js";
import { gatewayLimits } from "../limits.js";
import { parseLegacyText } from "../sessions/legacy-text.js";
import { inFolderOf } from "./single-names.js";

/** Its entries by their names in the file; undefined for what is no ordinary file at the end of its links, or no store. */
export function readThroughLinks(
  port: Port,
  { parentPath, legacyName }: StoreLocation,
): Readonly<Record<string, unknown>> | undefined {
  try {
    const realPath = port.realPath(`${parentPath}/${legacyName}`);
    return inFolderOf(port, realPath, (folder, name) => {
      // A look at the name first: opening a device may have effects of its own.
      if (port.statName(folder, name)?.kind !== "file") return undefined;
      const file = port.open(folder, name, "read");
      try {
        if (port.stat(file).kind !== "file") return undefined;
        const parsed = parseLegacyText(readWhole(port, file, gatewayLimits.legacyFileBytes));
        return parsed.state === "object" ? parsed.value : undefined;
      } finally {
        port.close(file);
      }
    });
  } catch {
    return undefined;
  }
}
