/** Legacy stores, one `sessions.json` each, for the conformance suite, on the real file system. */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { jsonCapabilities } from "../../src/backends/json/backend.js";
import { nodePort } from "../../src/fs/node-port.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";
import type { AnyEntry, Handle, Harness, HarnessOptions } from "../conformance/harness.js";

export function makeJsonHarness(): Harness {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-json-"));
  const location = path.join(directory, "sessions.json");
  const handles: Handle[] = [];
  const open = async (options: HarnessOptions = {}): Promise<Handle> => {
    const port = nodePort();
    const checked = checkOpenOptions({ backend: "json", ...options });
    const backend = await openBackend(port, location, checked);
    const store = createSessionStore<AnyEntry>(backend, { clock: port, conflictWaitMs: checked.conflictWaitMs });
    const handle = { backend, store };
    handles.push(handle);
    return handle;
  };
  return {
    capabilities: jsonCapabilities,
    open,
    reopen: open,
    openSecond: open,
    makeAnother: makeJsonHarness,
    destroy: async () => {
      for (const { store } of handles) await store.close();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}
