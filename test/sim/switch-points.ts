/** Before which calls a switch to another process can make a difference. */

import type { Step } from "./scheduler.js";

/** Given the schedule that led to the step. */
export type IsSwitchPoint = (step: Step, number: number, result: { readonly replay: string }) => boolean;

/** Calls that neither change what others see nor look at what others change. */
const unrelated = new Set([
  "openRoot",
  "statRoot",
  "openDirectory",
  "closeDirectory",
  "statDirectory",
  "close",
  "setMode",
  "record",
  "wait",
  "start",
]);

/** What lies in a staging directory is its maker's alone until it is renamed. */
export function touchesWhatOthersSee({ method, path }: Pick<Step, "method" | "path">): boolean {
  return !unrelated.has(method) && !path.includes(".staging-");
}
