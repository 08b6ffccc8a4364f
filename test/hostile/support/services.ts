/**
 * Everything that a store does, done once to a store that was tampered with: by a reader, by a writer, and by `repair`.
 * Tells what each answered: "served", when it did what it should, or the code of a typed error. What is served and wrong
 * fails the test, and so does an error without a code.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { repairStore } from "../../../src/backends/directory/repair.js";
import { type OpenOptions, SessionStoreError } from "../../../src/index.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { createSessionStore } from "../../../src/store.js";
import { findingsOf, type TemporaryPlace } from "../../process/support/temporary-store.js";
import { makeOutside } from "./file-kinds.js";
import { type AnyStore, contentOf, healthyKeys, keepNothing, victimEntry, victimKey } from "./store-tree.js";
import { SwappingPort } from "./swapping-port.js";

/** What did not answer "served", by the name of the service: "reader list", "writer commit", "repair". */
export type Answers = Record<string, string>;

/** The machine as it is, except that no disk is waited for: what these tests look at is there without. */
const unsynced = new SwappingPort();

async function openUnsynced(location: string, options: OpenOptions): Promise<AnyStore> {
  const backend = await openBackend(unsynced, location, checkOpenOptions(options));
  return createSessionStore(backend, { clock: unsynced, conflictWaitMs: undefined, logger: undefined });
}

const removedKey = "removed";
const removableKey = "removable";
const keys = [victimKey, removableKey, ...healthyKeys].sort();

/**
 * Copies a store with sessions in files, one in the trash and an index into the place, lets `tamper` at it, and uses it.
 * Checks that nothing outside the store has changed, and that no descriptor of it is left open.
 */
export async function tryServices(
  place: TemporaryPlace,
  tamper: (outside: string) => void,
): Promise<{ answers: Answers; findings: ReadonlySet<string> }> {
  const outside = path.join(place.parent, "outside");
  makeOutside(outside);
  await copyTemplate(place.parent);
  tamper(outside);
  const before = contentsBelow(outside);
  const answers: Answers = {};
  const findings = new Set<string>();
  await useAs("reader", place, answers, findings);
  await useAs("writer", place, answers, findings);
  await answered(answers, "repair", () => repairStore(place.location, { port: unsynced }));
  assert.deepEqual(contentsBelow(outside), before, "something outside the store was changed");
  assert.deepEqual(openBelow(place.parent), [], "descriptors are left open");
  return { answers, findings };
}

async function useAs(role: "reader" | "writer", place: TemporaryPlace, answers: Answers, findings: Set<string>) {
  const options = { ...keepNothing, lockWaitMs: 500, readOnly: role === "reader" };
  const open = () => openUnsynced(place.location, options);
  const store = await answered(answers, `${role} open`, open);
  if (store === undefined) return;
  const services: Record<string, () => Promise<void>> = { ...readings(store, findings) };
  if (role === "writer") Object.assign(services, writings(store));
  for (const [name, service] of Object.entries(services)) await answered(answers, `${role} ${name}`, service);
  await answered(answers, `${role} close`, () => store.close());
}

function readings(store: AnyStore, findings: Set<string>): Record<string, () => Promise<void>> {
  return {
    get: async () => {
      for (const key of healthyKeys) assert.equal((await store.get(key))?.sessionId, key);
    },
    "get of the victim": async () => assert.deepEqual(await store.get(victimKey), victimEntry),
    list: async () => {
      const { sessions } = await store.list({ order: "key" });
      assert.deepEqual(withoutVictim(sessions.map(({ key }) => key)), withoutVictim(keys));
    },
    scan: async () => {
      const found: string[] = [];
      for await (const { key } of store.entries({ onDamaged: () => {} })) found.push(key);
      assert.deepEqual(withoutVictim(found.sort()), withoutVictim(keys));
    },
    trash: async () => {
      const found: string[] = [];
      for await (const { key } of store.trash()) found.push(key);
      assert.deepEqual(found, [removedKey]);
    },
    verify: async () => {
      for (const { code } of await findingsOf(store)) findings.add(code);
    },
    stats: async () => assert.equal((await store.stats()).backend, "directory"),
  };
}

function writings(store: AnyStore): Record<string, () => Promise<void>> {
  return {
    commit: async () => {
      await store.update("healthy:0", (entry) => ({ ...entry, touched: true }));
      assert.equal((await store.get("healthy:0"))?.touched, true);
    },
    remove: async () => assert.equal(await store.remove(removableKey), true),
    checkpoint: () => store.checkpoint(),
    restore: async () => assert.equal((await store.restore(removedKey)).key, removedKey),
    emptyTrash: async () => assert.ok((await store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY })) > 0),
    "list of what was written": async () => {
      const { sessions } = await store.list({ order: "key" });
      const found = sessions.map(({ key }) => key);
      assert.ok(healthyKeys.every((key) => found.includes(key)) && !found.includes(removableKey), found.join());
    },
  };
}

/** A victim may be damaged, and is then told of and not listed. */
function withoutVictim(found: readonly string[]): string[] {
  return found.filter((key) => key !== victimKey);
}

async function answered<Result>(answers: Answers, name: string, service: () => Promise<Result>) {
  try {
    return await service();
  } catch (error) {
    if (!(error instanceof SessionStoreError))
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    answers[name] = error.code;
    return undefined;
  }
}

let template: Promise<string> | undefined;

async function copyTemplate(parent: string): Promise<void> {
  template ??= makeTemplate(path.dirname(parent));
  const from = await template;
  for (const name of fs.readdirSync(from))
    fs.cpSync(path.join(from, name), path.join(parent, name), { recursive: true });
}

/** One for all tests of a file; removed when the process ends. */
async function makeTemplate(base: string): Promise<string> {
  const directory = fs.mkdtempSync(path.join(base, "sessiondir-template-"));
  process.once("exit", () => fs.rmSync(directory, { recursive: true, force: true }));
  const store = await openUnsynced(path.join(directory, "sessions.json"), keepNothing);
  for (const key of [...healthyKeys, removableKey, removedKey]) await store.update(key, () => ({ sessionId: key }));
  await store.update(victimKey, () => victimEntry);
  await store.remove(removedKey);
  await store.checkpoint();
  await store.list();
  await store.close();
  assert.ok(fs.existsSync(path.join(directory, "sessions.d", "summary-index", "head.json")), "there is an index");
  return directory;
}

/** Not the link counts: a name of ours that was a hard link to something outside may be replaced. */
function contentsBelow(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { ino, mode, mtimeMs } = fs.lstatSync(path.join(directory, name));
      return [name, ino, mode, mtimeMs, contentOf(path.join(directory, name))].join(" ");
    });
}

/** What this process holds open below a directory; nothing where the system does not tell. */
export function openBelow(directory: string): string[] {
  if (process.platform !== "linux") return [];
  const real = fs.realpathSync(directory);
  return fs
    .readdirSync("/proc/self/fd")
    .map((descriptor) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return ""; // The one that listed them.
      }
    })
    .filter((target) => target.startsWith(`${real}${path.sep}`) || target === real);
}
