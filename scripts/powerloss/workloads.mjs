/**
 * What is done to a store while the disk records. A workload is a plan that both sides compute from the seed: the
 * process that carries it out, and the check that compares what a crash left with what it may have left.
 *
 * A plan has stores, a store has lanes. A lane has sessions of its own and does one step after the other, so after a
 * crash its sessions are as after one certain step. Lanes run at the same time.
 */

import { Random } from "./random.mjs";

/** So small that segments end and are checkpointed and removed all the time. */
const tinyLimits = { segmentBytes: 4_096, segmentRetentionMs: 0, segmentRetentionBytes: 0 };
const lanesPerStore = 3;
const sessionsPerLane = 4;

/** Each kind of step with its weight. */
export const protocols = {
  commit: {
    steps: 30,
    weights: { set: 8, setLarge: 2, patch: 5, transaction: 3, foreignSync: 2, writeBack: 1 },
    openOptions: {},
  },
  checkpoint: {
    steps: 40,
    weights: { set: 8, setLarge: 3, patch: 5, transaction: 3, checkpoint: 4, foreignSync: 2, writeBack: 1 },
    openOptions: { limits: tinyLimits },
  },
  migrate: {
    steps: 4,
    weights: { set: 2, patch: 2, remove: 1, checkpoint: 1 },
    openOptions: { limits: tinyLimits },
    legacyFiles: 6,
  },
  rollback: {
    steps: 6,
    weights: { set: 3, patch: 2, remove: 1, checkpoint: 1 },
    openOptions: { limits: tinyLimits },
    rolledBackStores: 6,
  },
  remove: {
    steps: 45,
    weights: { set: 8, remove: 7, transaction: 2, checkpoint: 3, foreignSync: 2, writeBack: 1 },
    openOptions: { limits: tinyLimits },
  },
  interval: {
    steps: 40,
    weights: {
      set: 8,
      setLarge: 1,
      patch: 5,
      transaction: 3,
      remove: 2,
      checkpoint: 2,
      sync: 3,
      foreignSync: 2,
      writeBack: 1,
    },
    openOptions: { durability: "interval", limits: tinyLimits },
  },
  // Not on the recorded disk, but on one that begins to fail.
  "failing-disk": {
    steps: 60,
    weights: { set: 6, setLarge: 4, patch: 4, remove: 2, transaction: 3, checkpoint: 1 },
    openOptions: { limits: { ...tinyLimits, segmentBytes: 64 * 1024 } },
    lanes: 9,
    isFailing: true,
  },
};

/**
 * `[{ location, openOptions, legacyText?, isRolledBack?, lanes: [{ name, keys, steps, states }] }]`; `location` is relative to the
 * mounted disk, and `states[n]` maps each key to its entry (canonical JSON) after n steps. Step 0 of a legacy file's
 * lane is its migration.
 */
export function planStores(protocol, seed) {
  const random = new Random(`${seed}/${protocol}`);
  const { legacyFiles, rolledBackStores, openOptions, lanes: laneCount = lanesPerStore } = protocols[protocol];
  if (rolledBackStores !== undefined) {
    return Array.from({ length: rolledBackStores }, (_, index) => {
      const lane = planLane(protocol, random, `lane-${index}`, {});
      // Changes no session, and so may have happened or not at any time.
      lane.steps.push({ kind: "rollback" });
      lane.states.push(lane.states.at(-1));
      return { location: `agent-${index}/sessions.json`, openOptions, isRolledBack: true, lanes: [lane] };
    });
  }
  if (legacyFiles === undefined) {
    const lanes = Array.from({ length: laneCount }, (_, index) => planLane(protocol, random, `lane-${index}`, {}));
    return [{ location: "gateway/agents/main/sessions.json", openOptions, lanes }];
  }
  return Array.from({ length: legacyFiles }, (_, index) => {
    const legacy = planLegacy(random, `lane-${index}`);
    return {
      location: `agent-${index}/sessions.json`,
      openOptions,
      legacyText: JSON.stringify(legacy, null, 2),
      lanes: [planLane(protocol, random, `lane-${index}`, legacy)],
    };
  });
}

/** Text that is equal for equal JSON values, whatever the order of their fields. */
export function canonical(value) {
  return JSON.stringify(value, (_, part) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}

function planLegacy(random, lane) {
  const legacy = {};
  for (let index = 0; index < 20 + random.below(40); index += 1) {
    legacy[`agent:${lane}:legacy-${index}`] = { sessionId: `id-${index}`, ballast: "l".repeat(random.below(1_500)) };
  }
  return legacy;
}

function planLane(protocol, random, name, initial) {
  const keys = Array.from({ length: sessionsPerLane }, (_, index) => `agent:${name}:session-${index}`);
  const kinds = Object.entries(protocols[protocol].weights).flatMap(([kind, weight]) => Array(weight).fill(kind));
  let current = new Map(Object.entries(initial));
  const steps = [];
  const states = [asTexts(current)];
  const done = (step) => {
    current = applied(current, step);
    steps.push(step);
    states.push(asTexts(current));
  };
  if (protocols[protocol].legacyFiles !== undefined) done({ kind: "open" });
  for (let left = protocols[protocol].steps; left > 0; left -= 1) {
    done(planStep(random, random.pick(kinds), keys, current, steps.length));
  }
  return { name, keys: [...new Set([...Object.keys(initial), ...keys])], steps, states };
}

function planStep(random, kind, keys, current, number) {
  const key = random.pick(keys);
  const small = () => ({ number, tokens: random.below(1e9), text: "s".repeat(random.below(600)) });
  const there = [...current.keys()];
  switch (kind) {
    case "setLarge":
      return { kind: "set", key, entry: { number, ballast: "b".repeat(4_000 + random.below(60_000)) } };
    case "patch":
      if (there.length === 0) break;
      return {
        kind,
        key: random.pick(there),
        fields: { number, [`field${random.below(3)}`]: "p".repeat(random.below(200)) },
      };
    case "remove":
      if (there.length === 0) break;
      return { kind, key: random.pick(there), purge: random.chance(0.4) };
    case "transaction": {
      const puts = Object.fromEntries(keys.filter(() => random.chance(0.6)).map((each) => [each, small()]));
      const removes = there.filter((each) => !(each in puts) && random.chance(0.3));
      if (Object.keys(puts).length === 0) break;
      return { kind, puts, removes };
    }
    case "checkpoint":
    case "sync":
    case "foreignSync":
    case "writeBack":
      return { kind };
  }
  return { kind: "set", key, entry: small() };
}

function applied(before, step) {
  const after = new Map(before);
  if (step.kind === "set") after.set(step.key, step.entry);
  if (step.kind === "patch") after.set(step.key, { ...after.get(step.key), ...step.fields });
  if (step.kind === "remove") after.delete(step.key);
  if (step.kind === "transaction") {
    for (const [key, entry] of Object.entries(step.puts)) after.set(key, entry);
    for (const key of step.removes) after.delete(key);
  }
  return after;
}

function asTexts(entries) {
  return new Map([...entries].map(([key, entry]) => [key, canonical(entry)]));
}
