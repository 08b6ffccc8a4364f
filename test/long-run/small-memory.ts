/** Large journals in processes with a heap of 64 MB: see test/process/small-memory.ts. */

import { openInSmallMemory } from "../process/small-memory.js";

export async function runSmallMemory(): Promise<void> {
  for (const [sessions, megabytes] of [
    [20, 240],
    [200, 240],
    [400, 240],
    [2_000, 240],
  ] as const) {
    const said = await openInSmallMemory(sessions, megabytes);
    const what = said === undefined ? "the process died, and everything was there" : "opened, and all of it read";
    console.log(`small-memory: ${sessions} sessions in a journal of ${megabytes} MB, a heap of 64 MB: ${what}`);
  }
}
