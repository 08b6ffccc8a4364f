/** `sessiondir get KEY`: one entry as JSON. */

import type { Command } from "commander";
import { SessionStoreError } from "../../errors.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { withReadOnlyStore } from "../store-access.js";
import { printJson } from "../terminal.js";
import { showGenerations } from "./generations.js";

interface GetOptions extends CommonOptions {
  version?: boolean;
  generations?: boolean;
}

export function defineGet(program: Command): void {
  const examples = ["get agent:main:main", "get agent:main:main --version | jq -r .version"];
  defineCommand(program, "get <key>", "print the entry of one session as JSON", examples, get)
    .option(
      "--version",
      "print { key, version, entry } instead of the entry alone; the version serves patch --if-version",
    )
    .option("--generations", "print the transcripts it had before its resets instead (see: generations --reopen)");
}

function get(options: GetOptions, [key]: string[]): Promise<number> {
  return withReadOnlyStore(options, async (store) => {
    if (options.generations) return showGenerations(store, key!, options.json);
    const found = await store.getWithVersion(key!);
    if (found === undefined) throw sessionNotFound("get", key!, store.location);
    printJson(options.version ? { key, ...found } : found.entry);
    return 0;
  });
}

export function sessionNotFound(operation: string, key: string, path: string): SessionStoreError {
  return new SessionStoreError("not_found", "there is no such session", {
    operation,
    key,
    path,
    nextStep: "See which there are: sessiondir list --search TEXT.",
  });
}
