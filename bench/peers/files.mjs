/**
 * What gateways did with plain files: one `sessions.json` under a lock file, read and rewritten whole for every change;
 * and one file per session, replaced by rename, with a version file that every change counts up.
 */

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { entryOf, keyOf } from "../sessions.mjs";
import { seedLegacyFile } from "./seed-legacy-file.mjs";

function replaceFile(file, text, isSynced) {
  const temporary = `${file}.${process.pid}.tmp`;
  const descriptor = openSync(temporary, "w", 0o600);
  writeSync(descriptor, text);
  if (isSynced) fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(temporary, file);
}

async function locked(lockPath, work) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      writeFileSync(lockPath, JSON.stringify({ pid: process.pid, createdAt: new Date().toISOString() }), {
        flag: "wx",
      });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      await sleep(Math.min(1_000, 50 * attempt));
    }
  }
  try {
    return work();
  } finally {
    unlinkSync(lockPath);
  }
}

function openWhole(directory) {
  const file = path.join(directory, "sessions.json");
  const read = () => JSON.parse(readFileSync(file, "utf8"));
  // Calls of one process wait in line, as the original does it; the lock file is for other processes.
  let last = Promise.resolve();
  const update = (key, change) => {
    const run = last.then(() =>
      locked(`${file}.lock`, () => {
        const store = read();
        store[key] = change(store[key]);
        replaceFile(file, JSON.stringify(store, null, 2), true);
      }),
    );
    last = run.catch(() => {});
    return run;
  };
  return {
    update,
    patch: (key, fields) => update(key, (entry) => ({ ...entry, ...fields })),
    get: (key) => read()[key],
    newest: (count) =>
      Object.values(read())
        .sort((left, right) => right.updatedAt - left.updatedAt)
        .slice(0, count).length,
    scan: () => Object.keys(read()).length,
    close: () => {},
  };
}

const nameOf = (key) => `session-${Buffer.from(key).toString("base64url")}.json`;

function openPerSession(directory) {
  const root = path.join(directory, "per-session");
  const versionFile = path.join(root, "state.json");
  const entryFile = (key) => path.join(root, "entries", nameOf(key));
  const read = (key) => JSON.parse(readFileSync(entryFile(key), "utf8")).entry;
  const update = (key, change) =>
    locked(path.join(directory, "per-session.lock"), () => {
      replaceFile(entryFile(key), JSON.stringify({ sessionKey: key, entry: change(read(key)) }, null, 2), false);
      const state = JSON.parse(readFileSync(versionFile, "utf8"));
      replaceFile(versionFile, JSON.stringify({ ...state, version: state.version + 1 }), false);
    });
  const readAll = () =>
    readdirSync(path.join(root, "entries")).map(
      (name) => JSON.parse(readFileSync(path.join(root, "entries", name), "utf8")).entry,
    );
  return {
    update,
    patch: (key, fields) => update(key, (entry) => ({ ...entry, ...fields })),
    get: read,
    newest: (count) =>
      readAll()
        .sort((left, right) => right.updatedAt - left.updatedAt)
        .slice(0, count).length,
    scan: () => readAll().length,
    close: () => {},
  };
}

function seedPerSession(directory, count, bytes) {
  const entries = path.join(directory, "per-session", "entries");
  mkdirSync(entries, { recursive: true });
  for (let index = 0; index < count; index += 1) {
    const key = keyOf(index);
    writeFileSync(
      path.join(entries, nameOf(key)),
      JSON.stringify({ sessionKey: key, entry: entryOf(index, bytes) }, null, 2),
    );
  }
  writeFileSync(path.join(directory, "per-session", "state.json"), JSON.stringify({ version: 1 }));
}

export const filePeers = {
  "legacy whole file": { family: "legacy", durability: "power loss", seed: seedLegacyFile, open: openWhole },
  "file per session": { family: "files", durability: "process crash", seed: seedPerSession, open: openPerSession },
};
