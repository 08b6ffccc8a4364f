/** `sessiondir patch KEY field=value ...`: sets and unsets top-level fields of one session. */

import type { Command } from "commander";
import { SessionStoreError } from "../../errors.js";
import { setField } from "../../sessions/entry-value.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { UsageError } from "../failures.js";
import { withWritableStore } from "../store-access.js";
import { color, printJson, printLine, safeText } from "../terminal.js";

interface PatchOptions extends CommonOptions {
  setJson?: string;
  unset?: string[];
  create?: boolean;
  ifVersion?: string;
  reason?: string;
}

export function definePatch(program: Command): void {
  const examples = [
    'patch agent:main:main label="Release talk" verboseLevel=on',
    `patch agent:main:main --set-json '{"execAsk":"off"}' --unset modelOverride --reason "back to the default"`,
  ];
  defineCommand(program, "patch <key> [field=value...]", "set and unset fields of one session", examples, patch)
    .option("--set-json <object>", "fields to set, as a JSON object")
    .option("--unset <field>", "remove this field; may be given again", (field, fields: string[] = []) => [
      ...fields,
      field,
    ])
    .option("--create", "create the session when it does not exist")
    .option("--if-version <version>", "only if nobody changed the session since (see: get --version)")
    .option("--reason <text>", "why; kept in the journal")
    .addHelpText(
      "after",
      '\nA value that is JSON (12, true, null, [1], "text") is taken as such, anything else as text.',
    );
}

async function patch(options: PatchOptions, [key, ...assignments]: string[]): Promise<number> {
  const fields = readFields(assignments, options);
  const entry = await withWritableStore(options, (store) =>
    store
      .patch(key!, fields, {
        createIfMissing: options.create ?? false,
        actor: "cli",
        ...(options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion }),
        ...(options.reason === undefined ? {} : { reason: options.reason }),
      })
      .catch((error: unknown) => {
        // The library's advice is for programs.
        if (error instanceof SessionStoreError && error.code === "not_found") throw notFound(key!, store.location);
        throw error;
      }),
  );
  if (options.json) printJson({ key, entry });
  else printLine(`${color.green("patched")} ${safeText(key!)}: ${Object.keys(fields).map(safeText).join(", ")}`);
  return 0;
}

function notFound(key: string, path: string): SessionStoreError {
  return new SessionStoreError("not_found", "there is no such session", {
    operation: "patch",
    key,
    path,
    nextStep: "Add --create to create it, or see which there are: sessiondir list --search TEXT.",
  });
}

/** A field that is to be removed has the value `undefined`. */
function readFields(assignments: readonly string[], { setJson, unset = [] }: PatchOptions): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const add = (name: string, value: unknown) => {
    if (Object.hasOwn(fields, name)) throw new UsageError(`the field ${JSON.stringify(name)} is given twice`);
    setField(fields, name, value);
  };
  for (const [name, value] of Object.entries(parseObject(setJson))) add(name, value);
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    if (equals < 1) throw new UsageError(`${JSON.stringify(assignment)} is not field=value`);
    add(assignment.slice(0, equals), parseValue(assignment.slice(equals + 1)));
  }
  for (const name of unset) add(name, undefined);
  if (Object.keys(fields).length === 0) {
    throw new UsageError("nothing to change: give field=value, --set-json or --unset");
  }
  return fields;
}

function parseObject(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  const value = parseValue(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError('--set-json takes a JSON object, for example \'{"label":"x"}\'');
  }
  return value as Record<string, unknown>;
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
