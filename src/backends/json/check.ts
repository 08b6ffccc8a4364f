/** What is wrong with a legacy store. Reads only; works beside live writers, and finds what a read would complain about. */

import type { Finding } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { versionsName } from "./layout.js";
import type { ViewReader } from "./reader.js";
import type { View } from "./view.js";

export function* checkStore(reader: ViewReader): Generator<Finding> {
  const { legacyName } = reader.location;
  let view: View;
  try {
    view = reader.current();
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    if (error.code === "store_gone") throw error;
    yield {
      severity: "error",
      code: error.code === "unsafe_path" ? "unsafe_file" : error.code,
      path: legacyName,
      message: `${error.problem}.`,
      nextStep: error.nextStep ?? "Correct the file.",
    };
    return;
  }
  for (const [name, { key, problem }] of view.unreadable) {
    yield {
      severity: "error",
      code: "entry_damaged",
      path: legacyName,
      key: key ?? name,
      message: key === undefined ? `This name is no session key: ${problem}.` : `The entry cannot be read: ${problem}.`,
      nextStep: "Correct or remove it in the file. It stays there as it is, whatever is written to other sessions.",
    };
  }
  if (view.live.tolerated.length > 0) {
    yield {
      severity: "warning",
      code: "tolerated_text",
      path: legacyName,
      message: `The file has ${view.live.tolerated.join(" and ")}, which is not strict JSON; the next write keeps that only in a copy.`,
      nextStep: "Nothing needs to be done.",
    };
  }
  if (reader.hasUnusableVersions) {
    yield {
      severity: "warning",
      code: "versions_unusable",
      path: versionsName(legacyName),
      message:
        "The derived file of versions cannot be used; the next write makes it anew, and version tokens from before fit nothing.",
      nextStep: "Nothing needs to be done.",
    };
  }
}
