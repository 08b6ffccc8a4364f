/** Durations and sizes as people write them in a configuration: `30d`, `1h30m`, `10mb`. Pure. */

export type DurationUnit = "ms" | "s" | "m" | "h" | "d";
export type ByteUnit = "b" | "kb" | "mb" | "gb" | "tb";

const unitMs: Readonly<Record<DurationUnit, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Milliseconds, rounded. One number, with a unit or in `defaultUnit` (ms), or several parts with a unit each. Throws for
 * anything else, a negative number included.
 */
export function parseDurationMs(raw: string | number, opts: { defaultUnit?: DurationUnit } = {}): number {
  const text = String(raw).trim().toLowerCase();
  const single = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (single) return toWhole(Number(single[1]) * unitMs[(single[2] as DurationUnit) ?? opts.defaultUnit ?? "ms"], text);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) throw invalidDuration(text);
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(number) * unitMs[unit as DurationUnit];
  }
  return toWhole(sum, text);
}

function toWhole(ms: number, text: string): number {
  if (!Number.isFinite(ms)) throw invalidDuration(text);
  return Math.round(ms);
}

function invalidDuration(text: string): Error {
  return new Error(`invalid duration (use ms, s, m, h, d): ${JSON.stringify(text.slice(0, 40))}`);
}

const unitPowers: Readonly<Record<string, number>> = { b: 0, kb: 1, k: 1, mb: 2, m: 2, gb: 3, g: 3, tb: 4, t: 4 };

/** Bytes, rounded; units are powers of 1024, in either case. Throws for anything else, a negative number included. */
export function parseByteSize(raw: string | number, opts: { defaultUnit?: ByteUnit } = {}): number {
  const text = String(raw).trim().toLowerCase();
  const match = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(text);
  const unit = match?.[2] || (opts.defaultUnit ?? "b");
  const bytes = match && Object.hasOwn(unitPowers, unit) ? Number(match[1]) * 1024 ** unitPowers[unit]! : Number.NaN;
  if (!Number.isFinite(bytes))
    throw new Error(`invalid size (use b, kb, mb, gb, tb): ${JSON.stringify(text.slice(0, 40))}`);
  return Math.round(bytes);
}
