/** What is refused as a session key, by name: the full check and its shortcut are not only compared with each other. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyRule } from "../../../src/contract.js";
import { keyProblem, normalizeKey } from "../../../src/sessions/keys.js";

const rules: readonly KeyRule[] = ["openclaw", "exact"];

const refused: Record<string, [keys: readonly string[], why: RegExp]> = {
  "a blank key": [["", " ", "\t\n", "\u00a0", "\ufeff"], /blank/],
  "a NUL character": [["a\0b", "\0", "é\0", "a\0"], /NUL/],
  "a lone surrogate": [["\ud800", "a\udc00", "\udc00\ud800", "a\ud83d"], /lone surrogate/],
  "more than keyBytes": [["a".repeat(11), "é".repeat(6), "😀😀😀", "x y".repeat(4)], /the limit \(keyBytes\) is 10/],
};
for (const [what, [keys, why]] of Object.entries(refused)) {
  test(`${what} is invalid_key under every rule, and the message says so`, () => {
    for (const key of keys) {
      assert.match(keyProblem(key, 10) as string, why, JSON.stringify(key));
      for (const rule of rules) {
        assert.throws(() => normalizeKey(key, rule, 10), { code: "invalid_key", message: why }, JSON.stringify(key));
      }
    }
  });
}

test("everything else up to keyBytes is an ordinary key", () => {
  for (const key of ["a".repeat(10), "é".repeat(5), "😀😀", "__proto__", "..", "a/b", "a b", "\u0001"]) {
    assert.equal(keyProblem(key, 10), undefined, JSON.stringify(key));
    assert.equal(normalizeKey(key, "exact", 10), key);
  }
});
