/** Names the process that holds a lock, for error messages only. Linux tells it in /proc; elsewhere it stays unknown. */

import fs from "node:fs";

/** "pid 4711 (node)" for each holder that this user may see, or `undefined`. */
export function findLockHolder(inode: number): string | undefined {
  if (process.platform !== "linux") return undefined;
  const holders = new Set<string>();
  for (const pid of readNames("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const descriptor of readNames(`/proc/${pid}/fdinfo`)) {
      const info = readText(`/proc/${pid}/fdinfo/${descriptor}`);
      if (info.includes("lock:") && new RegExp(`^lock:.*:${inode} `, "m").test(info)) {
        holders.add(`pid ${pid} (${readText(`/proc/${pid}/comm`).trim() || "unknown"})`);
      }
    }
  }
  return holders.size === 0 ? undefined : [...holders].join(", ");
}

function readNames(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return []; // The process ended, or is somebody else's.
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
