/**
 * SIGKILL at every call of the system that changes something, in the program as it is, without a port in between: strace
 * kills the process when it enters its n-th `fsync`, `rename`, `write`, `unlink` ... for n = 1, 2, 3 until the operation
 * ends before that. Then the store must hold what it held before, or what the operation acknowledges.
 *
 * The calls are counted for each thread; the program has one thread beside its own for files.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { openSessionStore } from "../../src/index.js";
import { errorsOf, type TemporaryPlace, withPlace } from "./support/temporary-store.js";
import { contentOf, operations, type SystemCallOperation } from "./system-call-operations.js";

/** Some have several names, and which one is used is for Node and its libraries to say. */
export const systemCalls: readonly string[] = [
  "fsync,fdatasync",
  "rename,renameat,renameat2",
  "unlink,unlinkat,rmdir",
  "mkdir,mkdirat",
  "ftruncate,fchmod,fchmodat",
  "write,pwrite64,writev",
];

export interface SystemCallCounts {
  kills: number;
  /** Operations that were acknowledged, killed afterwards or not at all. */
  acknowledgements: number;
}

const program = fileURLToPath(new URL("./system-calls-program.js", import.meta.url));
/** Far more than any operation makes. */
const callsMax = 3_000;

let reason: string | false | undefined;

/** Why this cannot be done here; false when it can. */
export function skipWithoutStrace(): string | false {
  reason ??= tryStrace();
  return reason;
}

function tryStrace(): string | false {
  if (process.platform !== "linux") return "skipped: needs linux (strace)";
  const { status } = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"], {
    stdio: "ignore",
  });
  return status === 0 ? false : "skipped: needs strace, and permission to trace";
}

/**
 * Kills the operation at the calls `first`, `first + step` ... of this kind, until it ends by itself. The place is as
 * `prepare` leaves it, for each of them anew.
 */
export async function killAtEvery(
  name: string,
  calls: string,
  { first = 1, step = 1 }: { readonly first?: number; readonly step?: number },
  counts: SystemCallCounts,
): Promise<void> {
  const operation = operations[name] as SystemCallOperation;
  await withPlace(async (prepared) => {
    await operation.prepare(prepared);
    for (let call = first; ; call += step) {
      assert.ok(call < callsMax, `${name} makes no end of ${calls}`);
      if (!(await killAt(name, calls, call, prepared.parent, counts))) return;
    }
  });
}

/** False when the operation ended before its `call`-th call. */
async function killAt(
  name: string,
  calls: string,
  call: number,
  prepared: string,
  counts: SystemCallCounts,
): Promise<boolean> {
  const operation = operations[name] as SystemCallOperation;
  const where = `${name}, killed at ${calls} ${call}`;
  let wasKilled = false;
  await withPlace(async (place) => {
    fs.cpSync(prepared, place.parent, { recursive: true });
    const inject = ["-e", `trace=${calls}`, "-e", `inject=${calls}:signal=SIGKILL:when=${call}`];
    const { status, signal, stdout, stderr } = spawnSync(
      "strace",
      ["-f", "-qq", "-o", "/dev/null", ...inject, process.execPath, program, name, place.location],
      { encoding: "utf8", env: { ...process.env, UV_THREADPOOL_SIZE: "1" }, timeout: 60_000 },
    );
    // strace dies as its program did.
    wasKilled = signal === "SIGKILL" || status === 137;
    assert.ok(wasKilled || status === 0, `${where}: ${status} ${signal} ${stderr}`);
    const isAcknowledged = stdout.includes("acknowledged");
    assert.ok(wasKilled || isAcknowledged, where);
    counts.kills += wasKilled ? 1 : 0;
    counts.acknowledgements += isAcknowledged ? 1 : 0;
    await assertKept(place, operation, isAcknowledged, where);
  });
  return wasKilled;
}

async function assertKept(
  { parent, location }: TemporaryPlace,
  { before, after = before }: SystemCallOperation,
  isAcknowledged: boolean,
  where: string,
): Promise<void> {
  const files = () => `${where}; there lie ${fs.readdirSync(parent)}`;
  const found = [...(await contentOf(location).catch((cause) => assert.fail(`${files()}: ${cause}`)))].sort();
  const isOld = JSON.stringify(found) === JSON.stringify([...before].sort());
  if (isAcknowledged || !isOld) assert.deepEqual(found, [...after].sort(), files());
  assert.deepEqual([...(await contentOf(location))].sort(), found, `${where}: opened twice`);
  const store = await openSessionStore<Record<string, unknown>>(location);
  try {
    assert.deepEqual(await errorsOf(store), [], where);
    await store.update("agent:main:next", () => ({ updatedAt: 1 }));
    assert.deepEqual(await store.get("agent:main:next"), { updatedAt: 1 }, where);
  } finally {
    await store.close();
  }
  // What a copy left is whole, or says that it is not.
  const copy = path.join(parent, "copy", "sessions.json");
  if (isAcknowledged && fs.existsSync(path.dirname(copy))) {
    assert.deepEqual([...(await contentOf(copy))].sort(), [...before].sort(), where);
  }
}
