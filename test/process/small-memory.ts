/**
 * Large journals in processes with little memory: one whose sessions fit is opened, however long the journal is; one
 * whose sessions do not fit ends the process, and nothing is lost by that.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { openSessionStore } from "../../src/index.js";
import { errorsOf, type TemporaryPlace, withPlace } from "./support/temporary-store.js";

const program = fileURLToPath(new URL("./small-memory-program.js", import.meta.url));
const heapMegabytes = 64;
const textBytes = 100_000;

/** A journal of so many bytes that says the states of so many sessions again and again. */
async function makeJournal(
  { location, directory }: TemporaryPlace,
  sessions: number,
  megabytes: number,
): Promise<void> {
  const open = `${directory}.open`;
  const limits = { segmentBytes: 256 * 1_024 * 1_024, segmentAgeMs: 60_000 };
  const store = await openSessionStore<Record<string, unknown>>(location, { durability: "interval", limits });
  try {
    for (let n = 0; n < (megabytes * 1_000_000) / textBytes; n += 1) {
      const text = String(n)
        .padStart(9)
        .repeat(textBytes / 9);
      await store.update(`s${n % sessions}`, () => ({ n, text }));
    }
    await store.sync();
    // As it lies there while it is open: closing would write all of it into entry files.
    fs.cpSync(directory, open, { recursive: true });
  } finally {
    await store.close();
  }
  fs.rmSync(directory, { recursive: true });
  fs.renameSync(open, directory);
}

/** Resolves with what the small process said, or undefined when it died of having too little memory. */
export async function openInSmallMemory(
  sessions: number,
  megabytes: number,
): Promise<{ sessions: number } | undefined> {
  let said: { sessions: number } | undefined;
  await withPlace(async (place) => {
    await makeJournal(place, sessions, megabytes);
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [`--max-old-space-size=${heapMegabytes}`, program, place.location],
      { encoding: "utf8", timeout: 300_000 },
    );
    const isOutOfMemory = /heap out of memory|heap limit/.test(stderr);
    assert.ok(status === 0 || isOutOfMemory, `${status} ${signal}: ${stderr}`);
    if (stdout !== "") said = JSON.parse(stdout) as { sessions: number };
    // Whoever has the memory finds everything, at once.
    const store = await openSessionStore<Record<string, unknown>>(place.location);
    try {
      let count = 0;
      const last = (megabytes * 1_000_000) / textBytes - sessions;
      for await (const { key, entry } of store.entries()) {
        if (key === "agent:main:small") continue;
        assert.ok((entry.n as number) >= last && (entry.text as string).length > textBytes - 9, key);
        count += 1;
      }
      assert.equal(count, sessions);
      assert.deepEqual(await errorsOf(store), []);
    } finally {
      await store.close();
    }
  });
  return said;
}
