// Every input on which the library and the pure functions once disagreed: test/corpus/*.json.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { corpusDirectory, loadCase, replayCase } from "./corpus.js";

for (const name of fs.readdirSync(corpusDirectory()).sort()) {
  if (!name.endsWith(".json")) continue;
  const found = loadCase(path.join(corpusDirectory(), name));
  test(`${name}: ${found.why}`, async () => {
    assert.equal((await replayCase(found)).difference, undefined);
  });
}

test("the corpus is there", () => {
  assert.ok(fs.readdirSync(corpusDirectory()).length > 0);
});
