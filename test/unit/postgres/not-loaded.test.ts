/** Who keeps sessions in a directory neither installs nor loads anything of PostgreSQL. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const source = new URL("../../../src/", import.meta.url);
const project = fileURLToPath(new URL("../../../../", import.meta.url));

/** Says each module that is loaded, on a line of its own that begins with "loaded ". */
const hooks = `import { writeSync } from "node:fs";
export async function load(url, context, next) {
  writeSync(2, "loaded " + url + "\\n");
  return next(url, context);
}`;
const registering = `import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hooks)}), "file:///");`;

/** The modules that a program loads, by their URLs. */
function modulesOf(program: string, ...more: string[]): string[] {
  const preload = `data:text/javascript,${encodeURIComponent(registering)}`;
  const { status, stderr } = spawnSync(process.execPath, ["--import", preload, ...more, program], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  return stderr
    .split("\n")
    .filter((line) => line.startsWith("loaded "))
    .map((line) => line.slice("loaded ".length));
}

const ofPostgres = (url: string) =>
  /\/backends\/postgres\/|\/node_modules\/(pg|pg-[a-z-]+|pgpass|postgres-[a-z-]+)\//.test(url);

function withDirectory(body: (directory: string) => void) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-loaded-"));
  try {
    body(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

test("a directory store that is opened, written, listed and closed loads nothing of PostgreSQL", () => {
  withDirectory((directory) => {
    const program = path.join(directory, "program.mjs");
    const open = (location: string) => `
      import { openSessionStore } from ${JSON.stringify(new URL("index.js", source).href)};
      const store = await openSessionStore(${JSON.stringify(location)});
      await store.update("a", () => ({ n: 1 }));
      await store.list();
      await store.close();`;
    fs.writeFileSync(program, open(path.join(directory, "sessions.json")));
    const loaded = modulesOf(program);
    assert.ok(
      loaded.some((url) => url.includes("/backends/directory/")),
      "the list of what is loaded is one",
    );
    assert.deepEqual(loaded.filter(ofPostgres), []);
    // The other way round: where it is wanted it is in the list, so it would have been seen above.
    fs.writeFileSync(program, `await import(${JSON.stringify(new URL("backends/postgres/backend.js", source).href)})`);
    assert.notDeepEqual(modulesOf(program).filter(ofPostgres), []);
  });
});

test("the command line on a directory store loads nothing of PostgreSQL", () => {
  withDirectory((directory) => {
    const location = path.join(directory, "sessions.d");
    fs.writeFileSync(
      path.join(directory, "make.mjs"),
      `import { openSessionStore } from ${JSON.stringify(new URL("index.js", source).href)};
       await (await openSessionStore(${JSON.stringify(location)})).close();`,
    );
    modulesOf(path.join(directory, "make.mjs"));
    const main = fileURLToPath(new URL("cli/main.js", source));
    const program = path.join(directory, "program.mjs");
    fs.writeFileSync(
      program,
      `process.argv = [process.execPath, ${JSON.stringify(main)}, "verify", "--store", ${JSON.stringify(location)}];
       await import(${JSON.stringify(pathToFileURL(main).href)});`,
    );
    assert.deepEqual(modulesOf(program).filter(ofPostgres), []);
  });
});

test("the package depends on no driver: it is an optional peer, and nothing else of PostgreSQL is installed", () => {
  const { dependencies, peerDependencies, peerDependenciesMeta, optionalDependencies, files } = JSON.parse(
    fs.readFileSync(path.join(project, "package.json"), "utf8"),
  ) as Record<string, Record<string, unknown>> & { files: string[] };
  const names = Object.keys({ ...dependencies, ...optionalDependencies });
  assert.deepEqual(
    names.filter((name) => /pg|postgres/.test(name)),
    [],
  );
  assert.deepEqual([Object.keys(peerDependencies!), peerDependenciesMeta], [["pg"], { pg: { optional: true } }]);
  assert.deepEqual(
    files.filter((name) => name.startsWith("test")),
    [],
  );
});
