/**
 * Many situations, generated: what a dry run says is what the real run does; a dry run touches nothing; and after the
 * real run every content that was there before still is, under whatever name.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type MigrationResult, migrateStore } from "../../../src/migrate/migrate.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { locationOf, openOrTakeOver } from "./support.js";

const home = "/home/agent";
const legacyPath = `${home}/sessions.json`;
const place = `${home}/sessions.d`;
const situations = 300;

const keys = ["main", "Main", " main", "other", "Other", "__proto__", "third", "  ", "a\0b"];

const tooDeep = `${'{"deep":'.repeat(70)}1${"}".repeat(70)}`;

function makeSessions(random: SeededRandom): string {
  const parts: string[] = [];
  for (let count = random.below(6); count > 0; count -= 1) {
    const entry = random.chance(0.85)
      ? JSON.stringify({ updatedAt: random.below(4), n: random.below(3) })
      : random.pick(["null", "[1]", '"text"', tooDeep]);
    parts.push(`${JSON.stringify(random.pick(keys))}:${entry}`);
  }
  return `{${parts.join(",")}}`;
}

function makeLegacyText(random: SeededRandom): string {
  const text = makeSessions(random);
  if (random.chance(0.7)) return text;
  return random.pick([
    `\ufeff${text}`,
    `// JSON5\n${text}`,
    text.slice(0, -1),
    "",
    "[]",
    "{}",
    '{"k":null}',
    "{a:{n:NaN}}",
  ]);
}

function writeOpenClawStore(machine: SimulatedMachine, random: SeededRandom): void {
  machine.makeDirectory(place, { mode: 0o700 });
  const state = random.chance(0.9)
    ? '{"kind":"openclaw-session-store-directory","layoutVersion":1,"version":1,"updatedAt":1}'
    : "{}";
  machine.writeFile(`${place}/state.json`, state);
  machine.makeDirectory(`${place}/entries`, { mode: 0o700 });
  for (let count = random.below(4); count > 0; count -= 1) {
    const key = random.pick(["main", "Main", "other", "third"]);
    const name = `session-${Buffer.from(key).toString("base64url")}.json`;
    const entry = { updatedAt: random.below(4), n: random.below(3) };
    const text = random.pick([
      JSON.stringify({ sessionKey: key, entry }),
      JSON.stringify(entry),
      "{ half",
      '{"sessionKey":"x","entry":{}}',
    ]);
    machine.writeFile(`${place}/entries/${name}`, text);
  }
}

async function prepare(random: SeededRandom): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 1 + random.below(1_000_000) });
  machine.makeDirectory(home);
  const what = random.pick(["nothing", "nothing", "store", "store", "openclaw", "foreign", "empty", "file", "link"]);
  if (what === "store") {
    machine.writeFile(legacyPath, makeSessions(random));
    const outcome = await machine.process().run(async (port) => {
      const backend = await openOrTakeOver(port, locationOf(legacyPath));
      const remove = { type: "remove", key: "main", purge: random.chance(0.3) } as const;
      if (random.chance(0.5)) await backend.commit({ operations: [remove], expected: new Map() });
      await backend.close();
    });
    // What cannot be taken over by an opening is just another legacy file.
    assert.ok(["returned", "failed"].includes(outcome.status));
    const backup = Object.keys(machine.dump()).find((name) => name.includes(".json.bak."));
    if (backup !== undefined && random.chance(0.3)) machine.rename(backup, legacyPath);
  } else if (what === "openclaw") writeOpenClawStore(machine, random);
  else if (what === "foreign") {
    machine.makeDirectory(place);
    machine.writeFile(`${place}/notes.txt`, `notes ${random.below(9)}`);
  } else if (what === "empty") machine.makeDirectory(place);
  else if (what === "file") machine.writeFile(place, "a file");
  else if (what === "link") machine.makeSymlink("elsewhere", place);
  if (random.chance(0.75) && !(what === "store" && machine.exists(legacyPath)))
    machine.writeFile(legacyPath, makeLegacyText(random));
  if (random.chance(0.15)) machine.writeFile(`${home}/sessions.d.rolled-back`, "{}");
  return machine.fork();
}

async function migrate(
  machine: SimulatedMachine,
  options: { dryRun: boolean; force: boolean },
): Promise<MigrationResult> {
  const outcome = await machine.process().run((port) => migrateStore(legacyPath, { port, ...options }));
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  assert.deepEqual(machine.openHandles(), []);
  return outcome.value;
}

/** What a dry run cannot know: the names that were given. */
function prediction({ backupPath: _, displacedPath: __, ...known }: MigrationResult): object {
  return known;
}

/** Contents that belong to somebody, with how often they are there. The store itself may change. */
function contents(machine: SimulatedMachine): Map<string, number> {
  const found = new Map<string, number>();
  const tree = machine.dump();
  const isStore = `${place}/journal/` in tree;
  for (const [name, content] of Object.entries(tree)) {
    if (name.endsWith("/") || name.endsWith(".lock") || (isStore && name.startsWith(`${place}/`))) continue;
    found.set(content, (found.get(content) ?? 0) + 1);
  }
  return found;
}

test("a dry run says what the real run does, touches nothing, and the real run loses nothing", async () => {
  const outcomes = new Map<string, number>();
  for (let seed = 1; seed <= situations; seed += 1) {
    const random = new SeededRandom(seed);
    const machine = await prepare(random);
    const before = machine.dump();
    const kept = contents(machine);
    const force = random.chance(0.3);
    const predicted = await migrate(machine, { dryRun: true, force });
    assert.deepEqual(machine.dump(), before, `seed ${seed}: the dry run`);
    const real = await migrate(machine, { dryRun: false, force });
    assert.deepEqual(prediction(predicted), prediction(real), `seed ${seed}`);
    outcomes.set(real.outcome, (outcomes.get(real.outcome) ?? 0) + 1);
    const after = Object.values(machine.dump());
    for (const [content, count] of kept) {
      const there = after.filter((other) => other === content).length;
      assert.ok(there >= count, `seed ${seed}: ${content.slice(0, 80)} is still there`);
    }
    if (["skipped_empty", "skipped_invalid", "missing", "failed"].includes(real.outcome)) {
      assert.deepEqual(machine.dump(), before, `seed ${seed}: nothing was changed`);
    }
    const again = await migrate(machine, { dryRun: false, force });
    const settled = real.outcome === "migrated" ? "already_directory" : real.outcome;
    assert.equal(again.outcome, settled, `seed ${seed}: a second run has nothing to do`);
  }
  for (const outcome of ["migrated", "already_directory", "skipped_empty", "skipped_invalid", "failed", "missing"]) {
    assert.ok((outcomes.get(outcome) ?? 0) > 3, `${outcome}: ${outcomes.get(outcome)} situations`);
  }
});
