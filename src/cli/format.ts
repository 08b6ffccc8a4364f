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

/** "812 B", "1.4 KiB", "56.0 MiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1_024) return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1_024;
  }
  return `${value.toFixed(1)} TiB`;
}

/** "90s", "30m", "12h", "7d" in milliseconds, for options. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  if (!match) throw new InvalidArgumentError("It must be a number and a unit: 90s, 30m, 12h or 7d.");
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as "s" | "m" | "h" | "d"];
  return Number(match[1]) * unitMs;
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
