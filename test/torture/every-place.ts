/**
 * What `npm test` samples, at every place: journals cut at every byte (F11), every bit flipped (F12), and links swapped
 * in before every port call (F18). A case takes every `placeSteps`th place, beginning with its seed: so many
 * seeds in a row go through all places.
 */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type CorpusCase, Disagreement } from "../bytes/corpus.js";
import { CheckpointedEntry } from "../bytes/flipped-entry.js";
import type { Role } from "../bytes/real-recovery.js";
import { spoilSideFile } from "../bytes/side-files.js";
import { TornJournal } from "../bytes/torn.js";
import { SwapLives, swaps } from "../hostile/support/swap-lives.js";
import { type CaseReport, type Figures, Harmed, noFigures, noteHarm } from "./figures.js";
import { placeSteps } from "./rows.js";

const differentStores = 20;

const journals = new Map<string, TornJournal>();
const nothing = new Uint8Array(0);

/** What lies behind a cut, or a hole in it, is tried at every so manieth place; the next round tries others. */
const placesPerTail = 16;

export async function runTornTailCase(seed: number): Promise<CaseReport> {
  const round = Math.floor(seed / placeSteps);
  const journal = journalOf(1 + (round % differentStores), 64 * 1024);
  const { tails } = journal;
  return atEvery(seed, journal.bytes.length + 1, async (at) => {
    const role = roleOf(at + round);
    await journal.assertCut(at, nothing, role);
    if ((at + round * 5) % placesPerTail !== 0) return 1;
    await journal.assertCut(at, tails[Math.floor(at / placesPerTail + round) % tails.length] as Uint8Array, role);
    if (at >= journal.lastLine) return 2;
    await journal.assertHoleRefused(at, role);
    return 3;
  });
}

export async function runBitFlipCase(seed: number): Promise<CaseReport> {
  const round = Math.floor(seed / placeSteps);
  const store = 1 + (Math.floor(round / 8) % differentStores);
  const journal = journalOf(store, 16 * 1024);
  const entry = new CheckpointedEntry(store * 100, 400);
  return atEvery(seed, journal.bytes.length + entry.bytes.length, async (place) => {
    const role = roleOf(place + round);
    // After eight rounds each bit of each byte had its turn.
    const bit = (place * 3 + round) % 8;
    const inEntry = place - journal.bytes.length;
    await (inEntry < 0 ? journal.assertFlip(place, bit, role) : entry.assertFlip(inEntry, bit, role));
    return 1;
  });
}

const placesPerSwapCase = 24;

export async function runSwapCase(seed: number): Promise<CaseReport> {
  const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-swaps-")));
  try {
    const lives = await SwapLives.prepare(swaps[seed % swaps.length] as string, base);
    const figures = noFigures();
    const problems: string[] = [];
    const steps = Math.ceil((lives.calls * 2) / placesPerSwapCase);
    // Twice as many places as calls: each once for a call, and once to the end.
    for (let place = Math.floor(seed / swaps.length) % steps; place < lives.calls * 2; place += steps) {
      try {
        const lasts = place % 2 === 0 ? "one call" : "to the end";
        if (await lives.swapBefore(1 + (place >> 1), lasts)) figures.swaps += 1;
      } catch (error) {
        noteHarm(figures, problems, harmOf(error));
        break;
      }
    }
    return { figures, problems };
  } finally {
    fs.rmSync(base, { recursive: true, force: true });
  }
}

const sideFilesPerCase = 100;

/** F13 for the files beside a store. */
export async function runSideFilesCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  for (let input = 0; input < sideFilesPerCase; input++) {
    try {
      figures.inputs += 1;
      await spoilSideFile(seed * sideFilesPerCase + input);
    } catch (error) {
      noteHarm(figures, problems, harmOf(error));
      break;
    }
  }
  return { figures, problems };
}

function roleOf(number: number): Role {
  return number % 3 === 0 ? "reader" : "writer";
}

function journalOf(store: number, bytes: number): TornJournal {
  const key = `${store} ${bytes}`;
  const journal = journals.get(key) ?? new TornJournal(store, bytes, 400);
  return journals.set(key, journal).get(key) as TornJournal;
}

/** The places of a case. `placeSteps` seeds in a row have each place once. */
export function* placesOf(seed: number, places: number): Generator<number> {
  for (let place = seed % placeSteps; place < places; place += placeSteps) yield place;
}

/** Runs the work at every `placeSteps`th place; it returns how many inputs that were. */
export async function atEvery(
  seed: number,
  places: number,
  work: (place: number) => Promise<number>,
): Promise<CaseReport> {
  const figures: Figures = noFigures();
  const problems: string[] = [];
  const found: CorpusCase[] = [];
  for (const place of placesOf(seed, places)) {
    try {
      figures.inputs += await work(place);
    } catch (error) {
      if (error instanceof Disagreement) found.push(error.found);
      noteHarm(figures, problems, harmOf(error));
      break;
    }
  }
  return { figures, problems, found };
}

function harmOf(error: unknown): Harmed {
  return new Harmed("disagreements", error instanceof Error ? error.message : String(error), error);
}
