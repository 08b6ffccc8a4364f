/**
 * Writing to the terminal or a pipe. Colours and progress bars only where a person looks; text that came from strangers
 * (keys, labels, messages) never reaches the terminal raw, because control characters in it could rewrite the screen.
 * A reader that goes away (`| head`) ends the output silently: nothing crashes and the store is still closed properly.
 */

import cliProgress from "cli-progress";
import Table from "cli-table3";
import pc from "picocolors";
import stringWidth from "string-width";

const gone = new AbortController();

/** Aborts when nobody reads the output any more. */
export const outputGone: AbortSignal = gone.signal;

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (!gone.signal.aborted && error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED") {
      if (stream === process.stdout)
        printNote(`error [output_failed]: the output could not be written: ${error.message}`);
      process.once("exit", () => {
        process.exitCode = 1;
      });
    }
    gone.abort();
  });
}

export function printLine(text: string): void {
  if (!gone.signal.aborted) process.stdout.write(`${text}\n`);
}

export function printJson(document: unknown): void {
  printLine(JSON.stringify(document, undefined, 2));
}

/** For what a person should know but a pipe should not carry. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

function colorsFor(stream: NodeJS.WriteStream): ReturnType<typeof pc.createColors> {
  return pc.createColors(obeysEscapes(stream) && !process.env.NO_COLOR);
}

function obeysEscapes(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && process.env.TERM !== "dumb";
}

/** Colours for stdout. */
export const color = colorsFor(process.stdout);
/** Colours for stderr. */
export const noteColor = colorsFor(process.stderr);

/** A table without borders; numbers of columns and widths follow from the content. */
export function printTable(head: readonly string[], rows: readonly string[][], rightAligned: readonly number[]): void {
  const titles = head.map((title) => color.bold(title));
  const widths = head.map((title, column) => rows.reduce((most, row) => widest(most, row[column]), stringWidth(title)));
  // The layout of a table takes the square of its rows, so it is given a few at a time, and the widths of all.
  for (let from = 0; from === 0 || from < rows.length; from += rowsAtOnce) {
    const table = new Table({
      head: from === 0 ? titles : [],
      style: { head: [], border: [], "padding-left": 0, "padding-right": columnGap },
      colAligns: head.map((_, column) => (rightAligned.includes(column) ? "right" : "left")),
      colWidths: widths.map((width) => width + columnGap),
      chars: Object.fromEntries(tableParts.map((part) => [part, ""])),
    });
    table.push(...rows.slice(from, from + rowsAtOnce));
    printLine(table.toString().replace(/[ \t]+$/gm, ""));
  }
}

const rowsAtOnce = 100;
const columnGap = 2;

function widest(most: number, cell: string | undefined): number {
  return Math.max(most, stringWidth(cell ?? ""));
}

const tableParts = [
  ...["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
  ...["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
] as const;

/** Control characters, line separators, invisible and direction-changing characters as escapes. */
export function safeText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u3164\uffa0]|\u034f/gu, (character) => {
    const code = character.codePointAt(0)!;
    // Emoji are joined by an invisible character that does no harm.
    if (code === 0x200d) return character;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Shortens to the width of the terminal, if it is one: the middle goes, since both ends of a key tell it apart. */
export function fitText(text: string, widthMax: number): string {
  if (!process.stdout.isTTY || text.length <= widthMax) return text;
  const head = Math.ceil((widthMax - 1) * 0.6);
  return `${text.slice(0, head)}…${text.slice(text.length - (widthMax - 1 - head))}`;
}

export interface Progress {
  update(done: number, total: number): void;
  stop(): void;
}

/** A bar on stderr when that is a terminal; otherwise nothing. */
export function startProgress(label: string): Progress {
  if (!obeysEscapes(process.stderr)) return { update: () => {}, stop: () => {} };
  // Cursor and line wrapping are left alone: a signal that ends the process would leave the terminal without them.
  const bar = new cliProgress.SingleBar(
    {
      format: `${label} {bar} {value}/{total}`,
      stream: process.stderr,
      hideCursor: null,
      linewrap: null,
      clearOnComplete: true,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(0, 0);
  return {
    update: (done, total) => {
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
