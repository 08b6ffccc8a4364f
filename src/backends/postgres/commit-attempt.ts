/**
 * One attempt at a commit, upon one connection. One session with an expectation is one statement; everything else is a
 * transaction that locks the lanes of all its sessions in ascending order. No caller's code runs in between, so a lane is
 * held for a few round trips. What the attempt cannot know - a lost answer, a deadlock - rejects it; see commit.ts.
 */

import type { CommitRequest, CommitResult, Operation, Versioned } from "../../contract.js";
import { createsOne, expectsOneVersion, type Prepared } from "./commit-request.js";
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
import { type OnFound, readSessions } from "./read.js";
import { decodeKey, encodeKey, generationsColumn, laneOf, type SessionColumns } from "./rows.js";
import { requireLanes } from "./store-row.js";

export interface AttemptParts {
  readonly store: string;
  readonly lanes: number;
  readonly location: string;
  /** The writer's row that the commit goes through, and its epoch. */
  readonly writer: string;
  readonly epoch: number;
  readonly connection: Connection;
  /** Told of every session that is in the way. */
  readonly onMet: OnFound;
  /** Whether the server may have carried it out, for who gets no answer. */
  readonly sent: { mayHaveHappened: boolean };
}

/** "again": it did not happen, and nothing that it expects is in the way. */
export type Attempt = CommitResult | "again";

export function attemptCommit(parts: AttemptParts, prepared: Prepared): Promise<Attempt> {
  const [only] = prepared.request.operations;
  const alone = only !== undefined && (expectsOneVersion(prepared.request) || createsOne(prepared.request));
  return alone ? commitOne(parts, prepared, only) : commitSome(parts, prepared);
}

async function commitOne(parts: AttemptParts, prepared: Prepared, operation: Operation): Promise<Attempt> {
  const { connection, store, lanes, writer, epoch, sent } = parts;
  const { version, origin, request, columns } = prepared;
  const { key } = operation;
  const expected = request.expected.get(key) ?? null;
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
  return conflictOf(parts, request);
}

async function commitSome(parts: AttemptParts, prepared: Prepared): Promise<Attempt> {
  const { connection, sent } = parts;
  await connection.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
  try {
    const differs = await writeSome(parts, prepared);
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
  return conflictOf(parts, prepared.request);
}

/** Everything but the COMMIT. Not `undefined`: nothing may be committed. */
async function writeSome(
  { connection, store, lanes, location, writer, epoch }: AttemptParts,
  { version, origin, request, columns, written }: Prepared,
): Promise<"fenced" | "conflict" | undefined> {
  const { operations, expected } = request;
  const claimed = await connection.query(claimStatement, [store, writer, epoch, version]);
  if (claimed.rows.length === 0) return "fenced";

  const keys = [...new Set([...operations.map(({ key }) => key), ...expected.keys()])];
  const wanted = [...new Set(keys.map((key) => laneOf(key, lanes)))].sort((left, right) => left - right);
  const locked = await connection.query(lockLanesStatement, [store, wanted]);
  const revisions = new Map(locked.rows.map(({ lane, rev }) => [Number(lane), Number(rev)]));
  if (revisions.size < wanted.length) await requireLanes(connection, store, lanes, location);

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
    const lane = laneOf(key, lanes);
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
    written.set(key, { before: before?.version, generations });
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
async function conflictOf({ connection, store, onMet }: AttemptParts, request: CommitRequest): Promise<Attempt> {
  const found = await readSessions(connection, store, [...request.expected.keys()], onMet);
  const current = new Map<string, Versioned | undefined>();
  for (const [key, version] of request.expected) {
    const session = found.get(key);
    if ((session?.version ?? null) !== version) current.set(key, session);
  }
  return current.size === 0 ? "again" : { status: "conflict", current };
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
