/** `sessiondir verify`: checks the whole store without changing anything; safe beside live writers. */

import type { Command } from "commander";
import type { Finding } from "../../contract.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { withReadOnlyStore } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

export function defineVerify(program: Command): void {
  const examples = ["verify --store agents/main/sessions/sessions.json", "verify --json | jq '.findings[].code'"];
  defineCommand(
    program,
    "verify",
    "check the whole store; changes nothing, exits 1 if something is wrong",
    examples,
    verify,
  );
}

async function verify(options: CommonOptions): Promise<number> {
  const findings = await withReadOnlyStore(options, async (store) => {
    const progress = startProgress("verifying");
    const found: Finding[] = [];
    try {
      for await (const finding of store.verify({ onProgress: progress.update })) found.push(finding);
    } finally {
      progress.stop();
    }
    return found;
  });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.length - errors;
  if (options.json) {
    printJson({ ok: findings.length === 0, errors, warnings, findings });
  } else {
    for (const finding of findings) printFinding(finding);
    printLine(
      findings.length === 0
        ? color.green("ok: nothing is wrong")
        : `${countOf(errors, "error")}, ${countOf(warnings, "warning")}`,
    );
  }
  return findings.length === 0 ? 0 : exitFailed;
}

function printFinding({ severity, code, path, key, message, nextStep }: Finding): void {
  const label = severity === "error" ? color.red("error") : color.yellow("warning");
  printLine(`${label} [${code}] ${safeText(message)}`);
  if (key !== undefined) printLine(`  session  ${safeText(key)}`);
  if (path !== undefined) printLine(`  file     ${safeText(path)}`);
  printLine(`  do       ${safeText(nextStep)}`);
}
