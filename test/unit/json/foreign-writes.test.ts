/** Others write `sessions.json` too - a gateway, an editor, an older program - and know nothing of versions. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendChange } from "../../../src/contract.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { rejectsWith } from "../../support/store-reading.js";
import {
  commitPut,
  livePath,
  machineWith,
  openJson,
  put,
  request,
  type Started,
  start,
  textOf,
  versionsPath,
} from "./support.js";

async function versionOf({ backend }: Started, key: string): Promise<string | undefined> {
  return (await backend.read([key])).get(key)?.version;
}

test("a change of another program is seen at once and changes the version of that session only", async () => {
  const machine = machineWith(textOf({ a: { n: 1 }, b: { n: 1 } }));
  const store = await start(machine, "ours");
  await commitPut(machine, store, "a", { n: 2 });
  const [a, b] = [await versionOf(store, "a"), await versionOf(store, "b")];
  machine.writeFile(livePath, textOf({ a: { n: 2 }, b: { n: 7 } }));
  assert.equal(await versionOf(store, "a"), a);
  assert.notEqual(await versionOf(store, "b"), b);
  const other = await start(machine, "another");
  assert.equal(await versionOf(other, "b"), await versionOf(store, "b"), "every process gives it the same version");
  const stale = store.backend.commit(request([put("b", { n: 8 })], [["b", b as string]]));
  assert.equal((await machine.settle(stale)).status, "conflict");
  const seen = await versionOf(store, "b");
  await commitPut(machine, store, "c", { n: 1 });
  assert.equal(await versionOf(other, "b"), seen, "and keeps it when a save writes it down");
});

test("a rewrite in place, of the same size and in the same millisecond, is noticed", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }), { callMicros: 0 });
  const store = await start(machine, "ours");
  const inode = machine.inodeAt(livePath);
  for (let n = 2; n < 6; n += 1) {
    assert.deepEqual((await store.backend.read(["a"])).get("a")?.entry, { n: n - 1 });
    const { modifiedMs } = inode as { modifiedMs: number };
    machine.writeFile(livePath, textOf({ a: { n } }));
    (inode as { modifiedMs: number }).modifiedMs = modifiedMs;
    assert.equal(machine.inodeAt(livePath), inode, "the same file");
    assert.deepEqual((await store.backend.read(["a"])).get("a")?.entry, { n });
  }
});

test("a file that has been quiet for a while is not read again", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  await commitPut(machine, await start(machine, "writer"), "a", { n: 2 });
  await machine.advance(10_000);
  const port = new HookedPort(machine.process("ours"));
  const backend = await machine.settle(openJson(port));
  await backend.read(["a"]);
  const calls: string[] = [];
  port.before = ({ method }) => {
    if (method !== "nowMs") calls.push(method);
  };
  await backend.read(["a"]);
  assert.deepEqual(calls, ["statName", "statName", "statName"], "one look at each file, and none in it");
});

test("versions are not used again when others put the same content back", async () => {
  const machine = machineWith(textOf({}));
  const store = await start(machine, "ours");
  const versions = new Set<string>();
  for (let round = 0; round < 5; round += 1) {
    versions.add(await commitPut(machine, store, "a", { n: 1 }));
    machine.writeFile(livePath, textOf({}));
    assert.equal(await versionOf(store, "a"), undefined);
    versions.add(await commitPut(machine, store, "a", { n: 2 }));
  }
  assert.equal(versions.size, 10);
});

test("a file from before that somebody puts back gives its sessions new versions, in place or by a copy", async () => {
  for (const putBack of ["in place", "copy"]) {
    const machine = machineWith(textOf({}));
    const store = await start(machine, "ours");
    const first = await commitPut(machine, store, "a", { n: 1 });
    const untouched = await commitPut(machine, store, "b", { n: 1 });
    const text = machine.readText(livePath);
    await commitPut(machine, store, "a", { n: 2 });
    await machine.advance(1_000);
    if (putBack === "copy") machine.unlink(livePath);
    machine.writeFile(livePath, text);
    // The simulated administrator's hands leave the time of a file alone; cp and editors do not.
    (machine.inodeAt(livePath) as { modifiedMs: number }).modifiedMs = machine.nowMs;
    for (const reader of [store, await start(machine, "another")]) {
      assert.deepEqual((await reader.backend.read(["a"])).get("a")?.entry, { n: 1 });
      assert.notEqual(await versionOf(reader, "a"), first, putBack);
      assert.equal(await versionOf(reader, "b"), untouched, putBack);
    }
    const stale = store.backend.commit(request([put("a", { n: 3 })], [["a", first]]));
    assert.equal((await machine.settle(stale)).status, "conflict");
  }
});

test("a save that died before it replaced the file leaves every version as it was", async () => {
  const versions = new Set<string>();
  for (let at = 1; at < 200; at += 1) {
    const machine = machineWith(textOf({}));
    const first = await start(machine, "first");
    const before = await commitPut(machine, first, "a", { n: 1 });
    const second = await start(machine, "second");
    second.process.crashAfter(at);
    await second.process.run(() => second.backend.commit(request([put("a", { n: 2 })])).then(() => {}));
    if (!second.process.isKilled) break;
    const { entry, version } = (await first.backend.read(["a"])).get("a") ?? assert.fail();
    if (entry.n === 1) assert.equal(version, before, `killed at call ${at}`);
    else versions.add(version);
  }
  assert.ok(versions.size > 0, "some died after it");
});

test("without the versions file nothing is lost but the old versions", async () => {
  const machine = machineWith(textOf({}));
  const store = await start(machine, "ours");
  const before = await commitPut(machine, store, "a", { n: 1 });
  for (const damage of [
    () => machine.unlink(versionsPath),
    () => machine.writeFile(versionsPath, ""),
    () => machine.writeFile(versionsPath, '{"kind":"sessiondir-json-versions","formatVersion":99}'),
    () => machine.writeFile(versionsPath, machine.readText(versionsPath).slice(0, -20)),
  ]) {
    damage();
    const found = (await store.backend.read(["a"])).get("a");
    assert.deepEqual(found?.entry, { n: 1 });
    assert.notEqual(found?.version, before);
    const other = await start(machine, "another");
    assert.equal(await versionOf(other, "a"), found?.version);
    await commitPut(machine, store, "b", { n: 1 });
    assert.equal(await versionOf(other, "a"), found?.version);
  }
});

test("a program without locks that writes while we save is not overwritten", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const process = machine.process("ours");
  const port = new HookedPort(process);
  const backend = await machine.settle(openJson(port));
  let edits = 0;
  port.before = ({ method, path }) => {
    if (method !== "syncFile" || !path.includes(".tmp") || edits > 0) return;
    edits += 1;
    machine.writeFile(livePath, textOf({ a: { n: 1 }, edited: { by: "hand" } }));
  };
  await machine.settle(backend.commit(request([put("b", { n: 2 })])));
  assert.equal(machine.readText(livePath), textOf({ a: { n: 1 }, edited: { by: "hand" }, b: { n: 2 } }));
});

test("a program that writes each time while we save is reported, and keeps its content", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const port = new HookedPort(machine.process("ours"));
  const backend = await machine.settle(openJson(port));
  let edits = 0;
  port.before = ({ method, path }) => {
    if (method === "syncFile" && path.includes(".tmp")) machine.writeFile(livePath, textOf({ edits: { n: ++edits } }));
  };
  const error = await rejectsWith("io_error", () => machine.settle(backend.commit(request([put("b", { n: 2 })]))));
  assert.match(error.message, /takes no lock/);
  assert.equal(machine.readText(livePath), textOf({ edits: { n: edits } }));
});

test("a cursor from before a foreign write leads to what it changed, before and after a save wrote it down", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const store = await start(machine, "ours");
  await commitPut(machine, store, "b", { n: 1 });
  const cursor = await store.backend.cursor();
  machine.writeFile(livePath, textOf({ a: { n: 1 }, foreign: { n: 1 } }));
  const seen = async () => {
    const keys: string[] = [];
    for await (const change of (await start(machine, "watcher")).backend.changes(cursor)) {
      keys.push(change.type === "reset" ? "reset" : `${change.type} ${change.key}`);
      if (change.cursor === (await store.backend.cursor())) return keys;
    }
    return keys;
  };
  assert.deepEqual((await seen()).sort(), ["put foreign", "remove b"]);
  await commitPut(machine, store, "c", { n: 1 });
  assert.deepEqual((await seen()).sort(), ["put c", "put foreign", "remove b"]);
});

test("a cursor from before more commits than the versions file keeps notes of begins anew", async () => {
  const machine = machineWith(textOf({}));
  const store = await start(machine, "ours");
  await commitPut(machine, store, "a", { n: 0 });
  const cursor = await store.backend.cursor();
  for (let round = 0; round < 10; round += 1) {
    const commits = Array.from({ length: 64 }, (_, n) => store.backend.commit(request([put("a", { n })])));
    await machine.settle(Promise.all(commits));
  }
  const feed = store.backend.changes(cursor)[Symbol.asyncIterator]();
  assert.equal((await machine.settle(feed.next())).value.type, "reset");
  assert.ok(machine.readText(versionsPath).length < 200_000, "the versions file does not grow for ever");
});

test("a watcher sees what others write, and what they remove", async () => {
  const machine = machineWith(textOf({ a: { n: 1 }, b: { n: 1 } }));
  const store = await start(machine, "ours");
  const feed = store.backend.changes(undefined)[Symbol.asyncIterator]();
  const next = async () => (await machine.settle(feed.next())).value as Exclude<BackendChange, { type: "reset" }>;
  const waiting = feed.next();
  await machine.advance(1);
  machine.writeFile(livePath, textOf({ a: { n: 2 }, b: { n: 1 } }));
  const first = (await machine.settle(waiting)).value as Exclude<BackendChange, { type: "reset" }>;
  assert.deepEqual([first.type, first.key, "entry" in first && first.entry], ["put", "a", { n: 2 }]);
  machine.writeFile(livePath, textOf({ a: { n: 2 } }));
  const second = await next();
  assert.deepEqual([second.type, second.key], ["remove", "b"]);
  // Two foreign writes had no versions between them, so an older position among them is not known any more.
  const resumed = store.backend.changes(first.cursor)[Symbol.asyncIterator]();
  assert.equal((await machine.settle(resumed.next())).value.type, "reset");
  await machine.settle(store.backend.close());
});

test("a reader that slept through several saves of others sees the last one, and its right version", async () => {
  const machine = machineWith(textOf({ a: { n: 0 } }));
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", { n: 1 });
  const [oldLive, oldVersions] = [machine.readText(livePath), machine.readText(versionsPath)];
  await commitPut(machine, writer, "a", { n: 2 });
  const version = await commitPut(machine, writer, "a", { n: 3 });
  const [newLive, newVersions] = [machine.readText(livePath), machine.readText(versionsPath)];
  machine.writeFile(livePath, oldLive);
  machine.writeFile(versionsPath, oldVersions);
  const port = new HookedPort(machine.process("reader"));
  // Both saves come between its look at the sessions and its look at the versions.
  let isLate = false;
  port.before = ({ method, path }) => {
    if (method !== "statName" || path !== versionsPath || isLate) return;
    isLate = true;
    machine.writeFile(livePath, newLive);
    machine.writeFile(versionsPath, newVersions);
  };
  const backend = await machine.settle(openJson(port));
  assert.ok(isLate);
  port.before = () => {};
  assert.deepEqual((await backend.read(["a"])).get("a"), { entry: { n: 3 }, version });
});

test("a reader never gives a session of one save with the version of another one", async () => {
  const machine = machineWith(textOf({ a: { n: 0 } }));
  const writer = await start(machine, "writer");
  const states: { live: string; versions: string }[] = [];
  const expected = new Map<unknown, string>();
  for (let n = 1; n <= 4; n += 1) {
    expected.set(n, await commitPut(machine, writer, "a", { n }));
    states.push({ live: machine.readText(livePath), versions: machine.readText(versionsPath) });
  }
  const show = ({ live, versions }: { live: string; versions: string }) => {
    machine.writeFile(livePath, live);
    machine.writeFile(versionsPath, versions);
  };
  for (let at = 1; at < 40; at += 1) {
    for (const [from, to] of [
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 3],
    ] as const) {
      show(states[from] as (typeof states)[0]);
      const port = new HookedPort(machine.process(`reader ${at} ${from} ${to}`));
      let calls = 0;
      port.before = () => {
        calls += 1;
        if (calls === at) show(states[to] as (typeof states)[0]);
      };
      const backend = await machine.settle(openJson(port, { readOnly: true }));
      const view = (await backend.scan())[Symbol.asyncIterator]();
      const { entry, version } = (await view.next()).value as { entry: { n: number }; version: string };
      assert.equal(version, expected.get(entry.n), `from ${from} to ${to} at call ${at}`);
      await backend.close();
    }
  }
});
