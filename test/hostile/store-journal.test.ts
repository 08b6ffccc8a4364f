/**
 * Journals that somebody or something wrote into: intact records in places where they cannot be, and bytes that are none.
 * What an acknowledged commit needs is refused as damage and left as it is; what nobody was promised is cut by the next
 * writer, who keeps a copy. `repair` brings both back, with every original.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import { type OpenOptions, openSessionStore, SessionStoreError } from "../../src/index.js";
import { sealLine } from "../bytes/honest-store.js";
import { type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { openBelow } from "./support/services.js";
import { contentOf, digestTree, healthyKeys, keepNothing } from "./support/store-tree.js";

const timeout = 30_000;

/** The lines of a segment of five commits - each puts a session of its own -, to what shall be there instead. */
type Spoil = (lines: string[]) => string | Buffer;

/** The same line with another version, as text, and a checksum that fits. */
function versioned(line: string, version: number | string): string {
  return sealLine(withoutChecksum(line).replace(/"version":\d+/, `"version":${version}`));
}

function ofAnotherStore(line: string): string {
  return sealLine(withoutChecksum(line).replace(/"store":"\w+"/, `"store":"${"f".repeat(32)}"`));
}

function withoutChecksum(line: string): string {
  return line.replace(/,"checksum":"\w+"\}\n$/, "}");
}

const atLine =
  (number: number, change: (line: string) => string): Spoil =>
  (lines) =>
    lines.map((line, index) => (index === number ? change(line) : line)).join("");

/**
 * What becomes of the journal: it is "kept", its end is "cut" by the next writer, it is "refused" as `store_damaged` until
 * it is repaired, or it is "foreign": of a newer version, and not to be repaired by this one. And which sessions there are
 * in the end.
 */
type Fate = [spoil: Spoil, becomes: "kept" | "cut" | "refused" | "foreign", sessions: string];
const all = "__proto__ healthy:0 healthy:1 healthy:2 last";

const journals: Record<string, Fate> = {
  "nothing wrong in it": [(lines) => lines.join(""), "kept", all],
  "a record that is there twice": [([a, b, ...rest]) => [a, b, b, ...rest].join(""), "refused", all],
  "a record that is there twice, at the end": [(lines) => [...lines, lines.at(-1)].join(""), "refused", all],
  "two records of one version": [atLine(2, (line) => versioned(line, 2)), "refused", all],
  "a record missing": [(lines) => lines.toSpliced(2, 1).join(""), "refused", "__proto__ healthy:0 healthy:1 last"],
  "a version left out": [atLine(4, (line) => versioned(line, 6)), "refused", all],
  "records in another order": [([a, b, c, ...rest]) => [a, c, b, ...rest].join(""), "refused", all],
  "a version above 2^53": [atLine(4, (line) => versioned(line, "9007199254740993")), "foreign", ""],
  "the version 2^53": [(lines) => lines.join("") + versioned(lines[4] as string, "9007199254740992"), "foreign", ""],
  "a version of 1e400": [atLine(4, (line) => versioned(line, "1e400")), "foreign", ""],
  "a version that is text": [atLine(2, (line) => versioned(line, '"3"')), "foreign", ""],
  "a negative version": [(lines) => lines.join("") + versioned(lines[4] as string, "-1"), "foreign", ""],
  "a record of another store": [atLine(0, ofAnotherStore), "refused", all],
  "a byte order mark": [(lines) => `\ufeff${lines.join("")}`, "refused", all],
  "zeros in the middle": [
    atLine(2, (line) => "\0".repeat(line.length)),
    "refused",
    "__proto__ healthy:0 healthy:1 last",
  ],
  "zeros at the end": [(lines) => Buffer.concat([Buffer.from(lines.join("")), Buffer.alloc(4_096)]), "cut", all],
  "a line of 5,000 levels at the end": [
    (lines) => `${lines.join("")}${'{"a":'.repeat(5_000)}{}${"}".repeat(5_000)}\n`,
    "cut",
    all,
  ],
  "a line that is not UTF-8 at the end": [
    (lines) => Buffer.concat([Buffer.from(lines.join("")), Buffer.from([0x7b, 0xff, 0x7d, 0x0a])]),
    "cut",
    all,
  ],
  // Where not one record is left, nothing says that any was acknowledged; the copy in quarantine/ has them all.
  "other line ends": [(lines) => lines.join("").replaceAll("\n", "\r\n"), "cut", ""],
  "nothing in it": [() => "", "kept", ""],
};

for (const [what, [spoil, becomes, sessions]] of Object.entries(journals)) {
  test(`a journal with ${what} is ${becomes}`, { timeout }, async () => {
    await withPlace(async (place) => {
      const segment = await makeJournal(place);
      const lines = fs.readFileSync(segment, "utf8").match(/[^\n]*\n/g) as string[];
      assert.equal(lines.length, 5);
      fs.writeFileSync(segment, spoil(lines));
      const spoilt = contentOf(segment);
      const bytes = fs.readFileSync(segment);
      const before = digestTree(place.directory);
      const code = { refused: "store_damaged", foreign: "unsupported_layout", kept: undefined, cut: undefined }[
        becomes
      ];

      assert.equal(await readingFails(place, { readOnly: true }), code);
      assert.deepEqual(digestTree(place.directory), before, "a reader changes nothing");
      assert.equal(await readingFails(place), code);
      if (code !== undefined) assert.equal(contentOf(segment), spoilt, "a writer leaves it as it is");
      if (becomes === "foreign") await rejectsWith("unsupported_layout", repairStore(place.location));
      else assert.equal((await repairStore(place.location)).findingsAfter, 0);
      assert.deepEqual(openBelow(place.parent), [], "no descriptor stays open");
      if (becomes === "foreign") return assert.equal(contentOf(segment), spoilt, "nobody touched it");

      const store = await openSessionStore<Record<string, unknown>>(place.location, { keys: "exact" });
      const found = (await store.list({ order: "key" })).sessions.map(({ key }) => key);
      assert.deepEqual(found.filter((key) => key !== "written").join(" "), sessions);
      assert.equal(({} as { sessionId?: unknown }).sessionId, undefined);
      await store.close();
      // Zeros are no copy of anything.
      if (becomes !== "kept" && what !== "zeros at the end")
        assert.ok(isInQuarantine(place, bytes), "what was cut or replaced is kept");
    });
  });
}

/** The code that opening, reading and writing end with, if they do. */
async function readingFails(place: TemporaryPlace, options: OpenOptions = {}): Promise<string | undefined> {
  try {
    const store = await openSessionStore<Record<string, unknown>>(place.location, { ...options, keys: "exact" });
    try {
      for await (const _ of store.entries());
      if (!options.readOnly) await store.update("written", () => ({}));
    } finally {
      await store.close();
    }
  } catch (error) {
    assert.ok(error instanceof SessionStoreError, String(error));
    return error.code;
  }
  return undefined;
}

/** Whole, or the end of it. */
function isInQuarantine({ directory }: TemporaryPlace, bytes: Buffer): boolean {
  const quarantine = path.join(directory, "quarantine");
  return fs.readdirSync(quarantine).some((name) => {
    const copy = fs.readFileSync(path.join(quarantine, name));
    return copy.byteLength > 0 && bytes.subarray(bytes.byteLength - copy.byteLength).equals(copy);
  });
}

/** Five commits in one segment, as a killed process leaves them. */
async function makeJournal(place: TemporaryPlace): Promise<string> {
  const store = await openSessionStore<Record<string, unknown>>(place.location, { ...keepNothing, keys: "exact" });
  for (const key of [...healthyKeys, "__proto__", "last"]) await store.update(key, () => ({ sessionId: key }));
  const killed = path.join(place.parent, "killed");
  fs.cpSync(place.directory, killed, { recursive: true });
  await store.close();
  fs.rmSync(place.directory, { recursive: true });
  fs.renameSync(killed, place.directory);
  return path.join(place.directory, "journal", "0000000000000001.jsonl");
}
