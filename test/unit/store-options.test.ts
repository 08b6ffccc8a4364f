import assert from "node:assert/strict";
import { test } from "node:test";
import { checkOptions } from "../../src/options.js";

const known = ["durability", "readOnly", "migrate", "lockWaitMs", "conflictWaitMs", "logger"];

test("a misspelt option says which one was meant", () => {
  for (const [given, meant] of [
    ["durabilty", "durability"],
    ["readonly", "readOnly"],
    ["LOCKWAITMS", "lockWaitMs"],
    ["lockWait", "lockWaitMs"],
    ["loger", "logger"],
    ["migrates", "migrate"],
  ]) {
    assert.throws(() => checkOptions({ [given!]: 1 }, known, "openSessionStore"), {
      code: "invalid_option",
      message: new RegExp(`openSessionStore: .*"${given}".*Did you mean "${meant}"`),
    });
  }
});

test("an option like no other lists what there is", () => {
  assert.throws(() => checkOptions({ zzzzzz: 1 }, known, "open"), /durability, readOnly/);
  assert.throws(() => checkOptions(JSON.parse('{"__proto__":1}'), known, "open"), { code: "invalid_option" });
});

test("options that are no object are refused, absent ones are fine", () => {
  for (const given of [null, 5, "text", [], () => {}]) {
    assert.throws(() => checkOptions(given, known, "open"), { code: "invalid_option" });
  }
  checkOptions(undefined, known, "open");
  checkOptions({}, known, "open");
  checkOptions({ readOnly: true, logger: undefined }, known, "open");
});
