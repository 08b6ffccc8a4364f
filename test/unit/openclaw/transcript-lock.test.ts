/** The lock file of a transcript: who may take it, who may take it away, and what is left of it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import {
  acquireSessionWriteLock,
  cleanStaleLockFiles,
  clearSessionStoreCacheForTest,
  drainSessionStoreLockQueuesForTest,
  getSerializedSessionStore,
  getSessionStoreLockQueueSizeForTest,
  resetSessionStoreLockRuntimeForTests,
  resolveSessionLockMaxHoldFromTimeout,
  type SessionWriteLockParams,
  setSerializedSessionStore,
  setSessionWriteLockAcquirerForTests,
  withSessionStoreLock,
  withSessionStoreLockForTest,
} from "../../../src/openclaw/index.js";
import { makePlace, type Place } from "./store-support.js";

/** No process has it: the number is above what the system gives out. */
const deadPid = 2 ** 22 + 7;

interface LockPlace extends Place {
  readonly sessionFile: string;
  readonly lockPath: string;
  /** Lets so much time pass, in which nobody really waits. */
  pass(ms: number): void;
  /** What was waited for, in order. */
  readonly sleeps: number[];
}

/** A clock that goes on only when somebody sleeps or is told to. */
function makeLockPlace(context: TestContext): LockPlace {
  const place = makePlace(context);
  const { port, folder } = place;
  const sleeps: number[] = [];
  let aheadMs = 0;
  const nowMs = port.nowMs();
  port.nowMs = () => nowMs + aheadMs;
  port.monotonicMs = () => aheadMs;
  port.sleep = async (ms) => {
    sleeps.push(Math.round(ms));
    aheadMs += ms;
  };
  const sessionFile = path.join(folder, "s.jsonl");
  const pass = (ms: number) => {
    aheadMs += ms;
  };
  return { ...place, sessionFile, lockPath: `${sessionFile}.lock`, pass, sleeps };
}

function writeLock(lockPath: string, payload: object | string): void {
  writeFileSync(lockPath, typeof payload === "string" ? payload : JSON.stringify(payload));
}

const agoMs = (ms: number) => new Date(Date.now() - ms).toISOString();

test("acquireSessionWriteLock makes <realpath(dir)>/<base>.lock with pid, createdAt and starttime, and removes it", async (context) => {
  const { folder } = makeLockPlace(context);
  mkdirSync(path.join(folder, "real"));
  symlinkSync("real", path.join(folder, "link"));
  const lock = await acquireSessionWriteLock({ sessionFile: path.join(folder, "link", "s.jsonl") });
  const lockPath = path.join(folder, "real", "s.jsonl.lock");
  const payload = JSON.parse(readFileSync(lockPath, "utf8"));
  assert.equal(payload.pid, process.pid);
  assert.equal(new Date(payload.createdAt).toISOString(), payload.createdAt);
  if (process.platform === "linux") assert.equal(typeof payload.starttime, "number");
  await lock.release();
  assert.ok(!existsSync(lockPath));
});

test("acquireSessionWriteLock makes the folder of the file when it is missing", async (context) => {
  const { folder } = makeLockPlace(context);
  const lock = await acquireSessionWriteLock({ sessionFile: path.join(folder, "a", "b", "s.jsonl") });
  assert.deepEqual(readdirSync(path.join(folder, "a", "b")), ["s.jsonl.lock"]);
  await lock.release();
});

test("a lock is re-entrant per process and counted; releasing twice counts once", async (context) => {
  const { sessionFile, lockPath, folder } = makeLockPlace(context);
  const first = await acquireSessionWriteLock({ sessionFile });
  const second = await acquireSessionWriteLock({ sessionFile: path.join(folder, ".", "s.jsonl") });
  await first.release();
  await first.release();
  assert.ok(existsSync(lockPath));
  await second.release();
  assert.ok(!existsSync(lockPath));
});

test("without allowReentrant the lock of this very process is waited for like any other, and then is there", async (context) => {
  const { port, sessionFile, lockPath } = makeLockPlace(context);
  // As on systems that do not tell when a process started: its lock looks like an orphan of an earlier process.
  port.inspectProcess = () => ({ alive: true, startTime: undefined });
  const first = await acquireSessionWriteLock({ sessionFile });
  const again = acquireSessionWriteLock({ sessionFile, allowReentrant: false, timeoutMs: 200 });
  await assert.rejects(again, {
    code: "lock_timeout",
    problem: `session file locked (timeout 200ms): pid=${process.pid} ${lockPath}`,
  });
  const waiting = acquireSessionWriteLock({ sessionFile, allowReentrant: false });
  await first.release();
  await (await waiting).release();
  assert.ok(!existsSync(lockPath));
});

test("the waits are min(1000, 50 x attempt) ms; the error names the holder, or unknown", async (context) => {
  const { sessionFile, lockPath, sleeps } = makeLockPlace(context);
  writeLock(lockPath, { pid: process.ppid, createdAt: agoMs(0) });
  const text = (owner: string, ms: number) => `session file locked (timeout ${ms}ms): ${owner} ${lockPath}`;
  await assert.rejects(acquireSessionWriteLock({ sessionFile }), {
    problem: text(`pid=${process.ppid}`, 10_000),
    message: new RegExp(`^session file locked \\(timeout 10000ms\\): pid=${process.ppid} `),
  });
  assert.deepEqual(sleeps.slice(0, 3), [50, 100, 150]);
  assert.equal(Math.max(...sleeps), 950, "ten seconds are over before the step of a second");
  assert.equal(
    sleeps.reduce((sum, ms) => sum + ms, 0),
    10_000,
  );
  writeLock(lockPath, "torn");
  await assert.rejects(acquireSessionWriteLock({ sessionFile, timeoutMs: 10 }), { problem: text("unknown", 10) });
});

test("a lock is reclaimed from a dead pid, a recycled pid, and a holder that is too old", async (context) => {
  const { sessionFile, lockPath } = makeLockPlace(context);
  const cases: [string, object, Partial<SessionWriteLockParams>][] = [
    ["dead pid", { pid: deadPid, createdAt: agoMs(0) }, {}],
    ["too old", { pid: process.ppid, createdAt: agoMs(31 * 60_000) }, {}],
    ["older than staleMs", { pid: process.ppid, createdAt: agoMs(1_500) }, { staleMs: 1_000 }],
    ...(process.platform === "linux"
      ? ([["recycled pid", { pid: process.ppid, createdAt: agoMs(0), starttime: 1 }, {}]] as [string, object, object][])
      : []),
  ];
  for (const [what, payload, params] of cases) {
    writeLock(lockPath, payload);
    const lock = await acquireSessionWriteLock({ sessionFile, timeoutMs: 1, ...params });
    assert.equal(JSON.parse(readFileSync(lockPath, "utf8")).pid, process.pid, what);
    await lock.release();
  }
  writeLock(lockPath, { pid: process.ppid, createdAt: agoMs(29 * 60_000) });
  await assert.rejects(acquireSessionWriteLock({ sessionFile, timeoutMs: 1 }), /session file locked/, "30 minutes");
});

test("a lock of this pid without starttime that is not held is an orphan and is reclaimed", async (context) => {
  const { sessionFile, lockPath } = makeLockPlace(context);
  writeLock(lockPath, { pid: process.pid, createdAt: agoMs(0) });
  const lock = await acquireSessionWriteLock({ sessionFile, timeoutMs: 1 });
  await lock.release();
  assert.ok(!existsSync(lockPath));
});

test("malformed locks, and those without pid or createdAt, are reclaimed only by the age of the file", async (context) => {
  const { sessionFile, lockPath } = makeLockPlace(context);
  for (const payload of ["", "{", "[]", { createdAt: agoMs(0) }, { pid: process.ppid }]) {
    writeLock(lockPath, payload);
    const refused = acquireSessionWriteLock({ sessionFile, timeoutMs: 1 });
    await assert.rejects(refused, /session file locked/, JSON.stringify(payload));
    const oldS = (Date.now() - 31 * 60_000) / 1_000;
    utimesSync(lockPath, oldS, oldS);
    const lock = await acquireSessionWriteLock({ sessionFile, timeoutMs: 1 });
    await lock.release();
  }
});

test("a watchdog looks every 60 s and releases what is held beyond maxHoldMs, with a line on stderr", async (context) => {
  const { port, sessionFile, lockPath, pass } = makeLockPlace(context);
  const timers: { ms: number; callback: () => void }[] = [];
  port.startTimer = (ms, callback) => {
    timers.push({ ms, callback });
    return { cancel() {} };
  };
  const lines: string[] = [];
  context.mock.method(process.stderr, "write", (line: string) => lines.push(line) > 0);
  const lock = await acquireSessionWriteLock({ sessionFile, maxHoldMs: 90_000 });
  const look = () => {
    for (const { callback } of timers.splice(0)) callback();
  };
  assert.deepEqual(
    timers.map(({ ms }) => ms),
    [60_000],
  );
  pass(60_000);
  look();
  assert.ok(existsSync(lockPath));
  pass(60_000);
  look();
  assert.ok(!existsSync(lockPath));
  assert.match(lines.join(""), /releasing lock held for 120000ms \(max=90000ms\): .*s\.jsonl\.lock\n$/);
  writeLock(lockPath, { pid: process.ppid, createdAt: agoMs(0) });
  await lock.release();
  assert.ok(existsSync(lockPath), "what somebody else took meanwhile is not released");
});

const program = (body: string) => `
  import { acquireSessionWriteLock } from ${JSON.stringify(new URL("../../../src/openclaw/index.js", import.meta.url).href)};
  await acquireSessionWriteLock({ sessionFile: process.argv[1] });
  ${body}`;

function runProgram(body: string, sessionFile: string) {
  return spawnSync(process.execPath, ["--input-type=module", "-e", program(body), sessionFile], { encoding: "utf8" });
}

test("locks are released on exit, SIGINT, SIGTERM, SIGQUIT and SIGABRT, and the process ends as it would have", (context) => {
  const { sessionFile, lockPath } = makeLockPlace(context);
  const ended = runProgram("process.exit(3);", sessionFile);
  assert.deepEqual([ended.status, existsSync(lockPath)], [3, false], ended.stderr);
  if (process.platform === "win32") return;
  for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT", "SIGABRT"]) {
    const killed = runProgram(`setInterval(() => {}, 1000); process.kill(process.pid, "${signal}");`, sessionFile);
    assert.deepEqual([killed.signal, existsSync(lockPath)], [signal, false], killed.stderr);
  }
  // Who listens himself hears it once, and decides when the process ends.
  const listening = `let heard = 0; process.on("SIGTERM", () => { heard += 1; setTimeout(() => process.exit(heard), 50); });
    setInterval(() => {}, 1000); process.kill(process.pid, "SIGTERM");`;
  assert.deepEqual([runProgram(listening, sessionFile).status, existsSync(lockPath)], [1, false]);
});

test("resolveSessionLockMaxHoldFromTimeout is min(2147000000, max(minMs, timeoutMs + graceMs))", () => {
  assert.equal(resolveSessionLockMaxHoldFromTimeout({ timeoutMs: 10_000 }), 300_000);
  assert.equal(resolveSessionLockMaxHoldFromTimeout({ timeoutMs: 600_000 }), 720_000);
  assert.equal(resolveSessionLockMaxHoldFromTimeout({ timeoutMs: 10_000, graceMs: 5_000, minMs: 5_000 }), 15_000);
  assert.equal(resolveSessionLockMaxHoldFromTimeout({ timeoutMs: 2_147_000_000 }), 2_147_000_000);
  assert.equal(resolveSessionLockMaxHoldFromTimeout({ timeoutMs: Number.POSITIVE_INFINITY }), 2_147_000_000);
});

test("cleanStaleLockFiles looks at *.jsonl.lock alone, and removes dead and old ones", async (context) => {
  const { folder } = makeLockPlace(context);
  const at = (name: string) => path.join(folder, name);
  writeLock(at("dead.jsonl.lock"), { pid: deadPid, createdAt: agoMs(120_000) });
  writeLock(at("old.jsonl.lock"), { pid: process.pid, createdAt: agoMs(120_000) });
  writeLock(at("fresh.jsonl.lock"), { pid: process.pid, createdAt: agoMs(1_000) });
  writeLock(at("torn.jsonl.lock"), "{");
  writeLock(at("sessions.json.lock"), { pid: deadPid, createdAt: agoMs(120_000) });
  const held = await acquireSessionWriteLock({ sessionFile: at("held.jsonl") });
  const looked = await cleanStaleLockFiles({ sessionsDir: folder, staleMs: 30_000, removeStale: false });
  assert.deepEqual([looked.locks.length, looked.cleaned], [5, []]);
  const said: string[] = [];
  const log = { warn: (message: string) => said.push(message) };
  const { locks, cleaned } = await cleanStaleLockFiles({ sessionsDir: folder, staleMs: 30_000, log });
  assert.deepEqual(
    locks.map(({ lockPath, stale, staleReasons }) => [path.basename(lockPath), stale, staleReasons]),
    [
      ["dead.jsonl.lock", true, ["dead-pid", "too-old"]],
      ["fresh.jsonl.lock", false, []],
      ["held.jsonl.lock", false, []],
      ["old.jsonl.lock", true, ["too-old"]],
      ["torn.jsonl.lock", false, ["missing-pid", "invalid-createdAt"]],
    ],
  );
  assert.deepEqual(
    cleaned.map(({ lockPath, removed }) => [path.basename(lockPath), removed]),
    [
      ["dead.jsonl.lock", true],
      ["old.jsonl.lock", true],
    ],
  );
  assert.deepEqual(said, [
    `removed stale session lock: ${at("dead.jsonl.lock")} (dead-pid, too-old)`,
    `removed stale session lock: ${at("old.jsonl.lock")} (too-old)`,
  ]);
  const names = readdirSync(folder).sort();
  assert.deepEqual(names, ["fresh.jsonl.lock", "held.jsonl.lock", "sessions.json.lock", "torn.jsonl.lock"]);
  const later = { sessionsDir: folder, staleMs: 30_000, nowMs: Date.now() + 60_000 };
  const { cleaned: second } = await cleanStaleLockFiles(later);
  assert.deepEqual(
    second.map(({ lockPath }) => path.basename(lockPath)),
    ["fresh.jsonl.lock", "torn.jsonl.lock"],
    "the lock that this process holds is never stale",
  );
  await held.release();
  const missing = await cleanStaleLockFiles({ sessionsDir: at("none") });
  assert.deepEqual(missing, { locks: [], cleaned: [] });
});

test("withSessionStoreLock: a blank or non-string path throws", async () => {
  for (const given of ["", "  ", undefined, 7]) {
    await assert.rejects(
      withSessionStoreLock(given as string, () => assert.fail("called")),
      {
        message: new RegExp(
          `^withSessionStoreLock: storePath must be a non-empty string, got ${JSON.stringify(given)}`,
        ),
      },
    );
  }
});

test("withSessionStoreLock: a FIFO queue per literal path; a failing task does not poison it; the entry goes when it is drained", async (context) => {
  const { storePath } = makeLockPlace(context);
  const order: string[] = [];
  const task = (name: string) => async () => {
    order.push(`${name} begins`);
    assert.ok(existsSync(`${storePath}.lock`));
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${name} ends`);
    if (name === "one") throw new Error("one fails");
    return name;
  };
  const all = ["one", "two", "three"].map((name) => withSessionStoreLockForTest(storePath, task(name)));
  assert.equal(getSessionStoreLockQueueSizeForTest(), 1);
  const [one, two, three] = await Promise.allSettled(all);
  assert.equal(one?.status, "rejected");
  assert.deepEqual(
    [two, three],
    [
      { status: "fulfilled", value: "two" },
      { status: "fulfilled", value: "three" },
    ],
  );
  assert.deepEqual(
    order,
    ["one", "two", "three"].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
  assert.equal(getSessionStoreLockQueueSizeForTest(), 0);
  assert.ok(!existsSync(`${storePath}.lock`));
});

test("withSessionStoreLock: timeoutMs 10000, staleMs 30000 and maxHold 15000 by default; 0, negative and non-finite wait for ever", async (context) => {
  const { storePath } = makeLockPlace(context);
  const asked: SessionWriteLockParams[] = [];
  setSessionWriteLockAcquirerForTests(async (params) => {
    asked.push(params);
    return { release: async () => {} };
  });
  context.after(resetSessionStoreLockRuntimeForTests);
  for (const timeoutMs of [undefined, 500, 0, -1, Number.NaN]) {
    await withSessionStoreLock(storePath, () => {}, timeoutMs === undefined ? {} : { timeoutMs });
  }
  const forEver = { sessionFile: storePath, timeoutMs: Number.POSITIVE_INFINITY, staleMs: 30_000 };
  assert.deepEqual(asked, [
    { sessionFile: storePath, timeoutMs: 10_000, staleMs: 30_000, maxHoldMs: 15_000 },
    { sessionFile: storePath, timeoutMs: 500, staleMs: 30_000, maxHoldMs: 5_500 },
    forEver,
    forEver,
    forEver,
  ]);
  resetSessionStoreLockRuntimeForTests();
  await withSessionStoreLock(storePath, () => assert.ok(existsSync(`${storePath}.lock`)));
});

test("withSessionStoreLock: the wait for one's turn is not counted against the timeout", async (context) => {
  const { storePath, pass } = makeLockPlace(context);
  const first = withSessionStoreLock(storePath, async () => pass(3_600_000));
  const second = withSessionStoreLock(storePath, () => "had its turn", { timeoutMs: 100 });
  await first;
  assert.equal(await second, "had its turn");
});

test("clearSessionStoreCacheForTest clears the caches and rejects queued lock tasks; draining waits for those that run", async (context) => {
  const { storePath } = makeLockPlace(context);
  setSerializedSessionStore("/s", "{}");
  let finish = () => {};
  const ended: string[] = [];
  const running = withSessionStoreLock(storePath, async () => {
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    ended.push("running");
  });
  const queued = withSessionStoreLock(storePath, () => assert.fail("called"));
  const rejected = assert.rejects(queued, /^Error: session store queue cleared for test$/);
  clearSessionStoreCacheForTest();
  await rejected;
  assert.equal(getSerializedSessionStore("/s"), undefined);
  const drained = drainSessionStoreLockQueuesForTest().then(() => ended.push("drained"));
  while (!existsSync(`${storePath}.lock`)) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  await Promise.all([running, drained]);
  assert.deepEqual(ended, ["running", "drained"]);
  assert.equal(getSessionStoreLockQueueSizeForTest(), 0);
});
