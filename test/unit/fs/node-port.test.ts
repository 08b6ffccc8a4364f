/** The port on the real operating system keeps what port.ts promises, call by call. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { mock, test } from "node:test";
import { createNodePort } from "../../../src/fs/node-port.js";
import type { Directory, OpenMode } from "../../../src/fs/port.js";
import { withPlace } from "../../process/support/temporary-store.js";

const port = createNodePort();
const skip = process.platform === "win32" && "skipped: needs posix links and FIFOs";
const modes: readonly OpenMode[] = ["read", "append", "create", "lock"];

async function withDirectory(body: (directory: Directory, parent: string) => void | Promise<void>): Promise<void> {
  await withPlace(async ({ parent }) => {
    const directory = port.openRoot(parent);
    try {
      await body(directory, parent);
    } finally {
      port.closeDirectory(directory);
    }
  });
}

test("no mode of opening follows a link, nor makes what a link points to", { skip }, async () => {
  await withDirectory((directory, parent) => {
    fs.writeFileSync(path.join(parent, "target"), "secret");
    fs.symlinkSync("target", path.join(parent, "link"));
    fs.symlinkSync("nowhere", path.join(parent, "dangling"));
    for (const mode of modes) {
      const code = mode === "create" ? "EEXIST" : "ELOOP";
      for (const name of ["link", "dangling"]) assert.throws(() => port.open(directory, name, mode), { code }, mode);
    }
    assert.deepEqual(fs.readdirSync(parent).sort(), ["dangling", "link", "target"]);
  });
});

test("opening a FIFO waits for nobody", { skip }, async () => {
  await withDirectory((directory, parent) => {
    execFileSync("mkfifo", [path.join(parent, "fifo")]);
    for (const mode of ["read", "append", "lock"] as const) {
      const file = port.open(directory, "fifo", mode);
      assert.equal(port.stat(file).kind, "other");
      port.close(file);
    }
    assert.throws(() => port.open(directory, "fifo", "create"), { code: "EEXIST" });
  });
});

test("only a real directory is opened as one", { skip }, async () => {
  await withDirectory((directory, parent) => {
    fs.mkdirSync(path.join(parent, "real"));
    fs.symlinkSync("real", path.join(parent, "link"));
    fs.writeFileSync(path.join(parent, "file"), "");
    execFileSync("mkfifo", [path.join(parent, "fifo")]);
    assert.throws(() => port.openDirectory(directory, "link"), { code: "ELOOP" });
    for (const name of ["file", "fifo"]) {
      assert.throws(() => port.openDirectory(directory, name), { code: "ENOTDIR" }, name);
    }
    port.closeDirectory(port.openDirectory(directory, "real"));
  });
});

test("create makes a file and never opens one that is there", async () => {
  await withDirectory((directory, parent) => {
    port.close(port.open(directory, "new", "create"));
    assert.throws(() => port.open(directory, "new", "create"), { code: "EEXIST" });
    for (const mode of ["read", "append"] as const) {
      assert.throws(() => port.open(directory, "missing", mode), { code: "ENOENT" });
    }
    assert.deepEqual(fs.readdirSync(parent), ["new"]);
  });
});

test("what is appended goes to the end, whoever else has written meanwhile", async () => {
  await withDirectory((directory, parent) => {
    const created = port.open(directory, "file", "create");
    const opened = port.open(directory, "file", "append");
    for (const [file, text] of [
      [created, "one"],
      [opened, "two"],
      [created, "three"],
      [opened, "four"],
    ] as const) {
      assert.equal(port.append(file, Buffer.from(text)), text.length);
    }
    assert.equal(fs.readFileSync(path.join(parent, "file"), "utf8"), "onetwothreefour");
    port.close(created);
    port.close(opened);
  });
});

test("names are found in the directory that was opened, also after its path was swapped", {
  skip: process.platform !== "linux" && "skipped: needs linux, which addresses names inside a descriptor",
}, async () => {
  await withDirectory((root, parent) => {
    fs.mkdirSync(path.join(parent, "ours"));
    fs.writeFileSync(path.join(parent, "ours", "file"), "ours");
    const directory = port.openDirectory(root, "ours");
    fs.renameSync(path.join(parent, "ours"), path.join(parent, "moved"));
    fs.mkdirSync(path.join(parent, "ours"));
    fs.writeFileSync(path.join(parent, "ours", "file"), "theirs and longer");
    assert.equal(port.statName(directory, "file")?.sizeBytes, 4);
    const file = port.open(directory, "file", "read");
    assert.equal(port.stat(file).sizeBytes, 4);
    port.close(file);
    port.unlink(directory, "file");
    assert.deepEqual(fs.readdirSync(path.join(parent, "ours")), ["file"]);
    port.closeDirectory(directory);
  });
});

test("a name is one name: nothing outside the directory is reached", async () => {
  await withDirectory((root, parent) => {
    fs.mkdirSync(path.join(parent, "inside", "below"), { recursive: true });
    fs.writeFileSync(path.join(parent, "outside"), "");
    fs.writeFileSync(path.join(parent, "inside", "below", "file"), "");
    const directory = port.openDirectory(root, "inside");
    for (const name of ["", ".", "..", "../outside", "below/file", "/etc", "a\0b"]) {
      for (const call of [
        () => port.open(directory, name, "read"),
        () => port.openDirectory(directory, name),
        () => port.statName(directory, name),
        () => port.unlink(directory, name),
      ]) {
        assert.throws(call, { code: "EINVAL" }, JSON.stringify(name));
      }
    }
    port.closeDirectory(directory);
  });
});

test("a listing of more entries than allowed is refused", async () => {
  await withDirectory((directory, parent) => {
    for (let index = 0; index < 5; index += 1) fs.writeFileSync(path.join(parent, `file-${index}`), "");
    assert.equal(port.list(directory, 5).length, 5);
    assert.throws(() => port.list(directory, 4), { code: "EOVERFLOW" });
  });
});

test("the stat of a name is that of a link itself", { skip }, async () => {
  await withDirectory((directory, parent) => {
    fs.writeFileSync(path.join(parent, "target"), "four");
    fs.symlinkSync("target", path.join(parent, "link"));
    fs.linkSync(path.join(parent, "target"), path.join(parent, "hard"));
    assert.equal(port.statName(directory, "link")?.kind, "symlink");
    assert.equal(port.statName(directory, "hard")?.linkCount, 2);
    assert.equal(port.statName(directory, "missing"), undefined);
  });
});

test("syncFile and syncDirectory ask the kernel, and a sync that fails is a sync that failed", async () => {
  await withDirectory(async (directory) => {
    const file = port.open(directory, "file", "create");
    const datasync = mock.method(fs, "fdatasync");
    const sync = mock.method(fs, "fsync");
    try {
      await port.syncFile(file);
      assert.equal(datasync.mock.callCount(), 1);
      await port.syncDirectory(directory);
      assert.equal(sync.mock.callCount(), process.platform === "win32" ? 0 : 1);
      const failing = (_: number, done: (error: Error | null) => void) =>
        done(Object.assign(new Error("EIO"), { code: "EIO" }));
      datasync.mock.mockImplementation(failing as unknown as typeof fs.fdatasync);
      await assert.rejects(port.syncFile(file), { code: "EIO" });
    } finally {
      datasync.mock.restore();
      sync.mock.restore();
      port.close(file);
    }
  });
});

test("modes are what was asked for, whatever the umask is", { skip }, async () => {
  await withDirectory((directory) => {
    const file = port.open(directory, "file", "create");
    port.setMode(file, 0o640);
    assert.equal(port.stat(file).mode, 0o640);
    port.close(file);
  });
});

test("kernel locks: one exclusive holder, or several shared ones; free again when unlocked or closed", async () => {
  await withDirectory((directory) => {
    const [first, second, third] = ["lock", "lock", "read"].map((mode) =>
      port.open(directory, "lock", mode as OpenMode),
    ) as [never, never, never];
    assert.ok(port.tryLock(first, "exclusive"));
    assert.ok(!port.tryLock(second, "exclusive"));
    assert.ok(!port.tryLock(third, "shared"));
    port.unlock(first);
    assert.ok(port.tryLock(second, "shared"));
    assert.ok(port.tryLock(third, "shared"));
    assert.ok(!port.tryLock(first, "exclusive"));
    port.close(second);
    port.unlock(third);
    assert.ok(port.tryLock(first, "exclusive"));
    assert.ok(!port.tryLock(third, "shared"));
    port.close(first);
    port.close(third);
  });
});

test("a real path has neither links nor dots, and what is missing or a ring of links has none", { skip }, async () => {
  await withDirectory((_directory, parent) => {
    const real = fs.realpathSync(parent);
    fs.mkdirSync(path.join(parent, "folder"));
    fs.writeFileSync(path.join(parent, "folder", "file"), "");
    fs.symlinkSync("folder", path.join(parent, "link"));
    fs.symlinkSync("ring", path.join(parent, "ring"));
    assert.equal(port.realPath(path.join(parent, "link", "..", "link", "file")), path.join(real, "folder", "file"));
    assert.throws(() => port.realPath(path.join(parent, "link", "missing")), { code: "ENOENT" });
    assert.throws(() => port.realPath(path.join(parent, "ring")), { code: "ELOOP" });
    assert.throws(() => port.realPath(path.join(parent, "folder", "file", "below")), { code: "ENOTDIR" });
  });
});

test("the stat of a root is that of the directory which the path leads to now, links and all", { skip }, async () => {
  await withDirectory((directory, parent) => {
    fs.mkdirSync(path.join(parent, "folder"));
    fs.symlinkSync("folder", path.join(parent, "link"));
    assert.equal(port.statRoot(parent)?.inode, port.statDirectory(directory).inode);
    assert.equal(port.statRoot(path.join(parent, "link"))?.inode, port.statName(directory, "folder")?.inode);
    assert.equal(port.statRoot(path.join(parent, "missing")), undefined);
    fs.renameSync(path.join(parent, "folder"), path.join(parent, "elsewhere"));
    assert.equal(port.statRoot(path.join(parent, "link")), undefined);
  });
});

test("the short cut by the path says what statName says", { skip }, async () => {
  await withDirectory((directory, parent) => {
    const { statAtPath } = port;
    if (statAtPath === undefined) return; // Only where names below a descriptor are slow.
    assert.equal(statAtPath(directory, "missing"), undefined);
    fs.writeFileSync(path.join(parent, "file"), "content");
    fs.symlinkSync("nowhere", path.join(parent, "dangling"));
    for (const name of ["file", "dangling"]) {
      assert.deepEqual(statAtPath(directory, name), port.statName(directory, name), name);
    }
  });
});

test("the short cut follows a directory that was moved, within a second", { skip }, async () => {
  await withDirectory((_, parent) => {
    const { statAtPath } = port;
    if (statAtPath === undefined) return; // Only where names below a descriptor are slow.
    const place = path.join(parent, "place");
    fs.mkdirSync(place);
    const moved = port.openRoot(place);
    try {
      assert.equal(statAtPath(moved, "file"), undefined);
      fs.renameSync(place, path.join(parent, "elsewhere"));
      fs.writeFileSync(path.join(parent, "elsewhere", "file"), "content");
      const laterMs = performance.now() + 1_000;
      const clock = mock.method(performance, "now", () => laterMs);
      // Nothing lies at the old path; then another directory does.
      assert.equal(statAtPath(moved, "file")?.sizeBytes, 7);
      fs.mkdirSync(place);
      assert.equal(statAtPath(moved, "file")?.sizeBytes, 7);
      clock.mock.restore();
    } finally {
      port.closeDirectory(moved);
    }
  });
});
