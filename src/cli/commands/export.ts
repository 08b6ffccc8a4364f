/** `sessiondir export`: one, some or all sessions as a portable bundle, to a file or to the output. */

import { type Command, Option } from "commander";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { hasCode } from "../../fs/port.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { UsageError } from "../failures.js";
import { countOf } from "../format.js";
import { findLocation, toPlace } from "../store-access.js";
import { outputGone, printNote, safeText } from "../terminal.js";
import { allowDamagedOption, endTransfer, uncounted, warnOfProblems, withProgress } from "../transfers.js";

interface ExportCommandOptions extends CommonOptions {
  agent?: string;
  all?: boolean;
  output?: string;
  force?: boolean;
  allowDamaged?: boolean;
}

export function defineExport(program: Command): void {
  const examples = [
    "export agent:main:main --output main.jsonl",
    "export --agent research --output research.jsonl",
    "export --all | gzip > sessions.jsonl.gz",
  ];
  defineCommand(program, "export [keys...]", "write sessions as a portable bundle (JSON Lines)", examples, exportBundle)
    .addOption(new Option("--agent <id>", "all sessions of this agent").conflicts("all"))
    .option("--all", "all sessions")
    .option("--output <file>", "a file that appears whole or not at all (default: the output)")
    .option("--force", "replace an existing file")
    .option(...allowDamagedOption);
}

async function exportBundle(options: ExportCommandOptions, keys: string[]): Promise<number> {
  const chosen = [keys.length > 0, options.agent !== undefined, options.all ?? false].filter(Boolean).length;
  if (chosen !== 1) throw new UsageError("which sessions? Give one or more keys, or --agent ID, or --all.");
  if (options.json && options.output === undefined)
    throw new UsageError("--json needs --output: the bundle itself goes to the output.");
  const { exportSessions } = await import("../../transfer/export.js");
  const result = await withProgress("exporting", (progress) =>
    exportSessions(toPlace(findLocation(options), undefined), options.output ?? { write: writeOut }, {
      ...(keys.length > 0 ? { keys } : {}),
      ...(options.agent === undefined ? {} : { agent: options.agent }),
      force: options.force ?? false,
      allowDamaged: options.allowDamaged ?? false,
      onProgress: uncounted(progress),
      signal: outputGone,
    }),
  );
  return endTransfer(options, result, () => {
    warnOfProblems(
      "left out",
      result.damaged.map(({ message }) => ({ message })),
    );
    const to = result.path === undefined ? "" : ` to ${safeText(result.path)}`;
    printNote(`exported ${countOf(result.sessions, "session")}${to}, content ${result.contentSha256}`);
  });
}

const notWhole = { onDisk: "What was written is no whole bundle, and no import takes it." };

/** Waits until a slow reader has taken the bytes. A reader that went away gets no whole bundle: that is a failure. */
function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (!error) return resolve();
      const isGone = hasCode(error, "EPIPE", "ERR_STREAM_DESTROYED");
      if (!isGone) return reject(fromSystemError(error, { operation: "export", ...notWhole }));
      reject(
        new SessionStoreError("io_error", "nobody reads the output any more", {
          operation: "export",
          ...notWhole,
          cause: error,
        }),
      );
    });
  });
}
