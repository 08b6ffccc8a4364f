/** The `state.json` of OpenClaw's directory store, as the program that wrote it decides whether its directory is in use. */

const openClawKind = "openclaw-session-store-directory";

export function isOpenClawState(text: string | undefined): boolean {
  if (text === undefined) return false;
  let state: Record<string, unknown> | null;
  try {
    state = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    return false;
  }
  return (
    typeof state === "object" &&
    state !== null &&
    state.kind === openClawKind &&
    state.layoutVersion === 1 &&
    Number.isSafeInteger(state.version) &&
    (state.version as number) >= 1 &&
    Number.isFinite(state.updatedAt)
  );
}
