/** Which settings of a server are refused. refusals.test.ts has real servers; here, all that a setting can say. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../../src/backends/postgres/connection.js";
import { refuseUnsafeServer } from "../../../src/backends/postgres/server-check.js";
import { checkPostgresOptions } from "../../../src/postgres-options.js";

const safe = {
  version: "180000",
  encoding: "UTF8",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  standbys: "",
};

function check(settings: Partial<Record<keyof typeof safe, string | null>>, durable = true, allowUnsafeServer = false) {
  const connection = { query: async () => ({ rows: [{ ...safe, ...settings }] }) } as unknown as Connection;
  const options = checkPostgresOptions({ allowUnsafeServer });
  return refuseUnsafeServer(connection, "postgres://host/db", options, durable, undefined);
}

test("a server that keeps its promises is taken, and one that knows no such settings", async () => {
  await check({});
  await check({ synchronous_commit: "local" });
  await check({ synchronous_commit: "remote_apply", standbys: "one" });
  await check(Object.fromEntries(Object.keys(safe).map((name) => [name, null])));
});

for (const [what, settings, problem] of [
  ["older than 14", { version: "130011" }, /older than PostgreSQL 14/],
  ["with another encoding", { encoding: "LATIN1" }, /encoding is LATIN1/],
  ["without fsync", { fsync: "off" }, /fsync is off/],
  ["without full_page_writes", { full_page_writes: "off" }, /full_page_writes is off/],
  ["that acknowledges before its disk has it", { synchronous_commit: "off" }, /synchronous_commit is off/],
  ["that acknowledges before its standby has it", { synchronous_commit: "local", standbys: "one" }, /is local/],
] as const) {
  test(`a server ${what} is refused`, async () => {
    await assert.rejects(check(settings), (error: Error & { code?: string }) => {
      assert.equal(error.code, "unsafe_server");
      assert.match(error.message, problem);
      return true;
    });
  });
}

test("what only costs what was not promised is no reason: without durability, or when it is accepted", async () => {
  await check({ synchronous_commit: "off" }, false);
  await check({ synchronous_commit: "local", standbys: "one" }, false);
  await check({ fsync: "off" }, true, true);
  await assert.rejects(check({ fsync: "off" }, false), { code: "unsafe_server" });
  await assert.rejects(check({ encoding: "LATIN1" }, true, true), { code: "unsafe_server" }, "nothing can accept that");
});
