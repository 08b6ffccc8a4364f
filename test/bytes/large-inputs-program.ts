/**
 * Opens stores with one large file each that is made to keep its reader busy, and prints what each took. A program of
 * its own, so that memory can be limited and measured. Not stopped by the limit on the size of a file: those have tests.
 */

import { SeededRandom } from "../sim/random.js";
import { makeHonestStore, sealText } from "./honest-store.js";
import { compareTakeOver } from "./legacy.js";
import type { StoreBytes } from "./pure-recovery.js";
import { machineWith, openReally } from "./real-recovery.js";

interface Measured {
  readonly bytes: number;
  readonly calls: number;
  readonly cpuMs: number;
  /** The most that the process had so far. */
  readonly residentBytes: number;
}

export interface LargeInputReport {
  readonly name: string;
  readonly small: Measured;
  readonly large: Measured;
}

const smallBytes = 256 * 1024;
const { bytes: honest } = makeHonestStore(new SeededRandom(5), { commits: 5, rotation: 0, plain: true });
const [segment, journal] = [...honest.segments][0] as [string, Uint8Array];
const lineEnd = ',"checksum":"00000000"}\n';

/** So many bytes of text that look like a beginning of something all the time. */
const texts: Readonly<Record<string, (bytes: number) => string>> = {
  braces: (bytes) => `${"{".repeat(bytes)}${lineEnd}`,
  "beginnings of records": (bytes) => `${'{"version":'.repeat(bytes / 11)}${lineEnd}`,
  brackets: (bytes) => `${"[".repeat(bytes)}\n`,
  "empty lines": (bytes) => "\n".repeat(bytes),
  "lines with wrong checksums": (bytes) => `{"version":7${lineEnd}`.repeat(bytes / 36),
  "one line without an end": (bytes) => "x".repeat(bytes),
  zeros: (bytes) => "\0".repeat(bytes),
};

const reports: LargeInputReport[] = [];
for (const [name, make] of Object.entries(texts)) {
  await report(`${name} behind a journal`, (bytes) => {
    const tail = Buffer.concat([journal, Buffer.from(make(bytes), "latin1")]);
    return openStore({ ...honest, segments: new Map([[segment, tail]]) });
  });
}
await report("an entry of brackets", (bytes) => {
  const text = `{\n  "checksum": "00000000",\n  "entry": ${"[".repeat(bytes)}\n}\n`;
  return openStore({ ...honest, entries: new Map([["session-YQ.json", sealText(text)]]) });
});
await report("a manifest of digits", (bytes) => {
  const text = `{\n  "checksum": "00000000",\n  "createdMs": ${"1".repeat(bytes)}\n}\n`;
  return openStore({ ...honest, manifest: sealText(text) });
});
for (const name of ["braces", "brackets", "zeros"]) {
  await report(`a legacy file of ${name}`, async (bytes) => {
    await compareTakeOver(Buffer.from((texts[name] as (typeof texts)[string])(bytes), "latin1"));
    return 0;
  });
}
console.log(JSON.stringify(reports));

async function report(name: string, work: (bytes: number) => Promise<number>): Promise<void> {
  // Once before, so that nothing is compiled while it is measured.
  await work(1_024);
  const small = await measure(smallBytes, work);
  reports.push({ name, small, large: await measure(4 * smallBytes, work) });
}

async function measure(bytes: number, work: (bytes: number) => Promise<number>): Promise<Measured> {
  const before = process.cpuUsage();
  const calls = await work(bytes);
  const { user, system } = process.cpuUsage(before);
  const residentBytes = process.resourceUsage().maxRSS * 1_024;
  return { bytes, calls, cpuMs: (user + system) / 1_000, residentBytes };
}

/** Resolves with how many port calls opening it and reading all of it took. */
async function openStore(store: StoreBytes): Promise<number> {
  const machine = machineWith(store);
  const opened = await openReally(machine, "writer");
  if (opened.kind === "broken") throw new Error(opened.because);
  return machine.calls;
}
