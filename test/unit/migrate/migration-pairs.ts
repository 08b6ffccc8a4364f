/**
 * Migration and rollback beside something else, as pairs of programs with what must hold afterwards, for any schedule: those of one
 * switch in rollback-interleaved.test.ts, all of them by `npm run interleavings`.
 */

import assert from "node:assert/strict";
import type { MigrationResult } from "../../../src/migrate/migrate.js";
import type { RollbackResult } from "../../../src/migrate/rollback.js";
import { enumerateSchedules } from "../../sim/enumerate.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import type { Schedule } from "../../sim/schedule.js";
import { type InterleavedResult, type ProgramSpec, runInterleaved } from "../../sim/scheduler.js";
import {
  expectedText,
  inOrder,
  location,
  machineToRollBack,
  machineUnchanged,
  machineWithFile,
  namesIn,
  unchangedText,
} from "./rollback-support.js";
import { openAndReadAll } from "./support.js";

const module = new URL("./rollback-interleaved-programs.js", import.meta.url);
export const roller: ProgramSpec = { module, export: "roller" };

export interface MigrationPair {
  readonly name: string;
  readonly programs: readonly [ProgramSpec, ProgramSpec];
  readonly machine: () => Promise<SimulatedMachine>;
  /** The sessions that the store had before. */
  readonly sessions: string;
}

const changed = { machine: once(machineToRollBack), sessions: expectedText };
const unchanged = { machine: once(machineUnchanged), sessions: unchangedText };
const legacy = { machine: once(machineWithFile), sessions: unchangedText };
const migrator: ProgramSpec = { module, export: "migrator" };
const reader: ProgramSpec = { module, export: "reader" };

export function gateway(commits: number): ProgramSpec {
  return { module, export: "gateway", argument: { commits } };
}

export const migrationPairs: readonly MigrationPair[] = [
  { name: "rollback and open", programs: [roller, reader], ...changed },
  // What was rolled back looks exactly like what was migrated: it must not be taken for it.
  { name: "rollback and open of an unchanged store", programs: [roller, reader], ...unchanged },
  { name: "rollback and append", programs: [roller, gateway(2)], ...changed },
  { name: "rollback and rollback", programs: [roller, roller], ...changed },
  { name: "rollback and migration", programs: [roller, migrator], ...changed },
  { name: "migration and append", programs: [migrator, gateway(2)], ...legacy },
  {
    name: "migration and the single file",
    programs: [migrator, { module, export: "fileGateway", argument: { commits: 2 } }],
    ...legacy,
  },
  { name: "rollback and checkpoint", programs: [roller, { module, export: "checkpointer" }], ...changed },
];

function once(make: () => Promise<SimulatedMachine>): () => Promise<SimulatedMachine> {
  let made: Promise<SimulatedMachine> | undefined;
  return async () => {
    made ??= make();
    return (await made).fork();
  };
}

/** Runs the schedules of at most so many switches, whoever begins; says how many there were. */
export async function runMigrationPair(pair: MigrationPair, switchesMax: number): Promise<number> {
  let runs = 0;
  for (const programs of [pair.programs, [...pair.programs].reverse()]) {
    const run = (schedule: Schedule) => runMigrationPrograms({ ...pair, programs }, schedule);
    for await (const _ of enumerateSchedules(run, { switchesMax })) runs += 1;
  }
  return runs;
}

/** Runs programs on a store, and checks what is left. */
export async function runMigrationPrograms(
  given: Pick<MigrationPair, "machine" | "sessions"> & { readonly programs: readonly ProgramSpec[] },
  schedule: Schedule,
): Promise<InterleavedResult<unknown, string>> {
  const { programs } = given;
  const machine = await given.machine();
  const result = await runInterleaved<unknown, string>({ machine, programs, schedule });
  const where = `replay: ${result.replay}`;
  for (const [index, outcome] of result.outcomes.entries()) {
    const name = programs[index]?.export;
    if (outcome.status === "failed") assert.fail(`${where}: ${name}: ${outcome.error.stack}`);
    if (outcome.status !== "returned" || (name !== "roller" && name !== "migrator")) continue;
    const { outcome: ended, error } = outcome.value as RollbackResult | MigrationResult;
    // It came behind the rollback, and was not forced.
    const isForbidden = name === "migrator" && error?.code === "legacy_store";
    assert.ok(ended !== "failed" || isForbidden, `${where}: ${JSON.stringify(outcome.value)}`);
  }
  await checkLeft(machine, given.sessions, result, where);
  return result;
}

/** Every session that was there and every one that was acknowledged is in the one store that counts. */
async function checkLeft(
  machine: SimulatedMachine,
  sessions: string,
  result: InterleavedResult<unknown, string>,
  where: string,
): Promise<void> {
  const names = namesIn(machine);
  assert.ok(names.includes("sessions.json") || names.includes("sessions.d"), `${where}: no store: ${names}`);
  const outcome = await machine.process("last").run((port) => openAndReadAll(port, location));
  if (outcome.status === "failed") throw new Error(where, { cause: outcome.error });
  assert.ok(outcome.status === "returned");
  const found = new Map(outcome.value);
  for (const { event } of result.events) {
    assert.ok(found.has(event), `${where}: ${event} was acknowledged`);
    found.delete(event);
  }
  found.delete("checkpointed");
  assert.equal(inOrder(found), sessions, where);
  assert.deepEqual(machine.misuses, [], where);
}
