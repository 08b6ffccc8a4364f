/**
 * A disk with just so much room - in bytes, or in names - when a store on it commits, checkpoints or takes a legacy file
 * over: each call does it or says `disk_full`, what was acknowledged before and meanwhile is there, and when there is
 * room again everything works, with nothing left behind.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { openSessionStore, type SessionStore, SessionStoreError } from "../../src/index.js";
import { fillDisk, takeInodes } from "./support/mounts.js";
import { errorsOf, type TemporaryPlace } from "./support/temporary-store.js";

type Entry = Record<string, unknown>;
type Store = SessionStore<Entry>;

/** What is left: bytes as far as the file system's blocks allow, or names. */
export type Left = { readonly bytes: number } | { readonly inodes: number };

export interface FullDiskCounts {
  done: number;
  refused: number;
}

export type FullDiskOperation = "commit" | "checkpoint" | "migrate";
export const fullDiskOperations: readonly FullDiskOperation[] = ["commit", "checkpoint", "migrate"];

const sessions = 12;
/** So few that 64 KiB are room enough for their store. */
const legacySessions = 4;
const entryBytes = 2_500;
const options = { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } };

/** Does the operation with so much room, and looks at everything. The place is empty before and after. */
export async function runOnFullDisk(
  place: TemporaryPlace,
  operation: FullDiskOperation,
  left: Left,
  counts: FullDiskCounts,
): Promise<void> {
  const ballast = path.join(place.parent, "ballast");
  const fill = () => ("bytes" in left ? fillDisk(ballast, left.bytes) : takeInodes(ballast, left.inodes));
  const free = () => fs.rmSync(ballast, { recursive: true, force: true });
  const attempt = async <Result>(call: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      const result = await call();
      counts.done += 1;
      return result;
    } catch (error) {
      assert.ok(error instanceof SessionStoreError && error.code === "disk_full", `${operation}: ${error}`);
      counts.refused += 1;
      return undefined;
    }
  };
  const where = `${operation} with ${JSON.stringify(left)}`;
  try {
    if (operation === "migrate") await migrate(place, fill, free, attempt, where);
    else await work(place, operation, fill, free, attempt, where);
  } finally {
    for (const name of fs.readdirSync(place.parent)) fs.rmSync(path.join(place.parent, name), { recursive: true });
  }
}

type Attempt = <Result>(call: () => Promise<Result>) => Promise<Result | undefined>;

async function work(
  { location, directory }: TemporaryPlace,
  operation: "commit" | "checkpoint",
  fill: () => void,
  free: () => void,
  attempt: Attempt,
  where: string,
): Promise<void> {
  const expected = new Map<string, Entry>();
  const store: Store = await openSessionStore<Entry>(location, options);
  try {
    const put = async (key: string, round: number) => {
      const entry = { round, ballast: String(round).repeat(entryBytes) };
      await store.update(key, () => entry);
      expected.set(key, entry);
    };
    for (let n = 0; n < sessions; n += 1) await put(`s${n}`, 0);
    if (operation === "checkpoint") await store.checkpoint();
    for (let n = 0; n < sessions; n += 1) await put(`s${n}`, 1);
    fill();
    if (operation === "checkpoint") await attempt(() => store.checkpoint());
    else for (let n = 0; n < 4; n += 1) await attempt(() => put(`s${n * 2}`, 2));
    await assertHolds(store, expected, where);
    const reader = await openSessionStore<Entry>(location, { readOnly: true });
    await assertHolds(reader, expected, `${where}, another reader`);
    await reader.close();
    free();
    await put("after", 3);
    await store.checkpoint();
    await assertHolds(store, expected, `${where}, with room again`);
    assert.deepEqual(await errorsOf(store), [], where);
    assert.deepEqual(temporaryFilesIn(directory), [], where);
  } finally {
    free();
    await store.close();
  }
  const again: Store = await openSessionStore<Entry>(location);
  await assertHolds(again, expected, `${where}, opened again`);
  await again.close();
}

async function migrate(
  { parent, location }: TemporaryPlace,
  fill: () => void,
  free: () => void,
  attempt: Attempt,
  where: string,
): Promise<void> {
  const entries = Array.from({ length: legacySessions }, (_, n): [string, Entry] => [
    `agent:main:s${n}`,
    { sessionId: `id-${n}`, updatedAt: n, ballast: "x".repeat(entryBytes) },
  ]);
  const legacy = JSON.stringify(Object.fromEntries(entries));
  fs.writeFileSync(location, legacy, { mode: 0o600 });
  fill();
  const early = await attempt(() => openSessionStore<Entry>(location));
  if (early !== undefined) {
    await assertHolds(early, new Map(entries), where);
    await attempt(() => early.close());
  }
  const originals = () => fs.readdirSync(parent).filter((name) => name.startsWith("sessions.json"));
  const holdsOriginal = () => originals().some((name) => fs.readFileSync(path.join(parent, name), "utf8") === legacy);
  assert.ok(holdsOriginal(), `${where}: the original is there: ${originals()}`);
  free();
  const store: Store = await openSessionStore<Entry>(location);
  try {
    await assertHolds(store, new Map(entries), `${where}, with room again`);
    assert.ok(holdsOriginal(), `${where}, with room again: the original is there: ${originals()}`);
    assert.deepEqual(await errorsOf(store), [], where);
  } finally {
    await store.close();
  }
  const staging = fs.readdirSync(parent).filter((name) => /staging|tmp/.test(name));
  assert.deepEqual(staging, [], `${where}: nothing half made is left`);
}

async function assertHolds(store: Store, expected: ReadonlyMap<string, Entry>, where: string): Promise<void> {
  const found = new Map<string, Entry>();
  for await (const { key, entry } of store.entries()) found.set(key, entry);
  assert.deepEqual(new Map([...found].sort()), new Map([...expected].sort()), where);
}

export function temporaryFilesIn(directory: string): string[] {
  const names = fs.readdirSync(directory, { recursive: true }) as string[];
  return names.filter((name) => /tmp|\.new\b/.test(name) && fs.statSync(path.join(directory, name)).isFile());
}
