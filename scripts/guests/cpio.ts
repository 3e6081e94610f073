/** Writes cpio archives in the "newc" format (Linux: Documentation/driver-api/early-userspace/buffer-format.rst). */

/** Bits of `c_mode` that say what an entry is. */
const S_IFDIR = 0o040000, S_IFCHR = 0o020000, S_IFREG = 0o100000, S_IFLNK = 0o120000;

/** One entry of an archive. Paths have no leading slash. */
export type CpioEntry =
  | { kind: "directory"; path: string; mode?: number }
  | { kind: "file"; path: string; data: Uint8Array | string; mode?: number }
  | { kind: "symlink"; path: string; target: string }
  | { kind: "char"; path: string; major: number; minor: number; mode?: number };

/** The archive as bytes. The same entries always give the same bytes: owner 0, time 0, inodes counted from 1. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const seen = new Set<string>();
  const encoder = new TextEncoder();
  const pad = (length: number) => parts.push(new Uint8Array((4 - (length & 3)) & 3));
  let inode = 0;

  const add = (
    path: string,
    mode: number,
    data: Uint8Array,
    links = 1,
    major = 0,
    minor = 0,
  ) => {
    if (path === "" || path.startsWith("/")) throw new RangeError(`bad path in archive: "${path}"`);
    if (seen.has(path)) throw new RangeError(`"${path}" is twice in the archive`);
    seen.add(path);
    const name = encoder.encode(path + "\0");
    const fields = [
      ++inode,
      mode,
      0, // uid
      0, // gid
      links,
      0, // mtime
      data.length,
      0, // device's major
      0, // device's minor
      major,
      minor,
      name.length,
      0, // checksum, unused in this format
    ];
    const header = encoder.encode(
      "070701" + fields.map((f) => f.toString(16).toUpperCase().padStart(8, "0")).join(""),
    );
    parts.push(header, name);
    pad(header.length + name.length);
    parts.push(data);
    pad(data.length);
  };

  const none = new Uint8Array();
  for (const entry of entries) {
    switch (entry.kind) {
      case "directory":
        add(entry.path, S_IFDIR | (entry.mode ?? 0o755), none, 2);
        break;
      case "file": {
        const { data } = entry;
        const bytes = typeof data === "string" ? encoder.encode(data) : data;
        add(entry.path, S_IFREG | (entry.mode ?? 0o644), bytes);
        break;
      }
      case "symlink":
        add(entry.path, S_IFLNK | 0o777, encoder.encode(entry.target));
        break;
      case "char":
        add(entry.path, S_IFCHR | (entry.mode ?? 0o600), none, 1, entry.major, entry.minor);
        break;
    }
  }
  inode = -1;
  add("TRAILER!!!", 0, none);

  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const archive = new Uint8Array(Math.ceil(size / 512) * 512);
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}
