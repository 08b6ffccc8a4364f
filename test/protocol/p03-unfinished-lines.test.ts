/** P3: what a reader makes of the end of the journal, and who may cut it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import {
  commitPut,
  filesIn,
  makeMachine,
  put,
  readStore,
  readValue,
  request,
  segmentPath,
  start,
} from "./simulated-store.js";

/** The line that the next commit of this value would append, as told by a copy of the machine. */
async function nextLine(machine: SimulatedMachine, key: string, value: unknown): Promise<string> {
  const copy = machine.fork();
  const before = copy.readText(segmentPath(1)).length;
  await commitPut(copy, await start(copy, "oracle"), key, value);
  return copy.readText(segmentPath(1)).slice(before);
}

// Fails when `View.follow` compares the size with the last one it saw instead of the end of the last valid record, and
// when it counts the bytes of an unfinished line as read.
test("P3: an unfinished line is neither applied nor counted, and the record that replaces it is seen", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  const reader = await start(machine, "reader", { readOnly: true });
  await commitPut(machine, writer, "a", 1);
  const intact = machine.readText(segmentPath(1));
  const line = await nextLine(machine, "a", 2);
  // As long as the record that will take its place, so that the size alone says nothing.
  const unfinished = line.replace(/.$/s, "x").replace('"value":2', '"value":9');
  machine.writeFile(segmentPath(1), intact + unfinished);
  assert.equal(await readValue(reader, "a"), 1);
  assert.equal(machine.readText(segmentPath(1)), intact + unfinished, "a reader cuts nothing");

  await commitPut(machine, writer, "a", 2);
  assert.equal(machine.readText(segmentPath(1)).length, intact.length + unfinished.length);
  assert.equal(await readValue(reader, "a"), 2);
});

// Fails when `findLine` takes the end of the bytes for the end of a line.
test("P3: a whole record without its newline is no record", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader", { readOnly: true });
  const line = await nextLine(machine, "a", "never acknowledged");
  machine.writeFile(segmentPath(1), line.slice(0, -1));
  assert.equal(await readValue(reader, "a"), undefined);
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "b", 1);
  assert.equal(await readValue(reader, "a"), undefined);
  assert.deepEqual(await readStore(machine.fork()), { b: { value: 1 } });
});

// Fails without `cutTail` in recover.ts: the record that follows lies on the unfinished line.
test("P3: a writer killed in the middle of its append costs that commit and nothing else", async () => {
  for (let attempt = 1; attempt <= 20; attempt++) {
    const machine = await makeMachine({ seed: attempt });
    const survivor = await start(machine, "survivor");
    const victim = await start(machine, "victim");
    await commitPut(machine, victim, "a", 1);
    victim.port.before = (call) => {
      if (call.method === "append") victim.process.crashAfter(1, { tear: true });
    };
    victim.backend.commit(request([put("a", { value: 2 }), put("b", { value: 2 })])).catch(() => {});
    assert.ok(victim.process.isKilled);
    await commitPut(machine, survivor, "c", 3);
    assert.equal(await readValue(survivor, "a"), 1);
    assert.deepEqual(await readStore(machine), { a: { value: 1 }, c: { value: 3 } });
  }
});

// Fails when `decodeLine` calls a record of unknown shape invalid instead of newer: it is then cut off.
test("P3: an intact record of an unknown kind is a newer format, never a torn tail", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", 1);
  const { checksumOf } = await import("../../src/backends/directory/checksum.js");
  const body = '{"hyperlink":1,"time":1700000000000,"writer":"ab","durable":0';
  const line = `${body},"checksum":"${checksumOf(Buffer.from(body))}"}\n`;
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)) + line);
  const before = filesIn(machine, "journal");
  await assert.rejects(machine.settle(writer.backend.commit(request([put("b", { value: 1 })]))), {
    code: "unsupported_layout",
  });
  await assert.rejects(start(machine, "opener"), { code: "unsupported_layout" });
  assert.deepEqual(filesIn(machine, "journal"), before);
});
