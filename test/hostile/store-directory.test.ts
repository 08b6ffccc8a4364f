/**
 * Stores whose directory holds what nobody put there on purpose - or somebody did. The store opens, serves every healthy
 * session, says what is wrong with each other one, and never waits for a FIFO or reads a terabyte of zeros; `repair`
 * keeps every original.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import { openSessionStore } from "../../src/index.js";
import { errorsOf, findingsOf, type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { rejectsWith } from "../support/store-reading.js";
import { foreignUser, kinds, makeEndlessDevice, makeSocket, needsRoot } from "./support/file-kinds.js";
import { openBelow } from "./support/services.js";
import {
  type AnyStore,
  contentOf,
  digestTree,
  entryPath,
  healthyKeys,
  keepNothing,
  makeFifo,
  makeStore,
  quarantineContents,
  victimEntry,
  victimKey,
} from "./support/store-tree.js";

const timeout = 30_000;
const skip = process.platform === "win32" && "skipped: needs posix links and FIFOs";

/** Puts something in place of the victim's entry file. */
type Damage = (file: string, place: TemporaryPlace) => void;

/** What only a superuser can put there. */
const skips: Record<string, string | false | undefined> = {
  "a character device": kinds["a character device"]?.skip,
  "a file of another user": needsRoot,
};

const replacing =
  (make: Damage): Damage =>
  (file, place) => {
    fs.rmSync(file);
    make(file, place);
  };

const rewriting =
  (rewrite: (text: string) => string | Uint8Array): Damage =>
  (file) =>
    fs.writeFileSync(file, rewrite(fs.readFileSync(file, "utf8")));

const withEntry = (entryText: string) =>
  rewriting((text) => `${text.slice(0, text.indexOf('"entry": ') + '"entry": '.length)}${entryText}}\n`);

const damages: Record<string, Damage> = {
  "a FIFO": replacing(makeFifo),
  "a socket": replacing(makeSocket),
  "a character device": replacing(makeEndlessDevice),
  "a file of another user": (file) => fs.chownSync(file, foreignUser, foreignUser),
  "a link to a file": replacing((file, place) => fs.symlinkSync(entryPath(place, "healthy:0"), file)),
  "a link to a directory": replacing((file, place) => fs.symlinkSync(place.parent, file)),
  "a link to nothing": replacing((file) => fs.symlinkSync("nowhere", file)),
  "a link to itself": replacing((file) => fs.symlinkSync(path.basename(file), file)),
  "a directory": replacing((file) => {
    fs.mkdirSync(file);
    fs.writeFileSync(path.join(file, "inside"), "kept");
  }),
  "a file with a hard link elsewhere": (file, place) => fs.linkSync(file, path.join(place.parent, "foreign")),
  "a sparse file of a terabyte": (file) => fs.truncateSync(file, 2 ** 40),
  "a half-written file": rewriting((text) => text.slice(0, text.length / 2)),
  "an empty file": rewriting(() => ""),
  "a file with zeros behind it": (file) => fs.appendFileSync(file, new Uint8Array(512)),
  "a file with other line ends": rewriting((text) => text.replaceAll("\n", "\r\n")),
  "a file of zeros": rewriting((text) => new Uint8Array(text.length)),
  "a file that is not UTF-8": rewriting((text) => Buffer.from(text.replace("must", "m\xfcst"), "latin1")),
  "a file with a byte order mark": rewriting((text) => `\ufeff${text}`),
  "JSON of 5,000 levels": withEntry(`${'{"a":'.repeat(5_000)}{}${"}".repeat(5_000)}`),
  "JSON of 50,000 levels": withEntry(`${"[".repeat(50_000)}${"]".repeat(50_000)}`),
  "an array": rewriting(() => "[]"),
  "the entry of another session": (file, place) => fs.copyFileSync(entryPath(place, "healthy:0"), file),
  "an entry without a version": rewriting((text) => text.replace(/"version": \d+/, '"version": "one"')),
  "an entry with __proto__ in it": withEntry('{"__proto__": {"polluted": true}}'),
  "an entry that a hand edited": rewriting((text) => text.replace("must not", "MUST NOT")),
};

/** What is wrong with the file is not in it: repair leaves it, and it is whole again after this. */
const heals: Record<string, Damage> = {
  "a file of another user": (file) => fs.chownSync(file, process.geteuid?.() ?? 0, process.getegid?.() ?? 0),
  "a file with a hard link elsewhere": (_, place) => fs.rmSync(path.join(place.parent, "foreign")),
};

/** Those that can be made here. */
const possible = Object.fromEntries(Object.entries(damages).filter(([what]) => !skips[what]));

for (const [what, damage] of Object.entries(damages)) {
  const heal = heals[what];
  test(`${what} in place of an entry costs that session only, and repair ${heal ? "leaves" : "keeps"} it`, {
    skip: skip || skips[what] || false,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      const file = entryPath(place, victimKey);
      damage(file, place);
      const original = contentOf(file);

      const store = await openSessionStore<Record<string, unknown>>(place.location);
      await checkServed(store);
      await checkReported(store, `entries/${path.basename(file)}`, heal === undefined);
      await store.close();
      assert.equal(contentOf(file), original, "reading and failing to write changed nothing");

      const before = digestTree(place.parent);
      assert.ok((await repairStore(place.location, { dryRun: true })).findingsBefore > 0);
      assert.deepEqual(digestTree(place.parent), before, "a dry run changes nothing");

      // What can still be read is left to whoever edited it, who says so by accepting it.
      const report = await repairStore(place.location, { accept: [victimKey] });
      if (heal) {
        assert.deepEqual(
          report.actions.map(({ code, key }) => ({ code, key })),
          [{ code: "entry_left", key: victimKey }],
        );
        assert.equal(report.findingsAfter, 1);
        assert.equal(contentOf(file), original);
        heal(file, place);
      } else {
        assert.equal(report.findingsAfter, 0, JSON.stringify(report.actions));
        assert.ok(quarantineContents(place).includes(original), "the original is in quarantine/");
      }
      await checkRepaired(place, heal && victimEntry);
      assert.deepEqual(openBelow(place.parent), [], "no descriptor stays open");
    });
  });
}

async function checkServed(store: AnyStore): Promise<void> {
  for (const key of healthyKeys) assert.equal((await store.get(key))?.sessionId, key);
  assert.deepEqual(
    (await store.list({ order: "key" })).sessions.map(({ key }) => key),
    healthyKeys,
  );
  const damaged: (string | undefined)[] = [];
  const served: string[] = [];
  for await (const { key } of store.entries({ onDamaged: ({ key }) => damaged.push(key) })) served.push(key);
  assert.deepEqual(served.sort(), healthyKeys);
  assert.deepEqual(damaged, [victimKey]);
  // The healthy ones can also be written.
  assert.equal((await store.patch("healthy:0", { touched: true })).touched, true);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
}

async function checkReported(store: AnyStore, file: string, repairHelps: boolean): Promise<void> {
  await rejectsWith("entry_damaged", store.get(victimKey));
  await rejectsWith(
    "entry_damaged",
    store.update(victimKey, () => ({})),
  );
  await rejectsWith("entry_damaged", store.patch(victimKey, { a: 1 }, { createIfMissing: true }));
  await rejectsWith("entry_damaged", async () => {
    for await (const _ of store.entries());
  });
  const errors = await errorsOf(store);
  assert.deepEqual(
    errors.map(({ code, path, key }) => ({ code, path, key })),
    [{ code: "entry_damaged", path: file, key: victimKey }],
  );
  assert.ok(errors.every(({ message, nextStep }) => message !== "" && nextStep.includes("repair") === repairHelps));
}

async function checkRepaired(place: TemporaryPlace, expected?: object): Promise<void> {
  const store = await openSessionStore<Record<string, unknown>>(place.location);
  assert.deepEqual(await findingsOf(store), []);
  for (const key of healthyKeys) assert.equal((await store.get(key))?.sessionId, key);
  if (expected) assert.deepEqual(await store.get(victimKey), expected);
  // Either it could be read and was accepted, or it is gone and may be made anew.
  await store.update(victimKey, (current) => ({ ...current, again: true }));
  await store.checkpoint();
  assert.equal((await store.get(victimKey))?.again, true);
  await store.close();
}

test("all damages at once: every healthy session is served, and each damage is reported", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    await makeStore(place, keepNothing);
    const keys = Object.keys(possible).map((what) => `damaged by ${what.toLowerCase()}`);
    const making = await openSessionStore<Record<string, unknown>>(place.location, keepNothing);
    for (const key of keys) await making.update(key, () => victimEntry);
    await making.remove(victimKey);
    await making.close();
    for (const [index, damage] of Object.values(possible).entries()) {
      damage(entryPath(place, keys[index] as string), place);
      fs.rmSync(path.join(place.parent, "foreign"), { force: true });
    }
    // A hard link heals when the other name goes.
    fs.linkSync(entryPath(place, "damaged by a file with a hard link elsewhere"), path.join(place.parent, "foreign"));

    const store = await openSessionStore<Record<string, unknown>>(place.location);
    for (const key of healthyKeys) assert.equal((await store.get(key))?.sessionId, key);
    assert.deepEqual(
      (await store.list({ order: "key" })).sessions.map(({ key }) => key),
      healthyKeys,
    );
    assert.deepEqual((await errorsOf(store)).map(({ key }) => key).sort(), [...keys].sort());
    await store.close();

    const whats = Object.keys(possible);
    const originals = keys.map((key) => contentOf(entryPath(place, key)));
    const left = whats.filter((what) => heals[what]).length;
    assert.equal((await repairStore(place.location, { accept: keys })).findingsAfter, left);
    const kept = quarantineContents(place);
    for (const [index, original] of originals.entries()) {
      if (heals[whats[index] as string]) assert.equal(contentOf(entryPath(place, keys[index] as string)), original);
      else assert.ok(kept.includes(original), original);
    }
  });
});

test("while the journal still tells a session, repair puts a destroyed entry together again", {
  skip,
  timeout,
}, async () => {
  for (const damage of [damages["a half-written file"], damages["a FIFO"], damages["the entry of another session"]]) {
    await withPlace(async (place) => {
      await makeStore(place);
      const file = entryPath(place, victimKey);
      damage?.(file, place);
      const original = contentOf(file);
      const report = await repairStore(place.location);
      assert.equal(report.findingsAfter, 0);
      assert.ok(quarantineContents(place).includes(original));
      const store = await openSessionStore<Record<string, unknown>>(place.location);
      assert.deepEqual(await store.get(victimKey), victimEntry);
      await store.close();
    });
  }
});

test("a hand edit is left alone by repair, and adopted when it is accepted", { timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place);
    const file = entryPath(place, victimKey);
    damages["an entry that a hand edited"]?.(file, place);
    const edited = contentOf(file);
    const left = await repairStore(place.location);
    assert.deepEqual(
      left.actions.map(({ code, key }) => ({ code, key })),
      [{ code: "entry_left", key: victimKey }],
    );
    assert.equal(contentOf(file), edited);

    const store = await openSessionStore<Record<string, unknown>>(place.location);
    const cursor = await store.cursor();
    await store.close();
    const accepted = await repairStore(place.location, { accept: [` ${victimKey.toUpperCase()}`] });
    assert.deepEqual(
      accepted.actions.map(({ code }) => code),
      ["entry_accepted"],
    );
    assert.equal(accepted.findingsAfter, 0);
    assert.ok(quarantineContents(place).includes(edited));
    const again = await openSessionStore<Record<string, unknown>>(place.location);
    const expected = { ...victimEntry, text: "what MUST NOT be lost" };
    assert.deepEqual(await again.get(victimKey), expected);
    // Caches and watchers everywhere hear of it: it is a commit like any other.
    for await (const change of again.watch({ since: cursor })) {
      assert.deepEqual([change.type, change.key, change.entry], ["put", victimKey, expected]);
      break;
    }
    await again.close();
  });
});

test("an explicit replacement of a damaged session is possible, and keeps the damaged file", {
  skip,
  timeout,
}, async () => {
  for (const [what, damage] of Object.entries(possible)) {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      const file = entryPath(place, victimKey);
      damage(file, place);
      const original = contentOf(file);
      const store = await openSessionStore<Record<string, unknown>>(place.location);
      await store.transaction((transaction) => transaction.set(victimKey, { sessionId: "replaced" }));
      assert.deepEqual(await store.get(victimKey), { sessionId: "replaced" });
      await store.close();
      assert.ok(quarantineContents(place).includes(original), what);
      const again = await openSessionStore<Record<string, unknown>>(place.location);
      assert.deepEqual(await again.get(victimKey), { sessionId: "replaced" }, what);
      assert.deepEqual(await errorsOf(again), [], what);
      await again.close();
    });
  }
});

test("a damaged session that is replaced and removed at once is gone, and the damaged file is kept", {
  skip,
  timeout,
}, async () => {
  for (const [what, damage] of Object.entries(possible)) {
    await withPlace(async (place) => {
      await makeStore(place, keepNothing);
      const file = entryPath(place, victimKey);
      damage(file, place);
      const original = contentOf(file);
      const store = await openSessionStore<Record<string, unknown>>(place.location);
      await store.transaction((transaction) => transaction.set(victimKey, { sessionId: "replaced" }));
      await store.remove(victimKey);
      await store.checkpoint();
      assert.equal(await store.get(victimKey), undefined);
      assert.ok(!fs.existsSync(file), what);
      assert.ok(quarantineContents(place).includes(original), what);
      assert.deepEqual(await errorsOf(store), [], what);
      await store.close();
    });
  }
});

test("foreign files are passed over, reported as such, and left alone by everything", { skip, timeout }, async () => {
  await withPlace(async (place) => {
    await makeStore(place, keepNothing);
    const strays = [
      "README",
      ".DS_Store",
      "entries/README.md",
      "entries/.DS_Store",
      "entries/session-.json",
      "entries/session-YR.json", // Decodes to "a", but is not how "a" is encoded.
      "entries/session-YQ==.json",
      "entries/session-not!base64url.json",
      "entries/session-hash-short.json",
      "entries/session-YQ.json.bak",
      "journal/notes.txt",
      "journal/1.jsonl",
    ];
    for (const name of strays)
      fs.writeFileSync(path.join(place.directory, name), fs.readFileSync(entryPath(place, victimKey)));
    fs.mkdirSync(path.join(place.directory, "entries", "folder"));
    makeFifo(path.join(place.directory, "entries", "pipe"));
    makeFifo(path.join(place.directory, "journal", "pipe"));
    fs.symlinkSync("/", path.join(place.directory, "journal", "root"));
    const names = [...strays, "entries/folder", "entries/pipe", "journal/pipe", "journal/root"].sort();
    const contents = () => names.map((name) => contentOf(path.join(place.directory, name)));
    const before = contents();

    const store = await openSessionStore<Record<string, unknown>>(place.location);
    const keys = [victimKey, ...healthyKeys].sort();
    assert.deepEqual(
      (await store.list({ order: "key" })).sessions.map(({ key }) => key),
      keys,
    );
    assert.equal(await store.get("a"), undefined);
    await store.patch(victimKey, { more: true });
    await store.checkpoint();
    const findings = await findingsOf(store);
    assert.deepEqual([...new Set(findings.map(({ code }) => code))], ["foreign_file"]);
    assert.deepEqual(findings.map(({ path }) => path).sort(), names);
    await store.close();
    await repairStore(place.location);
    assert.deepEqual(contents(), before);
  });
});

test("temporary files of a checkpoint that died are swept, by the next checkpoint or by repair", {
  timeout,
}, async () => {
  for (const how of ["checkpoint", "repair"]) {
    await withPlace(async (place) => {
      await makeStore(place);
      const leftover = path.join(place.directory, "entries", `.${"0123456789abcdef".repeat(2)}.tmp`);
      fs.writeFileSync(leftover, "half of an ent");
      const store = await openSessionStore<Record<string, unknown>>(place.location);
      assert.deepEqual(
        (await findingsOf(store)).map(({ code, severity }) => `${severity} ${code}`),
        ["warning temporary_file"],
      );
      // What a death in the middle leaves beside them.
      fs.writeFileSync(path.join(place.directory, ".checkpoint-running"), "");
      if (how === "checkpoint") {
        await store.update("one more", () => ({}));
        await store.checkpoint();
      }
      await store.close();
      if (how === "repair") await repairStore(place.location);
      assert.ok(!fs.existsSync(leftover), how);
      assert.ok(!fs.existsSync(path.join(place.directory, ".checkpoint-running")), how);
    });
  }
});

test("a session is not missing, and not made anew, because entries/ was deleted under an open store", async () => {
  await withPlace(async (place) => {
    const store = await openSessionStore<Record<string, unknown>>(place.location, { cacheBytes: 0 });
    await store.update("a", () => ({ n: 1 }));
    await store.checkpoint();
    fs.rmSync(path.join(place.directory, "entries"), { recursive: true });
    await rejectsWith("store_gone", store.get("a"));
    await rejectsWith(
      "store_gone",
      store.update("a", (entry) => ({ ...entry, m: 2 })),
    );
    await store.close();
  });
});
