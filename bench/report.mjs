/** docs/benchmarks.md and its charts, made from the results that the goals are checked against. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { checkGoals, formatFigure } from "./goals.mjs";

const docs = fileURLToPath(new URL("../docs/", import.meta.url));
const charts = path.join(docs, "benchmarks");

export function writeReport(results) {
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  for (const result of results.trials) {
    if (Object.keys(result.peers).length > 1) writeFileSync(path.join(charts, chartName(result)), chart(result));
  }
  const notes = readFileSync(new URL("./README.md", import.meta.url), "utf8");
  const notMeasured = notes.slice(notes.indexOf("## What is not measured"));
  writeFileSync(path.join(docs, "benchmarks.md"), `${page(results)}\n${notMeasured}`);
}

function chartName({ trial, label }) {
  return `${trial}-${label.replaceAll(/[^0-9a-z]+/gi, "-").toLowerCase()}.svg`;
}

function page(results) {
  const { machine } = results;
  const lines = [
    "# Benchmarks",
    "",
    "Written by `npm run bench`; do not edit. Compare the ratios: the times are those of one machine at one moment. Every",
    "peer ran the same trial code in processes of its own, the repetitions of the peers taking turns; figures are medians,",
    "with the least and the greatest in brackets.",
    "",
    `Node ${machine.node}, ${machine.platform}, ${machine.cores} cores (${machine.processor}), ${machine.memoryGb} GB, ${machine.fileSystem}; mode "${results.mode}".`,
    `Peers: ${Object.entries(results.versions ?? {})
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}.`,
    "",
    'The column "survives" is the class of durability: after "process crash" nothing that was acknowledged is lost when the',
    'process is killed, but a power cut may cost the last moments; after "power loss" nothing that was acknowledged is lost',
    "in a power cut either. Compare only within a class; the goals do.",
    "",
    "## Goals",
    "",
    "| goal | bound | figure | |",
    "| --- | --- | --- | --- |",
    ...checkGoals(results).map(
      ({ what, bound, value, verdict }) => `| ${what} | ${bound} | ${formatFigure(value)} | ${verdict} |`,
    ),
    "",
  ];
  const missing = Object.entries(results.missing ?? {});
  if (missing.length > 0) {
    lines.push("Peers that could not be installed or loaded here:", "");
    for (const [name, reason] of missing) lines.push(`- ${name}: ${reason.replaceAll("|", "\\|")}`);
    lines.push("");
  }
  lines.push("## Trials", "");
  for (const result of results.trials) lines.push(...section(result, results.mode));
  return lines.join("\n");
}

function section(result, mode) {
  const { title, label, figure, peers } = result;
  const lines = [`### ${title}: ${label}`, ""];
  if (result.mode !== mode) lines.push(`From a run of its own, mode "${result.mode}".`, "");
  if (Object.keys(peers).length > 1) lines.push(`![${title}: ${label}](benchmarks/${chartName(result)})`, "");
  const others = Object.keys(columns).filter(
    (name) => name !== figure && Object.values(peers).some(({ figures }) => figures[name] !== undefined),
  );
  const titles = ["median (least to greatest)", ...others.map((name) => columns[name])];
  lines.push(`| store | survives | ${titles.join(" | ")} |`);
  lines.push(`| --- | --- | ${["---", ...others.map(() => "---")].join(" | ")} |`);
  for (const [name, { durability, figures, node }] of ranked(result)) {
    const { median, least, greatest } = figures[figure];
    const main = `${formatFigure(median)} (${formatFigure(least)} to ${formatFigure(greatest)})`;
    lines.push(
      `| ${name}${node === undefined ? "" : ` (Node ${node})`} | ${durability} | ${[main, ...others.map((other) => formatFigure(figures[other]?.median))].join(" | ")} |`,
    );
  }
  return [...lines, ""];
}

/** Other figures of a trial that are worth a column. */
const columns = {
  p50Us: "p50, us",
  p99Us: "p99, us",
  maxUs: "max, us",
  bytesPerUpdate: "bytes written per update",
  dirtiedBytesPerUpdate: "bytes of pages made dirty, per update",
  residentMb: "resident memory, MB",
};

function ranked({ peers, figure, lowerIsBetter }) {
  const sign = lowerIsBetter ? 1 : -1;
  return Object.entries(peers).sort(
    ([, left], [, right]) => sign * (left.figures[figure].median - right.figures[figure].median),
  );
}

const rowHeight = 26;
const [nameWidth, barWidth, valueWidth] = [190, 380, 110];

/** Bars, longest first; ours are darker. Readable on a white and on a dark page. */
function chart(result) {
  const rows = ranked(result);
  const { figure, title, label } = result;
  const greatest = Math.max(...rows.map(([, { figures }]) => figures[figure].median));
  const width = nameWidth + barWidth + valueWidth;
  const height = rows.length * rowHeight + 34;
  const bars = rows.map(([name, { figures }], index) => {
    const y = 30 + index * rowHeight;
    const length = Math.max(1, (figures[figure].median / greatest) * barWidth);
    const color = name.startsWith("sessiondir") ? "#1f6feb" : "#8b949e";
    return [
      `<text x="${nameWidth - 8}" y="${y + 14}" text-anchor="end">${escapeText(name)}</text>`,
      `<rect x="${nameWidth}" y="${y + 2}" width="${length.toFixed(1)}" height="16" fill="${color}"/>`,
      `<text x="${(nameWidth + length + 6).toFixed(1)}" y="${y + 14}">${formatFigure(figures[figure].median)}</text>`,
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" role="img">
<title>${escapeText(`${title}: ${label}`)}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="8" y="18" font-weight="bold">${escapeText(`${title}: ${label}`)}</text>
${bars.join("\n")}
</svg>
`;
}

function escapeText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
