/** Rotating a legacy store file: a copy, never a move; and only its own copies are ever removed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import { rotateSessionFile } from "../../../src/openclaw/rotate.js";
import { FailingPort } from "../../sim/failing-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix paths";
const storePath = "/d/sessions.json";

function makeMachine(content = "x".repeat(3_000_000)): SimulatedMachine {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/d");
  if (content !== "") machine.writeFile(storePath, content);
  return machine;
}

async function rotate(machine: SimulatedMachine, bytes = 100): Promise<boolean> {
  const port = machine.process();
  setAmbientPort(port);
  try {
    const rotated = await machine.settle(rotateSessionFile(storePath, bytes));
    assert.deepEqual(port.openHandles(), []);
    return rotated;
  } finally {
    setAmbientPort(undefined);
  }
}

const backupsOf = (machine: SimulatedMachine) =>
  Object.keys(machine.dump()).filter((name) => name.startsWith(`${storePath}.bak.`));

test("a file that is larger is copied to .bak.<ms>, and stays", { skip }, async () => {
  const machine = makeMachine();
  const { nowMs } = machine;
  assert.equal(await rotate(machine), true);
  const [backup] = backupsOf(machine);
  assert.ok(Number(backup!.slice(`${storePath}.bak.`.length)) >= nowMs);
  assert.equal(machine.readText(backup!), machine.readText(storePath));
  assert.ok(!Object.keys(machine.dump()).some((name) => name.endsWith(".tmp")));
});

test("a missing file, a small one, and what is no file are not rotated", { skip }, async () => {
  assert.equal(await rotate(makeMachine("")), false);
  const small = makeMachine("x".repeat(100));
  assert.equal(await rotate(small, 100), false);
  assert.equal(await rotate(small, 99), true);
  const link = makeMachine("");
  link.writeFile("/d/other", "x".repeat(500));
  link.makeSymlink("other", storePath);
  assert.equal(await rotate(link), false);
});

test("the three newest backups of rotations are kept, and those of other origin are never touched", {
  skip,
}, async () => {
  const machine = makeMachine("x".repeat(500));
  machine.writeFile(`${storePath}.bak.1`, "by a migration");
  for (let round = 0; round < 5; round += 1) {
    machine.writeFile(storePath, `${"x".repeat(500)}${round}`);
    assert.equal(await rotate(machine), true);
    await machine.advance(10);
  }
  const backups = backupsOf(machine);
  assert.equal(backups.length, 4);
  assert.equal(machine.readText(`${storePath}.bak.1`), "by a migration");
  const rounds = backups.map((name) => machine.readText(name).at(-1)).sort();
  assert.deepEqual(rounds, ["2", "3", "4", "n"]);
});

test("a backup that was changed since it was made is not removed", { skip }, async () => {
  const machine = makeMachine("x".repeat(500));
  await rotate(machine);
  const [first] = backupsOf(machine);
  machine.writeFile(first!, "restored by hand, and not as long as it was");
  for (let round = 0; round < 4; round += 1) {
    await machine.advance(10);
    assert.equal(await rotate(machine), true);
  }
  assert.equal(backupsOf(machine).length, 4);
  assert.ok(machine.exists(first!));
});

test("a forged or broken record removes nothing", { skip }, async () => {
  const others = ["one.json", "two.json", "sessions.json.bak.x"];
  const names = ["sessions.json", ...others];
  const forged = {
    kind: "sessiondir-rotations",
    backups: [...names.map((name) => ({ name, sizeBytes: 500 })), null, {}],
  };
  for (const record of [JSON.stringify(forged), "{", "null", '{"kind":"sessiondir-rotations","backups":5}']) {
    const machine = makeMachine("x".repeat(500));
    for (const other of others) machine.writeFile(`/d/${other}`, "x".repeat(500));
    for (let round = 0; round < 4; round += 1) {
      machine.writeFile(`${storePath}.rotations`, record);
      await machine.advance(10);
      assert.equal(await rotate(machine), true);
    }
    assert.equal(backupsOf(machine).length, 5, record);
    for (const name of ["sessions.json", ...others]) assert.ok(machine.exists(`/d/${name}`), `${name} ${record}`);
  }
});

test("a copy that fails gives false, and leaves the store as it was", { skip }, async () => {
  for (let failAt = 1; failAt < 40; failAt += 1) {
    const machine = makeMachine("x".repeat(500));
    const port = new FailingPort(machine.process(), { failAt, code: "ENOSPC" });
    setAmbientPort(port);
    const rotated = await machine.settle(rotateSessionFile(storePath, 100));
    setAmbientPort(undefined);
    assert.equal(machine.readText(storePath), "x".repeat(500), `call ${failAt}`);
    for (const backup of backupsOf(machine)) assert.equal(machine.readText(backup), "x".repeat(500), `call ${failAt}`);
    if (port.failures.length === 0) {
      assert.equal(rotated, true);
      return;
    }
    if (rotated) assert.equal(backupsOf(machine).length, 1, `call ${failAt}`);
  }
  assert.fail("it never ran clean");
});

test("a crash at any call leaves the sessions in the store file, and no half backup under a backup's name", {
  skip,
}, async () => {
  for (let call = 1; call < 60; call += 1) {
    const machine = makeMachine("x".repeat(500));
    const process_ = machine.process();
    process_.crashAfter(call, { tear: true });
    setAmbientPort(process_);
    const outcome = await process_.run(() => rotateSessionFile(storePath, 100));
    setAmbientPort(undefined);
    assert.equal(machine.readText(storePath), "x".repeat(500), `call ${call}`);
    for (const backup of backupsOf(machine)) assert.equal(machine.readText(backup), "x".repeat(500), `call ${call}`);
    if (outcome.status === "returned") return;
  }
  assert.fail("it never ran clean");
});

// Fails without the sync of the copy, and without the sync of the folder.
test("a copy is on the disk when the rotation says so, and under its name only when it is whole", {
  skip,
}, async () => {
  const text = "x".repeat(500);
  const machine = new SimulatedMachine({ fileSystem: "weak" });
  machine.makeDirectory("/d");
  machine.writeFile(storePath, text);
  assert.equal(await rotate(machine), true);
  let images = 0;
  for (const image of machine.powerLossImages(50)) {
    assert.deepEqual(
      backupsOf(image).map((name) => image.readText(name)),
      [text],
    );
    images += 1;
  }
  assert.ok(images > 1, "nothing was pending: the record of the rotations is not synced");
});
