/**
 * What `npm test` samples, at every place: journals cut at every byte (F11), every bit flipped (F12), and links swapped
 * in before every port call (F18). A case takes every n-th place, beginning with its seed: as many seeds in a row as there
 * are steps cover all places.
 */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { CheckpointedEntry } from "../bytes/flipped-entry.js";
import type { Role } from "../bytes/real-recovery.js";
import { spoilSideFile } from "../bytes/side-files.js";
import { TornJournal } from "../bytes/torn.js";
import { SwapLives, swaps } from "../hostile/support/swap-lives.js";
import { type CaseReport, type Figures, Harmed, noFigures, noteHarm } from "./figures.js";

/** A prime, so that no length of a line is a multiple of it. */
const step = 257;
const differentStores = 20;

const journals = new Map<string, TornJournal>();
const nothing = new Uint8Array(0);

export async function runTornTailCase(seed: number): Promise<CaseReport> {
  const journal = journalOf(storeOf(seed), 64 * 1024);
  const { tails } = journal;
  const role = roleOf(seed);
  return atEvery(seed, journal.bytes.length + 1, async (at) => {
    await journal.assertCut(at, nothing, role);
    await journal.assertCut(at, tails[(at + seed) % tails.length] as Uint8Array, role);
    if (at >= journal.lastLine) return 2;
    await journal.assertHoleRefused(at, role);
    return 3;
  });
}

export async function runBitFlipCase(seed: number): Promise<CaseReport> {
  const journal = journalOf(storeOf(seed), 16 * 1024);
  const entry = new CheckpointedEntry(storeOf(seed) * 100, 400);
  const journalBits = journal.bytes.length * 8;
  const role = roleOf(seed);
  return atEvery(seed, journalBits + entry.bytes.length * 8, async (place) => {
    if (place < journalBits) await journal.assertFlip(place >> 3, place & 7, role);
    else await entry.assertFlip((place - journalBits) >> 3, place & 7, role);
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

function storeOf(seed: number): number {
  return 1 + (Math.floor(seed / step) % differentStores);
}

function roleOf(seed: number): Role {
  return seed % 3 === 0 ? "reader" : "writer";
}

function journalOf(store: number, bytes: number): TornJournal {
  const key = `${store} ${bytes}`;
  const journal = journals.get(key) ?? new TornJournal(store, bytes, 400);
  return journals.set(key, journal).get(key) as TornJournal;
}

/** Runs the work at every `step`th place; it returns how many inputs that were. */
async function atEvery(seed: number, places: number, work: (place: number) => Promise<number>): Promise<CaseReport> {
  const figures: Figures = noFigures();
  const problems: string[] = [];
  for (let place = seed % step; place < places; place += step) {
    try {
      figures.inputs += await work(place);
    } catch (error) {
      noteHarm(figures, problems, harmOf(error));
      break;
    }
  }
  return { figures, problems };
}

function harmOf(error: unknown): Harmed {
  return new Harmed("disagreements", error instanceof Error ? error.message : String(error), error);
}
