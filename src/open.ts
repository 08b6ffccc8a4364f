/** Opens a store: chooses the backend by the location. So far only ":memory:", a fresh private store each time. */

import type { OpenOptions, SessionStore } from "./api.js";
import { MemoryBackend } from "./backends/memory/backend.js";
import { SessionStoreError } from "./errors.js";
import { nodePort } from "./fs/node-port.js";
import { defaultLimits } from "./limits.js";
import type { SessionEntry } from "./sessions/entry.js";
import { createSessionStore } from "./store.js";

export async function openSessionStore<Entry extends object = SessionEntry>(
  location: string,
  options: OpenOptions = {},
): Promise<SessionStore<Entry>> {
  if (location !== ":memory:") throw new SessionStoreError("store_missing", "only :memory: can be opened so far");
  const port = nodePort();
  const backend = new MemoryBackend(port, {
    keyRule: options.keys ?? "openclaw",
    limits: { ...defaultLimits, ...options.limits },
    readOnly: options.readOnly ?? false,
  });
  return createSessionStore<Entry>(backend, {
    clock: port,
    conflictWaitMs: options.conflictWaitMs,
    logger: options.logger,
  });
}
