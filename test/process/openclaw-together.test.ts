/** Real processes that share a store through functions called by path: nothing of anybody is lost, and nobody keeps a process alive. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { loadSessionStore, updateSessionStore } from "../../src/openclaw/index.js";
import { closeSessionStores } from "../../src/openclaw/shared-handles.js";

const program = `
const { updateSessionStore, updateLastRoute, loadSessionStore } = await import(process.env.API);
const { STORE: storePath, NAME: name } = process.env;
for (let at = 0; at < 25; at += 1) {
  await updateLastRoute({ storePath, sessionKey: name + at, channel: "slack", to: String(at) });
  await updateSessionStore(storePath, async (store) => {
    const shared = store.shared ?? { sessionId: "shared", updatedAt: 1, totalTokens: 0 };
    await null;
    store.shared = { ...shared, totalTokens: shared.totalTokens + 1 };
  });
  loadSessionStore(storePath);
}
`;

function runProgram(name: string, storePath: string): Promise<void> {
  const api = new URL("../../src/openclaw/index.js", import.meta.url).href;
  const environment = { ...process.env, API: api, STORE: storePath, NAME: name };
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.on("data", (part) => {
    complaint += part;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${name} ended with ${code}: ${complaint}`)),
    );
  });
}

test("three processes take one legacy file over and count together: no update is lost, and each ends by itself", async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), "sessiondir-together-"));
  context.after(async () => {
    await closeSessionStores();
    rmSync(folder, { recursive: true, force: true });
  });
  const storePath = path.join(folder, "sessions.json");
  writeFileSync(storePath, JSON.stringify({ before: { sessionId: "before", updatedAt: 1 } }));
  await Promise.all(["a", "b", "c"].map((name) => runProgram(name, storePath)));
  const store = loadSessionStore(storePath);
  assert.equal(store.shared?.totalTokens, 75);
  assert.equal(Object.keys(store).length, 77);
  assert.equal(store.before?.sessionId, "before");
  await updateSessionStore(storePath, (view) => assert.equal(view.shared?.totalTokens, 75));
});
