import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  estimateJsonBytes,
  freezeParsedJson,
  isOurFrozen,
  privatizeChanges,
  privatizeEntry,
  privatizeFields,
} from "../../../src/sessions/entry-value.js";
import { applyPatch } from "../../../src/sessions/patch.js";

const limits = { nestingLevels: 64, entryBytes: 1_000_000 };
const jsonObject = fc
  .dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 4, noUnicodeString: false }), { maxKeys: 8 })
  .map((entry) => JSON.parse(JSON.stringify(entry)) as Record<string, unknown>);

test("a private copy is equal to its source, frozen everywhere and shares nothing that can change", () => {
  fc.assert(
    fc.property(jsonObject, (source) => {
      const copy = privatizeEntry(source, limits);
      assert.deepEqual(copy, source);
      assert.equal(JSON.stringify(copy), JSON.stringify(source));
      visit(copy, (part) => assert.ok(Object.isFrozen(part) && isOurFrozen(part)));
      visit(source, (part) => assert.ok(!Object.isFrozen(part) && !isOurFrozen(part)));
    }),
  );
});

test("a value that was frozen before is shared, not copied", () => {
  const first = privatizeEntry({ large: { list: [1, { x: 1 }] } }, limits);
  const second = privatizeEntry({ again: first.large, deeper: { more: first.large } }, limits);
  assert.equal(second.again, first.large);
  assert.equal((second.deeper as { more: unknown }).more, first.large);
  assert.equal(privatizeEntry(first, limits), first);
});

test("an object that merely is frozen is copied: who froze it may still know its unfrozen parts", () => {
  const inner = { n: 1 };
  const copy = privatizeEntry({ outer: Object.freeze({ inner }) }, limits);
  inner.n = 2;
  assert.deepEqual(copy, { outer: { inner: { n: 1 } } });
});

test("parsed JSON is frozen in place, and as a whole counts as ours", () => {
  const parsed = JSON.parse('{"a":[{"b":1}],"__proto__":{"c":2}}') as Record<string, unknown>;
  assert.equal(freezeParsedJson(parsed), parsed);
  visit(parsed, (part) => assert.ok(Object.isFrozen(part)));
  assert.ok(isOurFrozen(parsed));
  assert.equal(privatizeEntry(parsed, limits), parsed);
  assert.equal(freezeParsedJson(null), null);
  assert.equal(freezeParsedJson("text"), "text");
});

test("parsed JSON with too many levels or a number out of range is refused without overflowing the stack", () => {
  const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as unknown;
  assert.throws(() => freezeParsedJson(deep), { code: "invalid_entry" });
  assert.throws(() => freezeParsedJson(JSON.parse('{"n":1e999}')), { code: "invalid_entry" });
  assert.throws(() => freezeParsedJson(JSON.parse("[[[]]]"), 2), { code: "invalid_entry" });
  assert.doesNotThrow(() => freezeParsedJson(JSON.parse("[[[]]]"), 3));
});

test("the estimate of bytes is never below a sixth of the truth and hardly ever above it", () => {
  fc.assert(
    fc.property(jsonObject, jsonObject, (source, patch) => {
      const copy = privatizeEntry(source, limits);
      const patched = applyPatch(copy, privatizeEntry(patch, limits), Object.keys(source).slice(0, 1));
      const parsed = freezeParsedJson(JSON.parse(JSON.stringify(source)) as object);
      for (const value of [copy, patched, parsed, source]) {
        const bytes = Buffer.byteLength(JSON.stringify(value));
        let containers = 0;
        visit(value, () => containers++);
        const estimate = estimateJsonBytes(value);
        assert.ok(estimate * 6 >= bytes, `${estimate} for ${bytes}`);
        assert.ok(estimate <= bytes + containers, `${estimate} for ${bytes}`);
      }
    }),
  );
});

test("a patched entry knows its bytes and levels as if it had been copied whole", () => {
  fc.assert(
    fc.property(jsonObject, jsonObject, (source, patch) => {
      const patched = applyPatch(privatizeEntry(source, limits), privatizeEntry(patch, limits), []);
      const whole = privatizeEntry(JSON.parse(JSON.stringify(patched)), limits);
      assert.equal(estimateJsonBytes(patched), estimateJsonBytes(whole));
      // Levels show only where they reach a limit.
      for (let nestingLevels = 1; nestingLevels <= 8; nestingLevels++) {
        assert.equal(fits(patched, nestingLevels), fits(JSON.parse(JSON.stringify(patched)), nestingLevels));
      }
    }),
  );
});

test("fields given as undefined are unset, the others set", () => {
  const { set, unset } = privatizeFields({ a: 1, b: undefined, ["__proto__"]: { c: 1 } }, limits);
  assert.deepEqual([...unset], ["b"]);
  assert.deepEqual(Object.keys(set), ["a", "__proto__"]);
});

test("the changes against a base, applied to it, give the entry itself", () => {
  fc.assert(
    fc.property(jsonObject, jsonObject, fc.boolean(), (source, other, related) => {
      const base = privatizeEntry(source, limits);
      const next = related ? { ...base, ...other } : other;
      for (const name of Object.keys(source).slice(0, 1)) delete next[name];
      const { set, unset } = privatizeChanges(next, base, limits);
      assert.deepEqual({ ...applyPatch(base, set, unset) }, next);
    }),
  );
});

test("a field named like an inherited one is neither skipped nor trusted", () => {
  const base = privatizeEntry({ n: 1 }, limits);
  assert.throws(
    () => privatizeChanges({ n: 1, constructor: Object }, base, limits),
    /entry\.constructor is a function/,
  );
  const hostile = JSON.parse('{"n":1}') as Record<string, unknown>;
  Object.defineProperty(hostile, "__proto__", { value: Object.prototype, enumerable: true });
  assert.deepEqual(Object.keys(privatizeChanges(hostile, base, limits).set), ["__proto__"]);
  assert.ok(!Object.isFrozen(Object.prototype));
});

test("the message of a very deep path stays short", () => {
  let value: unknown = Number.NaN;
  for (let level = 0; level < 60; level++) value = { level: value };
  assert.throws(
    () => privatizeEntry(value, limits),
    (error: Error) => error.message.length < 200 && error.message.includes("..."),
  );
});

function fits(value: unknown, nestingLevels: number): boolean {
  try {
    privatizeEntry({ inside: value }, { ...limits, nestingLevels });
    return true;
  } catch {
    return false;
  }
}

function visit(value: unknown, see: (part: object) => void): void {
  if (typeof value !== "object" || value === null) return;
  see(value);
  for (const part of Object.values(value)) visit(part, see);
}

test("a value that holds one array very many times is refused before it is written out", () => {
  let value: unknown = ["x".repeat(100)];
  for (let level = 0; level < 16; level += 1) value = [value, value];
  assert.throws(() => privatizeEntry({ value }, { nestingLevels: 64, entryBytes: 1_000 }), { code: "limit_exceeded" });
});
