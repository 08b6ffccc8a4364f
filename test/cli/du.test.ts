/** du: the sums are right, what is repeated is found, and what the store needs beside them is told. */

import assert from "node:assert/strict";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const skills = { prompt: "s".repeat(5_000) };
const report = (index: number) => ({ text: `${index}`.repeat(2_000) });
const dayMs = 86_400_000;

async function makeStore(context: TestContext): Promise<{ location: string; entries: Map<string, object> }> {
  const location = path.join(temporaryDirectory(context), "sessions.json");
  const now = Date.now();
  const entries = new Map<string, object>([
    ["agent:main:main", { updatedAt: now, skillsSnapshot: skills, label: "x" }],
    ["agent:main:cron:daily", { updatedAt: now - 10 * dayMs, skillsSnapshot: skills, report: report(1) }],
    ["agent:help:telegram:group:1", { updatedAt: now - 400 * dayMs, skillsSnapshot: skills, report: report(2) }],
    ["plain", { é: "ü" }],
  ]);
  const store = await openSessionStore<object>(location);
  for (const [key, entry] of entries) await store.update(key, () => entry);
  await store.update("gone", () => ({ pad: "p".repeat(1_000) }));
  await store.remove("gone");
  await store.close();
  return { location, entries };
}

interface Group {
  name: string;
  sessions: number;
  bytes: number;
  largestKey: string;
  repeatedBytes?: number;
}

const bytesOf = (entry: object) => Buffer.byteLength(JSON.stringify(entry));

test("du sums by agent, kind and age, the largest first, and changes nothing", async (context) => {
  const { location, entries } = await makeStore(context);
  const before = fingerprint(path.dirname(location));
  const { status, stdout } = runCommand(["du", "--store", location, "--json"]);
  assert.equal(status, 0);
  const usage = JSON.parse(stdout);
  assert.deepEqual(fingerprint(path.dirname(location)), before);
  const total = [...entries.values()].reduce((sum, entry) => sum + bytesOf(entry), 0);
  assert.equal(usage.sessions, 4);
  // A comma more or less for each entry.
  assert.ok(Math.abs(usage.bytes - total) <= 2 * entries.size, `${usage.bytes}, and not ${total}`);
  const byName = (groups: Group[]) => Object.fromEntries(groups.map(({ name, sessions }) => [name, sessions]));
  assert.deepEqual(byName(usage.groups.agent), { main: 2, help: 1, "(none)": 1 });
  assert.deepEqual(byName(usage.groups.kind), { cron: 1, group: 1, main: 1, other: 1 });
  assert.deepEqual(byName(usage.groups.age), { "under 1 day": 1, "7 to 30 days": 1, "over 90 days": 1, unknown: 1 });
  for (const groups of Object.values(usage.groups) as Group[][]) {
    const sizes = groups.map(({ bytes }) => bytes);
    assert.deepEqual(
      sizes,
      [...sizes].sort((left, right) => right - left),
    );
    assert.equal(
      sizes.reduce((sum, bytes) => sum + bytes, 0),
      usage.bytes,
    );
  }
  assert.equal(usage.groups.agent[0].largestKey, "agent:main:cron:daily");
  assert.ok(usage.overhead.trashBytes > 1_000 && usage.overhead.journalBytes > 0);
  assert.equal(usage.overhead.quarantineBytes, 0);
});

test("du --by field finds what is large and what is repeated", async (context) => {
  const { location } = await makeStore(context);
  const usage = JSON.parse(runCommand(["du", "--by", "field", "--store", location, "--json"]).stdout);
  const groups = new Map<string, Group>(usage.groups.map((group: Group) => [group.name, group]));
  assert.equal(usage.by, "field");
  assert.equal(usage.groups[0].name, "skillsSnapshot");
  const snapshot = groups.get("skillsSnapshot")!;
  assert.equal(snapshot.sessions, 3);
  assert.equal(snapshot.repeatedBytes! * 3, snapshot.bytes * 2);
  assert.equal(groups.get("report")?.repeatedBytes, 0);
  assert.equal(groups.get("é")?.sessions, 1);
});

test("du as text: one table for each grouping, the total, no colours in a pipe", async (context) => {
  const { location } = await makeStore(context);
  const { status, stdout, stderr } = runCommand(["du", "--store", location]);
  assert.deepEqual([status, stderr], [0, ""]);
  for (const head of ["AGENT", "KIND", "AGE"])
    assert.match(stdout, new RegExp(`^${head} +SESSIONS +BYTES +SHARE`, "m"));
  assert.match(stdout, /^4 sessions, \d+\.\d KiB; journal .*, trash .*, quarantine 0 B$/m);
  assert.ok(!stdout.includes("\u001b"));
  assert.match(runCommand(["du", "--by", "field", "--store", location]).stdout, /^FIELD .*REPEATED/m);
  assert.equal(runCommand(["du", "--by", "weight", "--store", location]).status, 2);
});

test("du counts the healthy sessions beside a damaged one", async (context) => {
  const { location } = await makeStore(context);
  const { writeFileSync } = await import("node:fs");
  const name = `session-${Buffer.from("plain").toString("base64url")}.json`;
  writeFileSync(path.join(path.dirname(location), "sessions.d", "entries", name), "{}");
  const usage = JSON.parse(runCommand(["du", "--store", location, "--json"]).stdout);
  assert.deepEqual([usage.sessions, usage.damaged], [3, 1]);
});
