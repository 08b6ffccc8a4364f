/**
 * The program of a writer in a storm, as a process or as a thread: opens the store, works, closes it, and begins again,
 * until it is killed. What it attempts and what is acknowledged is said by a synchronous write to a pipe or file of the
 * supervisor: so that is known, whatever happens to this process in the next moment.
 */

import fs from "node:fs";
import { workerData } from "node:worker_threads";
import type { Port } from "../../../src/fs/port.js";
import { type SessionStore, SessionStoreError } from "../../../src/index.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { createSessionStore } from "../../../src/store.js";
import { SeededRandom } from "../../sim/random.js";
import { countFreeDescriptors, wishedPort } from "./ports.js";
import {
  counterKey,
  type Deed,
  type Said,
  sharedKey,
  shortLivedPrefix,
  slotField,
  transactionKeys,
  type WriterLife,
} from "./sessions.js";

type Store = SessionStore<Record<string, unknown>>;

/** What a thread is started with. */
export interface WriterThread {
  readonly life: WriterLife;
  readonly descriptor: number;
}

const thread = workerData as WriterThread | null;

function say(...said: Said): void {
  fs.writeSync(thread?.descriptor ?? 1, `${JSON.stringify(said)}\n`);
}

async function live(life: WriterLife): Promise<void> {
  const random = new SeededRandom(life.seed);
  const port = wishedPort(life.wish, say);
  const options = checkOpenOptions(life.options);
  const mine = [...life.leftovers];
  let left = life.operations ?? Number.POSITIVE_INFINITY;
  let count = 0;
  const stay = async () => {
    const backend = await openBackend(port, life.location, options);
    const store: Store = createSessionStore(backend, { clock: port, conflictWaitMs: options.conflictWaitMs });
    try {
      say("opened");
      for (let round = 10 + random.below(30); round > 0 && left > 0; round -= 1) {
        left -= 1;
        count += 1;
        await doSomething(store, port, life, random, mine, `${life.name}:${count}`);
      }
    } finally {
      await store.close();
    }
  };
  while (left > 0) {
    try {
      await stay();
    } finally {
      if (life.wish?.descriptorsLeft !== undefined) say("free", countFreeDescriptors());
    }
  }
}

async function doSomething(
  store: Store,
  port: Port,
  { slot }: WriterLife,
  random: SeededRandom,
  mine: string[],
  name: string,
): Promise<void> {
  const { key, deed } = chooseDeed(random, mine, name);
  const startMs = port.monotonicMs();
  let told = key;
  /** Said within the function of the update: the last one said is the one that may be committed. */
  const begin = (number: number) => {
    told = String(number);
    say("began", deed, told);
    return number;
  };
  try {
    switch (deed) {
      case "count":
        await store.update(counterKey(slot), (current) => ({ n: begin(numberIn(current, "n") + 1) }));
        break;
      case "share":
        await store.update(sharedKey, (current) => {
          const field = slotField(slot);
          const next = { ...current, total: numberIn(current, "total") + 1 };
          return { ...next, [field]: begin(numberIn(current, field) + 1) };
        });
        break;
      case "transact":
        await store.transaction(async (transaction) => {
          const keys = transactionKeys(slot);
          const n = begin(numberIn(await transaction.get(keys[0]!), "n") + 1);
          for (const each of keys) transaction.set(each, { n, ballast: "x".repeat(n % 50) });
        });
        break;
      case "create":
        say("began", deed, key);
        await store.update(key, () => ({ name, ballast: "x".repeat(random.below(300)) }), { ifVersion: null });
        mine.push(key);
        break;
      case "remove":
        say("began", deed, key);
        await store.remove(key, { purge: random.chance(0.5) });
        mine.splice(mine.indexOf(key), 1);
        break;
      case "checkpoint":
        say("began", deed, "");
        await store.checkpoint();
    }
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    say("refused", deed, error.code, error.message);
    return;
  }
  say("acknowledged", deed, told, port.monotonicMs() - startMs);
}

function chooseDeed(random: SeededRandom, mine: readonly string[], name: string): { deed: Deed; key: string } {
  const choice = random.below(20);
  if (choice < 5) return { deed: "count", key: "" };
  if (choice < 9) return { deed: "share", key: "" };
  if (choice < 13) return { deed: "transact", key: "" };
  if (choice === 19) return { deed: "checkpoint", key: "" };
  if (mine.length > 3 || (mine.length > 0 && choice > 15)) return { deed: "remove", key: random.pick(mine) };
  return { deed: "create", key: `${shortLivedPrefix}${name}` };
}

function numberIn(entry: Readonly<Record<string, unknown>> | undefined, field: string): number {
  return (entry?.[field] as number | undefined) ?? 0;
}

function start(life: WriterLife): void {
  live(life).then(
    () => say("finished"),
    (error: unknown) => say("broke", String((error as Error)?.stack ?? error)),
  );
}

if (thread === null) {
  process.on("message", start);
  process.on("disconnect", () => process.exit(1));
  say("ready");
} else {
  start(thread.life);
}
