/**
 * The whole life of a store, in which somebody swaps a part of it for a link or another object between two port calls,
 * anywhere - and swaps it back a call later, or at the end. Promised: nothing outside the store is read into an entry or
 * written, errors are typed, nothing hangs, and when it is put back everything acknowledged is there.
 *
 * The outside is a store with the same keys and valid checksums, so that only the refusal to follow links protects.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { entryFileName } from "../../../src/backends/directory/layout.js";
import type { Backend, Operation } from "../../../src/contract.js";
import { SessionStoreError } from "../../../src/errors.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import type { TemporaryPlace } from "../../process/support/temporary-store.js";
import { digestTree, makeFifo } from "./store-tree.js";
import { assertSessionsKept, kindsOfMovingSwap, makeLegacyPlace, moveAround } from "./swap-moves.js";
import { type Swap, SwappingPort, swapFor } from "./swapping-port.js";

const options = checkOpenOptions({
  keys: "exact",
  lockWaitMs: 100,
  cacheBytes: 0,
  limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 },
});
const inFile = ["file:a", "file:b"];
const keys = [...inFile, "patched", "journal:c", "new"];
const ours = "ours";
const stolen = "from outside";

type Entry = Record<string, unknown>;

/** Two sessions in files, one in a file with a patch in the journal, one in the journal. */
async function makeStore(directory: string, text: string): Promise<void> {
  const making = path.join(directory, "making");
  fs.mkdirSync(making);
  const backend = await openBackend(new SwappingPort(), path.join(making, "sessions.json"), options);
  for (const key of [...inFile, "patched", "gone"]) await commit(backend, put(key, { text }));
  await commit(backend, { type: "remove", key: "gone", purge: false });
  await backend.checkpoint();
  await backend.list({ limit: 100, order: "key" } as never);
  await commit(backend, put("journal:c", { text }));
  await patch(backend, "patched", "patch", text);
  // As if its process was killed: closing would empty the journal.
  for (const name of fs.readdirSync(making))
    fs.cpSync(path.join(making, name), path.join(directory, name), { recursive: true });
  await backend.close();
  fs.rmSync(making, { recursive: true });
}

function put(key: string, entry: Entry): Operation {
  return { type: "put", key, entry: Object.freeze(entry) };
}

async function commit(backend: Backend, operation: Operation, expected: [string, string][] = []): Promise<void> {
  const result = await backend.commit({ operations: [operation], expected: new Map(expected) });
  assert.equal(result.status, "committed");
}

async function patch(backend: Backend, key: string, field: string, value: unknown): Promise<Entry | undefined> {
  const found = (await backend.read([key])).get(key);
  if (found === undefined) return undefined;
  const set = Object.freeze({ [field]: value });
  const entry = Object.freeze({ ...found.entry, ...set });
  await commit(backend, { type: "patch", key, set, unset: [], entry }, [[key, found.version]]);
  return entry;
}

/** What each session may be: one text when it is known, two when a change of it failed. */
type Possible = Map<string, readonly (Entry | undefined)[]>;

/** A life in which everything is done once. Calls that fail with a typed error are over; others fail the test. */
async function live(port: SwappingPort, location: string, possible: Possible, seen: unknown[]): Promise<void> {
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SessionStoreError) return undefined;
      throw new Error(`an error without a code, swapped before ${port.swappedBefore}`, { cause: error });
    }
  };
  const change = async (key: string, to: Entry | undefined, work: () => Promise<unknown>) => {
    const before = possible.get(key) as readonly (Entry | undefined)[];
    possible.set(key, [...before, to]);
    if ((await attempt(async () => (await work()) !== undefined)) === true) possible.set(key, [to]);
  };
  const backend = await attempt(() => openBackend(port, location, options));
  if (backend === undefined) return;
  for (const key of keys) seen.push(await attempt(() => backend.read([key])));
  await change("new", { text: "new" }, async () => {
    await commit(backend, put("new", { text: "new" }));
    return true;
  });
  const patched = { ...(possible.get("patched")?.[0] as Entry), again: true };
  await change("patched", patched, () => patch(backend, "patched", "again", true));
  await change("file:b", undefined, async () => {
    await commit(backend, { type: "remove", key: "file:b", purge: false });
    return true;
  });
  seen.push(await attempt(() => backend.list({ limit: 100, order: "key" } as never)));
  await attempt(() => backend.checkpoint());
  await attempt(async () => {
    for await (const found of await backend.scan()) seen.push(found);
  });
  const removed: string[] = [];
  await attempt(async () => {
    for await (const found of backend.trash()) {
      seen.push(found);
      removed.push(found.id);
    }
  });
  seen.push(await attempt(() => backend.list({ limit: 100, order: "updatedAt" } as never)));
  await attempt(() => backend.emptyTrash(removed));
  seen.push(await attempt(() => backend.read(keys)));
  await attempt(async () => {
    for await (const finding of backend.check()) seen.push(finding);
  });
  await attempt(() => backend.close());
}

function fresh(place: TemporaryPlace, template: string): void {
  for (const name of fs.readdirSync(place.parent)) fs.rmSync(path.join(place.parent, name), { recursive: true });
  fs.cpSync(template, place.parent, { recursive: true });
}

function whatIsThere(): Possible {
  const text = ours;
  const possible: Possible = new Map([...inFile, "journal:c"].map((key) => [key, [{ text }]]));
  return possible.set("patched", [{ text, patch: text }]).set("new", [undefined]);
}

async function assertKept(location: string, possible: Possible, label: string): Promise<void> {
  const backend = await openBackend(new SwappingPort(), location, options);
  const found = await backend.read(keys).catch((error) => {
    throw new Error(`${label}: ${error.message}`, { cause: error });
  });
  await backend.close();
  for (const [key, entries] of possible) {
    const texts = entries.map((entry) => JSON.stringify(entry));
    const entry = found.get(key)?.entry;
    if (texts.includes(JSON.stringify(entry)) || isKeptAside(location, key)) continue;
    assert.fail(`${label}: ${key} is ${JSON.stringify(entry)}, not ${texts.join(" or ")}`);
  }
}

/** P16: patches whose base was not to be had at the checkpoint lie in quarantine/, with the reason. */
function isKeptAside(location: string, key: string): boolean {
  const quarantine = path.join(path.dirname(location), "sessions.d", "quarantine");
  if (key !== "patched" || !fs.existsSync(quarantine)) return false;
  const records = fs.readdirSync(quarantine).filter((name) => name.endsWith(".records.jsonl"));
  return records.some((name) => fs.readFileSync(path.join(quarantine, name), "utf8").includes('"patch":"ours"'));
}

/** `outside` is a directory that holds a store of the same shape. */
const kindsOfSwap: Record<string, (place: TemporaryPlace, outside: string) => Swap> = {
  "the store for a link to another store":
    ({ directory }, outside) =>
    () =>
      swapFor(directory, (at) => fs.symlinkSync(path.join(outside, "sessions.d"), at)),
  // Once it is open: before, there is no store there, and a new one is right.
  "the store for an empty directory":
    ({ directory }) =>
    (call) =>
      call.path.startsWith(`${directory}/`) ? swapFor(directory, (at) => fs.mkdirSync(at, { mode: 0o700 })) : undefined,
  "entries/ for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "entries"), (at) => fs.symlinkSync(path.join(outside, "sessions.d", "entries"), at)),
  "journal/ for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "journal"), (at) => fs.symlinkSync(path.join(outside, "sessions.d", "journal"), at)),
  "trash/ for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "trash"), (at) => fs.symlinkSync(path.join(outside, "sessions.d", "trash"), at)),
  "summary-index/ for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "summary-index"), (at) =>
        fs.symlinkSync(path.join(outside, "sessions.d", "summary-index"), at),
      ),
  "a file in the trash for a link":
    ({ directory }, outside) =>
    () =>
      swapFirst(path.join(directory, "trash"), path.join(outside, "sessions.d", "trash"), ".json"),
  "the head of the index for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "summary-index", "head.json"), (at) =>
        fs.symlinkSync(path.join(outside, "sessions.d", "summary-index", "head.json"), at),
      ),
  "a run of the index for a link":
    ({ directory }, outside) =>
    () =>
      swapFirst(path.join(directory, "summary-index"), path.join(outside, "sessions.d", "summary-index"), ".run"),
  "an entry file for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "entries", entryFileName("patched", "base64url")), (at) =>
        fs.symlinkSync(path.join(outside, "sessions.d", "entries", path.basename(at)), at),
      ),
  "an entry file for a FIFO":
    ({ directory }) =>
    () =>
      swapFor(path.join(directory, "entries", entryFileName("file:a", "base64url")), makeFifo),
  "the manifest for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(path.join(directory, "state.json"), (at) =>
        fs.symlinkSync(path.join(outside, "sessions.d", "state.json"), at),
      ),
  "the commit lock for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(`${directory}.lock`, (at) => fs.symlinkSync(path.join(outside, "victim"), at)),
  "the checkpoint lock for a link":
    ({ directory }, outside) =>
    () =>
      swapFor(`${directory}.checkpoint.lock`, (at) => fs.symlinkSync(path.join(outside, "victim"), at)),
  "the commit lock for a hard link":
    ({ directory }, outside) =>
    () =>
      swapFor(`${directory}.lock`, (at) => fs.linkSync(path.join(outside, "victim"), at)),
  "the name of a new file for a link": (_, outside) => (call) => {
    const at = call.path;
    if (call.method !== "open" || fs.lstatSync(at, { throwIfNoEntry: false }) !== undefined) return undefined;
    fs.symlinkSync(path.join(outside, "victim"), at);
    return () => removeLink(at);
  },
  "the target of a rename for a link": (_, outside) => (call) => {
    const at = call.path;
    if (call.method !== "rename" || fs.lstatSync(at, { throwIfNoEntry: false }) !== undefined) return undefined;
    fs.symlinkSync(path.join(outside, "victim"), at);
    return () => removeLink(at);
  },
};

/** The first file of a kind for a link to the first one outside. */
function swapFirst(directory: string, outside: string, suffix: string): (() => void) | undefined {
  const first = (of: string) => fs.existsSync(of) && fs.readdirSync(of).find((name) => name.endsWith(suffix));
  const [name, other] = [first(directory), first(outside)];
  if (!name || !other) return undefined;
  return swapFor(path.join(directory, name), (at) => fs.symlinkSync(path.join(outside, other), at));
}

/** The life of a store, and that of a store that moves, which takes some swaps of its own. */
interface Life {
  readonly makeTemplate: (directory: string, text: string) => Promise<void>;
  /** Resolves to a check of what must be there, with what is not certain. */
  readonly live: (port: SwappingPort, place: TemporaryPlace, seen: unknown[]) => Promise<Lived>;
}

interface Lived {
  readonly failures: readonly string[];
  readonly assertKept: (label: string) => Promise<void>;
}

const ordinaryLife: Life = {
  makeTemplate: makeStore,
  live: async (port, { location }, seen) => {
    const possible = whatIsThere();
    await live(port, location, possible, seen);
    return {
      failures: [...possible].filter(([, entries]) => entries.length > 1).map(([key]) => key),
      assertKept: (label) => assertKept(location, possible, label),
    };
  },
};

const movingLife: Life = {
  makeTemplate: makeLegacyPlace,
  live: async (port, place) => ({
    failures: await moveAround(port, place.location),
    assertKept: async (label) => assertSessionsKept(place, ours, stolen, label),
  }),
};

const moving = "while it moves, ";
const kindsWhileMoving = Object.fromEntries(
  Object.entries({
    ...kindsOfMovingSwap,
    "the name of a new file for a link": kindsOfSwap[
      "the name of a new file for a link"
    ] as (typeof kindsOfSwap)[string],
    "the target of a rename for a link": kindsOfSwap[
      "the target of a rename for a link"
    ] as (typeof kindsOfSwap)[string],
  }).map(([what, kind]) => [`${moving}${what}`, kind]),
);
const allKinds = { ...kindsOfSwap, ...kindsWhileMoving };

export const swaps: readonly string[] = Object.keys(allKinds);

/** One kind of swap, made ready in a directory of its own. */
export class SwapLives {
  /** The port calls of an undisturbed life: the places to swap at are 1 to this. */
  readonly calls: number;
  readonly #what: string;
  readonly #life: Life;
  readonly #template: string;
  readonly #outside: string;
  readonly #place: TemporaryPlace;
  readonly #before: ReadonlyMap<string, string>;

  private constructor(
    what: string,
    life: Life,
    [template, outside, inner]: readonly [string, string, string],
    calls: number,
  ) {
    this.#what = what;
    this.#life = life;
    this.#template = template;
    this.#outside = outside;
    this.#place = placeIn(inner);
    this.#before = digestTree(outside);
    this.calls = calls;
  }

  /** `base` is an empty directory. */
  static async prepare(what: string, base: string): Promise<SwapLives> {
    const life = what.startsWith(moving) ? movingLife : ordinaryLife;
    const directories = ["template", "outside", "place"].map((name) => path.join(base, name));
    const [template, outside, inner] = directories as [string, string, string];
    for (const directory of directories) fs.mkdirSync(directory, { mode: 0o700 });
    await life.makeTemplate(template, ours);
    await life.makeTemplate(outside, stolen);
    fs.writeFileSync(path.join(outside, "victim"), "what must stay as it is");
    const place = placeIn(inner);
    fresh(place, template);
    const counting = new SwappingPort();
    const undisturbed = await life.live(counting, place, []);
    await undisturbed.assertKept("undisturbed");
    assert.deepEqual(undisturbed.failures, [], "nothing fails undisturbed");
    return new SwapLives(what, life, [template, outside, inner], counting.calls);
  }

  /** Lives once, with a swap before this call; false when this call is none to swap before. */
  async swapBefore(at: number, lasts: "one call" | "to the end"): Promise<boolean> {
    fresh(this.#place, this.#template);
    const makeSwap = allKinds[this.#what] as (place: TemporaryPlace, outside: string) => Swap;
    const port = new SwappingPort(makeSwap(this.#place, this.#outside), at, lasts);
    const seen: unknown[] = [];
    const lived = await this.#life.live(port, this.#place, seen);
    port.putBack();
    if (port.swappedBefore === undefined) return false;
    const label = `${this.#what}, swapped before ${port.swappedBefore}`;
    assert.deepEqual(digestTree(this.#outside), this.#before, `${label}: something outside was changed`);
    assert.ok(!JSON.stringify(seen.map(shown)).includes(stolen), `${label}: something outside was read`);
    await lived.assertKept(label);
    return true;
  }
}

function placeIn(parent: string): TemporaryPlace {
  return { parent, location: path.join(parent, "sessions.json"), directory: path.join(parent, "sessions.d") };
}

/** Unless the library has replaced it. */
function removeLink(at: string): void {
  if (fs.lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) fs.rmSync(at);
}

function shown(value: unknown): unknown {
  return value instanceof Map ? [...value] : value;
}
