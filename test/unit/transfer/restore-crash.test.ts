/**
 * Kills the process, or cuts the power, at every port call of a restore over an existing store on the simulated machine:
 * whoever opens the store then finds either all of the old sessions or all of the restored ones, and whatever lay there
 * is still on the disk, whole.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { createBackup, verifyBackup } from "../../../src/transfer/backup.js";
import { isPartialName } from "../../../src/transfer/backup-files.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import { SeededRandom } from "../../sim/random.js";
import {
  after,
  backups,
  before,
  checkAside,
  checkReopened,
  namesIn,
  prepare,
  readAt,
  restore,
  run,
  store,
} from "./restore-scene.js";

const powerLossesPerCall = 2;

for (const withStore of [true, false]) {
  describe(`a restore ${withStore ? "over a store" : "into an empty place"}`, () => {
    test("killed at any port call, leaves the old store or the restored one, and running it again completes it", async () => {
      const [machine, backup] = await prepare("ordered", withStore);
      const counting = machine.fork().process();
      const counted = await counting.run(restore(backup));
      assert.equal(counted.status, "returned");
      const seen = new Set<string>();
      for (let at = 1; at <= counting.calls + 1; at += 1) {
        const crashed = machine.fork();
        const process = crashed.process();
        process.crashAfter(at, { tear: at % 2 === 0 });
        const outcome = await process.run(restore(backup));
        assert.equal(outcome.status, at <= counting.calls ? "killed" : "returned", `call ${at}`);
        const reopened = crashed.fork();
        seen.add(await checkReopened(reopened, `killed at call ${at}`, withStore));
        if (at % 7 !== 0) continue;
        const again = crashed.fork();
        await run(again, (port) => restoreBackup(backup, store, { replace: true, acceptLoss: true, port }));
        assert.equal(await readAt(again, store), after, `run again after call ${at}`);
        assert.ok(!namesIn(again).some((name) => name.includes("staging")), `nothing is left over: ${namesIn(again)}`);
        if (withStore && namesIn(again).filter((name) => name.startsWith("sessions.d.bak.")).length === 1) {
          await checkAside(again, `call ${at}`);
        }
      }
      assert.equal(seen.size, 2, "crashes before and after the moment were seen");
    });

    test("a power loss at any port call leaves the old store or the restored one", async () => {
      const [machine, backup] = await prepare("weak", withStore);
      const counting = machine.fork().process();
      await counting.run(restore(backup));
      const random = new SeededRandom(6);
      for (let at = 1; at <= counting.calls + 1; at += 1) {
        const crashed = machine.fork();
        crashed.crashAfter(at);
        const outcome = await crashed.process().run(restore(backup));
        for (let image = 0; image < powerLossesPerCall; image += 1) {
          const what = `power loss ${image} at call ${at}`;
          const found = await checkReopened(crashed.powerLoss(random), what, withStore);
          if (outcome.status === "returned") assert.equal(found, after, `${what}: it was told to be done`);
        }
      }
    });
  });
}

for (const fileSystem of ["ordered", "weak"] as const) {
  test(`a backup that was told to be made outlives a power loss, and so does its folder, ${fileSystem} names`, async () => {
    const [machine] = await prepare(fileSystem, true);
    const made = await run(machine, (port) => createBackup(store, `${backups}/made for it`, { port }));
    const random = new SeededRandom(8);
    for (let image = 0; image < 20; image += 1) {
      await run(machine.powerLoss(random), (port) => verifyBackup(made.path, { port }));
    }
  });

  test(`a backup that dies at any port call is a backup or is none, ${fileSystem} names`, async () => {
    const [machine] = await prepare(fileSystem, true);
    const make = (port: Port) => createBackup(store, backups, { port });
    const counting = machine.fork().process();
    await counting.run(make);
    const random = new SeededRandom(7);
    let refused = 0;
    for (let at = 1; at <= counting.calls + 1; at += 1) {
      const crashed = machine.fork();
      crashed.crashAfter(at);
      await crashed.process().run(make);
      for (const disk of [crashed.fork(), crashed.powerLoss(random)]) {
        const paths = Object.keys(disk.dump()).filter((path) => path.startsWith(`${backups}/sessions.`));
        for (const name of new Set(paths.map((path) => path.slice(backups.length + 1).split("/")[0] as string))) {
          if (isPartialName(name)) refused += 1;
          else await run(disk, (port) => verifyBackup(`${backups}/${name}`, { port }));
        }
        assert.equal(await readAt(disk, store), before);
      }
    }
    assert.ok(refused > 10, "interrupted backups were seen");
  });
}
