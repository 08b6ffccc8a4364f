/**
 * One state of a store, read synchronously: what a loaded copy or a tracked view is made from. Behind it is a directory
 * store at one version, or the content of a legacy file. Keys of a directory store are normalised; a legacy file has
 * them as they were typed, with all their spellings, until it is taken over.
 */

import type { ReadPoint } from "../backends/directory/read-point.js";
import type { FrozenEntry, Generation, VersionToken } from "../contract.js";
import { gatewayLimits } from "../limits.js";
import { privatizeEntry } from "../sessions/entry-value.js";
import { keyProblem } from "../sessions/keys.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";

export interface StoredSession {
  readonly entry: FrozenEntry;
  /** Undefined in a legacy file. */
  readonly version: VersionToken | undefined;
  readonly generations?: readonly Generation[] | undefined;
}

export interface ReadSource {
  /** "legacy": what is written has to be taken over first. */
  readonly kind: "directory" | "json" | "legacy";
  /** Exactly this name, not another spelling of it. Throws `entry_damaged`; an entry that is no object is undefined. */
  read(name: string): StoredSession | undefined;
  /** In the order in which an enumeration shows them. */
  names(): readonly string[];
  /** Every name that is a spelling of this normalised key. */
  spellings(key: string): readonly string[];
  close(): void;
}

/** A directory store as of one version, and - where an older program still writes one - what a legacy file has newer. */
export class DirectorySource implements ReadSource {
  readonly kind = "directory";
  readonly #point: ReadPoint;
  readonly #newer: ReadonlyMap<string, FrozenEntry>;

  constructor(point: ReadPoint, newer: ReadonlyMap<string, FrozenEntry> = new Map()) {
    this.#point = point;
    this.#newer = newer;
  }

  read(name: string): StoredSession | undefined {
    if (!isStoredName(name)) return undefined;
    const newer = this.#newer.get(name);
    return newer === undefined ? this.#point.read(name) : { entry: newer, version: undefined };
  }

  names(): readonly string[] {
    const names = this.#point.keys();
    if (this.#newer.size === 0) return names;
    return [...new Set([...names, ...this.#newer.keys()])].sort();
  }

  spellings(key: string): readonly string[] {
    return [key];
  }

  close(): void {
    this.#point.close();
  }
}

/** Sessions that are all in memory. */
export class MapSource implements ReadSource {
  readonly kind: "json" | "legacy";
  readonly #sessions: ReadonlyMap<string, StoredSession>;
  #spellings: Map<string, string[]> | undefined;

  constructor(kind: "json" | "legacy", sessions: ReadonlyMap<string, StoredSession>) {
    this.kind = kind;
    this.#sessions = sessions;
  }

  /** Of the parsed text of a legacy file. What is no entry, or cannot be kept as one, is left out. */
  static ofLegacy(entries: Readonly<Record<string, unknown>>): MapSource {
    const sessions = new Map<string, StoredSession>();
    for (const name of Object.keys(entries)) {
      const entry = toEntry(entries[name]);
      if (entry !== undefined) sessions.set(name, { entry, version: undefined });
    }
    return new MapSource("legacy", sessions);
  }

  read(name: string): StoredSession | undefined {
    return this.#sessions.get(name);
  }

  names(): readonly string[] {
    return [...this.#sessions.keys()];
  }

  spellings(key: string): readonly string[] {
    if (this.#spellings === undefined) {
      this.#spellings = new Map();
      for (const name of this.#sessions.keys()) {
        const normalized = normalizeStoreSessionKey(name);
        const known = this.#spellings.get(normalized);
        if (known === undefined) this.#spellings.set(normalized, [name]);
        else known.push(name);
      }
    }
    return this.#spellings.get(key) ?? [];
  }

  close(): void {}
}

/** Whether a directory store could hold a session of exactly this name; it is never asked for any other. */
export function isStoredName(name: string): boolean {
  return normalizeStoreSessionKey(name) === name && keyProblem(name, gatewayLimits.keyBytes) === undefined;
}

/** The entry as data of ours; undefined for what no store can hold. */
export function toEntry(value: unknown): FrozenEntry | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  try {
    return privatizeEntry(value, gatewayLimits);
  } catch {
    return undefined;
  }
}
