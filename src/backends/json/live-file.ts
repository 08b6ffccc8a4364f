/** From what was found at the place of `sessions.json` to its content, or to the error that says why there is none. */

import { SessionStoreError } from "../../errors.js";
import type { Directory, Port } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import { parseLegacyText, tooLargeStep } from "../../sessions/legacy-text.js";
import { type JsonLocation, livePathOf } from "./layout.js";
import { invalidLive, takenOver, unsafeFile } from "./problems.js";
import type { LiveContent } from "./view.js";
import { identityOf, type Look } from "./watched-file.js";

/** Throws `invalid_legacy`, `unsafe_path`, `limit_exceeded`, `io_error`. */
export function toLiveContent(
  port: Port,
  parent: Directory,
  location: JsonLocation,
  look: Exclude<Look, { state: "same" | "missing" }>,
  { legacyFileBytes }: Readonly<Limits>,
): LiveContent {
  const path = livePathOf(location);
  switch (look.state) {
    case "unsafe":
      throw unsafeFile(path, look.problem);
    case "too_large":
      throw new SessionStoreError(
        "limit_exceeded",
        `the file has ${look.sizeBytes} bytes, the limit (legacyFileBytes) is ${legacyFileBytes}`,
        { path, nextStep: tooLargeStep(legacyFileBytes) },
      );
    case "changing":
      throw new SessionStoreError("io_error", "the file keeps changing while it is read", {
        path,
        nextStep: "Stop the program that writes to it, then try again.",
      });
    default: {
      const parsed = parseLegacyText(look.bytes);
      if (parsed.state === "invalid") throw invalidLive(port, parent, location, parsed, legacyFileBytes);
      return {
        document: Object.assign(Object.create(null) as Record<string, unknown>, parsed.value),
        checksum: look.checksum,
        identity: identityOf(look.stat),
        sizeBytes: look.bytes.byteLength,
        modifiedMs: look.stat.modifiedMs,
        tolerated: parsed.tolerated,
      };
    }
  }
}

/** Where a directory store lies, `sessions.json` is no longer the store: neither empty when missing, nor to be written. */
export function requireNotTakenOver(port: Port, parent: Directory, location: JsonLocation): void {
  if (port.statName(parent, location.directoryName) !== undefined) throw takenOver(location);
}
