/**
 * Storms of kill -9: several writers at once, each killed at any moment of its life and followed by another one, on a
 * journal that is rotated all the time. Some are stopped for a while before, some for longer than others wait for a lock
 * and while they hold one, and many have a clock that nobody should trust. After every few kills everybody is dead and
 * the store is compared with what was acknowledged.
 *
 * The seed decides what the writers do and where they are killed as far as a supervisor can; a storm is not repeated
 * exactly.
 */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type OpenOptions, openSessionStore } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { Ledger, type StormCounts } from "./storm/ledger.js";
import { type ClockName, clocks, type PortWish } from "./storm/ports.js";
import { type Said, shortLivedPrefix } from "./storm/sessions.js";
import { WriterProcess } from "./storm/writer-process.js";

export interface KillStormOptions {
  readonly writers: number;
  /** So many kills, or a few more: each writer may be on its way to one. */
  readonly kills: number;
  readonly seed: number;
  /** Ends soon after this time, in milliseconds since 1970. */
  readonly deadline?: number;
  /** How likely a victim has a clock that is wrong, and is stopped for long inside a call. */
  readonly wrongClocks?: number;
  readonly longPauses?: number;
}

export interface KillStormReport extends StormCounts {
  kills: number;
  /** Writers that were stopped for a moment and went on. */
  pauses: number;
  /** Writers that stopped inside a call - before or after it had its effect - for 0.1 s to a few lock waits. */
  longPauses: number;
  /** Victims whose clock was wrong, jumped or stood still. */
  wrongClocks: number;
  /** How often everything was compared. */
  checks: number;
  /** Sentences; empty when all is well. The first names the seed. */
  problems: string[];
}

/** Kills of one slot between two comparisons. */
const killsInARow = 4;
/** How long writers wait for a lock; in impatient storms they are refused now and then. */
const lockWaitMs = { patient: 60_000, impatient: 400 };
const longPauseMs = [100, 3 * lockWaitMs.impatient] as const;
/** The first three under the commit lock, the renames in a checkpoint under that one's. */
const stopMethods = ["append", "append", "unlock", "syncFile", "rename"] as const;

/** A writer that says nothing new for so long hangs. */
const hangMs = 60_000;
/** What a victim says first, how often at most, and how long after it it may be killed. */
const moments: readonly (readonly [kind: Said[0], timesMax: number, delayMsMax: number])[] = [
  ["ready", 1, 40],
  ["opened", 3, 5],
  ["began", 40, 2],
  ["acknowledged", 40, 2],
];

export async function killStorm(options: KillStormOptions): Promise<KillStormReport> {
  const { writers, kills, seed, deadline, wrongClocks = 0.3, longPauses = 0.02 } = options;
  const random = new SeededRandom(seed);
  const isImpatient = random.chance(0.25);
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-storm-"));
  const location = path.join(parent, "sessions.json");
  const ledger = new Ledger(writers);
  const done = { kills: 0, pauses: 0, longPauses: 0, wrongClocks: 0, checks: 0 };
  const isOver = () => done.kills >= kills || (deadline !== undefined && Date.now() >= deadline);
  let lives = 0;

  const killOne = async (slot: number, choice: SeededRandom): Promise<void> => {
    await using victim = await WriterProcess.start((said) => ledger.hear(slot, said));
    const [kind, timesMax, delayMsMax] = choice.pick(moments);
    const wish: { -readonly [name in keyof PortWish]: PortWish[name] } = {};
    if (choice.chance(wrongClocks)) wish.clock = choice.pick(Object.keys(clocks) as ClockName[]);
    if (choice.chance(longPauses)) {
      const method = choice.pick(stopMethods);
      wish.stopAt = { method, call: 1 + choice.below(8), when: choice.pick(["before", "after"]) };
    }
    const until = wish.stopAt === undefined ? kind : "stopping";
    const times = wish.stopAt === undefined ? 1 + choice.below(timesMax) : 1;
    const reached = until === "ready" ? Promise.resolve(true) : victim.says(until, times);
    lives += 1;
    const isMine = (key: string) => key.startsWith(`${shortLivedPrefix}${slot}-`);
    victim.begin({
      location,
      options: randomOptions(choice, isImpatient),
      slot,
      name: `${slot}-${lives}`,
      seed: choice.below(2 ** 31),
      leftovers: ledger.leftoversOf(isMine, 3),
      wish,
    });
    if (!(await within(hangMs, reached)))
      ledger.problems.push(`writer ${slot} hangs: nothing "${until}" within ${hangMs} ms`);
    if (wish.clock !== undefined) done.wrongClocks += 1;
    if (wish.stopAt !== undefined) {
      await delay(choice.between(...longPauseMs));
      victim.child.kill("SIGCONT");
      // A writer that could not even open the store has ended instead.
      if (await reached) done.longPauses += 1;
      await delay(choice.between(0, 20));
    } else {
      await delay(choice.between(0, delayMsMax));
    }
    if (choice.chance(0.1)) {
      victim.child.kill("SIGSTOP");
      await delay(choice.between(1, 40));
      victim.child.kill("SIGCONT");
      done.pauses += 1;
      await delay(choice.between(0, 5));
    }
    await victim.kill();
    done.kills += 1;
  };

  try {
    while (!isOver() && ledger.problems.length === 0) {
      const chains = Array.from({ length: writers }, async (_, slot) => {
        const choice = random.branch();
        for (let left = killsInARow; left > 0 && !isOver(); left -= 1) await killOne(slot, choice);
      });
      await Promise.all(chains);
      if (isImpatient) ledger.forgive("lock_timeout");
      // Mostly only looked at, so that the next ones find what was left behind.
      const readOnly = fs.existsSync(path.join(parent, "sessions.d")) && random.chance(0.7);
      const store = await openSessionStore<Record<string, unknown>>(location, { readOnly });
      try {
        await ledger.check(store, `seed ${seed}, ${writers} writers, after ${done.kills} kills`);
      } finally {
        await store.close();
      }
      done.checks += 1;
    }
    for (const [code, count] of ledger.refusals) ledger.problems.push(`${count} operations were refused with ${code}`);
    if (ledger.problems.length > 0) {
      ledger.problems.unshift(`replay: killStorm({ writers: ${writers}, kills: ${kills}, seed: ${seed}, ... })`);
    }
    return { ...ledger.counts, ...done, problems: ledger.problems };
  } finally {
    fs.rmSync(parent, { recursive: true, force: true });
  }
}

function randomOptions(random: SeededRandom, isImpatient: boolean): OpenOptions {
  return {
    durability: random.pick(["commit", "interval"]),
    lockWaitMs: isImpatient ? lockWaitMs.impatient : lockWaitMs.patient,
    limits: {
      segmentBytes: random.pick([500, 2_000, 8_000, 1_000_000]),
      segmentRetentionBytes: random.pick([0, 20_000]),
      ...(random.chance(0.5) ? { segmentRetentionMs: 0 } : {}),
    },
  };
}

/** False when it took longer. */
async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let patience: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    patience = setTimeout(resolve, ms, false);
  });
  return Promise.race([promise.then(() => true), tooLong]).finally(() => clearTimeout(patience));
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
