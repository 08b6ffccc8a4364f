/**
 * Every public operation, each with the machine it begins on and the part of it whose port calls may fail. What becomes
 * of a failure is looked at in failing-operation.ts; failed-operations.test.ts and the torture row "failed-calls" run
 * them.
 *
 * Opening is an operation of its own, and so is closing: where a table entry says `call`, the store was opened before,
 * and is closed after, without a failure.
 */

import type { OpenOptions, SessionStore } from "../../src/api.js";
import { repairStore } from "../../src/backends/directory/repair.js";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import { detectOnPort } from "../../src/migrate/detect.js";
import { migrateStore } from "../../src/migrate/migrate.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";
import { createBackup, verifyBackup } from "../../src/transfer/backup.js";
import { copyStore } from "../../src/transfer/copy.js";
import { exportSessions } from "../../src/transfer/export.js";
import { importSessions } from "../../src/transfer/import.js";
import { restoreBackup } from "../../src/transfer/restore.js";
import { SimulatedMachine } from "../sim/machine.js";
import { entryFileName, storePath } from "./simulated-store.js";

export type Store = SessionStore<Record<string, unknown>>;

export interface Operation {
  readonly name: string;
  /** The machine on which it begins; nobody has anything open. */
  readonly prepare: () => Promise<SimulatedMachine>;
  /** The location of the store that is looked at before and after, and how it is opened for that. */
  readonly location: string;
  readonly options: OpenOptions;
  /** Works on an open store; its answer, if any, is the same whenever it succeeds. */
  readonly call?: (store: Store, port: Port) => Promise<unknown>;
  /** Opens what it needs itself. */
  readonly program?: (port: Port, machine: SimulatedMachine) => Promise<unknown>;
  /** How the store of a `call` is opened; default: as for looking. */
  readonly opened?: OpenOptions;
  /** Whether it changes what the store holds: a clean run must then. */
  readonly changes: boolean;
  /** An error does not say which of its steps were done; nor does success, of what is best effort. */
  readonly steps?: "told" | "best effort";
  /** What it begins on cannot be opened. */
  readonly spoilt?: true;
}

export const agentFolder = "/home/agent";
export const legacyPath = `${agentFolder}/sessions.json`;
const otherStore = "/home/other/sessions.d";
const backups = "/home/backups";
const bundlePath = "/home/bundles/all.jsonl";

export async function openStore(port: Port, location: string, options: OpenOptions = {}): Promise<Store> {
  const checked = checkOpenOptions({ keys: "exact", migrate: "never", ...options });
  const backend = await openBackend(port, location, checked);
  return createSessionStore(backend, { clock: port, conflictWaitMs: checked.conflictWaitMs });
}

// --- machines --------------------------------------------------------------------------------------------------------

async function run<Result>(machine: SimulatedMachine, work: (port: Port) => Promise<Result>): Promise<Result> {
  const outcome = await machine.process().run(work);
  if (outcome.status === "failed") throw outcome.error;
  if (outcome.status !== "returned") throw new Error("the process was killed");
  return outcome.value;
}

function emptyMachine(): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 11, fileSystem: "weak" });
  for (const folder of [agentFolder, "/home/other", "/home/bundles"]) machine.makeDirectory(folder);
  return machine;
}

/** In entry files: b, c and d, of which d was reset once; in the trash: a; in the journal only: a field of b, and e. */
async function fillDirectory(port: Port, location: string): Promise<void> {
  const store = await openStore(port, location);
  await store.transaction(async (transaction) => {
    for (const key of ["a", "b", "c", "d"]) transaction.set(key, { sessionId: `${key}-1`, updatedAt: 1 });
  });
  await store.patch("d", { sessionId: "d-2" });
  await store.remove("a");
  await store.checkpoint();
  await store.patch("b", { field: "journaled" });
  await store.update("e", () => ({ sessionId: "e-1", updatedAt: 2 }));
}

async function storeWithHistory(): Promise<SimulatedMachine> {
  const machine = emptyMachine();
  // The process dies: what it committed last is in the journal only.
  await run(machine, (port) => fillDirectory(port, storePath));
  return machine.fork();
}

async function storeAtRest(): Promise<SimulatedMachine> {
  const machine = await storeWithHistory();
  await run(machine, async (port) => (await openStore(port, storePath)).close());
  return machine.fork();
}

async function spoiltStore(): Promise<SimulatedMachine> {
  const machine = await storeWithHistory();
  machine.writeFile(`${storePath}/entries/${entryFileName("c")}`, "spoilt");
  machine.writeFile(`${storePath}/state.json`, "{}");
  return machine;
}

async function spoiltJournal(): Promise<SimulatedMachine> {
  const machine = await storeAtRest();
  await run(machine, async (port) => {
    const store = await openStore(port, storePath);
    for (const key of ["f", "g", "h"]) await store.update(key, () => ({ sessionId: key }));
  });
  const died = machine.fork();
  const segment = Object.keys(died.dump())
    .filter((path) => path.startsWith(`${storePath}/journal/`) && path.endsWith(".jsonl"))
    .sort()
    .at(-1) as string;
  // The record of f, which later ones say was durable.
  died.writeFile(segment, died.readText(segment).replace('"f"', '"F"'));
  return died;
}

const legacyText = JSON.stringify({ main: { sessionId: "m", updatedAt: 1 }, other: { sessionId: "o" } }, null, 2);

async function legacyFile(): Promise<SimulatedMachine> {
  const machine = emptyMachine();
  machine.writeFile(legacyPath, legacyText);
  return machine;
}

async function storeAndLegacyFile(): Promise<SimulatedMachine> {
  const machine = await storeAtRest();
  machine.writeFile(legacyPath, legacyText);
  return machine;
}

async function migratedStore(): Promise<SimulatedMachine> {
  const machine = await legacyFile();
  await run(machine, async (port) => {
    const store = await openStore(port, legacyPath, { migrate: "auto" });
    await store.update("since", () => ({ sessionId: "s" }));
  });
  return machine.fork();
}

async function withOther(machine: SimulatedMachine, work: (port: Port) => Promise<unknown>): Promise<SimulatedMachine> {
  await run(machine, async (port) => {
    const store = await openStore(port, otherStore);
    for (const key of ["c", "x", "y"]) await store.update(key, () => ({ sessionId: `other-${key}`, updatedAt: 5 }));
    await store.close();
    await work(port);
  });
  machine.syncAll();
  return machine.fork();
}

async function withBundle(machine: SimulatedMachine): Promise<SimulatedMachine> {
  return withOther(machine, (port) => exportSessions(otherStore, bundlePath, { port }));
}

async function withBackup(machine: SimulatedMachine): Promise<SimulatedMachine> {
  return withOther(machine, (port) => createBackup(otherStore, backups, { port }));
}

function onlyBackup(machine: SimulatedMachine): string {
  const path = Object.keys(machine.dump()).find((name) => name.endsWith("/manifest.json")) as string;
  return path.slice(0, path.lastIndexOf("/"));
}

// --- the table -------------------------------------------------------------------------------------------------------

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

type Call = (store: Store, port: Port) => Promise<unknown>;

const storeReads: Record<string, Call> = {
  get: (store) => store.get("b"),
  getMany: async (store) => [...(await store.getMany(["b", "c", "e", "nobody"]))],
  getWithVersion: (store) => store.getWithVersion("c"),
  generations: (store) => store.generations("d"),
  entries: async (store) => (await collect(store.entries())).map(({ key, entry }) => [key, entry]),
  list: (store) => store.list({ limit: 3 }),
  trash: async (store) => (await collect(store.trash())).map(({ key }) => key),
  cursor: (store) => store.cursor(),
  stats: async (store) => (await store.stats()).version,
  verify: async (store) => {
    const found = (await collect(store.verify())).find(({ severity }) => severity === "error");
    // A file that cannot be read just now is a finding like any other; the caller was told.
    if (found) throw new SessionStoreError("io_error", `${found.code}: ${found.path} ${found.message}`);
    return "no finding";
  },
};

const storeWrites: Record<string, { call: Call; changes?: false; steps?: Operation["steps"] }> = {
  create: { call: (store) => store.update("new", () => ({ sessionId: "n" })) },
  update: { call: (store) => store.update("c", (entry) => ({ ...entry, changed: true })) },
  patch: { call: (store) => store.patch("b", { changed: true }) },
  "update that merges": {
    call: (store) => store.update("b", (entry) => ({ ...entry, changed: true }), { onConflict: "merge" }),
  },
  "refused compare-and-swap": {
    call: async (store) => {
      const version = (await store.getWithVersion("d"))?.version as string;
      return store.patch("c", { changed: true }, { ifVersion: version }).catch((error) => {
        if (error.code !== "conflict") throw error;
        return "refused";
      });
    },
    changes: false,
  },
  transaction: {
    call: (store) =>
      store.transaction(async (transaction) => {
        transaction.set("new", { sessionId: "n" });
        await transaction.patch("c", { changed: true });
        await transaction.remove("b");
      }),
  },
  remove: { call: (store) => store.remove("c") },
  purge: { call: (store) => store.remove("e", { purge: true }) },
  reset: { call: (store) => store.patch("c", { sessionId: "c-2" }) },
  reopenGeneration: { call: (store) => store.reopenGeneration("d", "d-1") },
  // The file in the trash goes when the session is back.
  "restore from the trash": { call: (store) => store.restore("a"), steps: "best effort" },
  emptyTrash: { call: (store) => store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY }), steps: "told" },
};

const emptyTrashByAge: OpenOptions = { limits: { trashRetentionMs: 0 } };
const smallSegments: OpenOptions = { limits: { segmentBytes: 600 } };
const noRetention: OpenOptions = { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } };

const base = { location: storePath, options: {} };
const fromLegacy = { location: legacyPath, options: { migrate: "auto" } as OpenOptions };

const openAndClose = (options: OpenOptions, location = storePath) => {
  return async (port: Port) => (await openStore(port, location, options)).close();
};

function onOpenStore(): Operation[] {
  const operations: Operation[] = [];
  for (const [name, call] of Object.entries(storeReads)) {
    const read = { ...base, prepare: storeWithHistory, call, changes: false };
    operations.push({ ...read, name }, { ...read, name: `${name}, read-only`, opened: { readOnly: true } });
  }
  for (const [name, { changes = true, ...write }] of Object.entries(storeWrites)) {
    operations.push({ ...base, ...write, name, prepare: storeWithHistory, changes });
  }
  const upkeep = (
    name: string,
    call: Call,
    opened: OpenOptions = {},
    changes = false,
    steps: Operation["steps"] = "told",
  ) => {
    operations.push({ ...base, name, prepare: storeWithHistory, call, opened, changes, steps });
  };
  upkeep("close", (store) => store.close());
  upkeep("checkpoint", (store) => store.checkpoint());
  upkeep("checkpoint that drops segments", (store) => store.checkpoint(), noRetention);
  upkeep("trash by age", (store) => store.checkpoint(), emptyTrashByAge, true, "best effort");
  upkeep("rotate", rotate, smallSegments, true);
  upkeep("sync", updateAndSync, { durability: "interval" }, true);
  upkeep("watch", watchOneChange, {}, true);
  return operations;
}

async function rotate(store: Store): Promise<void> {
  await store.update("long", () => ({ text: "x".repeat(800) }));
  await store.checkpoint();
}

async function updateAndSync(store: Store): Promise<void> {
  await store.update("new", () => ({ sessionId: "n" }));
  await store.sync();
}

async function watchOneChange(store: Store): Promise<unknown> {
  const changes = store.watch({ since: await store.cursor() });
  await store.update("new", () => ({ sessionId: "n" }));
  try {
    return (await changes.next()).value?.key;
  } finally {
    await changes.return?.();
  }
}

const programs: Operation[] = [
  { ...base, name: "open", prepare: storeWithHistory, program: openAndClose({}), changes: false },
  {
    ...base,
    name: "open read-only",
    prepare: storeWithHistory,
    program: openAndClose({ readOnly: true }),
    changes: false,
  },
  { ...base, name: "open nothing", prepare: async () => emptyMachine(), program: openAndClose({}), changes: false },
  {
    ...fromLegacy,
    name: "take over",
    prepare: legacyFile,
    program: openAndClose({ migrate: "auto" }, legacyPath),
    changes: false,
  },
  {
    ...fromLegacy,
    name: "detectSessionStore",
    prepare: legacyFile,
    program: async (port) => detectOnPort(port, legacyPath),
    changes: false,
  },
  {
    ...fromLegacy,
    name: "migrateStore",
    prepare: legacyFile,
    program: (port) => migrateStore(legacyPath, { port, keys: "exact" }),
    changes: false,
  },
  {
    ...fromLegacy,
    name: "merge",
    prepare: storeAndLegacyFile,
    program: openAndClose({ migrate: "auto" }, legacyPath),
    changes: false,
  },
  {
    ...fromLegacy,
    name: "rollbackStore",
    prepare: migratedStore,
    program: (port) => rollbackStore(legacyPath, { port }),
    changes: false,
  },
  {
    ...base,
    name: "repair",
    prepare: spoiltStore,
    program: (port) => repairStore(storePath, { port }),
    spoilt: true,
    changes: true,
  },
  {
    ...base,
    name: "repair of a journal",
    prepare: spoiltJournal,
    program: (port) => repairStore(storePath, { port }),
    spoilt: true,
    changes: true,
  },
  {
    ...base,
    name: "exportSessions",
    prepare: storeWithHistory,
    program: (port) => exportSessions(storePath, bundlePath, { port }),
    changes: false,
  },
  {
    ...base,
    name: "importSessions",
    prepare: async () => withBundle(await storeAtRest()),
    program: (port) => importSessions(bundlePath, storePath, { port, onConflict: "newer" }),
    changes: true,
  },
  {
    ...base,
    name: "importSessions into nothing",
    prepare: async () => withBundle(emptyMachine()),
    program: (port) => importSessions(bundlePath, storePath, { port }),
    changes: true,
  },
  {
    ...base,
    name: "createBackup",
    prepare: storeWithHistory,
    program: (port) => createBackup(storePath, backups, { port }),
    changes: false,
  },
  {
    ...base,
    name: "verifyBackup",
    prepare: async () => withBackup(await storeAtRest()),
    program: (port, machine) => verifyBackup(onlyBackup(machine), { port }),
    changes: false,
  },
  {
    ...base,
    name: "restoreBackup",
    prepare: async () => withBackup(await storeAtRest()),
    program: (port, machine) =>
      restoreBackup(onlyBackup(machine), storePath, { port, replace: true, acceptLoss: true }),
    changes: true,
  },
  {
    ...base,
    name: "restoreBackup into nothing",
    prepare: async () => withBackup(emptyMachine()),
    program: (port, machine) => restoreBackup(onlyBackup(machine), storePath, { port }),
    changes: true,
  },
  {
    ...base,
    name: "copyStore",
    prepare: async () => withBundle(await storeAtRest()),
    program: (port) => copyStore(otherStore, storePath, { port, onConflict: "newer" }),
    changes: true,
  },
];

const inOneFile: OpenOptions = { backend: "json" };

async function oneFile(): Promise<SimulatedMachine> {
  const machine = emptyMachine();
  const sessions = Object.fromEntries(["b", "c", "d", "e"].map((key) => [key, { sessionId: key, updatedAt: 1 }]));
  machine.writeFile(legacyPath, JSON.stringify(sessions, null, 2));
  return machine;
}

function onOneFile(): Operation[] {
  const file = { location: legacyPath, options: inOneFile };
  const operations: Operation[] = [];
  for (const [name, call] of Object.entries(storeReads)) {
    operations.push({ ...file, name: `json: ${name}`, prepare: oneFile, call, changes: false });
  }
  for (const name of ["create", "update", "patch", "refused compare-and-swap", "transaction", "remove"]) {
    const { call, changes = true } = storeWrites[name] as (typeof storeWrites)[string];
    operations.push({ ...file, name: `json: ${name}`, prepare: oneFile, call, changes });
  }
  operations.push(
    {
      ...file,
      name: "json: rotate",
      prepare: oneFile,
      call: (store) => store.update("new", () => ({ sessionId: "n" })),
      opened: { rotateBytes: 0 },
      changes: true,
    },
    { ...file, name: "json: sync", prepare: oneFile, call: (store) => store.sync(), changes: false },
    { ...file, name: "json: checkpoint", prepare: oneFile, call: (store) => store.checkpoint(), changes: false },
    {
      ...file,
      name: "json: close",
      prepare: oneFile,
      call: (store) => store.close(),
      changes: false,
    },
    {
      ...file,
      name: "json: open",
      prepare: oneFile,
      program: openAndClose(inOneFile, legacyPath),
      changes: false,
    },
    {
      ...file,
      name: "json: open read-only",
      prepare: oneFile,
      program: openAndClose({ ...inOneFile, readOnly: true }, legacyPath),
      changes: false,
    },
    {
      ...file,
      name: "json: open nothing",
      prepare: async () => emptyMachine(),
      program: openAndClose(inOneFile, legacyPath),
      changes: false,
    },
  );
  return operations;
}

export const allOperations: readonly Operation[] = [...onOpenStore(), ...programs, ...onOneFile()];
