/** sessions cleanup: the dry run says exactly what the real run does, and what goes can be brought back. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { openSessionStore } from "../../src/open.js";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const dayMs = 86_400_000;

interface State {
  directory: string;
  /** The folder of the main agent's store. */
  folder: string;
  store: string;
  run(...args: string[]): ReturnType<typeof runCommand>;
  json(...args: string[]): Record<string, unknown>;
}

function makeState(context: TestContext, config: object | undefined): State {
  const directory = temporaryDirectory(context);
  if (config !== undefined) writeFileSync(path.join(directory, "openclaw.json"), JSON.stringify(config));
  const env = { OPENCLAW_STATE_DIR: directory, OPENCLAW_CONFIG_PATH: "", OPENCLAW_HOME: directory };
  const folder = path.join(directory, "agents", "main", "sessions");
  mkdirSync(folder, { recursive: true });
  const run = (...args: string[]) => runCommand(["sessions", "cleanup", ...args], { cwd: directory, env });
  const json = (...args: string[]) => {
    const { status, stdout, stderr } = run(...args, "--json");
    assert.equal(status, 0, stderr + stdout);
    return JSON.parse(stdout);
  };
  return { directory, folder, store: path.join(folder, "sessions.json"), run, json };
}

const maintenance = (settings: object) => ({ session: { maintenance: settings } });

/** Sessions whose number is their age in days; each with a transcript, except those named in `missing`. */
async function fill(state: State, ages: readonly number[], missing: readonly number[] = []): Promise<void> {
  const now = Date.now();
  const store = await openSessionStore<Record<string, unknown>>(state.store);
  for (const age of ages) {
    await store.update(keyOf(age), () => ({
      sessionId: `id-${age}`,
      updatedAt: now - age * dayMs,
      pad: "p".repeat(500),
    }));
    if (missing.includes(age)) continue;
    const transcript = path.join(state.folder, `id-${age}.jsonl`);
    writeFileSync(transcript, "t".repeat(1_000));
    utimesSync(transcript, new Date(now), new Date(now - age * dayMs));
  }
  await store.close();
}

const keyOf = (age: number) => `agent:main:direct:${age}`;

async function readKeys(state: State): Promise<string[]> {
  const store = await openSessionStore(state.store, { readOnly: true });
  const { sessions } = await store.list({ order: "key" });
  await store.close();
  return sessions.map(({ key }) => key);
}

async function readTrash(state: State): Promise<Record<string, string | undefined>> {
  const store = await openSessionStore(state.store, { readOnly: true });
  const found: Record<string, string | undefined> = {};
  for await (const { key, reason, actor } of store.trash()) {
    found[key] = reason;
    assert.equal(actor, "sessions cleanup");
  }
  await store.close();
  return found;
}

/** What both runs say, without what only one of them says. */
function withoutState({ dryRun: _, applied: __, appliedCount: ___, ...numbers }: Record<string, unknown>): object {
  return numbers;
}

test("the dry run changes nothing and predicts the numbers of the real run; what goes is in the trash with its reason", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "30d", maxEntries: 3 }));
  await fill(state, [1, 2, 3, 4, 5, 31, 40, 6], [2]);
  const before = fingerprint(state.directory);
  const planned = state.json("--dry-run", "--fix-missing", "--active-key", keyOf(40));
  assert.deepEqual(fingerprint(state.directory), before);
  assert.deepEqual(planned, {
    agentId: "main",
    storePath: state.store,
    mode: "enforce",
    dryRun: true,
    beforeCount: 8,
    afterCount: 3,
    missing: 1,
    pruned: 1,
    capped: 3,
    diskBudget: null,
    wouldMutate: true,
  });
  const applied = state.json("--fix-missing", "--active-key", keyOf(40).toUpperCase());
  assert.deepEqual(withoutState(applied), withoutState(planned));
  assert.deepEqual([applied.dryRun, applied.applied, applied.appliedCount], [false, true, 3]);
  assert.deepEqual(await readKeys(state), [1, 3, 40].map(keyOf));
  assert.deepEqual(await readTrash(state), {
    [keyOf(2)]: "prune-missing",
    [keyOf(31)]: "prune-stale",
    [keyOf(4)]: "cap-overflow",
    [keyOf(5)]: "cap-overflow",
    [keyOf(6)]: "cap-overflow",
  });
  const names = readdirSync(state.folder);
  for (const age of [1, 3, 40]) assert.ok(names.includes(`id-${age}.jsonl`));
  for (const age of [4, 5, 6, 31]) {
    assert.ok(!names.includes(`id-${age}.jsonl`));
    assert.equal(names.filter((name) => name.startsWith(`id-${age}.jsonl.deleted.`)).length, 1, "archived");
  }
  const restored = runCommand(["trash", "restore", keyOf(31), "--store", state.store]);
  assert.equal(restored.status, 0, restored.stderr);
  assert.ok((await readKeys(state)).includes(keyOf(31)));
  // Its transcript is told of, with the command that brings it back.
  const [, archive, transcript] = /To bring it back: mv (\S+) (\S+)\n/.exec(restored.stderr) ?? [];
  assert.equal(transcript, path.join(state.folder, "id-31.jsonl"));
  assert.equal(state.json("--dry-run", "--fix-missing").missing, 1);
  renameSync(archive!, transcript!);
  assert.equal(state.json("--dry-run", "--fix-missing").missing, 0);
  const plain = runCommand(["trash", "restore", keyOf(2), "--store", state.store, "--json"]);
  assert.deepEqual([Object.keys(JSON.parse(plain.stdout)), plain.stderr], [["id", "key", "restored"], ""]);
});

test("the dry run as text: the counts and an action for every session, newest first", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", maxEntries: 2, maxDiskBytes: "1gb" }));
  await fill(state, [1, 2, 3, 31], [1]);
  const { status, stdout, stderr } = state.run("--dry-run", "--fix-missing");
  assert.deepEqual([status, stderr], [0, ""]);
  const [bytes] = /\d+ -> \d+ bytes/.exec(stdout) ?? [];
  assert.deepEqual(stdout.split("\n"), [
    `Session store: ${state.store}`,
    "Maintenance mode: enforce",
    "Entries: 4 -> 2 (remove 2)",
    "Would prune missing transcripts: 1",
    "Would prune stale: 1",
    "Would cap overflow: 0",
    `Would enforce disk budget: ${bytes} (files 0, entries 0)`,
    "",
    "Planned session actions:",
    "Action           Key                        Age       Model          Flags",
    "prune-missing    agent:main:direct:1        24h ago   unknown        id:id-1",
    "keep             agent:main:direct:2        2d ago    unknown        id:id-2",
    "keep             agent:main:direct:3        3d ago    unknown        id:id-3",
    "prune-stale      agent:main:direct:31       31d ago   unknown        id:id-31",
    "",
  ]);
});

test("by default the mode is warn: nothing is removed but what --fix-missing asks for, and --enforce removes", async (context) => {
  const state = makeState(context, undefined);
  await fill(state, [1, 31, 32], [32]);
  const preview = state.run("--dry-run");
  assert.match(preview.stdout, /^Maintenance mode: warn$/m);
  assert.match(preview.stdout, /^Entries: 3 -> 1 \(remove 2\)$/m);
  assert.match(preview.stderr, /without --enforce nothing is removed/);
  const before = fingerprint(state.directory);
  const idle = state.run("--active-key", keyOf(31));
  assert.equal(idle.stdout, `Session store: ${state.store}\nApplied maintenance. Current entries: 3\n`);
  assert.match(idle.stderr, /would evict this session \(older than 30 days\)/);
  assert.deepEqual(fingerprint(state.directory), before);
  const fixed = state.json("--fix-missing");
  assert.deepEqual([fixed.mode, fixed.missing, fixed.pruned, fixed.appliedCount], ["warn", 1, 0, 2]);
  assert.deepEqual(await readKeys(state), [1, 31].map(keyOf));
  const enforced = state.json("--enforce");
  assert.deepEqual([enforced.mode, enforced.pruned, enforced.wouldMutate], ["enforce", 1, true]);
  assert.equal(
    state.run("--enforce").stdout,
    `Session store: ${state.store}\nApplied maintenance. Current entries: 1\n`,
  );
});

test("the disk budget: archives and orphans first, then the oldest sessions, exactly as the dry run says", async (context) => {
  const rules = { mode: "enforce", maxDiskBytes: 14_000, highWaterBytes: 9_500, resetArchiveRetention: false };
  const state = makeState(context, maintenance(rules));
  await fill(state, [1, 2, 3, 4]);
  writeFileSync(path.join(state.folder, "orphan.jsonl"), "o".repeat(3_000));
  writeFileSync(path.join(state.folder, "old.jsonl.reset.2020-01-01T00-00-00.000Z"), "a".repeat(3_000));
  const planned = state.json("--dry-run", "--active-key", keyOf(4));
  const budget = planned.diskBudget as Record<string, number>;
  assert.ok(existsSync(path.join(state.folder, "orphan.jsonl")));
  assert.equal(budget.overBudget, true);
  assert.ok(budget.removedFiles! > 2 && budget.removedEntries! > 0, JSON.stringify(budget));
  assert.ok(budget.totalBytesAfter! <= 9_500);
  const applied = state.json("--active-key", keyOf(4));
  assert.deepEqual(withoutState(applied), withoutState(planned));
  const keys = await readKeys(state);
  assert.ok(keys.includes(keyOf(4)), "the session at work stays, though it is the oldest");
  assert.ok(!keys.includes(keyOf(3)) && keys.includes(keyOf(1)));
  const names = readdirSync(state.folder);
  assert.ok(!names.some((name) => name.startsWith("orphan") || name.startsWith("old")));
  assert.ok(!names.some((name) => name.startsWith("id-3.jsonl")), "deleted, not archived");
  assert.deepEqual(await readTrash(state), {}, "evicted sessions must not take room in the trash");
});

test("archives that are past their time are in the plan: named and counted by both runs, and only they go", async (context) => {
  for (const form of ["directory", "legacy file", "file of another name"]) {
    const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "30d", resetArchiveRetention: "60d" }));
    const store = form === "file of another name" ? path.join(state.folder, "store") : state.store;
    if (form === "directory") await fill(state, [1]);
    else writeFileSync(store, JSON.stringify({ [keyOf(1)]: { sessionId: "id-1", updatedAt: Date.now() } }));
    const stamp = (age: number) => new Date(Date.now() - age * dayMs).toISOString().replaceAll(":", "-");
    const old = [`a.jsonl.deleted.${stamp(31)}`, `b.jsonl.reset.${stamp(61)}`];
    const stay = [`c.jsonl.deleted.${stamp(29)}`, `d.jsonl.reset.${stamp(59)}`, `e.jsonl.bak.${stamp(999)}`];
    for (const name of [...old, ...stay]) writeFileSync(path.join(state.folder, name), "archive");
    const before = fingerprint(state.directory);
    const planned = state.json("--dry-run", "--store", store);
    const files = old.map((name) => ({ path: path.join(state.folder, name), sizeBytes: 7, reason: "expired-archive" }));
    assert.deepEqual([planned.files, planned.wouldMutate], [files, true], form);
    const text = ["files: 2", ...files.map((file) => `  ${file.path} (archive past its time, 7 bytes)`)].join("\n");
    if (form === "directory") {
      assert.ok(state.run("--dry-run", "--store", store).stdout.includes(`Would delete ${text}\n`));
      assert.deepEqual(fingerprint(state.directory), before);
      assert.ok(state.run("--store", store).stdout.endsWith(`Deleted ${text}\n`));
      for (const name of old) writeFileSync(path.join(state.folder, name), "archive");
    } else {
      assert.deepEqual(fingerprint(state.directory), before);
    }
    assert.deepEqual(withoutState(state.json("--store", store)), withoutState(planned), form);
    const names = readdirSync(state.folder);
    assert.deepEqual(
      [old, stay].map((some) => some.filter((name) => names.includes(name)).length),
      [0, 3],
      form,
    );
    assert.equal(existsSync(store), form !== "directory", "deleting an archive takes no file over");
    const again = state.json("--store", store);
    assert.deepEqual([again.files, again.wouldMutate], [undefined, false]);
  }
});

test("a budget neither counts nor deletes backups of a migration, of this store or another one in the folder", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", maxDiskBytes: "1mb", pruneAfter: "9000d" }));
  const sessions = Object.fromEntries(
    [1, 2, 3].map((age) => [keyOf(age), { sessionId: `id-${age}`, updatedAt: Date.now(), pad: "p".repeat(200_000) }]),
  );
  writeFileSync(state.store, JSON.stringify(sessions));
  assert.equal(runCommand(["migrate", "--store", state.store]).status, 0);
  const backups = ["sessions.json.bak.1", "chat.json.bak.1", "sessions.json.corrupt.1"];
  for (const name of backups) writeFileSync(path.join(state.folder, name), "b".repeat(3_000_000));
  writeFileSync(path.join(state.folder, "orphan.jsonl"), "o".repeat(2_000_000));
  const planned = state.json("--dry-run");
  const orphan = { path: path.join(state.folder, "orphan.jsonl"), sizeBytes: 2_000_000, reason: "disk-budget" };
  assert.deepEqual([planned.files, planned.afterCount], [[orphan], 3]);
  const { stdout } = state.run("--dry-run");
  assert.match(stdout, /^Would delete files: 1\n {2}.*orphan\.jsonl \(disk budget, 2000000 bytes\)$/m);
  assert.match(stdout, /^Backups, which the budget neither counts nor removes: 4 \(9\d{6} bytes\)$/m);
  assert.deepEqual(withoutState(state.json()), withoutState(planned));
  const names = readdirSync(state.folder);
  assert.ok(backups.every((name) => names.includes(name)) && !names.includes("orphan.jsonl"));
  assert.equal(names.filter((name) => name.startsWith("sessions.json.bak.")).length, 2);
});

test("the plan of a legacy file is carried out on the store that it becomes, to the byte", async (context) => {
  const rules = { mode: "enforce", pruneAfter: "30d", maxEntries: 4, maxDiskBytes: 300_000, highWaterBytes: 250_000 };
  const state = makeState(context, maintenance(rules));
  const now = Date.now();
  const of = (age: number) => ({ sessionId: `id-${age}`, updatedAt: now - age * dayMs, pad: "p".repeat(100_000) });
  const sessions = {
    Main: of(1),
    b: of(2),
    main: of(40),
    c: of(3),
    d: of(4),
    e: of(5),
    " ": of(6),
    f: null,
    old: of(50),
  };
  writeFileSync(state.store, JSON.stringify(sessions));
  const planned = state.json("--dry-run");
  assert.deepEqual([planned.beforeCount, planned.pruned, planned.capped, planned.afterCount], [6, 1, 1, 2]);
  const applied = state.json();
  assert.deepEqual(withoutState(applied), withoutState(planned));
  assert.deepEqual(await readKeys(state), ["b", "main"]);
  assert.deepEqual(await readTrash(state), { e: "cap-overflow", old: "prune-stale" });
});

test("a rolled-back file: the copies that the rotation drops are in the plan, and a migration's backup is not", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "30d", maxDiskBytes: "1gb" }));
  writeFileSync(state.store, JSON.stringify({ new: { sessionId: "n", updatedAt: Date.now() } }));
  assert.equal(runCommand(["migrate", "--store", state.store]).status, 0);
  assert.equal((await rollbackStore(state.store)).outcome, "restored");
  const backups = () => readdirSync(state.folder).filter((name) => name.startsWith("sessions.json.bak."));
  const [original] = backups();
  const clean = () => {
    const sessions = JSON.parse(readFileSync(state.store, "utf8"));
    sessions.old = { sessionId: "o", updatedAt: 1 };
    writeFileSync(state.store, JSON.stringify(sessions));
    const planned = state.json("--dry-run");
    const applied = state.json();
    assert.deepEqual(withoutState(applied), withoutState(planned));
    return (planned.files ?? []) as { path: string; reason: string }[];
  };
  for (let round = 0; round < 3; round += 1) assert.deepEqual(clean(), []);
  const copies = backups().filter((name) => name !== original);
  const [dropped, ...more] = clean();
  assert.deepEqual([dropped?.reason, more], ["surplus-copy", []]);
  assert.ok(copies.includes(path.basename(dropped!.path)) && !existsSync(dropped!.path));
  assert.equal(backups().length, 4);
  assert.ok(existsSync(path.join(state.folder, original!)));
});

test("a budget frees what pruning removes before it touches a session that stays", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "30d", maxDiskBytes: 9_000 }));
  await fill(state, [1, 2], [1, 2]);
  await fill(state, [31, 32, 33, 34, 35], [31, 32, 33, 34, 35]);
  const planned = state.json("--dry-run");
  const { removedEntries, overBudget } = planned.diskBudget as Record<string, unknown>;
  assert.deepEqual([planned.pruned, overBudget, removedEntries], [5, true, 0], JSON.stringify(planned));
  assert.deepEqual(withoutState(state.json()), withoutState(planned));
  assert.deepEqual(await readKeys(state), [1, 2].map(keyOf));
  assert.ok(Object.keys(await readTrash(state)).length < 5, "those that had to make room are gone for good");
});

test("the transcripts of earlier generations are no orphans", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", maxDiskBytes: 1, highWaterBytes: 1 }));
  await fill(state, [1]);
  const store = await openSessionStore<Record<string, unknown>>(state.store);
  await store.patch(keyOf(1), { sessionId: "later" });
  await store.close();
  const planned = state.json("--dry-run", "--active-key", keyOf(1));
  assert.equal((planned.diskBudget as Record<string, number>).removedFiles, 0);
  state.json("--active-key", keyOf(1));
  assert.ok(existsSync(path.join(state.folder, "id-1.jsonl")));
});

test("beside a damaged session the budget frees nothing: nobody knows which transcript is its own", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "30d", maxDiskBytes: 1_000 }));
  await fill(state, [1, 2, 31]);
  // From now on there is an index that lists the session, whatever becomes of its file.
  const store = await openSessionStore(state.store);
  await store.list({});
  await store.close();
  const name = `session-${Buffer.from(keyOf(2)).toString("base64url")}.json`;
  writeFileSync(path.join(state.folder, "sessions.d", "entries", name), "{}");
  const { status, stdout, stderr } = state.run("--json");
  assert.equal(status, 0, stderr);
  const { beforeCount, afterCount, appliedCount, pruned, diskBudget } = JSON.parse(stdout);
  assert.deepEqual([beforeCount, pruned, diskBudget.overBudget, diskBudget.removedFiles], [2, 1, true, 0]);
  assert.deepEqual([afterCount, appliedCount], [1, 1], "it is in neither count");
  assert.match(stderr, /1 damaged session left alone, and the disk budget frees nothing/);
  assert.ok(existsSync(path.join(state.folder, "id-2.jsonl")));
});

test("a legacy file is previewed without a change, and taken over when something is to be removed from it", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: 30 }));
  const now = Date.now();
  const entries = { old: { sessionId: "a", updatedAt: now - 31 * dayMs }, new: { sessionId: "b", updatedAt: now } };
  // Nothing to remove is no reason to take it over.
  writeFileSync(state.store, JSON.stringify({ new: entries.new }));
  const small = fingerprint(state.directory);
  assert.equal(state.run().stdout, `Session store: ${state.store}\nApplied maintenance. Current entries: 1\n`);
  assert.deepEqual(fingerprint(state.directory), small);
  writeFileSync(state.store, JSON.stringify(entries));
  const before = fingerprint(state.directory);
  const planned = state.json("--dry-run");
  assert.deepEqual([planned.pruned, planned.afterCount], [1, 1]);
  assert.deepEqual(fingerprint(state.directory), before);
  const applied = state.json();
  assert.deepEqual([applied.pruned, applied.appliedCount, applied.beforeCount], [1, 1, 2]);
  const names = readdirSync(state.folder);
  const [backup] = names.filter((name) => name.startsWith("sessions.json.bak."));
  assert.deepEqual(JSON.parse(readFileSync(path.join(state.folder, backup!), "utf8")), entries);
  const store = await openSessionStore<Record<string, unknown>>(state.store);
  assert.equal((await store.get("new"))?.sessionId, "b");
  assert.equal(await store.get("old"), undefined);
  await store.close();
});

test("a store that was rolled back is cleaned up as the file that it is, and a copy of it keeps what goes", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: 30 }));
  const store = await openSessionStore<Record<string, unknown>>(state.store);
  await store.update("old", () => ({ sessionId: "a", updatedAt: Date.now() - 31 * dayMs }));
  await store.update("new", () => ({ sessionId: "b", updatedAt: Date.now() }));
  await store.close();
  assert.equal((await rollbackStore(state.store)).outcome, "restored");
  const before = readFileSync(state.store, "utf8");
  assert.deepEqual([state.json("--dry-run").pruned, readFileSync(state.store, "utf8")], [1, before]);
  const backups = () => readdirSync(state.folder).filter((name) => name.startsWith("sessions.json.bak."));
  const others = backups();
  const { beforeCount, afterCount, pruned, applied } = state.json();
  assert.deepEqual([beforeCount, afterCount, pruned, applied], [2, 1, 1, true]);
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(state.store, "utf8"))), ["new"]);
  assert.ok(!existsSync(state.store.replace(/json$/, "d")), "it stays a file");
  const [copy, ...more] = backups().filter((name) => !others.includes(name));
  assert.equal(readFileSync(path.join(state.folder, copy!), "utf8"), before);
  assert.deepEqual(more, []);
  assert.equal(state.json().pruned, 0);
  assert.equal(backups().length, others.length + 1, "nothing to remove is no reason for a copy");
});

test("no store: nothing is removed, and nothing is created", (context) => {
  const state = makeState(context, maintenance({ mode: "enforce" }));
  const before = fingerprint(state.directory);
  const { beforeCount, applied, appliedCount, wouldMutate } = state.json();
  assert.deepEqual([beforeCount, applied, appliedCount, wouldMutate], [0, true, 0, false]);
  assert.deepEqual(fingerprint(state.directory), before);
});

test("several stores: one document, and flags may stand before or after the word cleanup", async (context) => {
  const config = { ...maintenance({ mode: "enforce" }), agents: { list: [{ id: "main" }, { id: "ops" }] } };
  const state = makeState(context, config);
  await fill(state, [1, 31]);
  const env = { OPENCLAW_STATE_DIR: state.directory, OPENCLAW_CONFIG_PATH: "" };
  const outer = runCommand(["sessions", "--all-agents", "--json", "cleanup", "--dry-run"], { env });
  const document = JSON.parse(outer.stdout);
  const { stores, ...rest } = document;
  assert.deepEqual(rest, { allAgents: true, mode: "enforce", dryRun: true });
  assert.deepEqual(
    stores.map(({ agentId, pruned }: Record<string, unknown>) => [agentId, pruned]),
    [
      ["main", 1],
      ["ops", 0],
    ],
  );
  const inner = state.run("--all-agents", "--dry-run").stdout;
  assert.match(inner, /^Agent: main\nSession store: .*\n(.*\n)+\nAgent: ops\n/);
  assert.match(
    state.run("--all-agents").stdout,
    /^Agent: main\n.*\nApplied maintenance\. Current entries: 1\nRemoved entries: 1 \(missing transcript 0, stale 1, overflow 0, disk budget 0\)\nIn the trash: 1; see: sessiondir trash list --store \/.*\n\nAgent: ops\n/,
  );
  const { status, stderr } = state.run("--agent", "main", "--all-agents");
  assert.deepEqual([status, stderr], [1, "--agent and --all-agents cannot be used together\n"]);
});

test("one target is the object itself, also with --all-agents; its text names no agent", async (context) => {
  const state = makeState(context, { ...maintenance({ mode: "enforce" }), agents: { list: [{ id: "main" }] } });
  await fill(state, [1, 31]);
  const { agentId, pruned, stores } = state.json("--all-agents", "--dry-run");
  assert.deepEqual([agentId, pruned, stores], ["main", 1, undefined]);
  assert.match(state.run("--all-agents", "--dry-run").stdout, /^Session store: /);
});

test("a store that fails does not keep the others from being cleaned up", async (context) => {
  const config = { ...maintenance({ mode: "enforce" }), agents: { list: [{ id: "bad" }, { id: "main" }] } };
  const state = makeState(context, config);
  await fill(state, [1, 31]);
  const bad = path.join(state.directory, "agents", "bad", "sessions");
  mkdirSync(bad, { recursive: true });
  writeFileSync(path.join(bad, "sessions.json"), "{");
  const { status, stdout } = state.run("--all-agents", "--json");
  const { stores, errors } = JSON.parse(stdout);
  assert.equal(status, 1);
  assert.deepEqual([errors[0].agentId, errors[0].code, stores[0].pruned], ["bad", "invalid_legacy", 1]);
  assert.match(state.run("--all-agents").stdout, /^Agent: main\nSession store: /, "several were asked for");
});

test("a store whose name is not *.json is previewed, and cleaning it up is refused with the reason", (context) => {
  const state = makeState(context, maintenance({ mode: "enforce" }));
  const store = path.join(state.folder, "store");
  writeFileSync(store, JSON.stringify({ old: { sessionId: "1", updatedAt: 1 } }));
  assert.equal(state.json("--store", store, "--dry-run").pruned, 1);
  const { status, stdout } = state.run("--store", store, "--json");
  const { error } = JSON.parse(stdout);
  assert.deepEqual([status, error.code], [1, "legacy_store"]);
  assert.match(error.message, /Name it \*\.json/);
  assert.ok(existsSync(store));
});

test("a setting that means nothing turns its own rule off, never another one on", async (context) => {
  const state = makeState(context, maintenance({ mode: "enforce", pruneAfter: "a month", maxEntries: "2" }));
  await fill(state, [1, 2, 400]);
  const { status, stdout, stderr } = state.run("--json");
  assert.equal(status, 0);
  const { pruned, capped, appliedCount } = JSON.parse(stdout);
  assert.deepEqual([pruned, capped, appliedCount], [0, 0, 3]);
  assert.match(stderr, /session\.maintenance\.pruneAfter means nothing \("a month"\): no session is too old/);
  assert.match(stderr, /session\.maintenance\.maxEntries means nothing \("2"\): there is no limit/);
});
