/** However a scan ends, it lets go of the listing that it stands in; and what a listener throws comes back as it is. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../../src/index.js";
import { withPlace } from "../../process/support/temporary-store.js";

const skip = process.platform !== "linux" && "skipped: needs linux";
const sessions = 1_200;

/** Descriptors of this process on directories below `parent`. */
function openDirectories(parent: string): string[] {
  return fs.readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      const target = fs.readlinkSync(`/proc/self/fd/${name}`);
      return target.startsWith(parent) && fs.statSync(target).isDirectory() ? [target] : [];
    } catch {
      return []; // Closed meanwhile: the listing of descriptors itself.
    }
  });
}

async function openWithSessions(location: string) {
  const store = await openSessionStore<{ n: number }>(location);
  await store.transaction(async (view) => {
    for (let n = 0; n < sessions; n += 1) view.set(`agent:main:${n}`, { n });
  });
  await store.checkpoint();
  return store;
}

test("a scan that ends early - by a break, a throw, an abort, a close - leaves no listing open", { skip }, async () => {
  await withPlace(async (place) => {
    const store = await openWithSessions(place.location);
    const before = openDirectories(place.parent).length;
    for await (const _ of store.entries()) break;
    await assert.rejects(async () => {
      for await (const _ of store.entries()) throw new Error("mine");
    }, /mine/);
    const aborting = new AbortController();
    await assert.rejects(
      async () => {
        for await (const _ of store.entries({ signal: aborting.signal })) aborting.abort();
      },
      { code: "aborted" },
    );
    assert.equal(openDirectories(place.parent).length, before);
    const scan = store.entries();
    await scan.next();
    await store.close();
    await scan.return?.(undefined as never);
    assert.deepEqual(openDirectories(place.parent), []);
  });
});

test("what onDamaged throws ends the scan as it is, and leaves no listing open", { skip }, async () => {
  await withPlace(async (place) => {
    const store = await openWithSessions(place.location);
    const entries = path.join(place.parent, "sessions.d", "entries");
    for (const name of fs.readdirSync(entries)) fs.writeFileSync(path.join(entries, name), "{");
    const before = openDirectories(place.parent).length;
    const mine = new Error("mine");
    const listen = () => {
      throw mine;
    };
    await assert.rejects(
      async () => {
        for await (const _ of store.entries({ onDamaged: listen })) assert.fail("all are damaged");
      },
      (error) => error === mine,
    );
    assert.equal(openDirectories(place.parent).length, before);
    await store.close();
  });
});
