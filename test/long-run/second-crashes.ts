/**
 * Every crash, and every crash of what recovers from it, on disks with weak names and on ordered ones; with more of the
 * disks that a power loss may leave than `npm test` looks at.
 */

import type { Port } from "../../src/fs/port.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { createOrTakeOver } from "../../src/migrate/take-over.js";
import { restoreBackup } from "../../src/transfer/restore.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import * as merges from "../unit/migrate/crash-scenes.js";
import { type CrashProgram, crashTwice } from "../unit/migrate/every-crash.js";
import { checkRollback } from "../unit/migrate/rollback-scene.js";
import { legacyPath, machineToRollBack } from "../unit/migrate/rollback-support.js";
import { openOrTakeOver, takeOverOptions } from "../unit/migrate/support.js";
import * as takeOver from "../unit/migrate/take-over-scene.js";
import * as imports from "../unit/transfer/import-scene.js";
import * as restores from "../unit/transfer/restore-scene.js";

interface Scene {
  readonly name: string;
  readonly machine: SimulatedMachine;
  readonly program: CrashProgram;
  readonly recovery: CrashProgram;
  readonly check: (machine: SimulatedMachine, what: string) => Promise<unknown>;
}

const openAndClose = async (port: Port) => (await openOrTakeOver(port, takeOver.location)).close();
const rollBack = (port: Port) => rollbackStore(legacyPath, { port });

async function* scenesOn(fileSystem: "ordered" | "weak"): AsyncGenerator<Scene> {
  yield {
    name: "a take-over",
    machine: takeOver.machineWithLegacyFile(fileSystem),
    program: (port) => createOrTakeOver(port, takeOver.location, takeOverOptions),
    recovery: openAndClose,
    check: takeOver.checkReopened,
  };
  for (const [name, scene] of Object.entries(merges.scenes)) {
    const program = merges.programOf(scene);
    const check = (left: SimulatedMachine, what: string) => merges.checkReopened(left, scene, what);
    yield { name, machine: await merges.machineFor(scene, fileSystem), program, recovery: program, check };
  }
  for (const [name, recovery] of Object.entries({ "the next opening": openAndClose, "run again": rollBack })) {
    const machine = await machineToRollBack(fileSystem);
    yield { name: `a rollback, then ${name}`, machine, program: rollBack, recovery, check: checkRollback };
  }
  for (const withStore of [true, false]) {
    const where = withStore ? "over a store" : "into an empty place";
    const [machine, backup] = await restores.prepare(fileSystem, withStore);
    const again = (port: Port) => restoreBackup(backup, restores.store, { replace: true, acceptLoss: true, port });
    const program = restores.restore(backup);
    yield {
      name: `a restore ${where}, then run again`,
      machine,
      program,
      recovery: again,
      check: (left, what) => restores.checkReopened(left, what, withStore, 2),
    };
    yield {
      name: `an import ${where}`,
      machine: await imports.prepareImport(fileSystem, withStore),
      program: imports.importBundle,
      recovery: imports.importBundle,
      check: (left, what) => imports.checkImported(left, what, withStore),
    };
  }
}

export async function runSecondCrashes({ powerLosses, seed }: { powerLosses: number; seed: number }): Promise<void> {
  for (const fileSystem of ["weak", "ordered"] as const) {
    for await (const scene of scenesOn(fileSystem)) {
      const startedMs = performance.now();
      const crashes = { random: new SeededRandom(seed), powerLosses: [powerLosses, powerLosses] } as const;
      const { first, second } = await crashTwice(scene, crashes);
      const seconds = Math.round((performance.now() - startedMs) / 1_000);
      console.log(
        `second-crashes: ${scene.name}, ${fileSystem} names: ${first} disks after one crash, ${second} after two, each as promised (${seconds} s)`,
      );
    }
  }
}
