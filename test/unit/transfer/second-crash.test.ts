/**
 * Kills the process, or cuts the power, at every port call of a restore and of an import, and then at every call of what
 * comes next: the next opening, or the same command once more.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { crashTwice } from "../migrate/every-crash.js";
import { checkImported, importBundle, prepareImport } from "./import-scene.js";
import * as restores from "./restore-scene.js";
import { open } from "./support.js";

const openAndClose = async (port: Port) => (await open(restores.store, { port })).close();

// On weak names only: they allow every disk that ordered ones do.
for (const withStore of [true, false]) {
  const where = withStore ? "over a store" : "into an empty place";

  test(`a restore ${where}: a second crash, in the next opening, leaves the old store or the restored one`, async () => {
    const [machine, backup] = await restores.prepare("weak", withStore);
    const check = (left: SimulatedMachine, what: string) => restores.checkReopened(left, what, withStore);
    const scene = { machine, program: restores.restore(backup), recovery: openAndClose, check };
    const { first, second } = await crashTwice(scene, { random: new SeededRandom(31), powerLosses: [1, 1] });
    assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
  });

  test(`a restore ${where}: a second crash, when it is run again, leaves the old store or the restored one`, async () => {
    const [machine, backup] = await restores.prepare("weak", withStore);
    const again = (port: Port) => restoreBackup(backup, restores.store, { replace: true, acceptLoss: true, port });
    const check = (left: SimulatedMachine, what: string) => restores.checkReopened(left, what, withStore, 2);
    const scene = { machine, program: restores.restore(backup), recovery: again, check };
    const { first, second } = await crashTwice(scene, { random: new SeededRandom(32), powerLosses: [1, 1] });
    assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
  });

  test(`an import ${where}: a second crash, when it is run again, loses nothing, and a third run completes it`, async () => {
    const scene = {
      machine: await prepareImport("weak", withStore),
      program: importBundle,
      recovery: importBundle,
      check: (machine: SimulatedMachine, what: string) => checkImported(machine, what, withStore),
    };
    const { first, second } = await crashTwice(scene, { random: new SeededRandom(33), powerLosses: [1, 1] });
    assert.ok(first > 30 && second > 20, `${first} disks after one crash, ${second} after two`);
  });
}
