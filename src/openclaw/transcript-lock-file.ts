/**
 * What the lock file of a transcript says: whose it is, and whether anybody holds it still. Looking changes nothing.
 */

import { type Payload, parsePayload } from "../backends/json/lock-protocol.js";
import { openChecked, readWhole } from "../fs/checked-file.js";
import type { Directory, FileStat, Port } from "../fs/port.js";

/** The age at which the lock of a living process may be taken away. */
export const transcriptStaleMs = 30 * 60_000;

export interface SessionLockInspection {
  lockPath: string;
  pid: number | null;
  pidAlive: boolean;
  /** ISO 8601. */
  createdAt: string | null;
  ageMs: number | null;
  /** Nobody holds it any more, or for too long. */
  stale: boolean;
  /** `missing-pid`, `dead-pid`, `recycled-pid`, `invalid-createdAt`, `too-old`. */
  staleReasons: string[];
  removed: boolean;
}

const lockBytesMax = 4_096;

/** `undefined` when there is none. What is no ordinary file is never stale: somebody put it there on purpose. */
export function inspectLockFile(
  port: Port,
  folder: Directory,
  name: string,
  { staleMs, nowMs }: { staleMs: number; nowMs: number },
): SessionLockInspection | undefined {
  const stat = port.statName(folder, name);
  if (stat === undefined) return undefined;
  const payload = readPayload(port, folder, name);
  const { pid = null, createdMs, startTime } = payload;
  const owner = pid === null ? undefined : port.inspectProcess(pid);
  const ageMs = createdMs === undefined ? null : Math.max(0, nowMs - createdMs);
  const reasons: string[] = [];
  if (pid === null) reasons.push("missing-pid");
  else if (!owner?.alive) reasons.push("dead-pid");
  else if (startTime !== undefined && owner.startTime !== undefined && startTime !== owner.startTime) {
    reasons.push("recycled-pid");
  }
  if (ageMs === null) reasons.push("invalid-createdAt");
  else if (ageMs > staleMs) reasons.push("too-old");
  return {
    lockPath: `${folder.displayPath}/${name}`,
    pid,
    pidAlive: owner?.alive ?? false,
    createdAt: createdMs === undefined ? null : new Date(createdMs).toISOString(),
    ageMs,
    stale: isStale(stat, reasons, nowMs - staleMs),
    staleReasons: reasons,
    removed: false,
  };
}

/** Perhaps its owner is about to write it: of a file that does not say, only its own time tells. */
function isStale(stat: FileStat, reasons: readonly string[], beforeMs: number): boolean {
  if (stat.kind !== "file" || reasons.length === 0) return false;
  const saysNothing = reasons.every((reason) => reason === "missing-pid" || reason === "invalid-createdAt");
  return !saysNothing || stat.modifiedMs < beforeMs;
}

function readPayload(port: Port, folder: Directory, name: string): Payload {
  try {
    const file = openChecked(port, folder, name, "read", { uid: undefined });
    try {
      return parsePayload(readWhole(port, file, lockBytesMax));
    } finally {
      port.close(file);
    }
  } catch {
    return parsePayload(new Uint8Array());
  }
}
