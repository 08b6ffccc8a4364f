/**
 * New transcript ids for imported sessions: two gateways that go on with the same session must not write into one
 * transcript. What names the old transcript, or a conversation that a coding agent keeps under an id, is left out; the
 * settings and the route of the session stay.
 *
 * The new ids follow from the bundle and the place that it is imported into, so that importing it twice into one store
 * finds every session there already, while two stores get different ids.
 */

import { createHash } from "node:crypto";
import { limitCaps } from "../limits.js";
import { privatizeEntry } from "../sessions/entry-value.js";
import type { PortableSession } from "./content-hash.js";

/** What belongs to the old transcript. */
const transcriptFields = [
  "sessionFile",
  "cliSessionIds",
  "cliSessionBindings",
  "claudeCliSessionId",
  "compactionCheckpoints",
];

/** `seed` names the bundle and the target. */
export function withFreshIds({ key, entry }: PortableSession, seed: string): PortableSession {
  const fields: Record<string, unknown> = { ...entry };
  for (const name of transcriptFields) delete fields[name];
  if (typeof fields.sessionId === "string") fields.sessionId = freshId(`${seed}\n${key}\n${fields.sessionId}`);
  return { key, entry: privatizeEntry(fields, limitCaps) };
}

/** A UUID of version 8 (RFC 9562): its bits are our own. */
function freshId(text: string): string {
  const bytes = createHash("sha256").update(text, "utf8").digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
