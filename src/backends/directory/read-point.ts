/**
 * Synchronous reads at one version of the store, without any lock: what a caller's function sees while it runs - for
 * microseconds or for minutes - is one state, and nobody waits for it, neither commits nor checkpoints.
 *
 * How: before the view applies a commit, what the commit changes is kept as it was. That covers everything but one case:
 * another process may commit *and* checkpoint before this view hears of it; then the entry file is ahead of the read
 * point and the state as of then is nowhere any more. Such a key is *lost*, and reading it throws `ReadPointLostError`:
 * the caller takes a new read point. It is told from the version in the file; for a file that is not there, from whether
 * the journal - asked again after the look - names the key since then.
 *
 * Promises: a state that is returned is the one as of `version`. Does not: wait, lock, or keep anything after `close`.
 */

import type { Versioned } from "../../contract.js";
import { readEntryFileIfExists } from "./entries/entry-file.js";
import type { CommitRecord } from "./journal/record.js";
import { parseEntryFileName } from "./layout.js";
import type { View, ViewFollower } from "./view.js";

/** What was asked for can no longer be told as of this version. Nothing is wrong with the store. */
export class ReadPointLostError extends Error {
  override readonly name = "ReadPointLostError";
  constructor() {
    super("the store moved on while it was read: read it again");
  }
}

interface Kept {
  readonly versioned: Versioned | undefined;
}

const entriesMax = 8_000_000;

export class ReadPoint implements ViewFollower {
  /** The commit as of which everything is read. */
  readonly version: number;
  readonly #view: View;
  readonly #refresh: () => void;
  /** What later commits changed, as it was before them. */
  readonly #before = new Map<string, Kept | "lost">();
  #isLost = false;

  /** As of the last commit there is. `refresh` brings the view up to date, or throws why that cannot be. */
  constructor(view: View, refresh: () => void) {
    this.#view = view;
    this.#refresh = refresh;
    refresh();
    this.version = view.last.version;
    view.followers.add(this);
  }

  /** Throws `ReadPointLostError`, `entry_damaged`, and what the refresh of the view throws. */
  read(key: string): Versioned | undefined {
    this.#catchUp();
    const kept = this.#before.get(key);
    if (kept !== undefined) return this.#take(kept);
    const versioned = this.#readOrLose(key);
    const isAhead = versioned !== undefined && versionOf(versioned) > this.version;
    // Asked again after the look: a file that is missing now may be one that a checkpoint took away just before.
    this.#catchUp();
    if (isAhead || (versioned === undefined && this.#before.has(key))) throw new ReadPointLostError();
    return versioned;
  }

  /** What looks damaged may be a file that a checkpoint took away: that too is known after another look only. */
  #readOrLose(key: string): Versioned | undefined {
    try {
      return this.#view.read(key);
    } catch (error) {
      this.#catchUp();
      throw this.#before.has(key) ? new ReadPointLostError() : error;
    }
  }

  /** Every key, ascending. Damaged sessions are among them; reading them throws. */
  keys(): string[] {
    this.#catchUp();
    const listed = this.#listFiles();
    this.#catchUp();
    const candidates = new Set([...listed, ...this.#before.keys()]);
    for (const segment of this.#view.segments) for (const key of segment.overlay.changes.keys()) candidates.add(key);
    return [...candidates].filter((key) => this.#exists(key, listed)).sort();
  }

  /** Whether the journal - not the trash - holds a removal of this session that nothing followed. */
  isRemovedInJournal(key: string): boolean {
    return this.#view.latestChange(key)?.type === "remove";
  }

  close(): void {
    this.#view.followers.delete(this);
    this.#before.clear();
  }

  beforeCommit(record: CommitRecord): void {
    if (this.#isLost) return;
    for (const { key } of record.operations) if (!this.#before.has(key)) this.#before.set(key, this.#keep(key));
  }

  reset(): void {
    this.#isLost = true;
    this.#before.clear();
  }

  #catchUp(): void {
    this.#refresh();
    if (this.#isLost) throw new ReadPointLostError();
  }

  #take(kept: Kept | "lost"): Versioned | undefined {
    if (kept === "lost") throw new ReadPointLostError();
    return kept.versioned;
  }

  #keep(key: string): Kept | "lost" {
    try {
      const isKnown = this.#view.latestChange(key) !== undefined || this.#view.cache.peekVersion(key) !== undefined;
      const versioned = this.#view.read(key);
      if (versioned === undefined) return isKnown ? { versioned } : "lost";
      return versionOf(versioned) > this.version ? "lost" : { versioned };
    } catch {
      // Damaged, or a base that is ahead: whoever reads it hears of it at a new read point.
      return "lost";
    }
  }

  #exists(key: string, listed: ReadonlySet<string>): boolean {
    const kept = this.#before.get(key);
    if (kept !== undefined) return this.#take(kept) !== undefined;
    const change = this.#view.latestChange(key);
    return change === undefined ? listed.has(key) : change.type !== "remove";
  }

  #listFiles(): Set<string> {
    const { files } = this.#view;
    const keys = new Set<string>();
    for (const { directory, batch } of files.entries.list(entriesMax)) {
      for (const { name, kind } of batch) {
        const parsed = kind === "file" ? parseEntryFileName(name) : undefined;
        if (parsed === undefined) continue;
        if (parsed !== "hashed") keys.add(parsed.key);
        else {
          try {
            const stored = readEntryFileIfExists(files.port, directory, name, undefined, files.owner);
            if (stored !== undefined) keys.add(stored.key);
          } catch {
            // Its key stands in it and nowhere else, so nobody can ask for it; `verify` reports it.
          }
        }
      }
    }
    return keys;
  }
}

/** A token begins with the number of its commit. */
function versionOf(versioned: Versioned): number {
  return Number.parseInt(versioned.version, 10);
}
