/**
 * F7, P11: syncs of the journal fail, and lose what they were for. One process is told, every later sync of the same file
 * succeeds and means nothing, and its pages may be evicted. The sync of the segment that takes its place may fail too, or
 * the process dies once it has marked the segment. Whatever was acknowledged by then - a commit, a sync(), the close()
 * of an "interval" store - is there after a power loss, with every commit before it, and for the next process.
 *
 * Left out is the window of docs/durability.md: who dies of a failed sync before it has said so told nobody, and a mark
 * may be evicted with its segment before the states went on.
 */

import { decodeLine, findLine, type JournalRecord } from "../../src/backends/directory/journal/record.js";
import type { Operation, Versioned, VersionToken } from "../../src/contract.js";
import { type Durability, SessionStoreError } from "../../src/index.js";
import {
  HookedPort,
  makeMachine,
  openStore,
  put,
  readStore,
  remove,
  request,
  type StartedStore,
  storePath,
} from "../protocol/simulated-store.js";
import { FailingPort } from "../sim/failing-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { type CaseReport, type Figures, Harmed, noFigures, noteHarm } from "./figures.js";

interface Process extends StartedStore {
  readonly durability: Durability;
  readonly failing: FailingPort;
}

const keys = ["a", "b", "c", "d"];
const stepsPerCase = 24;
const machines = new Map<string, Promise<SimulatedMachine>>();

export async function runFailedSyncCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  const life = await Life.begin(seed, figures);
  try {
    for (let step = 0; step < stepsPerCase; step++) await life.step();
    await life.end();
  } catch (error) {
    const harm = error instanceof Harmed ? error.harm : "disagreements";
    const message = error instanceof Harmed ? error.message : (error as Error).stack;
    noteHarm(figures, problems, new Harmed(harm, `${message}\n${life.log.join("\n")}`, error));
  }
  return { figures, problems };
}

/** One machine, from one power cut to the next, and what may be on its disk. */
class Life {
  readonly log: string[] = [];
  readonly #random: SeededRandom;
  readonly #figures: Figures;
  /** Of each session as JSON: what a power loss leaves for sure, and what may have come after it. */
  readonly #durable = new Map<string, string | undefined>();
  readonly #possible = new Map<string, (string | undefined)[]>();
  /** Segments of which a sync failed. */
  readonly #failed = new Set<string>();
  /** Segments that were given up. */
  readonly #marked = new Set<string>();
  /** Those whose states went on in a segment that no sync has failed of: their pages may go, the mark with them. */
  readonly #carried = new Set<string>();
  #machine: SimulatedMachine;
  #processes: Process[] = [];
  #started = 0;
  #value = 0;

  static async begin(seed: number, figures: Figures): Promise<Life> {
    const random = new SeededRandom(seed);
    const fileSystem = random.pick(["ordered", "weak"] as const);
    let made = machines.get(fileSystem);
    if (made === undefined) {
      made = makeMachine({ fileSystem });
      machines.set(fileSystem, made);
    }
    return new Life((await made).fork(), random, figures);
  }

  private constructor(machine: SimulatedMachine, random: SeededRandom, figures: Figures) {
    this.#machine = machine;
    this.#random = random;
    this.#figures = figures;
  }

  async step(): Promise<void> {
    const random = this.#random;
    this.#processes = this.#processes.filter(({ process }) => !process.isKilled);
    while (this.#processes.length < 2) await this.#start();
    const one = random.pick(this.#processes);
    const other = random.pick(this.#processes);
    const draw = random.next();
    if (draw < 0.45) this.#failSyncs(one);
    else if (random.chance(0.3)) one.failing.fail({});
    if (random.chance(0.3)) this.#evict();
    if (draw < 0.25) await this.#commit(one, random.pick(keys));
    else if (draw < 0.5) await this.#together(one, other);
    else if (draw < 0.58) await this.#drive(one, "checkpoint", () => one.backend.checkpoint());
    else if (draw < 0.68) await this.#sync(one, () => one.backend.sync());
    else if (draw < 0.74) await this.#close(one);
    else if (draw < 0.8) await this.#kill(one);
    else if (draw < 0.92) await this.#advance(random.pick([1, 20, 600, 6_000, 20_000]));
    else await this.#cutPower();
  }

  async end(): Promise<void> {
    if (!(await this.#everybodyKnows())) return;
    for (const { process } of this.#processes) process.kill();
    for (let drawn = 0; drawn < 2; drawn++) await this.#compare(this.#machine.powerLoss(this.#random), "a power loss");
    await this.#compare(this.#machine, "a crash of every process");
  }

  async #start(): Promise<void> {
    const random = this.#random;
    const process = this.#machine.process(`p${this.#started++}`);
    const failing = new FailingPort(process);
    const port = new HookedPort(failing);
    const durability = random.pick(["commit", "commit", "interval"] as const);
    const kept = random.chance(0.5) ? {} : { segmentRetentionMs: 0, segmentRetentionBytes: 0 };
    const limits = { segmentBytes: random.pick([1, 400, 1_000_000]), ...kept };
    const cacheBytes = random.pick([0, 100_000]);
    const backend = await this.#settle(openStore(port, { durability, cacheBytes, limits }));
    this.#processes.push({ process, port, backend, failing, durability });
    this.#note({ process }, `opens the store for "${durability}", segmentBytes ${limits.segmentBytes}`);
  }

  /** The next syncs of this process fail, and it may die as soon as everybody can know of one. */
  #failSyncs({ process, port, failing }: Process): void {
    const random = this.#random;
    const failAt = 1 + random.below(3);
    const lasts = random.chance(0.25) ? "from then on" : "once";
    let dyingIn = random.chance(0.3) ? 1 + random.below(8) : Number.POSITIVE_INFINITY;
    let failed: string | undefined;
    const hasFailed = (path: string) => {
      this.#figures.failedCalls += 1;
      this.#failed.add(path);
      failed = path;
    };
    port.before = () => {
      if (failed === undefined || dyingIn === Number.POSITIVE_INFINITY || !this.#findMarked().has(failed)) return;
      dyingIn -= 1;
      if (dyingIn === 0) process.kill();
    };
    failing.fail({
      failAt,
      lasts,
      methods: ["syncFile"],
      matches: ({ path }) => path.startsWith(`${storePath}/journal/`),
      onFailedSync: (file) => {
        process.loseWrites(file);
        hasFailed(file.displayPath);
      },
    });
    this.#note({ process }, `its sync ${failAt} fails ${lasts}, and it dies ${dyingIn} calls after the mark`);
  }

  /** Outside of the window: whoever was told of a failed sync has had the time to tell the others. */
  async #everybodyKnows(): Promise<boolean> {
    await this.#advance(50);
    const marked = this.#findMarked();
    const there = this.#machine.dump();
    return [...this.#failed].every((path) => marked.has(path) || !(path in there));
  }

  /**
   * A mark is what a process reads as one, behind a sync that failed since the last power cut. That cut may have left a
   * piece of an older mark behind the end of a segment, or a whole one in a segment that is set aside, and what follows
   * bears the same name. Taken for a mark of the next failed sync, it would let a process die in the window.
   */
  #findMarked(): ReadonlySet<string> {
    const found: { path: string; first: number; records: JournalRecord[] }[] = [];
    for (const [path, text] of Object.entries(this.#machine.dump())) {
      const digits = /\/journal\/(\d{16})\.jsonl$/.exec(path)?.[1];
      if (digits !== undefined) found.push({ path, first: Number(digits), records: recordsOf(text) });
    }
    for (const { path, first, records } of found) {
      if (!this.#failed.has(path)) continue;
      const carriers = found.filter((later) => {
        const [carry] = later.records;
        return carry?.type === "carry" && carry.suspectFrom <= first && first < later.first;
      });
      const isWhole = ({ path: carrier }: { path: string }) => {
        const inode = this.#machine.inodeAt(carrier);
        return inode.kind === "file" && !inode.hasLostWrites;
      };
      if (carriers.some(isWhole)) this.#carried.add(path);
      const last = records.at(-1);
      if (carriers.length > 0 || (last?.type === "seal" && last.reason === "suspect")) this.#marked.add(path);
    }
    return this.#marked;
  }

  #evict(): void {
    this.#findMarked();
    for (const path of this.#carried) {
      const inode = path in this.#machine.dump() ? this.#machine.inodeAt(path) : undefined;
      if (inode?.kind !== "file" || !inode.hasLostWrites) continue;
      this.log.push(`the pages of ${path.slice(-10)} are evicted`);
      const { sizeBytes } = inode.content;
      this.#machine.evictCleanPages(path);
      // While somebody has it open, its size stays in memory, and what is missing reads as zeros.
      if (inode.openCount > 0) inode.content = inode.content.resize(sizeBytes);
    }
  }

  async #commit(by: Process, key: string): Promise<void> {
    await (await this.#beginCommit(by, key))();
  }

  /** Two syncs of one file under way, and reads beside them. */
  async #together(one: Process, other: Process): Promise<void> {
    const first = this.#random.below(keys.length);
    const begun = [
      await this.#beginCommit(one, keys[first] as string),
      await this.#beginCommit(other, keys[(first + 1) % keys.length] as string),
    ];
    if (this.#random.chance(0.5)) {
      await this.#advance(0.2);
      for (const { process, backend } of this.#processes)
        if (!process.isKilled) await backend.read(keys).catch(() => {});
    }
    for (const wait of begun) await wait();
  }

  async #beginCommit(by: Process, key: string): Promise<() => Promise<void>> {
    const value = ++this.#value;
    const kind = this.#random.pick(["put", "put", "patch", "remove"] as const);
    const entry = Object.freeze({ value });
    const isRemoval = kind === "remove";
    const state = isRemoval ? undefined : JSON.stringify(entry);
    let operation: Operation = isRemoval ? remove(key) : put(key, { value });
    let expected: [string, VersionToken | null][] = [];
    const found = kind === "patch" ? (await by.backend.read([key]).catch(() => undefined))?.get(key) : undefined;
    if (found !== undefined) {
      operation = { type: "patch", key, set: entry, unset: [], entry };
      expected = [[key, found.version]];
    }
    if (by.process.isKilled) return async () => {};
    let token: VersionToken | undefined;
    const committing = by.backend.commit(request([operation], expected)).then((result) => {
      if (result.status === "committed") token = result.version;
      return result.status;
    });
    committing.catch(() => {}); // Waited for later.
    return async () => {
      const outcome = await this.#drive(by, `${kind} ${key} = ${value}`, () => committing);
      if (outcome === "outcome_unknown" || outcome === "killed" || outcome === "committed") {
        const possible = this.#possible.get(key) ?? [];
        this.#possible.set(key, [...possible, state]);
      }
      if (outcome === "committed" && by.durability === "commit") await this.#acknowledged(by, token as VersionToken);
    };
  }

  /** P6: with this commit, every one before it. */
  async #acknowledged(by: Process, token: VersionToken): Promise<void> {
    this.#figures.acknowledgements += 1;
    const version = Number.parseInt(token, 10);
    const seen = await by.backend.read(keys).catch(() => undefined);
    for (const [key, session] of seen ?? []) {
      // Of what does not exist nobody can tell since when.
      if (session !== undefined && Number.parseInt(session.version, 10) <= version)
        this.#setDurable(key, stateOf(session));
    }
  }

  async #sync(by: Process, sync: () => Promise<void>): Promise<void> {
    const seen = await by.backend.read(keys).catch(() => undefined);
    if (by.process.isKilled) return;
    const outcome = await this.#drive(by, "sync", sync);
    if (outcome !== "done" || seen === undefined) return;
    this.#figures.acknowledgements += 1;
    for (const key of keys) this.#setDurable(key, stateOf(seen.get(key)));
  }

  async #kill(one: Process): Promise<void> {
    if (!(await this.#everybodyKnows())) return;
    one.process.kill();
    this.#note(one, "is killed");
  }

  async #close(one: Process): Promise<void> {
    if (one.durability === "interval") await this.#sync(one, () => one.backend.close());
    else await this.#drive(one, "close", () => one.backend.close());
    one.process.kill();
  }

  #setDurable(key: string, state: string | undefined): void {
    const { [key]: possible = [] } = Object.fromEntries(this.#possible);
    const at = possible.lastIndexOf(state);
    if (at < 0 && this.#durable.get(key) !== state) {
      throw new Harmed("disagreements", `${key} is read as ${state}, which nobody has written last`);
    }
    this.#durable.set(key, state);
    this.#possible.set(key, possible.slice(at + 1));
  }

  async #cutPower(): Promise<void> {
    if (!(await this.#everybodyKnows())) return;
    const image = this.#machine.powerLoss(this.#random);
    this.log.push("the power is cut");
    await this.#compare(image.fork(), "a power loss");
    if (this.#random.chance(0.4)) return;
    this.#machine = image;
    this.#processes = [];
    this.#failed.clear();
    this.#marked.clear();
    this.#carried.clear();
    await this.#start();
    const [next] = this.#processes as [Process];
    await this.#settle(next.backend.sync());
    const found = await next.backend.read(keys);
    this.#possible.clear();
    for (const key of keys) this.#durable.set(key, stateOf(found.get(key)));
  }

  async #compare(machine: SimulatedMachine, when: string): Promise<void> {
    this.#figures.states += 1;
    const found = await readStore(machine);
    for (const key of keys) {
      const state = found[key] === undefined ? undefined : JSON.stringify(found[key]);
      const possible = [this.#durable.get(key), ...(this.#possible.get(key) ?? [])];
      if (!possible.includes(state)) {
        throw new Harmed("lost", `${key} is ${state} after ${when}; possible is ${possible.join(" or ")}`);
      }
    }
  }

  async #advance(ms: number): Promise<void> {
    this.log.push(`${ms} ms pass`);
    const untilMicros = this.#machine.events.nowMicros + ms * 1000;
    await promisesRun();
    while (this.#runNext(untilMicros)) await promisesRun();
    this.#machine.events.nowMicros = Math.max(this.#machine.events.nowMicros, untilMicros);
  }

  /** What came of a call: its own answer, "done", "killed", or the code of its error. */
  async #drive(by: Process, what: string, call: () => Promise<unknown>): Promise<string> {
    let outcome: string | undefined;
    by.process.onDeath(() => {
      outcome ??= "killed";
    });
    if (by.process.isKilled) return "killed";
    let harm: unknown;
    call().then(
      (answer) => {
        outcome ??= typeof answer === "string" ? answer : "done";
      },
      (error) => {
        outcome ??= error instanceof SessionStoreError ? error.code : "error";
        if (outcome === "error") harm = error;
      },
    );
    for (await promisesRun(); outcome === undefined; await promisesRun()) this.#runNextOf(what);
    if (harm !== undefined && !isDeath(harm)) throw harm;
    this.#note(by, `${what}: ${outcome}`);
    return outcome;
  }

  async #settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (await promisesRun(); !isSettled; await promisesRun()) this.#runNextOf("opening");
    return promise;
  }

  #runNextOf(what: string): void {
    if (!this.#runNext(Number.POSITIVE_INFINITY)) throw new Harmed("hangs", `${what} never ends`);
  }

  #runNext(untilMicros: number): boolean {
    const event = this.#machine.events.take(untilMicros);
    try {
      event?.run();
    } catch (error) {
      if (!isDeath(error)) throw error; // A process that died in the middle of this event.
    }
    return event !== undefined;
  }

  #note({ process }: Pick<StartedStore, "process">, what: string): void {
    this.log.push(`${process.name} ${what}`);
  }
}

/** The valid records from the beginning on, as every process reads them. */
function recordsOf(text: string): JournalRecord[] {
  const bytes = Buffer.from(text);
  const records: JournalRecord[] = [];
  for (let line = findLine(bytes, 0), start = 0; line; line = findLine(bytes, start)) {
    const record = decodeLine(bytes.subarray(start, line.end));
    if (record === undefined) break;
    records.push(record);
    start = line.next;
  }
  return records;
}

function stateOf(session: Versioned | undefined): string | undefined {
  return session && JSON.stringify(session.entry);
}

function isDeath(error: unknown): boolean {
  return (error as Error | undefined)?.constructor?.name === "ProcessKilled";
}

function promisesRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
