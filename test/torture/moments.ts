/**
 * Takes disk images of a simulated machine while a program runs on it: at every port call that finds the disk, or what
 * was promised about it, changed since the last one. The program is run once; the images are copies, not replays.
 */

import { createHash } from "node:crypto";
import type { File } from "../../src/fs/port.js";
import { walk } from "../sim/disk.js";
import type { FileInode } from "../sim/inodes.js";
import { InterceptedPort, type PortCall, type PortMethod } from "../sim/intercepted-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import type { SeededRandom } from "../sim/random.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import type { Floors } from "./crash-model.js";

export interface Image {
  readonly machine: SimulatedMachine;
  readonly kind: "kill" | "torn append" | "power loss";
  /** How far the store must be when this image is recovered. */
  readonly floor: number;
  /** How far it must be after another power loss. */
  readonly durable: number;
  readonly begun: number;
  readonly where: string;
}

export interface MomentOptions {
  readonly random: SeededRandom;
  readonly floors: () => Floors;
  readonly powerLossesPerMoment: number;
  /** Prepended to the place of each image. */
  readonly label: string;
}

export class MomentPort extends InterceptedPort {
  readonly images: Image[] = [];
  moments = 0;
  readonly #process: SimulatedProcess;
  readonly #options: MomentOptions;
  readonly #known = new Set<string>();
  #last = "";
  #appended: Uint8Array | undefined;

  constructor(process: SimulatedProcess, options: MomentOptions) {
    super(process);
    this.#process = process;
    this.#options = options;
  }

  override append(file: File, bytes: Uint8Array): number {
    this.#appended = bytes;
    return super.append(file, bytes);
  }

  /** The moment after the last call. */
  lookOnceMore(): void {
    this.#look("the end");
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    if (!changesNothing.has(call.method)) this.#look(`${call.method} ${call.path}`, call);
    return proceed();
  }

  #look(what: string, call?: PortCall): void {
    const { machine } = this.#process;
    const floors = this.#options.floors();
    const now = fingerprint(machine, floors);
    const isNew = now !== this.#last;
    this.#last = now;
    const where = `${this.#options.label}before call ${this.#process.calls + 1} (${what})`;
    if (isNew) {
      this.moments += 1;
      this.#add(machine.fork(), "kill", floors, where);
      for (let drawn = 0; drawn < this.#options.powerLossesPerMoment; drawn++) {
        const lost = machine.powerLoss(this.#options.random);
        this.#add(lost, "power loss", floors, where);
      }
    }
    if (call?.method === "append" && this.#appended!.length > 1) {
      const torn = machine.fork();
      const inode = torn.inodeAt(call.path) as FileInode;
      const bytes = this.#appended!.subarray(0, 1 + this.#options.random.below(this.#appended!.length - 1));
      torn.disk.append(inode, bytes, torn.nowMs);
      this.#add(torn, "torn append", floors, where);
    }
  }

  /** The same disk under the same promise is looked at once. */
  #add(machine: SimulatedMachine, kind: Image["kind"], floors: Floors, where: string): void {
    const { powerLoss: durable, begun } = floors;
    const floor = kind === "power loss" ? durable : floors.kill;
    const pending = kind === "power loss" ? "" : pendingOf(machine);
    const key = `${floor} ${durable} ${begun} ${pending} ${contentOf(machine)}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.images.push({ machine, kind, floor, durable, begun, where: `${kind} ${where}` });
  }
}

const changesNothing: ReadonlySet<PortMethod> = new Set([
  "nowMs",
  "monotonicMs",
  "random",
  "randomBytes",
  "nap",
  "stat",
  "statName",
  "statDirectory",
  "read",
  "list",
  "close",
  "closeDirectory",
]);

function fingerprint(machine: SimulatedMachine, { kill, powerLoss }: Floors): string {
  const { disk } = machine;
  return `${disk.sequence} ${disk.pendingNames.length} ${pendingOf(machine)} ${kill} ${powerLoss}`;
}

function pendingOf(machine: SimulatedMachine): string {
  let pending = "";
  for (const { inode } of walk(machine.disk.root)) {
    if (inode.kind === "file" && inode.pending.length > 0) pending += ` ${inode.number}:${inode.pending.length}`;
  }
  return `${pending} ${machine.disk.pendingNames.length}`;
}

/** A digest: whole contents of hundreds of images would fill the memory. */
function contentOf(machine: SimulatedMachine): string {
  const digest = createHash("md5");
  for (const { path, inode } of walk(machine.disk.root)) {
    digest.update(`${path}\n`);
    if (inode.kind === "file") digest.update(inode.content.view()).update("\n");
  }
  return digest.digest("base64");
}
