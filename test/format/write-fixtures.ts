/**
 * Writes the stores that are kept for ever, in test/format/fixtures/<layout>: what the first release of a layout left on
 * a disk in every state that it can be in. Run it once for each layout, by the commit that makes it final:
 *
 *     node build/test/format/write-fixtures.js test/format/fixtures/layout-1
 *
 * Afterwards fixtures.test.ts opens them with every reader there is. A store that was written is never written again, so
 * it refuses a directory that is there. The clock and the random numbers are made up, so that the same code writes the
 * same bytes. Directories that hold nothing are left out: git does not keep them.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Frozen, SessionStore } from "../../src/api.js";
import { entryFileName, parseStoreLocation, shardName } from "../../src/backends/directory/layout.js";
import { formatManifest, parseManifest } from "../../src/backends/directory/manifest.js";
import { createNodePort } from "../../src/fs/node-port.js";
import type { Port } from "../../src/fs/port.js";
import type { OpenOptions } from "../../src/index.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";

type Entry = Record<string, unknown>;
type Store = SessionStore<Entry>;

/** What a fixture holds, as the code that wrote it read it back. */
export interface Expected {
  sessions: { key: string; version: number; entry: Entry; generations: unknown[] }[];
  trash: { id: string; key: string; entry: Entry; removedMs: number; actor?: string; reason?: string }[];
  /** Keys, newest first. */
  list: string[];
}

/** The port of the machine with a clock that shows a later time at each look, and the same random numbers each time. */
function scriptedPort(seed: number): Port {
  let nowMs = 1_790_000_000_000;
  let state = seed;
  let sleptMs = 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  return {
    ...createNodePort(),
    nowMs: () => {
      nowMs += 1_000;
      return nowMs;
    },
    randomBytes: (count) => Uint8Array.from({ length: count }, next),
    random: () => next() / 256,
    // A restore waits for the checkpoint lock, which the scene holds: no time passes but on the clock.
    monotonicMs: () => performance.now() + sleptMs,
    sleep: (ms) => {
      sleptMs += ms;
      return new Promise((resolve) => setImmediate(resolve));
    },
    // Nothing happens by itself: no sync, no checkpoint in the background.
    startTimer: () => ({ cancel: () => {} }),
  };
}

async function open(port: Port, directory: string, options: OpenOptions = {}): Promise<Store> {
  const checked = checkOpenOptions(options);
  const backend = await openBackend(port, join(directory, "sessions.json"), checked);
  return createSessionStore<Entry>(backend, { clock: port });
}

async function describe(store: Store): Promise<Expected> {
  const expected: Expected = { sessions: [], trash: [], list: [] };
  for await (const { key, entry, version } of store.entries()) {
    const generations = [...(await store.generations(key))];
    expected.sessions.push({ key, version: Number.parseInt(version, 10), entry, generations });
  }
  expected.sessions.sort((left, right) => (left.key < right.key ? -1 : 1));
  for await (const { id, key, entry, removedMs, actor, reason } of store.trash()) {
    const by = { ...(actor === undefined ? {} : { actor }), ...(reason === undefined ? {} : { reason }) };
    expected.trash.push({ id, key, entry: entry as Entry, removedMs, ...by });
  }
  expected.list = (await store.list()).sessions.map(({ key }) => key);
  return expected;
}

const counted = (current: Frozen<Entry> | undefined) => ({ ...current, count: Number(current?.count ?? 0) + 1 });

/** Keys and entries of every form that names and checksums depend on. */
const odd: readonly (readonly [string, Entry])[] = [
  ["agent:main:main", { sessionId: "one", updatedAt: 1_789_000_000_001, channel: "telegram" }],
  ["agent:main:100%done", { sessionId: "percent", updatedAt: 1_789_000_000_002 }],
  [`agent:main:${"x".repeat(400)}`, { sessionId: "long", updatedAt: 1_789_000_000_003 }],
  [`agent:main:${"é".repeat(60)}`, { sessionId: "umlauts", updatedAt: 1_789_000_000_004 }],
  ["__proto__", { sessionId: "proto", updatedAt: 1_789_000_000_005 }],
  [
    "agent:main:telegram:group:😀",
    { sessionId: "emoji", label: "\ud800 alone \u2028\u0000\u007f", big: 1e21, tiny: 1.5e-9 },
  ],
  [
    "agent:main:fields",
    JSON.parse('{"__proto__":{"a":1},"checksum":"00000000","version":7,"nested":{"a":[{},[],null]}}'),
  ],
];

/** A store that was migrated and is in full swing: every kind of segment, entry file, trash, generations, an index. */
async function writeLive(directory: string, port: Port): Promise<Expected> {
  const legacy = Object.fromEntries([...odd.slice(0, 4), ["agent:main:Legacy", { updatedAt: 5 }]]);
  writeFileSync(join(directory, "sessions.json"), JSON.stringify(legacy, null, 2), { mode: 0o600 });
  const store = await open(port, directory, { limits: { segmentBytes: 4_096 } });
  for (const [key, entry] of odd) await store.update(key, () => entry, { actor: "writer", reason: "first" });
  for (const key of ["removed", "purged", "created-again", "replaced"]) await store.update(key, counted);
  await store.patch("agent:main:main", { sessionId: "two", sessionFile: "two.jsonl" }, { actor: "reset" });
  await store.remove("removed", { actor: "cleanup", reason: 'it was "old"' });
  await store.checkpoint();
  // Behind the checkpoint: segments that are sealed, and not written out.
  const beside = port.openRoot(directory);
  const lock = port.open(beside, "sessions.d.checkpoint.lock", "lock");
  if (!port.tryLock(lock, "exclusive")) throw new Error("the checkpoint lock is taken");
  await store.remove("purged", { purge: true });
  await store.remove("created-again", { reason: "twice" });
  await store.update("created-again", counted);
  await store.remove("replaced");
  await store.update("replaced", () => ({ other: true }));
  await store.restore("replaced", { replace: true });
  await store.patch("agent:main:main", { sessionId: "three", sessionFile: undefined, channel: undefined });
  await store.transaction(async (transaction) => {
    transaction.set("agent:work:one", { updatedAt: 1_789_000_000_010, padding: "p".repeat(3_000) });
    transaction.set("agent:work:two", { updatedAt: 1_789_000_000_011 });
    await transaction.patch("agent:main:100%done", { label: "patched" });
    await transaction.remove("agent:main:legacy");
  });
  for (let round = 0; round < 40; round += 1) await store.update(`agent:work:${round % 3}`, counted);
  await store.remove("agent:work:two", { actor: "late" });
  const expected = await describe(store);
  const segments = readdirSync(join(directory, "sessions.d", "journal")).length;
  if (segments < 4) throw new Error(`there are only ${segments} segments`);
  return expected;
}

/** What a checkpoint that died and a write that was cut off leave beside that. */
function addLeftovers(directory: string): void {
  const store = join(directory, "sessions.d");
  const last = readdirSync(join(store, "journal")).sort().at(-1) as string;
  const journal = join(store, "journal", last);
  writeFileSync(journal, `${readFileSync(journal, "utf8")}{"version":999,"time":17,"wri`, { mode: 0o600 });
  writeFileSync(join(store, ".checkpoint-running"), "", { mode: 0o600 });
  writeFileSync(join(store, "entries", `.${"0123456789abcdef".repeat(2)}.tmp`), '{\n  "sessionKey": "hal', {
    mode: 0o600,
  });
  mkdirSync(join(store, "quarantine"), { mode: 0o700 });
  writeFileSync(join(store, "quarantine", "1790000000000-0a1b2c3d-session-x.json"), "damaged", { mode: 0o600 });
}

/** A sync failed: the segment is suspect, and its states were carried on. */
async function writeCarried(directory: string, inner: Port): Promise<Expected> {
  let isFailing = false;
  const port: Port = {
    ...inner,
    syncFile: (file) => {
      if (!isFailing || !file.displayPath.includes("journal")) return inner.syncFile(file);
      isFailing = false;
      return Promise.reject(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }));
    },
  };
  const store = await open(port, directory);
  await store.update("agent:main:main", () => ({ sessionId: "one", n: 1 }));
  await store.update("removed", counted);
  await store.checkpoint();
  await store.patch("agent:main:main", { sessionId: "two" });
  await store.remove("removed", { actor: "cleanup" });
  isFailing = true;
  await store.patch("agent:main:main", { n: 2 }).catch((error: { code?: string }) => {
    if (error.code !== "outcome_unknown") throw error;
  });
  await store.patch("agent:main:main", { n: 3 });
  await store.update("behind", counted);
  const expected = await describe(store);
  if (!readdirSync(join(directory, "sessions.d", "journal")).some((name) => holdsCarry(directory, name))) {
    throw new Error("no states were carried");
  }
  return expected;
}

function holdsCarry(directory: string, name: string): boolean {
  return readFileSync(join(directory, "sessions.d", "journal", name), "utf8").startsWith('{"carry"');
}

/** A rollback that died when its marker and its export were complete, and the export not yet in its place. */
async function writeFenced(directory: string, inner: Port): Promise<Expected> {
  const store = await open(inner, directory);
  for (const [key, entry] of odd.slice(0, 3)) await store.update(key, () => entry);
  await store.close();
  const again = await open(inner, directory);
  await again.patch("agent:main:main", { n: 1 });
  const expected = await describe(again);
  await again.close();
  let isDead = false;
  const dying = new Proxy(inner, {
    get(target, name, receiver) {
      const method = Reflect.get(target, name, receiver);
      if (typeof method !== "function") return method;
      return (...given: unknown[]) => {
        if (name === "rename" && given[3] === "sessions.json") isDead = true;
        if (isDead && !["close", "closeDirectory", "unlock"].includes(String(name)))
          throw new Error("the process died");
        return method(...given);
      };
    },
  });
  const outcome = await rollbackStore(join(directory, "sessions.json"), { port: dying }).then(
    (result) => result.outcome,
    () => "died",
  );
  if (!isDead || outcome === "restored") throw new Error(`the rollback ended as ${outcome}`);
  // The gateway's own lock, of a process that died.
  rmSync(join(directory, "sessions.json.lock"), { force: true });
  return expected;
}

/** On a disk that does not tell upper from lower case, names are hashes; and a large store has shards. */
async function writeHashed(directory: string, inner: Port): Promise<Expected> {
  const port: Port = {
    ...inner,
    statName: (parent, name) => inner.statName(parent, name === "CASE-PROBE" ? "case-probe" : name),
  };
  const store = await open(port, directory);
  for (const [key, entry] of odd) await store.update(key, () => entry);
  await store.remove("__proto__");
  await store.checkpoint();
  await store.patch("agent:main:main", { n: 1 });
  const expected = await describe(store);
  // A store gets shards when 50,000 sessions are migrated into it, which is too much for a fixture: moved by hand.
  const root = join(directory, "sessions.d");
  const manifestPath = join(root, "state.json");
  const { checksum: _, ...manifest } = parseManifest(readFileSync(manifestPath, "utf8"), manifestPath) as ReturnType<
    typeof parseManifest
  > & { checksum?: string };
  writeFileSync(manifestPath, formatManifest({ ...manifest, shardDigits: 2 }), { mode: 0o600 });
  for (const { key } of expected.sessions) {
    const shard = join(root, "entries", shardName(key));
    mkdirSync(shard, { recursive: true, mode: 0o700 });
    const name = entryFileName(key, "hash");
    renameSync(join(root, "entries", name), join(shard, name));
  }
  return expected;
}

const scenes: Record<string, (directory: string, port: Port) => Promise<Expected>> = {
  live: writeLive,
  carried: writeCarried,
  fenced: writeFenced,
  hashed: writeHashed,
};

/** Writes every scene to a directory of its name in `target`. Stores stay open: what is copied is what a kill leaves. */
export async function writeFixtures(target: string): Promise<void> {
  if (existsSync(target)) throw new Error(`${target} is there: fixtures are written once and kept for ever`);
  mkdirSync(target, { recursive: true });
  for (const [index, [name, write]] of Object.entries(scenes).entries()) {
    const directory = mkdtempSync(join(tmpdir(), "sessiondir-fixture-"));
    try {
      const expected = await write(directory, scriptedPort(index + 1));
      cpSync(directory, join(target, name), { recursive: true });
      if (name === "live") addLeftovers(join(target, name));
      writeFileSync(join(target, name, "expected.json"), `${JSON.stringify(expected, null, 2)}\n`);
      if (parseStoreLocation(join(target, name, "sessions.d")) === undefined) throw new Error("no store was written");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , target] = process.argv;
  if (target === undefined) throw new Error("say where to: a directory that is not there yet");
  await writeFixtures(target);
  process.exit(0);
}
