/**
 * F1-F3 for what happens rarely and changes everything: a take-over, a merge, imports, a rollback, a restore and a
 * rotation of the json backend, crashed at a random call - by a kill, a torn append or a power loss -, in half of the
 * cases once more while the next process recovers, and in some of these a third time.
 */

import assert from "node:assert/strict";
import type { Port } from "../../src/fs/port.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { createOrTakeOver } from "../../src/migrate/take-over.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import * as rotation from "../unit/json/rotation-scene.js";
import { machineWith, openJson, textOf } from "../unit/json/support.js";
import * as merges from "../unit/migrate/crash-scenes.js";
import { checkRollback } from "../unit/migrate/rollback-scene.js";
import { legacyPath, machineToRollBack } from "../unit/migrate/rollback-support.js";
import { openOrTakeOver, takeOverOptions } from "../unit/migrate/support.js";
import * as takeOver from "../unit/migrate/take-over-scene.js";
import * as imports from "../unit/transfer/import-scene.js";
import * as restores from "../unit/transfer/restore-scene.js";
import { type CaseReport, Harmed, noFigures, noteHarm } from "./figures.js";

type FileSystem = "ordered" | "weak";

interface CrashScene {
  readonly name: string;
  prepare(fileSystem: FileSystem): Promise<SimulatedMachine>;
  /** Both may be killed; what is done again after a crash must come to the same end. */
  readonly program: (port: Port) => Promise<unknown>;
  readonly recovery: (port: Port) => Promise<unknown>;
  check(machine: SimulatedMachine, what: string, isDone: boolean): Promise<unknown>;
}

const imagesPerCrash = 4;
const crashesPerCase = 12;
const roundsMax = 3;
/** What a second crash may interrupt, at most: later calls of a recovery are few and change nothing. */
const recoveryCallsMax = 400;

const openAndClose = async (port: Port) => (await openOrTakeOver(port, takeOver.location)).close();

async function restoreScene(withStore: boolean): Promise<CrashScene> {
  // The backup has the same name on every machine that is prepared the same way.
  const [, backup] = await restores.prepare("ordered", withStore);
  return {
    name: withStore ? "a restore over a store" : "a restore into an empty place",
    prepare: async (fileSystem) => (await restores.prepare(fileSystem, withStore))[0].fork(),
    program: restores.restore(backup),
    recovery: restores.restore(backup),
    check: async (machine, what, isDone) => {
      // Every round may be a restore.
      const found = await restores.checkReopened(machine, what, withStore, roundsMax);
      if (isDone) assert.equal(found, restores.after, `${what}: it was told to be done`);
    },
  };
}

function importScene(withStore: boolean): CrashScene {
  return {
    name: withStore ? "an import of a bundle into a store" : "an import of a bundle into an empty place",
    prepare: async (fileSystem) => (await imports.prepareImport(fileSystem, withStore)).fork(),
    program: imports.importBundle,
    recovery: imports.importBundle,
    check: (machine, what) => imports.checkImported(machine, what, withStore),
  };
}

async function makeScenes(): Promise<readonly CrashScene[]> {
  return [
    {
      name: "a take-over",
      prepare: async (fileSystem) => takeOver.machineWithLegacyFile(fileSystem),
      program: (port) => createOrTakeOver(port, takeOver.location, takeOverOptions),
      recovery: openAndClose,
      check: takeOver.checkReopened,
    },
    ...Object.entries(merges.scenes).map(([name, scene]) => ({
      name,
      prepare: (fileSystem: FileSystem) => merges.machineFor(scene, fileSystem),
      program: merges.programOf(scene),
      recovery: merges.programOf(scene),
      check: (machine: SimulatedMachine, what: string) => merges.checkReopened(machine, scene, what),
    })),
    {
      name: "a rollback",
      prepare: machineToRollBack,
      program: (port) => rollbackStore(legacyPath, { port }),
      recovery: openAndClose,
      check: checkRollback,
    },
    {
      name: "a rollback that is run again",
      prepare: machineToRollBack,
      program: (port) => rollbackStore(legacyPath, { port }),
      recovery: (port) => rollbackStore(legacyPath, { port }),
      check: checkRollback,
    },
    await restoreScene(true),
    await restoreScene(false),
    importScene(true),
    importScene(false),
    {
      name: "a rotation of the legacy file",
      prepare: async (fileSystem) => machineWith(textOf(rotation.original), { fileSystem }),
      program: rotation.rotateAndSave,
      // Reads only: what a second save makes of the first one's remains, the check asks.
      recovery: async (port) => (await openJson(port, { readOnly: true })).close(),
      check: rotation.checkSurvived,
    },
  ];
}

let scenes: Promise<readonly CrashScene[]> | undefined;
const prepared = new Map<string, Promise<{ machine: SimulatedMachine; calls: number }>>();

export async function runCrashSceneCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  scenes ??= makeScenes();
  const all = await scenes;
  // Every scene has its turn: seeds follow each other.
  const scene = all[seed % all.length] as CrashScene;
  const random = new SeededRandom(seed);
  const fileSystem = random.pick(["ordered", "weak"] as const);
  const { machine, calls } = await prepare(scene, fileSystem);
  for (let crash = 0; crash < crashesPerCase; crash++) {
    const places: string[] = [];
    let crashed = machine.fork();
    let isDone = false;
    const rounds = random.pick([1, 1, 2, 2, 2, roundsMax]);
    for (let round = 0; round < rounds; round++) {
      const process = crashed.process(`round ${round}`);
      // Simulated processes draw the same random bytes. These are of other processes than the one that died, and than
      // the one that checks, so their temporary files must have other names.
      process.randomBytes(2 * round + 1);
      const at = 1 + random.below(round === 0 ? calls + 1 : Math.min(calls, recoveryCallsMax));
      process.crashAfter(at, { tear: random.chance(0.5) });
      const outcome = await process.run<unknown>(round === 0 ? scene.program : scene.recovery);
      if (round === 0) isDone = outcome.status === "returned";
      const isKill = round === rounds - 1 || random.chance(0.5);
      places.push(`${isKill ? "killed" : "power lost"} at call ${at}`);
      if (round < rounds - 1) crashed = isKill ? crashed.fork() : crashed.powerLoss(random);
    }
    const where = `${scene.name} (${fileSystem} names), ${places.join(", then ")}`;
    const images: [string, SimulatedMachine][] = [["as it is", crashed.fork()]];
    for (let image = 1; image < imagesPerCrash; image++)
      images.push([`power loss ${image}`, crashed.powerLoss(random)]);
    for (const [what, image] of images) {
      figures.states += 1;
      try {
        await scene.check(image, `${where}, ${what}`, isDone);
      } catch (error) {
        noteHarm(figures, problems, harmOf(error, `${where}, ${what}`));
        return { figures, problems };
      }
    }
  }
  return { figures, problems };
}

/** The machine before, and how many calls the program makes on it. */
function prepare(scene: CrashScene, fileSystem: FileSystem) {
  const key = `${scene.name} ${fileSystem}`;
  let made = prepared.get(key);
  if (made === undefined) {
    made = (async () => {
      const machine = await scene.prepare(fileSystem);
      const process = machine.fork().process();
      const outcome = await process.run<unknown>(scene.program);
      if (outcome.status === "failed") throw outcome.error;
      return { machine, calls: process.calls };
    })();
    prepared.set(key, made);
  }
  return made;
}

function harmOf(error: unknown, where: string): Harmed {
  const message = error instanceof Error ? error.message : String(error);
  const harm = /never happens/.test(message) ? "hangs" : "disagreements";
  return new Harmed(harm, message.includes(where) ? message : `${where}: ${message}`, error);
}
