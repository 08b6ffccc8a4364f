/** lmdb and classic-level: the entry as JSON text under its key; they have no index by time, so a list reads everything. */

import { mkdirSync } from "node:fs";
import path from "node:path";
import { entryOf, keyOf } from "../sessions.mjs";

function newestOf(rows, count) {
  rows.sort((left, right) => right.updatedAt - left.updatedAt);
  return rows.slice(0, count).length;
}

const loadLmdb = () => import("lmdb");
const loadLevel = () => import("classic-level");

async function openLmdb(directory, noSync) {
  mkdirSync(directory, { recursive: true });
  const { open } = await loadLmdb();
  const database = open({ path: path.join(directory, "sessions.lmdb"), encoding: "string", noSync, mapSize: 2 ** 34 });
  const read = (key) => {
    const text = database.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  };
  // Serial updates are synchronous transactions; those in flight use the package's own batching of commits.
  const update = (key, change) =>
    database.transactionSync(() => {
      database.put(key, JSON.stringify(change(read(key))));
    });
  return {
    update,
    updateInFlight: async (key, change) => {
      await database.transaction(() => database.put(key, JSON.stringify(change(read(key)))));
      // Its transactions resolve when others see them; what it calls flushed is what survives a power loss.
      if (!noSync) await database.flushed;
    },
    patch: (key, fields) => update(key, (entry) => ({ ...entry, ...fields })),
    get: read,
    newest: (count) => {
      const rows = [];
      for (const { key, value } of database.getRange()) rows.push({ key, updatedAt: JSON.parse(value).updatedAt });
      return newestOf(rows, count);
    },
    scan: () => {
      let count = 0;
      for (const { value } of database.getRange()) {
        JSON.parse(value);
        count += 1;
      }
      return count;
    },
    seed: (count, bytes) => {
      const step = 10_000;
      for (let from = 0; from < count; from += step) {
        database.transactionSync(() => {
          for (let index = from; index < Math.min(count, from + step); index += 1) {
            database.put(keyOf(index), JSON.stringify(entryOf(index, bytes)));
          }
        });
      }
    },
    close: () => database.close(),
  };
}

async function openLevel(directory, sync) {
  mkdirSync(directory, { recursive: true });
  const { ClassicLevel } = await loadLevel();
  const database = new ClassicLevel(path.join(directory, "sessions.level"), { valueEncoding: "utf8" });
  await database.open();
  const read = async (key) => {
    const text = await database.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  };
  const update = async (key, change) => {
    await database.put(key, JSON.stringify(change(await read(key))), { sync });
  };
  return {
    update,
    patch: (key, fields) => update(key, (entry) => ({ ...entry, ...fields })),
    get: read,
    newest: async (count) => {
      const rows = [];
      for await (const [key, value] of database.iterator()) rows.push({ key, updatedAt: JSON.parse(value).updatedAt });
      return newestOf(rows, count);
    },
    scan: async () => {
      let count = 0;
      for await (const [, value] of database.iterator()) {
        JSON.parse(value);
        count += 1;
      }
      return count;
    },
    seed: async (count, bytes) => {
      const step = 10_000;
      for (let from = 0; from < count; from += step) {
        const batch = database.batch();
        for (let index = from; index < Math.min(count, from + step); index += 1) {
          batch.put(keyOf(index), JSON.stringify(entryOf(index, bytes)));
        }
        await batch.write();
      }
    },
    close: () => database.close(),
  };
}

function keyValuePeer(family, load, open, durability) {
  return {
    family,
    durability,
    load,
    seed: async (directory, count, bytes) => {
      const driver = await open(directory);
      await driver.seed(count, bytes);
      await driver.close();
    },
    open,
  };
}

export const keyValuePeers = {
  "lmdb noSync": keyValuePeer("lmdb", loadLmdb, (directory) => openLmdb(directory, true), "process crash"),
  "lmdb sync": keyValuePeer("lmdb", loadLmdb, (directory) => openLmdb(directory, false), "power loss"),
  "classic-level": keyValuePeer("level", loadLevel, (directory) => openLevel(directory, false), "process crash"),
  "classic-level sync": keyValuePeer("level", loadLevel, (directory) => openLevel(directory, true), "power loss"),
};
