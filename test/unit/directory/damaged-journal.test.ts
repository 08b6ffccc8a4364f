import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../../src/backends/directory/repair.js";
import { openSessionStore } from "../../../src/index.js";

type Entry = { n: number };

/** A copy, as after a crash, of a store with five acknowledged commits that lie only in its journal. */
async function withJournaledStore(use: (location: string, segment: string) => Promise<void>): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  try {
    const location = path.join(directory, "live", "sessions.json");
    const store = await openSessionStore<Entry>(location);
    for (let n = 1; n <= 5; n += 1) await store.update(`session-${n}`, () => ({ n }));
    fs.cpSync(path.join(directory, "live"), path.join(directory, "copy"), { recursive: true });
    await store.close();
    const copy = path.join(directory, "copy");
    await use(path.join(copy, "sessions.json"), path.join(copy, "sessions.d", "journal", "0000000000000001.jsonl"));
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Flips a bit in the middle of one line of a file, counted from 0. */
function damageLine(file: string, line: number): void {
  const bytes = fs.readFileSync(file);
  let start = 0;
  for (let skipped = 0; skipped < line; skipped += 1) start = bytes.indexOf(0x0a, start) + 1;
  const at = start + 20;
  bytes[at] = (bytes[at] as number) ^ 1;
  fs.writeFileSync(file, bytes);
}

async function findingCodes(location: string): Promise<string[]> {
  const store = await openSessionStore<Entry>(location, { readOnly: true });
  const codes: string[] = [];
  for await (const { code } of store.verify()) codes.push(code);
  await store.close();
  return codes;
}

test("damage to a commit that a later record calls durable is refused by writers and readers alike (P10)", async () => {
  await withJournaledStore(async (location, segment) => {
    damageLine(segment, 1);
    const before = fs.readFileSync(segment);
    await assert.rejects(openSessionStore(location), { code: "store_damaged" });
    const reader = await openSessionStore<Entry>(location, { readOnly: true });
    await assert.rejects(reader.get("session-1"), { code: "store_damaged" });
    await assert.rejects(reader.list(), { code: "store_damaged" });
    await assert.rejects(reader.entries().next(), { code: "store_damaged" });
    await assert.rejects(reader.watch({ since: "c0-00000000-000000000000" }).next(), { code: "store_damaged" });
    await reader.close();
    assert.deepEqual(await findingCodes(location), ["journal_corrupt"]);
    assert.deepEqual(fs.readFileSync(segment), before);
  });
});

test("repair salvages every other commit of a damaged journal, and keeps the original", async () => {
  await withJournaledStore(async (location, segment) => {
    damageLine(segment, 1);
    const original = fs.readFileSync(segment);
    const dry = await repairStore(location, { dryRun: true });
    assert.deepEqual(
      dry.actions.map(({ code }) => code),
      ["journal_salvaged"],
    );
    assert.deepEqual(fs.readFileSync(segment), original);
    const report = await repairStore(location);
    assert.equal(report.findingsAfter, 0);
    const store = await openSessionStore<Entry>(location);
    const found = await store.getMany([1, 2, 3, 4, 5].map((n) => `session-${n}`));
    assert.deepEqual([...found.values()].map(({ n }) => n).sort(), [1, 3, 4, 5]);
    await store.close();
    const quarantine = path.join(path.dirname(location), "sessions.d", "quarantine");
    const kept = fs.readdirSync(quarantine).map((name) => fs.readFileSync(path.join(quarantine, name)));
    assert.ok(kept.some((bytes) => bytes.equals(original)));
  });
});

test("damage to the very last record cannot be told from a torn tail: it is cut, and a copy is kept", async () => {
  await withJournaledStore(async (location, segment) => {
    damageLine(segment, 4);
    const store = await openSessionStore<Entry>(location);
    assert.deepEqual(await store.get("session-4"), { n: 4 });
    assert.equal(await store.get("session-5"), undefined);
    await store.close();
    const quarantine = path.join(path.dirname(location), "sessions.d", "quarantine");
    assert.equal(fs.readdirSync(quarantine).length, 1);
  });
});

test("a directory of another program is not damage, and repair is not offered for it", async () => {
  await withJournaledStore(async (location) => {
    const manifest = path.join(path.dirname(location), "sessions.d", "state.json");
    fs.writeFileSync(
      manifest,
      JSON.stringify({ kind: "some-other-store", layoutVersion: 1, version: 1, updatedAt: 1 }),
    );
    await assert.rejects(openSessionStore(location), { code: "unsupported_layout" });
    await assert.rejects(repairStore(location), { code: "unsupported_layout" });
  });
});

test("a writer that was open while the journal was repaired is told, and appends nothing where nobody looks", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  try {
    const location = path.join(directory, "sessions.json");
    const writer = await openSessionStore<Entry>(location);
    for (let n = 1; n <= 5; n += 1) await writer.update(`session-${n}`, () => ({ n }));
    damageLine(path.join(directory, "sessions.d", "journal", "0000000000000001.jsonl"), 1);
    await repairStore(location);
    await assert.rejects(
      writer.update("session-6", () => ({ n: 6 })),
      { code: "store_gone" },
    );
    await assert.rejects(writer.get("session-1"), { code: "store_gone" });
    await writer.close();
    const again = await openSessionStore<Entry>(location);
    assert.deepEqual(await again.get("session-5"), { n: 5 });
    await again.close();
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
