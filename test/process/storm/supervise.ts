/** What the storm tests share: a store in a temporary directory, writers that live through, and the comparison. */

import assert from "node:assert/strict";
import fs from "node:fs";
import { Worker } from "node:worker_threads";
import { type OpenOptions, openSessionStore } from "../../../src/index.js";
import type { Ledger } from "./ledger.js";
import type { Said, WriterLife } from "./sessions.js";
import type { WriterThread } from "./writer.js";
import { WriterProcess } from "./writer-process.js";

/** Small segments, so that every short test meets rotation and checkpoints. */
export const smallSegments: OpenOptions = {
  lockWaitMs: 60_000,
  limits: { segmentBytes: 2_000, segmentRetentionBytes: 8_000 },
};

export function lifeOf(location: string, slot: number, more: Partial<WriterLife> = {}): WriterLife {
  return { location, options: smallSegments, slot, name: `${slot}`, seed: 100 + slot, leftovers: [], ...more };
}

/** Runs `body` with a writer process for each slot, which are killed at the end; the ledger hears all of them. */
export async function withWriters<Result>(
  count: number,
  ledger: Ledger,
  body: (writers: readonly WriterProcess[]) => Promise<Result>,
): Promise<Result> {
  const starting = Array.from({ length: count }, (_, slot) => WriterProcess.start((said) => ledger.hear(slot, said)));
  const writers = await Promise.all(starting);
  try {
    return await body(writers);
  } finally {
    await Promise.all(writers.map((writer) => writer.kill()));
  }
}

/** Everything acknowledged is there, nothing in part, nothing came back; the store takes another commit. */
export async function assertNothingLost(
  location: string,
  ledger: Ledger,
  refusals: readonly string[] = [],
): Promise<void> {
  const store = await openSessionStore<Record<string, unknown>>(location);
  try {
    await ledger.check(store, "at the end");
    await store.update("agent:main:last", (current) => ({ n: ((current?.n as number | undefined) ?? 0) + 1 }));
  } finally {
    await store.close();
  }
  assert.deepEqual(ledger.problems, []);
  assert.deepEqual(
    [...ledger.refusals.keys()].filter((code) => !refusals.includes(code)),
    [],
    "nothing else was refused",
  );
}

/** Resolves when the process is really stopped, which is a moment after it asked for that. */
export async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const status = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    if (status.slice(status.lastIndexOf(")") + 2).startsWith("T")) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A writer as a thread of this process. What it says goes to a file, so that it is known after a termination. */
export class WriterThreadHandle {
  readonly worker: Worker;
  readonly ended: Promise<void>;
  readonly #descriptor: number;
  readonly #path: string;

  constructor(life: WriterLife, logPath: string) {
    this.#path = logPath;
    this.#descriptor = fs.openSync(logPath, "a");
    const workerData: WriterThread = { life, descriptor: this.#descriptor };
    this.worker = new Worker(new URL("./writer.js", import.meta.url), { workerData });
    this.ended = new Promise((resolve, reject) => {
      this.worker.once("exit", () => resolve());
      this.worker.once("error", reject);
    });
  }

  said(): Said[] {
    const lines = fs.readFileSync(this.#path, "utf8").split("\n");
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Said);
  }

  /** Resolves when it has said so much, or has ended. */
  async untilSaid(count: number): Promise<void> {
    let over = false;
    void this.ended.finally(() => {
      over = true;
    });
    while (!over && this.said().length < count) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  tellAll(ledger: Ledger, slot: number): void {
    for (const said of this.said()) ledger.hear(slot, said);
    fs.closeSync(this.#descriptor);
  }
}
