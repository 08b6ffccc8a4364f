/** P22: how a store comes into being, and a legacy file goes out of use: whole, durable, and by one process at a time. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type CreateOptions, createStore, type StoreContent } from "../../src/backends/directory/create.js";
import { parseReadyName, parseStoreLocation, type StoreLocation } from "../../src/backends/directory/layout.js";
import { removeLeftovers } from "../../src/backends/directory/staging.js";
import type { FrozenEntry } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import { defaultLimits } from "../../src/limits.js";
import { inspectLegacyFile } from "../../src/migrate/legacy-file.js";
import { mergeLegacyFile } from "../../src/migrate/merge.js";
import { createOrTakeOver } from "../../src/migrate/take-over.js";
import { FailingPort } from "../sim/failing-port.js";
import type { PortCall } from "../sim/intercepted-port.js";
import { SimulatedMachine } from "../sim/machine.js";
import { HookedPort, location, loseEverythingPending, openStore, readStore, storePath } from "./simulated-store.js";

const legacyPath = "/home/agent/sessions.json";
const sessions = { a: { value: 1 }, b: { value: 2 }, c: { value: 3 } };
const takeOverOptions = { keyRule: "openclaw", limits: defaultLimits, migrate: "auto" } as const;

function makePlace(options: ConstructorParameters<typeof SimulatedMachine>[0] = {}): SimulatedMachine {
  const machine = new SimulatedMachine(options);
  machine.makeDirectory("/home/agent");
  return machine;
}

/** Three sessions, which may say to be many more, as then shards are made. */
function content(size = 3): StoreContent {
  const entries = new Map(Object.entries(sessions).map(([key, entry]) => [key, Object.freeze(entry) as FrozenEntry]));
  Object.defineProperty(entries, "size", { value: size });
  return { entries, provenance: null };
}

function create(port: Port, options: Partial<CreateOptions> & { at?: StoreLocation; size?: number } = {}) {
  const { at = location, size, ...others } = options;
  return createStore(port, at, { keyRule: "exact", prepare: async () => content(size), ...others });
}

function takeOver(port: Port) {
  return createOrTakeOver(port, location, takeOverOptions);
}

function namesIn(machine: SimulatedMachine, directory: string): string[] {
  const prefix = `${directory}/`;
  const names = Object.keys(machine.dump()).filter((path) => path.startsWith(prefix));
  return [...new Set(names.map((path) => path.slice(prefix.length).split("/")[0]!))]
    .filter((name) => name !== "")
    .sort();
}

/** Looks at the machine before every call that follows a change. */
function looking(machine: SimulatedMachine, look: (call: PortCall) => void): HookedPort {
  const port = new HookedPort(machine.process("looking"));
  port.before = (call) => {
    if (["rename", "syncDirectory", "syncFile", "open", "unlink"].includes(call.method)) look(call);
  };
  return port;
}

// Fails without any one of the syncs in `buildStaging`, `writeEntries`, `writeFirstSegment` and `writeTemporaryFile`.
for (const [what, size] of [
  ["in one directory", 3],
  ["in shards", 50_000],
] as const) {
  test(`P22: whenever the power fails, a store ${what} is not there or is there whole`, async () => {
    const machine = makePlace({ fileSystem: "weak" });
    const images: SimulatedMachine[] = [];
    const port = looking(machine, () => {
      for (const image of machine.powerLossImages(60)) if (image.exists(storePath)) images.push(image);
    });
    await machine.settle(create(port, { size }));
    await machine.settle((await machine.settle(openStore(port))).close());
    assert.ok(images.length > 20, `only ${images.length} images with the store`);
    for (const [index, image] of images.entries()) assert.deepEqual(await readStore(image), sessions, `image ${index}`);
  });
}

// Fails without the sync of the parent in `createUnderLock`.
test("P22: when creation ends, the store is on the disk", async () => {
  const machine = makePlace({ fileSystem: "weak" });
  await machine.settle(create(machine.process()));
  assert.deepEqual(await readStore(loseEverythingPending(machine)), sessions);
});

// Fails without the syncs in `openOrMakeParent`, and without `syncAbove`.
test("P22: directories that were made for the store, by us or just now by others, are on the disk too", async () => {
  for (const madeByOthers of [false, true]) {
    const machine = new SimulatedMachine({ fileSystem: "weak" });
    machine.makeDirectory("/home");
    const at = parseStoreLocation("/home/new/below/sessions.json") as StoreLocation;
    const other = machine.process("other");
    if (madeByOthers) other.makeDirectory(other.openRoot("/home"), "new", 0o700);
    await machine.settle(create(machine.process(), { at }));
    const image = loseEverythingPending(machine);
    assert.ok(image.exists("/home/new/below/sessions.d/state.json"), `made by others: ${madeByOthers}`);
  }
});

// Fails without the lock in `acquire`, and without the second look for the store under it.
test("P22: of two creators one waits for the other, and then finds the store", async () => {
  const machine = makePlace();
  const first = machine.process("first");
  const second = machine.process("second");
  let isHeld = true;
  const slow = new HookedPort(first);
  slow.before = (call) => {
    if (call.method !== "syncFile" || !isHeld) return undefined;
    return (async () => {
      while (isHeld) await first.sleep(1);
    })();
  };
  const creating = create(slow);
  await machine.advance(20);
  const made: string[] = [];
  const watched = new HookedPort(second);
  watched.before = (call) => {
    if (isHeld && ["makeDirectory", "rename", "unlink", "removeDirectory"].includes(call.method)) made.push(call.path);
  };
  const waiting = create(watched);
  await machine.advance(100);
  assert.deepEqual(made, []);
  isHeld = false;
  assert.deepEqual(await machine.settle(Promise.all([creating, waiting])), ["created", "exists"]);
  assert.deepEqual(await readStore(machine), sessions);
});

// Fails when `settleAll` rejects with the first failure, and when a failed creation leaves its staging directory.
test("a creation that fails leaves nothing behind, and nothing of it goes on", async () => {
  for (const method of ["syncFile", "syncDirectory", "rename", "append"] as const) {
    const machine = makePlace();
    const process = machine.process();
    const port = new FailingPort(process, { failAt: 2, code: "EIO", methods: [method] });
    if (method === "rename") port.fail({ failAt: 1, code: "EIO", methods: [method] });
    await assert.rejects(machine.settle(create(port)), { code: "EIO" }, method);
    assert.deepEqual(process.openHandles(), [], method);
    const left = machine.dump();
    assert.deepEqual(namesIn(machine, "/home/agent"), ["sessions.d.checkpoint.lock"], method);
    await machine.advance(1_000);
    assert.deepEqual(machine.dump(), left, method);
    assert.deepEqual(machine.misuses, []);
  }
});

// Fails without `removeStagingLeftovers`.
test("what a dead creator left is removed by the next one", async () => {
  const machine = makePlace();
  const dead = machine.process("dead");
  const port = new HookedPort(dead);
  port.before = (call) => {
    if (call.method === "rename") dead.kill();
  };
  create(port).catch(() => {});
  await machine.advance(1_000);
  assert.ok(namesIn(machine, "/home/agent").some((name) => name.includes(".staging-")));
  await machine.settle(create(machine.process()));
  assert.ok(!namesIn(machine, "/home/agent").some((name) => name.includes(".staging-")));
});

// Fails without the sync behind `removeTree` in `publish`: a leftover beside a store is looked for by nobody.
test("a staging directory that was given up is not beside the store after a power cut", async () => {
  const machine = makePlace({ fileSystem: "weak" });
  let tries = 0;
  let images = 0;
  const port = looking(machine, ({ method, path }) => {
    for (const image of machine.powerLossImages(20)) {
      if (!image.exists(storePath)) continue;
      images += 1;
      const strays = namesIn(image, "/home/agent").filter((name) => name.includes(".staging-"));
      assert.deepEqual(strays, [], `${method} ${path}`);
    }
  });
  await machine.settle(
    create(port, {
      isStillRight: () => {
        tries += 1;
        return tries > 1;
      },
    }),
  );
  assert.equal(tries, 2);
  assert.ok(images > 0);
});

// Fails when the name under which the complete store waits is not synced before the directory in its place is renamed.
test("a store that takes the place of a directory that makes way is there, or waits, or the directory is, after any power cut", async () => {
  const machine = makePlace({ fileSystem: "weak" });
  machine.makeDirectory(storePath);
  machine.writeFile(`${storePath}/other`, "not ours");
  let moved = 0;
  const port = looking(machine, ({ method, path }) => {
    for (const image of machine.powerLossImages(30)) {
      if (image.exists(storePath)) continue;
      moved += 1;
      const ready = namesIn(image, "/home/agent").filter((name) => parseReadyName("sessions.d", name) !== undefined);
      assert.equal(ready.length, 1, `${method} ${path}`);
    }
  });
  await machine.settle(create(port, { displaces: () => "bak" }));
  assert.ok(moved > 0);
});

// A rename of a directory may be on the disk as a second name only. Fails without `isTheStore`.
test("a store that a power cut left under the name of its staging directory too is not removed with the leftovers", async () => {
  const machine = makePlace();
  await machine.settle(create(machine.process("creator")));
  machine.makeHardLink(storePath, `${storePath}.staging-0123456789abcdef`);
  const process = machine.process("next");
  await machine.settle(removeLeftovers(process, process.openRoot("/home/agent"), location));
  assert.ok(machine.exists(`${storePath}/state.json`));
});

// Fails when `removeTree` goes down as deep as there is anything.
test("a directory with the name of a leftover that is deeper than any we make is not removed", async () => {
  const machine = makePlace();
  const deep = "/home/agent/sessions.d.staging-0123/a/b/c/d/e";
  machine.makeDirectory(deep);
  machine.writeFile(`${deep}/precious`, "not ours");
  await assert.rejects(machine.settle(create(machine.process())));
  assert.equal(machine.readText(`${deep}/precious`), "not ours");
});

// Fails when directories are made with another mode.
test("every directory of a new store has mode 0700, every file 0600", async () => {
  const machine = makePlace();
  await machine.settle(create(machine.process(), { size: 50_000 }));
  const paths = Object.keys(machine.dump()).filter((path) => path.startsWith("/home/agent/sessions.d"));
  assert.ok(paths.length > 10);
  for (const path of paths) {
    const expected = path.endsWith("/") ? 0o700 : 0o600;
    assert.equal(machine.inodeAt(path).mode & 0o777, expected, path);
  }
});

// --- the legacy file -------------------------------------------------------------------------------------------------------

function withLegacyFile(text = JSON.stringify(sessions)): SimulatedMachine {
  const machine = makePlace({ fileSystem: "weak" });
  machine.writeFile(legacyPath, text);
  return machine;
}

/** Does something before the first call of a method on the legacy file for which `when` holds. */
function meddle(
  machine: SimulatedMachine,
  method: PortCall["method"],
  act: () => void,
  when: () => boolean = () => true,
): HookedPort {
  const port = new HookedPort(machine.process("meddled with"));
  let isDone = false;
  port.before = (call) => {
    const isIt = method === "rename" ? call.path.includes("sessions.json.bak.") : call.path === legacyPath;
    if (isDone || call.method !== method || !isIt || !when()) return;
    isDone = true;
    act();
  };
  return port;
}

// Fails when the legacy file is opened without a look at what was opened.
test("a legacy file that becomes somebody else's between the look at it and its opening is refused", async () => {
  const machine = withLegacyFile();
  const port = meddle(machine, "open", () => machine.makeHardLink(legacyPath, "/home/agent/linked"));
  const seen = inspectLegacyFile(port, port.openRoot("/home/agent"), "sessions.json", takeOverOptions);
  assert.equal(seen.state, "invalid");
  await assert.rejects(machine.settle(takeOver(port)), { code: "invalid_legacy" });
  assert.ok(!machine.exists(storePath));
});

// Fails when what was read is taken whether or not the file changed meanwhile: half of it is no JSON.
test("a legacy file that is rewritten while it is read is read again", async () => {
  const machine = withLegacyFile('{"a":{"value":0}}');
  const port = meddle(machine, "read", () => machine.writeFile(legacyPath, JSON.stringify(sessions)));
  assert.equal((await machine.settle(takeOver(port))).outcome, "migrated");
  assert.deepEqual(await readStore(machine), sessions);
});

// Fails when only the open file is looked at again, and not what lies at its name.
test("a legacy file that is replaced while it is compared for the last time is left where it is", async () => {
  const machine = withLegacyFile();
  const replacement = JSON.stringify({ ...sessions, d: { value: "written at the last moment" } });
  const port = meddle(
    machine,
    "read",
    () => {
      machine.writeFile("/home/agent/next", replacement);
      machine.rename("/home/agent/next", legacyPath);
    },
    () => machine.exists(storePath),
  );
  const { backupPath } = await machine.settle(takeOver(port));
  assert.equal(backupPath, undefined);
  assert.equal(machine.readText(legacyPath), replacement);
});

// Fails without the comparison behind the rename in `setOriginalAside`.
test("a legacy file that changes right before its rename is kept, and whoever took it over is told to merge it", async () => {
  const machine = withLegacyFile();
  const port = meddle(machine, "rename", () => machine.writeFile(legacyPath, '{"late":{"value":1}}'));
  const late: string[] = [];
  const options = { ...takeOverOptions, onLateWrite: (backupName: string) => late.push(backupName) };
  const { backupPath } = await machine.settle(createOrTakeOver(port, location, options));
  assert.equal(machine.readText(backupPath!), '{"late":{"value":1}}');
  assert.deepEqual(late, [backupPath!.slice(backupPath!.lastIndexOf("/") + 1)]);
});

// Fails without the sync in `setOriginalAside`: an older program finds its file again after a power cut.
test("when the take-over ends, the original is out of use on the disk too", async () => {
  const machine = withLegacyFile();
  const { backupPath } = await machine.settle(takeOver(machine.process()));
  const image = loseEverythingPending(machine);
  assert.ok(!image.exists(legacyPath));
  assert.equal(image.readText(backupPath!), JSON.stringify(sessions));
});

// Fails without the lock in `underCheckpointLock` (upkeep.ts).
test("an interrupted take-over is finished by the holder of the checkpoint lock only", async () => {
  const machine = withLegacyFile();
  const { backupPath } = await machine.settle(takeOver(machine.process()));
  machine.rename(backupPath!, legacyPath);
  const backend = await machine.settle(openStore(machine.process("opener")));
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  const finished = mergeLegacyFile(machine.process(), backend, location, { limits: defaultLimits });
  await machine.advance(1_000);
  assert.ok(machine.exists(legacyPath));
  holder.kill();
  await machine.settle(finished);
  assert.ok(!machine.exists(legacyPath));
});
