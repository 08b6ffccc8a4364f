/** Limits: exact at the border, refused before anything is written, with the figure and the limit in the message. */

import assert from "node:assert/strict";
import { rejectsWith } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";
import { nested } from "./tables.js";

const entryBytes = 2_000;

export function limitPromises({ promise }: Suite): void {
  promise(
    "an entry of exactly entryBytes is stored, one byte more is limit_exceeded",
    async ({ store }) => {
      for (const character of ["a", "é", "😀", "\n", "\u0001", "\ud800"]) {
        const exact = entryOf(entryBytes, character);
        await store.update("a", () => exact);
        assert.deepEqual(await store.get("a"), exact);
        const error = await rejectsWith(
          "limit_exceeded",
          store.update("b", () => ({ ...exact, [longer]: 1 })),
        );
        assert.match(error.message, /entryBytes/);
        assert.match(error.message, /2000/);
        assert.equal(await store.get("b"), undefined);
      }
      const tooLong = entryOf(entryBytes + 1, "a");
      const error = await rejectsWith(
        "limit_exceeded",
        store.update("b", () => tooLong),
      );
      assert.match(error.message, /2001/);
      await rejectsWith(
        "limit_exceeded",
        store.transaction((transaction) => transaction.set("b", tooLong)),
      );
      await rejectsWith("limit_exceeded", store.patch("b", tooLong, { createIfMissing: true }));
    },
    { limits: { entryBytes } },
  );

  promise(
    "an entry that grows by patches is stopped at the limit, and stays as it was",
    async ({ store }) => {
      await store.update("a", () => ({}));
      let count = 0;
      for (;;) {
        const next = { [`field${count}`]: "x".repeat(50) };
        const grown = { ...(await store.get("a")), ...next };
        const fits = Buffer.byteLength(JSON.stringify(grown)) <= entryBytes;
        const call =
          count % 2 === 0 ? store.patch("a", next) : store.update("a", (current) => ({ ...current, ...next }));
        if (!fits) {
          await rejectsWith("limit_exceeded", call);
          break;
        }
        await call;
        count++;
      }
      assert.equal(Object.keys((await store.get("a"))!).length, count);
      assert.ok(count > 20);
      await rejectsWith(
        "limit_exceeded",
        store.transaction((transaction) => transaction.patch("a", { more: "x".repeat(100) })),
      );
      await store.patch("a", { field0: undefined, other: "x".repeat(40) });
    },
    { limits: { entryBytes } },
  );

  promise(
    "a merge whose result would be too large is limit_exceeded",
    async ({ store }) => {
      await store.update("a", () => ({ n: 1 }));
      const call = store.update(
        "a",
        async (current) => {
          await store.patch("a", { theirs: "x".repeat(1_500) });
          return { ...current, mine: "x".repeat(1_500) };
        },
        { onConflict: "merge" },
      );
      await rejectsWith("limit_exceeded", call);
      assert.deepEqual(Object.keys((await store.get("a"))!), ["n", "theirs"]);
    },
    { limits: { entryBytes } },
  );

  promise(
    "an enormous entry is refused before it is walked to its end",
    async ({ store }) => {
      let doubling: unknown = "x";
      for (let level = 0; level < 60; level++) doubling = [doubling, doubling];
      await rejectsWith(
        "limit_exceeded",
        store.update("a", () => ({ doubling }) as AnyEntry),
      );
    },
    { limits: { entryBytes } },
  );

  promise(
    "nestingLevels and keyBytes are those of the store",
    async ({ store }) => {
      await store.update("a".repeat(20), () => nested(5));
      await rejectsWith(
        "invalid_entry",
        store.update("a", () => nested(6)),
      );
      const error = await rejectsWith("invalid_key", store.get("a".repeat(21)));
      assert.match(error.message, /21 bytes.*keyBytes.*20/);
    },
    { limits: { nestingLevels: 5, keyBytes: 20 } },
  );
}

const longer = "z";

/** An entry of so many bytes as compact JSON, filled with one character (and some ASCII to come out even). */
function entryOf(bytes: number, character: string): AnyEntry {
  const size = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
  const unit = size(character) - 2;
  const count = Math.floor((bytes - size({ t: "" })) / unit);
  const entry = { t: character.repeat(count) };
  entry.t += "a".repeat(bytes - size(entry));
  assert.equal(size(entry), bytes);
  return entry;
}
