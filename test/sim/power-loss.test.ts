import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FileSystemKind } from "./disk.js";
import { SimulatedMachine } from "./machine.js";
import { SeededRandom } from "./random.js";
import type { SimulatedProcess } from "./simulated-process.js";

/** A short random life of two directories; every step is one that may fail, and then does nothing. */
const step = fc.oneof(
  fc.record({ type: fc.constant("write" as const), name: fc.nat(2), inSecond: fc.boolean() }),
  fc.record({ type: fc.constant("rename" as const), name: fc.nat(2), to: fc.nat(2), toSecond: fc.boolean() }),
  fc.record({ type: fc.constant("unlink" as const), name: fc.nat(2) }),
  fc.record({ type: fc.constant("syncFile" as const), name: fc.nat(2) }),
  fc.record({ type: fc.constant("syncDirectory" as const), second: fc.boolean() }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const life = fc.array(step, { maxLength: 7 });

test("nothing that was synced is lost: what is durable with its names is in every image", async () => {
  for (const fileSystem of ["ordered", "weak"] as const) {
    await fc.assert(
      fc.asyncProperty(life, fc.nat(), async (steps, seed) => {
        const machine = await live(steps, fileSystem);
        machine.syncAll();
        const expected = machine.dump();
        const random = new SeededRandom(seed);
        for (let draw = 0; draw < 5; draw++) assert.deepEqual(machine.powerLoss(random).dump(), expected);
      }),
      { numRuns: 50 },
    );
  }
});

test("the extremes are among the images, and a weak file system allows all that an ordered one allows", async () => {
  await fc.assert(
    fc.asyncProperty(life, async (steps) => {
      const imagesMax = 20_000;
      const [ordered, weak] = await Promise.all([live(steps, "ordered"), live(steps, "weak")]);
      const images = (machine: SimulatedMachine) =>
        new Set([...machine.powerLossImages(imagesMax)].map((image) => JSON.stringify(image.dump())));
      const [orderedImages, weakImages] = [images(ordered), images(weak)];
      fc.pre(weakImages.size < imagesMax && orderedImages.size < imagesMax);
      for (const machine of [ordered, weak]) {
        const found = machine === ordered ? orderedImages : weakImages;
        assert.ok(found.has(JSON.stringify(machine.dump())), "everything arrived");
        assert.ok(found.has(JSON.stringify(machine.snapshotDurable())), "nothing arrived");
      }
      for (const image of orderedImages) assert.ok(weakImages.has(image), image);
    }),
    { numRuns: 100 },
  );
});

test("a power loss is drawn from the seed: the same gives the same images, and the machine itself does not change", async () => {
  await fc.assert(
    fc.asyncProperty(life, fc.nat(), async (steps, seed) => {
      const machine = await live(steps, "weak");
      const before = JSON.stringify([machine.dump(), machine.snapshotDurable()]);
      const draw = () => {
        const random = new SeededRandom(seed);
        return Array.from({ length: 5 }, () => machine.powerLoss(random).dump());
      };
      assert.deepEqual(draw(), draw());
      assert.equal(JSON.stringify([machine.dump(), machine.snapshotDurable()]), before);
    }),
    { numRuns: 50 },
  );
});

async function live(steps: readonly Step[], fileSystem: FileSystemKind): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ fileSystem });
  machine.makeDirectory("/first");
  machine.makeDirectory("/second");
  const process = machine.process();
  for (const each of steps) {
    try {
      await take(machine, process, each);
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
  return machine;
}

async function take(machine: SimulatedMachine, port: SimulatedProcess, each: Step): Promise<void> {
  const first = port.openRoot("/first");
  const second = port.openRoot("/second");
  const name = "name" in each ? `f${each.name}` : "";
  switch (each.type) {
    case "write": {
      const file = port.open(each.inSecond ? second : first, name, "lock");
      port.append(file, new TextEncoder().encode(`${port.calls},`));
      return;
    }
    case "rename":
      port.rename(first, name, each.toSecond ? second : first, `f${each.to}`);
      return;
    case "unlink":
      port.unlink(first, name);
      return;
    case "syncFile":
      await machine.settle(port.syncFile(port.open(first, name, "append")));
      return;
    case "syncDirectory":
      await machine.settle(port.syncDirectory(each.second ? second : first));
  }
}
