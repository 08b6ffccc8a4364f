/**
 * The statements of a commit. One session with an expectation is one statement and one round trip; everything else is a
 * transaction (commit.ts). The order of locks is the same in all of them - the writer's row, lanes in ascending order,
 * sessions - so that no two of them can wait for each other.
 *
 * A statement sees the store as it was when it began, before it waited for the lane. So each looks twice: at the
 * beginning, because a caller who is late must not touch the lane, and in the `WHERE` of the write, which PostgreSQL
 * applies to the row as it is after the wait.
 */

import type { Statement } from "./connection.js";
import { nowMicroseconds } from "./rows.js";

/**
 * $1 store, $2 key, $3 lane, $4 expected version, $5 new version, $6 origin, $7 writer. A creation also has $8, the epoch:
 * what expects that there is nothing could happen twice if somebody removes it in between. What expects a version cannot,
 * because no version ever comes back, so it needs no fence.
 */
const fence = `f AS (SELECT 1 FROM sessiondir_writer WHERE store = $1 AND writer = $7 AND epoch = $8 FOR UPDATE)`;
const written = `w AS (UPDATE sessiondir_writer SET version = $5, seen_us = ${nowMicroseconds}
  WHERE store = $1 AND writer = $7 AND EXISTS (SELECT 1 FROM s))`;
const applied = "(SELECT count(*) FROM s)::int AS applied";
const nextInLane = (condition: string) => `l AS (UPDATE sessiondir_lane SET rev = rev + 1
  WHERE store = $1 AND lane = $3 AND ${condition} RETURNING rev)`;

/** $8 doc, $9 summary, $10 recency, $11 kind, $12 channel, $13 search, $14 whether the list changes, $15 the list. */
export const replaceStatement: Statement = {
  name: "sessiondir_replace_1",
  text: `WITH cur AS (SELECT 1 FROM sessiondir_session WHERE store = $1 AND key = $2 AND version = $4 AND doc IS NOT NULL),
${nextInLane("EXISTS (SELECT 1 FROM cur)")},
s AS (UPDATE sessiondir_session t SET rev = l.rev, version = $5, committed_us = ${nowMicroseconds}, origin = $6,
  doc = $8, summary = $9, recency = $10::float8, kind = $11, channel = $12, search = $13,
  generations = CASE WHEN $14::boolean THEN $15 ELSE t.generations END
  FROM l WHERE t.store = $1 AND t.key = $2 AND t.version = $4 AND t.doc IS NOT NULL RETURNING 1),
${written} SELECT ${applied}`,
};

/** $4 agent; $9 doc, $10 summary, $11 recency, $12 kind, $13 channel, $14 search, $15 the list. */
export const createStatement: Statement = {
  name: "sessiondir_create_1",
  text: `WITH ${fence},
cur AS (SELECT 1 FROM sessiondir_session WHERE store = $1 AND key = $2 AND doc IS NOT NULL),
${nextInLane("EXISTS (SELECT 1 FROM f) AND NOT EXISTS (SELECT 1 FROM cur)")},
s AS (INSERT INTO sessiondir_session AS t
    (store, key, lane, rev, version, committed_us, origin, doc, summary, recency, agent, kind, channel, search, generations)
  SELECT $1, $2, $3, l.rev, $5, ${nowMicroseconds}, $6, $9, $10, $11::float8, $4, $12, $13, $14, $15 FROM l
  ON CONFLICT (store, key) DO UPDATE SET rev = EXCLUDED.rev, version = EXCLUDED.version,
    committed_us = EXCLUDED.committed_us, origin = EXCLUDED.origin, doc = EXCLUDED.doc, summary = EXCLUDED.summary,
    recency = EXCLUDED.recency, agent = EXCLUDED.agent, kind = EXCLUDED.kind, channel = EXCLUDED.channel,
    search = EXCLUDED.search, generations = EXCLUDED.generations
  WHERE t.doc IS NULL RETURNING 1),
${written} SELECT (SELECT count(*) FROM f)::int AS fenced, ${applied}`,
};

/** $8 the name in the trash, NULL when it is not kept. */
export const removeStatement: Statement = {
  name: "sessiondir_remove_1",
  text: `WITH cur AS (SELECT doc, generations FROM sessiondir_session
  WHERE store = $1 AND key = $2 AND version = $4 AND doc IS NOT NULL),
${nextInLane("EXISTS (SELECT 1 FROM cur)")},
s AS (UPDATE sessiondir_session t SET rev = l.rev, version = $5, committed_us = ${nowMicroseconds}, origin = $6,
  doc = NULL, summary = NULL, recency = 'Infinity', channel = NULL, search = NULL, generations = NULL
  FROM l WHERE t.store = $1 AND t.key = $2 AND t.version = $4 AND t.doc IS NOT NULL RETURNING t.committed_us),
k AS (INSERT INTO sessiondir_trash (store, id, key, doc, generations, removed_us, origin)
  SELECT $1, $8, $2, cur.doc, cur.generations, s.committed_us, $6 FROM cur, s WHERE $8::text IS NOT NULL),
${written} SELECT ${applied}`,
};

/**
 * Replacements of several sessions, each applied or not for itself. $1 store, $2 writer, $3 epoch, $4 mark of the group;
 * then one array for each column: $5 key, $6 lane, $7 expected version, $8 new version, $9 origin, $10 doc, $11 summary,
 * $12 recency, $13 kind, $14 channel, $15 search. The writer's row gets the mark and which of them were applied.
 */
export const replaceManyStatement: Statement = {
  name: "sessiondir_replace_many_1",
  text: `WITH f AS (SELECT 1 FROM sessiondir_writer WHERE store = $1 AND writer = $2 AND epoch = $3 FOR UPDATE),
g AS (SELECT * FROM unnest($5::text[], $6::smallint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
  $12::float8[], $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
  AS g (key, lane, expected, version, origin, doc, summary, recency, kind, channel, search, n)),
cur AS MATERIALIZED (SELECT g.n, g.lane FROM g JOIN sessiondir_session t ON t.store = $1 AND t.key = g.key
  WHERE t.version = g.expected AND t.doc IS NOT NULL),
locked AS MATERIALIZED (SELECT lane, rev FROM sessiondir_lane
  WHERE store = $1 AND lane = ANY (ARRAY(SELECT lane FROM cur)) AND EXISTS (SELECT 1 FROM f) ORDER BY lane FOR UPDATE),
numbered AS MATERIALIZED (SELECT cur.n, lane, locked.rev + row_number() OVER (PARTITION BY lane ORDER BY cur.n) AS rev
  FROM cur JOIN locked USING (lane)),
l AS (UPDATE sessiondir_lane t SET rev = m.rev FROM (SELECT lane, max(rev) AS rev FROM numbered GROUP BY lane) m
  WHERE t.store = $1 AND t.lane = m.lane),
s AS (UPDATE sessiondir_session t SET rev = numbered.rev, version = g.version, committed_us = ${nowMicroseconds},
  origin = g.origin, doc = g.doc, summary = g.summary, recency = g.recency, kind = g.kind, channel = g.channel,
  search = g.search
  FROM numbered JOIN g ON g.n = numbered.n
  WHERE t.store = $1 AND t.key = g.key AND t.version = g.expected AND t.doc IS NOT NULL RETURNING g.n),
d AS MATERIALIZED (SELECT coalesce(string_agg(n::text, ','), '') AS applied FROM s),
u AS (UPDATE sessiondir_writer SET version = $4 || ':' || d.applied, seen_us = ${nowMicroseconds}
  FROM d WHERE store = $1 AND writer = $2 AND EXISTS (SELECT 1 FROM f))
SELECT (SELECT count(*) FROM f)::int AS fenced, d.applied FROM d`,
};

// --- transactions --------------------------------------------------------------------------------------------------

/** $1 store, $2 writer, $3 epoch, $4 new version. No row: somebody raised the epoch. */
export const claimStatement: Statement = {
  name: "sessiondir_claim_1",
  text: `UPDATE sessiondir_writer SET version = $4, seen_us = ${nowMicroseconds}
  WHERE store = $1 AND writer = $2 AND epoch = $3 RETURNING 1`,
};

/** $1 store, $2 lanes. The rows are locked after they were sorted. */
export const lockLanesStatement: Statement = {
  name: "sessiondir_lock_lanes_1",
  text: "SELECT lane, rev FROM sessiondir_lane WHERE store = $1 AND lane = ANY ($2::smallint[]) ORDER BY lane FOR UPDATE",
};

/** $1 store, $2 keys. The first column is the time of the commit; there is always a row to say it. */
export const currentStatement: Statement = {
  name: "sessiondir_current_1",
  text: `SELECT one.now_us, s.key, s.version, s.generations FROM (SELECT ${nowMicroseconds} AS now_us) one
  LEFT JOIN sessiondir_session s ON s.store = $1 AND s.key = ANY ($2::text[]) AND s.doc IS NOT NULL`,
};

/** $2 to $13 one array for each column; $14 version, $15 time, $16 origin; $17 and $18 lanes and their new numbers. */
export const writeStatement: Statement = {
  name: "sessiondir_write_1",
  text: `WITH w AS (SELECT * FROM unnest($2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::text[], $7::float8[],
  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
  AS w (key, lane, rev, doc, summary, recency, agent, kind, channel, search, generations, trash_id)),
k AS (INSERT INTO sessiondir_trash (store, id, key, doc, generations, removed_us, origin)
  SELECT $1, w.trash_id, w.key, t.doc, t.generations, $15, $16
  FROM w JOIN sessiondir_session t ON t.store = $1 AND t.key = w.key
  WHERE w.trash_id IS NOT NULL AND t.doc IS NOT NULL),
l AS (UPDATE sessiondir_lane SET rev = n.rev FROM unnest($17::smallint[], $18::bigint[]) AS n (lane, rev)
  WHERE sessiondir_lane.store = $1 AND sessiondir_lane.lane = n.lane)
INSERT INTO sessiondir_session
  (store, key, lane, rev, version, committed_us, origin, doc, summary, recency, agent, kind, channel, search, generations)
SELECT $1, w.key, w.lane, w.rev, $14, $15, $16, w.doc, w.summary, w.recency, w.agent, w.kind, w.channel, w.search, w.generations
FROM w
ON CONFLICT (store, key) DO UPDATE SET rev = EXCLUDED.rev, version = EXCLUDED.version,
  committed_us = EXCLUDED.committed_us, origin = EXCLUDED.origin, doc = EXCLUDED.doc, summary = EXCLUDED.summary,
  recency = EXCLUDED.recency, agent = EXCLUDED.agent, kind = EXCLUDED.kind, channel = EXCLUDED.channel,
  search = EXCLUDED.search, generations = EXCLUDED.generations`,
};
