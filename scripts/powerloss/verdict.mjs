/** Whether the figures of a power-loss run prove anything: each row must have met what it is about. */

/** One sentence for each row that passed without having tried what it is for. `rows`: as in results/powerloss.json. */
export function emptyRows(rows) {
  return rows.flatMap((row) => {
    const name = `${row.fileSystem} ${row.protocol}`;
    const reasons = [];
    if (row.states === 0) reasons.push(`${name}: no state was tried`);
    else if (row.states === row.unmountable) reasons.push(`${name}: no image could be mounted`);
    if (row.runsWithFailures === 0) reasons.push(`${name}: no sync failed`);
    return reasons;
  });
}
