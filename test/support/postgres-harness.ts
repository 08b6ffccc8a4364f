/** PostgreSQL stores for the conformance suite and its like: one server for a test file, one store name for each test. */

import { randomUUID } from "node:crypto";
import { after } from "node:test";
import { postgresCapabilities } from "../../src/backends/postgres/backend.js";
import { nodePort } from "../../src/fs/node-port.js";
import type { PostgresOptions } from "../../src/index.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";
import type { AnyEntry, Handle, Harness, HarnessOptions } from "../conformance/harness.js";
import { givenUrl, type PostgresServer, type StartOptions, startPostgres, whyNoPostgres } from "./postgres-server.js";

/** The skip message of a test that needs a server, or false. */
export function skipWithoutPostgres(version: 15 | 18 = 18, ownServer = false): string | false {
  if (givenUrl !== undefined && !ownServer) return false;
  const reason = whyNoPostgres(version);
  return reason === undefined ? false : `skipped: ${reason}`;
}

/**
 * For suites that open hundreds of stores and pull no plug: no password to be hashed with each connection, and no sync of the
 * disk. The library refuses such a server without `quickOptions`.
 */
export const quickServer: StartOptions = { settings: { fsync: "off" }, initArguments: ["-A", "trust"] };
export const quickOptions: PostgresOptions = { allowUnsafeServer: true };

/** The URL of the server of this test file, which is started when the first test asks and ended after the last one. */
export function sharedPostgres(options: StartOptions = {}): () => Promise<string> {
  if (givenUrl !== undefined) return async () => givenUrl as string;
  let starting: Promise<PostgresServer> | undefined;
  after(async () => (await starting)?.destroy());
  return async () => {
    starting ??= startPostgres(options);
    return (await starting).url();
  };
}

export function postgresHarness(url: () => Promise<string>, postgres: PostgresOptions = {}): () => Harness {
  const make = (): Harness => {
    const storeName = `test-${randomUUID()}`;
    const handles: Handle[] = [];
    const open = async (options: HarnessOptions = {}): Promise<Handle> => {
      const port = nodePort();
      const checked = checkOpenOptions({ ...options, storeName, postgres });
      const backend = await openBackend(port, await url(), checked);
      const store = createSessionStore<AnyEntry>(backend, { clock: port, conflictWaitMs: checked.conflictWaitMs });
      const handle = { backend, store };
      handles.push(handle);
      return handle;
    };
    return {
      capabilities: postgresCapabilities,
      open,
      reopen: open,
      openSecond: open,
      makeAnother: make,
      destroy: async () => {
        await Promise.all(handles.map(({ store }) => store.close()));
      },
    };
  };
  return make;
}
