/** What the writes of every message cost in a store of 10,000 sessions, counted in calls on the port. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  recordSessionMetaFromInbound,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
} from "../../../src/openclaw/index.js";
import { resolveMaintenanceConfigFromInput } from "../../../src/openclaw/maintenance-config.js";
import { closeSessionStores } from "../../../src/openclaw/shared-handles.js";
import type { SessionEntry } from "../../../src/openclaw/types.js";
import { makePlace, type Place } from "./store-support.js";

const sessions = 10_000;

async function fill({ storePath, port }: Place): Promise<void> {
  // Ten thousand files would be synced one by one; nobody pulls a plug here.
  port.syncFile = async () => {};
  port.syncDirectory = async () => {};
  await updateSessionStore(
    storePath,
    (store) => {
      for (let at = 0; at < sessions; at += 1) {
        store[`agent:main:s${at}`] = { sessionId: `id-${at}`, updatedAt: Date.now() - at } as SessionEntry;
      }
    },
    { skipMaintenance: true },
  );
  // From here on every session lies in its own file.
  await closeSessionStores();
}

const directoryCalls = ["openRoot", "openDirectory", "list", "listInBatches"] as const;

test("a write of one session costs the same in a store of 10,000", async (context) => {
  const place = makePlace(context);
  await fill(place);
  const { storePath, port } = place;
  for (const mode of ["warn", "enforce"] as const) {
    const maintenanceConfig = resolveMaintenanceConfigFromInput({ mode, maxEntries: sessions });
    const onWarn = () => {};
    const calls: Record<string, (key: string) => Promise<unknown>> = {
      updateLastRoute: (sessionKey) =>
        updateLastRoute({ storePath, sessionKey, channel: "telegram", to: "1", maintenanceConfig, onWarn }),
      recordSessionMetaFromInbound: (sessionKey) =>
        recordSessionMetaFromInbound({
          storePath,
          sessionKey,
          ctx: { From: "telegram:1", Provider: "telegram", To: "2", ChatType: "direct" },
          maintenanceConfig,
          onWarn,
        }),
      updateSessionStoreEntry: (sessionKey) =>
        updateSessionStoreEntry({ storePath, sessionKey, update: () => ({ model: "m" }), maintenanceConfig, onWarn }),
    };
    // The first write opens the store, and learns the times of all sessions.
    await calls.updateLastRoute?.("agent:main:s1");
    let at = mode === "warn" ? 100 : 200;
    for (const [name, call] of Object.entries(calls)) {
      port.reset();
      at += 1;
      const written = await call(`agent:main:s${at}`);
      assert.ok(written, name);
      for (const method of directoryCalls) assert.equal(port.count(method), 0, `${mode}, ${name}: ${method}`);
      const entryFiles = port.counts.namesOpened.filter((opened) => opened.startsWith("session-"));
      assert.ok(entryFiles.length <= 1, `${name} opened ${entryFiles.length} entry files`);
      assert.ok(port.counts.bytesRead < 10_000, `${mode}, ${name} read ${port.counts.bytesRead} bytes`);
    }
  }
  // Without a configuration of its own, the first write looks for the gateway's, and keeps it.
  await updateSessionStore(storePath, (store) => void store["agent:main:s1"]);
  port.reset();
  await updateSessionStore(storePath, (store) => {
    (store["agent:main:s300"] as SessionEntry).label = "x";
  });
  assert.ok(port.counts.namesOpened.filter((opened) => opened.startsWith("session-")).length <= 1);
  for (const method of directoryCalls) assert.equal(port.count(method), 0, `updateSessionStore: ${method}`);
});
