/**
 * Paths of transcripts in a bundle. A `sessionFile` that lies in the folder of the store is written relative to it, and
 * marked, so that it is resolved against the folder of the store that it is imported into. Every other path, and every
 * relative one, stays as it is: no absolute path is ever added, and what was not ours to change comes back unchanged.
 *
 * A mark is a JSON pointer (RFC 6901) into the session's line, for example `/entry/sessionFile`.
 */

import path from "node:path";
import type { FrozenEntry, Generation } from "../contract.js";
import { freezeParsedJson, setField } from "../sessions/entry-value.js";
import type { PortableSession } from "./content-hash.js";

const pathField = "sessionFile";

export interface MarkedSession {
  readonly session: PortableSession;
  /** Where a path was made relative. */
  readonly relativePaths: readonly string[];
}

/** `folder` undefined: a store without a folder, whose paths stay as they are. */
export function makePathsRelative(session: PortableSession, folder: string | undefined): MarkedSession {
  const relativePaths: string[] = [];
  if (folder === undefined) return { session, relativePaths };
  const changed = mapPaths(session, (value, pointer) => {
    const relative = relativeTo(folder, value);
    if (relative !== undefined) relativePaths.push(pointer);
    return relative ?? value;
  });
  return { session: changed, relativePaths };
}

/** Why the marks of a line cannot be right, or `undefined`. */
export function findMarkProblem({ session, relativePaths }: MarkedSession): string | undefined {
  const pending = new Set(relativePaths);
  if (pending.size < relativePaths.length) return "marks a path twice";
  let problem: string | undefined;
  mapPaths(session, (value, pointer) => {
    if (pending.delete(pointer) && !isPlainRelative(value))
      problem = "marks a path that does not lie in the store's folder";
    return value;
  });
  return problem ?? (pending.size > 0 ? "marks a path that is not there" : undefined);
}

/** The counterpart of `makePathsRelative`; without a folder the paths stay relative. */
export function resolvePaths({ session, relativePaths }: MarkedSession, folder: string | undefined): PortableSession {
  if (folder === undefined || relativePaths.length === 0) return session;
  const marked = new Set(relativePaths);
  return mapPaths(session, (value, pointer) =>
    marked.has(pointer) && isPlainRelative(value) ? path.join(folder, ...value.split("/")) : value,
  );
}

/** Undefined unless the way back leads to exactly the same text. */
function relativeTo(folder: string, value: string): string | undefined {
  if (!path.isAbsolute(value)) return undefined;
  const relative = path.relative(folder, value).split(path.sep).join("/");
  return isPlainRelative(relative) && path.join(folder, ...relative.split("/")) === value ? relative : undefined;
}

function isPlainRelative(value: string): boolean {
  if (value === "" || value.includes("\\") || value.includes("\0") || /^[A-Za-z]:/.test(value)) return false;
  return value.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

type MapPath = (value: string, pointer: string) => string;

function mapPaths(session: PortableSession, map: MapPath): PortableSession {
  const entry = mapValue(session.entry, "/entry", map) as FrozenEntry;
  const { generations } = session;
  if (generations === undefined) return entry === session.entry ? session : { key: session.key, entry };
  const mapped = mapValue(generations, "/generations", map) as readonly Generation[];
  return entry === session.entry && mapped === generations ? session : { key: session.key, entry, generations: mapped };
}

/** The same value when nothing changed; otherwise a copy along the way to what did. */
function mapValue(value: unknown, pointer: string, map: MapPath): unknown {
  if (typeof value !== "object" || value === null) return value;
  const parts = value as Readonly<Record<string, unknown>>;
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(parts)) {
    const part = parts[name];
    const here = `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const mapped = name === pathField && typeof part === "string" ? map(part, here) : mapValue(part, here, map);
    if (mapped === part) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...parts }) as Record<string, unknown>;
    setField(copy, name, mapped);
  }
  return copy === undefined ? value : freezeParsedJson(copy);
}
