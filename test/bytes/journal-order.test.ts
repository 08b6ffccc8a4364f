// Intact records in the wrong place: what a checksum cannot tell. Each case was once a hang, a silent loss or a whole
// store that could not be read, found by the fuzzer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { entryName, incarnation, manifestBytes, recordLine, sealText, segmentName } from "./honest-store.js";
import type { StoreBytes } from "./pure-recovery.js";
import { compareRecoveries, type Opened, type Role } from "./real-recovery.js";

const common = { time: 1_700_000_000_000, writer: "aabbccddeeff", durable: 0 };
const stored = JSON.stringify({ value: 1 });

function commit(version: number, key: string, entry: unknown = { value: version }, durable = 0): string {
  const origin = { store: incarnation, previousRecord: "00000000" };
  return recordLine({ version, ...common, durable, ...origin, operations: [{ put: key, entry }] });
}

function seal(lastVersion: number): string {
  return recordLine({ seal: "rotated", lastVersion, ...common });
}

function carry(suspectFrom: number, lastVersion: number): string {
  const states = [{ put: "a", version: 1, record: "11111111", entry: { value: 1 } }];
  return recordLine({ carry: states, suspectFrom, lastVersion, lastRecord: "11111111", store: incarnation, ...common });
}

function storeOf(segments: Record<number, string>, entries: Record<string, Uint8Array> = {}): StoreBytes {
  return {
    manifest: manifestBytes({ version: 0, record: "00000000", timeMs: 0 }),
    segments: new Map(Object.entries(segments).map(([first, text]) => [segmentName(Number(first)), Buffer.from(text)])),
    entries: new Map(Object.entries(entries)),
  };
}

function entryFile(key: string, version: number, json = stored): Uint8Array {
  const fields = `"sessionKey": "${key}",\n  "version": ${version},\n  "record": "11111111"`;
  return sealText(`{\n  ${fields},\n  "checksum": "00000000",\n  "entry": ${json}\n}\n`);
}

async function opened(store: StoreBytes, role: Role): Promise<Opened> {
  const { real, difference } = await compareRecoveries(store, role);
  assert.equal(difference, undefined);
  return real;
}

async function isRefused(store: StoreBytes): Promise<void> {
  for (const role of ["writer", "reader"] as const) {
    const real = await opened(store, role);
    assert.ok(real.kind === "refused" && real.reason === "store_damaged", `${role}: ${JSON.stringify(real)}`);
  }
}

test("a seal without commits does not lead from its segment to itself, for ever", async () => {
  await isRefused(storeOf({ 1: seal(0) }));
  await isRefused(storeOf({ 1: seal(7) }));
});

test("commits that are missing in front of their seal are missed", async () => {
  await isRefused(storeOf({ 1: commit(1, "a") + seal(2), 3: commit(3, "b") }));
  await isRefused(storeOf({ 1: commit(1, "a") + seal(2) }));
});

test("carried states are taken only where they were written", async () => {
  // Behind commits that it does not know, and under another segment's name.
  await isRefused(storeOf({ 1: commit(1, "a") + commit(2, "a") + commit(3, "a"), 2: carry(1, 1) + commit(2, "b") }));
  await isRefused(storeOf({ 1: commit(1, "a"), 4: carry(1, 2) }));
});

test("states carried over from a later segment do not make up for the lost end of an earlier one", async () => {
  const store = storeOf({ 1: `${commit(1, "a")}${commit(2, "a")}spoilt\n`, 6: carry(4, 5) + commit(6, "b") });
  const real = await opened(store, "reader");
  assert.ok(real.kind === "state" && real.version === 2);
});

test("an entry that is newer than what is left of the journal proves that more was durable", async () => {
  const store = storeOf({ 1: `${commit(1, "a")}spoilt\n` }, { [entryName("b")]: entryFile("b", 2) });
  const writer = await opened(store, "writer");
  assert.ok(writer.kind === "refused" && writer.reason === "store_damaged");
  const reader = await opened(store, "reader");
  assert.ok(reader.kind === "state" && reader.sessions.has("a") && reader.damaged.has("b"));
});

test("an entry from a version that the journal never had is damage of its session, not of the scan", async () => {
  const store = storeOf({ 1: commit(1, "a") }, { [entryName("b")]: entryFile("b", 9_007_199_254_740_991) });
  for (const role of ["writer", "reader"] as const) {
    const real = await opened(store, role);
    assert.ok(real.kind === "state" && real.sessions.has("a") && real.damaged.has("b"));
  }
});

test("an intact record with an entry that no entry may be costs its own session only", async () => {
  const deep = JSON.parse(`${'{"a":'.repeat(300)}1${"}".repeat(300)}`);
  const store = storeOf({ 1: commit(1, "deep", deep) + commit(2, "a") });
  for (const role of ["writer", "reader"] as const) {
    const real = await opened(store, role);
    assert.ok(real.kind === "state" && real.sessions.has("a") && real.damaged.has("deep"));
  }
});

test("a manifest behind a byte order mark is refused", async () => {
  const store = storeOf({ 1: commit(1, "a") });
  const marked = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), store.manifest]);
  await isRefused({ ...store, manifest: marked });
});
