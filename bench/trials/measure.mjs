/** Loops that the trials share. Every trial gives the same loop to every peer. */

import { quantile } from "../statistics.mjs";

const usPerNs = 1 / 1_000;
const now = () => Number(process.hrtime.bigint());

/**
 * Updates are measured in the state that a process is in for most of its life: what it works on was read, and its code is
 * compiled. In the first second that is not so for any peer, least for those that are JavaScript.
 */
export const updateWarmUpSeconds = 1;

/** Calls `work(round)` one after the other for about `seconds`, after a warm-up; rate and latencies. */
export async function oneAfterTheOther(work, seconds, warmUpSeconds = Math.min(0.5, seconds / 3)) {
  await repeatFor(work, warmUpSeconds, () => {});
  const latenciesUs = [];
  const startedNs = now();
  const count = await repeatFor(work, seconds, (us) => latenciesUs.push(us));
  return rateOf(count, now() - startedNs, latenciesUs);
}

async function repeatFor(work, seconds, note) {
  const endNs = now() + seconds * 1e9;
  let round = 0;
  for (let from = now(); from < endNs; round += 1) {
    const result = work(round);
    // Awaiting what is no promise would charge a turn of the event loop to synchronous peers.
    if (result instanceof Promise || typeof result?.then === "function") await result;
    const to = now();
    note((to - from) * usPerNs);
    from = to;
  }
  return round;
}

/** Keeps `width` calls in flight for about `seconds`, after a warm-up; rate and latencies. */
export async function inFlight(work, width, seconds, warmUpSeconds = Math.min(0.5, seconds / 3)) {
  await keepInFlight(work, width, warmUpSeconds);
  return keepInFlight(work, width, seconds);
}

async function keepInFlight(work, width, seconds) {
  const latenciesUs = [];
  const startedNs = now();
  const endNs = startedNs + seconds * 1e9;
  let count = 0;
  const lane = async (index) => {
    for (let round = index; now() < endNs; round += width) {
      const from = now();
      await work(round);
      latenciesUs.push((now() - from) * usPerNs);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: width }, (_, index) => lane(index)));
  return rateOf(count, now() - startedNs, latenciesUs);
}

function rateOf(count, elapsedNs, latenciesUs) {
  return {
    perSecond: count / (elapsedNs / 1e9),
    meanUs: (elapsedNs * usPerNs) / count,
    p50Us: quantile(latenciesUs, 0.5),
    p99Us: quantile(latenciesUs, 0.99),
    maxUs: quantile(latenciesUs, 1),
  };
}

export async function timeMs(work) {
  const from = now();
  await work();
  return (now() - from) / 1e6;
}
