/** A rollback and a forced migration change no entry, whatever it holds and whatever it is called. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FrozenEntry } from "../../../src/contract.js";
import { defaultLimits } from "../../../src/limits.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { jsonEqual } from "../../../src/sessions/json-equal.js";
import { normalizeKey } from "../../../src/sessions/keys.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { legacyPath, location, namesIn } from "./rollback-support.js";
import { openOrTakeOver } from "./support.js";

/** Any code units, lone surrogates among them. */
const oddText = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0x2ff }), fc.integer({ min: 0xd7f0, max: 0xffff })), { maxLength: 12 })
  .map((units) => String.fromCharCode(...units));
const oddNumber = fc.constantFrom(0, -0, 1e21, -1e21, 1e-7, 5e-324, Number.MAX_VALUE, 2 ** 53 + 2, 0.1);
const name = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toJSON", "hasOwnProperty", "", "0", "updatedAt", "\u2028", "\n"),
  oddText,
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    oddText,
    oddNumber,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie("value")), { maxLength: 4 }).map((fields) => Object.fromEntries(fields)),
  ),
}));
const entry = fc
  .array(fc.tuple(name, value), { maxLength: 5 })
  .map((fields) => freezeParsedJson(Object.fromEntries(fields) as FrozenEntry, defaultLimits.nestingLevels));
const key = fc
  .oneof(
    fc.constantFrom("__proto__", "constructor", "agent:main:main", "../../etc/passwd", "a/b", "🦞", "7", "toString"),
    oddText,
    fc.integer({ min: 100, max: 512 }).map((length) => "k".repeat(length)),
  )
  .map((text) => {
    try {
      return normalizeKey(text, "openclaw", defaultLimits.keyBytes);
    } catch {
      return "valid"; // No store has such a key.
    }
  });
const sessions = fc.array(fc.tuple(key, entry), { maxLength: 8 }).map((pairs) => new Map(pairs));

interface Found {
  readonly entry: FrozenEntry;
  readonly version: string;
}

async function returned<Value>(outcome: Promise<{ status: string; value?: Value; error?: unknown }>): Promise<Value> {
  const { status, value: result, error } = await outcome;
  if (status !== "returned") throw error ?? new Error(status);
  return result as Value;
}

async function readAll(machine: SimulatedMachine): Promise<Map<string, Found>> {
  return returned(
    machine.process("reader").run(async (port) => {
      const backend = await openOrTakeOver(port, location);
      const found = new Map<string, Found>();
      for await (const { key: name, entry: content, version } of await backend.scan())
        found.set(name, { entry: content, version });
      await backend.close();
      return found;
    }),
  );
}

/** A store with these sessions: the first half in entry files, the others in the journal only. */
async function machineWith(content: ReadonlyMap<string, FrozenEntry>): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 8 });
  machine.makeDirectory("/home/agent");
  await returned(
    machine.process("writer").run(async (port) => {
      const backend = await openOrTakeOver(port, location);
      for (const [index, [name, value]] of [...content].entries()) {
        await backend.commit({ operations: [{ type: "put", key: name, entry: value }], expected: new Map() });
        if (index === content.size >> 1) await backend.checkpoint();
      }
    }),
  );
  return machine.fork();
}

test("a rollback and a forced migration change no entry, and no version is ever used again", async () => {
  await fc.assert(
    fc.asyncProperty(sessions, async (content) => {
      const machine = await machineWith(content);
      const before = await readAll(machine);
      const rolled = await returned(machine.process().run((port) => rollbackStore(legacyPath, { port })));
      assert.deepEqual([rolled.outcome, rolled.sessions], ["restored", content.size], JSON.stringify(rolled));
      const plain = JSON.parse(machine.readText(legacyPath)) as Record<string, unknown>;
      assert.equal(Object.keys(plain).length, content.size);
      for (const [name, value] of content)
        assert.ok(jsonEqual(Object.getOwnPropertyDescriptor(plain, name)?.value, value));
      const migrated = await returned(machine.process().run((port) => migrateStore(legacyPath, { force: true, port })));
      const expected = content.size === 0 ? "skipped_empty" : "migrated";
      assert.equal(migrated.outcome, expected, JSON.stringify(migrated));
      if (content.size === 0) return;
      assert.ok(!namesIn(machine).includes("sessions.d.rolled-back"), "the marker was set aside");
      const after = await readAll(machine);
      assert.deepEqual([...after.keys()].sort(), [...content.keys()].sort());
      for (const [name, value] of content) {
        assert.ok(jsonEqual(after.get(name)?.entry, value), JSON.stringify(name));
        assert.notEqual(after.get(name)?.version, before.get(name)?.version);
      }
    }),
    { numRuns: 60 },
  );
});

test("a version or cursor from before a rollback fits nothing in the store that is migrated again", async () => {
  const content = new Map([["main", freezeParsedJson({ n: 1 }, 64)]]);
  const machine = await machineWith(content);
  const old = (await readAll(machine)).get("main")?.version as string;
  await returned(machine.process().run((port) => rollbackStore(legacyPath, { port })));
  await returned(machine.process().run((port) => migrateStore(legacyPath, { force: true, port })));
  await returned(
    machine.process().run(async (port) => {
      const backend = await openOrTakeOver(port, location);
      const operations = [{ type: "put", key: "main", entry: freezeParsedJson({ n: 2 }, 64) }] as const;
      const stale = await backend.commit({ operations, expected: new Map([["main", old]]) });
      assert.equal(stale.status, "conflict");
      const feed = backend.changes(`c${old}`)[Symbol.asyncIterator]();
      assert.equal((await feed.next()).value?.type, "reset");
      await feed.return?.(undefined);
      await backend.close();
    }),
  );
});
