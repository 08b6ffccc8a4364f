/**
 * The change feed. Each change has the next number of its lane, taken under the lock of the lane's row; so what is
 * visible in a lane is everything up to a number, and nothing ever appears below it. A position is one number per lane.
 * The rows themselves are the log: a session that changed twice is told once, as it is now, and a removal is a row
 * without an entry until its retention ends.
 *
 * One look is one statement and therefore one moment. What it finds is told in the order of the commits' times, as far
 * as the lanes' own orders allow; so commits that came one after the other come in that order.
 */

import type { BackendChange, Cursor } from "../../contract.js";
import type { Connection, Statement } from "./connection.js";
import { formatCursor, type Position, parseCursor, shortGeneration } from "./cursor.js";
import type { Pool } from "./pool.js";
import { decodeKey, encodeKey, parseEntry, parseOrigin } from "./rows.js";
import type { StoreRow } from "./store-row.js";
import type { Wakeup } from "./wakeup.js";

/** Rows of one lane in one look, and bytes up to which an entry comes with its row. */
const laneRowsMax = 32;
const inlineBytesMax = 16_384;

const headsStatement: Statement = {
  name: "sessiondir_heads_1",
  text: "SELECT lane, rev FROM sessiondir_lane WHERE store = $1",
};

/** $1 store, $2 lanes, $3 numbers seen. A lane that is where it was gives no row. */
const feedStatement: Statement = {
  name: "sessiondir_feed_1",
  text: `SELECT l.lane, l.rev AS head, l.floor, x.* FROM sessiondir_lane l
  JOIN unnest($2::smallint[], $3::bigint[]) AS v (lane, seen) ON v.lane = l.lane
  LEFT JOIN LATERAL (
    SELECT s.rev, s.key, s.version, s.committed_us, s.origin, s.doc IS NULL AS gone,
      CASE WHEN octet_length(s.doc) <= ${inlineBytesMax} THEN s.doc END AS doc
    FROM sessiondir_session s WHERE s.store = $1 AND s.lane = l.lane AND s.rev > v.seen
    ORDER BY s.rev LIMIT ${laneRowsMax}) x ON true
  WHERE l.store = $1 AND l.rev <> v.seen ORDER BY l.lane, x.rev`,
};

const entryStatement: Statement = {
  name: "sessiondir_feed_entry_1",
  text: "SELECT doc FROM sessiondir_session WHERE store = $1 AND key = $2 AND version = $3 AND doc IS NOT NULL",
};

interface FeedRow {
  readonly lane: number;
  readonly rev: number;
  readonly key: string;
  readonly version: string;
  readonly committedUs: number;
  readonly origin: unknown;
  readonly gone: boolean;
  readonly doc: string | null;
}

export interface FeedParts {
  readonly pool: Pool;
  readonly wakeup: Wakeup;
  readonly store: StoreRow;
  readonly pollMs: number;
}

/** The position after everything committed so far. */
export async function readPosition(connection: Connection, store: StoreRow): Promise<Position> {
  const { rows } = await connection.query(headsStatement, [store.name]);
  const revisions = Array.from({ length: store.lanes }, () => 0);
  for (const { lane, rev } of rows) revisions[Number(lane)] = Number(rev);
  return { incarnation: store.incarnation, generation: shortGeneration(connection.generation), revisions };
}

export async function* followChanges(
  parts: FeedParts,
  since: Cursor,
  ended: AbortSignal,
): AsyncGenerator<BackendChange> {
  const { pool, wakeup, store } = parts;
  let position = parseCursor(since, store.lanes);
  const waiter = wakeup.enter(ended);
  await wakeup.listen();
  for (;;) {
    if (ended.aborted) return;
    const { hints } = wakeup;
    const from = position;
    const look = await pool.read((connection) => lookOnce(connection, store, from));
    if (look.reset) {
      position = look.position;
      yield { type: "reset", cursor: formatCursor(position) };
      continue;
    }
    const revisions = [...from!.revisions];
    for (const row of look.rows) {
      if (ended.aborted) return;
      revisions[row.lane] = row.rev;
      const cursor = formatCursor({ ...from!, revisions });
      const change = await toChange(parts, row, cursor);
      if (change !== undefined) yield change;
    }
    for (const [lane, rev] of look.heads) revisions[lane] = rev;
    position = { ...from!, revisions };
    if (look.more) continue;
    await wakeup.wait(waiter, hints, parts.pollMs);
  }
}

type Look =
  | { readonly reset: true; readonly position: Position }
  | {
      readonly reset: false;
      /** In the order in which they are told. */
      readonly rows: readonly FeedRow[];
      /** Lanes of which everything was told, and where they stand. */
      readonly heads: readonly (readonly [lane: number, rev: number])[];
      readonly more: boolean;
    };

async function lookOnce(connection: Connection, store: StoreRow, from: Position | undefined): Promise<Look> {
  const generation = shortGeneration(connection.generation);
  if (from === undefined || from.incarnation !== store.incarnation || from.generation !== generation) {
    return { reset: true, position: await readPosition(connection, store) };
  }
  const lanes = from.revisions.map((_, lane) => lane);
  const { rows } = await connection.query(feedStatement, [store.name, lanes, [...from.revisions]]);
  const byLane = new Map<number, { head: number; rows: FeedRow[] }>();
  for (const row of rows) {
    const lane = Number(row.lane);
    const seen = from.revisions[lane]!;
    // Behind what was purged, or ahead of a history that was rewound.
    if (seen < Number(row.floor) || seen > Number(row.head)) {
      return { reset: true, position: await readPosition(connection, store) };
    }
    const found = byLane.get(lane) ?? { head: Number(row.head), rows: [] };
    byLane.set(lane, found);
    if (row.rev !== null) found.rows.push(toFeedRow(lane, row));
  }
  return { reset: false, ...inOrder(byLane) };
}

/**
 * The rows of all lanes in the order of their times, each lane in its own order. Where a lane has more rows than were
 * read, the others wait for it: what is later than its last one is told next time.
 */
function inOrder(byLane: ReadonlyMap<number, { head: number; rows: FeedRow[] }>) {
  const rows: FeedRow[] = [];
  const heads: [number, number][] = [];
  let boundUs = Number.POSITIVE_INFINITY;
  let more = false;
  const timed = [...byLane].map(([lane, { head, rows: own }]) => {
    // A clock that was set back must not turn the order of a lane.
    let timeUs = 0;
    const withTime = own.map((row) => {
      timeUs = Math.max(timeUs, row.committedUs);
      return { row, timeUs };
    });
    if (own.length === laneRowsMax) {
      more = true;
      boundUs = Math.min(boundUs, timeUs);
    }
    return { lane, head, withTime };
  });
  const all: { row: FeedRow; timeUs: number }[] = [];
  for (const { lane, head, withTime } of timed) {
    const told = withTime.filter(({ timeUs }) => timeUs <= boundUs);
    all.push(...told);
    if (told.length === withTime.length && withTime.length < laneRowsMax) heads.push([lane, head]);
  }
  // Stable, so rows of one lane keep their order when the times are equal.
  all.sort((left, right) => left.timeUs - right.timeUs);
  for (const { row } of all) rows.push(row);
  return { rows, heads, more };
}

function toFeedRow(lane: number, row: Record<string, unknown>): FeedRow {
  return {
    lane,
    rev: Number(row.rev),
    key: decodeKey(String(row.key)),
    version: String(row.version),
    committedUs: Number(row.committed_us),
    origin: row.origin,
    gone: row.gone === true,
    doc: row.doc as string | null,
  };
}

/** `undefined` for a change that a later one has replaced meanwhile: that one is still to come. */
async function toChange({ pool, store }: FeedParts, row: FeedRow, cursor: Cursor): Promise<BackendChange | undefined> {
  const { key, version } = row;
  const { commitId = version, ...by } = parseOrigin(row.origin);
  const common = { key, version, commitId, timeMs: Math.floor(row.committedUs / 1_000), ...by, cursor };
  if (row.gone) return { type: "remove", ...common };
  let { doc } = row;
  if (doc === null) {
    const { rows } = await pool.read((connection) =>
      connection.query(entryStatement, [store.name, encodeKey(key), version]),
    );
    if (rows[0] === undefined) return undefined;
    doc = String(rows[0].doc);
  }
  return { type: "put", ...common, entry: parseEntry(key, doc) };
}
