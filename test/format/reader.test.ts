// examples/reader.py was written from docs/format.md alone: when it reads what the library wrote, the page is enough.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { type OpenOptions, openSessionStore, type SessionStore } from "../../src/index.js";

type Entry = Record<string, unknown>;
interface Session {
  key: string;
  version: number;
  entry: Entry;
}

const reader = join(findRoot(), "examples", "reader.py");
const libraryUrl = new URL("../../src/index.js", import.meta.url).href;
const hasPython = spawnSync("python3", ["--version"]).status === 0;

function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) {
    assert.notEqual(dirname(directory), directory, "there is no package.json above this test");
    directory = dirname(directory);
  }
  return directory;
}

/** A test with a directory of its own; skipped where there is no Python. */
function readerTest(name: string, run: (directory: string) => Promise<void>): void {
  test(hasPython ? name : `${name} (skipped: needs python3)`, { skip: !hasPython }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "sessiondir-reader-"));
    try {
      await run(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

function open(directory: string, options: OpenOptions = {}): Promise<SessionStore<Entry>> {
  return openSessionStore<Entry>(join(directory, "sessions.json"), options);
}

function storePath(directory: string, ...names: string[]): string {
  return join(directory, "sessions.d", ...names);
}

function runReader(directory: string, ...options: string[]) {
  const run = spawnSync("python3", [reader, storePath(directory), ...options], { encoding: "utf8" });
  const lines = run.stdout.split("\n").filter((line) => line !== "");
  return { status: run.status, damage: run.stderr, sessions: lines.map((line) => JSON.parse(line) as Session) };
}

async function storeContent(store: SessionStore<Entry>): Promise<Session[]> {
  const sessions: Session[] = [];
  for await (const { key, entry, version } of store.entries({ onDamaged: () => {} }))
    sessions.push({ key, version: Number.parseInt(version, 10), entry });
  return sessions;
}

/** By key: the reader sorts by code point, the store's order is its own. */
function byKey(sessions: Session[]): Map<string, Session> {
  return new Map([...sessions].sort((a, b) => (a.key < b.key ? -1 : 1)).map((session) => [session.key, session]));
}

async function assertSame(store: SessionStore<Entry>, directory: string): Promise<void> {
  const read = runReader(directory);
  assert.equal(read.damage, "");
  assert.equal(read.status, 0);
  assert.deepEqual(byKey(read.sessions), byKey(await storeContent(store)));
}

async function fill(store: SessionStore<Entry>, keys: string[]): Promise<void> {
  for (const [n, key] of keys.entries()) await store.update(key, (current) => ({ ...current, n, text: "\u2028 ß 😀" }));
}

/** Runs statements on an open store `s` in a process that ends with SIGKILL. */
function runAndKill(directory: string, statements: string): void {
  const path = JSON.stringify(join(directory, "sessions.json"));
  const code = `import { openSessionStore } from ${JSON.stringify(libraryUrl)};
    const s = await openSessionStore(${path}, { limits: { segmentBytes: 2000 } });
    ${statements}
    process.kill(process.pid, "SIGKILL");`;
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  assert.ok(run.signal === "SIGKILL" || run.status !== 0, "the writer ended in good order");
  assert.equal(run.stderr, "");
}

function lastSegment(directory: string): string {
  return storePath(directory, "journal", readdirSync(storePath(directory, "journal")).sort().at(-1)!);
}

function entryFile(directory: string, key: string): string {
  return storePath(directory, "entries", `session-${Buffer.from(key).toString("base64url")}.json`);
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

function changeManifest(directory: string, change: (manifest: Record<string, unknown>) => void): void {
  const path = storePath(directory, "state.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  change(manifest);
  const text = `${JSON.stringify({ ...manifest, checksum: "00000000" }, null, 2)}\n`;
  writeFileSync(path, text.replace('"checksum": "00000000"', `"checksum": "${checksum(text)}"`));
}

function appendRecord(directory: string, record: object): void {
  const text = JSON.stringify(record).slice(0, -1);
  appendFileSync(lastSegment(directory), `${text},"checksum":"${checksum(text)}"}\n`);
}

function lastRecord(directory: string): { version: number; checksum: string } {
  return JSON.parse(readFileSync(lastSegment(directory), "utf8").trim().split("\n").at(-1)!);
}

const oddKeys = [
  "agent:main:main",
  "agent:Main:Ünïcödé",
  "😀:emoji",
  "\uffee:behind the surrogates",
  "ΣΑΣ",
  "İstanbul",
  "  spaces  ",
  "\ufeffmark\ufeff",
  "\u0085not trimmed\u0085",
  "__proto__",
  "constructor",
  "a/b\\c\n..",
  "x".repeat(120),
  "x".repeat(121),
  "é".repeat(60),
  "é".repeat(61),
  "y".repeat(512),
];

for (const keys of ["openclaw", "exact"] as const) {
  readerTest(`the reader reads odd keys with the key rule ${keys}`, async (directory) => {
    await using store = await open(directory, { keys });
    await assertSame(store, directory);
    await fill(store, oddKeys);
    await store.update("numbers", () => ({
      big: 1e21,
      tiny: 1.5e-9,
      whole: 2 ** 53 - 1,
      nothing: null,
      list: [1, [{}]],
    }));
    await store.update("fields", () => JSON.parse('{"__proto__":{"a":1},"checksum":"00000000"}'));
    await assertSame(store, directory);
    await store.checkpoint();
    await assertSame(store, directory);
    for (const key of [...oddKeys, " AGENT:MAIN:MAIN\t", "missing"]) {
      const { sessions, status } = runReader(directory, "--key", key);
      const entry = await store.get(key);
      assert.equal(status, 0);
      assert.deepEqual(sessions.length ? { ...sessions[0]!.entry } : undefined, entry && { ...entry });
    }
  });
}

readerTest("the reader applies removals, re-creations and patches after a checkpoint", async (directory) => {
  await using store = await open(directory);
  await fill(store, ["a", "b", "c", "d"]);
  await store.checkpoint();
  await store.patch("a", { n: undefined, more: 1 });
  await store.remove("b");
  await store.remove("c", { purge: true });
  await store.update("c", () => ({ again: true }));
  await store.patch("c", { again: undefined, last: [1] });
  await store.transaction(async (transaction) => {
    transaction.set("e", { one: 1 });
    await transaction.remove("d");
  });
  await assertSame(store, directory);
  assert.deepEqual([...byKey(runReader(directory).sessions).keys()], ["a", "c", "e"]);
  await store.checkpoint();
  await assertSame(store, directory);
});

readerTest(
  "the reader is right without knowing of generations and of what a put sends to the trash",
  async (directory) => {
    await using store = await open(directory);
    await store.update("a", () => ({ sessionId: "one", sessionFile: "one.jsonl" }));
    await store.patch("a", { sessionId: "two" }, { reason: '"checksum": "00000000"' });
    await store.update("b", () => ({ n: 1 }));
    await store.remove("b");
    await store.update("b", () => ({ n: 2 }));
    await store.restore("b", { replace: true });
    await assertSame(store, directory);
    await store.checkpoint();
    await store.transaction((transaction) => transaction.set("a", { sessionId: "three" }));
    await assertSame(store, directory);
    await store.checkpoint();
    await assertSame(store, directory);
    assert.equal((await store.generations("a")).length, 2);
    assert.deepEqual(byKey(runReader(directory).sessions).get("b")?.entry, { n: 1 });
  },
);

readerTest("the reader reads the journal of a killed process, over rotations and a torn tail", async (directory) => {
  const statements = `for (let i = 0; i < 60; i++) {
    await s.update("k" + (i % 7), (current) => ({ ...current, i, pad: "p".repeat(60) }));
    if (i % 5 === 0) await s.patch("k" + (i % 7), { patched: i, pad: undefined });
    if (i % 11 === 3) await s.remove("k" + (i % 7));
    if (i === 30) await s.checkpoint();
  }`;
  runAndKill(directory, statements);
  assert.ok(readdirSync(storePath(directory, "journal")).length > 2, "there were no rotations");
  const killed = runReader(directory);
  appendFileSync(lastSegment(directory), '{"version":1000,"time":17,"wri');
  assert.deepEqual(runReader(directory), killed);
  await using store = await open(directory);
  assert.deepEqual(byKey(killed.sessions), byKey(await storeContent(store)));
  await assertSame(store, directory);
  await store.update("behind the tear", () => ({ n: 1 }));
  await assertSame(store, directory);
});

readerTest("the reader reports a damaged session and serves the others", async (directory) => {
  const statements = `for (const key of ["flipped", "linked", "put", "fine"]) await s.update(key, () => ({ n: 1 }));
    await s.checkpoint();
    await s.update("put", () => ({ n: 2 }));`;
  runAndKill(directory, statements);
  for (const key of ["flipped", "put"]) {
    const text = readFileSync(entryFile(directory, key), "utf8");
    writeFileSync(entryFile(directory, key), text.replace('"n": 1', '"n": 3'));
  }
  renameSync(entryFile(directory, "linked"), join(directory, "elsewhere"));
  symlinkSync(join(directory, "elsewhere"), entryFile(directory, "linked"));
  writeFileSync(storePath(directory, "entries", "not-of-the-store"), "");

  await using store = await open(directory, { readOnly: true });
  const read = runReader(directory, "--json");
  assert.equal(read.status, 1);
  assert.deepEqual(byKey(read.sessions), byKey(await storeContent(store)));
  assert.deepEqual([...byKey(read.sessions).keys()], ["fine", "put"]);
  const damage = read.damage.trim().split("\n");
  assert.deepEqual(damage.map((line) => JSON.parse(line).key).sort(), ["flipped", "linked"]);
  assert.equal(runReader(directory, "--key", "fine").status, 0);
  assert.match(runReader(directory, "--key", "flipped").damage, /^damaged key "flipped": wrong checksum$/m);
});

for (const [fileNames, shardDigits] of [
  ["hash", 0],
  ["base64url", 2],
  ["hash", 2],
] as const) {
  readerTest(
    `the reader finds entry files with ${fileNames} names and ${shardDigits} shard digits`,
    async (directory) => {
      {
        await using store = await open(directory);
        await fill(store, oddKeys);
        await store.checkpoint();
      }
      changeManifest(directory, (manifest) => Object.assign(manifest, { fileNames, shardDigits }));
      for (const name of readdirSync(storePath(directory, "entries"))) {
        const { sessionKey } = JSON.parse(readFileSync(storePath(directory, "entries", name), "utf8"));
        const hash = createHash("sha256").update(sessionKey).digest("hex");
        const shard = storePath(directory, "entries", hash.slice(0, shardDigits));
        mkdirSync(shard, { recursive: true, mode: 0o700 });
        const newName = fileNames === "hash" ? `session-hash-${hash}.json` : name;
        renameSync(storePath(directory, "entries", name), join(shard, newName));
      }
      await using store = await open(directory, { readOnly: true });
      assert.equal((await storeContent(store)).length, oddKeys.length);
      await assertSame(store, directory);
    },
  );
}

for (const ending of ["a seal", "a torn line", "a seal and a commit of nothing"]) {
  readerTest(`the reader goes on with carried states behind ${ending}`, async (directory) => {
    runAndKill(directory, 'await s.update("a", () => ({ n: 1 })); await s.update("b", () => ({ n: 1 }));');
    const { version, checksum: record } = lastRecord(directory);
    const { store: incarnation } = JSON.parse(readFileSync(lastSegment(directory), "utf8").split("\n")[0]!);
    const common = { time: 1, writer: "0123456789ab", durable: version };
    if (ending === "a torn line") appendFileSync(lastSegment(directory), '{"seal":"suspe');
    else appendRecord(directory, { seal: "suspect", lastVersion: version, ...common });
    const beginSegment = (first: number) =>
      writeFileSync(storePath(directory, "journal", `${String(first).padStart(16, "0")}.jsonl`), "", { mode: 0o600 });
    beginSegment(version + 1);
    const carry = [
      { put: "a", version: 1, record, entry: { n: 1 } },
      { remove: "b", version, record },
    ];
    const behind = { suspectFrom: 1, lastVersion: version, lastRecord: record, store: incarnation };
    appendRecord(directory, { carry, ...behind, ...common });
    let last = version;
    if (ending.endsWith("nothing")) {
      // The sync of the carried states failed as well.
      last += 1;
      appendRecord(directory, { version: last, ...common, operations: [] });
      const { checksum: lastRecordOfAll } = lastRecord(directory);
      appendRecord(directory, { seal: "suspect", lastVersion: last, ...common });
      beginSegment(last + 1);
      appendRecord(directory, { carry, ...behind, lastVersion: last, lastRecord: lastRecordOfAll, ...common });
    }
    const operations = [{ patch: "a", base: 1, set: { more: 1 } }];
    appendRecord(directory, { version: last + 1, ...common, operations });
    await using store = await open(directory, { readOnly: true });
    await assertSame(store, directory);
    assert.deepEqual(runReader(directory).sessions, [{ key: "a", version: last + 1, entry: { n: 1, more: 1 } }]);
  });
}

readerTest("the reader refuses what it cannot know", async (directory) => {
  await using store = await open(directory);
  await fill(store, ["a", "b"]);
  await store.close();
  const manifest = readFileSync(storePath(directory, "state.json"), "utf8");
  const refused = (change: () => void, reason: RegExp) => {
    change();
    const read = runReader(directory);
    assert.equal(read.status, 2);
    assert.deepEqual(read.sessions, []);
    assert.match(read.damage, reason);
    writeFileSync(storePath(directory, "state.json"), manifest);
  };
  const change = (fields: object) => () => changeManifest(directory, (before) => Object.assign(before, fields));
  refused(change({ layoutVersion: 2 }), /layout 2/);
  refused(change({ features: { required: ["blobs"], optional: [] } }), /blobs/);
  refused(change({ kind: "openclaw-session-store-directory" }), /openclaw-session-store-directory/);
  refused(
    () => writeFileSync(storePath(directory, "state.json"), manifest.replace(/"createdMs": 1/, '"createdMs": 2')),
    /checksum/,
  );
  change({ features: { required: [], optional: ["something"] } })();
  assert.equal(runReader(directory).status, 0);
  writeFileSync(storePath(directory, "state.json"), manifest);
  refused(() => appendRecord(directory, { novelty: 1, time: 1, writer: "0123456789ab", durable: 2 }), /unknown kind/);
  assert.equal(spawnSync("python3", [reader, join(directory, "missing.d")]).status, 2);
});
