/**
 * What the writes of every message cost in a store of 10,000 sessions with all maintenance configured, counted in calls
 * on the port: no directory is opened and one entry file is read at most, in either mode.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  loadSessionStore,
  recordSessionMetaFromInbound,
  type SessionMaintenanceWarning,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
} from "../../../src/openclaw/index.js";
import { resolveMaintenanceConfigFromInput } from "../../../src/openclaw/maintenance-config.js";
import { closeSessionStores } from "../../../src/openclaw/shared-handles.js";
import type { SessionEntry } from "../../../src/openclaw/types.js";
import { makePlace, type Place } from "./store-support.js";

const manySessions = 10_000;
const dayMs = 86_400_000;
const stale = "agent:main:stale";
const keyOf = (at: number) => `agent:main:s${at}`;

async function fill({ storePath, port }: Pick<Place, "storePath" | "port">, sessions: number): Promise<void> {
  const { syncFile, syncDirectory } = port;
  // Nothing runs in the background by the clock: what is counted is what the calls do.
  port.startTimer = () => ({ cancel() {} });
  // Ten thousand files would be synced one by one; nobody pulls a plug here.
  port.syncFile = async () => {};
  port.syncDirectory = async () => {};
  await updateSessionStore(
    storePath,
    (store) => {
      for (let at = 0; at < sessions - 1; at += 1) {
        store[keyOf(at)] = { sessionId: `id-${at}`, updatedAt: Date.now() - at } as SessionEntry;
      }
      store[stale] = { sessionId: "stale", updatedAt: Date.now() - 31 * dayMs };
    },
    { skipMaintenance: true },
  );
  // From here on every session lies in its own file.
  await closeSessionStores();
  // The first list of a store makes its index, from which later ones learn about all sessions.
  await updateLastRoute({ storePath, sessionKey: keyOf(0), channel: "slack", onWarn: () => {} });
  await closeSessionStores();
  Object.assign(port, { syncFile, syncDirectory });
}

const modes = ["warn", "enforce"] as const;
const directoryCalls = ["openRoot", "openDirectory", "list", "listInBatches"] as const;

interface Call {
  readonly name: string;
  run(sessionKey: string): Promise<SessionEntry | null>;
}

function callsOf(storePath: string, mode: "warn" | "enforce", onWarn: (warning: SessionMaintenanceWarning) => void) {
  const maintenanceConfig = resolveMaintenanceConfigFromInput({
    mode,
    maxEntries: manySessions + 100,
    pruneAfter: "30d",
    maxDiskBytes: "10gb",
    highWaterBytes: "8gb",
  });
  const params = { storePath, maintenanceConfig, onWarn };
  const ctx = { From: "telegram:1", Provider: "telegram", To: "2", ChatType: "direct" };
  let count = 0;
  const calls: Call[] = [
    {
      name: "updateLastRoute",
      run: (sessionKey) => updateLastRoute({ ...params, sessionKey, channel: "telegram", to: `${count++}` }),
    },
    {
      name: "recordSessionMetaFromInbound",
      run: (sessionKey) =>
        recordSessionMetaFromInbound({ ...params, sessionKey, ctx: { ...ctx, OriginatingTo: `${count++}` } }),
    },
    {
      name: "updateSessionStoreEntry",
      run: (sessionKey) => updateSessionStoreEntry({ ...params, sessionKey, update: () => ({ label: `${count++}` }) }),
    },
  ];
  return calls;
}

const entryFilesOpened = ({ port }: Place) => {
  return port.counts.namesOpened.filter((opened) => opened.startsWith("session-")).length;
};
const directoriesOpened = ({ port }: Place) => directoryCalls.reduce((sum, call) => sum + port.count(call), 0);

test("10,000 sessions, maintenance in either mode: a write opens no directory and reads at most one entry file", async (context) => {
  const place = makePlace(context);
  const { storePath, port } = place;
  await fill(place, manySessions);
  // What would be counted if it were there.
  port.reset();
  loadSessionStore(storePath);
  assert.equal(entryFilesOpened(place), manySessions);
  assert.ok(directoriesOpened(place) > 0);
  for (const mode of modes) {
    const warnings: SessionMaintenanceWarning[] = [];
    const calls = callsOf(storePath, mode, (warning) => warnings.push(warning));
    // The first write opens the store, and learns the times of all sessions.
    await calls[0]!.run(keyOf(1));
    assert.equal(stale in loadSessionStore(storePath), mode === "warn", "maintenance is at work");
    let at = mode === "warn" ? 100 : 200;
    for (const { name, run } of calls) {
      for (const sessionKey of [
        keyOf(++at),
        keyOf(at),
        `agent:main:new-${mode}-${name}`,
        ...(mode === "warn" ? [stale] : []),
      ]) {
        // It makes no session, and what it updates is stale no more.
        if (name === "updateSessionStoreEntry" && (sessionKey === stale || sessionKey.includes("new"))) continue;
        port.reset();
        const what = `${mode}, ${name}, ${sessionKey}`;
        const written = await run(sessionKey);
        assert.ok(written, what);
        assert.ok(port.counts.bytesAppended > 0, `${what} wrote nothing`);
        for (const method of directoryCalls) {
          assert.equal(port.count(method), 0, `${what}: ${method}, ${port.counts.namesOpened}`);
        }
        assert.ok(entryFilesOpened(place) <= 1, `${what} opened ${entryFilesOpened(place)} entry files`);
        assert.ok(port.counts.bytesRead < 10_000, `${what} read ${port.counts.bytesRead} bytes`);
        assert.ok(port.count() < 60, `${what} made ${port.count()} calls`);
      }
    }
    const told = new Set(warnings.map(({ activeSessionKey }) => activeSessionKey));
    assert.deepEqual([...told], mode === "warn" ? [stale] : []);
    await closeSessionStores();
  }
});

test("the first write of a process opens the same directories whatever the size of the store, and one entry file at most", async (context) => {
  const place = makePlace(context);
  const opened: Record<string, number[]> = {};
  for (const sessions of [10, 2_000]) {
    const storePath = `${place.folder}/sessions-${sessions}.json`;
    await fill({ storePath, port: place.port }, sessions);
    for (const mode of modes) {
      for (const { name, run } of callsOf(storePath, mode, () => {})) {
        await closeSessionStores();
        place.port.reset();
        await run(keyOf(5));
        const what = `${mode}, ${name}, ${sessions}`;
        // In the first enforcing write the stale session is read as well: it goes to the trash.
        const removed = mode === "enforce" && name === "updateLastRoute" ? 1 : 0;
        assert.ok(entryFilesOpened(place) <= 1 + removed, `${what} opened ${entryFilesOpened(place)} entry files`);
        opened[`${mode}, ${name}`] = [...(opened[`${mode}, ${name}`] ?? []), directoriesOpened(place)];
      }
    }
  }
  for (const [what, [few, many]] of Object.entries(opened)) assert.equal(many, few, what);
});

test("without a configuration of its own, a write looks for the gateway's once, and keeps it", async (context) => {
  const place = makePlace(context);
  const { storePath, port } = place;
  await fill(place, 100);
  await updateSessionStore(storePath, (store) => void store[keyOf(1)]);
  port.reset();
  await updateSessionStore(storePath, (store) => {
    (store[keyOf(50)] as SessionEntry).label = "x";
  });
  assert.ok(entryFilesOpened(place) <= 1);
  for (const method of directoryCalls) assert.equal(port.count(method), 0, method);
});
