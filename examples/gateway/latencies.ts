/** How long operations took, in microseconds, by name. Every single one is kept: percentiles are exact. */

export type LatencyTable = Map<string, number[]>;

export class Latencies {
  readonly table: LatencyTable = new Map();
  count = 0;

  /** Runs an operation and keeps how long it took, if it succeeded. */
  async measure<Result>(name: string, operation: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    const result = await operation();
    const list = this.table.get(name);
    const microseconds = Math.round((performance.now() - startedAt) * 1_000);
    if (list === undefined) this.table.set(name, [microseconds]);
    else list.push(microseconds);
    this.count += 1;
    return result;
  }
}

export function mergeLatencies(tables: readonly LatencyTable[]): LatencyTable {
  const merged: LatencyTable = new Map();
  for (const table of tables) {
    for (const [name, list] of table) merged.set(name, [...(merged.get(name) ?? []), ...list]);
  }
  return merged;
}

/** `share` 0.5 is the median; of nothing it is NaN. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
