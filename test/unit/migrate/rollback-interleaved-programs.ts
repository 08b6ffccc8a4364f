/** Programs that migration-pairs.ts runs as simulated processes. */

import type { Backend } from "../../../src/contract.js";
import { SessionStoreError } from "../../../src/errors.js";
import type { Port } from "../../../src/fs/port.js";
import { type MigrationResult, migrateStore } from "../../../src/migrate/migrate.js";
import { type RollbackResult, rollbackStore } from "../../../src/migrate/rollback.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import type { ProgramContext } from "../../sim/worker-main.js";
import { commit, legacyPath, location, put } from "./rollback-support.js";
import { openOrTakeOver } from "./support.js";

export async function roller(port: Port): Promise<RollbackResult> {
  return rollbackStore(legacyPath, { port });
}

/**
 * A gateway: commits session after session, and when it is fenced closes the store, opens it again and goes on. Records
 * each session that was acknowledged. Returns how often it was fenced.
 */
export async function gateway(port: Port, { commits }: { commits: number }, context: ProgramContext): Promise<number> {
  let fenced = 0;
  let backend = await openOrTakeOver(port, location);
  for (let number = 1; number <= commits; number += 1) {
    const key = `${context.name}-${number}`;
    for (;;) {
      try {
        await commit(backend, put(key, { number }));
        context.record(key);
        break;
      } catch (error) {
        if (!isFenced(error)) throw error;
        fenced += 1;
        await backend.close();
        backend = await openOrTakeOver(port, location);
      }
    }
  }
  await backend.close();
  return fenced;
}

/** Without force: what a rollback left is none of its business. */
export async function migrator(port: Port): Promise<MigrationResult> {
  return migrateStore(legacyPath, { port });
}

/** A gateway that keeps the single file as long as that is the store, and goes on in the directory once it is not. */
export async function fileGateway(
  port: Port,
  { commits }: { commits: number },
  context: ProgramContext,
): Promise<void> {
  const openFile = () => openBackend(port, legacyPath, { ...checkOpenOptions({}), backend: "json" });
  const open = () => openFile().catch(() => openOrTakeOver(port, location));
  let backend = await open();
  for (let number = 1; number <= commits; number += 1) {
    const key = `${context.name}-${number}`;
    for (;;) {
      try {
        await commit(backend, put(key, { number, updatedAt: 5 }));
        context.record(key);
        break;
      } catch (error) {
        if (!(error instanceof SessionStoreError) || error.code !== "store_gone") throw error;
        await backend.close();
        backend = await open();
      }
    }
  }
  await backend.close();
}

/** Opens the store, reads everything and closes it: "fenced" when a rollback came in between. */
export async function reader(port: Port): Promise<string> {
  return unlessFenced(await openOrTakeOver(port, location), async (backend) => {
    const keys: string[] = [];
    for await (const { key } of await backend.scan()) keys.push(key);
    return keys.sort().join(" ");
  });
}

/** Writes the journal out to entry files, twice. */
export async function checkpointer(port: Port): Promise<string> {
  return unlessFenced(await openOrTakeOver(port, location), async (backend) => {
    await backend.checkpoint();
    await commit(backend, put("checkpointed", {}));
    await backend.checkpoint();
    return "written out";
  });
}

async function unlessFenced(backend: Backend, work: (backend: Backend) => Promise<string>): Promise<string> {
  try {
    return await work(backend);
  } catch (error) {
    if (!isFenced(error)) throw error;
    return "fenced";
  } finally {
    await backend.close();
  }
}

function isFenced(error: unknown): boolean {
  return error instanceof SessionStoreError && error.code === "store_fenced";
}
