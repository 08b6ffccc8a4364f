// Stores that were written by the commits that made a layout final. Every later version reads them, for ever: when one of
// these tests fails, it is the code that is wrong. write-fixtures.ts says what is in them and how they came about.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { copyStore, openSessionStore, type SessionStore } from "../../src/index.js";
import { limitCaps } from "../../src/limits.js";
import { type Expected, writeFixtures } from "./write-fixtures.js";

type Entry = Record<string, unknown>;

const root = findRoot();
const fixtures = join(root, "test", "format", "fixtures");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) {
    assert.notEqual(dirname(directory), directory, "there is no package.json above this test");
    directory = dirname(directory);
  }
  return directory;
}

/** A private copy of a fixture, with the modes that git does not keep. */
function takeCopy(context: TestContext, layout: string, scene: string): string {
  const directory = mkdtempSync(join(tmpdir(), "sessiondir-fixture-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(join(fixtures, layout, scene), directory, { recursive: true });
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const path = join(directory, name);
    chmodSync(path, statSync(path).isDirectory() ? 0o700 : 0o600);
  }
  return directory;
}

function expectedOf(layout: string, scene: string): Expected {
  return JSON.parse(readFileSync(join(fixtures, layout, scene, "expected.json"), "utf8")) as Expected;
}

/** Every file and its bytes. */
function bytesOf(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
  return new Map(
    files
      .filter((name) => statSync(join(directory, name)).isFile())
      .map((name) => [name, readFileSync(join(directory, name), "latin1")]),
  );
}

async function readBack(store: SessionStore<Entry>): Promise<Expected> {
  const found: Expected = { sessions: [], trash: [], list: [] };
  for await (const { key, entry, version } of store.entries()) {
    const generations = [...(await store.generations(key))];
    found.sessions.push({ key, version: Number.parseInt(version, 10), entry, generations });
    assert.deepEqual(plain(await store.get(key)), plain(entry), "a read and a scan tell the same");
  }
  found.sessions.sort((left, right) => (left.key < right.key ? -1 : 1));
  for await (const { id, key, entry, removedMs, actor, reason } of store.trash()) {
    const by = { ...(actor === undefined ? {} : { actor }), ...(reason === undefined ? {} : { reason }) };
    found.trash.push({ id, key, entry: entry as Entry, removedMs, ...by });
  }
  found.list = (await store.list()).sessions.map(({ key }) => key);
  return plain(found);
}

function plain<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

async function findingsOf(store: SessionStore<Entry>): Promise<unknown[]> {
  const findings: unknown[] = [];
  for await (const finding of store.verify()) findings.push(finding);
  return findings;
}

for (const layout of readdirSync(fixtures).sort()) {
  for (const scene of readdirSync(join(fixtures, layout)).filter((name) => name !== "fenced")) {
    test(`${layout}, ${scene}: a reader finds everything, and writes nothing`, async (context) => {
      const directory = takeCopy(context, layout, scene);
      const before = bytesOf(directory);
      const store = await openSessionStore<Entry>(join(directory, "sessions.json"), { readOnly: true });
      assert.deepEqual(await readBack(store), expectedOf(layout, scene));
      assert.deepEqual(await findingsOf(store), [], "what a crash leaves is no damage");
      await store.close();
      assert.deepEqual(bytesOf(directory), before);
    });

    test(`${layout}, ${scene}: a writer goes on where it ended`, async (context) => {
      const directory = takeCopy(context, layout, scene);
      const expected = expectedOf(layout, scene);
      // What was removed long ago stays in the trash here, as long as it can.
      const limits = { trashRetentionMs: limitCaps.trashRetentionMs };
      const store = await openSessionStore<Entry>(join(directory, "sessions.json"), { limits });
      assert.deepEqual(await readBack(store), expected);
      const last = Math.max(...expected.sessions.map(({ version }) => version));
      await store.update("agent:main:later", () => ({ updatedAt: 1 }));
      const { version } = (await store.getWithVersion("agent:main:later"))!;
      assert.ok(Number.parseInt(version, 10) > last, version);
      await store.close();
      const again = await openSessionStore<Entry>(join(directory, "sessions.json"), { readOnly: true, limits });
      const found = await readBack(again);
      assert.deepEqual(
        found.sessions.filter(({ key }) => key !== "agent:main:later"),
        expected.sessions,
      );
      assert.deepEqual(found.trash, expected.trash, "a checkpoint writes the trash that the journal told of");
      assert.deepEqual(await findingsOf(again), []);
      await again.close();
    });

    test(`${layout}, ${scene}: a copy holds the same sessions`, async (context) => {
      const directory = takeCopy(context, layout, scene);
      const target = join(directory, "copy", "sessions.json");
      await copyStore(join(directory, "sessions.d"), target);
      const store = await openSessionStore<Entry>(target, { readOnly: true });
      const strip = ({ sessions }: Expected) =>
        sessions.map(({ key, entry, generations }) => ({ key, entry, generations }));
      assert.deepEqual(strip(await readBack(store)), strip(expectedOf(layout, scene)));
      await store.close();
    });

    const name = `${layout}, ${scene}: the reader in another language finds the same`;
    test(hasPython ? name : `${name} (skipped: needs python3)`, { skip: !hasPython }, (context) => {
      const directory = takeCopy(context, layout, scene);
      const reader = join(root, "examples", "reader.py");
      const run = spawnSync("python3", [reader, join(directory, "sessions.d")], { encoding: "utf8" });
      assert.equal(run.status, 0, run.stderr);
      const found = run.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Expected["sessions"][number]);
      found.sort((left, right) => (left.key < right.key ? -1 : 1));
      const expected = expectedOf(layout, scene).sessions.map(({ key, version, entry }) => ({ key, version, entry }));
      assert.deepEqual(found, expected);
    });
  }

  test(`${layout}, fenced: a reader refuses, a writer undoes the rollback that died`, async (context) => {
    const directory = takeCopy(context, layout, "fenced");
    const location = join(directory, "sessions.json");
    const before = bytesOf(directory);
    await assert.rejects(openSessionStore(location, { readOnly: true }), { code: "store_fenced" });
    assert.deepEqual(bytesOf(directory), before);
    const store = await openSessionStore<Entry>(location);
    assert.deepEqual(await readBack(store), expectedOf(layout, "fenced"));
    await store.close();
  });
}

test("the present code writes stores of every scene again, and refuses to write over a fixture", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "sessiondir-fixture-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  await assert.rejects(writeFixtures(join(fixtures, "layout-1")), /kept for ever/);
  await writeFixtures(join(directory, "again"));
  const scenes = readdirSync(join(fixtures, "layout-1")).sort();
  assert.deepEqual(readdirSync(join(directory, "again")).sort(), scenes);
  for (const scene of scenes) {
    const written = JSON.parse(readFileSync(join(directory, "again", scene, "expected.json"), "utf8")) as Expected;
    assert.deepEqual(
      written.sessions.map(({ key, entry }) => ({ key, entry })),
      expectedOf("layout-1", scene).sessions.map(({ key, entry }) => ({ key, entry })),
      scene,
    );
  }
});
