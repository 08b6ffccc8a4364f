/** The commands on real stores: what they print, what they change, and that reading changes nothing at all. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import stringWidth from "string-width";
import { openSessionStore } from "../../src/open.js";
import { commandLine, fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const hostileKeys = [
  "__proto__",
  "constructor",
  "..",
  "a/b\\c",
  "agent:main:telegram:direct:😀",
  "agent:main:explicit:\u001b[2j\u0007red",
  "agent:main:explicit:\u202etxt.exe",
  "-n",
  `agent:main:${"x".repeat(400)}`,
];

interface SampleSession extends Record<string, unknown> {
  sessionId: string;
  updatedAt: number;
}

async function makeStore(context: TestContext, keys: readonly string[] = []): Promise<string> {
  const location = path.join(temporaryDirectory(context), "sessions.json");
  const store = await openSessionStore<SampleSession>(location);
  const now = Date.now();
  const samples: [string, Record<string, unknown>][] = [
    ["agent:main:main", { updatedAt: now - 30_000, model: "model-a", totalTokens: 12_345 }],
    ["agent:main:telegram:group:-1001", { updatedAt: now - 3_600_000, channel: "telegram", subject: "Release" }],
    ["agent:support:cron:daily", { updatedAt: now - 86_400_000 * 3 }],
    ...keys.map((key): [string, Record<string, unknown>] => [key, { updatedAt: now - 1_000 }]),
  ];
  for (const [key, fields] of samples) {
    await store.update(key, () => ({ sessionId: `id of ${key.length}`, updatedAt: 0, ...fields }));
  }
  await store.close();
  return location;
}

// biome-ignore lint/suspicious/noExplicitAny: the tests look at single fields of what a command printed
function runJson(args: string[]): { status: number | null; document: any } {
  const { status, stdout, stderr } = runCommand([...args, "--json"]);
  assert.equal(stderr, "");
  return { status, document: JSON.parse(stdout) };
}

test("list shows agent, kind, key, age, model and tokens, newest first, without colours in a pipe", async (context) => {
  const store = await makeStore(context);
  const { status, stdout } = runCommand(["list", "--store", store], { env: { CI: "true" } });
  assert.equal(status, 0);
  assert.ok(!stdout.includes("\u001b"));
  const rows = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  assert.deepEqual(rows, [
    ["AGENT", "KIND", "KEY", "AGE", "MODEL", "TOKENS"],
    ["main", "main", "agent:main:main", rows[1]![3]!, "model-a", "12,345"],
    ["main", "group", "agent:main:telegram:group:-1001", "1h", "-", "-"],
    ["support", "cron", "agent:support:cron:daily", "3d", "-", "-"],
  ]);
  assert.match(rows[1]![3]!, /^\d+[sm]$/);
});

test("list filters by agent, channel, kind, activity and text", async (context) => {
  const store = await makeStore(context);
  const keysOf = (...filters: string[]) =>
    runJson(["list", "--store", store, ...filters]).document.sessions.map(({ key }: { key: string }) => key);
  assert.deepEqual(keysOf("--agent", "support"), ["agent:support:cron:daily"]);
  assert.deepEqual(keysOf("--channel", "telegram"), ["agent:main:telegram:group:-1001"]);
  assert.deepEqual(keysOf("--kind", "main"), ["agent:main:main"]);
  assert.deepEqual(keysOf("--active", "30"), ["agent:main:main"]);
  assert.deepEqual(keysOf("--search", "RELEASE"), ["agent:main:telegram:group:-1001"]);
  assert.equal(keysOf("--order", "key")[2], "agent:support:cron:daily");
});

test("list goes on from page to page, and --all brings every page", async (context) => {
  const store = await makeStore(context);
  const first = runJson(["list", "--store", store, "--limit", "2"]).document;
  assert.equal(first.sessions.length, 2);
  const second = runJson(["list", "--store", store, "--limit", "2", "--cursor", first.nextCursor]).document;
  assert.equal(second.sessions.length, 1);
  assert.equal(second.nextCursor, undefined);
  assert.equal(runJson(["list", "--store", store, "--limit", "1", "--all"]).document.sessions.length, 3);
});

test("get prints the entry as JSON, with --version the version that patch --if-version takes", async (context) => {
  const store = await makeStore(context);
  const { status, stdout } = runCommand(["get", "agent:main:main", "--store", store]);
  assert.equal(status, 0);
  assert.equal((JSON.parse(stdout) as { model: string }).model, "model-a");
  const { document } = runJson(["get", "agent:main:main", "--version", "--store", store]);
  assert.deepEqual(Object.keys(document).sort(), ["entry", "key", "version"]);
  const patch = ["patch", "agent:main:main", "label=x", "--if-version", document.version, "--store", store];
  assert.equal(runCommand(patch).status, 0);
  const again = runJson(patch);
  assert.deepEqual([again.status, again.document.error.code], [1, "conflict"]);
});

test("get and remove of an unknown session fail with not_found", async (context) => {
  const store = await makeStore(context);
  for (const command of ["get", "remove"]) {
    const { status, document } = runJson([command, "agent:main:nobody", "--store", store]);
    assert.deepEqual([status, document.error.code], [1, "not_found"]);
    const plain = runCommand([command, "agent:main:nobody", "--store", store]);
    assert.deepEqual([plain.status, plain.stdout], [1, ""]);
    assert.match(plain.stderr, /^error \[not_found\]: .*agent:main:nobody.*sessiondir list/);
  }
});

test("patch takes JSON values as such and anything else as text, sets and unsets fields", async (context) => {
  const store = await makeStore(context);
  const args = ["patch", "agent:main:main", "count=12", "label=two words", 'quoted="12"', "flag=true", "eq=a=b"];
  const more = ["--set-json", '{"nested":{"a":[1]},"__proto__":{"x":1}}', "--unset", "model", "--store", store];
  const { status, document } = runJson([...args, ...more]);
  assert.equal(status, 0);
  const entry = runJson(["get", "agent:main:main", "--store", store]).document;
  assert.deepEqual(entry, document.entry);
  assert.deepEqual(
    [entry.count, entry.label, entry.quoted, entry.flag, entry.eq],
    [12, "two words", "12", true, "a=b"],
  );
  assert.deepEqual(entry.nested, { a: [1] });
  assert.deepEqual(Object.getOwnPropertyDescriptor(entry, "__proto__")?.value, { x: 1 });
  assert.equal("model" in entry, false);
});

test("patch creates a session only with --create", async (context) => {
  const store = await makeStore(context);
  const patch = ["patch", "agent:main:new", "label=x", "--store", store];
  assert.equal(runJson(patch).document.error.code, "not_found");
  assert.equal(runJson([...patch, "--create"]).document.entry.label, "x");
});

test("remove takes the session away; --purge --yes too", async (context) => {
  const store = await makeStore(context);
  assert.deepEqual(runJson(["remove", "agent:main:main", "--store", store]).document, {
    key: "agent:main:main",
    removed: true,
    purged: false,
  });
  assert.equal(runCommand(["get", "agent:main:main", "--store", store]).status, 1);
  const purged = runJson(["remove", "agent:support:cron:daily", "--purge", "--yes", "--store", store]);
  assert.deepEqual([purged.status, purged.document.purged], [0, true]);
});

test("watch prints the changes since a cursor, one JSON line each, with actor and reason", async (context) => {
  const store = await makeStore(context);
  const { cursor } = runJson(["stats", "--store", store]).document;
  runCommand(["patch", "agent:main:main", "label=x", "--reason", "because", "--store", store]);
  runCommand(["remove", "agent:support:cron:daily", "--store", store]);
  const { status, stdout } = runCommand(["watch", "--since", cursor, "--count", "2", "--json", "--store", store]);
  assert.equal(status, 0);
  const [put, remove] = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    [put.type, put.key, put.entry.label, put.actor, put.reason],
    ["put", "agent:main:main", "x", "cli", "because"],
  );
  assert.deepEqual([remove.type, remove.key], ["remove", "agent:support:cron:daily"]);
  const rest = runCommand(["watch", "--since", put.cursor, "--count", "1", "--store", store]);
  assert.match(rest.stdout, /remove agent:support:cron:daily \(cli\)/);
});

test("stats tells the number of sessions and the position", async (context) => {
  const store = await makeStore(context);
  const { document } = runJson(["stats", "--store", store]);
  assert.equal(document.sessions, 3);
  assert.equal(typeof document.cursor, "string");
  assert.match(runCommand(["stats", "--store", store]).stdout, /^sessions +3$/m);
});

test("verify says ok on a healthy store, and exits with 1 and the next step on a damaged one", async (context) => {
  const location = await makeStore(context);
  assert.deepEqual(runJson(["verify", "--store", location]), {
    status: 0,
    document: { ok: true, errors: 0, warnings: 0, findings: [] },
  });
  const store = await openSessionStore(location);
  await store.checkpoint();
  await store.close();
  const entries = path.join(location.replace(/\.json$/, ".d"), "entries");
  const file = path.join(entries, readdirSync(entries).find((name) => name.startsWith("session-"))!);
  writeFileSync(file, "{ half");
  const { status, document } = runJson(["verify", "--store", location]);
  assert.equal(status, 1);
  assert.ok(document.errors >= 1);
  for (const finding of document.findings) assert.ok(finding.code && finding.message && finding.nextStep);
  const plain = runCommand(["verify", "--store", location]);
  assert.equal(plain.status, 1);
  assert.match(plain.stdout, /error \[\w+\]/);
});

test("hostile keys are listed and read like any other, and never reach the terminal raw", async (context) => {
  const store = await makeStore(context, hostileKeys);
  const { stdout } = runCommand(["list", "--store", store]);
  assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
  const listed: string[] = runJson(["list", "--store", store]).document.sessions.map(({ key }: { key: string }) => key);
  for (const key of hostileKeys) {
    assert.ok(listed.includes(key), JSON.stringify(key));
    assert.equal(runCommand(["get", "--store", store, "--", key]).status, 0, JSON.stringify(key));
  }
  assert.doesNotMatch(runCommand(["get", "--store", store, "no\u001b[31m"]).stderr, /\u001b/);
});

test("reading commands leave every byte and every time stamp of the store untouched", async (context) => {
  const store = await makeStore(context);
  const directory = path.dirname(store);
  const before = fingerprint(directory);
  const reading = [["list"], ["list", "--all"], ["get", "agent:main:main"], ["stats"], ["verify"], ["get", "nobody"]];
  for (const args of reading) {
    runCommand([...args, "--store", store]);
    assert.deepEqual(fingerprint(directory), before, args.join(" "));
  }
});

test("commands other than migrate leave a legacy file alone and say what to do", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, JSON.stringify({ "agent:main:main": { sessionId: "s", updatedAt: 1 } }));
  const before = fingerprint(directory);
  const all = [
    ["list"],
    ["get", "agent:main:main"],
    ["stats"],
    ["verify"],
    ["watch"],
    ["patch", "agent:main:main", "a=1"],
  ];
  for (const args of [...all, ["remove", "agent:main:main"]]) {
    const { status, document } = runJson([...args, "--store", store]);
    assert.deepEqual([status, document.error.code], [1, "legacy_store"], args.join(" "));
    assert.match(document.error.message, /sessiondir migrate --store/);
    assert.deepEqual(fingerprint(directory), before, args.join(" "));
  }
});

test("a reader that goes away ends the output without a crash", async (context) => {
  const store = await makeStore(
    context,
    Array.from({ length: 2_000 }, (_, index) => `agent:main:direct:peer-${index}`),
  );
  const child = spawn(process.execPath, [commandLine, "list", "--all", "--json", "--store", store]);
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [code, signal] = await new Promise<unknown[]>((resolve) => child.on("close", (...ended) => resolve(ended)));
  assert.deepEqual([code, signal, stderr], [0, null, ""]);
});

test("a long table has the columns of a short one: one head, one width for all rows", (context) => {
  const store = path.join(temporaryDirectory(context), "sessions.json");
  const sessions = Array.from({ length: 450 }, (_, n) => [
    `agent:main:${"漢".repeat(n % 7)}-${n}`,
    { updatedAt: n, model: "some-model" },
  ]);
  writeFileSync(store, JSON.stringify(Object.fromEntries(sessions)));
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const { stdout } = runCommand(["list", "--all", "--store", store]);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 451);
  assert.equal(lines.filter((line) => line.startsWith("AGENT")).length, 1);
  const starts = lines.map((line) => stringWidth(line.slice(0, /(?:MODEL|some-model) /.exec(line)?.index)));
  assert.deepEqual([...new Set(starts)].length, 1, "every model begins in one column");
});
