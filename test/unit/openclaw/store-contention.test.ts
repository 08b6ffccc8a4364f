/** Many calls on one session, and a state that is lost while a callback looks at it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore } from "../../../src/index.js";
import { loadSessionStore, type SessionEntry, updateSessionStore } from "../../../src/openclaw/index.js";
import { closeSessionStores } from "../../../src/openclaw/shared-handles.js";
import { makePlace } from "./store-support.js";

const hot = "agent:main:main";

function entry(sessionId: string, fields: Partial<SessionEntry> = {}): SessionEntry {
  return { sessionId, updatedAt: 1_000, ...fields };
}

test("a hundred calls that change the same field all count, each in two runs at most", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[hot] = entry("hot", { totalTokens: 0 });
  });
  let runs = 0;
  const calls = Array.from({ length: 100 }, () =>
    updateSessionStore(storePath, async (store) => {
      runs += 1;
      const session = store[hot] as SessionEntry;
      await Promise.resolve();
      session.totalTokens = (session.totalTokens ?? 0) + 1;
    }),
  );
  await Promise.all(calls);
  assert.equal(loadSessionStore(storePath)[hot]?.totalTokens, 100);
  assert.ok(runs <= 200, `${runs} runs`);
});

test("a second attempt that updates the same session from within, and waits for that, holds up nobody for ever", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[hot] = entry("hot", { totalTokens: 0 });
  });
  const count = (store: Record<string, SessionEntry>, field: string) => {
    const session = store[hot] as SessionEntry;
    session[field] = Number(session[field] ?? 0) + 1;
  };
  let runs = 0;
  await updateSessionStore(storePath, async (store) => {
    runs += 1;
    count(store, "outer");
    // The first run is overtaken on its own field, the second updates another field while it has its turn.
    await updateSessionStore(storePath, (inner) => count(inner, runs === 1 ? "outer" : "inner"));
  });
  const { outer, inner } = loadSessionStore(storePath)[hot] as SessionEntry;
  assert.deepEqual({ runs, outer, inner }, { runs: 2, outer: 2, inner: 1 });
});

test("a callback whose state another handle wrote over and checkpointed begins again, even when it swallows the error", async (context) => {
  const { storePath } = makePlace(context);
  const key = "agent:main:other";
  await updateSessionStore(storePath, (store) => {
    store[hot] = entry("hot");
    store[key] = entry("other", { label: "old" });
  });
  // Now both lie in their own files, and nothing of them is in memory.
  await closeSessionStores();
  const seen: (string | undefined)[] = [];
  await updateSessionStore(storePath, async (store) => {
    const session = store[hot] as SessionEntry;
    if (seen.length === 0) {
      const other = await openSessionStore(storePath);
      await other.update(key, (current) => ({ ...(current as SessionEntry), label: "new" }));
      await other.close();
    }
    let label: string | undefined = "not read";
    try {
      label = store[key]?.label;
    } catch {}
    seen.push(label);
    session.label = `saw ${label}`;
  });
  assert.deepEqual(seen, ["not read", "new"]);
  assert.equal(loadSessionStore(storePath)[hot]?.label, "saw new");
});

test("a nested value that was changed is stored, one that was only looked at stays the stored one", async (context) => {
  const { storePath } = makePlace(context);
  const nested = { list: [{ name: "a" }, { name: "b" }] };
  await updateSessionStore(storePath, (store) => {
    store[hot] = entry("hot", { demoOne: structuredClone(nested), demoTwo: structuredClone(nested) });
  });
  await updateSessionStore(storePath, (store) => {
    const { demoOne } = store[hot] as unknown as { demoOne: typeof nested };
    demoOne.list[1]!.name = "c";
  });
  const { demoOne, demoTwo } = loadSessionStore(storePath)[hot] as SessionEntry;
  assert.deepEqual([demoOne, demoTwo], [{ list: [{ name: "a" }, { name: "c" }] }, nested]);
});
