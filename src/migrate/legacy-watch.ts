/**
 * Looks after the legacy file beside an open store: a program that knows nothing of us may write one at any time. At
 * opening, and after each commit - one `stat`, which commits of one turn of the event loop share - it is noticed, merged
 * in the background, and reported.
 *
 * Promises: no commit waits for a merge or fails because of one; one merge at a time in a handle; a file that could not
 * be merged is not tried again until it changes. What goes wrong is a warning: the file stays where it is.
 */

import type { Companion, DirectoryBackend } from "../backends/directory/backend.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { Logger } from "../contract.js";
import type { Directory, FileStat, Port } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import type { Limits } from "../limits.js";
import { legacyPathOf } from "./result.js";

export interface LegacyWatchOptions {
  readonly limits: Readonly<Limits>;
  /** "never": a file that is there is reported, and left alone. */
  readonly migrate: "auto" | "never";
  readonly logger: Logger | undefined;
  /** See `MergeOptions`. */
  readonly lateBackup?: string | undefined;
}

export class LegacyWatch implements Companion {
  private readonly port: Port;
  private readonly backend: DirectoryBackend;
  private readonly location: StoreLocation;
  private readonly options: LegacyWatchOptions;
  private readonly parent: Directory;
  private running: Promise<void> | undefined;
  /** The file as it was when it was dealt with last, for better or worse. */
  private seen: FileStat | undefined;
  /** There was a commit while a merge was running - its own, perhaps -, so the file may be another one by now. */
  private mustLookAgain = false;
  /** The last of the commits that nobody has looked after yet. */
  private unseenCommit: Promise<unknown> | undefined;
  private isSettled = false;
  /** Until it is merged. */
  private lateBackup: string | undefined;

  private constructor(port: Port, backend: DirectoryBackend, location: StoreLocation, options: LegacyWatchOptions) {
    this.port = port;
    this.backend = backend;
    this.location = location;
    this.options = options;
    this.lateBackup = options.lateBackup;
    this.parent = port.openRoot(location.parentPath);
  }

  /** For a store that was just opened for writing: deals with a file that is there, then watches. Never throws. */
  static async start(
    port: Port,
    backend: DirectoryBackend,
    location: StoreLocation,
    options: LegacyWatchOptions,
  ): Promise<void> {
    let watch: LegacyWatch;
    try {
      watch = new LegacyWatch(port, backend, location, options);
    } catch (error) {
      options.logger?.warn(`nobody looks for a legacy file beside the store: ${String(error)}`);
      return;
    }
    backend.companion = watch;
    if (options.lateBackup === undefined) watch.look();
    else watch.run(undefined);
    await watch.running;
  }

  noteCommit(committed: Promise<unknown>): void {
    const isPlanned = this.unseenCommit !== undefined;
    this.unseenCommit = committed;
    if (!isPlanned && !this.isSettled) void this.port.yieldToEventLoop().then(() => this.lookAfterCommits());
  }

  async settle(): Promise<void> {
    this.lookAfterCommits();
    this.isSettled = true;
    await this.running;
    this.port.closeDirectory(this.parent);
  }

  private lookAfterCommits(): void {
    const committed = this.unseenCommit;
    this.unseenCommit = undefined;
    if (committed !== undefined) this.look(committed);
  }

  private look(committed?: Promise<unknown>): void {
    if (this.isSettled) return;
    if (this.running !== undefined) {
      this.mustLookAgain = true;
      return;
    }
    let there: FileStat | undefined;
    try {
      // Nearly always there is nothing: the short cut says that nothing is there, or the descriptor what.
      if (this.port.statAtPath && this.port.statAtPath(this.parent, this.location.legacyName) === undefined) return;
      there = this.port.statName(this.parent, this.location.legacyName);
    } catch {
      return; // Whatever it is, the next commit meets it again.
    }
    if (there === undefined || (this.seen !== undefined && isSameFile(this.seen, there))) return;
    this.seen = there;
    this.run(committed);
  }

  private run(committed: Promise<unknown> | undefined): void {
    this.mustLookAgain = false;
    this.running = this.deal(committed).finally(() => {
      this.running = undefined;
      if (this.mustLookAgain) this.look();
    });
  }

  private async deal(committed: Promise<unknown> | undefined): Promise<void> {
    const path = legacyPathOf(this.location);
    const { logger } = this.options;
    if (this.options.migrate === "never") {
      logger?.warn(ignored(path, this.location), { path });
      return;
    }
    try {
      // Reading a large file takes its time: first the commit that noticed it.
      if (committed !== undefined) {
        await committed.catch(() => {});
        await this.port.yieldToEventLoop();
      }
      const isStopped = () => this.isSettled;
      const { limits } = this.options;
      const { lateBackup } = this;
      this.lateBackup = undefined;
      // Not before there is something to merge: most openings find nothing.
      const { mergeLegacyFile } = await import("./merge.js");
      const done = await mergeLegacyFile(this.port, this.backend, this.location, { limits, isStopped, lateBackup });
      const { backupPath } = done;
      for (const warning of done.warnings) logger?.warn(warning, { path, backupPath });
      if (done.state === "nothing" && backupPath !== undefined) {
        logger?.info?.("a legacy file whose sessions were taken over before was renamed", { path, backupPath });
      }
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      logger?.warn(`a legacy file beside the store could not be merged; it stays where it is: ${what}`, { path });
    }
  }
}

function ignored(path: string, location: StoreLocation): string {
  return (
    `${path} is ignored: the sessions are in ${location.directoryName}, and this store was opened with migrate: "never". ` +
    "Perhaps an older program still writes to it: stop that program. `sessiondir migrate` merges the file into the store."
  );
}
