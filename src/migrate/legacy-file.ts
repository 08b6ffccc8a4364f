/**
 * Reading a legacy `sessions.json`, which comes from a stranger: only an ordinary file of ours, of bounded size, is
 * opened at all, and what was read is what the descriptor that was checked holds. Nothing here changes anything.
 */

import { createHash } from "node:crypto";
import { rollbackMarkerName } from "../backends/directory/layout.js";
import type { FrozenEntry } from "../contract.js";
import type { Directory, Port } from "../fs/port.js";
import { readStableFile } from "../fs/stable-file.js";
import { type InvalidLegacy, tooLargeStep } from "../sessions/legacy-text.js";
import { countOf, type LegacyRules, type LegacySessions, parseLegacyContent } from "./legacy-content.js";

/** The identity of a content. Whether a file was taken over is decided by this and nothing else. */
export interface Fingerprint {
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

export type LegacyInspection = { readonly state: "missing" } | InvalidLegacy | (LegacySessions & Fingerprint);

/**
 * What lies there, for who would make a store of it: a file that is probably somebody else's is no store. Errors of the
 * system (EACCES, EIO ...) pass through: they say nothing about the file.
 */
export function inspectLegacyFile(port: Port, parent: Directory, name: string, rules: LegacyRules): LegacyInspection {
  const found = inspectUnlessKnown(port, parent, name, rules, []) as LegacyInspection;
  if (found.state !== "valid" || mayHoldAnything(port, parent, name, found)) return found;
  if ([...found.entries.values()].some(hasMarkOfSession)) return found;
  return {
    state: "invalid",
    reason: `holds ${countOf(found.entries.size, "object", "objects")}, none of which is a session: nothing in it has a sessionId or an updatedAt`,
    nextStep:
      "Check the path: it is probably a file of another program. If it is a store all the same, call it sessions.json.",
  };
}

/**
 * Entries may hold whatever their program likes. That it is a store is told by a name that only stores have, by a rollback
 * that made the file, or by a content of nothing but entries - but for the gateway's configuration, which looks like that.
 */
function mayHoldAnything(port: Port, parent: Directory, name: string, { refused }: LegacySessions): boolean {
  if (/^sessions([-_.].*)?\.json$/i.test(name)) return true;
  if (refused.length === 0 && name !== "openclaw.json") return true;
  return port.statName(parent, rollbackMarkerName(name.replace(/\.json$/, ".d"))) !== undefined;
}

function hasMarkOfSession({ sessionId, updatedAt }: FrozenEntry): boolean {
  return typeof sessionId === "string" || typeof updatedAt === "number";
}

/** The same, but a content that is known already is not parsed again. */
export function inspectUnlessKnown(
  port: Port,
  parent: Directory,
  name: string,
  rules: LegacyRules,
  known: readonly Fingerprint[],
): LegacyInspection | ({ readonly state: "known" } & Fingerprint) {
  const content = readLegacyBytes(port, parent, name, rules.limits.legacyFileBytes);
  if (content.state !== "read") return content;
  const fingerprint = { sizeBytes: content.bytes.byteLength, sha256: hashOf(content.bytes) };
  if (known.some(({ sha256 }) => sha256 === fingerprint.sha256)) return { state: "known", ...fingerprint };
  const parsed = parseLegacyContent(content.bytes, rules);
  return parsed.state === "invalid" ? parsed : { ...parsed, ...fingerprint };
}

/** Whether the file has exactly this content; "missing" when there is none. Reads no more than it must. */
export function compareLegacyFile(
  port: Port,
  parent: Directory,
  name: string,
  expected: Fingerprint,
): "same" | "different" | "missing" {
  const stat = port.statName(parent, name);
  if (stat === undefined) return "missing";
  if (stat.sizeBytes !== expected.sizeBytes) return "different";
  const content = readLegacyBytes(port, parent, name, expected.sizeBytes);
  if (content.state !== "read") return content.state === "missing" ? "missing" : "different";
  return hashOf(content.bytes) === expected.sha256 ? "same" : "different";
}

type LegacyBytes =
  | { readonly state: "missing" }
  | InvalidLegacy
  | { readonly state: "read"; readonly bytes: Uint8Array };

function readLegacyBytes(port: Port, parent: Directory, name: string, bytesMax: number): LegacyBytes {
  const found = readStableFile(port, parent, name, bytesMax);
  if (found.state === "unsafe") return unsafe(found.problem);
  if (found.state === "changing") return changing();
  if (found.state !== "too_large") return found;
  return {
    state: "invalid",
    reason: `has ${found.sizeBytes} bytes, the limit (legacyFileBytes) is ${bytesMax}`,
    nextStep: tooLargeStep(bytesMax),
  };
}

export function changing(): InvalidLegacy {
  return {
    state: "invalid",
    reason: "keeps changing while it is read",
    nextStep: "Stop the program that writes to it, then try again.",
  };
}

function unsafe(problem: string): InvalidLegacy {
  return {
    state: "invalid",
    reason: problem,
    nextStep: "Put an ordinary file of your own in its place, then try again.",
  };
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
