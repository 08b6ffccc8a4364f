/**
 * Fuzzed bytes: honest stores and legacy files, spoilt, opened by the library and by the pure functions, which must
 * agree. Every input has a seed of its own, so that one line replays a failure:
 *
 *     await fuzzBytes({ seed: 4711, inputs: 1 })
 */

import { SeededRandom } from "../sim/random.js";
import { type CaseOutcome, type CorpusCase, replayCase } from "./corpus.js";
import { makeHonestStore } from "./honest-store.js";
import { makeLegacyBytes } from "./legacy.js";
import { byteMutators, documentMutators, lineMutators, type Mutator } from "./mutators.js";
import type { StoreBytes } from "./pure-recovery.js";
import type { Cost } from "./real-recovery.js";

export interface FuzzOptions {
  /** The seed of the first input; each further one has the next seed. */
  readonly seed: number;
  readonly inputs: number;
  /** No input is begun after this. */
  readonly deadline?: () => boolean;
  /** Told of every disagreement, with what `saveCase` can keep for ever. */
  readonly onDisagreement?: (line: string, found: CorpusCase) => void;
}

export interface FuzzCounters {
  inputs: number;
  /** Openings that gave a state, and that were refused with a typed error. */
  states: number;
  refusals: number;
  /** States in which single sessions were reported as damaged. */
  damaged: number;
  legacyTaken: number;
  legacyRefused: number;
  disagreements: number;
  /** One line for each disagreement, with what replays it. */
  failures: string[];
  /** The most that an opening spent of what its input allows, see `boundsOf`: at 1 the input is a disagreement. */
  mostCalls: number;
  mostCpu: number;
  slowestMs: number;
  slowestSeed: number;
}

export async function fuzzBytes(options: FuzzOptions): Promise<FuzzCounters> {
  const counters: FuzzCounters = {
    inputs: 0,
    states: 0,
    refusals: 0,
    damaged: 0,
    legacyTaken: 0,
    legacyRefused: 0,
    disagreements: 0,
    failures: [],
    mostCalls: 0,
    mostCpu: 0,
    slowestMs: 0,
    slowestSeed: options.seed,
  };
  for (let seed = options.seed; seed < options.seed + options.inputs; seed++) {
    if (options.deadline?.()) break;
    const startMs = performance.now();
    const input = makeInput(seed);
    const outcome = await replayCase(input);
    counters.inputs += 1;
    counters[outcome.kind] += 1;
    if (outcome.hasDamage) counters.damaged += 1;
    const problem = outcome.difference ?? findExcess(input, outcome, counters);
    if (problem !== undefined) {
      counters.disagreements += 1;
      const line = `fuzzBytes({ seed: ${seed}, inputs: 1 }) [${input.why}]: ${problem}`;
      counters.failures.push(line);
      options.onDisagreement?.(line, input);
    }
    const tookMs = performance.now() - startMs;
    if (tookMs > counters.slowestMs) Object.assign(counters, { slowestMs: tookMs, slowestSeed: seed });
  }
  return counters;
}

/** What opening a store and reading all of it may take: in proportion to its files and bytes, with much to spare. */
export function boundsOf(store: StoreBytes): Cost {
  const files = [store.manifest, ...store.segments.values(), ...store.entries.values()];
  const bytes = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { calls: 600 + 40 * files.length + bytes / 100, cpuMs: 2_000 + bytes / 20 };
}

function findExcess(input: CorpusCase, { cost }: CaseOutcome, counters: FuzzCounters): string | undefined {
  if (cost === undefined || "legacy" in input) return undefined;
  const bounds = boundsOf(input.store);
  counters.mostCalls = Math.max(counters.mostCalls, cost.calls / bounds.calls);
  counters.mostCpu = Math.max(counters.mostCpu, cost.cpuMs / bounds.cpuMs);
  const isWithin = cost.calls <= bounds.calls && cost.cpuMs <= bounds.cpuMs;
  return isWithin ? undefined : `took ${JSON.stringify(cost)}, allowed are ${JSON.stringify(bounds)}`;
}

/** The input of one seed: what it is, and the bytes. */
export function makeInput(seed: number): CorpusCase {
  const random = new SeededRandom(seed);
  if (random.chance(0.15)) return makeLegacyInput(seed, random);
  const store = makeHonestStore(random).bytes;
  const other = makeHonestStore(random).bytes;
  const why: string[] = [];
  const spoilt = {
    manifest: store.manifest,
    segments: new Map(store.segments),
    entries: new Map(store.entries),
  };
  for (let count = random.pick([1, 1, 1, 2, 3]); count > 0; count--) why.push(spoil(spoilt, other, random));
  const role = random.chance(0.7) ? "writer" : "reader";
  return { why: `seed ${seed}: ${why.join(", ")}`, role, store: spoilt };
}

interface MutableStore {
  manifest: Uint8Array;
  segments: Map<string, Uint8Array>;
  entries: Map<string, Uint8Array>;
}

function spoil(store: MutableStore, other: StoreBytes, random: SeededRandom): string {
  const draw = random.next();
  if (draw < 0.12) {
    const [name, mutate] = pickMutator(random, documentMutators);
    store.manifest = mutate(store.manifest, random, other.manifest);
    return `${name} of the manifest`;
  }
  if (draw < 0.3 && store.entries.size > 0) {
    const file = random.pick([...store.entries.keys()]);
    const [name, mutate] = pickMutator(random, documentMutators);
    store.entries.set(file, mutate(store.entries.get(file)!, random, random.pick([...store.entries.values()])));
    return `${name} of an entry`;
  }
  if (draw < 0.4) return spoilNames(store, other, random);
  const file = random.pick([...store.segments.keys()]);
  const [name, mutate] = pickMutator(random, lineMutators);
  const from = random.pick([...store.segments.values(), ...other.segments.values()]);
  store.segments.set(file, mutate(store.segments.get(file)!, random, from));
  return `${name} of a segment`;
}

/** Files that are missing, doubled or in another's place. */
function spoilNames(store: MutableStore, other: StoreBytes, random: SeededRandom): string {
  const segment = random.pick([...store.segments.keys()]);
  const number = Number(segment.slice(0, 16));
  const anotherName = () => `${String(Math.max(0, number + random.below(9) - 4)).padStart(16, "0")}.jsonl`;
  const entry = random.pick([...store.entries.keys(), "session-YQ.json"]);
  const bytes = store.entries.get(entry) ?? new Uint8Array(0);
  switch (random.below(7)) {
    case 0:
      store.segments.delete(segment);
      if (store.segments.size === 0) store.segments.set(anotherName(), new Uint8Array(0));
      return "a segment is missing";
    case 1:
      store.segments.set(anotherName(), store.segments.get(segment)!);
      return "a segment is copied";
    case 2:
      store.segments.set(random.pick([...other.segments.keys()]), random.pick([...other.segments.values()]));
      return "a segment of another store";
    case 3:
      store.entries.delete(entry);
      return "an entry is missing";
    case 4:
      store.entries.set(random.pick([...store.entries.keys(), "session-YQ.json", "session-.json"]), bytes);
      return "an entry is copied";
    case 5:
      for (const [name, content] of other.entries) store.entries.set(name, content);
      return "entries of another store";
    default:
      store.manifest = other.manifest;
      return "the manifest of another store";
  }
}

function makeLegacyInput(seed: number, random: SeededRandom): CorpusCase {
  let legacy = makeLegacyBytes(random);
  const other = makeLegacyBytes(random);
  const why: string[] = [];
  for (let count = random.pick([1, 1, 2]); count > 0; count--) {
    const [name, mutate] = pickMutator(random, { edit: documentMutators.changeWithoutSealing as Mutator });
    legacy = mutate(legacy, random, other);
    why.push(name);
  }
  return { why: `seed ${seed}: ${why.join(", ")} of a legacy file`, legacy };
}

/** Half of the time one of the special mutators, so that not everything ends at a wrong checksum. */
function pickMutator(random: SeededRandom, special: Readonly<Record<string, Mutator>>): [string, Mutator] {
  return random.pick(Object.entries(random.chance(0.5) ? special : byteMutators));
}
