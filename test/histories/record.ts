/**
 * Records one history: starts a store, lets processes - or, where a backend lives in one process, tasks - work on the
 * same few sessions, kills some of the processes, watches the change feed meanwhile, and reads everything at the end.
 *
 * The seed decides what every client does and how many returns a victim gets to see; who is faster is the machine's
 * business. So a seed replays the work and not the schedule: the recorded history is what proves a violation.
 */

import type { OpenOptions, SessionStore } from "../../src/api.js";
import { nodePort } from "../../src/fs/node-port.js";
import { createSessionStore } from "../../src/store.js";
import { SeededRandom } from "../sim/random.js";
import type { History } from "./checker.js";
import { type ClientWork, nowMicroseconds, type Recorder, runClient, tellingVersions } from "./client.js";
import type { FeedChange } from "./dense.js";
import { type Operation, toState } from "./operations.js";
import type { HistoryTarget } from "./targets.js";
import type { HistoryWorker, HistoryWorkers } from "./worker-pool.js";

export interface HistoryShape {
  readonly seed: number;
  readonly processes: number;
  readonly sessions: number;
  /** Tasks in each process, each with one operation at a time. */
  readonly clientsEach: number;
  /** In all, about. */
  readonly operations: number;
  readonly kills: number;
  readonly options: OpenOptions;
}

export interface RecordedHistory extends History {
  readonly shape: HistoryShape;
  readonly target: string;
  readonly kills: number;
  /** What `verify` found at the end. */
  readonly findings: readonly string[];
}

type Store = SessionStore<Record<string, unknown>>;

/** A watcher that was not told of the last commit after that time never will be. */
const feedWaitMs = 60_000;
/** Not one of the sessions of the history: its appearance is the end of the change feed. */
const endKey = "agent:end:of-feed";

export async function recordHistory(
  target: HistoryTarget,
  given: HistoryShape,
  workers: HistoryWorkers,
): Promise<RecordedHistory> {
  const shape = { ...given, options: { ...given.options, ...target.options } };
  const place = target.makePlace();
  try {
    const backend = tellingVersions(await place.open(shape.options));
    const store: Store = createSessionStore(backend, { clock: nodePort(), conflictWaitMs: 10_000 });
    try {
      const keys = Array.from({ length: shape.sessions }, (_, index) => `agent:main:session-${index}`);
      const operations = new Map<string, Operation>();
      const recorder: Recorder = {
        called: (call) => operations.set(call.id, call),
        returned: (id, returnMicroseconds, outcome) => {
          operations.set(id, { ...operations.get(id)!, returnMicroseconds, outcome });
        },
      };
      const stop = new AbortController();
      const feed = followFeed(store, await store.cursor(), stop.signal);
      feed.catch(() => {}); // Awaited at the end.
      let kills = 0;
      if (target.capabilities.crossProcess) {
        kills = await runProcesses(place.location, shape, keys, recorder, workers);
      } else {
        const tasks = Array.from({ length: shape.processes }, (_, slot) => makeWork(shape, keys, `t${slot}`, slot));
        await Promise.all(tasks.flat().map((work) => runClient(store, work, recorder)));
      }
      await readEverything(store, keys, recorder);
      await store.update(endKey, () => ({ end: true }));
      const patience = setTimeout(() => stop.abort(), feedWaitMs);
      const changes = await feed.finally(() => clearTimeout(patience));
      const findings: string[] = [];
      for await (const { severity, code, message } of store.verify()) {
        if (severity === "error") findings.push(`${code}: ${message}`);
      }
      return {
        target: target.name,
        shape,
        kills,
        keys,
        operations: [...operations.values()],
        denseVersions: target.capabilities.denseVersions,
        feed: changes,
        findings,
      };
    } finally {
      await store.close();
    }
  } finally {
    await place.remove();
  }
}

/** All changes up to the end; `undefined` when some of them were gone before they could be followed. */
async function followFeed(store: Store, since: string, signal: AbortSignal): Promise<FeedChange[] | undefined> {
  const changes: FeedChange[] = [];
  for await (const change of store.watch({ since, signal })) {
    if (change.type === "reset") return undefined;
    if (change.key === endKey) return changes;
    const { key, version } = change;
    changes.push(change.type === "put" ? { key, version, entry: change.entry } : { key, version });
  }
  throw new Error(`the watcher was not told of the last commit: ${JSON.stringify(changes.slice(-3))}`);
}

function makeWork(shape: HistoryShape, keys: readonly string[], name: string, salt: number): ClientWork[] {
  const operations = Math.max(1, Math.ceil(shape.operations / shape.processes / shape.clientsEach));
  const random = new SeededRandom(shape.seed * 1_000 + salt);
  return Array.from({ length: shape.clientsEach }, (_, index) => ({
    client: `${name}.${index}`,
    keys,
    operations,
    seed: random.below(2 ** 31),
  }));
}

/** Every process does its work; a victim is killed on its way, and another one does as much again. */
async function runProcesses(
  location: string,
  shape: HistoryShape,
  keys: readonly string[],
  recorder: Recorder,
  workers: HistoryWorkers,
): Promise<number> {
  const random = new SeededRandom(shape.seed);
  const victims = new Set(Array.from({ length: shape.kills }, (_, index) => index % shape.processes));
  let kills = 0;
  await workers.use(shape.processes, async (processes) => {
    await Promise.all(
      processes.map(async (worker, slot) => {
        const clients = makeWork(shape, keys, `p${slot}`, slot);
        if (!victims.has(slot)) {
          await worker.run({ location, options: shape.options, clients }, recorder);
          return;
        }
        const returns = 1 + random.below(Math.max(1, clients[0]!.operations * clients.length));
        const how = await worker.run(
          { location, options: shape.options, clients },
          killingAfter(recorder, worker, returns),
        );
        if (how === "killed") kills += 1;
      }),
    );
  });
  const survivors = shape.kills === 0 ? 0 : 1;
  await workers.use(survivors, async (processes) => {
    for (const worker of processes) {
      const clients = makeWork(shape, keys, "heir", shape.processes);
      await worker.run({ location, options: shape.options, clients }, recorder);
    }
  });
  return kills;
}

/** The same recorder, which kills its worker at the time of a certain return. */
function killingAfter(recorder: Recorder, worker: HistoryWorker, returns: number): Recorder {
  let left = returns;
  return {
    called: recorder.called,
    returned: (id, at, outcome) => {
      recorder.returned(id, at, outcome);
      left -= 1;
      if (left === 0) void worker.kill();
    },
  };
}

async function readEverything(store: Store, keys: readonly string[], recorder: Recorder): Promise<void> {
  for (const [index, key] of keys.entries()) {
    const id = `last:${index}`;
    recorder.called({ id, client: "last", action: { type: "read", key }, callMicroseconds: nowMicroseconds() });
    const found = await store.getWithVersion(key);
    recorder.returned(id, nowMicroseconds(), {
      status: "done",
      saw: { [key]: toState(found?.entry) },
      sawVersions: found ? { [key]: found.version } : {},
    });
  }
}
