/**
 * What a transcript says of a message that was delivered past the model: its text, and the names of its media. Pure.
 */

import { normalizeOptionalString } from "./strings.js";

/** The text, then the names of the media on a line of their own; `media` for media without a name; null for neither. */
export function resolveMirroredTranscriptText(params: {
  text?: string | null;
  mediaUrls?: readonly string[] | null;
}): string | null {
  const urls = (params.mediaUrls ?? []).filter((url) => normalizeOptionalString(url) !== undefined);
  const names = urls.map(mediaName).filter((name) => name !== undefined);
  const media = names.length > 0 ? names.join(", ") : urls.length > 0 ? "media" : undefined;
  const parts = [normalizeOptionalString(params.text), media].filter((part) => part !== undefined);
  return parts.length === 0 ? null : parts.join("\n");
}

/** The last part of the path, without query and fragment. Data in the address itself has no name. */
function mediaName(url: string): string | undefined {
  const address = url.trim();
  if (/^data:/i.test(address)) return undefined;
  const path = address.replace(/[?#].*$/s, "").replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "");
  const name = path.split(/[\\/]/).at(-1);
  return normalizeOptionalString(decodeBestEffort(name ?? ""));
}

/** A name with a stray `%` is still a name. */
function decodeBestEffort(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
