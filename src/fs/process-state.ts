/** Whether a process lives and when it started. Linux tells the start in /proc; elsewhere it stays unknown. */

import fs from "node:fs";
import type { ProcessState } from "./port.js";

const unknown: ProcessState = Object.freeze({ alive: true, startTime: undefined });
const dead: ProcessState = Object.freeze({ alive: false, startTime: undefined });

export function inspectProcess(processId: number): ProcessState {
  // Zero and negative numbers address groups of processes.
  if (!Number.isSafeInteger(processId) || processId <= 0) return dead;
  try {
    process.kill(processId, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return dead;
  }
  return process.platform === "linux" ? inspectOnLinux(processId) : unknown;
}

function inspectOnLinux(processId: number): ProcessState {
  let text: string;
  try {
    text = fs.readFileSync(`/proc/${processId}/stat`, "utf8");
  } catch {
    return unknown; // It ended just now, or /proc is not there: the next look tells.
  }
  // "pid (name) state ...": the name may hold anything, a bracket too. The start is the 22nd field.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return dead;
  const startTime = Number(fields[19]);
  return { alive: true, startTime: Number.isSafeInteger(startTime) ? startTime : undefined };
}
