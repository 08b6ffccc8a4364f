/** A directory store into PostgreSQL and back, by the library and by the command line, verified. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { copyStore } from "../../src/transfer/copy.js";
import { roundTripEntries } from "../conformance/tables.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { readAll, rejectsWith } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

test("a directory store goes into PostgreSQL and back without a difference", { skip }, async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-copy-"));
  try {
    const location = path.join(directory, "sessions.json");
    const source = await openSessionStore<AnyEntry>(location);
    for (const [name, entry] of roundTripEntries) await source.update(name, () => entry);
    await source.update("\u{1f600}", () => ({ sessionId: "first" }));
    await source.update("\u{1f600}", () => ({ sessionId: "second" }));
    const before = await readAll(source);
    await source.close();
    const target = `${await url()}?store=copy-${randomUUID()}`;
    const dryRun = await copyStore(location, target, { dryRun: true });
    assert.equal(dryRun.outcome, "complete");
    await rejectsWith("store_missing", openSessionStore(target, { readOnly: true }));
    const there = await copyStore(location, target);
    assert.deepEqual([there.outcome, there.sessions], ["complete", before.size]);
    assert.equal(there.verified?.contentSha256, there.contentSha256);
    assert.ok(!JSON.stringify(there).includes("correct-horse"));
    const again = await copyStore(location, target);
    assert.equal(again.same, before.size);
    const back = path.join(directory, "back.json");
    const returned = await copyStore(target, back);
    assert.equal(returned.contentSha256, there.contentSha256);
    const copy = await openSessionStore<AnyEntry>(back);
    assert.deepEqual(await readAll(copy), before);
    await copy.close();
    await rejectsWith("invalid_option", copyStore(target, target));
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
