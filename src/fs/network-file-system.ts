/**
 * Kernel locks hold between processes of one kernel. On a network file system two machines would both be granted the
 * lock, so a writer refuses it; behind FUSE nobody can tell, so it is only mentioned.
 */

import type { Logger } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import type { Directory, Port } from "./port.js";

/** Type numbers of Linux's statfs. */
const networkFileSystems = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "SMB (CIFS)"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
  [0x00c36400, "Ceph"],
]);
const fuse = 0x65735546;

export function refuseNetworkFileSystem(port: Port, directory: Directory, logger?: Logger): void {
  if (port.lockFamily !== "ofd") return;
  // Negative where a system reports the number as a signed one.
  const type = port.statFileSystem(directory).type >>> 0;
  if (type === fuse) {
    logger?.warn("the store lies on a FUSE file system; sessions are safe there only if one kernel alone uses it", {
      path: directory.displayPath,
    });
  }
  const name = networkFileSystems.get(type);
  if (name === undefined) return;
  throw new SessionStoreError(
    "unsupported_platform",
    `this is a network file system (${name}); its locks do not hold between machines`,
    {
      operation: "open the store for writing",
      path: directory.displayPath,
      onDisk: "Nothing was changed.",
      nextStep: "Put the store on a local file system, or open it with { readOnly: true }.",
    },
  );
}
