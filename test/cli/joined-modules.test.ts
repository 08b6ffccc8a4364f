// The package's modules that are always loaded together are joined into one file when it is built.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = findRoot();
const scriptUrl = pathToFileURL(join(root, "scripts", "lib", "join-modules.mjs")).href;
const { joinModules } = (await import(scriptUrl)) as {
  joinModules(directory: string, entry: string, joined: string): number;
};

function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}

function withFiles(context: TestContext, files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "sessiondir-join-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

// biome-ignore lint/suspicious/noExplicitAny: what is loaded is whatever the test wrote
function load(directory: string, name: string): Promise<Record<string, any>> {
  return import(pathToFileURL(join(directory, name)).href);
}

test("joined modules do what they did, each once, and those that are loaded later share their state", async (context) => {
  const directory = withFiles(context, {
    "index.js": [
      'import path, { basename as base } from "node:path";',
      'import * as low from "./low/counter.js";',
      'import { Thing as Item } from "./thing.js";',
      'export { count, limit as most } from "./low/counter.js";',
      "export class Box extends Item {",
      "}",
      "export async function later() {",
      '    return import("./low/later.js");',
      "}",
      "export const name = base(path.join('a', 'b'));",
      "const hidden = low.count();",
      "export { hidden as first };",
      "",
    ].join("\n"),
    "thing.js": 'import { count } from "./low/counter.js";\nexport class Thing {\n    number = count();\n}\n',
    "low/counter.js":
      "let counted = 0;\nexport const limit = 9;\nexport function count() {\n    return ++counted;\n}\n",
    "low/later.js": 'import { Thing } from "../thing.js";\nexport const isThing = (value) => value instanceof Thing;\n',
  });
  assert.equal(joinModules(directory, "index.js", "core.js"), 3);
  const index = await load(directory, "index.js");
  assert.deepEqual(Object.keys(index).sort(), ["Box", "count", "first", "later", "most", "name"]);
  assert.deepEqual([index.first, index.most, index.name], [1, 9, "b"]);
  const box = new index.Box();
  assert.equal(box.number, 2);
  assert.equal((await index.later()).isThing(box), true, "there is one class, whichever way it is reached");
  assert.equal((await load(directory, "low/counter.js")).count(), 3);
});

for (const [what, files] of Object.entries({
  "a circle of imports": {
    "index.js": 'import { a } from "./a.js";\nexport const b = a;\n',
    "a.js": 'import { b } from "./index.js";\nexport const a = () => b;\n',
  },
  "a default export": { "index.js": "export default 1;\n" },
  "an export of everything": { "index.js": 'export * from "./a.js";\n', "a.js": "export const a = 1;\n" },
  "an export that changes": { "index.js": "export let a = 1;\n" },
  "a path relative to the module": { "index.js": 'export const a = new URL("./a.txt", import.meta.url);\n' },
  "an import for its effects": { "index.js": 'import "./a.js";\n', "a.js": "globalThis.a = 1;\n" },
})) {
  test(`what cannot be joined rightly is refused: ${what}`, (context) => {
    const directory = withFiles(context, files as Record<string, string>);
    assert.throws(() => joinModules(directory, "index.js", "core.js"));
  });
}

test("the joined package opens a store, and a backend that is loaded later throws errors of the same class", async (context) => {
  const directory = mkdtempSync(join(root, "build-joined-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(fileURLToPath(new URL("../../src", import.meta.url)), directory, { recursive: true });
  assert.ok(joinModules(directory, "index.js", "core.js") > 50);
  const { openSessionStore, SessionStoreError } = await load(directory, "index.js");
  const store = await openSessionStore(join(directory, "stores", "sessions.json"));
  await store.update("agent:main:main", () => ({ updatedAt: 1 }));
  assert.equal((await store.list()).sessions.length, 1);
  await store.close();
  const other = openSessionStore(join(directory, "nothing", "sessions.json"), { backend: "json", readOnly: true });
  await assert.rejects(other, SessionStoreError);
});
