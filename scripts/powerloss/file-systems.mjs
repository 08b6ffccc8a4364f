/** The file systems that can be tried: how each is made and mounted, and what it needs. */

const mebibyte = 1024 * 1024;

export const fileSystems = {
  ext4: {
    sizeBytes: 96 * mebibyte,
    // Everything is laid out at once: the lazy initialisation would write into the recording for seconds.
    makeCommand: ["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"],
    mountOptions: "noatime",
    debianPackage: "e2fsprogs",
  },
  xfs: {
    // The least that mkfs.xfs makes.
    sizeBytes: 320 * mebibyte,
    makeCommand: ["mkfs.xfs", "-q", "-f", "-K"],
    mountOptions: "noatime,nouuid",
    /** For a disk on which every write must be of whole pages. */
    pageSectors: ["-s", "size=4096"],
    debianPackage: "xfsprogs",
  },
  btrfs: {
    sizeBytes: 192 * mebibyte,
    makeCommand: ["mkfs.btrfs", "-q", "-f", "-K"],
    mountOptions: "noatime,nodiscard",
    // Its superblocks have one checksum and no log: torn in the middle, the file system itself is gone.
    untearableOffsets: [64 * 1024, 64 * mebibyte],
    debianPackage: "btrfs-progs",
  },
};
