/** SIGKILL at every call of the system that changes something, of each operation of a store. */

import { operations } from "../process/system-call-operations.js";
import { killAtEvery, type SystemCallCounts, skipWithoutStrace, systemCalls } from "../process/system-calls.js";

export async function runSystemCalls(): Promise<void> {
  const skip = skipWithoutStrace();
  if (skip !== false) {
    console.log(`system-calls: ${skip}`);
    return;
  }
  for (const name of Object.keys(operations)) {
    const counts: SystemCallCounts = { kills: 0, acknowledgements: 0 };
    const startedMs = performance.now();
    for (const calls of systemCalls) await killAtEvery(name, calls, {}, counts);
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    const { kills, acknowledgements } = counts;
    console.log(
      `system-calls: ${name}: ${kills} kills, ${acknowledgements} times acknowledged, each as promised (${seconds} s)`,
    );
  }
}
