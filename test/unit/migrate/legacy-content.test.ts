import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits } from "../../../src/limits.js";
import { type LegacyRules, parseLegacyContent } from "../../../src/migrate/legacy-content.js";

const rules: LegacyRules = { keyRule: "openclaw", limits: defaultLimits };
const parse = (text: string | Uint8Array, given = rules) =>
  parseLegacyContent(typeof text === "string" ? Buffer.from(text, "utf8") : text, given);

function sessionsOf(text: string, given = rules): Map<string, unknown> {
  const content = parse(text, given);
  assert.notEqual(content.state, "invalid", content.state === "invalid" ? content.reason : "");
  return new Map(content.state === "invalid" ? [] : content.entries);
}

function refusedOf(text: string | Uint8Array, given = rules): string[] {
  const content = parse(text, given);
  assert.notEqual(content.state, "invalid", content.state === "invalid" ? content.reason : "");
  return content.state === "invalid" ? [] : content.refused.map(({ key, reason }) => `${key}: ${reason}`);
}

function reasonOf(text: string | Uint8Array, given = rules): string {
  const content = parse(text, given);
  assert.equal(content.state, "invalid");
  return content.state === "invalid" ? content.reason : "";
}

test("every entry is taken, whatever its key is called", () => {
  const text =
    '{"__proto__":{"a":1},"constructor":{"b":2},"prototype":{"c":3},"..":{"d":4},"a/b":{"e":5},"🦞":{"f":6},"1":{}}';
  const sessions = sessionsOf(text);
  assert.deepEqual(
    [...sessions.keys()].sort(),
    ["..", "1", "__proto__", "a/b", "constructor", "prototype", "🦞"].sort(),
  );
  assert.equal(JSON.stringify(sessions.get("__proto__")), '{"a":1}');
  assert.equal(({} as Record<string, unknown>).a, undefined, "no prototype was touched");
});

test("a field called __proto__ is data in an entry too", () => {
  const entry = sessionsOf('{"main":{"__proto__":{"polluted":true},"x":{"__proto__":1}}}').get("main");
  assert.equal(JSON.stringify(entry), '{"__proto__":{"polluted":true},"x":{"__proto__":1}}');
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test("spellings of one key become the session with the newest updatedAt", () => {
  const sessions = sessionsOf(
    '{"Main":{"n":1,"updatedAt":5},"main":{"n":2,"updatedAt":9}," MAIN ":{"n":3,"updatedAt":7}}',
  );
  assert.deepEqual([...sessions], [["main", { n: 2, updatedAt: 9 }]]);
});

test("on a tie the later spelling wins, and a missing updatedAt counts as 0", () => {
  assert.deepEqual(sessionsOf('{"A":{"n":1,"updatedAt":5},"a":{"n":2,"updatedAt":5}}').get("a"), {
    n: 2,
    updatedAt: 5,
  });
  assert.deepEqual(sessionsOf('{"A":{"n":1},"a":{"n":2}}').get("a"), { n: 2 });
  assert.deepEqual(sessionsOf('{"A":{"n":1,"updatedAt":1},"a":{"n":2}}').get("a"), { n: 1, updatedAt: 1 });
  assert.deepEqual(sessionsOf('{"A":{"n":1},"a":{"n":2,"updatedAt":"9"}}').get("a"), { n: 2, updatedAt: "9" });
});

test("with exact keys every spelling is a session of its own", () => {
  const sessions = sessionsOf('{"Main":{"n":1},"main":{"n":2}}', { ...rules, keyRule: "exact" });
  assert.deepEqual([...sessions.keys()], ["Main", "main"]);
});

test("{} is an empty store, an empty or blank file is what an interrupted write leaves", () => {
  assert.equal(parse("{}").state, "empty");
  assert.equal(parse(" {\n}\n").state, "empty");
  assert.match(reasonOf(""), /is empty \(0 bytes\), which is what an interrupted write leaves/);
  assert.match(reasonOf(" \n"), /white space/);
});

test("what is not an object of sessions is refused with a reason", () => {
  assert.match(reasonOf("[]"), /holds an array/);
  assert.match(reasonOf("null"), /holds null/);
  assert.match(reasonOf("42"), /holds a number/);
  assert.match(reasonOf('{"main":{"a":1}'), /is neither strict JSON nor JSON5/);
  assert.match(reasonOf("\0\0\0\0"), /is neither strict JSON nor JSON5/);
  assert.match(reasonOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7b, 0x7d, 0x7d])), /not valid UTF-8/);
});

test("the reason never quotes the content of a session", () => {
  for (const text of [
    '{"main":{"token":"secret" oops}}',
    '{"main":secret}',
    "secret",
    '{"main":{"secret":1}',
    '"secret',
  ]) {
    assert.doesNotMatch(reasonOf(text), /secr/);
  }
});

test("a byte order mark and JSON5 are read, and reported", () => {
  const toleratedIn = (text: string) => {
    const content = parse(text);
    assert.ok(content.state === "valid");
    assert.deepEqual([...content.entries], [["main", { n: 1 }]]);
    return content.tolerated.join();
  };
  assert.equal(toleratedIn('{"main":{"n":1}}'), "");
  assert.match(toleratedIn('\ufeff{"main":{"n":1}}'), /^a byte order mark$/);
  assert.match(toleratedIn('{"main":{"n":1},}'), /^JSON5/);
  assert.match(toleratedIn("\ufeff// a comment\n{main: {'n': +1}}"), /^a byte order mark,JSON5/);
});

test("what JSON5 can say and no store can hold is refused with its path, and the rest is taken", () => {
  const text = "{bad: {list: [1, NaN]}, worse: {n: -Infinity}, good: {}}";
  assert.deepEqual([...sessionsOf(text).keys()], ["good"]);
  assert.deepEqual(refusedOf(text), [
    '"bad": entry.list[1] is NaN, which JSON cannot hold',
    '"worse": entry.n is -Infinity, which JSON cannot hold',
  ]);
  assert.equal(JSON.stringify(sessionsOf('{"a": {"__proto__": {"x": 1}},}').get("a")), '{"__proto__":{"x":1}}');
});

test("entries that cannot be taken are named with their reasons, and the rest is taken", () => {
  const refuses = (entry: string, reason: RegExp) => {
    const text = `{"good":{"n":1},${entry}}`;
    assert.deepEqual([...sessionsOf(text)], [["good", { n: 1 }]], entry.slice(0, 60));
    assert.equal(refusedOf(text).length, 1);
    assert.match(refusedOf(text)[0] as string, reason);
  };
  refuses('"k":null', /^"k": the entry is null, not an object$/);
  refuses('"k":[1]', /the entry is an array/);
  refuses('"k":"text"', /the entry is a string/);
  refuses('" ":{}', /^" ": the session key is blank$/);
  refuses(
    `"${"k".repeat(600)}":{}`,
    /^"k{60}\.\.\.k{16}": the session key has 600 bytes, the limit \(keyBytes\) is 512$/,
  );
  refuses('"\\ud800":{}', /lone surrogate/);
  refuses('"a\\u0000":{}', /NUL/);
  refuses('"k":{"n":1e999}', /number out of range/);
});

test("when no entry can be taken, the reason names the first ones and counts all", () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`key-${index}`, [index]]));
  const reason = reasonOf(JSON.stringify(many));
  assert.match(reason, /12 entries, of which none can be taken over: "key-0" .*"key-4".*, and 7 more$/);
  assert.doesNotMatch(reason, /key-5/);
  assert.ok(reasonOf(`{"${"k".repeat(100_000)}":{}}`).length < 400, "long keys are shortened");
});

test("nothing but null, false, 0 and empty text in place of entries is an empty store", () => {
  const content = parse('{"a":null,"b":false,"c":0,"d":""}');
  assert.ok(content.state === "empty");
  assert.deepEqual([content.sourceEntries, content.entries.size, content.refused.length], [4, 0, 4]);
});

test("spellings of one key are grouped", () => {
  const content = parse('{"Main":{},"other":{},"main":{}," MAIN":{}}');
  assert.ok(content.state === "valid");
  assert.deepEqual(content.duplicates, [['"Main"', '"main"', '" MAIN"']]);
});

test("an entry at the limits is taken, one above them is refused", () => {
  const nested = (levels: number) => `{"k":${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}}`;
  assert.equal(sessionsOf(nested(64)).size, 1);
  assert.match(reasonOf(nested(65)), /nested too deep: the limit is 64 levels/);
  assert.match(reasonOf(nested(100_000)), /nested too deep/);
  const small = { ...rules, limits: { ...defaultLimits, entryBytes: 100, sessions: 2 } };
  assert.equal(sessionsOf(`{"k":{"text":"${"x".repeat(89)}"}}`, small).size, 1);
  assert.match(reasonOf(`{"k":{"text":"${"x".repeat(90)}"}}`, small), /the limit \(entryBytes\) is 100/);
  assert.match(reasonOf('{"a":{},"b":{},"c":{}}', small), /3 sessions, the limit \(sessions\) is 2/);
});

test("any JSON object of objects with good keys comes back with equal values", () => {
  const key = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    .filter((text) => !/\0/.test(text) && text.trim() !== "");
  const entry = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(fc.dictionary(key, entry), (store) => {
      const text = JSON.stringify(store);
      const parsed = JSON.parse(text) as Record<string, unknown>;
      const sessions = sessionsOf(text, { ...rules, keyRule: "exact" });
      assert.deepEqual([...sessions.keys()].sort(), Object.keys(parsed).sort());
      for (const [name, value] of sessions) assert.equal(JSON.stringify(value), JSON.stringify(parsed[name]));
    }),
  );
});
