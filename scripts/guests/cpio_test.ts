import { assertEquals, assertThrows } from "@std/assert";
import { type CpioEntry, writeCpio } from "./cpio.ts";

/** Reads an archive back by the format's definition. */
function read(archive: Uint8Array): { path: string; mode: number; data: string; ino: number }[] {
  const text = new TextDecoder();
  const entries = [];
  for (let at = 0;;) {
    assertEquals(text.decode(archive.subarray(at, at + 6)), "070701");
    const field = (n: number) =>
      parseInt(text.decode(archive.subarray(at + 6 + n * 8, at + 14 + n * 8)), 16);
    const size = field(6), nameSize = field(11);
    const path = text.decode(archive.subarray(at + 110, at + 110 + nameSize - 1));
    const start = (at + 110 + nameSize + 3) & ~3;
    if (path === "TRAILER!!!") return entries;
    const data = text.decode(archive.subarray(start, start + size));
    entries.push({ path, mode: field(1), data, ino: field(0) });
    at = (start + size + 3) & ~3;
  }
}

const ENTRIES: CpioEntry[] = [
  { kind: "directory", path: "bin" },
  { kind: "file", path: "bin/sh", data: "#!", mode: 0o755 },
  { kind: "symlink", path: "bin/ls", target: "sh" },
  { kind: "char", path: "console", major: 5, minor: 1 },
];

Deno.test("writeCpio writes what a newc reader reads", () => {
  assertEquals(read(writeCpio(ENTRIES)), [
    { path: "bin", mode: 0o040755, data: "", ino: 1 },
    { path: "bin/sh", mode: 0o100755, data: "#!", ino: 2 },
    { path: "bin/ls", mode: 0o120777, data: "sh", ino: 3 },
    { path: "console", mode: 0o020600, data: "", ino: 4 },
  ]);
});

Deno.test("writeCpio gives the same bytes every time, in whole blocks", () => {
  const one = writeCpio(ENTRIES), two = writeCpio(ENTRIES);
  assertEquals(one, two);
  assertEquals(one.length % 512, 0);
});

Deno.test("writeCpio refuses absolute and repeated paths", () => {
  assertThrows(() => writeCpio([{ kind: "directory", path: "/bin" }]), RangeError, "bad path");
  assertThrows(() => writeCpio([ENTRIES[0], ENTRIES[0]]), RangeError, "twice");
});
