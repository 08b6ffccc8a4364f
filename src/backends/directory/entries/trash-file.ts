/** Removed sessions: `{ sessionKey, version, record, removedAtMs, actor, reason, checksum, entry }`, pretty JSON. */

import { sealDocument } from "../checksum.js";
import type { TrashedState } from "./fold.js";

/** `version` is the one of the entry as it was; the removal's own version is in the file's name. */
export function formatTrashFile({ state, removal }: TrashedState): Buffer {
  return Buffer.from(
    sealDocument({
      sessionKey: removal.key,
      version: state.version,
      record: state.record,
      removedAtMs: removal.timeMs,
      removedByVersion: removal.version,
      actor: removal.actor ?? null,
      reason: removal.reason ?? null,
      checksum: "00000000" as const,
      entry: state.entry,
    } as { checksum: "00000000" }),
    "utf8",
  );
}
