import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SessionStoreError } from "../../../src/errors.js";
import { keyProblem, normalizeKey } from "../../../src/sessions/keys.js";

test("normalising a normalised key changes nothing, and every key is either normalised or invalid_key", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom("openclaw", "exact"), (key, rule) => {
      let normalized: string;
      try {
        normalized = normalizeKey(key, rule as "openclaw" | "exact", 60);
      } catch (error) {
        assert.ok(error instanceof SessionStoreError && error.code === "invalid_key");
        return;
      }
      assert.equal(keyProblem(normalized, 60), undefined);
      assert.equal(normalizeKey(normalized, rule as "openclaw" | "exact", 60), normalized);
      if (rule === "exact") assert.equal(normalized, key);
    }),
    { numRuns: 500 },
  );
});

test("the limit counts UTF-8 bytes of the normalised key", () => {
  assert.equal(normalizeKey(`  ${"é".repeat(5)}  `, "openclaw", 10), "é".repeat(5));
  assert.throws(() => normalizeKey("é".repeat(5), "exact", 9), /10 bytes.*keyBytes.*9/);
  // Lower-casing may make a key longer: one code point of two bytes becomes two of three.
  assert.throws(() => normalizeKey("İ", "openclaw", 2), /3 bytes/);
  assert.equal(normalizeKey("İ", "exact", 2), "İ");
});

test("the shortcut for plain ASCII keys accepts nothing that the full check refuses", () => {
  for (let code = 0; code < 0x180; code++) {
    for (const key of [String.fromCharCode(code), `a${String.fromCharCode(code)}`, `${String.fromCharCode(code)}a`]) {
      const problem = keyProblem(key, 10);
      if (problem === undefined) assert.equal(normalizeKey(key, "exact", 10), key);
      else assert.throws(() => normalizeKey(key, "exact", 10), SessionStoreError);
    }
  }
});
