/** Numbers and times as the command line shows and reads them. */

import { InvalidArgumentError } from "commander";

/** "12s", "5m", "3h", "9d"; a time in the future is "now", because clocks differ. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds === 0) return "now";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** 1234567 -> "1,234,567", the same in every locale. */
export function formatCount(count: number): string {
  return Number.isSafeInteger(count) ? count.toLocaleString("en-US") : String(count);
}

/** "1 finding", "2 findings". */
export function countOf(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? "" : "s"}`;
}

/** A positive whole number, for options. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < 1) {
    throw new InvalidArgumentError("It must be a whole number above 0.");
  }
  return count;
}
