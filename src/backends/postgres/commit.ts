/**
 * Commits. One session with an expectation is one statement; everything else is a transaction that locks the lanes of
 * all its sessions in ascending order. No caller's code runs in between, so a lane is held for a few round trips.
 *
 * What the server undid (a deadlock, a serialisation failure) is tried again. What may have happened or not, because the
 * answer was lost, is found out (outcome.ts) and tried again only when it certainly did not happen.
 */

import type { CommitRequest, CommitResult, Operation, Versioned, VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import {
  claimStatement,
  createStatement,
  currentStatement,
  lockLanesStatement,
  removeStatement,
  replaceStatement,
  writeStatement,
} from "./commit-statements.js";
import type { Connection } from "./connection.js";
import { ConnectionLost, isTransient, wantsAnotherConnection } from "./failures.js";
import { lastThrough, registeredEpoch } from "./outcome.js";
import type { Place, Pool } from "./pool.js";
import { readSessions } from "./read.js";
import {
  columnsOf,
  decodeKey,
  encodeKey,
  generationsColumn,
  laneOf,
  originColumn,
  type SessionColumns,
} from "./rows.js";
import { type Replacement, Together } from "./together.js";

export interface CommitterParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  readonly lanes: number;
  readonly limits: Readonly<Limits>;
  readonly location: string;
}

/** A commit with everything worked out that needs no server. */
interface Prepared {
  readonly version: VersionToken;
  readonly origin: string | null;
  readonly request: CommitRequest;
  readonly columns: ReadonlyMap<string, SessionColumns>;
}

type Attempt = CommitResult | "again";

const versionBytes = 12;

export class Committer {
  readonly #parts: CommitterParts;
  readonly #together: Together;
  #random = Buffer.alloc(0);
  #randomUsed = 0;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#together = new Together({
      pool: parts.pool,
      store: parts.store,
      lastThrough: (place) => this.#lastThrough(place),
      unknown: (version, cause) => this.#unknown(version, cause),
    });
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    const prepared = this.#prepare(request);
    const replacement = this.#replacementOf(prepared);
    if (replacement === undefined) return this.#commitAlone(prepared);
    const { version } = prepared;
    return this.#together.commit<CommitResult>(
      replacement,
      () => ({ status: "committed", version }),
      () => this.#commitAlone(prepared),
    );
  }

  #commitAlone(prepared: Prepared): Promise<CommitResult> {
    const { request, version } = prepared;
    return this.#parts.pool.use(async (place) => {
      const progress = { answerLost: false };
      try {
        return await this.#runToItsEnd(place, prepared, progress);
      } catch (error) {
        // Without a fence, an attempt that was lost on its way may still arrive.
        if (progress.answerLost && expectsOneVersion(request)) throw this.#unknown(version, error);
        throw error;
      }
    }, request.signal);
  }

  /** What can go together with others; one that may be aborted while it waits goes alone. */
  #replacementOf({ request, version, origin, columns }: Prepared): Replacement | undefined {
    const only = request.operations[0];
    if (only === undefined || only.type === "remove" || request.signal !== undefined) return undefined;
    if (!expectsOneVersion(request) || only.generations !== undefined) return undefined;
    const { key } = only;
    const { doc, summary, recency, kind, channel, search } = columns.get(key)!;
    const place = [encodeKey(key), laneOf(key, this.#parts.lanes), request.expected.get(key)!, version, origin];
    return { key, version, values: [...place, doc, summary, recency, kind, channel, search], bytes: doc.length };
  }

  #prepare(request: CommitRequest): Prepared {
    const columns = new Map<string, SessionColumns>();
    let bytes = 0;
    for (const operation of request.operations) {
      if (operation.type === "remove") continue;
      const made = columnsOf(operation.key, operation.entry);
      columns.set(operation.key, made);
      bytes += Buffer.byteLength(made.doc);
    }
    const { recordBytes } = this.#parts.limits;
    if (bytes > recordBytes) {
      throw new SessionStoreError(
        "limit_exceeded",
        `the entries of the commit have ${bytes} bytes, the limit (recordBytes) is ${recordBytes}`,
        { nextStep: "Make several smaller commits." },
      );
    }
    return { version: this.#newVersion(), origin: originColumn(request), request, columns };
  }

  /** 96 random bits, fetched for many at once: one call for each costs more than the rest of the preparation. */
  #newVersion(): VersionToken {
    if (this.#randomUsed === this.#random.length) {
      this.#random = Buffer.from(this.#parts.port.randomBytes(versionBytes * 128));
      this.#randomUsed = 0;
    }
    this.#randomUsed += versionBytes;
    return this.#random.toString("base64url", this.#randomUsed - versionBytes, this.#randomUsed);
  }

  async #runToItsEnd(place: Place, prepared: Prepared, progress: { answerLost: boolean }): Promise<CommitResult> {
    const { pool, port, store } = this.#parts;
    const { signal } = prepared.request;
    const deadlineMs = pool.deadline();
    let unexplained = 0;
    for (let attempt = 1; ; attempt += 1) {
      const connection = await pool.connected(place, deadlineMs, signal);
      const sent = { mayHaveHappened: false };
      try {
        const epoch = await registeredEpoch(connection, store, place);
        const result = await this.#attempt(connection, place.writer, epoch, prepared, sent);
        // What is in the way may be this very commit, from an attempt whose answer was lost after others had moved on.
        const mine = progress.answerLost && result !== "again" && result.status === "conflict";
        if (mine && (await this.#findOutcome(place, prepared.version))) {
          return { status: "committed", version: prepared.version };
        }
        if (result !== "again") return result;
        // A writer's row that somebody removed, or a session that came and went: both are rare, and neither lasts.
        place.epoch = undefined;
        unexplained += 1;
        if (unexplained % 5 === 0) await this.#requireStore(connection);
      } catch (error) {
        if (error instanceof ConnectionLost) {
          if (sent.mayHaveHappened) {
            progress.answerLost = true;
            if (await this.#findOutcome(place, prepared.version)) {
              return { status: "committed", version: prepared.version };
            }
          }
        } else if (wantsAnotherConnection(error)) {
          connection.destroy();
        } else if (!isTransient(error)) {
          throw error;
        }
        if (port.monotonicMs() >= deadlineMs) throw error;
      }
      await pool.pause(attempt, signal);
    }
  }

  async #findOutcome(place: Place, version: VersionToken): Promise<boolean> {
    try {
      return (await this.#lastThrough(place)) === version;
    } catch (error) {
      throw this.#unknown(version, error);
    }
  }

  /** Not for ever, but a whole wait of its own: the server may just be on its way back. */
  async #lastThrough(place: Place): Promise<string | undefined> {
    const { pool, port, store } = this.#parts;
    const deadlineMs = pool.deadline();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await lastThrough(await pool.connected(place, deadlineMs), store, place);
      } catch (error) {
        if (port.monotonicMs() >= deadlineMs) throw error;
        if (!(error instanceof ConnectionLost)) place.connection?.destroy();
      }
      await pool.pause(attempt);
    }
  }

  #unknown(version: VersionToken, cause: unknown): SessionStoreError {
    if (cause instanceof SessionStoreError && cause.code === "outcome_unknown") return cause;
    return new SessionStoreError("outcome_unknown", "the connection was lost while the commit was under way", {
      operation: "commit",
      path: this.#parts.location,
      version,
      onDisk: "The commit may have happened or not.",
      nextStep: "When the server is back, read the session: it has this version if the commit was the last one.",
      cause,
    });
  }

  #attempt(
    connection: Connection,
    writer: string,
    epoch: number,
    prepared: Prepared,
    sent: { mayHaveHappened: boolean },
  ): Promise<Attempt> {
    const { operations, expected } = prepared.request;
    const only = operations[0];
    if (only !== undefined && (expectsOneVersion(prepared.request) || createsOne(prepared.request))) {
      return this.#commitOne(connection, writer, epoch, prepared, only, expected.get(only.key) ?? null, sent);
    }
    return this.#commitSome(connection, writer, epoch, prepared, sent);
  }

  async #commitOne(
    connection: Connection,
    writer: string,
    epoch: number,
    { version, origin, request, columns }: Prepared,
    operation: Operation,
    expected: VersionToken | null,
    sent: { mayHaveHappened: boolean },
  ): Promise<Attempt> {
    const { store, lanes } = this.#parts;
    const { key } = operation;
    const common = [store, encodeKey(key), laneOf(key, lanes)];
    sent.mayHaveHappened = true;
    let rows: Record<string, unknown>[];
    if (operation.type === "remove") {
      const trashId = operation.purge ? null : `${version}.0`;
      const values = [...common, expected, version, origin, writer, trashId];
      ({ rows } = await connection.query(removeStatement, values));
    } else {
      const { doc, summary, recency, agent, kind, channel, search } = columns.get(key)!;
      const listed = [doc, summary, recency, kind, channel, search];
      const list = generationsColumn(operation.generations);
      if (expected === null) {
        const values = [...common, agent, version, origin, writer, epoch, ...listed, list];
        ({ rows } = await connection.query(createStatement, values));
      } else {
        const changes = operation.generations !== undefined;
        const values = [...common, expected, version, origin, writer, ...listed, changes, list];
        ({ rows } = await connection.query(replaceStatement, values));
      }
    }
    sent.mayHaveHappened = false;
    if (rows[0]?.applied === 1) return { status: "committed", version };
    if (rows[0]?.fenced === 0) return "again";
    const current = await this.#differing(connection, request);
    return current.size === 0 ? "again" : { status: "conflict", current };
  }

  async #commitSome(
    connection: Connection,
    writer: string,
    epoch: number,
    prepared: Prepared,
    sent: { mayHaveHappened: boolean },
  ): Promise<Attempt> {
    await connection.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    try {
      const differs = await this.#writeSome(connection, writer, epoch, prepared);
      if (differs === undefined) {
        sent.mayHaveHappened = true;
        await connection.query("COMMIT");
        return { status: "committed", version: prepared.version };
      }
      await connection.query("ROLLBACK");
    } catch (error) {
      if (!connection.broken) await connection.query("ROLLBACK");
      throw error;
    }
    const current = await this.#differing(connection, prepared.request);
    return current.size === 0 ? "again" : { status: "conflict", current };
  }

  /** Everything but the COMMIT. Not `undefined`: nothing may be committed. */
  async #writeSome(
    connection: Connection,
    writer: string,
    epoch: number,
    { version, origin, request, columns }: Prepared,
  ): Promise<"fenced" | "conflict" | undefined> {
    const { store, lanes: laneCount } = this.#parts;
    const { operations, expected } = request;
    const claimed = await connection.query(claimStatement, [store, writer, epoch, version]);
    if (claimed.rows.length === 0) return "fenced";

    const keys = [...new Set([...operations.map(({ key }) => key), ...expected.keys()])];
    const wanted = [...new Set(keys.map((key) => laneOf(key, laneCount)))].sort((left, right) => left - right);
    const locked = await connection.query(lockLanesStatement, [store, wanted]);
    const revisions = new Map(locked.rows.map(({ lane, rev }) => [Number(lane), Number(rev)]));
    if (revisions.size < wanted.length) await this.#requireStore(connection);

    const { rows } = await connection.query(currentStatement, [store, keys.map(encodeKey)]);
    const current = new Map<string, { version: string; generations: string | null }>();
    for (const row of rows) {
      if (row.key !== null)
        current.set(decodeKey(String(row.key)), row as { version: string; generations: string | null });
    }
    for (const [key, expectedVersion] of expected) {
      if ((current.get(key)?.version ?? null) !== expectedVersion) return "conflict";
    }

    const write = new WriteArrays();
    for (const operation of operations) {
      const { key } = operation;
      const before = current.get(key);
      if (operation.type === "remove" && before === undefined) continue;
      const lane = laneOf(key, laneCount);
      const rev = revisions.get(lane)! + 1;
      revisions.set(lane, rev);
      const leavesTrash =
        operation.type === "remove" ? !operation.purge : operation.type === "put" && operation.trashPrevious === true;
      const trashId = leavesTrash && before !== undefined ? `${version}.${write.count}` : null;
      const generations =
        operation.type === "remove"
          ? null
          : operation.generations === undefined
            ? (before?.generations ?? null)
            : generationsColumn(operation.generations);
      write.add(encodeKey(key), lane, rev, columns.get(key), generations, trashId);
    }
    if (write.count === 0) return undefined;
    await connection.query(writeStatement, [
      store,
      ...write.arrays,
      version,
      rows[0]?.now_us,
      origin,
      [...revisions.keys()],
      [...revisions.values()],
    ]);
    return undefined;
  }

  /** Every key of the expectations whose version differs, as it is now. */
  async #differing(connection: Connection, request: CommitRequest): Promise<Map<string, Versioned | undefined>> {
    const found = await readSessions(connection, this.#parts.store, [...request.expected.keys()]);
    const differing = new Map<string, Versioned | undefined>();
    for (const [key, version] of request.expected) {
      const current = found.get(key);
      if ((current?.version ?? null) !== version) differing.set(key, current);
    }
    return differing;
  }

  async #requireStore(connection: Connection): Promise<void> {
    const { store, location, lanes } = this.#parts;
    const { rows } = await connection.query("SELECT count(*)::int AS lanes FROM sessiondir_lane WHERE store = $1", [
      store,
    ]);
    if (rows[0]?.lanes === lanes) return;
    throw new SessionStoreError("store_gone", "the store is no longer in the database", {
      path: location,
      nextStep: "Restore it from a backup, or open it again to create a new one.",
    });
  }
}

/** One session, which must have a certain version: a statement that is its own fence. */
function expectsOneVersion(request: CommitRequest): boolean {
  return isOne(request) && typeof request.expected.get(request.operations[0]!.key) === "string";
}

/** One session, which must not exist. */
function createsOne(request: CommitRequest): boolean {
  const [only] = request.operations;
  return isOne(request) && only!.type === "put" && request.expected.get(only!.key) === null;
}

function isOne({ operations, expected }: CommitRequest): boolean {
  const [only] = operations;
  if (operations.length !== 1 || expected.size !== 1 || only === undefined) return false;
  return only.type !== "put" || only.trashPrevious !== true;
}

/** The columns of the rows of a transaction, one array each, in the order of the statement. */
class WriteArrays {
  readonly arrays: (string | number | null)[][] = Array.from({ length: 12 }, () => []);
  count = 0;

  add(
    key: string,
    lane: number,
    rev: number,
    columns: SessionColumns | undefined,
    generations: string | null,
    trashId: string | null,
  ): void {
    const { doc, summary, recency, agent, kind, channel, search } = columns ?? removedColumns;
    const row = [key, lane, rev, doc, summary, recency, agent, kind, channel, search, generations, trashId];
    for (const [index, value] of row.entries()) this.arrays[index]!.push(value);
    this.count += 1;
  }
}

/** A tombstone. */
const removedColumns = {
  doc: null,
  summary: null,
  recency: "Infinity",
  agent: null,
  kind: null,
  channel: null,
  search: null,
};
