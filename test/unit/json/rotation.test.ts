/** What a rotation copies, which backups it removes, and which it never touches. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf } from "../../../src/backends/json/watched-file.js";
import { defaultLimits } from "../../../src/limits.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { FailingPort } from "../../sim/failing-port.js";
import { rejectsWith } from "../../support/store-reading.js";
import {
  backupsIn,
  commitPut,
  livePath,
  machineWith,
  openJson,
  put,
  request,
  start,
  textOf,
  versionsPath,
} from "./support.js";

test("a file of exactly rotateBytes is not rotated, one byte more is", async () => {
  const text = textOf({ a: { n: 1 } });
  for (const [rotateBytes, backups] of [
    [text.length, 0],
    [text.length - 1, 1],
  ] as const) {
    const machine = machineWith(text);
    const store = await start(machine, "gateway", { rotateBytes });
    await commitPut(machine, store, "b", { n: 2 });
    assert.equal(backupsIn(machine).length, backups);
    for (const name of backupsIn(machine)) assert.equal(machine.readText(`/home/agent/${name}`), text);
  }
});

test("the three newest backups that rotation made are kept, others are never touched", async () => {
  const machine = machineWith(textOf({}));
  const foreign = ["1", "2", "99999999999999", "note", "5.old"].map((end) => `sessions.json.bak.${end}`);
  for (const name of foreign) machine.writeFile(`/home/agent/${name}`, `precious ${name}`);
  const store = await start(machine, "gateway", { rotateBytes: 0 });
  const texts: string[] = [];
  for (let n = 1; n <= 8; n += 1) {
    texts.push(machine.readText(livePath));
    await commitPut(machine, store, "a", { n });
  }
  const made = backupsIn(machine).filter((name) => !foreign.includes(name));
  assert.deepEqual(made.map((name) => machine.readText(`/home/agent/${name}`)).sort(), texts.slice(-3).sort());
  for (const name of foreign) assert.equal(machine.readText(`/home/agent/${name}`), `precious ${name}`);
});

test("the next process knows which backups rotation made", async () => {
  const machine = machineWith(textOf({}));
  for (let n = 1; n <= 6; n += 1) {
    const store = await start(machine, `process ${n}`, { rotateBytes: 0 });
    await commitPut(machine, store, "a", { n });
    await machine.settle(store.backend.close());
  }
  assert.equal(backupsIn(machine).length, 3);
});

test("a backup of ours with other content than was copied is somebody's and stays", async () => {
  const machine = machineWith(textOf({}));
  const store = await start(machine, "gateway", { rotateBytes: 0 });
  await commitPut(machine, store, "a", { n: 1 });
  const [name] = backupsIn(machine);
  machine.writeFile(`/home/agent/${name}`, "edited by hand");
  for (let n = 2; n <= 7; n += 1) await commitPut(machine, store, "a", { n });
  assert.equal(machine.readText(`/home/agent/${name}`), "edited by hand");
  assert.equal(backupsIn(machine).length, 4);
});

test("a backup never takes a name that is in use", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const store = await start(machine, "gateway", { rotateBytes: 0 });
  // The clock of the simulated machine moves by microseconds: every name that the rotation may try first is taken.
  const nowMs = Math.floor(machine.nowMs);
  for (let ms = nowMs; ms < nowMs + 500; ms += 1) machine.writeFile(`${livePath}.bak.${ms}`, "taken");
  await commitPut(machine, store, "b", { n: 2 });
  const contents = backupsIn(machine).map((name) => machine.readText(`/home/agent/${name}`));
  assert.equal(contents.filter((content) => content === "taken").length, 500);
  assert.equal(contents.length, 501);
});

test("a name that somebody gives to another file while the copy is made is not replaced", async () => {
  const before = textOf({ a: { n: 1 } });
  const machine = machineWith(before);
  const port = new HookedPort(machine.process("gateway"));
  const backend = await machine.settle(openJson(port, { rotateBytes: 0 }));
  let taken = 0;
  port.before = ({ method, path }) => {
    if (method !== "syncFile" || !path.includes(".tmp") || taken > 0) return;
    const nowMs = Math.floor(machine.nowMs);
    for (let ms = nowMs - 50; ms < nowMs + 50; ms += 1, taken += 1) machine.writeFile(`${livePath}.bak.${ms}`, "taken");
  };
  await machine.settle(backend.commit(request([put("b", { n: 2 })])));
  const contents = backupsIn(machine).map((name) => machine.readText(`/home/agent/${name}`));
  assert.deepEqual(
    contents.filter((content) => content !== "taken"),
    [before],
  );
  assert.equal(contents.length, taken + 1);
});

// Fails without the checksum in `#planBackup`: the file looks unchanged when the save looks again.
test("a copy is of what is replaced, also when another program writes something else and puts it back", async () => {
  const before = textOf({ a: { n: 1 } });
  const machine = machineWith(before);
  const port = new HookedPort(machine.process("gateway"));
  const backend = await machine.settle(openJson(port, { rotateBytes: 0 }));
  await machine.advance(10_000);
  await backend.read(["a"]);
  let edits = 0;
  port.before = ({ method, path }) => {
    const isForCopy = method === "open" && path === livePath;
    if (isForCopy && edits === 0) {
      edits += 1;
      machine.writeFile(livePath, textOf({ a: { n: 7 } }));
      // Before it is read again, at the latest before the look that comes before the renames.
    } else if (edits === 1 && (isForCopy || method === "syncFile")) {
      edits += 1;
      machine.writeFile(livePath, before);
    }
  };
  await machine.settle(backend.commit(request([put("b", { n: 2 })])));
  assert.equal(edits, 2);
  assert.deepEqual(
    backupsIn(machine).map((name) => machine.readText(`/home/agent/${name}`)),
    [before],
  );
  const { backups } = JSON.parse(machine.readText(versionsPath)) as { backups: { name: string; checksum: string }[] };
  for (const { name, checksum } of backups) {
    assert.equal(checksumOf(machine.readFile(`/home/agent/${name}`)), checksum, "the copy is what its record says");
  }
});

test("a backup that is larger than the limit (legacyFileBytes) is not read, and stays", async () => {
  const machine = machineWith(textOf({ a: { text: "x".repeat(1_000) } }));
  const before = await start(machine, "before", { rotateBytes: 0 });
  await commitPut(machine, before, "a", { n: 0 });
  await machine.settle(before.backend.close());
  const [large] = backupsIn(machine);
  const store = await start(machine, "gateway", {
    rotateBytes: 0,
    limits: { ...defaultLimits, legacyFileBytes: 500 },
  });
  for (let n = 1; n <= 5; n += 1) await commitPut(machine, store, "a", { n });
  assert.equal(backupsIn(machine).length, 4);
  assert.ok(backupsIn(machine).includes(large as string));
});

test("a save that fails at any call changes nothing, says so, and leaves nothing behind", async () => {
  const before = textOf({ a: { n: 1 } });
  let failed = 0;
  for (let failAt = 1; ; failAt += 1) {
    const machine = machineWith(before);
    const process = machine.process();
    const port = new FailingPort(process, {
      failAt,
      code: "ENOSPC",
      methods: ["open", "append", "syncFile", "rename", "setMode"],
    });
    const outcome = await machine.settle(
      (async () => {
        const backend = await openJson(port, { rotateBytes: 0 });
        return backend.commit(request([put("b", { n: 2 })]));
      })().then(
        () => "committed" as const,
        (error: unknown) => error,
      ),
    );
    if (port.failures.length === 0) {
      assert.equal(outcome, "committed");
      break;
    }
    failed += 1;
    await rejectsWith("disk_full", Promise.reject(outcome));
    assert.equal(machine.readText(livePath), before, `call ${failAt}`);
    assert.deepEqual(machine.heldLocks(), []);
    assert.ok(!machine.exists(`${livePath}.lock`), `call ${failAt}`);
    assert.ok(!Object.keys(machine.dump()).some((name) => name.endsWith(".tmp")), `call ${failAt}`);
  }
  assert.ok(failed > 8, `${failed} calls failed`);
});

test("a failed sync of the directory leaves the outcome unknown, and the error carries the version", async () => {
  const machine = machineWith(textOf({}));
  const process = machine.process();
  // The first one belongs to the opening: whoever made the directory may have died before its name was durable.
  const port = new FailingPort(process, { failAt: 2, methods: ["syncDirectory"] });
  const backend = await machine.settle(openJson(port));
  const error = await rejectsWith("outcome_unknown", () =>
    machine.settle(backend.commit(request([put("a", { n: 1 })]))),
  );
  assert.equal((await backend.read(["a"])).get("a")?.version, error.version);
});
