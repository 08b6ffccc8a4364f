/**
 * The parts of a store that it can do without - `trash/`, `quarantine/`, the index of its lists, the marker of a
 * checkpoint - as everything that they should not be. Each says which services it costs, with which code; all others
 * serve. Nothing outside is touched, nothing is waited for, and no descriptor stays open.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import { openSessionStore } from "../../src/index.js";
import { type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { type Kind, kindsForDirectories, kindsForFiles, makeOutside } from "./support/file-kinds.js";
import { type Answers, openBelow, tryServices } from "./support/services.js";
import {
  contentOf,
  digestTree,
  entryPath,
  keepNothing,
  makeStore,
  victimEntry,
  victimKey,
} from "./support/store-tree.js";

const timeout = 30_000;
/** What a listing cannot tell from a file of ours. */
const fileKinds = new Set(["a hard link to a foreign file", "a sparse file of a terabyte", "a file of another user"]);
const onWindows = process.platform === "win32" && "skipped: needs posix links, FIFOs and modes";

/** Most kinds are answered alike; `costsOf` names those that are not. */
interface Part {
  readonly kinds: Readonly<Record<string, Kind>>;
  readonly find: (place: TemporaryPlace) => string;
  readonly costs: Answers;
  readonly costsOf?: Readonly<Record<string, Answers>>;
  /** What `verify` reports of it. */
  readonly findings: readonly string[];
  /** A name that is ours to replace may be; anything else stays where it is, as it is. */
  readonly isOurs?: boolean;
}

const inStore =
  (...names: string[]) =>
  ({ directory }: TemporaryPlace) =>
    path.join(directory, ...names);

const unsafe = (...services: string[]): Answers => Object.fromEntries(services.map((name) => [name, "unsafe_path"]));

const parts: Record<string, Part> = {
  "trash/": {
    kinds: kindsForDirectories,
    find: inStore("trash"),
    costs: unsafe(
      ...["reader trash", "reader stats", "writer trash", "writer stats"],
      // What is removed must not be lost: without a trash, the checkpoint of the removal waits.
      ...["writer checkpoint", "writer restore", "writer emptyTrash", "repair"],
    ),
    findings: ["unsafe_file"],
  },
  "quarantine/": {
    kinds: kindsForDirectories,
    find: inStore("quarantine"),
    costs: unsafe("reader stats", "writer stats"),
    findings: ["unsafe_file"],
  },
  "summary-index/": {
    kinds: kindsForDirectories,
    find: inStore("summary-index"),
    costs: unsafe("repair"),
    findings: ["unsafe_file"],
  },
  "the head of the index": {
    kinds: kindsForFiles,
    find: inStore("summary-index", "head.json"),
    costs: {},
    costsOf: { "a directory": { repair: "io_error" } },
    findings: [],
    isOurs: true,
  },
  "a run of the index": { kinds: kindsForFiles, find: findRun, costs: {}, findings: [], isOurs: true },
  "the marker of a checkpoint": {
    kinds: kindsForFiles,
    find: inStore(".checkpoint-running"),
    costs: {},
    costsOf: { "a directory": { repair: "io_error" } },
    findings: ["unsafe_file"],
    isOurs: true,
  },
};

function findRun({ directory }: TemporaryPlace): string {
  const index = path.join(directory, "summary-index");
  return path.join(index, fs.readdirSync(index).find((name) => name.endsWith(".run")) as string);
}

for (const [name, { kinds, find, costs, costsOf, findings, isOurs }] of Object.entries(parts)) {
  for (const [kind, { make, skip = false }] of Object.entries(kinds)) {
    const expected = costsOf?.[kind] ?? costs;
    const what = Object.keys(expected).length === 0 ? "costs nothing" : "costs what needs it, and nothing else";
    test(`${kind} in place of ${name} ${what}`, { skip: onWindows || skip, timeout }, async () => {
      await withPlace(async (place) => {
        let at = "";
        let before = "";
        const found = await tryServices(place, (outside) => {
          at = find(place);
          fs.rmSync(at, { recursive: true, force: true });
          make(at, outside);
          before = contentOf(at);
        });
        assert.deepEqual(found.answers, expected);
        const isReported = findings.length > 0 && !(isOurs && fileKinds.has(kind));
        assert.deepEqual([...found.findings], isReported ? findings : []);
        if (!isOurs) assert.equal(contentOf(at), before, "it lies there as before");
      });
    });
  }
}

const spoilt = "what a crash left of an entry";

for (const [kind, { make, skip = false }] of Object.entries(kindsForDirectories)) {
  test(`${kind} in place of quarantine/ keeps a damaged file where it is until there is room`, {
    skip: onWindows || skip,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      const outside = path.join(place.parent, "outside");
      makeOutside(outside);
      const before = digestTree(outside);
      const quarantine = path.join(place.directory, "quarantine");
      make(quarantine, outside);
      const file = entryPath(place, victimKey);
      fs.writeFileSync(file, spoilt);

      await rejectsWith("unsafe_path", repairStore(place.location));
      const store = await openSessionStore<Record<string, unknown>>(place.location, keepNothing);
      await store.transaction((transaction) => transaction.set(victimKey, victimEntry));
      await rejectsWith("unsafe_path", store.checkpoint());
      assert.deepEqual(await store.get(victimKey), victimEntry, "the journal has it");
      await store.close();
      assert.equal(fs.readFileSync(file, "utf8"), spoilt, "no copy was made, so it stays");
      assert.deepEqual(digestTree(outside), before);
      assert.deepEqual(openBelow(place.parent), []);

      fs.rmSync(quarantine, { recursive: true });
      const again = await openSessionStore<Record<string, unknown>>(place.location, keepNothing);
      await again.checkpoint();
      await again.close();
      const [copy] = fs.readdirSync(quarantine);
      assert.equal(fs.readFileSync(path.join(quarantine, copy as string), "utf8"), spoilt);
      assert.match(fs.readFileSync(file, "utf8"), /what must not be lost/);
    });
  });
}
