/** Trials of one process: updates, patches, reads, lists, scans. */

import { appendFileSync, closeSync, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { entryOf, keyOf, picker, touched } from "../sessions.mjs";
import { inFlight, oneAfterTheOther, timeMs } from "./measure.mjs";

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
    );
  });
}

/** One field of one session, again and again; also what that writes, as the system counts it. */
export function patchField(context) {
  return withDriver(context, async (driver) => {
    const key = keyOf(0);
    const before = writtenBytes();
    let rounds = 0;
    const figures = await oneAfterTheOther((round) => {
      rounds += 1;
      return driver.patch(key, { updatedAt: 1_760_000_000_000 + round });
    }, context.seconds);
    const after = writtenBytes();
    return { ...figures, bytesPerUpdate: before === undefined ? undefined : (after - before) / rounds };
  });
}

/** Bytes this process gave to write calls; not what a database writes through its memory map. */
function writtenBytes() {
  if (process.platform !== "linux") return undefined;
  return Number(/^wchar: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))[1]);
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

/** In a fresh process: open, read one, close. The parent adds the time of the whole process. */
export async function coldGet(context) {
  const from = Number(process.hrtime.bigint());
  const driver = await context.peer.open(context.directory);
  const entry = await driver.get(keyOf(context.sessions >> 1));
  const ms = (Number(process.hrtime.bigint()) - from) / 1e6;
  if (entry?.sessionId === undefined) throw new Error("the session is not there");
  await driver.close();
  return { ms };
}

export async function coldList(context) {
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
    if (fstatSync(file).size === 0) appendFileSync(file, "");
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
      await driver.update(keyOf(index % context.sessions), (entry) => touched(entry, index));
    }
    await driver.store?.checkpoint();
    const touchedMb = collect();
    return { idleMb, touchedMb, beyondIdleMb: touchedMb - idleMb };
  });
}

/** How late the event loop is while commits go on and segments are checkpointed, beyond the same load without any. */
export async function eventLoopDelay(context) {
  const { monitorEventLoopDelay } = await import("node:perf_hooks");
  const pick = picker(5, context.sessions);
  const loaded = async (limits, isCheckpointing) => {
    const driver = await context.peer.open(context.directory, { limits });
    const histogram = monitorEventLoopDelay({ resolution: 1 });
    const { setTimeout: sleep } = await import("node:timers/promises");
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

/** What a reader waits while a checkpoint, a verify or somebody's 30 s callback runs in the same process. */
export function readerLatency(context) {
  return withDriver(context, async (driver) => {
    const pick = picker(6, context.sessions);
    const { setTimeout: sleep } = await import("node:timers/promises");
    const held = new AbortController();
    const callback = driver
      .update(keyOf(0), async (entry) => {
        await sleep(30_000, undefined, { signal: held.signal }).catch(() => {});
        return entry;
      })
      .catch(() => {});
    const busy = (async () => {
      for (let round = 0; !held.signal.aborted; round += 1) {
        for (let change = 0; change < 200; change += 1) {
          await driver.update(keyOf(1 + (pick() % (context.sessions - 1))), (entry) => touched(entry, round));
        }
        await driver.store.checkpoint();
        for await (const _ of driver.store.verify()) if (held.signal.aborted) break;
      }
    })();
    const figures = await oneAfterTheOther(async () => {
      await sleep(1);
      const from = Number(process.hrtime.bigint());
      await driver.get(keyOf(pick()));
      waits.push((Number(process.hrtime.bigint()) - from) / 1_000);
    }, context.seconds);
    held.abort();
    await busy;
    await callback;
    waits.sort((left, right) => left - right);
    return {
      rounds: figures.perSecond,
      p50Us: waits[waits.length >> 1],
      p99Us: waits[Math.floor(waits.length * 0.99)],
    };
  });
}
const waits = [];
