/**
 * The marker that a rollback leaves beside the legacy file: from then on nothing migrates that file by itself, until
 * `sessiondir migrate --force` removes the marker. Small pretty JSON, so that a person who finds it learns what it is.
 */

import { rollbackMarkerName, type StoreLocation } from "../backends/directory/layout.js";
import type { Directory, Port } from "../fs/port.js";

/** Whether a rollback has been here: an existing marker counts, whatever it holds. */
export function hasRollbackMarker(port: Port, parent: Directory, location: StoreLocation): boolean {
  return port.statName(parent, rollbackMarkerName(location.directoryName)) !== undefined;
}
