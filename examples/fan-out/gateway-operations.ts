/**
 * The gateway's work with the drop-in functions, as a gateway that was written against OpenClaw's session store does it:
 * by path, on what looks like one object with all sessions in it.
 */

import { randomUUID } from "node:crypto";
import {
  closeSessionStores,
  loadSessionStore,
  recordSessionMetaFromInbound,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
} from "sessiondir/openclaw";
import type { Operations, Place } from "./operations.js";

export function openGatewayOperations({ location: storePath }: Place): Operations {
  return {
    async spawn(parentKey, childKey) {
      await updateSessionStore(storePath, (store) => {
        const updatedAt = Date.now();
        store[childKey] = {
          sessionId: randomUUID(),
          updatedAt,
          spawnedBy: parentKey,
          spawnDepth: 1,
          status: "running",
        };
      });
    },

    async announce(parentKey, childKey) {
      await updateSessionStore(storePath, (store) => {
        const child = store[childKey];
        const parent = store[parentKey];
        if (child === undefined || parent === undefined) throw new Error(`${childKey} or its parent is missing`);
        const now = Date.now();
        child.status = "done";
        child.endedAt = now;
        child.updatedAt = now;
        parent.updatedAt = now;
        parent.demoAnnounced = [...((parent.demoAnnounced ?? []) as string[]), childKey];
      });
    },

    async holdOpen(parentKey, whileHeld) {
      let runs = 0;
      await updateSessionStore(storePath, async (store) => {
        runs += 1;
        const parent = store[parentKey];
        if (parent === undefined) throw new Error(`${parentKey} is missing`);
        await whileHeld();
        parent.demoPlans = Number(parent.demoPlans ?? 0) + 1;
      });
      return runs;
    },

    async deliver(sessionKey, channel) {
      const ctx = { Provider: channel, From: sessionKey, To: sessionKey, SessionKey: sessionKey, ChatType: "group" };
      await recordSessionMetaFromInbound({ storePath, sessionKey, ctx });
      await updateLastRoute({ storePath, sessionKey, channel, to: sessionKey });
      await updateSessionStoreEntry({
        storePath,
        sessionKey,
        update: async (entry) => ({ demoMessages: Number(entry.demoMessages ?? 0) + 1 }),
      });
    },

    async readAll() {
      return new Map(Object.entries(loadSessionStore(storePath, { skipCache: true })));
    },

    // They close by themselves when nobody uses them any more; here the files are looked at right afterwards.
    close: closeSessionStores,
  };
}
