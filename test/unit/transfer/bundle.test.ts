import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { MemoryBackend } from "../../../src/backends/memory/backend.js";
import { SessionStoreError } from "../../../src/errors.js";
import { nodePort } from "../../../src/fs/node-port.js";
import { writeBundle } from "../../../src/transfer/bundle-writer.js";
import { combineDigests, digestSession } from "../../../src/transfer/content-hash.js";
import { exportSessions } from "../../../src/transfer/export.js";
import { importSessions } from "../../../src/transfer/import.js";
import { failCallOf } from "./failing.js";
import {
  inTemporaryDirectory,
  makeStore,
  put,
  readStore,
  rejectsWith,
  type Sessions,
  snapshotTree,
} from "./support.js";

const sessions: Sessions = {
  "agent:main:main": { sessionId: "one", updatedAt: 5, text: "Ünï 🦞 \u2028" },
  "agent:b:x": { sessionId: "two", updatedAt: 7 },
  ["__proto__"]: { constructor: 1 },
};

async function inStore(
  body: (at: { directory: string; store: string; bundle: string }) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.d");
    await makeStore(store, JSON.parse(JSON.stringify(sessions)));
    await body({ directory, store, bundle: path.join(directory, "bundle.jsonl") });
  });
}

const ownSessions = JSON.parse(JSON.stringify(sessions)) as Sessions;

/** Puts a bundle together by hand; `lines` are the session lines. */
function craft(
  lines: readonly string[],
  change: { sessions?: number; content?: string; header?: string } = {},
): string {
  const header =
    change.header ??
    '{"format":"sessiondir-bundle","formatVersion":1,"created":"2026-01-01T00:00:00.000Z","source":{"backend":"memory","keyRule":"openclaw","cursor":"1"}}';
  const head = [header, ...lines].map((line) => `${line}\n`).join("");
  const digests = lines.flatMap((line) => {
    try {
      return [digestSession(JSON.parse(line))];
    } catch {
      return [];
    }
  });
  const trailer = {
    end: true,
    sessions: change.sessions ?? lines.length,
    contentSha256: change.content ?? combineDigests(digests),
    damaged: [],
  };
  const hashed = `${head}${JSON.stringify(trailer).slice(0, -1)}`;
  return `${hashed},"bytesSha256":"${createHash("sha256").update(hashed).digest("hex")}"}\n`;
}

test("an exported bundle, imported elsewhere, gives the same sessions; importing it again finds them there", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    const exported = await exportSessions(store, bundle);
    assert.deepEqual([exported.outcome, exported.sessions], ["complete", 3]);
    assert.equal(fs.statSync(bundle).mode & 0o777, 0o600);
    assert.equal(createHash("sha256").update(fs.readFileSync(bundle)).digest("hex"), exported.sha256);
    assert.equal(fs.statSync(bundle).size, exported.bytes);
    const target = path.join(directory, "target.d");
    const first = await importSessions(bundle, target);
    assert.deepEqual([first.outcome, first.created, first.contentSha256], ["complete", 3, exported.contentSha256]);
    assert.deepEqual(await readStore(target), ownSessions);
    const before = snapshotTree(directory);
    const second = await importSessions(bundle, target, { onConflict: "replace" });
    assert.deepEqual([second.created, second.replaced, second.same], [0, 0, 3]);
    assert.equal(before.size, snapshotTree(directory).size);
  });
});

test("some sessions: by key and by agent; a key that is not there, and an agent without sessions, are failures", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    await exportSessions(store, bundle, { keys: [" Agent:Main:MAIN ", "agent:main:main"] });
    const one = path.join(directory, "one.d");
    await importSessions(bundle, one);
    assert.deepEqual(Object.keys(await readStore(one)), ["agent:main:main"]);
    await exportSessions(store, bundle, { agent: "B", force: true });
    await importSessions(bundle, one);
    assert.deepEqual(Object.keys(await readStore(one)), ["agent:b:x", "agent:main:main"]);
    const before = snapshotTree(directory);
    const missing = await rejectsWith(
      "not_found",
      exportSessions(store, `${bundle}.2`, { keys: ["agent:b:x", "none"] }),
    );
    assert.match(missing.message, /"none"/);
    await rejectsWith("not_found", exportSessions(store, `${bundle}.2`, { agent: "nobody" }));
    await rejectsWith("invalid_option", exportSessions(store, `${bundle}.2`, { keys: [] }));
    assert.deepEqual(snapshotTree(directory), before);
  });
});

test("an existing file is not replaced without force, and a failed export leaves it and no leftovers", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    fs.writeFileSync(bundle, "mine");
    const before = snapshotTree(directory);
    await rejectsWith("conflict", exportSessions(store, bundle));
    await rejectsWith(
      "disk_full",
      exportSessions(store, bundle, { force: true, port: failCallOf("append", "ENOSPC") }),
    );
    await rejectsWith("io_error", exportSessions(store, bundle, { force: true, port: failCallOf("syncFile", "EIO") }));
    assert.deepEqual(snapshotTree(directory), before);
    await exportSessions(store, bundle, { force: true });
    assert.notEqual(fs.readFileSync(bundle, "utf8"), "mine");
    fs.mkdirSync(`${bundle}.d`);
    await rejectsWith("conflict", exportSessions(store, `${bundle}.d`, { force: true }));
  });
});

test("a bundle cut off at any byte is refused, and nothing is imported", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    await exportSessions(store, bundle);
    const whole = fs.readFileSync(bundle);
    const target = path.join(directory, "target.d");
    const cut = path.join(directory, "cut.jsonl");
    for (let bytes = 0; bytes < whole.byteLength; bytes += 1) {
      fs.writeFileSync(cut, whole.subarray(0, bytes));
      await rejectsWith("invalid_bundle", importSessions(cut, target));
    }
    assert.equal(fs.existsSync(target), false);
  });
});

test("a bundle with any one bit changed is refused, and nothing is imported", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    await exportSessions(store, bundle);
    const whole = fs.readFileSync(bundle);
    const target = path.join(directory, "target.d");
    const flipped = path.join(directory, "flipped.jsonl");
    for (let at = 0; at < whole.byteLength; at += 1) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      fs.writeFileSync(flipped, bytes);
      const error = await importSessions(flipped, target).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      // A bit of the format's version makes it a newer one.
      const expected =
        error instanceof SessionStoreError && ["invalid_bundle", "unsupported_layout"].includes(error.code);
      assert.ok(expected, `byte ${at}: ${String(error)}`);
    }
    assert.equal(fs.existsSync(target), false);
  });
});

test("an error names the line and the byte at which it begins", async () => {
  await inTemporaryDirectory(async (directory) => {
    const bundle = path.join(directory, "bundle.jsonl");
    const first = '{"key":"a","entry":{"secret":"s3cret"}}';
    fs.writeFileSync(bundle, craft([first, '{"key":"b","entry":{"secret":"s3cret"']));
    const error = await rejectsWith("invalid_bundle", importSessions(bundle, path.join(directory, "t.d")));
    const offset = fs.readFileSync(bundle, "utf8").indexOf('{"key":"b"');
    assert.match(error.message, new RegExp(`line 3, from byte ${offset}`));
    assert.doesNotMatch(error.message, /s3cret/);
  });
});

const deep = `${'{"a":'.repeat(70)}1${"}".repeat(70)}`;
const hostile: Record<string, readonly string[]> = {
  "two lines for one session": ['{"key":"a","entry":{}}', '{"key":"a","entry":{"v":2}}'],
  "two lines for __proto__": ['{"key":"__proto__","entry":{}}', '{"key":"__proto__","entry":{}}'],
  "a field that bundles do not have": ['{"key":"a","entry":{},"extra":1}'],
  "a __proto__ field beside the entry": ['{"key":"a","entry":{},"__proto__":{"entry":1}}'],
  "a key behind __proto__": ['{"__proto__":{"key":"a","entry":{}}}'],
  "no key": ['{"entry":{}}'],
  "a key with NUL": ['{"key":"a\\u0000","entry":{}}'],
  "a blank key": ['{"key":" ","entry":{}}'],
  "a lone surrogate in a key": ['{"key":"\\ud800","entry":{}}'],
  "an entry that is an array": ['{"key":"a","entry":[]}'],
  "an entry that is null": ['{"key":"a","entry":null}'],
  "too many levels": [`{"key":"a","entry":${deep}}`],
  "a number out of range": ['{"key":"a","entry":{"v":1e999}}'],
  "a line that is no object": ["[]"],
  "an empty line": [""],
  "a byte order mark": ['\ufeff{"key":"a","entry":{}}'],
  "a mark of a path above the folder": [
    '{"key":"a","entry":{"sessionFile":"../../etc/passwd"},"relativePaths":["/entry/sessionFile"]}',
  ],
  "a mark of an absolute path": [
    '{"key":"a","entry":{"sessionFile":"/etc/passwd"},"relativePaths":["/entry/sessionFile"]}',
  ],
  "a mark with a backslash": ['{"key":"a","entry":{"sessionFile":"..\\\\x"},"relativePaths":["/entry/sessionFile"]}'],
  "a mark of another field": ['{"key":"a","entry":{"label":"x"},"relativePaths":["/entry/label"]}'],
  "a mark of an inherited field": ['{"key":"a","entry":{},"relativePaths":["/entry/constructor/name"]}'],
  "generations that are no list": ['{"key":"a","entry":{},"generations":{}}'],
  "more generations than any session ever had": [
    `{"key":"a","entry":{},"generations":[${Array(100_001).fill('{"sessionId":"x","endedMs":1}').join()}]}`,
  ],
  "a generation without an id": ['{"key":"a","entry":{},"generations":[{"endedMs":1}]}'],
};

for (const [what, lines] of Object.entries(hostile)) {
  test(`a bundle with ${what} is refused, although its hashes fit`, async () => {
    await inTemporaryDirectory(async (directory) => {
      const bundle = path.join(directory, "bundle.jsonl");
      const target = path.join(directory, "target.d");
      // The same bundle without the flaw is taken: the flaw is what it is refused for.
      fs.writeFileSync(bundle, craft(['{"key":"a","entry":{}}']));
      assert.equal((await importSessions(bundle, target)).created, 1);
      fs.writeFileSync(bundle, craft(lines));
      const before = snapshotTree(directory);
      const error = await rejectsWith("invalid_bundle", importSessions(bundle, target, { onConflict: "replace" }));
      assert.match(error.message, /line [23], from byte/);
      assert.doesNotMatch(error.message, /hash|trailer/);
      assert.deepEqual(snapshotTree(directory), before);
    });
  });
}

test("counts and hashes that do not fit, bad UTF-8, a line without end, links and directories are refused", async () => {
  await inTemporaryDirectory(async (directory) => {
    const bundle = path.join(directory, "bundle.jsonl");
    const target = path.join(directory, "target.d");
    const line = '{"key":"a","entry":{}}';
    const refused = async (content: string | Buffer, limits: { entryBytes?: number } = {}) => {
      fs.writeFileSync(bundle, content);
      return rejectsWith("invalid_bundle", importSessions(bundle, { location: target, limits }));
    };
    await refused(craft([line], { sessions: 2 }));
    await refused(craft([line], { content: "0".repeat(64) }));
    await refused(craft([]));
    await refused(`${craft([line])}\n`);
    await refused(craft([line]) + craft([line]));
    await refused(craft([line], { header: '{"format":"tar"}' }));
    await refused(Buffer.concat([Buffer.from(craft([line])), Buffer.from([0xff])]));
    await refused(Buffer.from(craft([line]).replace('"a"', '"é"'), "latin1"));
    const long = await refused("x".repeat(18 * 1024 * 1024), { entryBytes: 1024 });
    assert.match(long.message, /more than \d+ bytes/);
    fs.writeFileSync(bundle, craft([line]));
    fs.symlinkSync(bundle, path.join(directory, "link.jsonl"));
    await rejectsWith("unsafe_path", importSessions(path.join(directory, "link.jsonl"), target));
    await rejectsWith("unsafe_path", importSessions(directory, target));
    await rejectsWith("not_found", importSessions(path.join(directory, "none.jsonl"), target));
    assert.equal(fs.existsSync(target), false);
  });
});

test("with conflicts nothing at all is imported, unless a policy says what wins", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    await exportSessions(store, bundle);
    const there = { "agent:main:main": { updatedAt: 9 }, "agent:b:x": { updatedAt: 1 } };
    const run = async (name: string, onConflict: "skip" | "newer" | "replace") => {
      const target = path.join(directory, `${name}.d`);
      await makeStore(target, there);
      const before = snapshotTree(target);
      const error = await rejectsWith("conflict", importSessions(bundle, target));
      assert.match(error.message, /2 of the sessions.*Nothing was imported/);
      assert.deepEqual(snapshotTree(target), before);
      const dry = await importSessions(bundle, target, { onConflict, dryRun: true });
      assert.deepEqual(snapshotTree(target), before);
      const real = await importSessions(bundle, target, { onConflict });
      assert.deepEqual({ ...dry, dryRun: false }, real);
      return await readStore(target);
    };
    const proto = Object.fromEntries(Object.entries(ownSessions).filter(([key]) => key === "__proto__"));
    assert.deepEqual(await run("skip", "skip"), { ...there, ...proto });
    assert.deepEqual(await run("newer", "newer"), { ...ownSessions, "agent:main:main": { updatedAt: 9 } });
    assert.deepEqual(await run("replace", "replace"), ownSessions);
  });
});

test("an import that stops half-way says how far it came, and a second one finishes it", async () => {
  await inTemporaryDirectory(async (directory) => {
    const bundle = path.join(directory, "bundle.jsonl");
    const target = path.join(directory, "target.d");
    const many = Object.fromEntries(Array.from({ length: 700 }, (_, index) => [`agent:main:${index}`, { index }]));
    await makeStore(path.join(directory, "source.d"), many);
    await exportSessions(path.join(directory, "source.d"), bundle);
    const stop = new AbortController();
    const onProgress = (done: number) => {
      if (done === 300) stop.abort();
    };
    const error = await rejectsWith("aborted", importSessions(bundle, target, { onProgress, signal: stop.signal }));
    assert.match(error.message, /256 of 700 sessions were imported/);
    const second = await importSessions(bundle, target);
    assert.deepEqual([second.same, second.created], [256, 444]);
    assert.deepEqual(await readStore(target), many);
  });
});

test("paths in the store's folder travel with it, all others stay as they are, and none becomes absolute", async () => {
  await inTemporaryDirectory(async (directory) => {
    const home = path.join(directory, "home");
    fs.mkdirSync(home);
    fs.mkdirSync(path.join(directory, "new"));
    const inside = path.join(home, "archive", "one.jsonl");
    const entry = {
      sessionFile: inside,
      compactionCheckpoints: [
        { preCompaction: { sessionFile: path.join(home, "x.jsonl") } },
        { sessionFile: "rel.jsonl" },
      ],
      other: inside,
      elsewhere: { sessionFile: "/srv/two.jsonl" },
      odd: { sessionFile: `${home}/./three.jsonl` },
      above: { sessionFile: path.join(home, "..", "up.jsonl") },
    };
    await makeStore(path.join(home, "sessions.d"), { a: entry });
    const bundle = path.join(directory, "bundle.jsonl");
    await exportSessions(path.join(home, "sessions.d"), bundle);
    const line = JSON.parse(fs.readFileSync(bundle, "utf8").split("\n")[1]!);
    assert.equal(line.entry.sessionFile, "archive/one.jsonl");
    assert.deepEqual(line.relativePaths, [
      "/entry/sessionFile",
      "/entry/compactionCheckpoints/0/preCompaction/sessionFile",
    ]);
    await importSessions(bundle, path.join(directory, "new", "sessions.d"));
    const found = (await readStore(path.join(directory, "new", "sessions.d"))).a as typeof entry;
    const moved = path.join(directory, "new", "archive", "one.jsonl");
    const checkpoints = [
      { preCompaction: { sessionFile: path.join(directory, "new", "x.jsonl") } },
      { sessionFile: "rel.jsonl" },
    ];
    assert.deepEqual(found, { ...entry, sessionFile: moved, compactionCheckpoints: checkpoints });
    // Back in the same folder, they are what they were.
    await importSessions(bundle, path.join(home, "again.d"));
    assert.deepEqual(await readStore(path.join(home, "again.d")), { a: entry });
  });
});

test("fresh ids name new transcripts, leave out the old ones, and are the same when imported again", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    const entry = {
      sessionId: "old",
      sessionFile: "old.jsonl",
      cliSessionIds: { a: "b" },
      label: "kept",
      updatedAt: 3,
    };
    await makeStore(source, { a: entry, b: { label: "none" } });
    const bundle = path.join(directory, "bundle.jsonl");
    await exportSessions(source, bundle);
    const [one, two] = [path.join(directory, "one.d"), path.join(directory, "two.d")];
    await importSessions(bundle, one, { freshIds: true });
    const found = (await readStore(one)) as Sessions;
    assert.match(found.a!.sessionId as string, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(found, {
      a: { sessionId: found.a!.sessionId, label: "kept", updatedAt: 3 },
      b: { label: "none" },
    });
    assert.equal((await importSessions(bundle, one, { freshIds: true })).same, 2);
    await importSessions(bundle, two, { freshIds: true });
    assert.notEqual(((await readStore(two)) as Sessions).a!.sessionId, found.a!.sessionId);
  });
});

test("generations are part of a bundle, and a store that keeps none says that they were left out", async () => {
  await inTemporaryDirectory(async (directory) => {
    const generations = '[{"sessionId":"older","sessionFile":"o.jsonl","endedMs":4,"actor":"x"}]';
    const bundle = path.join(directory, "bundle.jsonl");
    fs.writeFileSync(bundle, craft([`{"key":"a","entry":{"v":1},"generations":${generations}}`]));
    const target = path.join(directory, "target.d");
    assert.deepEqual((await importSessions(bundle, target)).warnings, []);
    const again = path.join(directory, "again.jsonl");
    await exportSessions(target, again);
    const line = JSON.parse(fs.readFileSync(again, "utf8").split("\n")[1]!);
    assert.deepEqual(line.generations, JSON.parse(generations));
    const json = await importSessions(bundle, { location: path.join(directory, "old.json"), backend: "json" });
    assert.match(json.warnings[0] ?? "", /earlier generations/);
  });
});

test("a damaged session makes an export fail; with allowDamaged the bundle names what it lacks", async () => {
  await inStore(async ({ directory, store, bundle }) => {
    const name = `session-${Buffer.from("agent:b:x").toString("base64url")}.json`;
    fs.writeFileSync(path.join(store, "entries", name), "{ half");
    for (const selection of [{}, { agent: "b" }, { keys: ["agent:b:x", "agent:main:main"] }]) {
      await rejectsWith("entry_damaged", exportSessions(store, bundle, selection));
    }
    assert.equal(fs.existsSync(bundle), false);
    assert.equal((await exportSessions(store, `${bundle}.main`, { agent: "main" })).outcome, "complete");
    const partial = await exportSessions(store, bundle, { allowDamaged: true });
    assert.deepEqual([partial.outcome, partial.sessions, partial.damaged.length], ["partial", 2, 1]);
    const imported = await importSessions(bundle, path.join(directory, "target.d"));
    assert.deepEqual([imported.outcome, imported.damagedInSource], ["partial", ["agent:b:x"]]);
  });
});

test("a sink gets the bytes in order, and a failing one makes the export fail", async () => {
  const source = new MemoryBackend(nodePort());
  await put(source, { a: { v: 1 } });
  const chunks: Uint8Array[] = [];
  const written = await writeBundle(nodePort(), source, { write: async (bytes) => void chunks.push(bytes) }, {});
  assert.equal(createHash("sha256").update(Buffer.concat(chunks)).digest("hex"), written.fileSha256);
  const failing = { write: () => Promise.reject(new Error("gone")) };
  await assert.rejects(writeBundle(nodePort(), source, failing, {}), /gone/);
});
