/**
 * Mutants of the PostgreSQL backend: what each statement compares and locks, how the outcome of a lost commit is found
 * out, which servers are refused, where a cursor is not believed, and limits. They need the packages of test/postgres.
 */

const lost = "test/postgres/lost-answers.test.ts";
const together = "test/postgres/together.test.ts";
const feed = "test/postgres/feed.test.ts";
const refusals = "test/postgres/refusals.test.ts";
const schemaTests = "test/postgres/schema.test.ts";
const serverCheckTests = "test/unit/postgres/server-check.test.ts";
const roomTests = "test/unit/postgres/room.test.ts";
const locationTests = "test/unit/postgres/location.test.ts";
/** Tests of a suite that share one pattern share one look at whether they pass without a mutant. */
const races = "wait for one lane|deadlock|still at work";
const ways = "exactly once|nobody can tell";
const late = "arrives late|between the question|not created twice";
const resets = "is a reset|one process at a time";
const groups = "group|not lost";

const statements = "src/backends/postgres/commit-statements.ts";
const attempt = "src/backends/postgres/commit-attempt.ts";
const commit = "src/backends/postgres/commit.ts";
const commitRequest = "src/backends/postgres/commit-request.ts";
const outcome = "src/backends/postgres/outcome.ts";
const togetherSource = "src/backends/postgres/together.ts";
const failures = "src/backends/postgres/failures.ts";
const changes = "src/backends/postgres/changes.ts";
const maintenance = "src/backends/postgres/maintenance.ts";
const serverCheck = "src/backends/postgres/server-check.ts";
const connection = "src/backends/postgres/connection.ts";
const schema = "src/backends/postgres/schema.ts";
const storeRow = "src/backends/postgres/store-row.ts";
const room = "src/backends/postgres/room.ts";

export const postgresMutants = [
  // --- versions --------------------------------------------------------------------------------------------------------
  {
    name: "postgres replace: the version after the wait for the lane",
    file: statements,
    find: "FROM l WHERE t.store = $1 AND t.key = $2 AND t.version = $4 AND t.doc IS NOT NULL RETURNING 1)",
    replace: "FROM l WHERE t.store = $1 AND t.key = $2 AND t.doc IS NOT NULL RETURNING 1)",
    suite: lost,
    test: races,
  },
  {
    name: "postgres remove: the version after the wait for the lane",
    file: statements,
    find: "FROM l WHERE t.store = $1 AND t.key = $2 AND t.version = $4 AND t.doc IS NOT NULL RETURNING t.committed_us)",
    replace: "FROM l WHERE t.store = $1 AND t.key = $2 AND t.doc IS NOT NULL RETURNING t.committed_us)",
    suite: lost,
    test: races,
  },
  {
    name: "postgres create: that nothing is there, after the wait for the lane",
    file: statements,
    find: "WHERE t.doc IS NULL RETURNING 1)",
    replace: "WHERE true RETURNING 1)",
    suite: lost,
    test: races,
  },
  {
    name: "postgres transaction: the versions that it expects",
    file: attempt,
    find: 'if ((current.get(key)?.version ?? null) !== expectedVersion) return "conflict";',
    replace: "",
    suite: lost,
    test: races,
  },

  // --- locks and fences ------------------------------------------------------------------------------------------------
  {
    name: "postgres transaction: the lanes are locked before anything is read",
    file: statements,
    find: "lane = ANY ($2::smallint[]) ORDER BY lane FOR UPDATE",
    replace: "lane = ANY ($2::smallint[]) ORDER BY lane",
    suite: lost,
    test: races,
  },
  {
    name: "postgres create: the fence",
    file: statements,
    find: '"EXISTS (SELECT 1 FROM f) AND NOT EXISTS (SELECT 1 FROM cur)"',
    replace: '"NOT EXISTS (SELECT 1 FROM cur)"',
    suite: lost,
    test: late,
  },
  {
    name: "postgres create: the fence holds until the creation has ended",
    file: statements,
    find: "AND writer = $7 AND epoch = $8 FOR UPDATE)",
    replace: "AND writer = $7 AND epoch = $8)",
    suite: lost,
    test: races,
  },
  {
    name: "postgres replace many: the fence holds until the group has ended",
    file: statements,
    find: "AND writer = $2 AND epoch = $3 FOR UPDATE),",
    replace: "AND writer = $2 AND epoch = $3),",
    suite: together,
    test: groups,
  },
  {
    name: "postgres transaction: the fence",
    file: statements,
    find: "WHERE store = $1 AND writer = $2 AND epoch = $3 RETURNING 1",
    replace: "WHERE store = $1 AND writer = $2 RETURNING 1",
    argument:
      "the statements of a transaction are sent one by one, each after the answer to the one before: one that arrives late is the last of a transaction that nobody commits",
  },
  {
    name: "postgres transaction: a writer's row that is gone is made again",
    file: attempt,
    find: 'if (claimed.rows.length === 0) return "fenced";',
    replace: "",
    suite: lost,
    test: "row is gone",
  },
  {
    name: "postgres maintenance: the lease",
    file: maintenance,
    find: "WHERE t.owner = EXCLUDED.owner OR t.until_us < ${nowMicroseconds} RETURNING 1",
    replace: "RETURNING 1",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres maintenance: the history begins behind what is gone",
    file: maintenance,
    find: "SET floor = greatest(floor, (SELECT max(rev) FROM gone))",
    replace: "SET floor = floor",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres schema: one at a time",
    file: schema,
    find: "WHERE number = 0 FOR UPDATE",
    replace: "WHERE number = 0",
    argument:
      "two that make the same tables at once meet at their names; who comes second is refused by the server, and looks again (raced)",
  },

  // --- outcomes --------------------------------------------------------------------------------------------------------
  {
    name: "postgres commit: one that happened although its answer was lost is not repeated",
    file: commit,
    find: "return (await this.#lastThrough(place)) === version;",
    replace: "return false;",
    suite: lost,
    test: ways,
  },
  {
    name: "postgres commit: one that never arrived is repeated",
    file: commit,
    find: "return (await this.#lastThrough(place)) === version;",
    replace: "await this.#lastThrough(place); return true;",
    suite: lost,
    test: ways,
  },
  {
    name: "postgres commit: what is in the way may be the commit itself",
    file: commit,
    find: "if (mine && (await this.#findOutcome(place, prepared.version))) {",
    replace: "if (false) {",
    suite: lost,
    test: late,
  },
  {
    name: "postgres commit: what nobody can tell is said to be unknown",
    file: commit,
    find: "throw this.#unknown(version, error); } } /** Not for ever",
    replace: "return false; } } /** Not for ever",
    suite: lost,
    test: ways,
  },
  {
    name: "postgres outcome: asking raises the epoch",
    file: outcome,
    find: "UPDATE sessiondir_writer SET epoch = epoch + 1, seen_us",
    replace: "UPDATE sessiondir_writer SET epoch = epoch, seen_us",
    suite: lost,
    test: late,
  },
  {
    name: "postgres together: the mark of the group",
    file: togetherSource,
    find: "last?.startsWith(`${mark}:`) ? positions(last.slice(mark.length + 1)) : new Set()",
    replace: "new Set()",
    argument:
      "each is tried alone then, and finds its own version in the way; commit.ts asks what became of it and is told by the row, so what is spared is the work",
  },
  {
    name: "postgres together: the mark is of this group",
    file: togetherSource,
    find: "last?.startsWith(`${mark}:`) ? positions(last.slice(mark.length + 1)) : new Set()",
    replace: "new Set(group.map((_, index) => index + 1))",
    suite: together,
    test: groups,
  },
  {
    name: "postgres failures: what the server undid is tried again (serialisation)",
    file: failures,
    find: "/^(40001|40P01|40003|55P03)$/",
    replace: "/^(40P01|40003|55P03)$/",
    suite: lost,
    test: races,
  },
  {
    name: "postgres failures: what the server undid is tried again (deadlock)",
    file: failures,
    find: "/^(40001|40P01|40003|55P03)$/",
    replace: "/^(40001|40003|55P03)$/",
    suite: lost,
    test: races,
  },

  // --- what is not believed --------------------------------------------------------------------------------------------
  {
    name: "postgres feed: a cursor from before what is gone",
    file: changes,
    find: "seen < Number(row.floor) || seen > Number(row.head)",
    replace: "seen > Number(row.head)",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres feed: a cursor of a history that was rewound",
    file: changes,
    find: "seen < Number(row.floor) || seen > Number(row.head)",
    replace: "seen < Number(row.floor)",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres feed: a cursor of another store of this name",
    file: changes,
    find: "from.incarnation !== store.incarnation ||",
    replace: "",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres feed: a cursor of another history of the server",
    file: changes,
    find: "|| from.generation !== generation",
    replace: "",
    suite: feed,
    test: resets,
  },
  {
    name: "postgres store-row: a store that is gone",
    file: storeRow,
    find: "if (rows[0]?.lanes === lanes) return;",
    replace: "return;",
    suite: lost,
    test: "store that is gone",
    hangs: true,
  },

  // --- servers ---------------------------------------------------------------------------------------------------------
  {
    name: "postgres server-check: its version",
    file: serverCheck,
    find: "if (version !== null && Number(version) < versionMin) {",
    replace: "if (false) {",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: its encoding",
    file: serverCheck,
    find: "if (encoding !== null && !/^utf-?8$/i.test(String(encoding))) {",
    replace: "if (false) {",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: fsync",
    file: serverCheck,
    find: 'if (fsync === "off")',
    replace: "if (false)",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: full_page_writes",
    file: serverCheck,
    find: 'if (full_page_writes === "off")',
    replace: "if (false)",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: synchronous_commit",
    file: serverCheck,
    find: 'if (durable && synchronous_commit === "off") {',
    replace: "if (false) {",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: synchronous_commit with a standby",
    file: serverCheck,
    find: 'if (durable && synchronous_commit === "local" && standbys) {',
    replace: "if (false) {",
    suite: serverCheckTests,
  },
  {
    name: "postgres server-check: it is asked",
    file: "src/backends/postgres/opening.ts",
    find: "await refuseUnsafeServer(connection, location.display, settings, durable, options.logger);",
    replace: "",
    suite: schemaTests,
    test: "another encoding",
  },
  {
    name: "postgres server-check: a pooler that shares connections",
    file: serverCheck,
    find: "if (rows[0]?.mark === mark) return;",
    replace: "return;",
    suite: refusals,
    test: "pooler",
  },
  {
    name: "postgres connection: a server that takes no commits",
    file: connection,
    find: 'if (rows[0]?.read_only === "on" && !this.#options.readOnly) {',
    replace: "if (false) {",
    suite: refusals,
    test: "takes no commits",
  },
  {
    name: "postgres schema: a breaking change that is not known",
    file: schema,
    find: "if (number <= newest || !breaking) continue;",
    replace: "continue;",
    suite: schemaTests,
    test: "breaking change",
  },

  // --- limits ----------------------------------------------------------------------------------------------------------
  {
    name: "postgres commit-request: recordBytes",
    file: commitRequest,
    find: "if (bytes > recordBytesMax) {",
    replace: "if (false) {",
    suite: roomTests,
    test: "recordBytes",
  },
  {
    name: "postgres room: sessions",
    file: room,
    find: "if (this.#free >= 0) return;",
    replace: "return;",
    suite: roomTests,
  },
  {
    name: "postgres room: a count is good for a minute",
    file: room,
    find: "if (this.#free >= closeCount && ageMs < countIsGoodMs) return;",
    replace: "if (this.#free >= closeCount) return;",
    suite: roomTests,
  },
  {
    name: "postgres failures: a key that no index can hold",
    file: failures,
    find: 'code: "limit_exceeded",',
    replace: 'code: "io_error",',
    suite: schemaTests,
    test: "no index can hold",
  },
  {
    name: "postgres store-row: the name of a store",
    file: storeRow,
    find: "bytes <= 200",
    replace: "true",
    suite: locationTests,
    test: "name of a store",
  },
];
