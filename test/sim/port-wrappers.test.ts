import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, type Port } from "../../src/fs/port.js";
import { CountingPort } from "./counting-port.js";
import { FailingPort } from "./failing-port.js";
import { SimulatedMachine } from "./machine.js";

const bytes = (text: string) => new TextEncoder().encode(text);

function makeMachine(): SimulatedMachine {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/store");
  return machine;
}

/** Replaces a file: six calls that can fail. */
async function replaceFile(port: Port): Promise<void> {
  const root = port.openRoot("/store");
  try {
    const file = port.open(root, "temp", "create");
    try {
      if (port.append(file, bytes("content")) !== 7) throw new Error("short");
      await port.syncFile(file);
    } finally {
      port.close(file);
    }
    port.rename(root, "temp", root, "final");
    await port.syncDirectory(root);
  } finally {
    port.closeDirectory(root);
  }
}

test("calls, bytes and names are counted, and traced on request", async () => {
  const machine = makeMachine();
  const process = machine.process();
  const port = new CountingPort(process, { trace: true });
  await machine.settle(replaceFile(port));
  assert.equal(port.count(), 8);
  assert.equal(port.count("append"), 1);
  assert.equal(port.count("read"), 0);
  assert.equal(port.counts.bytesAppended, 7);
  assert.equal(port.counts.bytesAppendedTo.get("/store/temp"), 7);
  assert.equal(port.counts.byPath.get("rename /store/final"), 1);
  assert.deepEqual(port.counts.namesOpened, ["temp"]);
  assert.deepEqual(
    port.trace.map((call) => call.method),
    ["openRoot", "open", "append", "syncFile", "close", "rename", "syncDirectory", "closeDirectory"],
  );
  port.reset();
  assert.equal(port.count(), 0);
  const root = port.openRoot("/store");
  assert.equal(process.statName(root, "final")?.sizeBytes, 7, "handles are those of the port below");
});

test("each call in turn fails once, until the operation runs clean; no handle is left", async () => {
  const failed: string[] = [];
  for (let failAt = 1; ; failAt++) {
    const machine = makeMachine();
    const port = new FailingPort(machine.process(), { failAt, code: "EACCES" });
    const error = await machine.settle(replaceFile(port)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.deepEqual(machine.openHandles(), []);
    if (port.failures.length === 0) {
      assert.equal(error, undefined);
      assert.equal(port.callsSeen, failAt - 1);
      break;
    }
    assert.ok(hasCode(error, "EACCES"));
    failed.push(port.failures[0]!.method);
  }
  assert.deepEqual(failed, ["openRoot", "open", "append", "syncFile", "rename", "syncDirectory"]);
});

test("a failure may be limited to methods and paths, and may last", () => {
  const machine = makeMachine();
  const port = new FailingPort(machine.process(), {
    failAt: 2,
    lasts: "from then on",
    methods: ["open"],
    matches: (call) => call.name !== "other",
    code: "EMFILE",
  });
  const root = port.openRoot("/store");
  port.open(root, "a", "create");
  for (const name of ["b", "c"]) {
    assert.throws(
      () => port.open(root, name, "create"),
      (error) => hasCode(error, "EMFILE"),
    );
  }
  port.open(root, "other", "create");
  assert.equal(port.callsSeen, 3);
});

test("appends and reads may be short", () => {
  const machine = makeMachine();
  const port = new FailingPort(machine.process(), { failAt: 1, code: "short" });
  const file = port.open(port.openRoot("/store"), "log", "create");
  assert.equal(port.append(file, bytes("123456")), 3);
  assert.equal(machine.readText("/store/log"), "123");
  port.fail({ failAt: 1, code: "short", methods: ["read"] });
  assert.equal(port.read(file, new Uint8Array(2), 0), 1);
  assert.equal(port.read(file, new Uint8Array(2), 0), 2);
});

test("a failed sync rejects and may lose the bytes for good although the next sync succeeds", async () => {
  const machine = makeMachine();
  const process = machine.process();
  const port = new FailingPort(process, {
    failAt: 1,
    methods: ["syncFile"],
    onFailedSync: (file) => process.loseWrites(file),
  });
  const root = port.openRoot("/store");
  const file = port.open(root, "log", "create");
  await machine.settle(port.syncDirectory(root));
  port.append(file, bytes("gone"));
  await assert.rejects(port.syncFile(file), (error) => hasCode(error, "EIO"));
  await machine.settle(port.syncFile(file));
  assert.equal(machine.readText("/store/log"), "gone");
  assert.equal(machine.snapshotDurable()["/store/log"], "");
});
