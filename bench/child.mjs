/** One run of one trial (or the seeding of a store) in a process of its own; prints one line of JSON. */

import { peers } from "./peers/index.mjs";
import { roles } from "./trials/index.mjs";

const job = JSON.parse(process.argv[2]);
const peer = peers[job.peerName];
if (job.trial === "seed") await peer.seed(job.directory, job.sessions, job.bytes);
else console.log(JSON.stringify({ ...(await roles[job.trial]({ ...job, peer })), node: process.version }));
