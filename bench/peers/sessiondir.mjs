/** Our own stores, through the public API of the built package, which is loaded when it is used, like that of any peer. */

import path from "node:path";
import { seedDirectoryStore } from "./seed-directory-store.mjs";
import { seedLegacyFile } from "./seed-legacy-file.mjs";

const load = () => import("../../dist/index.js");

async function openStore(directory, options) {
  const { openSessionStore } = await load();
  const store = await openSessionStore(path.join(directory, "sessions.json"), options);
  return {
    store,
    update: (key, change) => store.update(key, change),
    patch: (key, fields) => store.patch(key, fields),
    get: (key) => store.get(key),
    newest: async (count) => (await store.list({ limit: count })).sessions.length,
    scan: async () => {
      let count = 0;
      for await (const _ of store.entries()) count += 1;
      return count;
    },
    close: () => store.close(),
  };
}

function directoryPeer(durability) {
  return {
    family: "sessiondir",
    durability: durability === "commit" ? "power loss" : "process crash",
    load,
    seed: seedDirectoryStore,
    open: (directory, options = {}) => openStore(directory, { durability, ...options }),
  };
}

export const sessiondirPeers = {
  "sessiondir interval": directoryPeer("interval"),
  "sessiondir commit": directoryPeer("commit"),
  "json backend": {
    family: "legacy",
    durability: "power loss",
    load,
    seed: seedLegacyFile,
    open: (directory) => openStore(directory, { backend: "json" }),
  },
};
