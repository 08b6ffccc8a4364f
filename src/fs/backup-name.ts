/** The names of what is set aside instead of being deleted: `<name>.bak.<ms>`, never one that is there already. */

import type { Directory, Port } from "./port.js";

export function backupName(name: string, timeMs: number): string {
  return `${name}.bak.${Math.max(0, Math.floor(timeMs))}`;
}

/**
 * A name that nothing has yet, of this time or the next millisecond that is free. Only under a lock that keeps others
 * from taking it, or where a rename over what they put there is noticed.
 */
export function freeBackupName(port: Port, parent: Directory, name: string): string {
  for (let timeMs = port.nowMs(); ; timeMs += 1) {
    const free = backupName(name, timeMs);
    if (port.statName(parent, free) === undefined) return free;
  }
}
