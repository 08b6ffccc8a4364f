// Files beside a store, spoilt at random and by name; see side-files.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { spoilSideFile } from "./side-files.js";

test("spoilt versions, markers, indexes, foreign directories, bundles and backups cost no session and no file", async () => {
  const refused = new Map<string, number>();
  const taken = new Map<string, number>();
  for (let seed = 10_000; seed < 10_600; seed++) {
    const outcome = await spoilSideFile(seed);
    const counts = outcome.refused ? refused : taken;
    counts.set(outcome.kind, (counts.get(outcome.kind) ?? 0) + 1);
  }
  assert.ok((refused.get("a bundle") ?? 0) > 50 && (refused.get("a backup") ?? 0) > 50, "what has hashes is refused");
  for (const kind of [
    "the versions file",
    "a rollback's marker",
    "a directory in OpenClaw's layout",
    "the index of lists",
  ]) {
    assert.ok((taken.get(kind) ?? 0) > 50, `${kind} stands in nobody's way`);
  }
});

test("a bundle whose trailer was changed beside its hash is refused", async () => {
  // Found by a torture run: the list of damaged sessions was covered by no hash.
  for (const seed of [1000007398, 1000007433]) assert.ok((await spoilSideFile(seed, "a bundle")).refused);
});
