import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SessionSummary } from "../../../src/contract.js";
import { pageOfSummaries } from "../../../src/sessions/query.js";

const summaries = fc
  .uniqueArray(fc.record({ key: fc.string({ maxLength: 4 }), updatedAt: fc.option(fc.nat(5), { nil: undefined }) }), {
    selector: ({ key }) => key,
    maxLength: 60,
  })
  .map((list) =>
    list.map(
      ({ key, updatedAt }): SessionSummary => ({
        key,
        kind: "other",
        ...(updatedAt === undefined ? {} : { updatedAt }),
      }),
    ),
  );

test("the pages together are the sorted whole, for every size, order and number of sessions", () => {
  fc.assert(
    fc.property(
      summaries,
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom("key", "updatedAt"),
      (all, limit, order) => {
        const typedOrder = order as "key" | "updatedAt";
        const keys: string[] = [];
        let cursor: string | undefined;
        do {
          const page = pageOfSummaries(all, { order: typedOrder, limit, ...(cursor === undefined ? {} : { cursor }) });
          assert.ok(page.sessions.length <= limit);
          assert.ok(page.nextCursor === undefined || page.sessions.length === limit);
          keys.push(...page.sessions.map(({ key }) => key));
          cursor = page.nextCursor;
        } while (cursor !== undefined);
        const time = ({ updatedAt }: SessionSummary) => updatedAt ?? Number.NEGATIVE_INFINITY;
        const byKey = (left: SessionSummary, right: SessionSummary) => (left.key < right.key ? -1 : 1);
        const sorted = [...all].sort((left, right) =>
          typedOrder === "key" || time(left) === time(right) ? byKey(left, right) : time(right) - time(left),
        );
        assert.deepEqual(
          keys,
          sorted.map(({ key }) => key),
        );
      },
    ),
  );
});

test("a cursor is bound to its order, and damaged ones are invalid_cursor", () => {
  const all: SessionSummary[] = ["a", "b", "c"].map((key) => ({ key, kind: "other" }));
  const { nextCursor } = pageOfSummaries(all, { limit: 1 });
  assert.equal(pageOfSummaries(all, { limit: 1, cursor: nextCursor! }).sessions[0]?.key, "b");
  for (const cursor of [`${nextCursor}x`.slice(3), "", "bnVsbA", "W10"]) {
    assert.throws(() => pageOfSummaries(all, { cursor }), { code: "invalid_cursor" });
  }
  assert.throws(() => pageOfSummaries(all, { cursor: nextCursor!, order: "key" }), { code: "invalid_cursor" });
});
