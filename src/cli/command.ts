/** What all commands have in common: `--store`, `--json`, an example in the help, and one place that sets the exit code. */

import type { Command } from "commander";
import { reportFailure } from "./failures.js";
import type { StoreOption } from "./store-access.js";

export interface CommonOptions extends StoreOption {
  json?: boolean;
}

/** The exit code: 0, or 1 when the answer is "no" (not found, findings). */
export type Action<Options> = (options: Options & CommonOptions, args: string[]) => Promise<number>;

/** A command that works on one store. */
export function defineCommand<Options>(
  program: Command,
  usage: string,
  description: string,
  examples: readonly string[],
  action: Action<Options>,
): Command {
  return definePlainCommand(program, usage, description, examples, action).option(
    "--store <path>",
    "the sessions.json or *.d directory (default: $SESSIONDIR_STORE, else the one here)",
  );
}

/** A command that is told by its arguments what it works on. */
export function definePlainCommand<Options>(
  program: Command,
  usage: string,
  description: string,
  examples: readonly string[],
  action: Action<Options>,
): Command {
  return program
    .command(usage)
    .description(description)
    .option("--json", "print JSON for programs instead of text for people")
    .addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ sessiondir ${example}`).join("\n")}`)
    .action(async (...given: unknown[]) => {
      const command = given.at(-1) as Command;
      const options = command.opts<Options & CommonOptions>();
      try {
        process.exitCode = await action(options, command.args);
      } catch (error) {
        process.exitCode = reportFailure(error, options.json ?? false);
      }
    });
}
