/**
 * What makes a store unsafe or unreadable as a whole - its directory, its lock files, its manifest, its journal - is
 * refused by an error that says what it is and where, and nothing is touched.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { segmentName } from "../../src/backends/directory/layout.js";
import { formatManifest, type Manifest } from "../../src/backends/directory/manifest.js";
import { repairStore } from "../../src/backends/directory/repair.js";
import { openSessionStore, type SessionStoreErrorCode } from "../../src/index.js";
import { findingsOf, type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { type Kind, kindsForDirectories, kindsForFiles, makeOutside, makeSocket } from "./support/file-kinds.js";
import { openBelow } from "./support/services.js";
import {
  contentOf,
  digestTree,
  healthyKeys,
  keepNothing,
  makeFifo,
  makeStore,
  quarantineContents,
  victimEntry,
  victimKey,
} from "./support/store-tree.js";

const timeout = 30_000;
const skip = process.platform === "win32" && "skipped: needs posix links, FIFOs and modes";

type Make = (at: string, place: TemporaryPlace) => void;
/** What is wrong, what it is refused with, and whether readers refuse it too. */
type Refusal = [make: Make, code: SessionStoreErrorCode, readers: "refuse" | "read"];

/** Moves what is there aside and puts a link to it in its place. */
const linked = (at: string): void => {
  fs.renameSync(at, `${at}.real`);
  fs.symlinkSync(`${path.basename(at)}.real`, at);
};

const instead =
  (make: Make): Make =>
  (at, place) => {
    fs.rmSync(at, { recursive: true, force: true });
    make(at, place);
  };

/** One of the kinds that a name can be; what links lead to lies in `outside`. */
const kindInstead = ({ make }: Kind): Make => instead((at, { parent }) => make(at, path.join(parent, "outside")));

const rewritten =
  (rewrite: (manifest: Manifest) => unknown): Make =>
  (at) =>
    fs.writeFileSync(at, formatManifest(rewrite(JSON.parse(fs.readFileSync(at, "utf8"))) as Manifest));

async function checkRefused(place: TemporaryPlace, [, code, readers]: Refusal): Promise<void> {
  const before = digestTree(place.parent);
  for (const location of [place.location, place.directory]) {
    const error = await rejectsWith(code, openSessionStore(location));
    assert.ok(error.path?.startsWith(place.parent), `the error says where: ${error.path}`);
    assert.ok(error.message.length > 20 && error.nextStep, `what it is and what to do: ${error.message}`);
  }
  const reading = openSessionStore(place.location, { readOnly: true });
  if (readers === "refuse") await rejectsWith(code, reading);
  else await (await reading).close();
  assert.deepEqual(digestTree(place.parent), before, "nothing was touched");
  assert.deepEqual(openBelow(place.parent), [], "no descriptor stays open");
}

function refuses(
  what: string,
  refusal: Refusal,
  find: (place: TemporaryPlace) => string,
  cannotBeMade: string | false = false,
): void {
  test(`${what} is refused as ${refusal[1]}, and nothing is touched`, {
    skip: skip || cannotBeMade,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      makeOutside(path.join(place.parent, "outside"));
      refusal[0](find(place), place);
      await checkRefused(place, refusal);
    });
  });
}

const directories: Record<string, Refusal> = {
  "that is a link to the real one": [linked, "unsafe_path", "refuse"],
  "that is writable by the group": [(at) => fs.chmodSync(at, 0o770), "unsafe_path", "refuse"],
  "that is writable by everybody": [(at) => fs.chmodSync(at, 0o707), "unsafe_path", "refuse"],
};
for (const [what, refusal] of Object.entries(directories)) {
  refuses(`a store directory ${what}`, refusal, (place) => place.directory);
  for (const part of ["journal", "entries"]) {
    refuses(`a directory ${part}/ ${what}`, refusal, (place) => path.join(place.directory, part));
  }
}
for (const [what, kind] of Object.entries(kindsForDirectories)) {
  const refusal: Refusal = [kindInstead(kind), "unsafe_path", "refuse"];
  for (const part of ["", "journal", "entries"]) {
    refuses(
      `${what} in place of ${part === "" ? "the store" : `${part}/`}`,
      refusal,
      ({ directory }) => path.join(directory, part),
      kind.skip,
    );
  }
}

/** A lock file is never read, so its size says nothing. */
const { "a sparse file of a terabyte": sparse, ...kindsForLocks } = kindsForFiles;
const locks: Record<string, Kind> = {
  ...kindsForLocks,
  "a link to the real one": { make: linked },
  "a file with a hard link elsewhere": { make: (at) => fs.linkSync(at, `${at}.other`) },
};
for (const [what, kind] of Object.entries(locks)) {
  const make: Make = what in kindsForLocks ? kindInstead(kind) : (at, { parent }) => kind.make(at, parent);
  // Readers need none of the locks but that of scans.
  for (const [lock, readers] of [
    ["lock", "read"],
    ["checkpoint.lock", "read"],
    ["scan.lock", "refuse"],
  ] as const) {
    const find = ({ directory }: TemporaryPlace) => `${directory}.${lock}`;
    refuses(`a *.${lock} that is ${what}`, [make, "unsafe_path", readers], find, kind.skip);
  }
}

test("a lock file of a terabyte is a lock file like any other", { skip, timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place, keepNothing);
    for (const lock of ["lock", "checkpoint.lock", "scan.lock"]) fs.truncateSync(`${place.directory}.${lock}`, 2 ** 40);
    const store = await openSessionStore<Record<string, unknown>>(place.location);
    await store.patch(victimKey, { touched: true });
    await store.checkpoint();
    assert.equal((await store.list()).sessions.length, 4);
    await store.close();
  });
});

const manifests: Record<string, Refusal> = {
  "is a link to the real one": [linked, "unsafe_path", "refuse"],
  "is missing": [instead(() => {}), "store_damaged", "refuse"],
  "is empty": [(at) => fs.writeFileSync(at, ""), "store_damaged", "refuse"],
  "is garbage": [(at) => fs.writeFileSync(at, "\x00\xff\x80garbage"), "store_damaged", "refuse"],
  "is not UTF-8": [(at) => fs.writeFileSync(at, Buffer.from([0x7b, 0xff, 0x7d])), "store_damaged", "refuse"],
  "has zeros behind it": [(at) => fs.appendFileSync(at, new Uint8Array(512)), "store_damaged", "refuse"],
  "has a byte order mark": [
    (at) => fs.writeFileSync(at, `\ufeff${fs.readFileSync(at, "utf8")}`),
    "store_damaged",
    "refuse",
  ],
  "has other line ends": [
    (at) => fs.writeFileSync(at, fs.readFileSync(at, "utf8").replaceAll("\n", "\r\n")),
    "store_damaged",
    "refuse",
  ],
  "is JSON of 5,000 levels": [
    (at) => fs.writeFileSync(at, `${'{"a":'.repeat(5_000)}{}${"}".repeat(5_000)}`),
    "store_damaged",
    "refuse",
  ],
  "is an array": [(at) => fs.writeFileSync(at, "[1, 2]"), "store_damaged", "refuse"],
  "was edited by hand": [
    (at) => fs.writeFileSync(at, fs.readFileSync(at, "utf8").replace('"openclaw"', '"exact"')),
    "store_damaged",
    "refuse",
  ],
  "misses its checkpoint": [rewritten(({ checkpoint, ...rest }) => rest), "store_damaged", "refuse"],
  "is of a newer layout": [
    rewritten((manifest) => ({ ...manifest, layoutVersion: 2 })),
    "unsupported_layout",
    "refuse",
  ],
  "is of a newer layout and sealed in another way": [
    (at) => fs.writeFileSync(at, JSON.stringify({ kind: "sessiondir-store", layoutVersion: 99, seal: "?" })),
    "unsupported_layout",
    "refuse",
  ],
  "requires an unknown feature": [
    rewritten((manifest) => ({ ...manifest, features: { required: ["encryption"], optional: [] } })),
    "unsupported_layout",
    "refuse",
  ],
};
for (const [what, refusal] of Object.entries(manifests)) {
  refuses(`a store whose manifest ${what}`, refusal, (place) => path.join(place.directory, "state.json"));
}

for (const [what, kind] of Object.entries(kindsForLocks)) {
  const refusal: Refusal = [kindInstead(kind), "unsafe_path", "refuse"];
  refuses(
    `${what} in place of the manifest`,
    refusal,
    ({ directory }) => path.join(directory, "state.json"),
    kind.skip,
  );
}

test("a manifest of a terabyte is refused without being read", { skip, timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    fs.truncateSync(path.join(place.directory, "state.json"), 2 ** 40);
    await rejectsWith("limit_exceeded", openSessionStore(place.location));
  });
});

test("an unknown optional feature is no reason to refuse a store", { timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    const add = rewritten((manifest) => ({ ...manifest, features: { required: [], optional: ["colours"] } }));
    add(path.join(place.directory, "state.json"), place);
    const store = await openSessionStore<Record<string, unknown>>(place.location);
    assert.equal((await store.list()).sessions.length, 4);
    await store.update("more", () => ({ n: 1 }));
    await store.checkpoint();
    await store.close();
    const { features } = JSON.parse(fs.readFileSync(path.join(place.directory, "state.json"), "utf8"));
    assert.deepEqual(features.optional, ["colours"], "and it is kept");
  });
});

test("a store with an unknown feature for writers is read, and refused to writers and repairs", {
  timeout,
}, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    const features = { required: [], optional: [], requiredForWriting: ["colours"] };
    rewritten((manifest) => ({ ...manifest, features }))(path.join(place.directory, "state.json"), place);
    const before = digestTree(place.directory);
    const reader = await openSessionStore(place.location, { readOnly: true });
    assert.equal((await reader.list()).sessions.length, 4);
    await reader.close();
    await rejectsWith("unsupported_layout", openSessionStore(place.location));
    await rejectsWith("unsupported_layout", repairStore(place.location, { accept: [victimKey] }));
    assert.deepEqual(digestTree(place.directory), before);
  });
});

test("repair does not touch a store that is newer than itself", { timeout }, async () => {
  for (const what of ["is of a newer layout", "requires an unknown feature"]) {
    await withPlace(async (place) => {
      await makeStore(place);
      manifests[what]?.[0](path.join(place.directory, "state.json"), place);
      const before = digestTree(place.directory);
      await rejectsWith("unsupported_layout", repairStore(place.location, { accept: [victimKey] }));
      assert.deepEqual(digestTree(place.directory), before);
    });
  }
});

test("a lost manifest is rebuilt by repair, and no session is lost with it", { skip, timeout }, async () => {
  for (const [what, [make, code]] of Object.entries(manifests)) {
    if (code !== "store_damaged") continue;
    for (const options of [{}, keepNothing]) {
      await withPlace(async (place) => {
        await makeStore(place, options);
        const file = path.join(place.directory, "state.json");
        make(file, place);
        const original = fs.existsSync(file) ? contentOf(file) : undefined;
        const before = digestTree(place.parent);
        await repairStore(place.location, { dryRun: true });
        assert.deepEqual(digestTree(place.parent), before, "a dry run changes nothing");
        assert.equal((await repairStore(place.location)).findingsAfter, 0, what);
        if (original !== undefined) assert.ok(quarantineContents(place).includes(original), what);
        const store = await openSessionStore<Record<string, unknown>>(place.location);
        assert.deepEqual(await findingsOf(store), []);
        assert.deepEqual(await store.get(victimKey), victimEntry);
        assert.equal((await store.list()).sessions.length, 4);
        await store.update("more", () => ({ n: 1 }));
        await store.close();
      });
    }
  }
});

const segments: Record<string, (at: string) => void> = {
  "a FIFO": makeFifo,
  "a socket": makeSocket,
  "a link": (at) => fs.symlinkSync("/dev/zero", at),
  "a link to itself": (at) => fs.symlinkSync(path.basename(at), at),
  "a directory": (at) => fs.mkdirSync(at),
};
for (const [what, make] of Object.entries(segments)) {
  for (const [when, version] of [
    ["long ago", 1],
    ["the far future", 9_000_000_000_000_000],
  ] as const) {
    test(`${what} named as a segment of ${when} keeps nobody from reading and writing, and is reported`, {
      skip,
      timeout,
    }, async () => {
      await withPlace(async (place) => {
        await makeStore(place, keepNothing);
        const name = `journal/${segmentName(version)}`;
        const file = path.join(place.directory, name);
        make(file);
        const store = await openSessionStore<Record<string, unknown>>(place.location, keepNothing);
        assert.deepEqual(await store.get(victimKey), victimEntry);
        const cursor = await store.cursor();
        for (const key of healthyKeys) await store.patch(key, { touched: true });
        for await (const change of store.watch({ since: cursor })) {
          assert.equal(change.key, healthyKeys[0]);
          break;
        }
        await store.checkpoint();
        await store.close();
        const again = await openSessionStore<Record<string, unknown>>(place.location, { readOnly: true });
        for (const key of healthyKeys) assert.equal((await again.get(key))?.touched, true);
        assert.deepEqual(
          (await findingsOf(again)).map(({ severity, code, path }) => ({ severity, code, path })),
          [{ severity: "error", code: "unsafe_file", path: name }],
        );
        await again.close();
        const before = contentOf(file);
        fs.rmSync(path.join(place.directory, "state.json"));
        await repairStore(place.location);
        const repaired = await openSessionStore<Record<string, unknown>>(place.location);
        assert.equal((await repaired.list()).sessions.length, 4);
        await repaired.close();
        assert.equal(contentOf(file), before);
      });
    });
  }
}

test("a segment that is a link is refused: its commits cannot be read, and are not taken for lost", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    const store = await openSessionStore<Record<string, unknown>>(place.location);
    await store.update(victimKey, () => ({ n: 1 }));
    await store.close();
    const newest = fs.readdirSync(path.join(place.directory, "journal")).sort().at(-1) as string;
    linked(path.join(place.directory, "journal", newest));
    await checkRefused(place, [() => {}, "unsafe_path", "refuse"]);
  });
});
