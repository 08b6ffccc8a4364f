/**
 * Commits: what is tried again, and when. What the server undid (a deadlock, a serialisation failure) is. What may have
 * happened or not, because the answer was lost, is found out first (outcome.ts), and tried again only when it certainly
 * did not happen. What an attempt consists of is in commit-attempt.ts, and which ones go together in together.ts.
 */

import type { CommitRequest, CommitResult, Versioned, VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import { attemptCommit } from "./commit-attempt.js";
import { expectsOneVersion, type Prepared, prepareCommit } from "./commit-request.js";
import { ConnectionLost, isTransient, wantsAnotherConnection } from "./failures.js";
import { lastThrough, registeredEpoch } from "./outcome.js";
import type { Place, Pool } from "./pool.js";
import type { Recall } from "./recall.js";
import { encodeKey, laneOf, parseList } from "./rows.js";
import { requireLanes } from "./store-row.js";
import { type Replacement, Together } from "./together.js";

export interface CommitterParts {
  readonly port: Port;
  readonly pool: Pool;
  readonly store: string;
  readonly lanes: number;
  readonly limits: Readonly<Limits>;
  readonly location: string;
  /** Learns what commits made of sessions, and what they met. */
  readonly recall: Recall;
}

/** A commit took the session from one version to this. */
interface Made {
  readonly expected: VersionToken | null;
  readonly session: Versioned | undefined;
}

const versionBytes = 12;

export class Committer {
  readonly #parts: CommitterParts;
  readonly #together: Together;
  /** By key: the commit that is under way. */
  readonly #turns = new Map<string, Promise<Made | undefined>>();
  #random = Buffer.alloc(0);
  #randomUsed = 0;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#together = new Together({
      port: parts.port,
      pool: parts.pool,
      store: parts.store,
      lastThrough: (place) => this.#lastThrough(place),
      unknown: (version, cause) => this.#unknown(version, cause),
    });
  }

  /**
   * Commits of this process upon one version of one session take turns: at most one of them can succeed, and those that
   * come too late are told by it, without asking the server.
   */
  async commit(request: CommitRequest): Promise<CommitResult> {
    // One that may be aborted while it waits does not wait.
    if (request.signal !== undefined || !expectsOneVersion(request)) return this.#commitNow(request);
    const { key } = request.operations[0]!;
    const expected = request.expected.get(key);
    for (let turn = this.#turns.get(key); turn !== undefined; turn = this.#turns.get(key)) {
      const made = await turn;
      if (made?.expected === expected) return { status: "conflict", current: new Map([[key, made?.session]]) };
    }
    const commit = this.#commitNow(request);
    const turn = commit.then(
      (result) => this.#madeBy(request, result),
      () => undefined,
    );
    this.#turns.set(key, turn);
    try {
      return await commit;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }

  /** What others may be told of the session, if that is known. */
  #madeBy({ operations, expected }: CommitRequest, result: CommitResult): Made | undefined {
    const [operation] = operations;
    if (operation === undefined || result.status !== "committed") return undefined;
    const { key, type } = operation;
    const before = expected.get(key)!;
    if (type === "remove") return { expected: before, session: undefined };
    const session = this.#parts.recall.at(key, result.version);
    return session && { expected: before, session };
  }

  async #commitNow(request: CommitRequest): Promise<CommitResult> {
    const { recall, limits } = this.#parts;
    const prepared = prepareCommit(request, this.#newVersion(), limits.recordBytes);
    try {
      const result = await this.#send(prepared);
      if (result.status === "committed") this.#remember(prepared);
      return result;
    } catch (error) {
      for (const { key } of request.operations) recall.forget(key);
      throw error;
    }
  }

  #send(prepared: Prepared): Promise<CommitResult> {
    const replacement = this.#replacementOf(prepared);
    if (replacement === undefined) return this.#commitAlone(prepared);
    const { version } = prepared;
    return this.#together.commit<CommitResult>(
      replacement,
      () => ({ status: "committed", version }),
      () => this.#commitAlone(prepared),
    );
  }

  #remember({ request, version, columns, written }: Prepared): void {
    const { recall } = this.#parts;
    for (const operation of request.operations) {
      const { key } = operation;
      const row = written.get(key);
      const expected = row?.before ?? request.expected.get(key) ?? undefined;
      const generations =
        row !== undefined
          ? parseList(row.generations)
          : operation.type === "remove"
            ? false
            : (operation.generations ?? this.#generationsAt(key, expected));
      // Gone, or with a list that the commit left as it was, and nobody here knows.
      if (operation.type === "remove" || generations === false) recall.forget(key);
      else {
        const { entry } = operation;
        const session = generations?.length ? { entry, version, generations } : { entry, version };
        recall.committed(key, expected, Object.freeze(session), columns.get(key)!.doc.length);
      }
    }
  }

  /** `false` when nobody here knows. */
  #generationsAt(key: string, version: VersionToken | undefined): Versioned["generations"] | false {
    if (version === undefined) return undefined;
    const known = this.#parts.recall.at(key, version);
    return known === undefined ? false : known.generations;
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
    const lane = laneOf(key, this.#parts.lanes);
    const place = [encodeKey(key), lane, request.expected.get(key)!, version, origin];
    return { key, version, lane, values: [...place, doc, summary, recency, kind, channel, search], bytes: doc.length };
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
    const { pool, port, store, lanes, location, recall } = this.#parts;
    const { signal } = prepared.request;
    const onMet = recall.met.bind(recall);
    const deadlineMs = pool.deadline();
    let unexplained = 0;
    for (let attempt = 1; ; attempt += 1) {
      const connection = await pool.connected(place, deadlineMs, signal);
      const sent = { mayHaveHappened: false };
      try {
        const epoch = await registeredEpoch(connection, store, place);
        const { writer } = place;
        const parts = { store, lanes, location, writer, epoch, connection, onMet, sent };
        const result = await attemptCommit(parts, prepared);
        // What is in the way may be this very commit, from an attempt whose answer was lost after others had moved on.
        const mine = progress.answerLost && result !== "again" && result.status === "conflict";
        if (mine && (await this.#findOutcome(place, prepared.version))) {
          return { status: "committed", version: prepared.version };
        }
        if (result !== "again") return result;
        // A writer's row that somebody removed, or a session that came and went: both are rare, and neither lasts.
        place.epoch = undefined;
        unexplained += 1;
        if (unexplained % 5 === 0) await requireLanes(connection, store, lanes, location);
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
}
