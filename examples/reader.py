#!/usr/bin/env python3
"""Print the sessions of a sessiondir store, without the library.

    python3 reader.py PATH [--key KEY] [--json]

PATH is the store's directory, for example sessions.d. Every session becomes one line on stdout, a JSON object
{"key", "version", "entry"}, sorted by key. Damage goes to stderr, one line each (as JSON with --json); a damaged
session is not printed. Exit status: 0 no damage, 1 damage, 2 the store cannot be read.

Written from docs/format.md alone; "section" below means a section of that page. Nothing is written or locked.
"""
import argparse
import base64
import hashlib
import json
import os
import re
import stat
import sys
import zlib

SEGMENT = re.compile(r"([0-9]{16})\.jsonl")
HASHES = {"base64url": re.compile(r"hash-[A-Za-z0-9_-]{43}"), "hash": re.compile(r"hash-[0-9a-f]{64}")}
DOCUMENT_SUM = re.compile(rb'\n  "checksum": "([0-9a-f]{8})"')
RECORD_SUM = re.compile(rb',"checksum":"([0-9a-f]{8})"}')
# What JavaScript trims; str.strip() without an argument trims other characters.
BLANKS = "\t\n\v\f\r \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"


class Unreadable(Exception):
    """The store as a whole cannot be read."""


class Damaged(Exception):
    """One file or one session is damaged."""


class Changed(Exception):
    """The store changed in a way that asks for a fresh start."""


def read_file(path, offset=0):
    """The bytes of an ordinary file from an offset on; never through a link, never from a pipe or device."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged("cannot be opened: %s" % error.strerror)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Damaged("not an ordinary file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            file.seek(offset)
            return file.read()
    finally:
        os.close(fd)


def list_directory(path):
    """The sorted names in a directory that is not a link."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise Unreadable("%s is not a directory" % path)
        return sorted(os.listdir(path))
    except OSError as error:
        raise Unreadable("%s: %s" % (path, error.strerror))


def parse(data):
    """The JSON object in some bytes."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=int)
    except (ValueError, RecursionError) as error:
        raise Damaged("not UTF-8 JSON: %s" % error)
    if not isinstance(value, dict):
        raise Damaged("not a JSON object")
    return value


def checksum(data):
    """The checksum of some bytes, as it is written (section 2)."""
    return b"%08x" % zlib.crc32(data)


def check_document(data):
    """Compare a document with its checksum."""
    found = DOCUMENT_SUM.search(data)
    if not found or checksum(data[: found.start(1)] + b"00000000" + data[found.end(1) :]) != found.group(1):
        raise Damaged("wrong checksum")


def parse_record(line):
    """The record in a journal line without its newline, or None if the line is not valid."""
    found = RECORD_SUM.fullmatch(line[-23:])
    return parse(line) if found and checksum(line[:-23]) == found.group(1) else None


def read_manifest(root):
    """The manifest, if this reader understands the store (section 3)."""
    path = os.path.join(root, "state.json")
    try:
        data = read_file(path)
        manifest = parse(data)
        if manifest.get("kind") != "sessiondir-store":
            raise Unreadable("not a sessiondir store, but of the kind %r" % manifest.get("kind"))
        if manifest.get("layoutVersion") != 1:
            raise Unreadable("layout %r is not known" % manifest.get("layoutVersion"))
        check_document(data)
        known = {"keyRule": ("openclaw", "exact"), "fileNames": ("base64url", "hash"), "shardDigits": (0, 2)}
        for field, values in known.items():
            if manifest[field] not in values:
                raise Unreadable("%s %r is not known" % (field, manifest[field]))
        if manifest["features"]["required"]:
            raise Unreadable("features not known: %s" % ", ".join(map(str, manifest["features"]["required"])))
        manifest["checkpoint"]["version"] + 0, manifest["checkpoint"]["record"], manifest["incarnation"]
    except (OSError, Damaged, KeyError, TypeError) as error:
        raise Unreadable("%s: %s" % (path, getattr(error, "strerror", None) or error))
    return manifest


def entry_path(manifest, key):
    """Where the entry file of a key lies, below entries/ (section 5)."""
    data = key.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(data)
    if manifest["fileNames"] == "hash":
        name = "hash-" + digest.hexdigest()
    else:
        raw, prefix = (data, "") if len(data) <= 120 else (digest.digest(), "hash-")
        name = prefix + base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    return os.path.join(digest.hexdigest()[: manifest["shardDigits"]], "session-%s.json" % name)


def entry_paths(manifest, root):
    """The paths of all entry files, below entries/; names that match no rule are left out."""
    top = os.path.join(root, "entries")
    shards = [name for name in list_directory(top) if re.fullmatch("[0-9a-f]{2}", name)]
    for shard in shards if manifest["shardDigits"] else [""]:
        for name in list_directory(os.path.join(top, shard) if shard else top):
            match = re.fullmatch(r"session-([A-Za-z0-9_-]+)\.json", name)
            path = os.path.join(shard, name)
            if match and (HASHES[manifest["fileNames"]].fullmatch(match.group(1)) or key_in_name(manifest, path)):
                yield path


def key_in_name(manifest, path):
    """The key that the name of an entry file says, or None for a hash and for names that match no rule."""
    text = os.path.basename(path)[len("session-") : -len(".json")]
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8")
    except ValueError:
        return None
    return key if entry_path(manifest, key) == path else None


def read_entry(manifest, root, path):
    """(key, version, entry) from an entry file."""
    data = read_file(os.path.join(root, "entries", path))
    check_document(data)
    document = parse(data)
    key, version, entry = (document.get(field) for field in ("sessionKey", "version", "entry"))
    if not (isinstance(key, str) and type(version) is int and isinstance(entry, dict)):
        raise Damaged("a field is missing or of the wrong type")
    if entry_path(manifest, key) != path:
        raise Damaged("holds the key %r, which its name does not say" % key)
    return key, version, entry


class Journal:
    """Follows the journal and collects the operations on every key (section 4)."""

    def __init__(self, root, manifest, names):
        """Choose the first segment; `names` was listed before the manifest was read."""
        self.root, self.manifest = root, manifest
        self.checkpoint = manifest["checkpoint"]
        self.operations = {}  # key: [(version, segment, operation)]
        self.problem = None  # what ended the journal before its end
        starts = [start for start in self.segments(names) if start <= self.checkpoint["version"] + 1]
        if not starts:
            raise Changed("the journal does not reach back to the checkpoint")
        self.go_to(max(starts))
        self.version, self.record = self.segment - 1, None

    def segments(self, names):
        """The first versions of the segments, in order."""
        return [int(match.group(1)) for match in map(SEGMENT.fullmatch, names) if match]

    def go_to(self, segment):
        """Go on at the beginning of a segment."""
        self.segment, self.offset, self.sealed = segment, 0, False
        self.name = os.path.join("journal", "%016d.jsonl" % segment)

    def read(self, segment, offset=0):
        """The bytes of a segment."""
        name = os.path.join("journal", "%016d.jsonl" % segment)
        try:
            return read_file(os.path.join(self.root, name), offset)
        except FileNotFoundError:
            raise Changed("%s is missing" % name)
        except Damaged as error:
            raise Unreadable("%s: %s" % (name, error))

    def advance(self):
        """Read on to what is the end by now."""
        try:
            following = self.segment
            while following and not self.problem:
                self.read_segment()
                following = self.following()
                if following:
                    self.go_to(following)
        except Damaged as error:
            self.problem = ("file", self.name, str(error))

    def read_segment(self):
        """Apply the records behind the offset, up to the first line that is not valid."""
        for line in [] if self.sealed else self.read(self.segment, self.offset).split(b"\n")[:-1]:
            record = parse_record(line)
            if record is None or self.sealed:
                break
            try:
                self.apply(record, self.offset == 0)
            except (KeyError, TypeError, AttributeError) as error:
                raise Unreadable("%s: a record of an unknown form: %r" % (self.name, error))
            self.offset += len(line) + 1

    def following(self):
        """The segment to go on with, or None at the end of the journal."""
        folder = os.path.join(self.root, "journal")
        if self.sealed and os.path.lexists(os.path.join(folder, "%016d.jsonl" % (self.version + 1))):
            return self.version + 1
        names = list_directory(folder)
        later = [start for start in self.segments(names) if start > self.segment]
        if self.sealed:
            if later:
                raise Changed("the segment of version %d is missing" % (self.version + 1))
            return None
        for start in later:
            line, newline, _ = self.read(start).partition(b"\n")
            if newline and "carry" in (parse_record(line) or {}):
                return start
        if not later:
            return None
        self.read_segment()  # the seal may have come before the later segment, but after it was looked for
        if not self.sealed:
            raise Damaged("has no valid seal, but there is a later segment")
        return self.following()

    def apply(self, record, first):
        """Take over one record."""
        if first and record.get("store", self.manifest["incarnation"]) != self.manifest["incarnation"]:
            raise Changed("%s does not belong to the store" % self.name)
        if record.get("seal") == "fenced":
            raise Unreadable("the store was closed for good; its content is elsewhere")
        if record.get("seal") in ("rotated", "suspect"):
            if record["lastVersion"] != self.version:
                raise Damaged("is sealed after version %d, but ends with %d" % (record["lastVersion"], self.version))
            self.sealed = True
        elif "carry" in record:
            for listed in self.operations.values():
                listed[:] = [item for item in listed if item[1] < record["suspectFrom"]]
            for item in record["carry"]:
                self.add(item["version"], item)
            self.version, self.record = record["lastVersion"], record["lastRecord"]
        elif "operations" in record:
            if record["version"] != self.version + 1:
                raise Damaged("version %d comes after %d" % (record["version"], self.version))
            if first and self.record and record["previousRecord"] != self.record:
                raise Damaged("does not continue the segment before")
            for operation in record["operations"]:
                self.add(record["version"], operation)
            self.version, self.record = record["version"], record["checksum"]
            if self.version == self.checkpoint["version"] and self.record != self.checkpoint["record"]:
                raise Damaged("version %d is not the one of the checkpoint" % self.version)
        else:
            raise Unreadable("%s: a record of an unknown kind" % self.name)

    def add(self, version, operation):
        """Remember an operation on a key."""
        keys = [operation[kind] for kind in ("put", "patch", "remove") if kind in operation]
        if len(keys) != 1:
            raise Unreadable("%s: an unknown operation" % self.name)
        self.operations.setdefault(keys[0], []).append((version, self.segment, operation))


def state_of(version, entry, operations):
    """The state after the operations on a base (section 6): (version, entry); None is absent, Damaged is unknown."""
    for number, _, operation in [item for item in operations if item[0] > version]:
        if "patch" not in operation:
            entry = operation.get("entry")
        elif entry is None or (isinstance(entry, dict) and operation["base"] != version):
            entry = Damaged("the patch of version %d is on another state than the one before it" % number)
        elif isinstance(entry, dict):
            gone = operation.get("unset", [])
            entry = {name: value for name, value in {**entry, **operation["set"]}.items() if name not in gone}
        version = number
    return version, entry


def read_store(root, wanted, last_try):
    """([(key, version, entry)], [("key" or "file", which, why damaged)]): all sessions, or the wanted one."""
    folder = os.path.join(root, "journal")
    names = list_directory(folder) if os.path.lexists(folder) else []
    manifest = read_manifest(root)
    if wanted is not None and manifest["keyRule"] == "openclaw":
        wanted = wanted.strip(BLANKS).lower()
    journal = Journal(root, manifest, names)
    journal.advance()
    bases, damage, sessions = {}, [], []
    for path in entry_paths(manifest, root) if wanted is None else [entry_path(manifest, wanted)]:
        try:
            key, version, entry = read_entry(manifest, root, path)
            bases[path] = (key, version, entry)
        except FileNotFoundError:
            pass
        except Damaged as error:
            bases[path] = (key_in_name(manifest, path), journal.checkpoint["version"], error)
    journal.advance()  # entry files may have become newer than what was read of the journal
    newest = max([base[1] for base in bases.values()] + [read_manifest(root)["checkpoint"]["version"]])
    if newest > journal.version and not journal.problem:
        if not last_try:
            raise Changed("a checkpoint overtook the reader")
        journal.problem = ("file", journal.name, "ends before version %d" % newest)
    if journal.problem:
        damage.append(journal.problem)
    for key in journal.operations if wanted is None else [wanted]:
        path = entry_path(manifest, key)
        bases[path] = (key,) + bases.get(path, (key, journal.checkpoint["version"], None))[1:]
    for path, (key, version, entry) in bases.items():
        version, entry = state_of(version, entry, journal.operations.get(key, []))
        if isinstance(entry, Damaged):
            which = ("file", os.path.join("entries", path)) if key is None else ("key", key)
            damage.append(which + (str(entry),))
        elif entry is not None:
            sessions.append((key, version, entry))
    return sorted(sessions, key=lambda session: session[0]), damage


def main():
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(description="Print the sessions of a sessiondir store, one JSON object per line.")
    parser.add_argument("path", help="the store's directory, for example sessions.d")
    parser.add_argument("--key", help="print only this session")
    parser.add_argument("--json", action="store_true", help="report damage as JSON, too")
    options = parser.parse_args()
    for tries_left in range(9, -1, -1):
        try:
            sessions, damage = read_store(options.path, options.key, tries_left == 0)
            break
        except (Changed, Unreadable) as error:
            if isinstance(error, Unreadable) or not tries_left:
                print("reader.py: cannot read the store: %s" % error, file=sys.stderr)
                return 2
    for key, version, entry in sessions:
        print(json.dumps({"key": key, "version": version, "entry": entry}))
    for kind, which, reason in damage:
        text = "damaged %s %s: %s" % (kind, json.dumps(which), reason)
        print(json.dumps({kind: which, "reason": reason}) if options.json else text, file=sys.stderr)
    return 1 if damage else 0


if __name__ == "__main__":
    sys.exit(main())
