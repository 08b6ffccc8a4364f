// What a process loads that opens a store and reads a session: a command lives for a tenth of a second, and each module
// costs it a part of that. Dynamic imports do not count; the compiled files are looked at, which have no types any more.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../src/", import.meta.url));

/** Every module that the one given imports statically, directly or not, below src/. */
function loadedWith(entry: string): Set<string> {
  const loaded = new Set<string>();
  const visit = (file: string): void => {
    const name = relative(source, file).replaceAll("\\", "/");
    if (loaded.has(name)) return;
    loaded.add(name);
    const text = readFileSync(file, "utf8");
    for (const [, specifier] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom\s+"(\.[^"]+)"/gm)) {
      visit(resolve(dirname(file), specifier as string));
    }
  };
  visit(resolve(source, entry));
  return loaded;
}

test("opening a store loads no migration, no transfer and no other backend", () => {
  const loaded = [...loadedWith("index.js")];
  assert.ok(loaded.includes("backends/directory/backend.js"), "the walk finds what is loaded");
  const allowed = ["migrate/legacy-watch.js", "migrate/result.js"];
  const unwanted = loaded.filter(
    (name) =>
      /^(transfer|migrate|discovery|openclaw|cli|backends\/(json|memory|postgres))\//.test(name) &&
      !allowed.includes(name),
  );
  assert.deepEqual(unwanted, []);
});
