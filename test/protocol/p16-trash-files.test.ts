/** P16: files in the trash are trusted no more than entry files, and what is thrown away is gone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionStore } from "../../src/api.js";
import { sealText } from "../../src/backends/directory/checksum.js";
import type { Port } from "../../src/fs/port.js";
import { fixedLimits } from "../../src/limits.js";
import { createSessionStore } from "../../src/store.js";
import { FailingPort } from "../sim/failing-port.js";
import { InterceptedPort, type PortCall } from "../sim/intercepted-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { filesIn, loseEverythingPending, makeMachine, openStore, storePath } from "./simulated-store.js";

type Store = SessionStore<Record<string, unknown>>;

async function openPublic(port: Port, readOnly = false): Promise<Store> {
  const limits = { segmentRetentionMs: 0, segmentRetentionBytes: 0 };
  return createSessionStore(await openStore(port, { readOnly, limits }), { clock: port });
}

async function run<T>(machine: SimulatedMachine, work: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(work);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

async function keysInTrash(port: Port): Promise<string[]> {
  const store = await openPublic(port, true);
  const keys: string[] = [];
  for await (const { key } of store.trash()) keys.push(key);
  await store.close();
  return keys;
}

/** A closed store whose trash holds one removed session; the path of its file. */
async function withTrash(text = "old"): Promise<{ machine: SimulatedMachine; path: string }> {
  const machine = await makeMachine();
  await run(machine, async (port) => {
    const store = await openPublic(port);
    await store.update("a", () => ({ text }));
    await store.remove("a");
    await store.close();
  });
  const [name] = [...filesIn(machine, "trash").keys()];
  return { machine, path: `${storePath}/trash/${name}` };
}

test("a file in the trash that is a link is not followed", async () => {
  const { machine, path } = await withTrash();
  machine.rename(path, "/home/agent/elsewhere");
  machine.makeSymlink("/home/agent/elsewhere", path);
  assert.deepEqual(await run(machine, keysInTrash), []);
});

test("a file in the trash with a second name elsewhere is not read", async () => {
  const { machine, path } = await withTrash();
  machine.makeHardLink(path, "/home/agent/elsewhere");
  assert.deepEqual(await run(machine, keysInTrash), []);
});

class OversizePort extends InterceptedPort {
  protected override intercept<T>({ method, path }: PortCall, proceed: () => T): T {
    const found = proceed();
    if (method !== "stat" || !path.includes("/trash/")) return found;
    return { ...found, sizeBytes: fixedLimits.entryFileBytesMax + 1 };
  }
}

test("a file in the trash above the limit of entry files is not read", async () => {
  const { machine } = await withTrash();
  assert.deepEqual(await run(machine, (port) => keysInTrash(new OversizePort(port))), []);
  assert.deepEqual(await run(machine, keysInTrash), ["a"]);
});

test("a file in the trash that is no UTF-8 is not repaired in reading, although its checksum would fit then", async () => {
  const { machine, path } = await withTrash("\ufffd");
  const bytes = Buffer.from(machine.readFile(path));
  const at = bytes.indexOf(Buffer.from("\ufffd", "utf8"));
  machine.writeFile(path, Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)]));
  assert.deepEqual(await run(machine, keysInTrash), []);
});

test("a file in the trash that is nested deeper than any limit is not served", async () => {
  const { machine, path } = await withTrash();
  const deep = `${'{"a":'.repeat(300)}1${"}".repeat(300)}`;
  const text = machine.readText(path).replace('"old"', deep);
  machine.writeFile(path, sealText(text.replace(/"checksum": "[0-9a-f]{8}"/, '"checksum": "00000000"')));
  assert.deepEqual(await run(machine, keysInTrash), []);
});

// Fails when every error of the system is taken for damage: the list would be short, and nobody would know.
test("when there is no descriptor left, the trash is not listed as if it were empty", async () => {
  const { machine } = await withTrash();
  const matches = ({ path }: PortCall) => path.includes("/trash/session") || /\/trash\/\d/.test(path);
  const failing = (port: Port) => new FailingPort(port, { failAt: 1, code: "EMFILE", methods: ["open"], matches });
  await assert.rejects(run(machine, (port) => keysInTrash(failing(port))));
});

// Fails without the sync of trash/ in `unlinkTrash`.
test("what was thrown away does not come back when the power fails", async () => {
  const { machine } = await withTrash();
  await run(machine, async (port) => {
    const store = await openPublic(port);
    assert.equal(await store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY }), 1);
    assert.deepEqual([...filesIn(loseEverythingPending(machine), "trash").keys()], []);
    await store.close();
  });
});

// Fails when a segment that is gone is not looked for again: it was checkpointed, and its removals are files now.
test("a segment that is unlinked while the trash is listed costs no removal", async () => {
  const machine = await makeMachine();
  await machine.process("victim").run(async (port) => {
    const store = await openPublic(port);
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
  });
  let opened = 0;
  let isListing = false;
  const store = await machine.settle(
    openPublic(
      new FailingPort(machine.process("reader"), {
        failAt: 1,
        code: "ENOENT",
        methods: ["open"],
        matches: ({ path }) => isListing && path.endsWith(".jsonl") && ++opened > 0,
      }),
      true,
    ),
  );
  isListing = true;
  const keys: string[] = [];
  for await (const { key } of store.trash()) keys.push(key);
  assert.deepEqual(keys, ["a"]);
  assert.equal(opened, 2, "it was looked for again");
});

test("P14: a put of the same session, made blindly, keeps the list of its earlier generations", async () => {
  const machine = await makeMachine();
  await run(machine, async (port) => {
    const backend = await openStore(port);
    const store: Store = createSessionStore(backend, { clock: port });
    await store.update("a", () => ({ sessionId: "one" }));
    await store.patch("a", { sessionId: "two" });
    const { version } = (await backend.read(["a"])).get("a")!;
    const entry = Object.freeze({ sessionId: "two", n: 2 });
    await backend.commit({ operations: [{ type: "put", key: "a", entry }], expected: new Map([["a", version]]) });
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["one"],
    );
    await store.checkpoint();
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["one"],
    );
    await store.close();
  });
});
