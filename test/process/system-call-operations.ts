/** The operations that are killed at every call of the system: what is there before each, what it does, and what is there after. */

import fs from "node:fs";
import path from "node:path";
import { repairStore } from "../../src/backends/directory/repair.js";
import { copyStore, type OpenOptions, openSessionStore, rollbackStore, type SessionStore } from "../../src/index.js";
import type { TemporaryPlace } from "./support/temporary-store.js";

type Entry = Record<string, unknown>;
type Store = SessionStore<Entry>;
export type Content = ReadonlyMap<string, Entry>;

export interface SystemCallOperation {
  /** Leaves the place as the operation finds it. */
  readonly prepare: (place: TemporaryPlace) => Promise<void>;
  readonly run: (location: string) => Promise<void>;
  /** What the sessions are before and after; without `after` they stay the same. */
  readonly before: Content;
  readonly after?: Content;
}

const options: OpenOptions = { limits: { segmentBytes: 1_500, segmentRetentionMs: 0, segmentRetentionBytes: 0 } };
const keys = ["a", "b", "c", "d"].map((name) => `agent:main:${name}`) as [string, string, string, string];
const entryOf = (n: number): Entry => ({ sessionId: `id-${n}`, updatedAt: n, text: "x".repeat(200) });
const initial: Content = new Map(keys.slice(0, 3).map((key, n) => [key, entryOf(n)]));

function changed(changes: Readonly<Record<string, Entry | undefined>>): Content {
  const content = new Map(initial);
  for (const [key, entry] of Object.entries(changes)) {
    if (entry === undefined) content.delete(key);
    else content.set(key, entry);
  }
  return content;
}

async function withStore(location: string, body: (store: Store) => Promise<unknown>): Promise<void> {
  const store = await openSessionStore<Entry>(location, options);
  try {
    await body(store);
  } finally {
    await store.close();
  }
}

/** Three sessions, checkpointed and then written once more: some in entry files, some in the journal, one in the trash. */
async function prepareStore({ location, directory }: TemporaryPlace): Promise<void> {
  const open = `${directory}.open`;
  await withStore(location, async (store) => {
    await store.update(keys[3], () => entryOf(9));
    for (const key of keys.slice(0, 3)) await store.update(key, () => entryOf(7));
    await store.checkpoint();
    await store.remove(keys[3]);
    for (const [key, entry] of initial) await store.update(key, () => entry);
    await store.sync();
    // As it lies there while it is open: closing would checkpoint it.
    fs.cpSync(directory, open, { recursive: true });
  });
  fs.rmSync(directory, { recursive: true });
  fs.renameSync(open, directory);
}

/** The same, with half a record at the end of the journal. */
async function prepareTorn(place: TemporaryPlace): Promise<void> {
  await prepareStore(place);
  const journal = path.join(place.directory, "journal");
  const last = fs.readdirSync(journal).sort().at(-1) as string;
  fs.appendFileSync(path.join(journal, last), '{"version":99,"time":1,"wri\n{"half');
}

async function prepareLegacy({ location }: TemporaryPlace): Promise<void> {
  fs.writeFileSync(location, JSON.stringify(Object.fromEntries(initial)), { mode: 0o600 });
}

const work = (body: (store: Store) => Promise<unknown>) => (location: string) => withStore(location, body);

export const operations: Readonly<Record<string, SystemCallOperation>> = {
  "create a store": {
    prepare: async () => {},
    run: work((store) => store.update(keys[0], () => entryOf(1))),
    before: new Map(),
    after: new Map([[keys[0], entryOf(1)]]),
  },
  update: {
    prepare: prepareStore,
    run: work((store) => store.update(keys[0], () => entryOf(20))),
    before: initial,
    after: changed({ [keys[0]]: entryOf(20) }),
  },
  transaction: {
    prepare: prepareStore,
    run: work((store) =>
      store.transaction((transaction) => {
        for (const key of keys) transaction.set(key, entryOf(21));
      }),
    ),
    before: initial,
    after: new Map(keys.map((key) => [key, entryOf(21)])),
  },
  "compare and set": {
    prepare: prepareStore,
    run: work(async (store) => {
      const found = await store.getWithVersion(keys[1]);
      await store.update(keys[1], () => entryOf(22), { ifVersion: found!.version });
    }),
    before: initial,
    after: changed({ [keys[1]]: entryOf(22) }),
  },
  remove: {
    prepare: prepareStore,
    run: work((store) => store.remove(keys[2])),
    before: initial,
    after: changed({ [keys[2]]: undefined }),
  },
  "checkpoint and rotate": { prepare: prepareStore, run: work((store) => store.checkpoint()), before: initial },
  recover: { prepare: prepareTorn, run: work((store) => store.checkpoint()), before: initial },
  list: { prepare: prepareStore, run: work((store) => store.list()), before: initial },
  "empty the trash": {
    prepare: prepareStore,
    run: work((store) => store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY })),
    before: initial,
  },
  repair: {
    prepare: prepareTorn,
    run: async (location) => {
      await repairStore(location);
    },
    before: initial,
  },
  migrate: { prepare: prepareLegacy, run: work((store) => store.get(keys[0])), before: initial },
  "roll back": {
    prepare: prepareStore,
    run: async (location) => {
      const { outcome, error } = await rollbackStore(location);
      if (outcome !== "restored") throw error ?? new Error(outcome);
    },
    before: initial,
  },
  copy: {
    prepare: prepareStore,
    run: async (location) => {
      await copyStore(location, path.join(path.dirname(location), "copy", "sessions.json"));
    },
    before: initial,
  },
};

export async function runOperation(name: string, location: string): Promise<void> {
  await (operations[name] as SystemCallOperation).run(location);
}

export async function contentOf(location: string): Promise<Map<string, Entry>> {
  const content = new Map<string, Entry>();
  await withStore(location, async (store) => {
    for await (const { key, entry } of store.entries()) content.set(key, entry);
  });
  return content;
}
