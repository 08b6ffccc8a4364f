/**
 * CRC-32 (the zlib one) of everything that is stored. It finds accidents, not attackers: whoever may write to the
 * directory may write a right checksum too.
 *
 * A document carries its checksum inside, as 8 lower-case hex digits; the sum is taken over all its bytes with these
 * digits replaced by zeros. So a reader needs no knowledge of how the document was put together.
 */

import { crc32 } from "node:zlib";

const zeros = "00000000";

export function checksumOf(bytes: Uint8Array | string): string {
  return digitsOf(crc32(bytes));
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Half of all sums do not fit into the engine's small integers, and for those `toString(16)` is slow. */
export function digitsOf(sum: number): string {
  const [first, second] = [hexOfByte[sum >>> 24] as string, hexOfByte[(sum >>> 16) & 255] as string];
  return first + second + (hexOfByte[(sum >>> 8) & 255] as string) + (hexOfByte[sum & 255] as string);
}

/** The line of a pretty JSON document that holds its checksum; `text` must contain it exactly so. */
const documentMarker = '\n  "checksum": "';

/** The pretty JSON text (2 spaces, final newline) of a document whose `checksum` field is still "00000000". */
export function sealDocument(document: { readonly checksum: typeof zeros }): string {
  return sealText(`${JSON.stringify(document, null, 2)}\n`);
}

/** The same for text that is put together already; its checksum line must be written exactly so. */
export function sealText(text: string): string {
  const at = text.indexOf(documentMarker) + documentMarker.length;
  return text.slice(0, at) + checksumOf(text) + text.slice(at + zeros.length);
}

/** Whether the document carries the right checksum. A quote inside a JSON string is escaped, so the marker is unambiguous. */
export function documentIsIntact(document: Uint8Array | string): boolean {
  const bytes =
    typeof document === "string"
      ? Buffer.from(document, "utf8")
      : Buffer.from(document.buffer, document.byteOffset, document.byteLength);
  const marker = bytes.indexOf(documentMarker);
  if (marker < 0) return false;
  const at = marker + documentMarker.length;
  const rest = at + zeros.length;
  const sum = crc32(bytes.subarray(rest), crc32(zeros, crc32(bytes.subarray(0, at))));
  return digitsOf(sum) === bytes.toString("latin1", at, rest);
}
