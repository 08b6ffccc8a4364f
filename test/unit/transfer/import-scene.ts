/**
 * A bundle to be imported into a store that has sessions of its own, in several commits, to be crashed anywhere, and what
 * must hold afterwards.
 */

import assert from "node:assert/strict";
import type { Port } from "../../../src/fs/port.js";
import { exportSessions } from "../../../src/transfer/export.js";
import { importSessions } from "../../../src/transfer/import.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { readAt, run } from "./restore-scene.js";
import { makeStore } from "./support.js";

const folder = "/home/agent";
const bundle = "/home/bundles/main.jsonl";
const location = `${folder}/sessions.d`;
/** So small that every session is a commit of its own. */
const store = { location, limits: { recordBytes: 1_024 } };

const filler = "x".repeat(150);
const own = {
  mine: { n: 1 },
  same: { updatedAt: 1, filler },
  b: { updatedAt: 1, v: "own" },
  d: { updatedAt: 9, v: "own" },
};
const brought = {
  a: { updatedAt: 2, filler },
  b: { updatedAt: 2, filler },
  c: { updatedAt: 2, filler },
  d: { updatedAt: 2, filler },
  same: { updatedAt: 1, filler },
};
/** Newer ones win. */
const after: Record<string, unknown> = { ...own, a: brought.a, b: brought.b, c: brought.c };
/** A machine with a bundle, and - unless it is to be imported where nothing is - a store. */
export async function prepareImport(fileSystem: "ordered" | "weak", withStore: boolean): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 6, fileSystem });
  for (const path of [folder, "/home/other", "/home/bundles"]) machine.makeDirectory(path);
  await run(machine, async (port) => {
    await makeStore("/home/other/sessions.d", brought, port);
    await exportSessions("/home/other/sessions.d", bundle, { port });
  });
  if (withStore) await run(machine, (port) => makeStore(location, own, port));
  machine.syncAll();
  return machine;
}

export const importBundle = (port: Port) => importSessions(bundle, store, { onConflict: "newer", port });

/** In its order, without its header and its trailer. */
function keysOfBundle(machine: SimulatedMachine): string[] {
  const lines = machine.readText(bundle).trimEnd().split("\n").slice(1, -1);
  return lines.map((line) => (JSON.parse(line) as { key: string }).key);
}

/** Each session is as it was or as it is brought, one after the other; importing once more brings the rest. */
export async function checkImported(machine: SimulatedMachine, what: string, withStore: boolean): Promise<void> {
  const before: Record<string, unknown> = withStore ? own : {};
  const end: Record<string, unknown> = withStore ? after : brought;
  const isThere = machine.exists(location);
  assert.ok(isThere || !withStore, `${what}: the store is there`);
  if (isThere) {
    const found = Object.fromEntries(JSON.parse(await readAt(machine, location))) as Record<string, string>;
    const order = keysOfBundle(machine).filter((key) => JSON.stringify(end[key]) !== JSON.stringify(before[key]));
    const done = order.filter((key) => found[key] === JSON.stringify(end[key]));
    assert.deepEqual(done, order.slice(0, done.length), `${what}: one after the other`);
    for (const key of new Set([...Object.keys(before), ...Object.keys(end)])) {
      const expected = done.includes(key) ? end[key] : before[key];
      assert.equal(found[key], expected === undefined ? undefined : JSON.stringify(expected), `${what}: ${key}`);
    }
  }
  const result = await run(machine, (port) => {
    port.randomBytes(16);
    return importBundle(port);
  });
  assert.equal(result.outcome, "complete", what);
  const all = JSON.stringify(
    Object.entries(end)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, entry]) => [key, JSON.stringify(entry)]),
  );
  assert.equal(await readAt(machine, location), all, what);
  assert.deepEqual(machine.openHandles(), [], what);
  assert.deepEqual(machine.misuses, [], what);
}
