/** The memory backend as the conformance suite wants it. */

import { MemoryBackend, memoryCapabilities } from "../../src/backends/memory/backend.js";
import { nodePort } from "../../src/fs/node-port.js";
import { defaultLimits } from "../../src/limits.js";
import { createSessionStore } from "../../src/store.js";
import type { AnyEntry, Harness } from "../conformance/harness.js";

export function makeMemoryHarness(): Harness {
  const closers: (() => Promise<void>)[] = [];
  return {
    capabilities: memoryCapabilities,
    async open(options = {}) {
      const backend = new MemoryBackend(nodePort(), {
        keyRule: options.keys ?? "openclaw",
        limits: { ...defaultLimits, ...options.limits },
        readOnly: options.readOnly ?? false,
      });
      const store = createSessionStore<AnyEntry>(backend, {
        clock: nodePort(),
        conflictWaitMs: options.conflictWaitMs,
      });
      closers.push(() => store.close());
      return { backend, store };
    },
    makeAnother: makeMemoryHarness,
    async destroy() {
      for (const close of closers) await close();
    },
  };
}
