import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../../src/index.js";

test("a store that was migrated has an index of lists from its first moment, which a reader uses", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "sessiondir-index-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const location = join(directory, "sessions.json");
  const legacy = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [`agent:main:s${index}`, { updatedAt: index }]),
  );
  writeFileSync(location, JSON.stringify(legacy));
  await (await openSessionStore(location)).close();
  const reader = await openSessionStore(location, { readOnly: true });
  context.after(() => reader.close());
  // A table made by a scan would not say how many there are before the first list.
  assert.equal((await reader.stats()).sessions, 300);
  const { sessions } = await reader.list({ limit: 2 });
  assert.deepEqual(
    sessions.map(({ key }) => key),
    ["agent:main:s299", "agent:main:s298"],
  );
  const head = JSON.parse(readFileSync(join(directory, "sessions.d", "summary-index", "head.json"), "utf8"));
  assert.equal(head.sessions, 300);
});

test("an empty store begins without an index", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "sessiondir-index-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  await (await openSessionStore(join(directory, "sessions.json"))).close();
  assert.equal(existsSync(join(directory, "sessions.d", "summary-index")), false);
});
