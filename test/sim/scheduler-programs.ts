/** Programs that scheduler.test.ts runs in simulated processes. */

import type { Directory, File, Port } from "../../src/fs/port.js";
import { FailingPort } from "./failing-port.js";
import type { ProgramContext } from "./worker-main.js";

/** Reads a number and writes it back plus one, without a lock: two of these can lose an update. */
export function racyCounter(port: Port): number {
  const root = port.openRoot("/store");
  const next = readCounter(port, root) + 1;
  replaceCounter(port, root, next);
  return next;
}

/** The same under a kernel lock: spins, naps, then sleeps until it has it. */
export async function lockedCounter(port: Port, { rounds }: { rounds: number }): Promise<void> {
  const root = port.openRoot("/store");
  const lock = port.open(root, "lock", "lock");
  for (let round = 0; round < rounds; round++) {
    for (let attempt = 0; !port.tryLock(lock, "exclusive"); attempt++) {
      if (attempt < 3) port.nap(20);
      else await port.sleep(1 + port.random());
    }
    replaceCounter(port, root, readCounter(port, root) + 1);
    port.unlock(lock);
  }
  port.close(lock);
  port.closeDirectory(root);
}

/** Appends and syncs, and records each line when it is acknowledged. */
export async function appender(port: Port, { lines }: { lines: number }, context: ProgramContext): Promise<number> {
  const root = port.openRoot("/store");
  const file = port.open(root, `log-${context.name}`, "create");
  await port.syncDirectory(root);
  for (let line = 0; line < lines; line++) {
    port.append(file, new TextEncoder().encode(`${line}\n`));
    await port.syncFile(file);
    context.record({ acknowledged: line });
  }
  return lines;
}

/** Holds the lock for ever. */
export async function holder(port: Port, _: unknown, context: ProgramContext): Promise<void> {
  const lock = port.open(port.openRoot("/store"), "lock", "lock");
  if (!port.tryLock(lock, "exclusive")) throw new Error("not mine");
  context.record("locked");
  for (;;) await port.sleep(1000);
}

export async function waiter(port: Port, _: unknown, context: ProgramContext): Promise<string> {
  await port.sleep(10);
  const lock = port.open(port.openRoot("/store"), "lock", "lock");
  while (!port.tryLock(lock, "exclusive")) await port.sleep(5);
  context.record("taken over");
  return "done";
}

/** One of everything that crosses to the coordinator and back. */
export async function everyCall(port: Port): Promise<unknown[]> {
  const root = port.openRoot("/store");
  const file = port.open(root, "file", "create");
  const payload = port.randomBytes(200_000);
  const written = port.append(file, payload);
  const back = new Uint8Array(200_001);
  const count = port.read(file, back, 0);
  const same = Buffer.from(payload).equals(back.subarray(0, count));
  port.setMode(file, 0o640);
  port.truncate(file, 5);
  const stat = port.stat(file);
  port.makeDirectory(root, "directory", 0o700);
  const inner = port.openDirectory(root, "directory");
  port.rename(root, "file", inner, "moved");
  const batches = [...port.listInBatches(inner, 1)];
  const listed = port.list(root, 10).map((entry) => entry.name);
  const codes: string[] = [];
  for (const action of [
    () => port.open(root, "missing", "read"),
    () => port.removeDirectory(root, "directory"),
    () => port.stat({ displayPath: "foreign" }),
  ]) {
    try {
      action();
    } catch (error) {
      codes.push((error as { code: string }).code);
    }
  }
  const locks = [port.tryLock(file, "exclusive"), port.describeLockHolder(file) !== undefined];
  port.unlock(file);
  const missing = port.statName(root, "missing");
  const abort = new AbortController();
  const aborted = port.sleep(1000, abort.signal).catch((error: Error) => error.message);
  abort.abort(new Error("stop"));
  let rang = "no";
  port.startTimer(1, () => {
    rang = "yes";
  });
  port
    .startTimer(1, () => {
      rang = "never";
    })
    .cancel();
  await Promise.all([port.syncFile(file), port.syncDirectory(inner), port.sleep(3), port.yieldToEventLoop()]);
  port.unlink(inner, "moved");
  port.close(file);
  port.closeDirectory(inner);
  port.removeDirectory(root, "directory");
  const free = port.statFileSystem(root).type;
  const clock = port.nowMs() > 0 && port.monotonicMs() > 0 && port.statDirectory(root).kind === "directory";
  port.closeDirectory(root);
  return [
    written,
    same,
    stat.sizeBytes,
    stat.mode,
    batches,
    listed,
    codes,
    locks,
    missing,
    await aborted,
    rang,
    free,
    clock,
  ];
}

export function thrower(): never {
  throw Object.assign(new TypeError("broken"), { code: "EBROKEN" });
}

/** A promise that nobody handles, as it would end a real process. */
export async function stray(port: Port): Promise<void> {
  void port.sleep(1).then(() => {
    throw new Error("nobody cares");
  });
  await port.sleep(1000);
}

/** A failed sync that loses the bytes, by a failing port around the port of the worker. */
export async function failingSync(port: Port, _: unknown, context: ProgramContext): Promise<string> {
  const failing = new FailingPort(port, { failAt: 1, methods: ["syncFile"], onFailedSync: context.loseWrites });
  const root = failing.openRoot("/store");
  const file = failing.open(root, "log", "create");
  await failing.syncDirectory(root);
  failing.append(file, new TextEncoder().encode("gone"));
  const code = await failing.syncFile(file).catch((error: { code: string }) => error.code);
  await failing.syncFile(file);
  return String(code);
}

/** Swallows every error, and tries to do damage afterwards. */
export async function swallower(port: Port): Promise<void> {
  const root = port.openRoot("/store");
  for (let number = 0; number < 20; number++) {
    try {
      port.close(port.open(root, `file-${number}`, "create"));
      await port.yieldToEventLoop();
    } catch {}
  }
}

/** Waits for something that is not its port. */
export async function outsider(port: Port): Promise<string> {
  await new Promise((resolve) => setImmediate(resolve));
  port.nowMs();
  return "came back";
}

export async function forEver(port: Port): Promise<void> {
  for (;;) await port.yieldToEventLoop();
}

function readCounter(port: Port, root: Directory): number {
  const file = port.open(root, "counter", "read");
  const buffer = new Uint8Array(16);
  const count = port.read(file, buffer, 0);
  port.close(file);
  return Number(new TextDecoder().decode(buffer.subarray(0, count)));
}

function replaceCounter(port: Port, root: Directory, value: number): void {
  const temporary = `counter-${port.processId}`;
  const file = port.open(root, temporary, "create");
  port.append(file, new TextEncoder().encode(String(value)));
  port.close(file);
  port.rename(root, temporary, root, "counter");
}

interface ObservedStore {
  readonly root: Directory;
  readonly inner: Directory;
  /** "b", kept open. */
  readonly file: File;
}

/** What `observer` does, by name; what these return it has seen. */
const observations = {
  append: (port, { file }) => port.append(file, new TextEncoder().encode("x")),
  size: (port, { file }) => port.stat(file).sizeBytes,
  cut: (port, { file }) => port.truncate(file, 0),
  "sync file": (port, { file }) => port.syncFile(file),
  lock: (port, { file }) => port.tryLock(file, "exclusive"),
  share: (port, { file }) => port.tryLock(file, "shared"),
  unlock: (port, { file }) => port.unlock(file),
  "who locked": (port, { file }) => port.describeLockHolder(file),
  "create a": (port, { root }) => port.close(port.open(root, "a", "create")),
  "move a": (port, { root, inner }) => port.rename(root, "a", inner, "a"),
  "move b": (port, { root, inner }) => port.rename(root, "b", inner, "b"),
  "move b back": (port, { root, inner }) => port.rename(inner, "b", root, "b"),
  "remove a": (port, { inner }) => port.unlink(inner, "a"),
  "find b": (port, { root }) => port.statName(root, "b")?.sizeBytes,
  "find b inside": (port) => port.statRoot("/store/inner/b")?.sizeBytes,
  list: (port, { root }) => port.list(root, 10).map(({ name }) => name),
  "list in batches": (port, { inner }) => [...port.listInBatches(inner, 10)].flat().map(({ name }) => name),
  "make c": (port, { inner }) => port.makeDirectory(inner, "c", 0o700),
  "remove c": (port, { inner }) => port.removeDirectory(inner, "c"),
  sync: (port, { root }) => port.syncDirectory(root),
  "sync inside": (port, { inner }) => port.syncDirectory(inner),
} satisfies Record<string, (port: Port, store: ObservedStore) => unknown>;

export type Observation = keyof typeof observations;
export const observationNames = Object.keys(observations) as Observation[];

/** Does things to a few files that others use as well, and returns what it saw. */
export async function observer(port: Port, names: readonly Observation[]): Promise<string[]> {
  const root = port.openRoot("/store");
  const store = { root, inner: port.openDirectory(root, "inner"), file: port.open(root, "b", "lock") };
  const seen: string[] = [];
  for (const name of names) {
    try {
      seen.push(String(await observations[name](port, store)));
    } catch (error) {
      seen.push(String((error as { code?: string }).code));
    }
  }
  return seen;
}
