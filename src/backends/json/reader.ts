/**
 * Reading a legacy store without a lock: the view as of now, made anew only when one of the two files changed.
 *
 * The order makes the two fit: `sessions.json` first, then the versions file, which a save replaces first. So when
 * neither of its states is that of the content that was read, either somebody else wrote `sessions.json` or we slept
 * through several saves; a second look at `sessions.json` tells which.
 */

import { fromSystemError } from "../../errors.js";
import type { Directory, Port } from "../../fs/port.js";
import { fixedLimits } from "../../limits.js";
import { type JsonLocation, livePathOf, versionsName } from "./layout.js";
import { requireNotTakenOver, toLiveContent } from "./live-file.js";
import { unsafeFile } from "./problems.js";
import { parseVersionsFile, type VersionsFile } from "./versions-file.js";
import { type LiveContent, makeView, nothingLive, type View, type ViewRules } from "./view.js";
import { type Look, WatchedFile } from "./watched-file.js";

const attemptsMax = 10;

export class ViewReader {
  readonly port: Port;
  readonly parent: Directory;
  readonly location: JsonLocation;
  readonly rules: ViewRules;
  readonly liveFile: WatchedFile;
  readonly versionsFile: WatchedFile;
  #live: LiveContent | undefined;
  #versions: VersionsFile | undefined;
  #hasUnusableVersions = false;
  #view: View | undefined;

  constructor(port: Port, parent: Directory, location: JsonLocation, rules: ViewRules) {
    this.port = port;
    this.parent = parent;
    this.location = location;
    this.rules = rules;
    this.liveFile = new WatchedFile(port, parent, location.legacyName, rules.limits.legacyFileBytes);
    this.versionsFile = new WatchedFile(port, parent, versionsName(location.legacyName), versionsBytesMax);
  }

  /** The versions file as of the last view. */
  get versions(): VersionsFile | undefined {
    return this.#versions;
  }

  /** It is there, but of no use: damaged, or of a later version of this program. */
  get hasUnusableVersions(): boolean {
    return this.#hasUnusableVersions;
  }

  /** Throws `invalid_legacy`, `unsafe_path`, `store_gone`, and what the system reports, translated. */
  current(): View {
    try {
      return this.#current();
    } catch (error) {
      // What could not be read must not pass for unchanged at the next look.
      this.liveFile.forget();
      this.versionsFile.forget();
      throw fromSystemError(error, { operation: "read the store", path: livePathOf(this.location) });
    }
  }

  /** For the writer, who knows what it wrote. */
  replaceView(view: View, versions: VersionsFile): void {
    this.#live = view.live;
    this.#versions = versions;
    this.#hasUnusableVersions = false;
    this.#view = view;
  }

  #current(): View {
    // Also while the legacy file is still there: from the moment the directory appears, the sessions are in it.
    requireNotTakenOver(this.port, this.parent, this.location);
    let live = this.liveFile.look();
    for (let attempt = 0; ; attempt += 1) {
      const before = this.#view;
      this.#takeLive(live);
      this.#takeVersions(this.versionsFile.look());
      if (this.#view !== undefined && this.#view === before) return this.#view;
      this.#view ??= makeView(this.#live as LiveContent, this.#versions, this.rules);
      if (!this.#view.isForeign || attempt >= attemptsMax) return this.#view;
      live = this.liveFile.look();
      if (!this.#differs(live)) return this.#view;
    }
  }

  #differs(live: Look): boolean {
    if (live.state === "same") return false;
    return live.state !== "missing" || this.#live !== nothingLive;
  }

  #takeLive(look: Look): void {
    if (look.state === "same") return;
    if (look.state === "missing") {
      if (this.#live !== nothingLive) this.#view = undefined;
      this.#live = nothingLive;
      return;
    }
    this.#view = undefined;
    this.#live = undefined;
    this.#live = toLiveContent(this.port, this.parent, this.location, look, this.rules.limits);
  }

  #takeVersions(look: Look): void {
    if (look.state === "same") return;
    if (look.state === "unsafe") {
      throw unsafeFile(`${this.parent.displayPath}/${versionsName(this.location.legacyName)}`, look.problem);
    }
    const before = this.#versions;
    this.#versions = look.state === "changed" ? parseVersionsFile(look.bytes) : undefined;
    this.#hasUnusableVersions = look.state !== "missing" && this.#versions === undefined;
    if (before !== undefined || this.#versions !== undefined) this.#view = undefined;
  }
}

/** Derived from a file of at most half a gigabyte whose entries are larger than their versions. */
const versionsBytesMax = fixedLimits.entryFileBytesMax;
