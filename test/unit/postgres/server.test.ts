/** The rig itself: a server starts on a machine with nothing but Node and npm, and leaves nothing behind. */

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import pg from "pg";
import { startPostgres, whyNoPostgres } from "../../support/postgres-server.js";

for (const version of [15, 18] as const) {
  const reason = whyNoPostgres(version);
  const skip = reason === undefined ? false : `skipped: ${reason}`;
  test(`PostgreSQL ${version} starts, stops, dies, starts again on its data, and leaves nothing behind`, {
    skip,
  }, async () => {
    const server = await startPostgres({ version });
    try {
      const ask = async (text: string) => {
        const client = new pg.Client({ connectionString: server.url() });
        await client.connect();
        try {
          return (await client.query(text)).rows[0];
        } finally {
          await client.end();
        }
      };
      assert.equal(Math.floor(Number((await ask("SHOW server_version_num")).server_version_num) / 10_000), version);
      await ask("CREATE TABLE t AS SELECT 1 AS n");
      await server.stop();
      await server.start({ work_mem: "3MB" });
      assert.deepEqual(await ask("SELECT n FROM t"), { n: 1 });
      assert.deepEqual(await ask("SHOW work_mem"), { work_mem: "3MB" });
      await server.kill();
      await server.start();
      assert.deepEqual(await ask("SELECT n FROM t"), { n: 1 });
    } finally {
      await server.destroy();
    }
    assert.ok(!fs.existsSync(server.dataDirectory));
  });
}
