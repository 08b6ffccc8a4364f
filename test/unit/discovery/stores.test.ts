/** Every store of an installation is found once, and a hostile or unreadable place hides no other. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  type DiscoverOptions,
  type Discovery,
  discoverSessionStores,
  discoverSessionStoresSync,
} from "../../../src/discovery/stores.js";
import { openSessionStore } from "../../../src/index.js";
import { withPlace } from "../../process/support/temporary-store.js";
import { CountingPort } from "../../sim/counting-port.js";
import { FailingPort } from "../../sim/failing-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";

/** A machine with a state directory at /state. */
function makeMachine(files: Record<string, string> = {}): SimulatedMachine {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/state/agents");
  for (const [file, content] of Object.entries(files)) {
    machine.makeDirectory(path.posix.dirname(file));
    machine.writeFile(file, content);
  }
  return machine;
}

async function discover(machine: SimulatedMachine, options: DiscoverOptions = {}): Promise<Discovery> {
  const port = machine.process("reader");
  const found = await machine.settle(discoverSessionStores({ port, stateDir: "/state", env: {}, ...options }));
  assert.deepEqual(port.openHandles(), [], "everything that was opened is closed");
  assert.deepEqual(discoverSessionStoresSync({ port, stateDir: "/state", env: {}, ...options }), found);
  return found;
}

const pathsOf = ({ stores }: Discovery) => stores.map((store) => store.path);
const problemsOf = ({ problems }: Discovery) => problems.map(({ path: where, code }) => `${code} ${where}`);
const store = (agent: string, name = "sessions.json") => `/state/agents/${agent}/sessions/${name}`;
const ourState = JSON.stringify({ kind: "sessiondir-store", layoutVersion: 1 });
const openClawState = JSON.stringify({
  kind: "openclaw-session-store-directory",
  layoutVersion: 1,
  version: 3,
  updatedAt: 1,
});

test("every legacy store below the agents directory is found, sorted", { skip }, async () => {
  const machine = makeMachine({ [store("zoe")]: "{}", [store("main")]: "{}", [store("Bot 7")]: "{}" });
  machine.makeDirectory("/state/agents/empty/sessions");
  machine.makeDirectory("/state/agents/no-sessions");
  machine.writeFile("/state/agents/stray", "");
  const found = await discover(machine);
  assert.deepEqual(pathsOf(found), [store("Bot 7"), store("main"), store("zoe")]);
  assert.deepEqual(
    found.stores.map(({ agentId }) => agentId),
    ["bot-7", "main", "zoe"],
  );
  assert.deepEqual(found.problems, []);
});

test("a folder whose name only becomes main by normalising is found, and is not the store of main", {
  skip,
}, async () => {
  const { stores } = await discover(makeMachine({ [store("###")]: "{}" }));
  assert.deepEqual(
    stores.map(({ path: where, agentId }) => [where, agentId]),
    [[store("###"), undefined]],
  );
});

test("a migrated store without its legacy file is found, ours as well as that of OpenClaw", { skip }, async () => {
  const machine = makeMachine({
    [store("ours", "sessions.d/state.json")]: ourState,
    [store("theirs", "sessions.d/state.json")]: openClawState,
    [store("damaged", "sessions.d/journal/0000000000000001.jsonl")]: "",
    [store("both", "sessions.d/state.json")]: ourState,
    [store("both")]: "{}",
    [store("foreign", "sessions.d/readme.txt")]: "hello",
    [store("inactive", "sessions.d/state.json")]: openClawState,
  });
  machine.makeDirectory(store("theirs", "sessions.d/entries"));
  const { stores, problems } = await discover(machine);
  assert.deepEqual(
    stores.map(({ agentId, legacy, directory }) => [agentId, legacy, directory]),
    [
      ["both", true, "store"],
      ["damaged", false, "store"],
      ["ours", false, "store"],
      ["theirs", false, "openclaw"],
    ],
  );
  assert.deepEqual(problems, []);
});

test("a store that waits for its place after a crash is found", { skip }, async () => {
  const machine = makeMachine({
    [store("main", "sessions.d.staging-bak.1700/state.json")]: ourState,
    [store("main", "sessions.d.bak.1700/state.json")]: openClawState,
  });
  const { stores } = await discover(machine);
  assert.deepEqual(
    stores.map(({ path: where, directory }) => [where, directory]),
    [[store("main"), "ready"]],
  );
});

test("a store that was really migrated is found on the real disk", async () => {
  await withPlace(async ({ parent }) => {
    const folder = path.join(parent, "agents", "main", "sessions");
    fs.mkdirSync(folder, { recursive: true });
    const opened = await openSessionStore(path.join(folder, "sessions.json"));
    await opened.close();
    const { stores, problems } = await discoverSessionStores({ stateDir: parent, env: {} });
    assert.deepEqual(
      stores.map(({ path: where, directory }) => [where, directory]),
      [[path.join(folder, "sessions.json"), "store"]],
    );
    assert.deepEqual(problems, []);
  });
});

test("a state directory that does not exist has no stores and no problems", { skip }, async () => {
  assert.deepEqual(await discover(new SimulatedMachine()), { stores: [], problems: [] });
});

test("the state directory comes from the environment when it is not given", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}" });
  const env = { OPENCLAW_STATE_DIR: "/state" };
  const found = discoverSessionStoresSync({ port: machine.process(), env });
  assert.deepEqual(pathsOf(found), [store("main")]);
});

// --- configured paths ------------------------------------------------------------------------------------------------

test("a configured path is a result even where nothing lies yet", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}" });
  const found = await discover(machine, { configuredStorePath: "/data/shared.json" });
  assert.deepEqual(
    found.stores.map(({ path: where, origin, legacy, directory, agentId }) => [
      where,
      origin,
      legacy,
      directory,
      agentId,
    ]),
    [
      ["/data/shared.json", "configured", false, "absent", undefined],
      [store("main"), "state_dir", true, "absent", "main"],
    ],
  );
});

test("~ in a configured path is the home directory", { skip }, async () => {
  const machine = makeMachine({ "/home/a/s.json": "{}" });
  const found = await discover(machine, { configuredStorePath: "~/s.json", env: { HOME: "/home/a" } });
  assert.deepEqual(pathsOf(found), ["/home/a/s.json"]);
});

test("a template stands for every agent on the disk and every one that is given", { skip }, async () => {
  const machine = makeMachine({ "/data/old/s.json": "{}", "/data/named/s.json": "{}", "/data/unknown/s.json": "{}" });
  for (const agent of ["old", "fresh", "###"]) machine.makeDirectory(`/state/agents/${agent}`);
  const found = await discover(machine, {
    configuredStorePath: "/data/{agentId}/s.json",
    agentIds: ["Named", "to-come"],
  });
  assert.deepEqual(
    found.stores.map(({ agentId, legacy }) => [agentId, legacy]),
    [
      ["main", false],
      ["named", true],
      ["old", true],
      ["to-come", false],
    ],
  );
});

test("every {agentId} of a template is replaced, and two stores in one folder stay two", { skip }, async () => {
  const machine = makeMachine({ "/tmp/s-main.json": "{}", "/tmp/s-b.json": "{}" });
  const both = await discover(machine, { configuredStorePath: "/tmp/s-{agentId}.json", agentIds: ["b"] });
  assert.deepEqual(pathsOf(both), ["/tmp/s-b.json", "/tmp/s-main.json"]);
  const twice = await discover(machine, { configuredStorePath: "/x/{agentId}/{agentId}.json" });
  assert.deepEqual(pathsOf(twice), ["/x/main/main.json"]);
});

test("a template of the usual shape finds the agents of its own agents directory too", { skip }, async () => {
  const machine = makeMachine({ "/other/agents/kim/sessions/sessions.json": "{}" });
  const template = "/other/agents/{agentId}/sessions/sessions.json";
  const { stores } = await discover(machine, { configuredStorePath: template });
  assert.deepEqual(
    stores.map(({ agentId, legacy }) => [agentId, legacy]),
    [
      ["kim", true],
      ["main", false],
    ],
  );
});

test("a configured path of no store's form is reported", { skip }, async () => {
  const found = await discover(makeMachine(), { configuredStorePath: "/data/store.sqlite" });
  assert.deepEqual(problemsOf(found), ["invalid_option /data/store.sqlite"]);
});

// --- one store, two spellings ----------------------------------------------------------------------------------------

test("a store that is reached by two spellings is handled once, under the first", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}" });
  machine.makeSymlink("/state", "/alias");
  const configuredStorePath = "/alias/agents/main/sessions/sessions.json";
  const { stores, problems } = await discover(machine, { configuredStorePath });
  assert.deepEqual(
    stores.map(({ path: where, realPath, agentId }) => [where, realPath, agentId]),
    [[configuredStorePath, store("main"), "main"]],
  );
  assert.deepEqual(problems, []);
});

test("an agent that is a link to another agent is the same store", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}" });
  machine.makeSymlink("main", "/state/agents/alias");
  machine.makeDirectory("/state/agents/second");
  machine.makeSymlink("../main/sessions", "/state/agents/second/sessions");
  const { stores, problems } = await discover(machine);
  assert.deepEqual(
    stores.map(({ path: where, realPath }) => [where, realPath]),
    [[store("alias"), store("main")]],
  );
  assert.deepEqual(problems, []);
});

test("a missing store that is configured by way of a link is still one store", { skip }, async () => {
  const machine = makeMachine();
  machine.makeDirectory("/data");
  machine.makeSymlink("/data", "/link");
  const { stores } = await discover(machine, { configuredStorePath: "/link/later/s.json" });
  assert.deepEqual(
    stores.map(({ realPath }) => realPath),
    ["/data/later/s.json"],
  );
});

// --- hostile and unreadable places -----------------------------------------------------------------------------------

test("a link that leaves the agents directory is refused and reported", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}", "/victim/sessions/sessions.json": "{}" });
  machine.makeSymlink("/victim", "/state/agents/direct");
  machine.makeDirectory("/state/agents/deeper");
  machine.makeSymlink("../../../victim/sessions", "/state/agents/deeper/sessions");
  machine.makeSymlink("..", "/state/agents/upwards");
  const found = await discover(machine);
  assert.deepEqual(pathsOf(found), [store("main")]);
  assert.deepEqual(problemsOf(found), [
    "unsafe_path /state/agents/deeper/sessions",
    "unsafe_path /state/agents/direct",
    "unsafe_path /state/agents/upwards",
  ]);
});

test("a ring of links and a link to nothing are reported, and hide no other store", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}" });
  machine.makeSymlink("ring", "/state/agents/ring");
  machine.makeSymlink("nowhere", "/state/agents/dangling");
  const found = await discover(machine);
  assert.deepEqual(pathsOf(found), [store("main")]);
  assert.deepEqual(problemsOf(found), ["io_error /state/agents/dangling", "unsafe_path /state/agents/ring"]);
});

test("what lies in the place of the file or the directory and is neither is reported", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}", [store("file", "sessions.d")]: "", "/secret.json": "{}" });
  for (const agent of ["fifo", "link", "directory-link"]) machine.makeDirectory(`/state/agents/${agent}/sessions`);
  machine.makeFifo(store("fifo"));
  machine.makeSymlink("/secret.json", store("link"));
  machine.makeSymlink("/state", store("directory-link", "sessions.d"));
  const found = await discover(machine);
  assert.deepEqual(pathsOf(found), [store("main")]);
  assert.deepEqual(problemsOf(found), [
    `unsafe_path ${store("directory-link", "sessions.d")}`,
    `unsafe_path ${store("fifo")}`,
    `unsafe_path ${store("file", "sessions.d")}`,
    `unsafe_path ${store("link")}`,
  ]);
});

test("sessions that are no directory are reported", { skip }, async () => {
  const machine = makeMachine({ "/state/agents/main/sessions": "a file" });
  assert.deepEqual(problemsOf(await discover(machine)), ["io_error /state/agents/main/sessions"]);
});

test("a directory of another user that cannot be read is reported and skipped", { skip }, async () => {
  const machine = makeMachine({ [store("main")]: "{}", [store("private")]: "{}" });
  machine.setOwner("/state/agents/private", 4);
  const found = await discover(machine);
  assert.deepEqual(pathsOf(found), [store("main")]);
  assert.deepEqual(problemsOf(found), ["permission_denied /state/agents/private/sessions"]);
  machine.setOwner("/state/agents", 4);
  assert.deepEqual(problemsOf(await discover(machine)), ["permission_denied /state/agents"]);
});

test("on the real disk, too, an unreadable agent hides no other", { skip }, async () => {
  await withPlace(async ({ parent }) => {
    for (const agent of ["main", "private"]) {
      fs.mkdirSync(path.join(parent, "agents", agent, "sessions"), { recursive: true });
      fs.writeFileSync(path.join(parent, "agents", agent, "sessions", "sessions.json"), "{}");
    }
    const closed = path.join(parent, "agents", "private");
    const isRoot = process.geteuid?.() === 0;
    fs.chmodSync(closed, 0);
    if (isRoot) {
      fs.chmodSync(parent, 0o755);
      process.seteuid?.(65_534);
    }
    try {
      const found = discoverSessionStoresSync({ stateDir: parent, env: {} });
      assert.deepEqual(pathsOf(found), [path.join(parent, "agents", "main", "sessions", "sessions.json")]);
      assert.deepEqual(problemsOf(found), [`permission_denied ${closed}`]);
    } finally {
      if (isRoot) process.seteuid?.(0);
      fs.chmodSync(closed, 0o700);
    }
  });
});

test("a FIFO in the place of sessions.json blocks nobody", { skip }, async () => {
  await withPlace(async ({ parent }) => {
    const folder = path.join(parent, "agents", "main", "sessions");
    fs.mkdirSync(path.join(folder, "sessions.d"), { recursive: true });
    execFileSync("mkfifo", [path.join(folder, "sessions.json"), path.join(folder, "sessions.d", "state.json")]);
    const found = discoverSessionStoresSync({ stateDir: parent, env: {} });
    assert.deepEqual(found.stores, []);
    assert.deepEqual(problemsOf(found), [`unsafe_path ${path.join(folder, "sessions.json")}`]);
  });
});

test("names of 300 bytes are no store and no crash", { skip }, async () => {
  const long = "n".repeat(300);
  const configuredStorePath = `/data/${long}/{agentId}.json`;
  const machine = makeMachine({ [store("main")]: "{}" });
  machine.makeDirectory("/data");
  const found = await discover(machine, { configuredStorePath, agentIds: [long] });
  assert.deepEqual(pathsOf(found), [store("main")]);
  assert.deepEqual(problemsOf(found), [`io_error /data/${long}`]);
});

test("each error that says nothing about the others is reported, and any other is thrown", { skip }, async () => {
  for (const code of ["EACCES", "ELOOP", "ENOENT", "ENOTDIR", "EPERM", "ESTALE", "EIO", "EMFILE"]) {
    const machine = makeMachine({ [store("bad")]: "{}", [store("main")]: "{}" });
    const matches = ({ path: where }: { path: string }) => where === "/state/agents/bad";
    const port = new FailingPort(machine.process(), { failAt: 1, code, methods: ["openDirectory"], matches });
    const run = () => discoverSessionStoresSync({ port, stateDir: "/state", env: {} });
    if (code === "EIO" || code === "EMFILE") assert.throws(run, { name: "SessionStoreError" }, code);
    else assert.deepEqual(pathsOf(run()), [store("main")], code);
    assert.equal(port.failures.length, 1, code);
  }
});

test("ten thousand agents are found with a bounded number of looks at each", { skip }, async () => {
  const machine = makeMachine();
  const directory = machine.inodeAt("/state/agents");
  assert.equal(directory.kind, "directory");
  const owner = { mode: 0o700, ownerUid: 1000, nowMs: 0 };
  for (let agent = 0; agent < 10_000; agent += 1) {
    const home = machine.disk.createDirectory(directory as never, `agent-${agent}`, owner);
    const folder = machine.disk.createDirectory(home, "sessions", owner);
    machine.disk.createFile(folder, "sessions.json", { ...owner, mode: 0o600 });
  }
  const port = new CountingPort(machine.process());
  const { stores } = discoverSessionStoresSync({ port, stateDir: "/state", env: {} });
  assert.equal(stores.length, 10_000);
  assert.ok(port.count() < 10_000 * 12, `${port.count()} calls`);
  assert.equal(port.count("list"), 0);
});
