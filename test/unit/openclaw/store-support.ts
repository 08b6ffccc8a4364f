/** A folder of its own for each test of functions that work by path, on a port that counts. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import { setSessionStoreLogger } from "../../../src/openclaw/log.js";
import { closeSessionStores } from "../../../src/openclaw/shared-handles.js";
import { CountingPort } from "../../sim/counting-port.js";

export interface Place {
  readonly folder: string;
  readonly storePath: string;
  readonly port: CountingPort;
  /** What was logged, newest last. */
  readonly logged: string[];
}

export function makePlace(context: TestContext): Place {
  const folder = mkdtempSync(path.join(tmpdir(), "sessiondir-openclaw-"));
  const port = new CountingPort(nodePort());
  const logged: string[] = [];
  setAmbientPort(port);
  setSessionStoreLogger({ info: (message) => logged.push(message), warn: (message) => logged.push(message) });
  const stateDir = process.env.OPENCLAW_STATE_DIR;
  process.env.OPENCLAW_STATE_DIR = folder;
  context.after(async () => {
    await closeSessionStores();
    setAmbientPort(undefined);
    setSessionStoreLogger(undefined);
    if (stateDir === undefined) delete process.env.OPENCLAW_STATE_DIR;
    else process.env.OPENCLAW_STATE_DIR = stateDir;
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, storePath: path.join(folder, "sessions.json"), port, logged };
}
