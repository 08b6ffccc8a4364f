/**
 * What a reset keeps of the choice of model and account: what the user chose. What the gateway chose by itself, say
 * after a rate limit, goes, so that a reset really leads back to the configured default. Pure.
 */

import type { SessionEntry } from "./types.js";

export type ResetPreservedSelection = Partial<
  Pick<
    SessionEntry,
    | "providerOverride"
    | "modelOverride"
    | "modelOverrideSource"
    | "agentRuntimeOverride"
    | "authProfileOverride"
    | "authProfileOverrideSource"
    | "authProfileOverrideCompactionCount"
  >
>;

/**
 * The fields to carry into the new entry. A model without a source was chosen before sources were kept, and counts as
 * the user's; an account needs the source.
 */
export function resolveResetPreservedSelection(params: { entry?: SessionEntry | null }): ResetPreservedSelection {
  const { entry } = params;
  const kept: ResetPreservedSelection = {};
  if (entry?.modelOverride && entry.modelOverrideSource !== "auto") {
    copy(entry, kept, "providerOverride");
    copy(entry, kept, "modelOverride");
    copy(entry, kept, "agentRuntimeOverride");
    kept.modelOverrideSource = "user";
  }
  if (entry?.authProfileOverride && entry.authProfileOverrideSource === "user") {
    copy(entry, kept, "authProfileOverride");
    copy(entry, kept, "authProfileOverrideSource");
    copy(entry, kept, "authProfileOverrideCompactionCount");
  }
  return kept;
}

function copy<Name extends keyof ResetPreservedSelection>(
  entry: SessionEntry,
  kept: ResetPreservedSelection,
  name: Name,
): void {
  const value = (entry as ResetPreservedSelection)[name];
  if (value !== undefined) kept[name] = value;
}
