/**
 * F6: one port call fails, once or from then on, with a random code or by coming back short; every third seed of a
 * workload, else of one of all public operations (../protocol/operations.ts). Whoever called gets a typed error or
 * success, nothing stays open or locked, no temporary file stays for good, what was acknowledged is there - for the next
 * process and after a power loss - and afterwards everything works.
 */

import assert from "node:assert/strict";
import { cleanRun, failOperation, WrongState } from "../protocol/failing-operation.js";
import { allOperations, type Operation } from "../protocol/operations.js";
import { commitPatch, commitPut, makeMachine, readStore, start } from "../protocol/simulated-store.js";
import { Ledger, runWorkload, workloadOptions } from "../protocol/workload.js";
import { FailingPort } from "../sim/failing-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { type CaseReport, type Figures, Harmed, noFigures, noteHarm } from "./figures.js";

const codes = ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EROFS", "EACCES", "EPERM", "short"];
/** Enough to reach the last call of the workload; a case beyond it fails nothing and is not counted. */
const callsMax = 1_300;

const machines = new Map<string, Promise<SimulatedMachine>>();

export function runFailedCallCase(seed: number): Promise<CaseReport> {
  return seed % 3 === 0 ? runWorkloadCase(seed) : runOperationCase(seed);
}

const operationsPerCase = 4;

/** A case begins where the one before it ended in the table, so that all operations come up equally often. */
async function runOperationCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  const random = new SeededRandom(seed);
  for (let turn = 0; turn < operationsPerCase; turn++) {
    const operation = allOperations[(seed * operationsPerCase + turn) % allOperations.length] as Operation;
    try {
      const { calls, shortCalls } = await cleanRun(operation);
      const code = random.pick(shortCalls > 0 ? codes : codes.filter((name) => name !== "short"));
      const last = code === "short" ? shortCalls : calls;
      if (last === 0) continue;
      const failure = { failAt: 1 + random.below(last), lasts: random.pick(["once", "from then on"] as const), code };
      const tried = await failOperation(operation, failure, random);
      figures.failedCalls += tried?.failures ?? 0;
      figures.states += tried?.images ?? 0;
    } catch (error) {
      const { message } = error as Error;
      const harm = /never happens/.test(message) ? "hangs" : error instanceof WrongState ? "lost" : "disagreements";
      noteHarm(figures, problems, new Harmed(harm, message, error));
    }
  }
  return { figures, problems };
}

async function runWorkloadCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  const random = new SeededRandom(seed);
  const code = random.pick(codes);
  const lasts = random.pick(["once", "from then on"] as const);
  const fileSystem = random.pick(["ordered", "weak"] as const);
  const failAt = 1 + random.below(code === "short" ? 200 : callsMax);
  const machine = await copyOfEmptyStore(fileSystem);
  const process = machine.process("worker");
  const onFailedSync = random.chance(0.5)
    ? (file: Parameters<typeof process.loseWrites>[0]) => process.loseWrites(file)
    : undefined;
  const port = new FailingPort(process, { failAt, lasts, code, ...(onFailedSync && { onFailedSync }) });
  const ledger = new Ledger();
  const errors: Error[] = [];
  let where = `${code} ${lasts} at call ${failAt}`;
  try {
    const outcome = await process.run(() => runWorkload(port, ledger, (error) => errors.push(error)));
    const [failed] = port.failures;
    if (failed === undefined) return { figures, problems };
    where += ` (${failed.method} ${failed.path})`;
    figures.failedCalls = port.failures.length;
    figures.acknowledgements = ledger.doneCount;
    if (outcome.status !== "returned") throw outcome.status === "failed" ? outcome.error : new Error("it was killed");
    assert.deepEqual(process.openHandles(), [], "left open");
    assert.deepEqual(process.heldLocks(), [], "left locked");
    assert.deepEqual(machine.misuses, []);
    if (lasts === "once") assert.ok(errors.length <= 2, `one failure, and not even the next call worked:\n${errors}`);
    await assertKept(machine, ledger, random, figures);
  } catch (error) {
    const message = (error as Error).message;
    const harm = /never happens/.test(message) ? "hangs" : error instanceof Harmed ? error.harm : "disagreements";
    noteHarm(figures, problems, new Harmed(harm, `${where}: ${message}`, error));
  }
  return { figures, problems };
}

async function assertKept(machine: SimulatedMachine, ledger: Ledger, random: SeededRandom, figures: Figures) {
  for (let drawn = 0; drawn < 2; drawn++) {
    figures.states += 1;
    assertPossible(ledger, await readStore(machine.powerLoss(random), workloadOptions), "after a power loss");
  }
  figures.states += 1;
  const next = machine.fork();
  assertPossible(ledger, await readStore(next, workloadOptions), "for the next process");
  const store = await start(next, "next", workloadOptions);
  await commitPut(next, store, "a", "next");
  await commitPatch(next, store, "a", "field", 1);
  await next.settle(store.backend.close());
  assert.deepEqual((await readStore(next, workloadOptions)).a, { value: "next", field: 1 });
}

function assertPossible(ledger: Ledger, state: Record<string, unknown>, when: string): void {
  try {
    ledger.assertPossible(state, when);
  } catch (error) {
    throw new Harmed("lost", (error as Error).message, error);
  }
}

async function copyOfEmptyStore(fileSystem: "ordered" | "weak"): Promise<SimulatedMachine> {
  let made = machines.get(fileSystem);
  if (made === undefined) {
    made = makeMachine({ fileSystem });
    machines.set(fileSystem, made);
  }
  return (await made).fork();
}
