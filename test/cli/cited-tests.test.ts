// Which tests a document cites, and whether they are there; `npm run check` does it for all documents.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { withPlace } from "../process/support/temporary-store.js";
import { projectRoot } from "./command-line.js";

const modulePath = pathToFileURL(path.join(projectRoot, "scripts", "lib", "cited-tests.mjs")).href;
const { findCitedTests, isThere } = (await import(modulePath)) as {
  findCitedTests(document: string, text: string): { line: number; cited: string }[];
  isThere(root: string, cited: string): boolean;
};

test("a test that a document cites is a file, a folder, or a name with stars that fits one", async () => {
  await withPlace(async ({ parent }) => {
    fs.mkdirSync(path.join(parent, "test", "unit", "fs"), { recursive: true });
    fs.writeFileSync(path.join(parent, "test", "unit", "fs", "crash.test.ts"), "");
    fs.writeFileSync(path.join(parent, "test", "unit", "fs", "scene.ts"), "");
    const is = (cited: string): boolean => isThere(parent, cited);
    for (const cited of ["test/unit", "test/unit/fs/crash", "test/unit/fs/crash.test.ts", "test/unit/fs/scene.ts"]) {
      assert.ok(is(cited), cited);
    }
    assert.ok(is("test/unit/fs/*ra*") && is("test/unit/*") && is("test/postgres/node_modules"));
    for (const cited of ["test/unit/fs/cras", "test/unit/file-system", "test/unit/fs/*crashes*", "test/none/*"]) {
      assert.ok(!is(cited), cited);
    }
  });
});

test("citations are found in prose and tables, and without the folder in the table of faults only", () => {
  const text = "see `test/hostile/swaps`.\n| `protocol/p16-trash`, `unit/migrate/*crash*` | test/sim/. |";
  assert.deepEqual(findCitedTests("SECURITY.md", text), [
    { line: 1, cited: "test/hostile/swaps" },
    { line: 2, cited: "test/sim" },
  ]);
  assert.deepEqual(
    findCitedTests("docs/testing.md", text).map(({ cited }) => cited),
    ["test/hostile/swaps", "test/sim", "test/protocol/p16-trash", "test/unit/migrate/*crash*"],
  );
});
