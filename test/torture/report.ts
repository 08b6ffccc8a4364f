/** What a torture run found, per fault row: the file results/torture.json and the table at the end. */

import fs from "node:fs";
import path from "node:path";
import { addFigures, type Figures, figureNames, harmCount, harms, noFigures } from "./figures.js";
import type { Row } from "./rows.js";

interface RowReport extends Figures {
  faults: string;
  about: string;
  cases: number;
  /** How often everything that the row has was gone through, where it has an end. */
  wholeRounds?: number;
  /** Milliseconds of worker time. */
  tookMs: number;
  seeds: { first: number; last: number } | undefined;
  slowestCase: { tookMs: number; replay: string } | undefined;
  problems: { replay: string; text: string }[];
}

const problemsKeptMax = 20;

export class RunReport {
  readonly #rows: ReadonlyMap<Row, RowReport>;
  readonly #seed: number;
  readonly #minutes: number;
  readonly #startedMs = Date.now();

  constructor(rows: readonly Row[], seed: number, minutes: number) {
    this.#seed = seed;
    this.#minutes = minutes;
    this.#rows = new Map(
      rows.map((row) => {
        const { faults, about } = row;
        const empty = { cases: 0, tookMs: 0, seeds: undefined, slowestCase: undefined, problems: [] };
        return [row, { faults, about, ...noFigures(), ...empty }];
      }),
    );
  }

  add(row: Row, seed: number, figures: Partial<Figures>, problems: readonly string[], tookMs: number): void {
    const report = this.#rows.get(row) as RowReport;
    addFigures(report, figures);
    report.cases += 1;
    if (row.casesPerRound !== undefined) report.wholeRounds = Math.floor(report.cases / row.casesPerRound);
    report.tookMs += Math.round(tookMs);
    const seeds = report.seeds ?? { first: seed, last: seed };
    report.seeds = { first: Math.min(seeds.first, seed), last: Math.max(seeds.last, seed) };
    const replay = `npm run torture -- --replay ${row.name}:${seed}`;
    if (tookMs > (report.slowestCase?.tookMs ?? 0)) report.slowestCase = { tookMs: Math.round(tookMs), replay };
    for (const text of problems) if (report.problems.length < problemsKeptMax) report.problems.push({ replay, text });
  }

  get total(): Figures {
    const total = noFigures();
    for (const report of this.#rows.values()) addFigures(total, report);
    return total;
  }

  get harmCount(): number {
    return harmCount(this.total);
  }

  progressLine(row: Row, leftMs: number): string {
    const report = this.#rows.get(row) as RowReport;
    const counted = figureNames.filter((name) => report[name] > 0);
    const figures = counted.map((name) => `${report[name].toLocaleString("en")} ${name}`).join(", ");
    return `${String(Math.max(0, Math.round(leftMs / 1_000))).padStart(5)} s left  ${row.name}: ${report.cases} cases, ${figures}`;
  }

  write(file: string): void {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    const content = {
      startedAt: new Date(this.#startedMs).toISOString(),
      minutes: this.#minutes,
      seed: this.#seed,
      node: process.version,
      platform: process.platform,
      passed: this.harmCount === 0,
      total: this.total,
      rows: Object.fromEntries([...this.#rows].map(([row, report]) => [row.name, report])),
    };
    fs.writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
  }

  table(): string {
    const columns = [
      "states",
      "kills",
      "acknowledgements",
      "histories",
      "undecided",
      "inputs",
      "failedCalls",
      "schedules",
      "swaps",
      ...harms,
    ];
    const line = (name: string, faults: string, cases: number, figures: Figures) => [
      name,
      faults,
      cases.toLocaleString("en"),
      ...columns.map((column) => figures[column as keyof Figures].toLocaleString("en")),
    ];
    const lines = [["row", "faults", "cases", ...columns]];
    let cases = 0;
    for (const [row, report] of this.#rows) {
      lines.push(line(row.name, row.faults, report.cases, report));
      cases += report.cases;
    }
    lines.push(line("all", "", cases, this.total));
    const widths = lines[0]!.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
    return lines
      .map((cells) =>
        cells
          .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
          .join("  "),
      )
      .join("\n");
  }
}
