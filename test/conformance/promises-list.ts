/** Lists: filters, orders, search, pages. */

import assert from "node:assert/strict";
import type { SessionQuery } from "../../src/contract.js";
import { listAll, rejectsWith } from "../support/store-reading.js";
import type { AnyEntry, Handle } from "./harness.js";
import type { Suite } from "./suite.js";

const sessions: Record<string, AnyEntry> = {
  "agent:main:main": { sessionId: "s1", updatedAt: 100, channel: "telegram", totalTokens: 5, model: "large" },
  "agent:main:telegram:group:-100": { updatedAt: 300, lastChannel: "telegram", subject: "Garden Club" },
  "agent:main:telegram:group:-100:thread:7": { updatedAt: 250, deliveryContext: { channel: "telegram" } },
  "agent:main:discord:channel:42": { updatedAt: 200, channel: "discord", displayName: "general" },
  "agent:work:direct:alice": { updatedAt: 300, channel: "whatsapp", label: "Alice from Accounts" },
  "agent:work:cron:nightly": { updatedAt: 50 },
  "agent:work:cron:nightly:run:1": { updatedAt: 60 },
  "agent:work:subagent:1234": { updatedAt: 400, spawnedBy: "agent:work:main" },
  "agent:work:acp:binding:x:y:z": { updatedAt: 10 },
  "agent:work:hook:mail": { updatedAt: 20 },
  "agent:work:explicit:abc": { updatedAt: 30, chatType: "group" },
  global: { updatedAt: 1 },
  unknown: {},
  "legacy-without-agent": { updatedAt: "not a number", model: 7 },
};

export function listPromises({ promise }: Suite): void {
  const filled = (name: string, body: (handle: Handle) => Promise<void>) =>
    promise(name, async (handle) => {
      await handle.store.transaction((transaction) => {
        for (const [key, entry] of Object.entries(sessions)) transaction.set(key, entry);
      });
      await body(handle);
    });

  filled("sessions are listed newest first, ties by key, those without a time last", async ({ store }) => {
    const listed = (await store.list()).sessions;
    assert.equal(listed.length, Object.keys(sessions).length);
    assert.deepEqual(
      listed.map(({ key }) => key),
      [
        "agent:work:subagent:1234",
        "agent:main:telegram:group:-100",
        "agent:work:direct:alice",
        "agent:main:telegram:group:-100:thread:7",
        "agent:main:discord:channel:42",
        "agent:main:main",
        "agent:work:cron:nightly:run:1",
        "agent:work:cron:nightly",
        "agent:work:explicit:abc",
        "agent:work:hook:mail",
        "agent:work:acp:binding:x:y:z",
        "global",
        "legacy-without-agent",
        "unknown",
      ],
    );
  });

  filled("order by key is by code units", async ({ store }) => {
    const keys = (await listAll(store, { order: "key" })).map(({ key }) => key);
    assert.deepEqual(keys, Object.keys(sessions).sort());
  });

  filled("a summary has the few fields of a list, of the right types, and none of the others", async ({ store }) => {
    const byKey = new Map((await store.list()).sessions.map((summary) => [summary.key, summary]));
    const { entryBytes, ...main } = byKey.get("agent:main:main")!;
    assert.deepEqual(main, {
      key: "agent:main:main",
      agent: "main",
      kind: "main",
      channel: "telegram",
      updatedAt: 100,
      sessionId: "s1",
      model: "large",
      totalTokens: 5,
    });
    if (entryBytes !== undefined) assert.ok(entryBytes > 20 && entryBytes < 400);
    const { entryBytes: _, ...legacy } = byKey.get("legacy-without-agent")!;
    assert.deepEqual(legacy, { key: "legacy-without-agent", kind: "other" });
  });

  // biome-ignore format: a table
  const cases: [string, SessionQuery, string[]][] = [
    ["agent", { agent: "main" }, ["agent:main:discord:channel:42", "agent:main:main", "agent:main:telegram:group:-100", "agent:main:telegram:group:-100:thread:7"]],
    ["channel", { channel: "telegram" }, ["agent:main:main", "agent:main:telegram:group:-100", "agent:main:telegram:group:-100:thread:7"]],
    ["kind main", { kind: "main" }, ["agent:main:main"]],
    ["kind group", { kind: "group" }, ["agent:main:telegram:group:-100", "agent:work:explicit:abc"]],
    ["kind thread", { kind: "thread" }, ["agent:main:telegram:group:-100:thread:7"]],
    ["kind channel", { kind: "channel" }, ["agent:main:discord:channel:42"]],
    ["kind direct", { kind: "direct" }, ["agent:work:direct:alice"]],
    ["kind cron", { kind: "cron" }, ["agent:work:cron:nightly", "agent:work:cron:nightly:run:1"]],
    ["kind subagent", { kind: "subagent" }, ["agent:work:subagent:1234"]],
    ["kind acp", { kind: "acp" }, ["agent:work:acp:binding:x:y:z"]],
    ["kind hook", { kind: "hook" }, ["agent:work:hook:mail"]],
    ["kind global", { kind: "global" }, ["global"]],
    ["kind unknown", { kind: "unknown" }, ["unknown"]],
    ["kind other", { kind: "other" }, ["legacy-without-agent"]],
    ["activeSince", { activeSince: 300 }, ["agent:main:telegram:group:-100", "agent:work:direct:alice", "agent:work:subagent:1234"]],
    ["search in the key", { search: "NIGHTLY" }, ["agent:work:cron:nightly", "agent:work:cron:nightly:run:1"]],
    ["search in the label", { search: "accounts" }, ["agent:work:direct:alice"]],
    ["search in the display name", { search: "GENERAL" }, ["agent:main:discord:channel:42"]],
    ["search in the subject", { search: "garden" }, ["agent:main:telegram:group:-100"]],
    ["several at once", { agent: "work", kind: "cron", activeSince: 55 }, ["agent:work:cron:nightly:run:1"]],
    ["nothing matches", { agent: "nobody" }, []],
  ];
  for (const [name, query, expected] of cases) {
    filled(`a list can be filtered: ${name}`, async ({ store }) => {
      const keys = (await listAll(store, { ...query, order: "key" })).map(({ key }) => key);
      assert.deepEqual(keys, expected);
      const byTime = (await listAll(store, query)).map(({ key }) => key);
      assert.deepEqual(byTime.sort(), expected);
    });
  }

  for (const order of ["updatedAt", "key"] as const) {
    filled(`pages of any size by ${order} show every session once, in the order of the whole`, async ({ store }) => {
      const whole = (await store.list({ order })).sessions.map(({ key }) => key);
      for (const limit of [1, 2, 3, 5, 13, 14, 15, 100]) {
        assert.deepEqual(
          (await listAll(store, { order, limit })).map(({ key }) => key),
          whole,
          `pages of ${limit}`,
        );
      }
      assert.equal((await store.list({ order, limit: 14 })).nextCursor, undefined);
    });
  }

  filled("sessions that come and go between pages make no other one appear twice or not at all", async ({ store }) => {
    const first = await store.list({ order: "key", limit: 5 });
    await store.remove(first.sessions[4]!.key);
    await store.remove(first.sessions[0]!.key);
    await store.update("agent:aaa:new", () => ({ updatedAt: 999 }));
    const rest = await listAll(store, { order: "key", limit: 3, cursor: first.nextCursor! });
    assert.deepEqual(
      [...first.sessions, ...rest].map(({ key }) => key),
      Object.keys(sessions).sort(),
    );
  });

  filled("a list follows every change at once", async ({ store }) => {
    await store.patch("agent:work:cron:nightly", { updatedAt: 1_000, label: "moved" });
    await store.remove("agent:work:subagent:1234");
    const listed = (await store.list({ limit: 2 })).sessions;
    assert.deepEqual(
      listed.map(({ key, label }) => [key, label]),
      [
        ["agent:work:cron:nightly", "moved"],
        ["agent:main:telegram:group:-100", undefined],
      ],
    );
  });

  filled("a bad cursor is invalid_cursor", async ({ store }) => {
    const { nextCursor } = await store.list({ limit: 2, order: "key" });
    await rejectsWith("invalid_cursor", store.list({ cursor: nextCursor!, order: "updatedAt" }));
    for (const cursor of ["", "nonsense", "e30", Buffer.from('["key",5]').toString("base64url")]) {
      await rejectsWith("invalid_cursor", store.list({ cursor, order: "key" }));
    }
  });

  promise("a bad query is invalid_option, and says what was meant", async ({ store }) => {
    for (const query of [
      { limit: 0 },
      { limit: 10_001 },
      { limit: 1.5 },
      { order: "newest" },
      { kind: "robot" },
      { activeSince: Number.NaN },
      { search: 5 },
      { agent: {} },
      null,
      [],
    ]) {
      await rejectsWith("invalid_option", store.list(query as SessionQuery));
    }
    const error = await rejectsWith("invalid_option", store.list({ chanel: "x" } as SessionQuery));
    assert.match(error.message, /"channel"/);
  });
}
