/** `openSessionStore`: options checked, a backend chosen and opened, the public store put on top of it. */

import type { OpenOptions, SessionStore } from "./api.js";
import { nodePort } from "./fs/node-port.js";
import { openBackend } from "./open-backend.js";
import { checkOpenOptions } from "./open-options.js";
import type { SessionEntry } from "./sessions/entry.js";
import { createSessionStore } from "./store.js";

/**
 * Opens the session store at `location`: the path of a `sessions.json` (the directory store beside it is opened,
 * created, or migrated into), the path of a `*.d` directory, or ":memory:" for a fresh private store.
 */
export async function openSessionStore<Entry extends object = SessionEntry>(
  location: string,
  options?: OpenOptions,
): Promise<SessionStore<Entry>> {
  const checked = checkOpenOptions(options);
  const port = nodePort();
  const backend = await openBackend(port, location, checked);
  return createSessionStore<Entry>(backend, {
    clock: port,
    conflictWaitMs: checked.conflictWaitMs,
    logger: checked.logger,
  });
}
