/**
 * What maintenance knows at every write without loading the store: how many sessions there are, how old each is, and
 * which transcripts they have. Of a directory store it is read once per open handle and then kept by the journal; of a
 * single file, which is in memory anyway, it is counted anew.
 */

import type { ActivityTable, SessionActivity } from "../backends/directory/activity.js";
import { DirectoryBackend } from "../backends/directory/backend.js";
import type { Backend } from "../contract.js";
import { MaintenanceTracker } from "./maintenance-tracker.js";

export class WriteFacts {
  readonly backend: Backend;
  readonly tracker = new MaintenanceTracker();
  #table: ActivityTable | undefined;
  #counted: ReadonlyMap<string, SessionActivity> = new Map();
  #isTracked = false;
  #filling: Promise<void> | undefined;

  constructor(backend: Backend) {
    this.backend = backend;
  }

  /** Every session, as of the last commit that this process knows. Call `bringUpToDate` first. */
  get sessions(): ReadonlyMap<string, SessionActivity> {
    return this.#table?.sessions ?? this.#counted;
  }

  async bringUpToDate(): Promise<void> {
    if (!(this.backend instanceof DirectoryBackend)) {
      this.#counted = await countSessions(this.backend);
      this.tracker.reset(this.#counted.values());
      return;
    }
    if (this.#isTracked && this.#table?.isCurrent === true) return;
    this.#filling ??= this.#fill(this.backend).finally(() => {
      this.#filling = undefined;
    });
    await this.#filling;
  }

  async #fill(backend: DirectoryBackend): Promise<void> {
    this.#table ??= backend.activity();
    const table = this.#table;
    this.#isTracked = false;
    table.listen(() => {});
    await table.fill((query) => backend.list(query));
    this.tracker.reset(table.sessions.values());
    this.#isTracked = table.isCurrent;
    table.listen((before, after) => this.#note(before, after));
  }

  #note(before: SessionActivity | undefined, after: SessionActivity | undefined): void {
    const { tracker } = this;
    let fits = true;
    if (before === undefined && after === undefined) return;
    if (before === undefined) tracker.added(after?.updatedAt);
    else if (after === undefined) fits = tracker.removed(before.updatedAt);
    else fits = tracker.changed(before.updatedAt, after.updatedAt);
    if (!fits) this.#isTracked = false;
  }

  close(): void {
    this.#table?.close();
    this.#table = undefined;
  }
}

async function countSessions(backend: Backend): Promise<Map<string, SessionActivity>> {
  const sessions = new Map<string, SessionActivity>();
  let cursor: string | undefined;
  do {
    const page = await backend.list({ order: "key", limit: 10_000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { key, updatedAt, sessionId } of page.sessions) sessions.set(key, { updatedAt, sessionId });
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return sessions;
}
