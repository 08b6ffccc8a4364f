/** The layer rule must catch what it forbids: a rule that never fails would prove nothing. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { projectRoot } from "./command-line.js";

const forbidden: [file: string, text: string, expected: RegExp][] = [
  ["store.ts", 'import fs from "node:fs";', /store\.ts:1 imports node:fs/],
  ["store.ts", 'const files = await import("fs/promises");', /imports fs\/promises/],
  ["sessions/rules.ts", 'import { nodePort } from "../fs/node-port.js";', /sessions may not import fs/],
  ["backends/json/file.ts", 'import "../memory/backend.js";', /sideways from the memory backend/],
  ["backends/json/file.ts", 'import type { A } from "../../store.js";', /backend may not import store/],
  ["contract.ts", 'export { a } from "./sessions/keys.js";', /base may not import sessions/],
  ["store.ts", '\nimport pc from "picocolors";', /store\.ts:2 imports picocolors: only src\/cli/],
  ["open.ts", "const a = `${Date.now()}`;", /uses Date\.now/],
  ["open.ts", "const a = new Date();", /new Date\(\) without a time/],
  ["open.ts", "const a = process.hrtime.bigint();", /process\.hrtime/],
  ["open.ts", "const a = Math.random() / 2; // Math.random", /Math\.random/],
  ["open.ts", 'import { createHash, randomUUID } from "node:crypto";', /a random number/],
  ["open.ts", "crypto.randomUUID();", /a random number/],
  ["open.ts", "const a = /[/]/.test(b) ? setTimeout(c, 1) : 0;", /a timer/],
  ["open.ts", "Atomics.wait(a, 0, 0, 1);", /Atomics\.wait/],
  ["open.ts", 'const { Client } = await import("pg");', /imports pg: only src\/backends\/postgres\//],
  ["stray/file.ts", "", /belongs to no layer/],
];

for (const [file, text, expected] of forbidden) {
  test(`the layer rule refuses ${JSON.stringify(text.trim())} in ${file}`, (context) => {
    const { status, stdout } = runRule(context, { [file]: text });
    assert.match(stdout, expected);
    assert.equal(status, 1);
  });
}

test("the layer rule accepts what only looks like a violation", (context) => {
  const { status, stdout } = runRule(context, {
    "open.ts": [
      '// import fs from "node:fs"; Date.now()',
      'const a = "Date.now() and Math.random()";',
      "const b = `setTimeout ${new Date(port.nowMs()).toISOString()} Date.now()`;",
      'const c = /Date.now("/g.test(a) || port.randomBytes(8);',
      'import { nodePort } from "./fs/node-port.js";',
    ].join("\n"),
    "fs/node-port.ts": 'import fs from "node:fs"; Date.now();',
    "backends/memory/backend.ts": 'import { x } from "./other.js"; import "../../contract.js";',
  });
  assert.equal(stdout, "The layer rule holds.\n");
  assert.equal(status, 0);
});

function runRule(context: test.TestContext, files: Record<string, string>) {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-layers-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), text);
  }
  const script = path.join(projectRoot, "scripts", "check-layers.mjs");
  return spawnSync(process.execPath, [script, directory], { encoding: "utf8" });
}
