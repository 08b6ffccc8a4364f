/**
 * Merging a legacy file into the store beside it. For a file that an older program wrote after the store was made, or
 * that somebody put there. The steps, of which any may be the last one:
 *
 *   1. Read the file. A content that was taken before goes straight to 5.
 *   2. Session by session, in batches, ordinary commits with expectations: whoever else writes is never overwritten. What
 *      a newer entry replaces goes to the trash with the same commit.
 *   3. Make them durable. Keep the entries that lost in the trash.
 *   4. Record the content in the manifest: this file was merged.
 *   5. Rename the file to `.bak.<ms>`, if it still has that content; otherwise begin again.
 *
 * Done again after a crash it finds its own sessions equal, and its own files in the trash. No lock is held during 2.
 * Several processes may do it at once: each session is decided by whoever commits first, and the file is renamed once.
 */

import { DirectoryBackend } from "../backends/directory/backend.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { Manifest, MergeRecord } from "../backends/directory/manifest.js";
import type { StoreFiles } from "../backends/directory/store-files.js";
import { keepInTrash, type LostEntry } from "../backends/directory/upkeep.js";
import type { FrozenEntry, Operation, TrashedSession, Versioned } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
import { fixedLimits, type Limits } from "../limits.js";
import { estimateJsonBytes } from "../sessions/entry-value.js";
import type { InvalidLegacy } from "../sessions/legacy-text.js";
import { describeSessions, type LegacyRules, type LegacySessions } from "./legacy-content.js";
import { type Fingerprint, inspectUnlessKnown } from "./legacy-file.js";
import { legacyLockWaitMs } from "./legacy-lock.js";
import { describeMerge, judge, lossReasons, noCounts, type StoreSide, takenOf } from "./merge-plan.js";
import { fingerprintOf, type SetAside, setOriginalAside } from "./original.js";
import { legacyPathOf, type MergeCounts } from "./result.js";
import { hasRollbackMarker } from "./rollback-marker.js";

export const mergeActor = "sessiondir migrate";

export interface MergeOutcome {
  /** "nothing": no legacy file, or one that was taken before (and may have been renamed just now). */
  readonly state: "nothing" | "merged" | "invalid" | "stopped";
  readonly counts: MergeCounts;
  readonly legacyEntries: number;
  readonly backupPath?: string | undefined;
  readonly warnings: readonly string[];
}

export interface MergeOptions {
  readonly limits: Readonly<Limits>;
  /** Asked between two batches: true ends the merge early. What was committed stays; a later one does the rest. */
  readonly isStopped?: (() => boolean) | undefined;
  /** The name of a backup that was written to at the last moment of a take-over: merged first. */
  readonly lateBackup?: string | undefined;
}

const nothing: MergeOutcome = { state: "nothing", counts: noCounts(), legacyEntries: 0, warnings: [] };

/** A file that changes each time while we merge it is left for the next opening or commit. */
const roundsMax = 5;

/** Errors of the store and of the system pass through; then the file is still there, and a later merge does the rest. */
export async function mergeLegacyFile(
  port: Port,
  backend: DirectoryBackend,
  location: StoreLocation,
  options: MergeOptions,
): Promise<MergeOutcome> {
  const parent = port.openRoot(location.parentPath);
  try {
    let outcome = nothing;
    if (options.lateBackup !== undefined) {
      outcome = (await mergeOnce(port, parent, backend, location, options.lateBackup, options)).outcome;
    }
    for (let round = 1; ; round += 1) {
      const next = await mergeOnce(port, parent, backend, location, location.legacyName, options);
      outcome = together(outcome, next.outcome);
      if (next.aside?.state === "replaced") {
        // Written to between our last look and the rename: its sessions are in the backup, and come from there.
        const late = await mergeOnce(port, parent, backend, location, next.aside.backupName, options);
        return together(outcome, late.outcome);
      }
      if (next.aside?.state !== "different") return outcome;
      if (round === roundsMax) return { ...outcome, warnings: [...outcome.warnings, neverStill(location)] };
    }
  } finally {
    port.closeDirectory(parent);
  }
}

async function mergeOnce(
  port: Port,
  parent: Directory,
  backend: DirectoryBackend,
  location: StoreLocation,
  name: string,
  options: MergeOptions,
): Promise<{ outcome: MergeOutcome; aside?: SetAside }> {
  const rules: LegacyRules = { keyRule: backend.keyRule, limits: options.limits };
  const found = inspectUnlessKnown(port, parent, name, rules, knownContents(backend.readManifest()));
  if (found.state === "missing") return { outcome: nothing };
  if (found.state === "invalid")
    return { outcome: { ...nothing, state: "invalid", warnings: [cannotMerge(found, location)] } };
  let outcome = nothing;
  let lost: LostEntry[] = [];
  if (found.state !== "known") {
    const merged = await commitSessions(backend, found.entries, options);
    if (merged === "stopped") return { outcome: { ...nothing, state: "stopped" } };
    lost = merged.lost;
    outcome = toOutcome(found, merged.counts, location);
    await backend.sync();
  }
  const isOriginal = name === location.legacyName;
  const aside = await backend.underCheckpointLock("merge a legacy file", async (files) => {
    // A rollback wrote this file, or is about to: it is not for us.
    if (hasRollbackMarker(port, parent, location)) return undefined;
    await keepInTrash(files, lost);
    if (found.state !== "known") await recordMerge(files, location, found, takenOf(outcome.counts));
    return isOriginal ? await setOriginalAside(port, parent, location, found, legacyLockWaitMs) : undefined;
  });
  if (aside?.state === "failed" || aside?.state === "busy")
    outcome = { ...outcome, warnings: [...outcome.warnings, aside.warning] };
  if (aside?.state === "renamed" || aside?.state === "replaced") outcome = { ...outcome, backupPath: aside.backupPath };
  return aside === undefined ? { outcome } : { outcome, aside };
}

function toOutcome(found: LegacySessions, counts: MergeCounts, location: StoreLocation): MergeOutcome {
  const warnings = [
    ...describeMerge(counts, legacyPathOf(location), location.directoryName),
    ...describeSessions(found),
  ];
  return { state: "merged", counts, legacyEntries: found.sourceEntries, warnings };
}

function together(first: MergeOutcome, next: MergeOutcome): MergeOutcome {
  if (first === nothing) return next;
  const counts = noCounts();
  for (const name of Object.keys(counts) as (keyof MergeCounts)[])
    counts[name] = first.counts[name] + next.counts[name];
  return {
    state: next.state === "nothing" ? first.state : next.state,
    counts,
    legacyEntries: first.legacyEntries + next.legacyEntries,
    backupPath: next.backupPath ?? first.backupPath,
    warnings: [...new Set([...first.warnings, ...next.warnings])],
  };
}

// --- what a dry run says --------------------------------------------------------------------------------------------

/** Where sessions are looked up: the store, or a directory that is yet to be imported. */
export interface MergeTarget {
  read(keys: readonly string[]): Promise<ReadonlyMap<string, StoreSide>>;
  removals(): Promise<ReadonlyMap<string, number>>;
}

/** What `mergeLegacyFile` would do, without changing anything. */
export async function predictMerge(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  target: MergeTarget,
  rules: LegacyRules,
  known: readonly Fingerprint[],
): Promise<MergeOutcome> {
  const found = inspectUnlessKnown(port, parent, location.legacyName, rules, known);
  if (found.state === "missing" || found.state === "known") return nothing;
  if (found.state === "invalid") return { ...nothing, state: "invalid", warnings: [cannotMerge(found, location)] };
  const counts = noCounts();
  const removals = lazily(() => target.removals());
  for (const batch of inBatches(found.entries)) {
    const side = await target.read(batch.map(([key]) => key));
    for (const [key, entry] of batch) {
      const store = side.get(key);
      counts[judge(entry, store, store === undefined ? (await removals()).get(key) : undefined)] += 1;
    }
  }
  return toOutcome(found, counts, location);
}

export function targetOf(backend: DirectoryBackend): MergeTarget {
  return { read: (keys) => readSides(backend, keys), removals: () => removalTimes(backend) };
}

// --- the commits ----------------------------------------------------------------------------------------------------

const batchSessions = 256;
const batchBytes = 4 * 1024 * 1024;
/** So often a batch may lose against other writers, who all made progress meanwhile. */
const attemptsMax = 1_000;

async function commitSessions(
  backend: DirectoryBackend,
  entries: ReadonlyMap<string, FrozenEntry>,
  options: MergeOptions,
): Promise<{ counts: MergeCounts; lost: LostEntry[] } | "stopped"> {
  const counts = noCounts();
  const lost: LostEntry[] = [];
  const removals = lazily(() => removalTimes(backend));
  let batchesDone = 0;
  for (const batch of inBatches(entries)) {
    // One batch is always merged: a small file is not left behind because its store is closed at once.
    if (batchesDone > 0 && options.isStopped?.()) return "stopped";
    batchesDone += 1;
    for (let attempt = 1; ; attempt += 1) {
      const { operations, expected, losers, batchCounts } = await decide(backend, batch, removals);
      if (operations.length > 0) {
        const reason = "merged from the legacy file, where it was newer";
        const result = await backend.commit({ operations, expected, actor: mergeActor, reason });
        if (result.status === "conflict") {
          if (attempt < attemptsMax) continue;
          throw new SessionStoreError("conflict", `sessions changed during each of ${attempt} attempts to merge them`, {
            operation: "merge a legacy file",
            path: backend.location,
            onDisk: "The legacy file is still there; what was merged so far stays.",
            nextStep: "It is tried again at the next opening.",
          });
        }
      }
      for (const name of Object.keys(counts) as (keyof MergeCounts)[]) counts[name] += batchCounts[name];
      lost.push(...losers);
      break;
    }
  }
  return { counts, lost };
}

async function decide(
  backend: DirectoryBackend,
  batch: readonly (readonly [string, FrozenEntry])[],
  removals: () => Promise<ReadonlyMap<string, number>>,
) {
  const operations: Operation[] = [];
  const expected = new Map<string, string | null>();
  const losers: LostEntry[] = [];
  const batchCounts = noCounts();
  const sides = await readSides(
    backend,
    batch.map(([key]) => key),
  );
  for (const [key, entry] of batch) {
    const store = sides.get(key);
    const verdict = judge(entry, store, store === undefined ? (await removals()).get(key) : undefined);
    batchCounts[verdict] += 1;
    if (verdict === "added" || verdict === "replaced") {
      operations.push({ type: "put", key, entry, trashPrevious: true });
      expected.set(key, (store as Versioned | undefined)?.version ?? null);
    } else if (verdict !== "same") {
      losers.push({ key, entry, actor: mergeActor, reason: lossReasons[verdict] });
    }
  }
  return { operations, expected, losers, batchCounts };
}

async function readSides(
  backend: DirectoryBackend,
  keys: readonly string[],
): Promise<Map<string, Versioned | "damaged">> {
  try {
    return await backend.read(keys);
  } catch (error) {
    if (!(error instanceof SessionStoreError) || error.code !== "entry_damaged") throw error;
    if (keys.length === 1) return new Map([[keys[0] as string, "damaged"]]);
  }
  const sides = new Map<string, Versioned | "damaged">();
  for (const key of keys) for (const [found, side] of await readSides(backend, [key])) sides.set(found, side);
  return sides;
}

/** When each session was removed last. What a merge kept in the trash was not removed by anybody. */
function removalTimes(backend: DirectoryBackend): Promise<Map<string, number>> {
  return lastRemovals(backend.trash());
}

export async function lastRemovals(trash: AsyncIterable<TrashedSession>): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for await (const { key, removedMs, actor } of trash) {
    if (actor !== mergeActor) times.set(key, Math.max(removedMs, times.get(key) ?? Number.NEGATIVE_INFINITY));
  }
  return times;
}

function lazily<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function* inBatches(entries: ReadonlyMap<string, FrozenEntry>): Iterable<(readonly [string, FrozenEntry])[]> {
  let batch: (readonly [string, FrozenEntry])[] = [];
  let bytes = 0;
  for (const [key, entry] of entries) {
    batch.push([key, entry]);
    bytes += estimateJsonBytes(entry);
    if (batch.length < batchSessions && bytes < batchBytes) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

// --- what was merged ------------------------------------------------------------------------------------------------

/** So many contents are remembered; of older ones no file is left that was not renamed. */
const mergesKept = 32;

export function knownContents(manifest: Manifest): Fingerprint[] {
  const { migration, merges = [] } = manifest;
  return [...(migration === null ? [] : [migration]), ...merges].map(fingerprintOf);
}

async function recordMerge(
  files: StoreFiles,
  location: StoreLocation,
  found: LegacySessions & Fingerprint,
  takenEntries: number,
): Promise<void> {
  const manifest = files.readManifest();
  const record: MergeRecord = {
    sourceName: location.legacyName,
    sourceBytes: found.sizeBytes,
    sourceSha256: found.sha256,
    sourceEntries: found.sourceEntries,
    takenEntries,
    mergedAtMs: files.port.nowMs(),
  };
  await files.writeManifest({ ...manifest, merges: [...(manifest.merges ?? []), record].slice(-mergesKept) });
}

function cannotMerge(found: InvalidLegacy, location: StoreLocation): string {
  return (
    `${legacyPathOf(location)} lies beside ${location.directoryName}, which is the store, and cannot be merged into it: it ${found.reason}. ` +
    `It was left as it is. ${found.nextStep}`
  );
}

function neverStill(location: StoreLocation): string {
  return (
    `${legacyPathOf(location)} was written to again each time it had been merged. Its newest content is merged at the next ` +
    "commit or opening; stop the program that writes to it."
  );
}

/** Opens the store for a merge, or only for looking. */
export function openForMerge(
  port: Port,
  location: StoreLocation,
  limits: Readonly<Limits>,
  readOnly: boolean,
): Promise<DirectoryBackend> {
  const { lockWaitMsMax: lockWaitMs } = fixedLimits;
  const cacheBytes = 8 * 1024 * 1024;
  return DirectoryBackend.open(port, location, {
    durability: "commit",
    readOnly,
    lockWaitMs,
    cacheBytes,
    limits,
    logger: undefined,
  });
}
