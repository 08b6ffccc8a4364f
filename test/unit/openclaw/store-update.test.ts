/** Writing by path: what is merged, what runs again, what is never lost. */

import assert from "node:assert/strict";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  loadSessionStore,
  readSessionUpdatedAt,
  recordSessionMetaFromInbound,
  resolveSessionStoreEntry,
  type SessionEntry,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
} from "../../../src/openclaw/index.js";
import { closeSessionStores } from "../../../src/openclaw/shared-handles.js";
import { makePlace } from "./store-support.js";

const key = "agent:main:a";

function entry(sessionId: string, fields: Partial<SessionEntry> = {}): SessionEntry {
  return { sessionId, updatedAt: 1_000, ...fields };
}

function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test("updateSessionStore: the mutator edits in place and its value is returned", async (context) => {
  const { storePath } = makePlace(context);
  const value = await updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
    return 42;
  });
  assert.equal(value, 42);
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1") });
});

test("updateSessionStore: a mutator that throws writes nothing, and the next caller goes on", async (context) => {
  const { storePath } = makePlace(context);
  const failing = updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
    throw new Error("no");
  });
  await assert.rejects(failing, /^Error: no$/);
  assert.deepEqual(loadSessionStore(storePath), {});
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("2");
  });
  assert.equal(loadSessionStore(storePath)[key]?.sessionId, "2");
});

test("better: a mutator that awaits blocks nobody, and both changes are there", async (context) => {
  const { storePath } = makePlace(context);
  const held = gate();
  let runs = 0;
  const slow = updateSessionStore(storePath, async (store) => {
    runs += 1;
    store[key] = entry("slow");
    await held.opened;
  });
  // Resolves while the first one is still held.
  await updateSessionStore(storePath, (store) => {
    store.other = entry("other");
  });
  held.open();
  await slow;
  assert.deepEqual(Object.keys(loadSessionStore(storePath)), [key, "other"]);
  assert.equal(runs, 1);
});

test("better: a nested update inside a mutator does not deadlock, and other fields are merged without a second run", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
  });
  let runs = 0;
  await updateSessionStore(storePath, async (store) => {
    runs += 1;
    Object.assign(store[key] as SessionEntry, { label: "outer", updatedAt: 2_000 });
    await updateSessionStore(storePath, (inner) => {
      Object.assign(inner[key] as SessionEntry, { subject: "inner", updatedAt: 3_000 });
    });
  });
  assert.equal(runs, 1);
  assert.deepEqual(
    loadSessionStore(storePath)[key],
    entry("1", { label: "outer", subject: "inner", updatedAt: 3_000 }),
  );
});

test("the mutator runs again when others changed the same field, or a session that it only read", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { totalTokens: 1 });
    store.other = entry("2", { totalTokens: 10 });
  });
  const add = (name: string) =>
    updateSessionStore(storePath, (store) => {
      (store[name] as SessionEntry).totalTokens = ((store[name] as SessionEntry).totalTokens ?? 0) + 1;
    });
  let runs = 0;
  await updateSessionStore(storePath, async (store) => {
    runs += 1;
    const target = store[key] as SessionEntry;
    target.totalTokens = (target.totalTokens ?? 0) + (store.other?.totalTokens ?? 0);
    if (runs === 1) await add(key);
    if (runs === 2) await add("other");
  });
  assert.equal(runs, 3);
  assert.equal(loadSessionStore(storePath)[key]?.totalTokens, 13);
});

test("two mutators that count from the same number, or make the same session, both count", async (context) => {
  const { storePath } = makePlace(context);
  const count = (inside?: () => Promise<unknown>) =>
    updateSessionStore(storePath, async (store) => {
      const found = store[key] ?? entry("1", { totalTokens: 0 });
      store[key] = { ...found, totalTokens: (found.totalTokens ?? 0) + 1 };
      const once = inside;
      inside = undefined;
      await once?.();
    });
  await count(count);
  await count(count);
  assert.equal(loadSessionStore(storePath)[key]?.totalTokens, 4);
});

test("all reads of one mutator see one version of the store", async (context) => {
  const { storePath } = makePlace(context);
  const set = (label: string) =>
    updateSessionStore(storePath, (store) => {
      for (const name of ["a", "b", "c"]) store[name] = entry(name, { label });
      if (label === "new") store.d = entry("d", { label });
    });
  await set("old");
  await updateSessionStore(storePath, async (store) => {
    assert.equal(store.a?.label, "old");
    await set("new");
    assert.equal(store.b?.label, "old");
    assert.deepEqual(
      Object.values(store).map(({ label }) => label),
      ["old", "old", "old"],
    );
  });
  assert.deepEqual(
    Object.values(loadSessionStore(storePath)).map(({ label }) => label),
    Array(4).fill("new"),
  );
});

test("a hundred concurrent mutators of different sessions all succeed, each in one run", async (context) => {
  const { storePath } = makePlace(context);
  let runs = 0;
  const names = Array.from({ length: 100 }, (_, at) => `agent:main:s${at}`);
  await Promise.all(
    names.map((name) =>
      updateSessionStore(storePath, async (store) => {
        runs += 1;
        await Promise.resolve();
        store[name] = entry(name);
      }),
    ),
  );
  assert.equal(runs, names.length);
  assert.deepEqual(Object.keys(loadSessionStore(storePath)).sort(), names.sort());
});

test("structuredClone of the view gives the whole store", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
  });
  const cloned = await updateSessionStore(storePath, (store) => {
    const before = structuredClone(store);
    (store[key] as SessionEntry).label = "x";
    return before;
  });
  assert.deepEqual(cloned, { [key]: entry("1") });
  assert.equal(loadSessionStore(storePath)[key]?.label, "x");
  // Out of sight of whoever looks at the callback's text.
  const hidden = (globalThis as unknown as Record<string, typeof structuredClone>)[["structured", "Clone"].join("")];
  let runs = 0;
  const again = await updateSessionStore(storePath, (store) => {
    runs += 1;
    return (hidden as typeof structuredClone)({ store }).store;
  });
  assert.deepEqual(again, loadSessionStore(storePath));
  assert.equal(runs, 2);
});

test("ACP preservation: a block that is lost on the way is put back, unless its key may drop it", async (context) => {
  const { storePath } = makePlace(context);
  const acp = { agent: "x" } as unknown as NonNullable<SessionEntry["acp"]>;
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { acp });
  });
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { label: "l" });
  });
  assert.deepEqual(loadSessionStore(storePath)[key], entry("1", { label: "l", acp }));
  await updateSessionStore(storePath, (store) => void delete (store[key] as SessionEntry).acp, {
    allowDropAcpMetaSessionKeys: [" AGENT:main:A "],
  });
  assert.equal(loadSessionStore(storePath)[key]?.acp, undefined);
});

test("ACP preservation: deleting the whole entry is allowed, and a different block wins", async (context) => {
  const { storePath } = makePlace(context);
  const acp = (agent: string) => ({ agent }) as unknown as NonNullable<SessionEntry["acp"]>;
  await updateSessionStore(storePath, (store) => {
    store.a = entry("a", { acp: acp("1") });
    store.b = entry("b", { acp: acp("1") });
  });
  await updateSessionStore(storePath, (store) => {
    delete store.a;
    (store.b as SessionEntry).acp = acp("2");
  });
  assert.deepEqual(loadSessionStore(storePath), { b: entry("b", { acp: acp("2") }) });
});

test("updateSessionStoreEntry: a missing session gives null, and update is not called", async (context) => {
  const { storePath, folder } = makePlace(context);
  const update = () => assert.fail("called");
  assert.equal(await updateSessionStoreEntry({ storePath, sessionKey: key, update }), null);
  assert.deepEqual(readdirSync(folder), []);
});

test("updateSessionStoreEntry: a null patch returns the session and writes nothing", async (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ " Agent:Main:A": entry("1") }));
  const update = async (found: SessionEntry) => {
    found.label = "changed in place";
    return null;
  };
  assert.equal((await updateSessionStoreEntry({ storePath, sessionKey: key, update }))?.sessionId, "1");
  assert.deepEqual(readdirSync(folder), ["sessions.json"]);
});

test("updateSessionStoreEntry: the patch is merged, updatedAt touched, aliases collapsed", async (context) => {
  const { storePath } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ "Agent:Main:A": entry("2", { updatedAt: 2_000 }), [key]: entry("1") }));
  const before = Date.now();
  const merged = await updateSessionStoreEntry({
    storePath,
    sessionKey: "AGENT:main:a ",
    update: () => ({ label: "l" }),
  });
  assert.equal(merged?.sessionId, "2");
  assert.ok((merged?.updatedAt ?? 0) >= before);
  assert.deepEqual(loadSessionStore(storePath), { [key]: merged });
});

test("recordSessionMetaFromInbound: updatedAt of an existing session stays, a new one gets an id", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
  });
  const ctx = { Provider: "telegram", From: "telegram:1", To: "2", ChatType: "direct" };
  const recorded = await recordSessionMetaFromInbound({ storePath, sessionKey: key, ctx });
  assert.equal(recorded?.updatedAt, 1_000);
  assert.equal(recorded?.origin?.provider, "telegram");
  const missing = { storePath, sessionKey: "agent:main:new", ctx };
  assert.equal(await recordSessionMetaFromInbound({ ...missing, createIfMissing: false }), null);
  const created = await recordSessionMetaFromInbound(missing);
  assert.match(created?.sessionId ?? "", /^[0-9a-f-]{36}$/);
});

test("updateLastRoute: fields and context are merged, a new route drops the stored thread, updatedAt stays", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { lastChannel: "telegram", lastTo: "1", lastThreadId: 7, lastAccountId: "acc" });
  });
  const kept = await updateLastRoute({ storePath, sessionKey: key, accountId: "other" });
  assert.deepEqual(
    [kept.lastChannel, kept.lastTo, kept.lastThreadId, kept.lastAccountId],
    ["telegram", "1", 7, "other"],
  );
  const moved = await updateLastRoute({ storePath, sessionKey: key, deliveryContext: { to: "2" }, to: "3" });
  assert.deepEqual([moved.lastChannel, moved.lastTo, moved.lastThreadId], ["telegram", "2", undefined]);
  const changed = await updateLastRoute({ storePath, sessionKey: key, channel: "slack", to: "C1" });
  assert.deepEqual([changed.lastChannel, changed.lastTo, changed.lastAccountId], ["slack", "C1", undefined]);
  assert.equal(loadSessionStore(storePath)[key]?.updatedAt, 1_000);
  const before = Date.now();
  assert.ok((await updateLastRoute({ storePath, sessionKey: "new", channel: "slack" })).updatedAt >= before);
});

test("an unchanged update promotes nothing; the first change makes a directory of a legacy file", async (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ [key]: entry("1"), other: entry("2") }));
  await updateSessionStore(storePath, (store) => {
    store[key] = { ...(store[key] as SessionEntry) };
  });
  assert.deepEqual(readdirSync(folder), ["sessions.json"]);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { label: "l" });
  });
  assert.ok(existsSync(path.join(folder, "sessions.d")) && !existsSync(storePath));
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1", { label: "l" }), other: entry("2") });
});

const skip = process.platform === "win32" && "skipped: needs posix links and paths";

test("a legacy file that is a link, of either kind, is read as it is and refused by writes", {
  skip,
}, async (context) => {
  for (const link of [symlinkSync, linkSync]) {
    const { storePath, folder } = makePlace(context);
    const real = path.join(folder, "real.txt");
    const text = JSON.stringify({ Main: entry("1", { updatedAt: 7 }) });
    writeFileSync(real, text);
    link(real, storePath);
    assert.deepEqual(Object.keys(loadSessionStore(storePath)), ["Main"]);
    assert.equal(readSessionUpdatedAt({ storePath, sessionKey: "main" }), 7);
    writeFileSync(real, JSON.stringify({ Main: entry("1", { updatedAt: 8 }) }));
    assert.equal(readSessionUpdatedAt({ storePath, sessionKey: "main" }), 8);
    const write = updateLastRoute({ storePath, sessionKey: "main", channel: "slack", to: "1" });
    await assert.rejects(
      write,
      /(is a symlink|has a hard link elsewhere).*Put an ordinary file of your own in its place/,
    );
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => !name.endsWith(".lock"))
        .sort(),
      ["real.txt", "sessions.json"],
    );
    assert.equal(JSON.parse(readFileSync(real, "utf8")).Main.updatedAt, 8);
    unlinkSync(real);
    if (link === symlinkSync) assert.deepEqual(loadSessionStore(storePath), {}, "a link that leads nowhere");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes(".corrupt.")),
      [],
    );
  }
});

test("a legacy file that is a symbolic link is refused by writes and stays", async (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(path.join(folder, "real.json"), JSON.stringify({ [key]: entry("1") }));
  symlinkSync("real.json", storePath);
  await assert.rejects(
    updateSessionStore(storePath, (store) => {
      store.b = entry("2");
    }),
    { name: "SessionStoreError" },
  );
  assert.deepEqual(
    readdirSync(folder)
      .filter((name) => !name.endsWith(".lock"))
      .sort(),
    ["real.json", "sessions.json"],
  );
});

for (const [what, text] of [
  ["malformed", '{"a": '],
  ["empty", ""],
  ["an array", "[]"],
  ["nothing but null", '{"a": null}'],
]) {
  test(`a legacy file that is ${what} reads as {}, and the first write sets it aside`, async (context) => {
    const { storePath, folder } = makePlace(context);
    writeFileSync(storePath, text as string);
    assert.deepEqual(loadSessionStore(storePath), {});
    assert.equal(readFileSync(storePath, "utf8"), text);
    await updateLastRoute({ storePath, sessionKey: key, channel: "slack", to: "1" });
    const aside = readdirSync(folder).filter((name) => /^sessions\.json\.(corrupt|bak)\.\d+$/.test(name));
    assert.equal(aside.length, 1);
    assert.equal(readFileSync(path.join(folder, aside[0] as string), "utf8"), text);
    assert.deepEqual(Object.keys(loadSessionStore(storePath)), [key]);
  });
}

test("a damaged session is never made anew by a write, and hides no other", async (context) => {
  const { storePath, folder } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1");
    store.b = entry("2");
  });
  await closeSessionStores();
  const entries = path.join(folder, "sessions.d", "entries");
  const name = `session-${Buffer.from(key).toString("base64url")}.json`;
  writeFileSync(path.join(entries, name), "{ torn");
  const damaged = { code: "entry_damaged" };
  await assert.rejects(updateLastRoute({ storePath, sessionKey: key, channel: "slack" }), damaged);
  await assert.rejects(
    updateSessionStore(storePath, (store) => {
      store[key] = entry("9");
    }),
    damaged,
  );
  assert.deepEqual(loadSessionStore(storePath), { b: entry("2") });
  await updateSessionStore(storePath, (store) => {
    for (const found of Object.values(store)) found.label = "seen";
  });
  assert.deepEqual(loadSessionStore(storePath), { b: entry("2", { label: "seen" }) });
  assert.equal(readFileSync(path.join(entries, name), "utf8"), "{ torn");
});

test("a legacy file that appears beside the store: reads show what is newer, the next write merges it", async (context) => {
  const { storePath, folder } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store.a = entry("a", { updatedAt: 10 });
    store.b = entry("b", { updatedAt: 10 });
  });
  const old = { a: entry("a2", { updatedAt: 5 }), b: entry("b2", { updatedAt: 20 }), c: entry("c", { updatedAt: 1 }) };
  writeFileSync(storePath, JSON.stringify(old));
  const merged = { a: entry("a", { updatedAt: 10 }), b: old.b, c: old.c };
  assert.deepEqual(loadSessionStore(storePath), merged);
  assert.ok(existsSync(storePath));
  await updateSessionStore(storePath, (store) => {
    (store.c as SessionEntry).label = "l";
  });
  assert.deepEqual(loadSessionStore(storePath), { ...merged, c: { ...old.c, label: "l" } });
  assert.ok(!existsSync(storePath) && readdirSync(folder).some((name) => name.startsWith("sessions.json.bak.")));
});

test("two spellings of a path share a store, and a store that was replaced is opened again", async (context) => {
  const { storePath, folder } = makePlace(context);
  mkdirSync(path.join(folder, "real"));
  symlinkSync("real", path.join(folder, "link"));
  const one = path.join(folder, "real", "sessions.json");
  const other = path.join(folder, "link", "..", "link", "sessions.json");
  await updateSessionStore(one, (store) => {
    store.a = entry("a");
  });
  await updateSessionStore(other, (store) => {
    (store.a as SessionEntry).label = "l";
  });
  assert.deepEqual(loadSessionStore(one), { a: entry("a", { label: "l" }) });
  assert.deepEqual(loadSessionStore(storePath), {});
});

test("resolveSessionStoreEntry on the view reads one session", async (context) => {
  const { storePath, port } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    for (let at = 0; at < 50; at += 1) store[`s${at}`] = entry(`${at}`);
  });
  await closeSessionStores();
  await updateSessionStore(storePath, (store) => void store.s1, { skipMaintenance: true });
  port.reset();
  const found = await updateSessionStore(
    storePath,
    (store) => resolveSessionStoreEntry({ store, sessionKey: " S7 " }).existing?.sessionId,
    { skipMaintenance: true },
  );
  assert.equal(found, "7");
  assert.equal(port.counts.namesOpened.filter((name) => name.startsWith("session-")).length, 1);
});
