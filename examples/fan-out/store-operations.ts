/** The gateway's work with the methods of the store. */

import { randomUUID } from "node:crypto";
import { openSessionStore, type SessionEntry } from "sessiondir";
import type { Operations, Place } from "./operations.js";

export async function openStoreOperations({ way, location }: Place): Promise<Operations> {
  // The single file gets all the time that there is: its waits are to be seen as waits, not as failures.
  const patience = { lockWaitMs: 60_000, conflictWaitMs: 600_000 };
  const store = await openSessionStore(location, way === "json" ? { backend: "json", ...patience } : {});
  return {
    async spawn(parentKey, childKey) {
      const child: SessionEntry = {
        sessionId: randomUUID(),
        updatedAt: Date.now(),
        spawnedBy: parentKey,
        spawnDepth: 1,
      };
      await store.update(childKey, () => ({ ...child, status: "running" }), { actor: "gateway" });
    },

    async announce(parentKey, childKey) {
      await store.transaction(
        async (transaction) => {
          const parent = await transaction.get(parentKey);
          const announced = (parent?.demoAnnounced ?? []) as readonly string[];
          const updatedAt = Date.now();
          await transaction.patch(childKey, { updatedAt, endedAt: updatedAt, status: "done" });
          await transaction.patch(parentKey, { updatedAt, demoAnnounced: [...announced, childKey] });
        },
        { actor: "sub-agent" },
      );
    },

    async holdOpen(parentKey, whileHeld) {
      let runs = 0;
      await store.update(
        parentKey,
        async (current) => {
          runs += 1;
          if (current === undefined) throw new Error(`${parentKey} is missing`);
          await whileHeld();
          return { ...current, demoPlans: Number(current.demoPlans ?? 0) + 1 };
        },
        // The announcements change other fields than the plan: keep both instead of thinking again.
        { onConflict: "merge", actor: "parent agent" },
      );
      return runs;
    },

    async deliver(key, channel) {
      await store.update(
        key,
        (current) => ({
          sessionId: randomUUID(),
          ...current,
          updatedAt: Date.now(),
          lastChannel: channel,
          deliveryContext: { channel, to: key },
          demoMessages: Number(current?.demoMessages ?? 0) + 1,
        }),
        { actor: "gateway" },
      );
    },

    async readAll() {
      const all = new Map<string, Readonly<Record<string, unknown>>>();
      for await (const { key, entry } of store.entries()) all.set(key, { ...entry });
      return all;
    },

    close: () => store.close(),
  };
}
