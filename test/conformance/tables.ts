/** Keys and values that break careless stores. */

/** Ordinary data, whatever it looks like. All of them can be in one store at once; none is changed by normalising. */
export const hostileKeys: readonly string[] = [
  "__proto__",
  "constructor",
  "prototype",
  "tostring",
  "hasownproperty",
  "then",
  ".",
  "..",
  "/",
  "../../etc/passwd",
  "a/b/c",
  "c:\\windows\\system32",
  "con",
  "nul.json",
  "state.json",
  "session-x.json",
  "a b",
  "a\tb",
  "line\nbreak",
  "\u0001control\u001f",
  "\u007f",
  "quote\"'`",
  "%2e%2e%2f",
  "$(reboot)",
  "*",
  "-rf",
  "emoji 😀",
  "👩‍👩‍👧‍👦",
  "é (one code point)",
  "e\u0301 (two code points)",
  "аgent:main (cyrillic а)",
  "agent:main (latin a)",
  "\u202egnirts desrever",
  "a\u2028\u2029b",
  "\ufffd",
  "\u{10ffff}",
  "0",
  "-1",
  "null",
  "undefined",
  "true",
  "[object object]",
  "agent:main:main",
  "agent:main:main:",
  "agent::main",
  "a".repeat(120),
  "a".repeat(121),
  "b".repeat(512),
  "é".repeat(256),
  "😀".repeat(128),
];

/** Refused with `invalid_key` by every method, and the part of the message that says why. */
export const invalidKeys: readonly (readonly [unknown, RegExp])[] = [
  ["", /blank/],
  ["   ", /blank/],
  ["\t\n\u00a0\ufeff", /blank/],
  ["a\0b", /NUL/],
  ["\0", /NUL/],
  ["\ud800", /lone surrogate/],
  ["x\udc00y", /lone surrogate/],
  ["\udc00\ud800", /lone surrogate/],
  ["a".repeat(513), /513 bytes.*512/],
  ["é".repeat(257), /514 bytes.*512/],
  ["a".repeat(1_000_000), /1000000 bytes/],
  [undefined, /must be a string/],
  [null, /must be a string/],
  [42, /must be a string/],
  [{}, /must be a string/],
  [["a"], /must be a string/],
  [Symbol("a"), /must be a string/],
  [new String("a"), /must be a string/],
];

/** Entries that must come back exactly as they went in. */
export const roundTripEntries: readonly (readonly [string, Record<string, unknown>])[] = [
  ["no field", {}],
  ["all types of JSON", { s: "text", n: 1.5, t: true, f: false, z: null, a: [1, "two", [3]], o: { p: {} } }],
  ["empty containers", { a: [], o: {}, aa: [[], [[]]], oo: { x: {} } }],
  ["numbers at the edge", { max: 1.7976931348623157e308, min: 5e-324, safe: 2 ** 53 - 1, beyond: 2 ** 60, neg: -0.1 }],
  ["unicode", { text: "ä 漢字 😀 \u0000 \u001f \u007f \u2028 \u2029 \ufeff \u{10ffff}" }],
  ["lone surrogates", { text: "\ud800 a \udc00", "\ud800": 1 }],
  ["an own __proto__ field", JSON.parse('{"__proto__":{"polluted":true},"deep":{"__proto__":[1]},"x":1}')],
  ["an own __proto__ that is empty", JSON.parse('{"__proto__":{}}')],
  ["names of methods", { constructor: 1, toString: "x", hasOwnProperty: null, valueOf: {}, length: 3 }],
  ["a field named then", JSON.parse('{"then":"data"}')],
  ["the empty name", { "": { "": "" } }],
  ["names that look like numbers", { "1": "b", "0": "a", "-1": "c", "1.5": "d" }],
  ["long text", { text: "x".repeat(100_000), more: "é\n".repeat(20_000) }],
  ["many fields", Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`field${index}`, index]))],
  ["a long list", { list: Array.from({ length: 10_000 }, (_, index) => index) }],
  ["64 levels", nested(64)],
];

/** Refused with `invalid_entry`, and the path in the message. */
export const invalidEntries: readonly (readonly [string, () => unknown, RegExp])[] = [
  ["null", () => null, /entry is null/],
  ["a string", () => "text", /entry is a string/],
  ["an array", () => [1], /entry is an array/],
  ["a number", () => 5, /entry is a number/],
  ["a class instance", () => new (class Session {})(), /entry is an object of class Session/],
  ["NaN", () => ({ a: { b: [1, 2, 3, Number.NaN] } }), /entry\.a\.b\[3\] is NaN/],
  ["an infinity", () => ({ n: Number.NEGATIVE_INFINITY }), /entry\.n is -Infinity/],
  ["a BigInt", () => ({ n: 1n }), /entry\.n is a bigint/],
  ["a Date", () => ({ at: new Date(0) }), /entry\.at is an object of class Date/],
  ["a function", () => ({ fn() {} }), /entry\.fn is a function/],
  ["toJSON", () => ({ deep: { toJSON: () => 1 } }), /entry\.deep\.toJSON is a function/],
  ["a symbol", () => ({ s: Symbol("s") }), /entry\.s is a symbol/],
  ["a Map", () => ({ m: new Map() }), /entry\.m is an object of class Map/],
  ["a Buffer", () => ({ b: Buffer.from("x") }), /entry\.b is an object of class Buffer/],
  ["a boxed string", () => ({ s: new String("x") }), /entry\.s is an object of class String/],
  ["an array of a class", () => ({ a: new (class List extends Array {})() }), /entry\.a is an object of class List/],
  ["an inherited constructor as data", () => ({ constructor: Object }), /entry\.constructor is a function/],
  ["undefined in an array", () => ({ a: [1, undefined] }), /entry\.a\[1\] is undefined/],
  ["a hole in an array", () => ({ a: new Array(2) }), /entry\.a\[0\] is undefined/],
  ["an odd field name", () => ({ "odd name": { x: Number.NaN } }), /entry\["odd name"\]\.x is NaN/],
  ["a cycle", () => cycle(), /cycle/],
  ["a cycle through an array", () => cycleThroughArray(), /cycle/],
  ["65 levels", () => nested(65), /nested too deep.*64/],
  ["10,000 levels", () => nested(10_000), /nested too deep/],
];

/** An entry with so many levels, itself being the first. */
export function nested(levels: number): Record<string, unknown> {
  let value: Record<string, unknown> = { level: levels };
  for (let level = levels - 1; level >= 1; level--) value = { level, deeper: value };
  return value;
}

function cycle(): unknown {
  const value: Record<string, unknown> = { a: {} };
  (value.a as Record<string, unknown>).back = value;
  return value;
}

function cycleThroughArray(): unknown {
  const list: unknown[] = [1];
  list.push({ list });
  return { list };
}
