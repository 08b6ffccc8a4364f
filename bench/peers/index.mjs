/**
 * All peers by name. A peer has a family - peers of one family share a seeded store -, a durability class, `seed` and
 * `open`, and `load` if it is a package: nobody's process loads the package of another peer.
 */

import { filePeers } from "./files.mjs";
import { keyValuePeers } from "./key-value.mjs";
import { postgresPeers } from "./postgres.mjs";
import { sessiondirPeers } from "./sessiondir.mjs";
import { sqlitePeers } from "./sqlite.mjs";

export const peers = { ...sessiondirPeers, ...sqlitePeers, ...keyValuePeers, ...filePeers, ...postgresPeers };
