/** What must hold wherever a rollback of `machineToRollBack` was interrupted. */

import assert from "node:assert/strict";
import type { SimulatedMachine } from "../../sim/machine.js";
import { outwaitUnnamedLock } from "./left-locks.js";
import { commit, expectedText, inOrder, location, namesIn, plainRead, put, rollBackOn } from "./rollback-support.js";
import { openAndReadAll, openOrTakeOver } from "./support.js";

export async function checkRollback(machine: SimulatedMachine, what: string): Promise<void> {
  const names = namesIn(machine);
  const hasFile = names.includes("sessions.json");
  assert.ok(hasFile || names.includes("sessions.d"), `${what}: there is no moment without a store: ${names}`);
  // As soon as a program that knows only the file sees one, it sees every session.
  if (hasFile) assert.equal(plainRead(machine), expectedText, what);
  const originals = names.filter((name) => name.startsWith("sessions.json.bak."));
  assert.equal(originals.length, 1, `${what}: the original of the migration is untouched: ${names}`);

  // The next opener finds every session and can write; what it writes is in the one store that counts.
  await outwaitUnnamedLock(machine);
  const opened = machine.fork();
  const outcome = await opened.process("next").run(async (port) => {
    const found = await openAndReadAll(port, location);
    const backend = await openOrTakeOver(port, location);
    await commit(backend, put("after", { n: 5 }));
    await backend.close();
    return found;
  });
  if (outcome.status === "failed") throw new Error(what, { cause: outcome.error });
  assert.ok(outcome.status === "returned", what);
  assert.equal(inOrder(outcome.value), expectedText, what);
  assert.deepEqual(opened.openHandles(), [], `${what}: everything is closed`);
  const left = namesIn(opened);
  assert.ok(
    !left.some((name) => name.endsWith(".tmp") && name.includes("rollback-")),
    `${what}: nothing is left over: ${left}`,
  );

  // Whoever asks again for the rollback gets it, with what was written since.
  const again = machine.fork();
  const result = await rollBackOn(again);
  assert.ok(
    result.outcome === "restored" || result.reason === "it was rolled back already",
    `${what}: ${JSON.stringify(result)}`,
  );
  assert.equal(plainRead(again), expectedText, what);
  const after = namesIn(again);
  assert.ok(!after.includes("sessions.d") && after.includes("sessions.d.rolled-back"), `${what}: ${after}`);
  assert.equal(after.filter((name) => name.startsWith("sessions.d.bak.")).length, 1, `${what}: ${after}`);
  assert.ok(!after.some((name) => name.endsWith(".tmp")), `${what}: nothing is left over: ${after}`);
  assert.deepEqual(again.misuses, [], what);
}
