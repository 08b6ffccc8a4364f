/**
 * The program of a process that works on a store for a test. Its parent sends commands over IPC, see `commands`; what
 * it has to say goes to standard output, one JSON array per line, by a synchronous write: whatever was said before a
 * SIGKILL has been said, in order.
 */

import fs from "node:fs";
import { type OpenOptions, openSessionStore, type SessionStore, SessionStoreError } from "../../../src/index.js";
import { SeededRandom } from "../../sim/random.js";

type Entry = Record<string, unknown>;

export interface Increments {
  /** The field of its own that every increment counts, beside `total`. */
  writer: string;
  keys: string[];
  count: number;
  inFlight: number;
  seed: number;
}

export interface Life {
  location: string;
  options: OpenOptions;
  writer: string;
  sharedKeys: string[];
  seed: number;
}

let opened: SessionStore<Entry> | undefined;
let letGo = () => {};

const commands = {
  async open({ location, options }: { location: string; options?: OpenOptions }): Promise<void> {
    opened = await openSessionStore<Entry>(location, options);
  },

  async close(): Promise<void> {
    await store().close();
    opened = undefined;
  },

  async get({ key }: { key: string }): Promise<Entry | undefined> {
    return store().get(key);
  },

  async getAll(): Promise<[string, Entry][]> {
    const all: [string, Entry][] = [];
    for await (const { key, entry } of store().entries()) all.push([key, entry]);
    return all;
  },

  async list(): Promise<string[]> {
    return (await store().list({ limit: 10_000, order: "key" })).sessions.map(({ key }) => key);
  },

  async set({ key, entry }: { key: string; entry: Entry }): Promise<void> {
    await store().update(key, () => entry);
  },

  async remove({ key }: { key: string }): Promise<boolean> {
    return store().remove(key);
  },

  async checkpoint(): Promise<void> {
    await store().checkpoint();
  },

  async cursor(): Promise<string> {
    return store().cursor();
  },

  async increment(work: Increments): Promise<void> {
    await increment(store(), work);
  },

  /** An update whose function sits there until `release`, or for half a minute. */
  async hold({ key, writer }: { key: string; writer: string }): Promise<{ runs: number; seen: (Entry | undefined)[] }> {
    const seen: (Entry | undefined)[] = [];
    await store().update(key, async (current) => {
      seen.push(current);
      if (seen.length === 1) {
        await new Promise<void>((resolve) => {
          const halfMinute = setTimeout(resolve, 30_000);
          letGo = () => {
            clearTimeout(halfMinute);
            resolve();
          };
          say("holding", key);
        });
      }
      return incremented(current, writer);
    });
    return { runs: seen.length, seen };
  },

  async release(): Promise<void> {
    letGo();
  },

  /** Lives one life after the other - open, work, checkpoint, close - until it is killed. */
  async live(life: Life): Promise<void> {
    const random = new SeededRandom(life.seed);
    for (let round = 0; ; round += 1) {
      say("opening", "");
      const living = await openSessionStore<Entry>(life.location, life.options);
      say("working", "");
      for (let left = 10 + random.below(40); left > 0; left -= 1) {
        await workALittle(living, life, random, `${life.writer}:${round}:${left}`);
      }
      say("closing", "");
      await living.close();
    }
  },
};

export type Commands = typeof commands;

function store(): SessionStore<Entry> {
  if (opened === undefined) throw new Error("the store is not open");
  return opened;
}

function say(kind: string, subject: unknown, more?: unknown): void {
  fs.writeSync(1, `${JSON.stringify([kind, subject, more])}\n`);
}

async function increment(target: SessionStore<Entry>, work: Increments): Promise<void> {
  const random = new SeededRandom(work.seed);
  let left = work.count;
  const loop = async () => {
    while (left > 0) {
      left -= 1;
      await incrementOne(target, random.pick(work.keys), work.writer);
    }
  };
  await Promise.all(Array.from({ length: work.inFlight }, loop));
}

async function incrementOne(target: SessionStore<Entry>, key: string, writer: string): Promise<void> {
  say("attempt", key);
  await target.update(key, (current) => incremented(current, writer));
  say("acknowledged", key);
}

function incremented(current: Entry | undefined, writer: string): Entry {
  const count = (name: string) => ((current?.[name] as number | undefined) ?? 0) + 1;
  return { ...current, total: count("total"), [writer]: count(writer) };
}

async function workALittle(living: SessionStore<Entry>, life: Life, random: SeededRandom, name: string): Promise<void> {
  const choice = random.below(20);
  if (choice < 6) {
    await Promise.all([
      incrementOne(living, random.pick(life.sharedKeys), life.writer),
      incrementOne(living, `own:${life.writer}:${random.below(5)}`, life.writer),
    ]);
  } else if (choice < 13) {
    await incrementOne(living, `own:${life.writer}:${random.below(5)}`, life.writer);
  } else if (choice < 19) {
    const key = `short-lived:${name}`;
    say("creating", key);
    await living.update(key, () => ({ name, ballast: "x".repeat(random.below(400)) }));
    say("created", key);
    if (choice < 15) return;
    say("removing", key);
    await living.remove(key, { purge: random.chance(0.5) });
    say("removed", key);
  } else {
    say("checkpointing", "");
    await living.checkpoint();
  }
}

process.on("message", ({ id, name, parameters }: { id: number; name: keyof Commands; parameters: never }) => {
  commands[name](parameters).then(
    (result) => say("done", id, result ?? null),
    (error: unknown) => {
      const code = error instanceof SessionStoreError ? error.code : "unexpected";
      say("failed", id, { code, message: String((error as Error)?.stack ?? error) });
    },
  );
});
process.on("disconnect", () => process.exit(1));
say("ready", "");
