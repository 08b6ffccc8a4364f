/** Files that describe themselves - entries and the manifest - and how many of them, and how much, is looked at. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf, documentIsIntact, sealDocument } from "../../../src/backends/directory/checksum.js";
import { formatEntryFile, parseEntryFile } from "../../../src/backends/directory/entries/entry-file.js";
import { formatManifest, type Manifest } from "../../../src/backends/directory/manifest.js";
import type { Directory, DirectoryEntry, FileStat, Port } from "../../../src/fs/port.js";
import { fixedLimits, limitCaps } from "../../../src/limits.js";
import {
  commitPut,
  entryFileName,
  makeMachine,
  openStore,
  readValue,
  start,
  storePath,
} from "../../protocol/simulated-store.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import type { SimulatedMachine } from "../../sim/machine.js";

const stamp = { version: 3, record: "0badcafe" };
const intact = formatEntryFile("a", stamp, Object.freeze({ text: "\ufffd" }));
const parse = (bytes: Uint8Array, key: string | undefined = "a") => parseEntryFile(bytes, key, "/entries/a");
const damaged = { code: "entry_damaged" };

/** A document of any shape, with a right checksum. */
function sealed(fields: Record<string, unknown>): Buffer {
  const whole = { sessionKey: "a", version: 3, record: "0badcafe", checksum: "00000000", entry: {}, ...fields };
  return Buffer.from(sealDocument(whole as unknown as { checksum: "00000000" }));
}

test("an entry file is taken only with every one of its bytes", () => {
  assert.equal(parse(intact).version, 3);
  for (let at = 0; at < intact.length; at += 1) {
    const flipped = Buffer.from(intact);
    flipped[at] = flipped[at]! ^ 4;
    assert.throws(() => parse(flipped), damaged, `byte ${at}`);
  }
});

test("a document without a checksum, or with another one, is not intact", () => {
  const text = intact.toString();
  assert.ok(documentIsIntact(text));
  assert.ok(!documentIsIntact(text.replace(/"checksum": "(.)/, (_, digit) => `"checksum": "${digit === "0" ? 1 : 0}`)));
  assert.ok(!documentIsIntact(text.replace(/\n {2}"checksum": .*/, "")));
  assert.ok(!documentIsIntact(""));
  assert.throws(() => parse(Buffer.from(text.replace(/\n {2}"checksum": .*/, ""))), damaged);
});

/** The same bytes with the checksum that fits them, whatever they are. */
function resealed(bytes: Buffer): Buffer {
  const at = bytes.indexOf('\n  "checksum": "') + '\n  "checksum": "'.length;
  const blank = Buffer.from(bytes);
  blank.write("00000000", at, "latin1");
  blank.write(checksumOf(blank), at, "latin1");
  return blank;
}

test("bytes that are not UTF-8 are damage, also with the right checksum", () => {
  const at = intact.indexOf(Buffer.from("\ufffd"));
  const broken = Buffer.concat([intact.subarray(0, at), Buffer.from([0xff]), intact.subarray(at + 3)]);
  assert.throws(() => parse(broken), damaged);
  assert.ok(documentIsIntact(resealed(broken)));
  assert.throws(() => parse(resealed(broken)), damaged);
});

test("a byte order mark is a byte too many, also with the right checksum", () => {
  const marked = Buffer.concat([Buffer.from("\ufeff"), intact]);
  assert.throws(() => parse(marked), damaged);
  assert.ok(documentIsIntact(resealed(marked)));
  assert.throws(() => parse(resealed(marked)), damaged);
});

const misshapen: Record<string, Record<string, unknown>> = {
  "of another session": { sessionKey: "b" },
  "of no session": { sessionKey: 7 },
  "without a version": { version: undefined },
  "with a version that is no number": { version: "3" },
  "with half a version": { version: 1.5 },
  "with a negative version": { version: -1 },
  "without a record": { record: undefined },
  "without an entry": { entry: undefined },
  "with null for an entry": { entry: null },
  "with an array for an entry": { entry: [] },
  "with text for an entry": { entry: "text" },
};
for (const [what, fields] of Object.entries(misshapen)) {
  test(`an entry file ${what} is damage, whatever its checksum says`, () => {
    assert.equal(parse(sealed({})).key, "a");
    assert.throws(() => parse(sealed(fields)), damaged);
    if (typeof fields.sessionKey !== "string") {
      assert.throws(() => parseEntryFile(sealed(fields), undefined, "/entries/hashed"), damaged);
    }
  });
}

test("an entry may be as deep as the cap of nestingLevels, and not deeper", () => {
  const nested = (levels: number) => {
    let entry: Record<string, unknown> = {};
    for (let level = 1; level < levels; level += 1) entry = { entry };
    return entry;
  };
  parse(sealed({ entry: nested(limitCaps.nestingLevels) }));
  assert.throws(() => parse(sealed({ entry: nested(limitCaps.nestingLevels + 1) })), damaged);
});

/** Changes what calls answer. */
class LyingPort extends InterceptedPort {
  lie: (call: PortCall, answer: unknown) => unknown = (_, answer) => answer;

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    return this.lie(call, proceed()) as T;
  }
}

test("an entry file above its limit is damage that is not read", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.close());
  const port = new LyingPort(machine.process());
  const isEntry = ({ path }: PortCall) => path.endsWith(entryFileName("a"));
  let reads = 0;
  port.lie = (call, answer) => {
    if (call.method === "read" && isEntry(call)) reads += 1;
    if (call.method !== "stat" || !isEntry(call)) return answer;
    return { ...(answer as FileStat), sizeBytes: fixedLimits.entryFileBytesMax + 1 };
  };
  const backend = await machine.settle(openStore(port, { cacheBytes: 0 }));
  await assert.rejects(backend.read(["a"]), damaged);
  assert.equal(reads, 0);
  await machine.settle(backend.close());
});

// --- shards and numbers --------------------------------------------------------------------------------------------------

const manifestPath = `${storePath}/state.json`;

function rewriteManifest(machine: SimulatedMachine, fields: Partial<Manifest>): void {
  const manifest = JSON.parse(machine.readText(manifestPath)) as Manifest;
  machine.writeFile(manifestPath, formatManifest({ ...manifest, ...fields }));
}

test("a shard that others may write to, or that is a link, is refused: nothing is read from it, nothing written", async () => {
  const machine = await makeMachine();
  rewriteManifest(machine, { shardDigits: 2 });
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.close());
  const shard = Object.keys(machine.dump())
    .find((path) => /entries\/[0-9a-f]{2}\/$/.test(path))!
    .slice(0, -1);
  assert.equal(await readValue(await start(machine, "healthy", { readOnly: true }), "a"), 1);
  machine.setMode(shard, 0o720);
  await assert.rejects((await start(machine, "reader", { readOnly: true })).backend.read(["a"]), {
    code: "unsafe_path",
  });
  machine.setMode(shard, 0o700);
  machine.rename(shard, "/home/agent/elsewhere");
  machine.makeSymlink("/home/agent/elsewhere", shard);
  await assert.rejects((await start(machine, "other reader", { readOnly: true })).backend.read(["a"]), {
    code: "unsafe_path",
  });
});

test("a directory of entries with far more files than sessions are allowed is refused, not listed to its end", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { sessions: 1 } });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  // What a directory full of strays would list.
  const listing = Array.from({ length: 1_100 }, (_, index): DirectoryEntry => ({ name: `s${index}`, kind: "file" }));
  class FullPort extends InterceptedPort {
    protected override intercept<T>(_: PortCall, proceed: () => T): T {
      return proceed();
    }

    override listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]> {
      return directory.displayPath.endsWith("/entries") ? [listing] : super.listInBatches(directory, batchSize);
    }
  }
  const port: Port = new FullPort(machine.process());
  const reader = await machine.settle(openStore(port, { readOnly: true, limits: { sessions: 1 } }));
  const read = async () => {
    for await (const _ of await reader.scan());
  };
  await assert.rejects(machine.settle(read()), { code: "limit_exceeded" });
  await machine.settle(reader.close());
});

test("a journal of more files than any store makes is refused, not listed to its end", async () => {
  const machine = await makeMachine();
  class FullPort extends InterceptedPort {
    protected override intercept<T>(_: PortCall, proceed: () => T): T {
      return proceed();
    }

    override list(directory: Directory, entriesMax: number): DirectoryEntry[] {
      if (directory.displayPath.endsWith("/journal") && entriesMax < 1_000_000) {
        throw Object.assign(new Error("EOVERFLOW"), { code: "EOVERFLOW" });
      }
      return super.list(directory, entriesMax);
    }
  }
  await assert.rejects(machine.settle(openStore(new FullPort(machine.process()))), { name: "SessionStoreError" });
});

// --- the manifest --------------------------------------------------------------------------------------------------------

test("a manifest that is not UTF-8 is damage, also where a replacement character would give the right checksum", async () => {
  const machine = await makeMachine();
  rewriteManifest(machine, { migration: { sourceName: "\ufffd" } as unknown as Manifest["migration"] });
  await machine.settle((await start(machine, "store")).backend.close());
  const bytes = Buffer.from(machine.readFile(manifestPath));
  const at = bytes.indexOf(Buffer.from("\ufffd"));
  machine.writeFile(manifestPath, Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)]));
  await assert.rejects(start(machine, "reader", { readOnly: true }), { code: "store_damaged" });
});

test("a manifest with a hard link elsewhere, or of another user, is refused", async () => {
  for (const make of [
    (machine: SimulatedMachine) => machine.makeHardLink(manifestPath, "/home/agent/linked.json"),
    (machine: SimulatedMachine) => {
      machine.setOwner(manifestPath, 7);
      machine.setMode(manifestPath, 0o644);
    },
  ]) {
    const machine = await makeMachine();
    make(machine);
    await assert.rejects(start(machine, "reader", { readOnly: true }), { code: "unsafe_path" });
  }
});

test("a store that is guarded by locks of another family is read, and not written", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.close());
  rewriteManifest(machine, { lockFamily: "flock" });
  await assert.rejects(start(machine, "writer"), { code: "unsupported_platform" });
  assert.equal(await readValue(await start(machine, "reader", { readOnly: true }), "a"), 1);
});
