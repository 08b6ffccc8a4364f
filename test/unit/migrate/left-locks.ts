/** The lock file of the gateway, left behind by a process that died before it had written its name into it. */

import type { SimulatedMachine } from "../../sim/machine.js";

/** Such a file counts as held for 30 seconds, as the gateway has it. True when there was one; its time is over then. */
export async function outwaitUnnamedLock(machine: SimulatedMachine): Promise<boolean> {
  const path = "/home/agent/sessions.json.lock";
  if (!machine.exists(path) || machine.readText(path).endsWith("}")) return false;
  await machine.advance(31_000);
  return true;
}
