import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { privatizeEntry } from "../../../src/sessions/entry-value.js";
import { jsonEqual } from "../../../src/sessions/json-equal.js";
import { applyPatch, diffEntries, effectiveFields, mergeThreeWay } from "../../../src/sessions/patch.js";

const limits = { nestingLevels: 64, entryBytes: 1_000_000 };
const entryOf = (value: Record<string, unknown>) => privatizeEntry(value, limits);
const name = fc.constantFrom("a", "b", "c", "__proto__", "constructor");
const value = fc.constantFrom<unknown>(0, 1, "x", null, {}, [], { x: 1 }, [{ y: [1] }]);
const entry = fc
  .array(fc.tuple(name, value), { maxLength: 5 })
  .map((pairs) => entryOf(Object.fromEntries(pairs) as Record<string, unknown>));

test("a difference applied to the current entry gives the next one, and none means equal", () => {
  fc.assert(
    fc.property(entry, entry, (current, next) => {
      const difference = diffEntries(current, next);
      if (difference === undefined) {
        assert.deepEqual(current, next);
        return;
      }
      assert.notDeepEqual(current, next);
      const { set, unset, keptFields } = difference;
      assert.deepEqual(applyPatch(current, set, unset), next);
      assert.equal(keptFields, Object.keys(next).length - Object.keys(set).length);
      for (const field of Object.keys(set)) {
        assert.ok(!Object.hasOwn(current, field) || !jsonEqual(current[field], set[field]), "only what differs is set");
      }
      for (const field of unset) assert.ok(Object.hasOwn(current, field));
    }),
    { numRuns: 500 },
  );
});

test("only fields that change the entry are effective", () => {
  fc.assert(
    fc.property(entry, entry, fc.array(name), (current, set, unset) => {
      const wanted = { set, unset: [...new Set(unset)].filter((field) => !Object.hasOwn(set, field)) };
      const whole = applyPatch(current, wanted.set, wanted.unset);
      const effective = effectiveFields(current, wanted);
      if (effective === undefined) assert.deepEqual(whole, current);
      else assert.deepEqual(applyPatch(current, effective.set, effective.unset), whole);
      assert.equal(effective === undefined, diffEntries(current, whole) === undefined);
    }),
  );
});

test("a merge has every change of both sides, or is an overlap", () => {
  fc.assert(
    fc.property(entry, entry, entry, (base, mine, theirs) => {
      const merged = mergeThreeWay(base, mine, theirs);
      for (const field of ["a", "b", "c", "__proto__", "constructor"]) {
        const [was, my, their] = [base, mine, theirs].map((side) => read(side, field));
        const conflicting = was !== my && was !== their && my !== their;
        if (merged === "overlap") continue;
        assert.ok(!conflicting, field);
        assert.equal(read(merged, field), was === my ? their : my, field);
      }
      if (merged === "overlap") {
        const some = ["a", "b", "c", "__proto__", "constructor"].some((field) => {
          const [was, my, their] = [base, mine, theirs].map((side) => read(side, field));
          return was !== my && was !== their && my !== their;
        });
        assert.ok(some, "an overlap names a field that both changed differently");
      }
    }),
    { numRuns: 1_000 },
  );
});

test("a merge with a removed session is an overlap, two creations merge by field", () => {
  assert.equal(mergeThreeWay(entryOf({ a: 1 }), entryOf({ a: 2 }), undefined), "overlap");
  assert.deepEqual(mergeThreeWay(undefined, entryOf({ a: 1, b: 1 }), entryOf({ a: 1, c: 1 })), { a: 1, b: 1, c: 1 });
  assert.equal(mergeThreeWay(undefined, entryOf({ a: 1 }), entryOf({ a: 2 })), "overlap");
});

test("equality ignores the order of fields and nothing else", () => {
  assert.ok(jsonEqual({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }));
  for (const [left, right] of [
    [{ a: 1 }, { a: 1, b: 1 }],
    [{ a: 1 }, { b: 1 }],
    [
      [1, 2],
      [2, 1],
    ],
    [[], {}],
    [{}, null],
    [{ a: null }, {}],
    [{ length: 0 }, []],
    ["1", 1],
    [JSON.parse('{"__proto__":{}}'), {}],
    [JSON.parse('{"constructor":1}'), { x: 1 }],
  ]) {
    assert.ok(!jsonEqual(left, right) && !jsonEqual(right, left), JSON.stringify([left, right]));
  }
});

/** The field as text, so that two of them can be compared. */
function read(side: object, field: string): string {
  return Object.hasOwn(side, field) ? JSON.stringify((side as Record<string, unknown>)[field]) : "absent";
}
