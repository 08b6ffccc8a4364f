/**
 * Every crash of a program, and every crash of what recovers from it: the disk at each port call that finds it changed, as
 * a kill leaves it there and as power losses do. The machine is copied while the program runs once, never replayed, and
 * what looks the same but for names and times that are drawn anew is looked at once.
 *
 * Not covered here: an append that is torn by a kill (the one-crash tests have it); of the disks that a power loss may
 * leave of one moment, some are drawn.
 */

import assert from "node:assert/strict";
import type { Port } from "../../../src/fs/port.js";
import { walk } from "../../sim/disk.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import type { SimulatedMachine } from "../../sim/machine.js";
import type { SeededRandom } from "../../sim/random.js";
import type { SimulatedProcess } from "../../sim/simulated-process.js";

export type CrashProgram = (port: Port) => Promise<unknown>;

export interface CrashImage {
  readonly image: SimulatedMachine;
  readonly where: string;
}

export interface EveryCrashOptions {
  readonly random: SeededRandom;
  readonly powerLosses: number;
  /** Of what is known already nothing is returned. */
  readonly seen: Set<string>;
  /** A second crash follows: then what a power loss may still take away tells two disks apart. */
  readonly isFollowed: boolean;
}

/** The disks that a crash of `program` may leave, from its first call to its end. */
export async function everyCrash(
  machine: SimulatedMachine,
  program: CrashProgram,
  label: string,
  options: EveryCrashOptions,
): Promise<CrashImage[]> {
  const running = machine.fork().process();
  // Simulated processes draw the same random bytes; this one must not draw those of the process that died before it.
  running.randomBytes(options.isFollowed ? 1 : 3);
  const port = new CrashPort(running, label, options);
  const outcome = await running.run<unknown>(() => program(port));
  if (outcome.status === "failed") throw new Error(`${label}: without any further crash`, { cause: outcome.error });
  assert.equal(outcome.status, "returned", label);
  port.look("the end");
  return port.images;
}

export interface TwiceReport {
  /** Disks after one crash, from each of which the recovery was crashed everywhere. */
  readonly first: number;
  /** Different disks after the second crash; each was checked. */
  readonly second: number;
}

/** Crashes `program` everywhere, then `recovery` everywhere on each disk that this left, and checks what is left then. */
export async function crashTwice(
  scene: {
    readonly machine: SimulatedMachine;
    readonly program: CrashProgram;
    readonly recovery: CrashProgram;
    readonly check: (machine: SimulatedMachine, what: string) => Promise<unknown>;
  },
  { random, powerLosses }: { readonly random: SeededRandom; readonly powerLosses: readonly [number, number] },
): Promise<TwiceReport> {
  const first = await everyCrash(scene.machine, scene.program, "a crash ", {
    random,
    powerLosses: powerLosses[0],
    seen: new Set(),
    isFollowed: true,
  });
  const seen = new Set<string>();
  for (const { image, where } of first) {
    const options = { random, powerLosses: powerLosses[1], seen, isFollowed: false };
    for (const second of await everyCrash(image, scene.recovery, `${where}, then a crash `, options)) {
      await scene.check(second.image, second.where);
    }
  }
  return { first: first.length, second: seen.size };
}

class CrashPort extends InterceptedPort {
  readonly images: CrashImage[] = [];
  readonly #process: SimulatedProcess;
  readonly #label: string;
  readonly #options: EveryCrashOptions;
  #last = "";

  constructor(process: SimulatedProcess, label: string, options: EveryCrashOptions) {
    super(process);
    this.#process = process;
    this.#label = label;
    this.#options = options;
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    this.look(`before call ${this.#process.calls + 1} (${call.method} ${call.path})`);
    return proceed();
  }

  look(where: string): void {
    const { machine } = this.#process;
    const now = pendingOf(machine);
    if (now === this.#last) return;
    this.#last = now;
    this.#add(machine.fork(), `${this.#label}${where}: a kill`);
    for (let drawn = 0; drawn < this.#options.powerLosses; drawn += 1) {
      this.#add(machine.powerLoss(this.#options.random), `${this.#label}${where}: power loss ${drawn}`);
    }
  }

  #add(image: SimulatedMachine, where: string): void {
    const shape = shapeOf(image, this.#options.isFollowed);
    if (this.#options.seen.has(shape)) return;
    this.#options.seen.add(shape);
    this.images.push({ image, where });
  }
}

/** Changes with every change of the disk, and with everything that becomes durable. */
function pendingOf({ disk }: SimulatedMachine): string {
  let pending = `${disk.sequence} ${disk.pendingNames.length}`;
  for (const { inode } of walk(disk.root)) if (inode.kind === "file") pending += ` ${inode.pending.length}`;
  return pending;
}

/** Names and contents. What is drawn at random, times, and the checksums over these are all alike. */
function shapeOf(machine: SimulatedMachine, isFollowed: boolean): string {
  const shape = JSON.stringify(isFollowed ? [machine.dump(), machine.snapshotDurable()] : machine.dump());
  return shape.replaceAll(/\b[0-9a-f]{8,}\b|\d{4}-\d\d-\d\dT[\d:.]+Z|\b1[67]\d{11}\b/g, "#");
}
