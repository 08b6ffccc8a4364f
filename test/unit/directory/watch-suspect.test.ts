import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { encodeCarry, encodeCommit } from "../../../src/backends/directory/journal/record.js";
import { openSessionStore } from "../../../src/index.js";

test("a watcher whose segment can never be read to its seal is told to read again (P11)", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  try {
    const location = path.join(directory, "sessions.json");
    const writer = await openSessionStore<{ n: number }>(location);
    for (let n = 1; n <= 3; n += 1) await writer.update("a", () => ({ n }));
    const reader = await openSessionStore<{ n: number }>(location, { readOnly: true });
    const cursor = await reader.cursor();
    const watch = reader.watch({ since: cursor });
    const next = watch.next();

    // What another process leaves whose sync failed, when the pages of the seal were evicted before anybody read them.
    const journal = path.join(directory, "sessions.d", "journal");
    const { incarnation } = JSON.parse(fs.readFileSync(path.join(directory, "sessions.d", "state.json"), "utf8"));
    const [, lastRecord] = /^c3-([0-9a-f]{8})-/.exec(cursor) as unknown as [string, string];
    const common = { timeMs: 1, writer: "another", durable: 3 };
    const carry = encodeCarry({
      ...common,
      store: incarnation,
      suspectFrom: 1,
      lastVersion: 3,
      lastRecord,
      states: [{ type: "put", key: "a", version: 3, record: lastRecord, entry: { n: 3 } }],
    });
    const commit = encodeCommit({ ...common, version: 4, operations: [{ type: "put", key: "a", entry: { n: 4 } }] });
    fs.appendFileSync(path.join(journal, "0000000000000001.jsonl"), "\0\0\0\0\n");
    fs.writeFileSync(path.join(journal, "0000000000000004.jsonl"), Buffer.concat([carry.bytes, commit.bytes]), {
      mode: 0o600,
    });

    const change = await next;
    assert.equal(change.value?.type, "reset");
    assert.deepEqual(await reader.get("a"), { n: 4 });
    await watch.return?.(undefined);
    await reader.close();
    await writer.close();
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
