/** What is opened is checked on the open file, and what is written is counted. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  openChecked,
  openCheckedDirectory,
  openRealDirectory,
  readWhole,
  writeNewFile,
} from "../../../src/fs/checked-file.js";
import type { Directory } from "../../../src/fs/port.js";
import { FailingPort } from "../../sim/failing-port.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import type { SimulatedProcess } from "../../sim/simulated-process.js";

const owner = { uid: 1000 };

function makePlace(): { machine: SimulatedMachine; process: SimulatedProcess; home: Directory } {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home");
  machine.writeFile("/home/file", "content");
  const process = machine.process("process", { userId: 0 });
  return { machine, process, home: process.openRoot("/home") };
}

const unsafeFiles: Record<string, (machine: SimulatedMachine) => void> = {
  "of another user": (machine) => machine.setOwner("/home/file", 7),
  "with a hard link": (machine) => machine.makeHardLink("/home/file", "/home/other"),
  "that is a link": (machine) => {
    machine.rename("/home/file", "/home/other");
    machine.makeSymlink("other", "/home/file");
  },
  "that is a FIFO": (machine) => {
    machine.unlink("/home/file");
    machine.makeFifo("/home/file");
  },
  "that is a directory": (machine) => {
    machine.unlink("/home/file");
    machine.makeDirectory("/home/file");
  },
};

for (const [what, make] of Object.entries(unsafeFiles)) {
  test(`a file ${what} is refused with its name, and nothing stays open`, () => {
    const { machine, process, home } = makePlace();
    process.close(openChecked(process, home, "file", "read", owner));
    make(machine);
    assert.throws(() => openChecked(process, home, "file", "read", owner), {
      code: "unsafe_path",
      path: "/home/file",
    });
    assert.deepEqual(process.openHandles(), ["/home"]);
  });
}

test("a file that became a FIFO or a directory between its look and its opening is refused by its kind", () => {
  // The simulated system refuses nothing here but links: what was opened must be looked at.
  const { process, home } = makePlace();
  for (const kind of ["other", "directory", "symlink"] as const) {
    const port = new LyingPort(process, (call, answer) => (call.method === "stat" ? { ...answer, kind } : answer));
    assert.throws(() => openChecked(port, home, "file", "read", owner), { code: "unsafe_path" }, kind);
  }
});

const unsafeDirectories: Record<string, (machine: SimulatedMachine) => void> = {
  "of another user": (machine) => machine.setOwner("/home/part", 7),
  "that its group may write to": (machine) => machine.setMode("/home/part", 0o720),
  "that everybody may write to": (machine) => machine.setMode("/home/part", 0o702),
  "that is a link": (machine) => {
    machine.rename("/home/part", "/home/other");
    machine.makeSymlink("other", "/home/part");
  },
  "that is a file": (machine) => {
    machine.rename("/home/part", "/home/other");
    machine.writeFile("/home/part", "");
  },
};

for (const [what, make] of Object.entries(unsafeDirectories)) {
  test(`a directory ${what} is refused with its name, and nothing stays open`, () => {
    const { machine, process, home } = makePlace();
    machine.makeDirectory("/home/part");
    process.closeDirectory(openCheckedDirectory(process, home, "part", owner));
    make(machine);
    assert.throws(() => openCheckedDirectory(process, home, "part", owner), {
      code: "unsafe_path",
      path: "/home/part",
    });
    assert.deepEqual(process.openHandles(), ["/home"]);
  });
}

test("whose files they are does not matter where there are no users", () => {
  const { machine, process, home } = makePlace();
  machine.setOwner("/home/file", 7);
  process.close(openChecked(process, home, "file", "read", { uid: undefined }));
  machine.makeDirectory("/home/part", { mode: 0o777 });
  process.closeDirectory(openCheckedDirectory(process, home, "part", { uid: undefined }));
  assert.throws(() => openRealDirectory(process, home, "missing"), { code: "ENOENT" });
});

test("a file of exactly bytesMax is read, a larger one is refused before a byte is read", () => {
  const { process, home } = makePlace();
  const file = process.open(home, "file", "read");
  assert.equal(Buffer.from(readWhole(process, file, 7)).toString(), "content");
  const port = new FailingPort(process, { failAt: 1, methods: ["read"] });
  assert.throws(() => readWhole(port, file, 6), { code: "limit_exceeded", path: "/home/file" });
});

test("reads that come back short go on to the end", () => {
  const { process, home } = makePlace();
  const file = process.open(home, "file", "read");
  const port = new FailingPort(process, { failAt: 1, code: "short", lasts: "from then on" });
  assert.equal(Buffer.from(readWhole(port, file, 100)).toString(), "content");
});

test("a file that becomes shorter while it is read ends where it ends now", () => {
  const { machine, process, home } = makePlace();
  const file = process.open(home, "file", "read");
  const port = new LyingPort(process, (call, answer) => {
    if (call.method === "stat") machine.writeFile("/home/file", "con");
    return answer;
  });
  assert.equal(Buffer.from(readWhole(port, file, 100)).toString(), "con");
});

test("a new file has mode 0600 whatever the umask is, and all its bytes, or is not there", () => {
  const { machine, process, home } = makePlace();
  const modes: string[] = [];
  const watching = new LyingPort(process, (call, answer) => {
    if (call.method === "setMode") modes.push(call.path);
    return answer;
  });
  watching.close(writeNewFile(watching, home, "new", Buffer.from("bytes")));
  assert.deepEqual(modes, ["/home/new"]);
  assert.equal(machine.inodeAt("/home/new").mode, 0o600);
  assert.equal(machine.readText("/home/new"), "bytes");
  assert.throws(() => writeNewFile(process, home, "new", Buffer.from("others")), { code: "EEXIST" });
  assert.equal(machine.readText("/home/new"), "bytes");
  for (const code of ["short", "ENOSPC"]) {
    const failing = new FailingPort(process, { failAt: 1, code, methods: ["append"] });
    assert.throws(() => writeNewFile(failing, home, "full", Buffer.from("bytes")), { code: "ENOSPC" });
    assert.ok(!machine.exists("/home/full"), "half a file was left behind");
    assert.deepEqual(process.openHandles(), ["/home"]);
  }
});

/** Changes what calls answer. */
class LyingPort extends InterceptedPort {
  readonly #lie: <T>(call: PortCall, answer: T) => unknown;

  constructor(inner: SimulatedProcess, lie: <T>(call: PortCall, answer: T) => unknown) {
    super(inner);
    this.#lie = lie;
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    return this.#lie(call, proceed()) as T;
  }
}
