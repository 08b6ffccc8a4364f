/**
 * Keeps the index on disk up to date: a small run for each checkpoint, all of it anew when there is none, and merges,
 * so that there are only as many runs as the logarithm of the sessions. Whatever changes the head runs under the
 * checkpoint lock, which the caller holds; nothing here is needed by anybody, so nothing is synced and every error
 * leaves at worst no index.
 *
 * The order makes crashes harmless. A checkpoint writes its run *before* it is recorded in the manifest: a run that is
 * ahead repeats what the journal says, while one that is behind would miss sessions that nobody names any more.
 */

import type { SessionSummary } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import { Pace } from "../../../fs/pace.js";
import { type Directory, hasCode, type Port } from "../../../fs/port.js";
import { mayBeIntact, readPatiently } from "../../../fs/refusal.js";
import { summarizeSession } from "../../../sessions/summary.js";
import { readEntryFileIfExists } from "../entries/entry-file.js";
import { parseEntryFileName, summaryIndexName } from "../layout.js";
import type { StoreFiles } from "../store-files.js";
import type { CommitStamp } from "../version.js";
import { type IndexHead, type RunInfo, readHead, writeHead } from "./head.js";
import { sweep, unlinkIfThere } from "./leftovers.js";
import { DamagedIndexError, hashKey } from "./row.js";
import { RunSet } from "./run-set.js";
import { RunWriter } from "./run-writer.js";
import { writeRun } from "./write-run.js";

export interface UpkeepSizes {
  /** While an index is built, so many summaries are in memory at once. */
  readonly chunkRowsMax: number;
  /** Merges of at most so many rows are made at once, by the checkpoint; larger ones in the background. */
  readonly inlineRowsMax: number;
  /** If nobody lives long enough for a merge in the background, the checkpoint makes it after all. */
  readonly runsMax: number;
}

const defaultSizes: UpkeepSizes = { chunkRowsMax: 32_000, inlineRowsMax: 20_000, runsMax: 32 };
/** A run is merged with the newer ones when they hold more than a quarter of what it holds. */
const sizeRatio = 4;

/** The store is being closed: upkeep ends where it is. */
class UpkeepStopped extends Error {}

export class IndexUpkeep {
  private readonly files: StoreFiles;
  private readonly port: Port;
  private readonly pace: Pace;
  private readonly sizes: UpkeepSizes;
  private stopped = false;
  /** A merge that is too large for a checkpoint may be waiting. */
  mergeIsDue = true;

  constructor(files: StoreFiles, sizes: UpkeepSizes = defaultSizes) {
    this.sizes = sizes;
    this.files = files;
    this.port = files.port;
    this.pace = new Pace(files.port);
  }

  /** What runs ends at its next step. */
  stop(): void {
    this.stopped = true;
  }

  /**
   * Under the checkpoint lock, before the checkpoint `to` is recorded: these sessions' entry files were written. An
   * index that is not at `from` is left as it is, which is stale, and built anew by the next list.
   */
  async addCheckpoint(keys: Iterable<string>, from: CommitStamp, to: CommitStamp): Promise<void> {
    const directory = this.files.openPartIfExists(summaryIndexName);
    if (directory === undefined) return;
    let set: RunSet | undefined;
    try {
      set = RunSet.open(this.port, directory, this.files.owner);
      const { head } = set;
      if (head.incarnation !== this.files.manifest.incarnation || !isSameStamp(head.upTo, from)) return;
      const { run, added } = await this.writeStates(directory, set, keys, to);
      const next = { ...head, upTo: to, sessions: head.sessions + added, runs: [...head.runs, ...(run ? [run] : [])] };
      writeHead(this.port, directory, next);
      await this.mergeSmall(directory, next);
    } catch (error) {
      if (!isLossOfIndex(error)) throw error;
    } finally {
      set?.retire();
      this.port.closeDirectory(directory);
    }
  }

  /**
   * Under the checkpoint lock: an index of all entry files as they are, which is the state at the checkpoint. Nothing is
   * done if somebody else has built one meanwhile that is not the `damaged` one.
   */
  async build(damaged: IndexHead | undefined): Promise<void> {
    const { checkpoint, incarnation } = this.files.readManifest();
    const directory = this.files.openOrMakePart(summaryIndexName);
    if (this.isBuilt(directory, incarnation, checkpoint, damaged)) {
      this.port.closeDirectory(directory);
      return;
    }
    const runs: RunInfo[] = [];
    try {
      let chunk: SessionSummary[] = [];
      const endChunk = async () => {
        if (chunk.length > 0) runs.push(await this.writeRun(directory, checkpoint.version, chunk, []));
        chunk = [];
      };
      for (const summary of this.summariesOfFiles()) {
        await this.breathe();
        if (summary === undefined) continue;
        chunk.push(summary);
        if (chunk.length >= this.sizes.chunkRowsMax) await endChunk();
      }
      await endChunk();
      const sessions = runs.reduce((sum, { records }) => sum + records, 0);
      writeHead(this.port, directory, { incarnation, upTo: checkpoint, sessions, runs });
      sweep(this.port, directory, runs);
      this.mergeIsDue = firstToMerge(runs) !== undefined;
    } finally {
      this.port.closeDirectory(directory);
    }
  }

  private isBuilt(
    directory: Directory,
    incarnation: string,
    checkpoint: CommitStamp,
    damaged: IndexHead | undefined,
  ): boolean {
    try {
      const set = RunSet.open(this.port, directory, this.files.owner);
      set.retire();
      const { head } = set;
      if (damaged?.runs.some(({ name }) => head.runs.some((run) => run.name === name))) return false;
      return head.incarnation === incarnation && isSameStamp(head.upTo, checkpoint);
    } catch {
      return false;
    }
  }

  /**
   * Merges what is due, without any lock but for the last step. `underLock` runs its work under the checkpoint lock, or
   * returns false when that is taken.
   */
  async merge(underLock: (work: () => Promise<void>) => Promise<boolean>): Promise<void> {
    this.mergeIsDue = false;
    const directory = this.files.openPartIfExists(summaryIndexName);
    if (directory === undefined) return;
    try {
      const head = readHead(this.port, directory, this.files.owner);
      const first = firstToMerge(head.runs);
      if (first === undefined) return;
      const merged = await this.writeMerged(directory, head, first);
      const isDone = await underLock(async () => {
        const now = readHead(this.port, directory, this.files.owner);
        const runs = replaceRuns(now.runs, head.runs.slice(first), merged);
        // Somebody built or merged meanwhile - or swept what no head named yet.
        if (runs === undefined || this.port.statName(directory, merged.name) === undefined) return;
        writeHead(this.port, directory, { ...now, runs });
        this.unlinkRuns(directory, head.runs.slice(first));
        this.mergeIsDue = firstToMerge(runs) !== undefined;
      });
      // What was written is swept by the next one who has the lock.
      if (!isDone) this.mergeIsDue = true;
    } catch (error) {
      if (!isLossOfIndex(error)) throw error;
    } finally {
      this.port.closeDirectory(directory);
    }
  }

  // --- writing runs ------------------------------------------------------------------------------------------------

  private async writeStates(
    directory: Directory,
    set: RunSet,
    keys: Iterable<string>,
    to: CommitStamp,
  ): Promise<{ run: RunInfo | undefined; added: number }> {
    const present: SessionSummary[] = [];
    const removed: Buffer[] = [];
    let added = 0;
    for (const key of keys) {
      await this.breathe();
      const summary = this.summaryOf(key);
      const wasThere = set.has(key);
      if (summary) present.push(summary);
      else if (wasThere) removed.push(hashKey(key));
      added += Number(summary !== undefined) - Number(wasThere);
    }
    if (present.length + removed.length === 0) return { run: undefined, added: 0 };
    return { run: await this.writeRun(directory, to.version, present, removed), added };
  }

  private writeRun(
    directory: Directory,
    version: number,
    summaries: SessionSummary[],
    removed: readonly Buffer[],
  ): Promise<RunInfo> {
    const writer = new RunWriter(this.port, directory, version, this.pace);
    return writeRun(writer, summaries, removed, () => this.breathe());
  }

  /** One run in place of the newest ones, from `first` on. */
  private async writeMerged(directory: Directory, head: IndexHead, first: number): Promise<RunInfo> {
    const set = RunSet.open(this.port, directory, this.files.owner, { ...head, runs: head.runs.slice(first) });
    try {
      const writer = new RunWriter(this.port, directory, head.upTo.version, this.pace);
      try {
        for (const summary of set.list("updatedAt", undefined, [], () => false)) {
          if (summary) writer.add(summary);
          await this.breathe();
        }
        for (const summary of set.list("key", undefined, [], () => false)) {
          if (summary) writer.addByKey(summary);
          await this.breathe();
        }
        // Below the oldest run there is nothing that a removal could hide.
        if (first > 0) await this.addRemovals(writer, set);
      } catch (error) {
        writer.abandon();
        throw error;
      }
      return await writer.finish();
    } finally {
      set.retire();
    }
  }

  private async addRemovals(writer: RunWriter, set: RunSet): Promise<void> {
    for (const [index, run] of set.runs.entries()) {
      const newer = set.runs.slice(index + 1);
      for (const bucket of run.removedKeys()) {
        for (const keyHash of bucket) {
          if (!newer.some((other) => other.find(keyHash) !== undefined)) writer.addRemoval(keyHash);
        }
        await this.breathe();
      }
    }
  }

  private async mergeSmall(directory: Directory, head: IndexHead): Promise<void> {
    const first = firstToMerge(head.runs);
    if (first === undefined) return;
    const replaced = head.runs.slice(first);
    if (rowsOf(replaced) > this.sizes.inlineRowsMax && head.runs.length <= this.sizes.runsMax) {
      this.mergeIsDue = true;
      return;
    }
    const merged = await this.writeMerged(directory, head, first);
    writeHead(this.port, directory, { ...head, runs: [...head.runs.slice(0, first), merged] });
    this.unlinkRuns(directory, replaced);
  }

  private unlinkRuns(directory: Directory, runs: readonly RunInfo[]): void {
    for (const { name } of runs) unlinkIfThere(this.port, directory, name);
  }

  // --- reading entry files -------------------------------------------------------------------------------------------

  private *summariesOfFiles(): Generator<SessionSummary | undefined> {
    const { entries, owner } = this.files;
    for (const { directory, batch } of entries.list(Number.POSITIVE_INFINITY)) {
      for (const { name } of batch) {
        const parsed = parseEntryFileName(name);
        if (parsed === undefined) continue;
        const key = parsed === "hashed" ? undefined : parsed.key;
        const stored = withoutDamage(() => readEntryFileIfExists(this.port, directory, name, key, owner));
        const isInPlace = stored !== undefined && entries.fileName(stored.key) === name;
        yield isInPlace ? summarizeSession(stored.key, stored.entry) : undefined;
      }
    }
  }

  private summaryOf(key: string): SessionSummary | undefined {
    const stored = withoutDamage(() => this.files.entries.read(key));
    return stored && summarizeSession(key, stored.entry);
  }

  private breathe(): Promise<void> | undefined {
    if (this.stopped) throw new UpkeepStopped("the store is being closed");
    return this.pace.breathe();
  }
}

/** The oldest run from which on all are to become one; `undefined` when they are of well-spaced sizes. */
function firstToMerge(runs: readonly RunInfo[]): number | undefined {
  let newerRows = 0;
  let first: number | undefined;
  for (let index = runs.length - 1; index >= 0; index -= 1) {
    const rows = rowsOf([runs[index] as RunInfo]);
    if (index < runs.length - 1 && rows < newerRows * sizeRatio) first = index;
    newerRows += rows;
  }
  return first;
}

function rowsOf(runs: readonly RunInfo[]): number {
  return runs.reduce((sum, { records, removals }) => sum + records + removals, 0);
}

/** The runs with `merged` in place of `replaced`; `undefined` when those are not there any more, side by side. */
function replaceRuns(
  runs: readonly RunInfo[],
  replaced: readonly RunInfo[],
  merged: RunInfo,
): readonly RunInfo[] | undefined {
  const at = runs.findIndex(({ name }) => name === replaced[0]?.name);
  if (at < 0 || !replaced.every(({ name }, index) => runs[at + index]?.name === name)) return undefined;
  return [...runs.slice(0, at), merged, ...runs.slice(at + replaced.length)];
}

export function isSameStamp(left: CommitStamp, right: CommitStamp): boolean {
  return left.version === right.version && left.record === right.record;
}

/** No index, or none that can be used: no reason to fail for anybody who looks after it. */
function isLossOfIndex(error: unknown): boolean {
  return error instanceof DamagedIndexError || error instanceof UpkeepStopped || hasCode(error, "ENOENT");
}

/** A damaged session has no summary; its error is for those who read it. */
function withoutDamage<Result>(read: () => Result): Result | undefined {
  try {
    return readPatiently(read);
  } catch (error) {
    // A file that cannot be read just now, or not be trusted where it lies, is not damaged; its session must not vanish from
    // all lists to come.
    if (error instanceof SessionStoreError && mayBeIntact(error.cause)) throw error.cause;
    if (error instanceof SessionStoreError && error.code === "entry_damaged") return undefined;
    throw error;
  }
}
