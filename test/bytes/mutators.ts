/**
 * Ways to spoil bytes: what disks, editors, merges and careless programs do, and - with the checksum made right again -
 * what only a newer version, a bug or a hostile hand would do.
 */

import type { SeededRandom } from "../sim/random.js";
import { sealLine, sealText } from "./honest-store.js";

export type Mutator = (bytes: Uint8Array, random: SeededRandom, other: Uint8Array) => Uint8Array;

/** For any file. `other` is a file of the same kind. */
export const byteMutators: Readonly<Record<string, Mutator>> = {
  flip: (bytes, random) => {
    if (bytes.length === 0) return bytes;
    const copy = Uint8Array.from(bytes);
    copy[random.below(copy.length)]! ^= 1 << random.below(8);
    return copy;
  },
  insert: (bytes, random) => replaceAt(bytes, random.below(bytes.length + 1), 0, random.bytes(1 + random.below(8))),
  delete: (bytes, random) => replaceAt(bytes, random.below(bytes.length + 1), 1 + random.below(16)),
  cut: (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  zeroTail: (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return replaceAt(bytes, at, bytes.length - at, new Uint8Array(bytes.length - at));
  },
  zeroRun: (bytes, random) => {
    const length = 1 + random.below(random.pick([4, 64, 4096]));
    return replaceAt(bytes, random.below(bytes.length + 1), random.chance(0.5) ? length : 0, new Uint8Array(length));
  },
  crlf: (bytes) => latin(text(bytes).replaceAll("\n", "\r\n")),
  byteOrderMark: (bytes) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]),
  invalidUtf8: (bytes, random) => {
    const bad = random.pick([[0xff], [0xc0, 0x80], [0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]);
    return replaceAt(bytes, random.below(bytes.length + 1), random.below(2), Uint8Array.from(bad));
  },
  splice: (bytes, random, other) =>
    Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1))]),
  append: (bytes, _, other) => Buffer.concat([bytes, other]),
  empty: () => new Uint8Array(0),
};

/** For files of lines. */
export const lineMutators: Readonly<Record<string, Mutator>> = {
  duplicateLine: (bytes, random) => {
    const lines = linesOf(bytes);
    const from = random.below(lines.length);
    lines.splice(random.chance(0.5) ? from : random.below(lines.length), 0, lines[from] ?? "");
    return latin(lines.join(""));
  },
  reorderLines: (bytes, random) => {
    const lines = linesOf(bytes);
    const [line = ""] = lines.splice(random.below(lines.length), 1);
    lines.splice(random.below(lines.length + 1), 0, line);
    return latin(lines.join(""));
  },
  dropLines: (bytes, random) => {
    const lines = linesOf(bytes);
    lines.splice(random.below(lines.length), random.pick([1, 1, 2, lines.length]));
    return latin(lines.join(""));
  },
  dropAllButLast: (bytes) => latin(linesOf(bytes).slice(-1).join("")),
  spliceLines: (bytes, random, other) => {
    const mine = linesOf(bytes);
    const theirs = linesOf(other);
    return latin(
      [...mine.slice(0, random.below(mine.length + 1)), ...theirs.slice(random.below(theirs.length + 1))].join(""),
    );
  },
  damageLine: (bytes, random) => {
    const lines = linesOf(bytes);
    const index = random.below(lines.length);
    lines[index] = (lines[index] ?? "").replace(/\d(?!.*\d)/s, (digit) => (digit === "7" ? "8" : "7"));
    return latin(lines.join(""));
  },
  resealLine: (bytes, random) => {
    const lines = linesOf(bytes);
    const index = random.below(lines.length);
    const json = utf8(lines[index] ?? "").replace(/,"checksum":"[^"]*"\}\n$/s, "}");
    const edited = editJson(json, random);
    if (edited !== undefined) lines[index] = latinOf(sealLine(edited));
    return latin(lines.join(""));
  },
};

/** For documents. */
export const documentMutators: Readonly<Record<string, Mutator>> = {
  resealDocument: (bytes, random) => {
    const edited = editJson(Buffer.from(bytes).toString("utf8"), random, 2);
    return edited === undefined ? bytes : sealText(`${edited}\n`);
  },
  changeWithoutSealing: (bytes, random) => {
    const edited = editJson(Buffer.from(bytes).toString("utf8"), random, 2);
    return edited === undefined ? bytes : Buffer.from(`${edited}\n`, "utf8");
  },
};

const rawMark = "\u0001raw\u0001";

/** Replaces one value somewhere in a JSON text by a nasty one; the rest keeps its meaning. */
export function editJson(json: string, random: SeededRandom, indent?: number): string | undefined {
  let root: unknown;
  try {
    root = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof root !== "object" || root === null) return undefined;
  const places = random.chance(0.3) ? placesIn(root, 1) : placesIn(root);
  if (places.length === 0) return undefined;
  const { holder, name } = random.pick(places);
  const raw = nastyValue(random, name, holder[name]);
  if (random.chance(0.15)) delete holder[name];
  else Object.defineProperty(holder, name, { value: rawMark, enumerable: true, writable: true, configurable: true });
  return JSON.stringify(root, null, indent).replace(JSON.stringify(rawMark), () => raw);
}

/** Every value in there, by what holds it. */
function placesIn(value: object, levels = 20): { holder: Record<string, unknown>; name: string }[] {
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((name) => {
    const part = holder[name];
    const inner = typeof part === "object" && part !== null && levels > 1 ? placesIn(part, levels - 1) : [];
    return [{ holder, name }, ...inner];
  });
}

function nastyValue(random: SeededRandom, name: string, value: unknown): string {
  const same = JSON.stringify(value);
  const levels = random.pick([62, 63, 64, 65, 253, 254, 255, 256, 257, 1_500]);
  return random.pick([
    "1e999",
    "-1e999",
    "9007199254740991",
    "9007199254740993",
    "123456789012345678901234567890",
    "-1",
    "-0",
    "0",
    "1",
    "2",
    "1.5",
    "null",
    "true",
    "[]",
    "{}",
    '""',
    '"rotated"',
    '"fenced"',
    '"\\ud800"',
    '"__proto__"',
    '{"__proto__":{"polluted":true},"constructor":1}',
    typeof value === "number" ? String(value + random.pick([-2, -1, 1, 2])) : same,
    `${"[".repeat(levels)}${"]".repeat(levels)}`,
    `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`,
    `${same},${JSON.stringify(name)}:${random.pick(["1", "null", same, '"x"'])}`,
  ]);
}

/** Replaces `removed` bytes at an offset. */
function replaceAt(
  bytes: Uint8Array,
  at: number,
  removed: number,
  inserted: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
}

/** Lines with their newlines, one character for each byte. */
function linesOf(bytes: Uint8Array): string[] {
  return text(bytes).match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function latin(characters: string): Uint8Array {
  return Buffer.from(characters, "latin1");
}

function utf8(characters: string): string {
  return Buffer.from(characters, "latin1").toString("utf8");
}

function latinOf(unicode: string): string {
  return Buffer.from(unicode, "utf8").toString("latin1");
}
