/** A store and users who may not write to it. Only a root user can become somebody else to try it. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openSessionStore } from "../../src/index.js";
import { type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { WorkerError, WorkerProcess } from "../process/support/worker-process.js";
import { rejectsWith } from "../support/store-reading.js";
import { digestTree, entryPath, healthyKeys, makeStore, victimEntry, victimKey } from "./support/store-tree.js";

const timeout = 60_000;
const nobody = 65_534;
const skip = !canBeNobody() && "skipped: needs a root user, and a checkout that other users may read";

/** Another user must be able to reach this program, too. */
function canBeNobody(): boolean {
  if (process.geteuid?.() !== 0) return false;
  for (let at = fileURLToPath(new URL(".", import.meta.url)); at !== path.dirname(at); at = path.dirname(at)) {
    if ((fs.statSync(at).mode & 0o005) !== 0o005) return false;
  }
  return true;
}

/** Everybody may read, nobody but the owner may write. */
function openToReaders(place: TemporaryPlace): void {
  fs.chmodSync(place.parent, 0o755);
  for (const name of fs.readdirSync(place.parent, { recursive: true, encoding: "utf8" })) {
    const at = path.join(place.parent, name);
    fs.chmodSync(at, fs.statSync(at).isDirectory() ? 0o755 : 0o644);
  }
}

const lockFiles: Record<string, (place: TemporaryPlace) => void> = {
  "lock files that it may read": () => {},
  "lock files that it may not open": (place) => {
    for (const name of fs.readdirSync(place.parent)) {
      if (name.endsWith(".lock")) fs.chmodSync(path.join(place.parent, name), 0o600);
    }
  },
  "no lock files": (place) => {
    for (const name of fs.readdirSync(place.parent)) {
      if (name.endsWith(".lock")) fs.rmSync(path.join(place.parent, name));
    }
  },
};

for (const [what, make] of Object.entries(lockFiles)) {
  test(`a reader without permission to write reads everything, with ${what}`, { skip, timeout }, async () => {
    await withPlace(async (place) => {
      await makeStore(place);
      openToReaders(place);
      make(place);
      const before = digestTree(place.parent);
      await using reader = await WorkerProcess.start({ uid: nobody });
      await reader.call("open", { location: place.location, options: { readOnly: true } });
      assert.deepEqual(await reader.call("get", { key: victimKey }), victimEntry);
      assert.deepEqual(await reader.call("list"), [victimKey, ...healthyKeys].sort());
      assert.equal((await reader.call("getAll")).length, 4);
      await assert.rejects(reader.call("set", { key: victimKey, entry: {} }), { code: "read_only" });
      await assert.rejects(reader.call("checkpoint"), { code: "read_only" });
      assert.deepEqual(digestTree(place.parent), before, "a reader leaves nothing behind");
      await reader.call("close");
      assert.deepEqual(digestTree(place.parent), before);
    });
  });
}

test("a reader without permission to write follows a writer at work", { skip, timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    openToReaders(place);
    await using reader = await WorkerProcess.start({ uid: nobody });
    await reader.call("open", { location: place.location, options: { readOnly: true } });
    // Until the next rotation: new segments are for the owner only.
    const store = await openSessionStore<Record<string, unknown>>(place.location);
    for (let n = 1; n <= 5; n += 1) {
      await store.patch(victimKey, { n });
      assert.deepEqual(await reader.call("get", { key: victimKey }), { ...victimEntry, n });
    }
    await store.close();
  });
});

test("somebody who may not write is told so when opening for writing, and changes nothing", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    openToReaders(place);
    const before = digestTree(place.parent);
    await using other = await WorkerProcess.start({ uid: nobody });
    await assert.rejects(other.call("open", { location: place.location }), {
      code: "unsafe_path",
      message: /belongs to user 0/,
    });
    assert.deepEqual(digestTree(place.parent), before);
    // Who may not even look at it gets that answer, and not "there is no store".
    fs.chmodSync(place.directory, 0o700);
    const reading = other.call("open", { location: place.location, options: { readOnly: true } });
    await assert.rejects(reading, { code: "permission_denied" });
  });
});

test("a superuser does not write into the store of another user, nor trust foreign files in it", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    for (const name of ["", ...fs.readdirSync(place.parent, { recursive: true, encoding: "utf8" })]) {
      fs.lchownSync(path.join(place.parent, name), nobody, nobody);
    }
    const before = digestTree(place.parent);
    await rejectsWith("unsafe_path", openSessionStore(place.location));
    const reading = await openSessionStore<Record<string, unknown>>(place.location, { readOnly: true });
    assert.deepEqual(await reading.get(victimKey), victimEntry);
    await reading.close();
    assert.deepEqual(digestTree(place.parent), before);

    await using owner = await WorkerProcess.start({ uid: nobody });
    await owner.call("open", { location: place.location });
    await owner.call("set", { key: victimKey, entry: { n: 2 } });
    await owner.call("close");
    // A file that somebody else put there is not taken for the store's own.
    fs.chmodSync(path.join(place.directory, "state.json"), 0o644);
    fs.lchownSync(path.join(place.directory, "state.json"), 0, 0);
    await assert.rejects(owner.call("open", { location: place.location }), { code: "unsafe_path" });
  });
});

/** What is hidden, and what that costs; all else is served. Whoever may not look is told so, and not that it is missing. */
const hidden: Record<string, { readonly part: string; readonly costs: Readonly<Record<string, string>> }> = {
  "the store": { part: "", costs: { open: "permission_denied" } },
  "the manifest": { part: "state.json", costs: { open: "permission_denied" } },
  "journal/": { part: "journal", costs: { open: "permission_denied" } },
  "the current segment": { part: "journal/<newest>", costs: { open: "permission_denied" } },
  // Kept for watchers only.
  "a checkpointed segment": { part: "journal/0000000000000001.jsonl", costs: {} },
  "entries/": { part: "entries", costs: { open: "permission_denied" } },
  "an entry file": { part: "entries/<victim>", costs: { get: "entry_damaged", patch: "entry_damaged" } },
  "trash/": { part: "trash", costs: { checkpoint: "permission_denied" } },
  "summary-index/": { part: "summary-index", costs: {} },
  "the head of the index": { part: "summary-index/head.json", costs: {} },
  "the commit lock": { part: "../sessions.d.lock", costs: { open: "permission_denied" } },
  "the checkpoint lock": { part: "../sessions.d.checkpoint.lock", costs: { open: "permission_denied" } },
  "the scan lock": { part: "../sessions.d.scan.lock", costs: { open: "permission_denied" } },
};

test("what its owner may not read is permission_denied where it is needed, and never missing", {
  skip,
  timeout,
}, async (t) => {
  await withPlace(async (template) => {
    await using owner = await WorkerProcess.start({ uid: nobody });
    fs.chownSync(template.parent, nobody, nobody);
    await owner.call("open", { location: template.location });
    for (const key of [victimKey, "healthy", "removed", "gone"]) await owner.call("set", { key, entry: victimEntry });
    await owner.call("remove", { key: "gone" });
    await owner.call("checkpoint");
    await owner.call("list");
    await owner.call("set", { key: "healthy", entry: { n: 1 } });
    await owner.call("close");
    for (const [what, { part, costs }] of Object.entries(hidden)) {
      await t.test(what, () =>
        withPlace(async (place) => {
          fs.cpSync(template.parent, place.parent, { recursive: true });
          for (const name of ["", ...fs.readdirSync(place.parent, { recursive: true, encoding: "utf8" })]) {
            fs.lchownSync(path.join(place.parent, name), nobody, nobody);
          }
          const newest = fs.readdirSync(path.join(place.directory, "journal")).sort().at(-1) as string;
          const name = part.replace("<newest>", newest).replace("<victim>", path.basename(entryPath(place, victimKey)));
          fs.chmodSync(path.join(place.directory, name), 0o000);
          assert.deepEqual(await costsFor(owner, place), costs);
        }),
      );
    }
  });
});

/** The codes of what was not served. */
async function costsFor(user: WorkerProcess, place: TemporaryPlace): Promise<Record<string, string>> {
  const costs: Record<string, string> = {};
  const attempt = async (name: string, call: () => Promise<unknown>): Promise<boolean> => {
    try {
      await call();
      return true;
    } catch (error) {
      assert.ok(error instanceof WorkerError, String(error));
      costs[name] = error.code;
      return false;
    }
  };
  if (!(await attempt("open", () => user.call("open", { location: place.location })))) return costs;
  assert.deepEqual(await user.call("get", { key: "healthy" }), { n: 1 });
  await attempt("get", async () => assert.deepEqual(await user.call("get", { key: victimKey }), victimEntry));
  await attempt("list", async () => assert.ok((await user.call("list")).includes("healthy")));
  await attempt("patch", () => user.call("set", { key: victimKey, entry: { n: 2 } }));
  await attempt("remove", () => user.call("remove", { key: "removed" }));
  await attempt("checkpoint", () => user.call("checkpoint"));
  await attempt("close", () => user.call("close"));
  return costs;
}
