/** What errors show of a session's key. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionStoreError, shortenKey } from "../../src/errors.js";

test("no character of a key that a terminal obeys reaches a message; `error.key` is the key itself, whole", () => {
  const key = "a\u0000\u001b[31m\u007f\u009b31m\u0085\u200b\u202egnp\u2028\u2066\u{e0001}\ud800z";
  const error = new SessionStoreError("not_found", "there is no such session", { key });
  assert.doesNotMatch(error.message, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  assert.match(error.message, /\\u009b31m/);
  assert.equal(error.key, key);
  const long = "k".repeat(500);
  assert.equal(new SessionStoreError("not_found", "there is no such session", { key: long }).key, long);
});

test("a plain key is shown as it is, and a long one by both ends", () => {
  assert.equal(shortenKey("agent:main:漢🎉"), '"agent:main:漢🎉"');
  const shown = shortenKey(`${"a".repeat(100)}-the-end`);
  assert.ok(shown.length <= 82 && shown.endsWith('-the-end"'), shown);
});
