/**
 * One save, under both locks: what it writes, in which order, and what each crash leaves.
 *
 *   1. Write and sync, under temporary names: the backup (when the file is large), the versions file, `sessions.json`.
 *   2. Rename the versions file. It now has the state of the old and of the new `sessions.json` (versions-file.ts).
 *   3. Rename the backup to `sessions.json.bak.<ms>`.
 *   4. Rename the new `sessions.json` over the old one. This is the commit.
 *   5. Sync the directory. Only then is it acknowledged.
 *   6. Remove backups that are too many.
 *
 * `sessions.json` is the old file, whole, up to 4, and the new one, whole, from then on: a rotation copies it and never
 * moves it. A crash before 4 leaves temporary files, or a backup more; the next save removes the temporary ones.
 */

import { fromSystemError, SessionStoreError } from "../../errors.js";
import { freeBackupName } from "../../fs/backup-name.js";
import { type FileStat, hasCode } from "../../fs/port.js";
import { readStableFile } from "../../fs/stable-file.js";
import { fixedLimits } from "../../limits.js";
import type { Batch } from "./batch.js";
import { isTemporaryName, livePathOf, temporaryName, versionsName } from "./layout.js";
import { closeAfter, removeBestEffort, writeSynced } from "./new-file.js";
import type { ViewReader } from "./reader.js";
import { existingBackups, pruneBackups } from "./rotate.js";
import { advance, type BackupRecord, formatVersionsFile, ledgerFor, type VersionsFile } from "./versions-file.js";
import type { LiveContent, View } from "./view.js";
import { checksumOf, identityOf } from "./watched-file.js";

export interface SaveOptions {
  /** A `sessions.json` of more bytes is copied before it is replaced. */
  readonly rotateBytes: number;
}

/** What a person should know about a save. For the logger, which is not called under a lock. */
export interface Notice {
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** Thrown when the new file is in place and only its durability is unknown. */
export class UnsyncedSave extends Error {}

/** Thrown when a program that does not take the locks wrote the file meanwhile. Nothing was changed: begin again. */
export class ForeignWrite extends Error {}

/** Writes what the batch changed. The caller holds both locks and made the batch from `reader.current()` under them. */
export async function save(reader: ViewReader, view: View, batch: Batch, options: SaveOptions): Promise<Notice[]> {
  const text = batch.isTextChanged ? toText(batch, reader, view) : undefined;
  const checksum = text === undefined ? view.live.checksum : checksumOf(text);
  return new Saving(reader, view, batch, options).run(checksum === view.live.checksum ? undefined : text, checksum);
}

/** The gateway's form: two spaces, no newline at the end. */
function toText(batch: Batch, reader: ViewReader, view: View): Uint8Array {
  requireFaithful(batch, view);
  const { legacyFileBytes } = reader.rules.limits;
  let text: Uint8Array | undefined;
  try {
    text = Buffer.from(JSON.stringify(batch.document, null, 2));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // Longer than any string may be.
  }
  if (text !== undefined && text.byteLength <= legacyFileBytes) return text;
  throw new SessionStoreError(
    "limit_exceeded",
    `the file would have ${text === undefined ? "more" : text.byteLength} bytes, the limit (legacyFileBytes) is ${legacyFileBytes}`,
    {
      onDisk: "Nothing was changed.",
      nextStep: "Remove sessions that are no longer needed, or take the store over into a directory store.",
    },
  );
}

/** What nobody can read stays as it is. A number that JSON cannot hold (1e999, NaN) would be written as null. */
function requireFaithful(batch: Batch, view: View): void {
  for (const [name, { key, problem }] of view.unreadable) {
    const value = batch.document[name];
    if (value === undefined || !holdsUnwritable(value)) continue;
    throw new SessionStoreError("entry_damaged", `an entry that cannot be written back as it is: ${problem}`, {
      key: key ?? name,
      onDisk: "Nothing was changed.",
      nextStep: "Correct this entry in the file, then try again.",
    });
  }
}

function holdsUnwritable(value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsUnwritable);
}

interface TemporaryFile {
  readonly name: string;
  readonly stat: FileStat;
}

class Saving {
  readonly #reader: ViewReader;
  readonly #view: View;
  readonly #batch: Batch;
  readonly #options: SaveOptions;
  readonly #temporary = new Set<string>();

  constructor(reader: ViewReader, view: View, batch: Batch, options: SaveOptions) {
    this.#reader = reader;
    this.#view = view;
    this.#batch = batch;
    this.#options = options;
  }

  /** `text` is absent when `sessions.json` stays as it is, byte for byte. */
  async run(text: Uint8Array | undefined, checksum: string): Promise<Notice[]> {
    const { port, parent, location } = this.#reader;
    const { legacyName } = location;
    const readAtMs = port.nowMs();
    try {
      const backup = text === undefined ? undefined : this.#planBackup();
      const versions = this.#versions(checksum, text !== undefined, backup?.record);
      const versionsText = Buffer.from(formatVersionsFile(versions));
      const writing = [this.#write(versionsText), this.#write(text), this.#write(backup?.bytes)] as const;
      // To the end of each, also of those beside one that failed: what is still written cannot be removed.
      await Promise.allSettled(writing);
      const [versionsFile, liveFile, backupFile] = await Promise.all(writing);
      // A program that knows no locks - an editor - may have written while we did; its change is not to be lost.
      if (this.#reader.current() !== this.#view) throw new ForeignWrite();
      if (backup !== undefined && port.statName(parent, backup.record.name) !== undefined) throw new ForeignWrite();
      this.#rename(versionsFile.name, versionsName(legacyName));
      this.#reader.versionsFile.remember(versionsFile.stat, checksumOf(versionsText), readAtMs);
      if (backup !== undefined && backupFile !== undefined) this.#rename(backupFile.name, backup.record.name);
      if (liveFile !== undefined) {
        this.#rename(liveFile.name, legacyName);
        this.#reader.liveFile.remember(liveFile.stat, checksum, readAtMs);
      }
      this.#reader.replaceView(this.#nextView(text, checksum, liveFile?.stat, versions), versions);
      await this.#syncNames();
      return this.#prune(versions, backup?.record);
    } catch (error) {
      for (const name of this.#temporary) removeBestEffort(port, parent, name);
      if (error instanceof UnsyncedSave || error instanceof ForeignWrite) throw error;
      this.#reader.versionsFile.forget();
      this.#reader.liveFile.forget();
      throw fromSystemError(error, {
        operation: "commit",
        path: livePathOf(location),
        onDisk: "Nothing of this commit was written: the file holds what it held before.",
      });
    }
  }

  /** Before a large file is replaced, and before comments are lost; a copy for these is nobody's to remove. */
  #planBackup(): { bytes: Uint8Array; record: BackupRecord } | undefined {
    const { port, parent, location, rules } = this.#reader;
    const { live } = this.#view;
    const isLarge = live.sizeBytes > this.#options.rotateBytes;
    if (!isLarge && live.tolerated.length === 0) return undefined;
    const found = readStableFile(port, parent, location.legacyName, rules.limits.legacyFileBytes);
    if (found.state !== "read" || checksumOf(found.bytes) !== live.checksum) throw new ForeignWrite();
    const record = { name: freeBackupName(port, parent, location.legacyName), checksum: live.checksum };
    return { bytes: found.bytes, record };
  }

  #write(bytes: Uint8Array): Promise<TemporaryFile>;
  #write(bytes: Uint8Array | undefined): Promise<TemporaryFile | undefined>;
  async #write(bytes: Uint8Array | undefined): Promise<TemporaryFile | undefined> {
    if (bytes === undefined) return undefined;
    const { port, parent, location } = this.#reader;
    const name = temporaryName(location.legacyName, port.randomBytes(16));
    const file = await writeSynced(port, parent, name, bytes);
    this.#temporary.add(name);
    return { name, stat: closeAfter(port, file) };
  }

  /** With a text, the old state stays in the file beside the new one. */
  #versions(checksum: string, isReplaced: boolean, backup: BackupRecord | undefined): VersionsFile {
    const { port, parent, versions } = this.#reader;
    const { changed, removed } = this.#batch.changes();
    const { number, tag } = this.#batch.last;
    const next = { checksum, last: number, lastTag: tag, changed, removed, commits: this.#batch.commits };
    const isOurs = backup !== undefined && this.#view.live.tolerated.length === 0;
    const known = versions?.backups ?? [];
    const backups = isOurs ? [...existingBackups(port, parent, known), backup] : known;
    const base = { ...this.#view.ledger, identity: this.#view.live.identity };
    const file: VersionsFile = { keyRule: this.#view.keyRule, base, next, backups };
    if (isReplaced) return file;
    // The same text, and yet a commit: one state, with the new versions.
    return { ...file, base: advance(this.#view.ledger, next), next: undefined };
  }

  #nextView(text: Uint8Array | undefined, checksum: string, stat: FileStat | undefined, versions: VersionsFile): View {
    const { document, sessions } = this.#batch;
    const view = this.#view;
    const live: LiveContent =
      text === undefined || stat === undefined
        ? view.live
        : {
            document,
            checksum,
            identity: identityOf(stat),
            sizeBytes: text.byteLength,
            modifiedMs: stat.modifiedMs,
            tolerated: [],
          };
    const damaged = new Map([...view.damaged].filter(([key]) => !sessions.has(key)));
    const unreadable = new Map(
      [...view.unreadable].filter(([name, { key }]) => key === undefined || damaged.has(key) || name !== key),
    );
    const spellings = new Map(view.spellings);
    for (const key of versions.next?.changed.keys() ?? []) spellings.set(key, [key]);
    for (const key of versions.next?.removed ?? []) spellings.delete(key);
    return {
      ...view,
      live,
      sessions,
      damaged,
      unreadable,
      spellings,
      ledger: ledgerFor(versions, live),
      isForeign: false,
    };
  }

  async #syncNames(): Promise<void> {
    const { port, parent } = this.#reader;
    try {
      await port.syncDirectory(parent);
    } catch (error) {
      throw new UnsyncedSave("the directory could not be synced", { cause: error });
    }
  }

  #prune(versions: VersionsFile, backup: BackupRecord | undefined): Notice[] {
    const { port, parent, location, rules } = this.#reader;
    if (backup === undefined) return [];
    pruneBackups(port, parent, location.legacyName, versions.backups, rules.limits.legacyFileBytes);
    const { tolerated } = this.#view.live;
    if (tolerated.length === 0) return [];
    const message = `the file had ${tolerated.join(" and ")}; it was written as strict JSON, so comments and the like are only in its copy`;
    return [{ message, fields: { path: livePathOf(location), backup: backup.name } }];
  }

  #rename(temporary: string, name: string): void {
    const { port, parent } = this.#reader;
    port.rename(parent, temporary, parent, name);
    this.#temporary.delete(temporary);
  }
}

/** Removes what writers that died left behind. Only under both locks: then every such file is an orphan. */
export function sweepTemporaryFiles({ port, parent, location }: ViewReader): void {
  try {
    for (const { name } of port.list(parent, sweptEntriesMax)) {
      if (isTemporaryName(location.legacyName, name)) removeBestEffort(port, parent, name);
    }
  } catch (error) {
    if (!hasCode(error, "EOVERFLOW")) throw error; // A folder full of transcripts: not worth the time.
  }
}

const sweptEntriesMax = 16 * fixedLimits.strayFilesMax;
