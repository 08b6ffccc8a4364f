/** Trials of one process: updates, patches, reads, lists, scans. */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { entryOf, keyOf, picker, touched } from "../sessions.mjs";
import { quantile } from "../statistics.mjs";
import { inFlight, oneAfterTheOther, timeMs, updateWarmUpSeconds } from "./measure.mjs";

async function withDriver({ peer, directory }, work) {
  const driver = await peer.open(directory);
  try {
    return await work(driver);
  } finally {
    await driver.close();
  }
}

export function updateSerial(context) {
  const pick = picker(1, context.sessions);
  return withDriver(context, async (driver) => {
    const figures = await oneAfterTheOther(
      (round) => driver.update(keyOf(pick()), (entry) => touched(entry, round)),
      context.seconds,
      updateWarmUpSeconds,
    );
    return figures;
  });
}

export function updateInFlight(context) {
  const pick = picker(2, context.sessions);
  return withDriver(context, (driver) => {
    const update = driver.updateInFlight ?? driver.update;
    return inFlight(
      (round) => update(keyOf(pick()), (entry) => touched(entry, round)),
      context.writers ?? 64,
      context.seconds,
      updateWarmUpSeconds,
    );
  });
}

/** One field of one session, again and again; also what that writes, as the system counts it. */
export function patchField(context) {
  return withDriver(context, async (driver) => {
    const key = keyOf(0);
    const before = writtenBytes()?.given;
    let rounds = 0;
    const figures = await oneAfterTheOther((round) => {
      rounds += 1;
      return driver.patch(key, { updatedAt: 1_760_000_000_000 + round });
    }, context.seconds);
    const after = writtenBytes()?.given;
    return { ...figures, bytesPerUpdate: before === undefined ? undefined : (after - before) / rounds };
  });
}

/**
 * `given`: bytes that this process gave to write calls, which is not what a database writes through its memory map;
 * `dirtied`: pages that it made dirty in any way, in bytes - what the disk has to take.
 */
function writtenBytes() {
  if (process.platform !== "linux") return undefined;
  const text = readFileSync("/proc/self/io", "utf8");
  const field = (name) => Number(new RegExp(`^${name}: (\\d+)`, "m").exec(text)[1]);
  return { given: field("wchar"), dirtied: field("write_bytes") };
}

/** A fixed number of updates of different sessions, and the close of the store: with every checkpoint they lead to. */
export async function bytesWritten(context) {
  const pick = picker(4, context.sessions);
  const driver = await context.peer.open(context.directory);
  await driver.get(keyOf(0));
  const before = writtenBytes();
  for (let round = 0; round < context.updates; round += 1) {
    await driver.update(keyOf(pick()), (entry) => touched(entry, round));
  }
  await driver.close();
  if (before === undefined) return {};
  const after = writtenBytes();
  return {
    bytesPerUpdate: (after.given - before.given) / context.updates,
    dirtiedBytesPerUpdate: (after.dirtied - before.dirtied) / context.updates,
  };
}

export function getWarm(context) {
  return withDriver(context, async (driver) => {
    // A peer that reads its whole file each time would take minutes for a thousand sessions.
    const endMs = performance.now() + context.seconds * 1_000;
    let count = 0;
    while (count < 1_000 && (count === 0 || performance.now() < endMs)) {
      await driver.get(keyOf(count));
      count += 1;
    }
    const pick = picker(3, count);
    return oneAfterTheOther(() => driver.get(keyOf(pick())), context.seconds);
  });
}

export function listWarm(context) {
  return withDriver(context, async (driver) => {
    await driver.newest(50);
    return oneAfterTheOther(() => driver.newest(50), context.seconds);
  });
}

export function scanAll(context) {
  return withDriver(context, async (driver) => {
    let count = 0;
    const ms = await timeMs(async () => {
      count = await driver.scan();
    });
    if (count < context.sessions) throw new Error(`the scan saw ${count} of ${context.sessions} sessions`);
    return { ms, perSecond: count / (ms / 1_000) };
  });
}

/** In a fresh process: open, close. Loading the package is not part of `ms`; the parent adds the time of the whole process. */
export async function coldOpen(context) {
  await context.peer.load?.();
  const from = Number(process.hrtime.bigint());
  const driver = await context.peer.open(context.directory);
  const ms = (Number(process.hrtime.bigint()) - from) / 1e6;
  await driver.close();
  return { ms };
}

/** The same, and one session is read. */
export async function coldGet(context) {
  await context.peer.load?.();
  const from = Number(process.hrtime.bigint());
  const driver = await context.peer.open(context.directory);
  const entry = await driver.get(keyOf(context.sessions >> 1));
  const ms = (Number(process.hrtime.bigint()) - from) / 1e6;
  if (entry?.sessionId === undefined) throw new Error("the session is not there");
  await driver.close();
  return { ms };
}

export async function coldList(context) {
  await context.peer.load?.();
  const from = Number(process.hrtime.bigint());
  const driver = await context.peer.open(context.directory);
  const count = await driver.newest(50);
  const ms = (Number(process.hrtime.bigint()) - from) / 1e6;
  if (count !== 50) throw new Error(`the list holds ${count}`);
  const residentMb = process.memoryUsage().rss / 1e6;
  await driver.close();
  return { ms, residentMb };
}

/** The least that an update can cost: one stringify and one append. */
export async function floor(context) {
  const file = openSync(path.join(context.directory, `floor-${process.pid}`), "a");
  const entry = entryOf(1, 1_024);
  try {
    return await oneAfterTheOther((round) => {
      writeSync(file, `${JSON.stringify(touched(entry, round))}\n`);
    }, context.seconds);
  } finally {
    closeSync(file);
  }
}

/** Resident memory after touching many sessions, beyond that of the idle process, after a forced collection. */
export async function memoryAfterTouching(context) {
  const collect = () => {
    for (let round = 0; round < 4; round += 1) globalThis.gc();
    return process.memoryUsage().rss / 1e6;
  };
  const idleMb = collect();
  return withDriver(context, async (driver) => {
    for (let index = 0; index < context.touched; index += 1) {
      // What is updated is written out to its own file, and a million of those would take half an hour.
      if (index < context.updated) await driver.update(keyOf(index), (entry) => touched(entry, index));
      else await driver.get(keyOf(index));
    }
    await driver.store?.checkpoint();
    const touchedMb = collect();
    return { idleMb, touchedMb, beyondIdleMb: touchedMb - idleMb };
  });
}

/**
 * How late the event loop is while commits go on, segments are checkpointed and the index of lists is kept and merged,
 * beyond the same load without any of that.
 */
export async function eventLoopDelay(context) {
  const pick = picker(5, context.sessions);
  const loaded = async (limits, isCheckpointing) => {
    const driver = await context.peer.open(context.directory, { limits });
    const histogram = monitorEventLoopDelay({ resolution: 1 });
    // From the first list on there is an index, which checkpoints have to keep.
    await driver.newest(50);
    let stopped = false;
    const load = (async () => {
      for (let round = 0; !stopped; round += 1) {
        await driver.update(keyOf(pick()), (entry) => touched(entry, round));
        // As a gateway does: messages come one by one, with air between them.
        if (round % 4 === 3) await sleep(1);
      }
    })();
    histogram.enable();
    const endMs = performance.now() + context.seconds * 1_000;
    while (performance.now() < endMs) {
      if (isCheckpointing) await driver.store.checkpoint();
      await sleep(20);
    }
    histogram.disable();
    stopped = true;
    await load;
    await driver.close();
    return histogram.percentile(99) / 1e6;
  };
  const quietP99Ms = await loaded({}, false);
  const busyP99Ms = await loaded({}, true);
  return { quietP99Ms, busyP99Ms, addedP99Ms: Math.max(0, busyP99Ms - quietP99Ms) };
}

/**
 * What a reader waits while something else goes on in the same process: checkpoints, `verify`, the migration of another
 * store, or the callback of somebody who takes 30 s for the very session that is read.
 */
export function readerLatency(context) {
  return withDriver(context, async (driver) => {
    const pick = picker(6, context.sessions);
    const ended = new AbortController();
    const busy = beside[context.during](context, driver, ended.signal);
    const endMs = performance.now() + context.seconds * 1_000;
    const waitsUs = [];
    while (performance.now() < endMs) {
      // From the moment at which the read was due: a reader that the event loop keeps waiting, waits.
      const dueMs = performance.now() + 1;
      await sleep(1);
      await driver.get(keyOf(context.during === "callback" ? 0 : pick()));
      waitsUs.push((performance.now() - dueMs) * 1_000);
    }
    ended.abort();
    await busy;
    return { p50Us: quantile(waitsUs, 0.5), p99Us: quantile(waitsUs, 0.99), maxUs: quantile(waitsUs, 1) };
  });
}

/** Each goes on until the signal comes. */
const beside = {
  nothing: async () => {},
  checkpoints: async (context, driver, signal) => {
    const pick = picker(7, context.sessions);
    for (let round = 0; !signal.aborted; round += 1) {
      for (let change = 0; change < 200; change += 1) {
        await driver.update(keyOf(pick()), (entry) => touched(entry, round));
      }
      await driver.store.checkpoint();
    }
  },
  verify: async (_context, driver, signal) => {
    while (!signal.aborted) {
      for await (const _ of driver.store.verify()) if (signal.aborted) break;
    }
  },
  migration: async ({ peer, directory, seededLegacy }, _driver, signal) => {
    for (let round = 0; !signal.aborted; round += 1) {
      const other = path.join(directory, `other-${process.pid}-${round}`);
      await cp(seededLegacy, other, { recursive: true });
      await (await peer.open(other)).close();
      await rm(other, { recursive: true });
    }
  },
  callback: async (_context, driver, signal) => {
    await driver.update(keyOf(0), async (entry) => {
      await sleep(30_000, undefined, { signal }).catch(() => {});
      return { ...entry, inputTokens: 0 };
    });
  },
};
