/** What errors show of a session's key, and what becomes of those of the system. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromSystemError, SessionStoreError, shortenKey, translateIfOfSystem } from "../../src/errors.js";

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

test("an error of the system gets a code of ours; mistakes, Node's own errors and ours stay what they are", () => {
  const translated = (error: unknown) => translateIfOfSystem(error, { operation: "open the store", path: "/home" });
  const withCode = (code: unknown) => Object.assign(new Error("failed"), { code });
  for (const code of ["EIO", "ENOENT", "EOVERFLOW", "E2BIG"]) {
    assert.ok(translated(withCode(code)) instanceof SessionStoreError, code);
  }
  const others = ["ERR_INVALID_ARG_TYPE", "io_error", 5, undefined].map(withCode);
  const ours = new SessionStoreError("io_error", "x");
  for (const other of [...others, new TypeError("x"), ours, "EIO", undefined, { code: "EIO" }]) {
    assert.equal(translated(other), other);
  }
});

test("a directory with more files than a store can have is a limit, whatever the caller was about to do", () => {
  const cause = Object.assign(new Error("EOVERFLOW: more than 65536 entries"), { code: "EOVERFLOW" });
  const error = fromSystemError(cause, { operation: "open the store", path: "/home/agent/sessions.d" });
  assert.equal(error.code, "limit_exceeded");
  assert.match(
    error.message,
    /^open the store: a directory holds more files than a store can have \(EOVERFLOW\) - at /,
  );
  assert.equal(error.cause, cause);
});
