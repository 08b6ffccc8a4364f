/**
 * Writes the states that journaled changes lead to: trash first, then entry files, each synced before it is renamed
 * into place (P8). Idempotent, so that a crash in the middle is finished by running it again. Only under the checkpoint
 * lock.
 */

import type { Logger } from "../../../contract.js";
import type { Pace } from "../../../fs/pace.js";
import { type Directory, hasCode } from "../../../fs/port.js";
import type { KeyHistories, KeyHistory } from "../journal/key-histories.js";
import * as layout from "../layout.js";
import type { StoreFiles } from "../store-files.js";
import { formatEntryFile, writeTemporaryFile } from "./entry-file.js";
import { type FoldedState, foldKey } from "./fold.js";
import { formatTrashFile } from "./trash-file.js";

/** Files that are written and synced at the same time. */
const parallelFilesMax = 8;

export class StateWriter {
  private readonly files: StoreFiles;
  private readonly pace: Pace;
  private readonly logger: Logger | undefined;

  constructor(files: StoreFiles, pace: Pace, logger: Logger | undefined) {
    this.files = files;
    this.pace = pace;
    this.logger = logger;
  }

  /** Everything is durable when this resolves. */
  async write(histories: KeyHistories): Promise<void> {
    const keysWithTrash = [...histories.keysWithTrash()];
    if (keysWithTrash.length > 0) {
      const trash = this.files.openOrMakePart(layout.trashName);
      try {
        await this.inParallel(keysWithTrash, (key) => this.writeTrash(trash, histories.historyOf(key)));
        await this.files.port.syncDirectory(trash);
      } finally {
        this.files.port.closeDirectory(trash);
      }
      // Its own name too: whoever made trash/ may have died right after, or it may have been just now.
      await this.files.port.syncDirectory(this.files.store);
    }
    const touched = new Set<Directory>();
    await this.inParallel([...histories.keys()], async (key) => {
      const directory = await this.writeEntry(histories.historyOf(key));
      if (directory) touched.add(directory);
    });
    if (this.files.manifest.shardDigits > 0) touched.add(this.files.entries.root);
    for (const directory of touched) await this.files.port.syncDirectory(directory);
  }

  private async writeTrash(trash: Directory, history: KeyHistory): Promise<void> {
    for (const trashed of foldKey(this.files.entries, history).trashed) {
      const { key, timeMs, version } = trashed.removal;
      const name = layout.trashFileName(timeMs, version, this.files.entries.fileName(key));
      // Named by the removal's version, so an interrupted checkpoint that comes again finds its own file (P16).
      if (this.files.port.statName(trash, name)) continue;
      await this.replace(trash, name, formatTrashFile(trashed));
    }
  }

  private async writeEntry(history: KeyHistory): Promise<Directory | undefined> {
    const { key, result } = foldKey(this.files.entries, history);
    switch (result.action) {
      case "none":
        // Written by somebody who died, or whose sync failed, before the checkpoint was recorded: its name may not be
        // on the disk yet, so the directory must be synced all the same (P8).
        return this.files.entries.findPlace(key)?.directory;
      case "quarantine":
        await this.quarantineRecords(key, history, result.problem);
        return undefined;
      case "write":
        return this.putEntry(key, result.state, result.replacesDamaged);
      case "unlink":
        return this.unlinkEntry(key, result.removesDamaged);
    }
  }

  private async putEntry(key: string, state: FoldedState, replacesDamaged: boolean): Promise<Directory | undefined> {
    const place = this.files.entries.makePlace(key);
    if (replacesDamaged && !(await this.files.quarantineCopy(place.directory, place.name))) {
      // Not a file we may read - a link, a FIFO, another session's entry. Moving it away keeps it and frees its name.
      await this.files.makeQuarantine();
      this.files.quarantineMove(place.directory, place.name);
    }
    await this.replace(place.directory, place.name, formatEntryFile(key, state, state.entry, state.generations));
    return place.directory;
  }

  private async unlinkEntry(key: string, removesDamaged: boolean): Promise<Directory | undefined> {
    const place = this.files.entries.findPlace(key);
    if (place === undefined) return undefined;
    if (removesDamaged) await this.files.makeQuarantine();
    try {
      // What is damaged is kept, whatever it is; and a directory could not be unlinked at all (P16).
      if (removesDamaged) this.files.quarantineMove(place.directory, place.name);
      else this.files.port.unlink(place.directory, place.name);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
    return place.directory;
  }

  /** P16: one damaged session must not block its segment for ever. What is put aside is durable before that goes on. */
  private async quarantineRecords(key: string, history: KeyHistory, problem: string): Promise<void> {
    const lines = history.map((change) => `${JSON.stringify(change)}\n`).join("");
    await this.files.quarantineDurably(`${this.files.entries.fileName(key)}.records.jsonl`, Buffer.from(lines, "utf8"));
    this.logger?.warn("a session could not be checkpointed; its journal records were copied to quarantine/", {
      path: this.files.store.displayPath,
      problem,
    });
  }

  /** P8: the temporary file is synced before its rename. */
  private async replace(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
    const temporary = layout.temporaryName(this.files.port.randomBytes(16));
    await writeTemporaryFile(this.files.port, directory, temporary, bytes);
    this.files.port.rename(directory, temporary, directory, name);
  }

  /** Runs all of them, a few at a time; waits for every one that was started, then throws the first error. */
  private async inParallel<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
    let next = 0;
    let failure: { error: unknown } | undefined;
    const worker = async () => {
      while (next < items.length && failure === undefined) {
        const item = items[next] as Item;
        next += 1;
        try {
          await this.pace.breathe();
          await run(item);
        } catch (error) {
          failure ??= { error };
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallelFilesMax, items.length) }, worker));
    if (failure) throw failure.error;
  }
}
