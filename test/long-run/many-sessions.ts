/** Many sessions through every way in and out, on a real disk. Prints what each step costs. */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { goInAndOut } from "../unit/transfer/in-and-out.js";

export interface ManySessionsOptions {
  readonly sessions: number;
  readonly entryBytes: number;
  /** An existing directory on the disk that is meant; default: that of temporary files. */
  readonly directory: string | undefined;
}

export async function runManySessions({ sessions, entryBytes, directory }: ManySessionsOptions): Promise<void> {
  const place = fs.realpathSync(fs.mkdtempSync(path.join(directory ?? os.tmpdir(), "sessiondir-many-")));
  try {
    console.log(`many-sessions: ${sessions} sessions of about ${entryBytes} bytes`);
    await goInAndOut(place, { sessions, entryBytes }, (step, { ms, cpuMs, memoryBytes }) => {
      const seconds = (time: number) => `${(time / 1_000).toFixed(1).padStart(7)} s`;
      const megabytes = String(Math.round(memoryBytes / 1_000_000)).padStart(6);
      console.log(`  ${step.padEnd(18)} ${seconds(ms)}, of which CPU ${seconds(cpuMs)}; ${megabytes} MB`);
    });
    console.log("many-sessions: no session was changed");
  } finally {
    fs.rmSync(place, { recursive: true, force: true });
  }
}
