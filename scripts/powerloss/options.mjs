/** The command line of `npm run powerloss`. */

import { parseArgs } from "node:util";
import { fileSystems } from "./file-systems.mjs";
import { brokenPorts } from "./ports.mjs";
import { protocols } from "./workloads.mjs";

const usage = `npm run powerloss [-- options]

  --states N            crash states per file system and protocol (default 200)
  --file-systems LIST   of ${Object.keys(fileSystems).join(",")} (default: all)
  --protocols LIST      of ${Object.keys(protocols).join(",")} (default: all)
  --seed S              any text (default: a random one, which is printed)
  --broken KIND         run on a store with a part taken out, which must be found: ${Object.keys(brokenPorts).join(", ")}
  --install             install the missing Debian packages first`;

/** Ends the process with the usage for --help and for options that make no sense. */
export function readOptions(args) {
  try {
    return checkOptions(args);
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

function checkOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      states: { type: "string", default: "200" },
      "file-systems": { type: "string", default: Object.keys(fileSystems).join(",") },
      protocols: { type: "string", default: Object.keys(protocols).join(",") },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
      broken: { type: "string" },
      install: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const states = Number(values.states);
  if (!Number.isSafeInteger(states) || states < 1) throw new Error("--states is a whole number from 1 up.");
  if (values.broken !== undefined && !Object.hasOwn(brokenPorts, values.broken)) {
    throw new Error(`--broken knows no ${JSON.stringify(values.broken)}.`);
  }
  return {
    states,
    seed: values.seed,
    broken: values.broken,
    install: values.install,
    fileSystems: knownNames("--file-systems", values["file-systems"], fileSystems),
    protocols: knownNames("--protocols", values.protocols, protocols),
  };
}

function knownNames(option, list, known) {
  const names = list.split(",").filter((name) => name !== "");
  const unknown = names.filter((name) => !Object.hasOwn(known, name));
  if (unknown.length > 0 || names.length === 0) {
    throw new Error(`${option} knows ${Object.keys(known).join(", ")}, not ${JSON.stringify(list)}.`);
  }
  return names;
}
