import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isBlockedObjectKey,
  normalizeLowercaseStringOrEmpty,
  normalizeOptionalLowercaseString,
  normalizeOptionalString,
  normalizeStringifiedOptionalString,
  stableStringify,
} from "../../../src/openclaw/index.js";
import { emptyRecord, ownValue, setOwnValue } from "../../../src/openclaw/prototype-keys.js";

const notStrings = [undefined, null, 1, true, {}, [], Symbol("s")];

test("normalizeOptionalString trims, and what is empty or no string is undefined", () => {
  assert.equal(normalizeOptionalString("  A b "), "A b");
  for (const blank of ["", " ", "\t\n", ...notStrings]) assert.equal(normalizeOptionalString(blank), undefined);
});

test("normalizeOptionalLowercaseString is that in lower case", () => {
  assert.equal(normalizeOptionalLowercaseString("  A b "), "a b");
  for (const blank of [" ", ...notStrings]) assert.equal(normalizeOptionalLowercaseString(blank), undefined);
});

test("normalizeLowercaseStringOrEmpty is that or the empty string", () => {
  assert.equal(normalizeLowercaseStringOrEmpty(" X "), "x");
  for (const blank of [" ", ...notStrings]) assert.equal(normalizeLowercaseStringOrEmpty(blank), "");
});

test("normalizeStringifiedOptionalString also accepts number, boolean and bigint", () => {
  assert.equal(normalizeStringifiedOptionalString(42), "42");
  assert.equal(normalizeStringifiedOptionalString(false), "false");
  assert.equal(normalizeStringifiedOptionalString(7n), "7");
  assert.equal(normalizeStringifiedOptionalString(" x "), "x");
  for (const other of [undefined, null, {}, []]) assert.equal(normalizeStringifiedOptionalString(other), undefined);
});

test("isBlockedObjectKey is true for exactly __proto__, prototype and constructor", () => {
  for (const key of ["__proto__", "prototype", "constructor"]) assert.equal(isBlockedObjectKey(key), true);
  for (const key of ["", "proto", "Constructor", " __proto__", "toString", "hasOwnProperty"])
    assert.equal(isBlockedObjectKey(key), false);
});

test("a value of the prototype is nobody's own, and an own one can have any name", () => {
  for (const record of [{} as Record<string, number>, emptyRecord<number>()]) {
    for (const key of ["__proto__", "constructor", "toString"]) assert.equal(ownValue(record, key), undefined);
    for (const key of ["__proto__", "constructor"]) {
      setOwnValue(record, key, 1);
      assert.equal(ownValue(record, key), 1);
    }
    assert.deepEqual(Object.keys(record), ["__proto__", "constructor"]);
    setOwnValue(record, "__proto__", 2);
    assert.equal(ownValue(record, "__proto__"), 2);
    assert.equal(Reflect.deleteProperty(record, "__proto__"), true);
  }
  assert.equal(ownValue(undefined, "a"), undefined);
  assert.equal(ownValue(null, "a"), undefined);
});

test("stableStringify writes JSON with sorted keys at every level", () => {
  const text = stableStringify({ b: [{ d: 1, c: "x" }, null], a: true });
  assert.equal(text, '{"a":true,"b":[{"c":"x","d":1},null]}');
  assert.equal(stableStringify({ a: true, b: [{ c: "x", d: 1 }, null] }), text);
});

test("stableStringify writes undefined as null, wherever it stands", () => {
  assert.equal(stableStringify(undefined), "null");
  assert.equal(stableStringify([undefined]), "[null]");
  assert.notEqual(stableStringify({ a: undefined }), stableStringify({}));
});

test("stableStringify refuses what JSON refuses, and takes a value that is there twice", () => {
  const ring: Record<string, unknown> = {};
  ring.self = ring;
  assert.throws(() => stableStringify(ring), TypeError);
  assert.throws(() => stableStringify(1n), TypeError);
  const twice = { x: 1 };
  assert.equal(stableStringify([twice, twice]), '[{"x":1},{"x":1}]');
  assert.equal(stableStringify(new Date(0)), '"1970-01-01T00:00:00.000Z"');
  assert.equal(stableStringify(JSON.parse('{"__proto__":1}')), '{"__proto__":1}');
});
