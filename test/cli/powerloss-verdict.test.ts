/** A power-loss run that met nothing of what it is about is no success. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { projectRoot } from "./command-line.js";

const script = pathToFileURL(path.join(projectRoot, "scripts", "powerloss", "verdict.mjs")).href;
const { emptyRows } = (await import(script)) as { emptyRows: (rows: readonly object[]) => string[] };

const row = { fileSystem: "ext4", protocol: "commit", states: 20, unmountable: 0 };

test("a row whose images were mounted, and whose syncs failed where they should, proves something", () => {
  assert.deepEqual(emptyRows([row, { ...row, unmountable: 19 }, { ...row, runsWithFailures: 1 }]), []);
});

test("a row without states, without a mounted image or without a failed sync proves nothing", () => {
  const rows = [
    { ...row, states: 0 },
    { ...row, unmountable: 20 },
    { ...row, protocol: "failing-disk", runsWithFailures: 0 },
  ];
  assert.deepEqual(emptyRows(rows), [
    "ext4 commit: no state was tried",
    "ext4 commit: no image could be mounted",
    "ext4 failing-disk: no sync failed",
  ]);
});
