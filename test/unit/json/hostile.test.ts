/** Files that no store should touch, in every place where the json backend opens one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { kernelLockName } from "../../../src/backends/json/layout.js";
import { defaultLimits } from "../../../src/limits.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { rejectsWith } from "../../support/store-reading.js";
import {
  commitPut,
  home,
  livePath,
  machineWith,
  openJson,
  put,
  readStore,
  request,
  start,
  textOf,
  versionsPath,
} from "./support.js";

const kernelLockPath = `${home}/${kernelLockName("sessions.d")}`;

const makers: Record<string, (machine: SimulatedMachine, path: string) => void> = {
  "a FIFO": (machine, path) => machine.makeFifo(path),
  "a symlink": (machine, path) => {
    machine.writeFile("/home/elsewhere", textOf({ stolen: {} }));
    machine.makeSymlink("/home/elsewhere", path);
  },
  "a file with a hard link elsewhere": (machine, path) => {
    machine.writeFile("/home/elsewhere", textOf({ stolen: {} }));
    machine.makeHardLink("/home/elsewhere", path);
  },
  "a directory": (machine, path) => machine.makeDirectory(path),
  "somebody else's file": (machine, path) =>
    machine.writeFile(path, textOf({ stolen: {} }), { ownerUid: 4242, mode: 0o666 }),
};

for (const [what, make] of Object.entries(makers)) {
  test(`${what} in the place of sessions.json is refused and left alone`, async () => {
    const machine = machineWith(undefined);
    make(machine, livePath);
    const before = machine.dump();
    const error = await rejectsWith("unsafe_path", () => machine.settle(openJson(machine.process())));
    assert.match(error.message, /\/home\/agent\/sessions\.json/);
    assert.deepEqual(machine.dump(), before);
    assert.deepEqual(machine.openHandles(), []);
  });

  test(`${what} that takes the place of sessions.json while it is open stops reads and writes`, async () => {
    const machine = machineWith(textOf({ a: { n: 1 } }));
    const store = await start(machine, "gateway");
    machine.unlink(livePath);
    make(machine, livePath);
    const there = machine.inodeAt(livePath);
    await rejectsWith("unsafe_path", store.backend.read(["a"]));
    await rejectsWith("unsafe_path", () => machine.settle(store.backend.commit(request([put("b", {})]))));
    assert.equal(machine.inodeAt(livePath), there);
    if (machine.exists("/home/elsewhere")) assert.equal(machine.readText("/home/elsewhere"), textOf({ stolen: {} }));
  });

  test(`${what} in the place of the versions file or of the kernel lock is refused`, async () => {
    for (const path of [versionsPath, kernelLockPath]) {
      const machine = machineWith(textOf({ a: { n: 1 } }));
      make(machine, path);
      const there = machine.inodeAt(path);
      const error = await rejectsWith("unsafe_path", () =>
        machine.settle(
          openJson(machine.process(), { lockWaitMs: 100 }).then((backend) => backend.commit(request([put("b", {})]))),
        ),
      );
      assert.ok(error.path?.endsWith(path.slice(home.length)), error.message);
      assert.equal(machine.inodeAt(path), there);
      assert.equal(machine.readText(livePath), textOf({ a: { n: 1 } }));
    }
  });
}

test("a file of more than legacyFileBytes is not read", async () => {
  const machine = machineWith(textOf({ a: { text: "x".repeat(300) } }));
  const limits = { ...defaultLimits, legacyFileBytes: 200 };
  const error = await rejectsWith("limit_exceeded", () => machine.settle(openJson(machine.process(), { limits })));
  assert.match(error.message, /legacyFileBytes/);
});

test("a session under a key of more bytes than the limit (keyBytes) is none, and stays in the file", async () => {
  const file = { a: { n: 1 }, "a-long-key": { n: 2 } };
  const machine = machineWith(textOf(file));
  const limits = { ...defaultLimits, keyBytes: 8 };
  await rejectsWith("entry_damaged", readStore(machine, { limits }));
  const store = await start(machine, "gateway", { limits });
  assert.equal((await store.backend.read(["a-long-key"])).size, 0);
  await commitPut(machine, store, "a", { n: 3 });
  assert.equal(machine.readText(livePath), textOf({ ...file, a: { n: 3 } }));
});

test("an entry of more levels than the limit (nestingLevels) is damaged, the others are not", async () => {
  const machine = machineWith(textOf({ a: { n: 1 }, deep: { x: { y: { z: 1 } } } }));
  const { backend } = await start(machine, "gateway", { limits: { ...defaultLimits, nestingLevels: 2 } });
  assert.deepEqual((await backend.read(["a"])).get("a")?.entry, { n: 1 });
  await rejectsWith("entry_damaged", backend.read(["deep"]));
});

test("a commit that makes more sessions than the limit (sessions) changes nothing; one that makes none is served", async () => {
  const before = textOf({ a: { n: 1 }, b: { n: 1 } });
  const machine = machineWith(before);
  const store = await start(machine, "gateway", { limits: { ...defaultLimits, sessions: 2 } });
  await rejectsWith("limit_exceeded", () =>
    machine.settle(store.backend.commit(request([put("a", { n: 2 }), put("c", { n: 1 })]))),
  );
  assert.equal(machine.readText(livePath), before);
  await commitPut(machine, store, "a", { n: 2 });
});

test("temporary files of a writer that died are swept, those of other programs are not", async () => {
  const machine = machineWith(textOf({}));
  const ours = `${home}/.sessions.json.${"a".repeat(32)}.tmp`;
  const others = [
    `${livePath}.6b3cc6cc-6d1c-4d3b-9a2e-000000000000.tmp`,
    `${home}/.other.json.${"a".repeat(32)}.tmp`,
    `${home}/.${"a".repeat(32)}.tmp`,
  ];
  for (const path of [ours, ...others]) machine.writeFile(path, "x");
  const store = await start(machine, "gateway");
  assert.ok(machine.exists(ours), "not before we hold the locks");
  await commitPut(machine, store, "a", {});
  assert.deepEqual(
    [ours, ...others].map((path) => machine.exists(path)),
    [false, true, true, true],
  );
});
