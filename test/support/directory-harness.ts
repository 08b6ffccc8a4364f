/** Directory stores for the conformance suite, each in a temporary directory of its own, on the real file system. */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { nodePort } from "../../src/fs/node-port.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";
import type { AnyEntry, Handle, Harness, HarnessOptions } from "../conformance/harness.js";

export function makeDirectoryHarness(): Harness {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  const location = path.join(directory, "sessions.json");
  const handles: Handle[] = [];
  const open = async (options: HarnessOptions = {}): Promise<Handle> => {
    const port = nodePort();
    const checked = checkOpenOptions(options);
    const backend = await openBackend(port, location, checked);
    const store = createSessionStore<AnyEntry>(backend, { clock: port, conflictWaitMs: checked.conflictWaitMs });
    const handle = { backend, store };
    handles.push(handle);
    return handle;
  };
  return {
    capabilities: {
      denseVersions: true,
      crossProcess: true,
      changesAcrossRestart: true,
      persistent: true,
      trash: true,
      generations: true,
    },
    open,
    reopen: open,
    openSecond: open,
    makeAnother: makeDirectoryHarness,
    destroy: async () => {
      for (const { store } of handles) await store.close();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}
