-- breaking: yes
--
-- One database holds many stores; the name of the store is part of every key and of every statement.
-- Text that comes from entries can hold NUL and lone surrogates, which PostgreSQL refuses: it is kept as JSON text.

CREATE TABLE sessiondir_store (
  store text COLLATE "C" PRIMARY KEY,
  -- Random: no cursor of another store of this name ever fits.
  incarnation text NOT NULL,
  key_rule text NOT NULL,
  -- Fixed at creation: clients compute the lane of a key.
  lanes smallint NOT NULL,
  created_us bigint NOT NULL
);

-- The change feed: each change takes the next number of its lane, under the lock of the lane's row. So numbers become
-- visible in order, without a hole that could be filled later.
CREATE TABLE sessiondir_lane (
  store text COLLATE "C" NOT NULL,
  lane smallint NOT NULL,
  rev bigint NOT NULL DEFAULT 0,
  -- Tombstones up to this number may be gone: a cursor below it is answered with a reset.
  floor bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (store, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE sessiondir_session (
  store text COLLATE "C" NOT NULL,
  -- In this column the order of bytes is the order of UTF-16 code units: see rows.ts for the few keys it matters for.
  key text COLLATE "C" NOT NULL,
  lane smallint NOT NULL,
  rev bigint NOT NULL,
  -- The token of the commit that wrote it: random, never used again.
  version text COLLATE "C" NOT NULL,
  committed_us bigint NOT NULL,
  -- JSON: commitId, actor, reason.
  origin text,
  -- JSON list of earlier transcripts.
  generations text,
  -- JSON of what a list shows.
  summary text,
  -- For lists: -updatedAt, Infinity where there is none, so that an ascending index is "newest first, ties by key".
  recency double precision NOT NULL,
  agent text COLLATE "C",
  kind text COLLATE "C",
  channel text COLLATE "C",
  search text COLLATE "C",
  -- The entry as JSON text, exactly as the client wrote it. NULL: removed (a tombstone for the change feed). The last
  -- column, because of an update on the same page only what lies between the first and the last difference is logged.
  doc text,
  PRIMARY KEY (store, key)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX sessiondir_session_feed ON sessiondir_session (store, lane, rev);
CREATE INDEX sessiondir_session_recent ON sessiondir_session (store, recency, key) WHERE doc IS NOT NULL;
CREATE INDEX sessiondir_session_tombstones ON sessiondir_session (store, committed_us) WHERE doc IS NULL;

CREATE TABLE sessiondir_trash (
  store text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  doc text NOT NULL,
  generations text,
  removed_us bigint NOT NULL,
  origin text,
  PRIMARY KEY (store, id)
);
CREATE INDEX sessiondir_trash_age ON sessiondir_trash (store, removed_us DESC, key);

-- One row per connection slot of a process: the last commit that went through it. Whoever lost the answer to a commit
-- raises the epoch, which shuts out a commit that is still on its way, and reads here whether it happened.
CREATE TABLE sessiondir_writer (
  store text COLLATE "C" NOT NULL,
  writer text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  version text COLLATE "C" NOT NULL,
  seen_us bigint NOT NULL,
  PRIMARY KEY (store, writer)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Who does the maintenance of a store, and until when.
CREATE TABLE sessiondir_lease (
  store text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  owner text NOT NULL,
  until_us bigint NOT NULL,
  PRIMARY KEY (store, name)
);
