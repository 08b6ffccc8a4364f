/**
 * The content hash of a set of sessions, the same for every backend, machine and order:
 *
 *   digest of a session = SHA-256 of the UTF-8 bytes of the canonical JSON of `[key, entry, generations]`, where
 *                         `generations` is `[]` when there are none;
 *   content hash        = SHA-256 of all digests (32 bytes each), sorted ascending by their bytes and put together; hex.
 *
 * Canonical JSON: no white space, the fields of each object sorted by the UTF-16 code units of their names, strings and
 * numbers as `JSON.stringify` writes them (so -0 is 0). Two entries that differ only in the order of their fields have
 * one digest. Versions are not part of it: a copy has versions of its own.
 */

import { createHash } from "node:crypto";
import type { Capabilities, FrozenEntry, Generation } from "../contract.js";

export interface PortableSession {
  readonly key: string;
  readonly entry: FrozenEntry;
  readonly generations?: readonly Generation[] | undefined;
}

/** 32 bytes as a string of 32 characters: a store of a million sessions keeps one for each. */
export type SessionDigest = string;

export function digestSession({ key, entry, generations }: PortableSession): SessionDigest {
  const text = `[${JSON.stringify(key)},${canonicalJson(entry)},${canonicalJson(generations ?? [])}]`;
  return createHash("sha256").update(text, "utf8").digest("binary");
}

/** The digest of what a store can hold of it: not each keeps earlier generations. */
export function digestAsKept(
  session: PortableSession,
  { generations: keepsThem }: Pick<Capabilities, "generations">,
): SessionDigest {
  return digestSession(keepsThem ? session : { key: session.key, entry: session.entry });
}

export function combineDigests(digests: Iterable<SessionDigest>): string {
  const hash = createHash("sha256");
  // Characters of latin1 sort as their bytes do.
  for (const digest of [...digests].sort()) hash.update(digest, "latin1");
  return hash.digest("hex");
}

export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = value as Readonly<Record<string, unknown>>;
  const parts: string[] = [];
  for (const name of Object.keys(fields).sort()) {
    // JSON has no undefined; an optional field that is not there is not there.
    if (fields[name] !== undefined) parts.push(`${JSON.stringify(name)}:${canonicalJson(fields[name])}`);
  }
  return `{${parts.join(",")}}`;
}
