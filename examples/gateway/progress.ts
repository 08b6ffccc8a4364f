/** Shows that something goes on: a bar on a terminal, a line every two seconds elsewhere. */

import cliProgress from "cli-progress";

export interface RunProgress {
  /** `text` says what is happening, `share` is between 0 and 1. */
  update(share: number, text: string): void;
  stop(): void;
}

export function startRunProgress(): RunProgress {
  return process.stderr.isTTY ? barProgress() : lineProgress();
}

function barProgress(): RunProgress {
  const options = {
    format: "  {bar} {percentage} %  {text}",
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  };
  const bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic);
  bar.start(100, 0, { text: "" });
  return {
    update: (share, text) => bar.update(Math.min(100, Math.round(share * 100)), { text }),
    stop: () => bar.stop(),
  };
}

function lineProgress(): RunProgress {
  let printedAt = Number.NEGATIVE_INFINITY;
  return {
    update: (share, text) => {
      if (performance.now() - printedAt < 2_000) return;
      printedAt = performance.now();
      console.log(`  ${String(Math.min(100, Math.round(share * 100))).padStart(3)} %  ${text}`);
    },
    stop: () => {},
  };
}
