/** Medians and spreads. */

export function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function quantile(values, fraction) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
}

/** The median of the repetitions with the least and the greatest, for one figure. */
export function summarize(values) {
  return { median: median(values), least: Math.min(...values), greatest: Math.max(...values), runs: values.length };
}
