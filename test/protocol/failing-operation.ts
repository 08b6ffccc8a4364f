/**
 * One operation (operations.ts), of whose port calls one fails, or all from one on. Promised, and looked at here:
 *
 * - whoever called gets a typed error, or an answer that is right in spite of the failure;
 * - afterwards nothing stays open or locked;
 * - temporary files are gone, or the next operation removes them (`sweptLater` counts those);
 * - what was acknowledged is there, also after a power loss, and what was refused is not;
 * - the next call on the same store works or says why not; the next process works.
 */

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import { FailingPort, type FailureOptions } from "../sim/failing-port.js";
import type { PortCall } from "../sim/intercepted-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import type { SeededRandom } from "../sim/random.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import { outwaitUnnamedLock } from "../unit/migrate/left-locks.js";
import { type Operation, openStore, type Store } from "./operations.js";

/** Sessions and removals by key, as the next process finds them. */
type State = Readonly<Record<string, unknown>>;

interface Clean {
  readonly machine: SimulatedMachine;
  readonly before: State | undefined;
  readonly after: State;
  readonly answer: unknown;
  /** Port calls that can fail; and of these the appends and reads, which can come back short. */
  readonly calls: number;
  readonly shortCalls: number;
  /** What each of these calls is, without what is random or a number in its path: "setMode all.jsonl.partial-*". */
  readonly kinds: readonly string[];
}

export interface Tried {
  /** For messages. */
  readonly where: string;
  readonly failures: number;
  readonly outcome: "answered" | "refused";
  /** Disks that were looked at afterwards. */
  readonly images: number;
  /** Temporary files that the operation itself could not remove. */
  readonly sweptLater: readonly string[];
}

/** The store does not hold what it said that it would. */
export class WrongState extends Error {}

const runs = new Map<string, Promise<Clean>>();

/** What the operation does when nothing fails. */
export function cleanRun(operation: Operation): Promise<Clean> {
  let run = runs.get(operation.name);
  if (run === undefined) {
    run = runClean(operation);
    runs.set(operation.name, run);
  }
  return run;
}

const machines = new Map<Operation["prepare"], Promise<SimulatedMachine>>();

/** Many operations begin on the same machine; nobody changes it. */
function preparedFor({ prepare }: Operation): Promise<SimulatedMachine> {
  const machine = machines.get(prepare) ?? prepare();
  machines.set(prepare, machine);
  return machine;
}

async function runClean(operation: Operation): Promise<Clean> {
  const machine = await preparedFor(operation);
  const attempt = async (failure: FailureOptions) => {
    const image = machine.fork();
    const made = await attemptOn(operation, image, failure);
    assert.equal(made.error, undefined, `${operation.name}: ${made.error?.stack}`);
    assert.deepEqual(made.nextError, undefined, `${operation.name}: the next call`);
    return { image, ...made };
  };
  const kinds: string[] = [];
  const note = (call: PortCall) => {
    kinds.push(kindOf(call));
    return true;
  };
  const { image, answer, callsSeen: calls } = await attempt({ matches: note });
  const { callsSeen: shortCalls } = await attempt({ code: "short" });
  const before = operation.spoilt ? undefined : await look(operation, machine.fork());
  const after = await look(operation, image.fork());
  const changed = !isDeepStrictEqual(before, withoutNext(after));
  assert.equal(
    changed,
    operation.changes,
    `${operation.name}: it changes ${JSON.stringify(before)} to ${JSON.stringify(after)}`,
  );
  return { machine, before, after: withoutNext(after), answer, calls, shortCalls, kinds };
}

function kindOf({ method, path }: PortCall): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return `${method} ${name.replace(/[0-9a-f]{8,}/g, "*").replace(/\d+/g, "*")}`;
}

/** Undefined when there are not so many calls that could fail so. */
export async function failOperation(
  operation: Operation,
  failure: FailureOptions,
  random: SeededRandom,
): Promise<Tried | undefined> {
  const clean = await cleanRun(operation);
  const machine = clean.machine.fork();
  const made = await attemptOn(operation, machine, failure);
  const [failed] = made.failures;
  if (failed === undefined) return undefined;
  const where = `${operation.name}: ${failure.code} ${failure.lasts} at call ${failure.failAt} (${failed.method} ${failed.path})`;
  try {
    if (made.error !== undefined) requireTyped(made.error);
    else if (operation.call && !isUnreadable(failed)) assert.deepEqual(made.answer, clean.answer, "the answer");
    if (made.nextError !== undefined) requireTyped(made.nextError);
    if (made.closeError !== undefined) requireTyped(made.closeError);
    requireReleased(made.process);
    assert.deepEqual(machine.misuses, []);
    const left = temporaryFiles(machine);
    const images = operation.call
      ? await checkStore(operation, clean, made, machine, random)
      : await checkProgram(operation, clean, made, machine);
    return {
      where,
      failures: made.failures.length,
      outcome: made.error ? "refused" : "answered",
      images,
      sweptLater: left,
    };
  } catch (error) {
    const Kind = error instanceof WrongState ? WrongState : Error;
    throw new Kind(`${where}: ${(error as Error).message}\nthe operation: ${made.error?.stack ?? "answered"}`, {
      cause: error,
    });
  }
}

// --- one attempt -----------------------------------------------------------------------------------------------------

interface Attempt {
  readonly process: SimulatedProcess;
  readonly failures: readonly PortCall[];
  readonly callsSeen: number;
  readonly answer: unknown;
  readonly error: Error | undefined;
  /** Of the next call on the same store, when nothing fails any more. */
  readonly nextError: Error | undefined;
  readonly closeError: Error | undefined;
}

async function attemptOn(operation: Operation, machine: SimulatedMachine, failure: FailureOptions): Promise<Attempt> {
  const process = machine.process("victim");
  // Other names than those that the process before it drew.
  process.randomBytes(5);
  const port = new FailingPort(process);
  const { onFailedSync = (file) => process.loseWrites(file) } = failure;
  const attempt = { process, failures: [] as PortCall[], callsSeen: 0, answer: undefined as unknown };
  const errors: Partial<Record<"error" | "nextError" | "closeError", Error>> = {};
  const outcome = await process.run(async () => {
    const tell = async (which: keyof typeof errors, work: () => Promise<unknown>) => {
      try {
        return await work();
      } catch (error) {
        errors[which] = error as Error;
        return undefined;
      }
    };
    const store =
      operation.call && (await openStore(port, operation.location, { ...operation.options, ...operation.opened }));
    port.fail({ ...failure, onFailedSync });
    attempt.answer = await tell("error", async () => {
      return store ? operation.call?.(store, port) : operation.program?.(port, machine);
    });
    attempt.failures = [...port.failures];
    attempt.callsSeen = port.callsSeen;
    port.fail({});
    if (store === undefined) return;
    await tell("nextError", () => nextCall(operation, store));
    await tell("closeError", () => store.close());
  });
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  return { ...attempt, error: errors.error, nextError: errors.nextError, closeError: errors.closeError };
}

const nextKey = "the next one";

async function nextCall(operation: Operation, store: Store): Promise<void> {
  if (/close$/.test(operation.name)) return;
  if (operation.opened?.readOnly) await store.get("c");
  else await store.update(nextKey, () => ({ n: 1 }));
}

/**
 * A file of one session, or of one removal, that cannot be read is damage of that one: lists go on without it, copies are
 * "partial", and `verify` and whoever reads it are told.
 */
function isUnreadable({ method, path }: PortCall): boolean {
  return ["open", "stat", "read"].includes(method) && /\/(entries|trash)\//.test(path);
}

function requireTyped(error: Error): void {
  assert.ok(error instanceof SessionStoreError, `an untyped error: ${error.stack}`);
}

function requireReleased(process: SimulatedProcess): void {
  assert.deepEqual(process.openHandles(), [], "left open");
  assert.deepEqual(process.heldLocks(), [], "left locked");
}

function temporaryFiles(machine: SimulatedMachine): string[] {
  return Object.keys(machine.dump()).filter((path) => /\.tmp$|\.staging-|\.partial-/.test(path));
}

/** Beside somebody's other files nothing is swept: what could not be removed at once stays, and its name says what it is. */
function isKept({ failures }: Attempt, path: string): boolean {
  return failures.length > 1 && /\.partial-[0-9a-f]+(\/|$)/.test(path);
}

// --- what is there afterwards ----------------------------------------------------------------------------------------

const inTrash = " in the trash";

/** What the store says, one entry for each session and each removal. */
async function look(operation: Operation, machine: SimulatedMachine): Promise<State> {
  await outwaitUnnamedLock(machine);
  return inNewProcess(machine, async (port) => {
    const store = await openStore(port, operation.location, operation.options);
    try {
      // A repair leaves it to the next checkpoint to replace the file of a session that the journal holds whole.
      if (operation.spoilt) await store.checkpoint();
      const state: Record<string, unknown> = {};
      for await (const { key, entry } of store.entries()) {
        state[key] = { entry, generations: (await store.generations(key)).map(({ sessionId }) => sessionId) };
      }
      for await (const { key } of store.trash()) state[`${key}${inTrash}`] = true;
      for await (const finding of store.verify()) {
        assert.notEqual(finding.severity, "error", `verify: ${finding.code} ${finding.path} ${finding.message}`);
      }
      return state;
    } finally {
      await store.close();
    }
  });
}

async function inNewProcess<Result>(machine: SimulatedMachine, work: (port: Port) => Promise<Result>): Promise<Result> {
  const process = machine.process("next");
  process.randomBytes(9);
  const outcome = await process.run(work);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  requireReleased(process);
  return outcome.value;
}

function withoutNext(state: State): State {
  return Object.fromEntries(Object.entries(state).filter(([key]) => !key.startsWith(nextKey)));
}

/** After a call on an open store: what it was told holds, in every image of the disk, and the next process works. */
async function checkStore(
  operation: Operation,
  clean: Clean,
  made: Attempt,
  machine: SimulatedMachine,
  random: SeededRandom,
): Promise<number> {
  const durable = operation.opened?.durability !== "interval" || made.error === undefined;
  const images = [machine.fork()];
  if (durable) images.push(machine.powerLoss(random));
  for (const [index, image] of images.entries()) {
    const found = await look(operation, image);
    const when = index === 0 ? "for the next process" : "after a power loss";
    assertPossible(operation, clean, made, withoutNext(found), when);
    const nextDone = operation.opened?.readOnly || /close$/.test(operation.name) ? false : told(made.nextError);
    if (nextDone !== undefined && nextKey in found !== nextDone)
      throw new WrongState(`${when} what the next call wrote is ${nextDone ? "gone" : "there, though it was refused"}`);
  }
  const [next] = images as [SimulatedMachine];
  await writeAndClose(operation, next);
  assert.deepEqual(temporaryFiles(next), [], "the next process has removed temporary files");
  return images.length;
}

/** What was told to be done is there, what was refused is not; of the rest nobody knows, but a commit is there whole. */
function assertPossible(operation: Operation, clean: Clean, made: Attempt, found: State, when: string): void {
  const before = clean.before as State;
  const { after } = clean;
  const said = isUnreadable(made.failures[0] as PortCall) ? undefined : told(made.error);
  if (operation.steps && said !== true) {
    assertBetween(before, after, found, when);
    return;
  }
  // What the trash held may still be there after all that, as it may after a crash.
  if (operation.steps === "best effort") {
    assertBetween(before, after, found, when);
    requireState(sessionsOf(found), [sessionsOf(after)], when);
    return;
  }
  requireState(found, said === undefined ? [before, after] : [said ? after : before], when);
}

function requireState(found: State, possible: readonly State[], when: string): void {
  if (possible.some((state) => isDeepStrictEqual(found, state))) return;
  throw new WrongState(`${when} the store holds ${JSON.stringify(found)}, possible: ${JSON.stringify(possible)}`);
}

function sessionsOf(state: State): State {
  return Object.fromEntries(Object.entries(state).filter(([key]) => !key.endsWith(inTrash)));
}

/** Each session, and each removal, is as it was or as it was to be. */
function assertBetween(before: State, after: State, found: State, when: string): void {
  for (const key of new Set([...Object.keys(found), ...Object.keys(before), ...Object.keys(after)])) {
    requireState({ [key]: found[key] }, [{ [key]: before[key] }, { [key]: after[key] }], when);
  }
}

/** True: it was done; false: it was not; undefined: nobody knows. */
function told(error: Error | undefined): boolean | undefined {
  if (error === undefined) return true;
  return error instanceof SessionStoreError && error.code !== "outcome_unknown" ? false : undefined;
}

async function writeAndClose(operation: Operation, machine: SimulatedMachine): Promise<void> {
  await inNewProcess(machine, async (port) => {
    const store = await openStore(port, operation.location, operation.options);
    try {
      await store.update("again", () => ({ n: 2 }));
      await store.checkpoint();
      // Whoever lists next sweeps what a failed building of the index left.
      await store.list({ limit: 1 });
      assert.deepEqual(await store.get("again"), { n: 2 });
    } finally {
      await store.close();
    }
  });
}

/** After a program that may have done a part: each session is as before or as afterwards, and it can be run again. */
async function checkProgram(
  operation: Operation,
  clean: Clean,
  made: Attempt,
  machine: SimulatedMachine,
): Promise<number> {
  const { before, after } = clean;
  if (before !== undefined) {
    const found = await look(operation, machine.fork());
    const isWhole = made.error === undefined && !isUnreadable(made.failures[0] as PortCall);
    if (isWhole) requireState(found, [after], "after success");
    assertBetween(before, after, found, "for the next process");
  }
  const again = machine.fork();
  try {
    await inNewProcess(again, (port) => operation.program?.(port, again) as Promise<unknown>);
  } catch (error) {
    // What was done already cannot be done again.
    if (!(error instanceof SessionStoreError) || error.code !== "conflict") throw error;
  }
  requireState(await look(operation, again.fork()), [after], "after it was run again");
  await writeAndClose(operation, again);
  assert.deepEqual(
    temporaryFiles(again).filter((path) => !isKept(made, path)),
    [],
    "running it again has removed temporary files",
  );
  return before === undefined ? 1 : 2;
}
