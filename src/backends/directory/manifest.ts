/**
 * `state.json`: what is fixed about a store, and how far its checkpoint has come. Written by creation, and replaced by
 * whoever holds the checkpoint lock. Small, checksummed, pretty JSON.
 */

import type { KeyRule } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { documentIsIntact, sealDocument } from "./checksum.js";
import type { FileNameRule } from "./layout.js";
import type { CommitStamp } from "./version.js";

export const manifestKind = "sessiondir-store";
export const layoutVersion = 1;

/** Required features this version can read. `blobs` and `encryption` are reserved by layout 1 and not yet used. */
const knownRequiredFeatures: readonly string[] = [];
/** Those that a reader need not know. None is used yet; a later version may add what an earlier one would write over. */
const knownFeaturesForWriting: readonly string[] = [];

/** Where a migrated store came from; decides "already migrated" by content, never by existence. */
export interface Provenance {
  readonly sourceName: string;
  readonly sourceBytes: number;
  readonly sourceSha256: string;
  /** Entries in the source, and entries that were taken over (case variants collapse). */
  readonly sourceEntries: number;
  readonly migratedEntries: number;
  readonly migratedAtMs: number;
}

/** A legacy file that was merged into the store later: a program that knows nothing of us had written it. */
export interface MergeRecord {
  readonly sourceName: string;
  readonly sourceBytes: number;
  readonly sourceSha256: string;
  readonly sourceEntries: number;
  /** Sessions that were added or replaced. */
  readonly takenEntries: number;
  readonly mergedAtMs: number;
}

export interface Manifest {
  readonly kind: typeof manifestKind;
  readonly layoutVersion: typeof layoutVersion;
  /** Stays with the store for its whole life. */
  readonly storeId: string;
  /** Changes whenever history is rewritten (restore, repair of the journal), so that no old token or cursor fits. */
  readonly incarnation: string;
  readonly createdMs: number;
  readonly lockFamily: string;
  readonly keyRule: KeyRule;
  readonly fileNames: FileNameRule;
  readonly shardDigits: 0 | 2;
  readonly features: {
    readonly required: readonly string[];
    readonly optional: readonly string[];
    /** Absent is the same as none. */
    readonly requiredForWriting?: readonly string[];
  };
  readonly migration: Provenance | null;
  /** The latest merges, oldest first; absent when there was none. */
  readonly merges?: readonly MergeRecord[];
  /** Every commit up to this version is in the entry files. */
  readonly checkpoint: CommitStamp & { readonly timeMs: number };
}

export function formatManifest(manifest: Manifest): string {
  return sealDocument({ ...manifest, checksum: "00000000" });
}

/** Throws `store_damaged` for anything that is not a manifest, `unsupported_layout` for one that is newer than we are. */
export function parseManifest(text: string, path: string): Manifest {
  const damaged = (what: string, cause?: unknown) =>
    new SessionStoreError("store_damaged", `the manifest ${what}`, {
      path,
      onDisk: "The sessions themselves are in entries/ and journal/ and were not touched.",
      nextStep: "Run `sessiondir repair` to rebuild the manifest from them.",
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged("is not JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw damaged("is not an object");
  const fields = value as Record<string, unknown>;
  // What is newer is said before what is broken: a newer layout may seal its manifest in another way.
  if (
    fields.kind === manifestKind &&
    typeof fields.layoutVersion === "number" &&
    fields.layoutVersion > layoutVersion
  ) {
    throw newer(`layout ${fields.layoutVersion}; this version knows layout ${layoutVersion}`, path);
  }
  if (typeof fields.kind === "string" && fields.kind !== manifestKind) throw foreign(fields.kind, path);
  if (fields.kind !== manifestKind) throw damaged("does not say what it is");
  if (!documentIsIntact(text)) throw damaged("has a wrong checksum");
  if (!hasValidFields(fields)) throw damaged("misses fields or has fields of the wrong type");
  const manifest = fields as unknown as Manifest;
  const unknown = manifest.features.required.filter((feature) => !knownRequiredFeatures.includes(feature));
  if (unknown.length > 0) throw newer(`the feature ${unknown.join(", ")}, which this version does not know`, path);
  return manifest;
}

/** Throws `unsupported_layout` for a store that this version can read, but must not write to. */
export function requireWritable({ features }: Manifest, path: string): void {
  const unknown = (features.requiredForWriting ?? []).filter((feature) => !knownFeaturesForWriting.includes(feature));
  if (unknown.length > 0) throw newer(`the feature ${unknown.join(", ")}: this version may only read it`, path);
}

/** Repairing somebody else's directory would make it ours; so this is not called damage. */
function foreign(kind: string, path: string): SessionStoreError {
  return new SessionStoreError(
    "unsupported_layout",
    `the directory is a store of another kind, ${JSON.stringify(kind.slice(0, 80))}`,
    {
      path,
      onDisk: "Nothing was touched.",
      nextStep: "Use the program that wrote it, or move it away to begin a new store here.",
    },
  );
}

function newer(what: string, path: string): SessionStoreError {
  return new SessionStoreError("unsupported_layout", `the store uses ${what}`, {
    path,
    onDisk: "Nothing was touched.",
    nextStep: "Use the newer sessiondir that wrote it.",
  });
}

function hasValidFields(fields: Record<string, unknown>): boolean {
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const isNames = (value: unknown) => Array.isArray(value) && value.every((name) => typeof name === "string");
  const features = fields.features as Record<string, unknown> | null | undefined;
  const checkpoint = fields.checkpoint as Record<string, unknown> | null | undefined;
  return (
    fields.layoutVersion === layoutVersion &&
    typeof fields.storeId === "string" &&
    typeof fields.incarnation === "string" &&
    /^[0-9a-f]{32}$/.test(fields.incarnation) &&
    typeof fields.createdMs === "number" &&
    typeof fields.lockFamily === "string" &&
    (fields.keyRule === "openclaw" || fields.keyRule === "exact") &&
    (fields.fileNames === "base64url" || fields.fileNames === "hash") &&
    (fields.shardDigits === 0 || fields.shardDigits === 2) &&
    typeof features === "object" &&
    features !== null &&
    isNames(features.required) &&
    isNames(features.optional) &&
    (features.requiredForWriting === undefined || isNames(features.requiredForWriting)) &&
    typeof fields.migration === "object" &&
    (fields.merges === undefined || Array.isArray(fields.merges)) &&
    typeof checkpoint === "object" &&
    checkpoint !== null &&
    isCount(checkpoint.version) &&
    typeof checkpoint.record === "string" &&
    typeof checkpoint.timeMs === "number"
  );
}
