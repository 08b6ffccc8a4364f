/**
 * Agent ids: the name of an agent as it stands in session keys and in paths. Normalising is total and idempotent, so an
 * id from a configuration, a key and a directory name meet in one form.
 */

const validAgentId = /^[a-z0-9][a-z0-9_-]{0,63}$/i;
const agentIdCharactersMax = 64;

/** True for an id that needs no more than lower case. */
export function isValidAgentId(id: string | null | undefined): boolean {
  return typeof id === "string" && validAgentId.test(id.trim());
}

/**
 * The id in lower case. In an invalid one, each run of characters that do not belong becomes one dash, dashes at both
 * ends go, and the rest is cut to 64; what is then empty is `main`.
 */
export function normalizeAgentId(id: string | null | undefined): string {
  const trimmed = typeof id === "string" ? id.trim() : "";
  if (validAgentId.test(trimmed)) return trimmed.toLowerCase();
  const cleaned = trimmed
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, agentIdCharactersMax);
  return cleaned === "" ? "main" : cleaned;
}

/** Whether a directory's name is an agent's own. `###` would become `main`, whose directory it is not. */
export function isOwnAgentFolder(folderName: string): boolean {
  return normalizeAgentId(folderName) !== "main" || folderName.trim().toLowerCase() === "main";
}
