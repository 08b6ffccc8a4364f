/**
 * Names in and beside a store that nobody put there on purpose: of any bytes, of any length, many, from another time, and
 * left by those who died. They cost no session and no service, they are reported, and everything leaves them alone.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../src/index.js";
import { type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { fillWithJunk, junkDirectories } from "./support/junk.js";
import { openBelow, tryServices } from "./support/services.js";
import { contentOf, digestTree, healthyKeys, keepNothing, makeFifo, makeStore } from "./support/store-tree.js";

const timeout = 60_000;
const onlyPosix = process.platform === "win32" && "skipped: needs posix links and names";
const onlyLinux = process.platform !== "linux" && "skipped: needs linux (names of any bytes)";

/** The directories that a store reads. */
const directories = ["", "entries", "journal", "trash", "quarantine", "summary-index"];

const badNames: Record<string, { readonly name: (string | Buffer)[]; readonly skip?: string | false }> = {
  "that are not UTF-8": {
    name: [Buffer.from("session-\xff\xfe.json", "latin1"), Buffer.from("\xc3", "latin1")],
    skip: onlyLinux,
  },
  "with a newline": { name: ["session-a\nb.json", "\n", "0000000000000001.jsonl\n"] },
  "of 255 bytes": { name: [`session-${"A".repeat(242)}.json`, "x".repeat(255), `${"0".repeat(249)}.jsonl`] },
  "that would be markup or commands": { name: ["\u001b[31m", "--help", "$(touch x)", "a\rb", "\u202e"] },
  "that differ from ours by case": {
    name: ["State.json", "SESSION-aGVhbHRoeTow.JSON", "0000000000000001.JSONL", ".Checkpoint-Running", "HEAD.json"],
    skip: onlyLinux,
  },
  "that end as versions beyond 2^53 would": {
    name: ["9007199254740992.jsonl", "9999999999999999.jsonl", "1-9999999999999999-session-YQ.json.x"],
  },
};

for (const [what, { name: names, skip = false }] of Object.entries(badNames)) {
  test(`names ${what} are passed over, reported and left alone`, { skip: onlyPosix || skip, timeout }, async () => {
    await withPlace(async (place) => {
      const made: Buffer[] = [];
      const { answers, findings } = await tryServices(place, () => {
        for (const directory of [...directories, ".."]) {
          fs.mkdirSync(path.join(place.directory, directory), { recursive: true, mode: 0o700 });
          for (const name of names) {
            const inside = Buffer.from(`${path.join(place.directory, directory)}/`);
            const at = Buffer.concat([inside, Buffer.from(name)]);
            fs.writeFileSync(at, "mine", { mode: 0o600, flag: "wx" });
            made.push(at);
          }
        }
      });
      assert.deepEqual(answers, {});
      assert.deepEqual([...findings], ["foreign_file"]);
      for (const at of made) assert.equal(fs.readFileSync(at, "utf8"), "mine", at.toString("latin1"));
    });
  });
}

test("files from the year 2099 are files like others", { timeout }, async () => {
  await withPlace(async (place) => {
    const then = new Date("2099-12-31T23:59:59Z");
    const { answers, findings } = await tryServices(place, () => {
      for (const name of fs.readdirSync(place.parent, { recursive: true, encoding: "utf8" })) {
        fs.utimesSync(path.join(place.parent, name), then, then);
      }
    });
    assert.deepEqual([answers, [...findings]], [{}, []]);
  });
});

// 100,000 in each directory: `npm run long-run -- junk-files`.
for (const directory of junkDirectories) {
  test(`300 files of nobody in ${directory || "the store"} cost nothing and are left alone`, { timeout }, async () => {
    await withPlace(async (place) => {
      let names: string[] = [];
      const { answers } = await tryServices(place, () => {
        names = fillWithJunk(path.join(place.directory, directory), 300);
      });
      assert.deepEqual(answers, {});
      const left = new Set(fs.readdirSync(path.join(place.directory, directory)));
      assert.ok(names.every((name) => left.has(name)));
    });
  });
}

// --- what creations that died have left --------------------------------------------------------------------------------

const staging = (place: TemporaryPlace, unique: string) => `${place.directory}.staging-${unique}`;
const dead = "0123456789abcdef";

function makeStaging(at: string): void {
  fs.mkdirSync(path.join(at, "journal"), { recursive: true, mode: 0o700 });
  fs.writeFileSync(path.join(at, "state.json"), '{"kind":"sessiondir-st');
}

const leftovers: Record<string, (place: TemporaryPlace) => readonly string[]> = {
  "the staging directory of one who died": (place) => {
    makeStaging(staging(place, dead));
    return [staging(place, dead)];
  },
  "two staging directories": (place) => {
    const both = [staging(place, dead), staging(place, "fedcba9876543210")];
    both.forEach(makeStaging);
    return both;
  },
  "a staging directory with a whole store in it": (place) => {
    const [whole] = fs.readdirSync(place.parent).filter((name) => name === path.basename(place.directory));
    if (whole === undefined) makeStaging(staging(place, dead));
    else fs.cpSync(place.directory, staging(place, dead), { recursive: true });
    return [staging(place, dead)];
  },
};

for (const [what, make] of Object.entries(leftovers)) {
  test(`${what} beside a store costs nothing, and nobody takes it for the store`, { timeout }, async () => {
    await withPlace(async (place) => {
      let before: Map<string, string>[] = [];
      let made: readonly string[] = [];
      const { answers, findings } = await tryServices(place, () => {
        made = make(place);
        before = made.map(digestTree);
      });
      assert.deepEqual([answers, [...findings]], [{}, []]);
      assert.deepEqual(made.map(digestTree), before);
    });
  });

  test(`${what} makes room for a store that is created`, { timeout }, async () => {
    await withPlace(async (place) => {
      const made = make(place);
      await makeStore(place, keepNothing);
      assert.deepEqual(made.filter(fs.existsSync), []);
      const store = await openSessionStore<Record<string, unknown>>(place.location);
      for (const key of healthyKeys) assert.equal((await store.get(key))?.sessionId, key);
      await store.close();
    });
  });
}

const notOurs: Record<string, (at: string, outside: string) => void> = {
  "a FIFO": (at) => makeFifo(at),
  "a file": (at) => fs.writeFileSync(at, "mine"),
  "a link to a directory": (at, outside) => fs.symlinkSync(outside, at),
  "a directory with a link to a directory in it": (at, outside) => {
    makeStaging(at);
    fs.symlinkSync(outside, path.join(at, "entries"));
  },
};

for (const [what, make] of Object.entries(notOurs)) {
  test(`${what} named as a staging directory leads nobody who creates a store astray`, {
    skip: onlyPosix,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      const outside = path.join(place.parent, "outside");
      fs.mkdirSync(outside);
      fs.writeFileSync(path.join(outside, "file"), "what must stay as it is");
      const at = staging(place, dead);
      make(at, outside);
      const before = [digestTree(outside), what.startsWith("a directory") ? undefined : contentOf(at)];
      await makeStore(place, keepNothing);
      const kept = what.startsWith("a directory") ? undefined : contentOf(at);
      assert.deepEqual([digestTree(outside), kept], before);
      assert.deepEqual(openBelow(place.parent), []);
    });
  });
}
