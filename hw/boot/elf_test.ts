import { assert, assertEquals, assertThrows } from "@std/assert";
import { isElf, isElf64, parseElf32 } from "./elf.ts";
import { ElfError } from "./image_error.ts";

/** An executable with one segment of 16 bytes in the file and 64 in memory. */
function elf(patch: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0xc0100008, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x80, 0xc0100000, 0x100000, 16, 64].forEach((word, i) =>
    view.setUint32(52 + 4 * i, word, true)
  );
  patch(view);
  return bytes;
}

Deno.test("a segment is found with its place in the file and in physical memory", () => {
  assertEquals(parseElf32("k", elf()).segments, [{
    offset: 0x80,
    virtualAddress: 0xc0100000,
    address: 0x100000,
    fileSize: 16,
    memorySize: 64,
  }]);
});

Deno.test("a virtual entry point becomes the physical address behind it", () => {
  assertEquals(parseElf32("k", elf()).entry, 0x100008);
  assertEquals(parseElf32("k", elf((v) => v.setUint32(24, 0x100004, true))).entry, 0x100004);
});

Deno.test("the ELF magic and class are told apart", () => {
  assert(isElf(elf()) && !isElf64(elf()));
  assert(isElf64(elf((v) => v.setUint8(4, 2))));
  assert(!isElf(new Uint8Array(3)));
});

const REFUSED: [string, (view: DataView) => void, string][] = [
  ["another magic", (v) => v.setUint8(0, 0), "does not begin with the ELF magic"],
  ["the 64-bit class", (v) => v.setUint8(4, 2), "64-bit executable"],
  ["an unknown class", (v) => v.setUint8(4, 9), "unknown class 9"],
  ["big-endian data", (v) => v.setUint8(5, 2), "not little-endian"],
  ["an unknown version", (v) => v.setUint8(6, 0), "unknown version 0"],
  ["an object file", (v) => v.setUint16(16, 1, true), "of type 1, not an executable"],
  ["another machine", (v) => v.setUint16(18, 40, true), "machine 40, not x86"],
  ["no program headers", (v) => v.setUint16(44, 0, true), "no program headers"],
  ["short program headers", (v) => v.setUint16(42, 16, true), "16 bytes each"],
  ["program headers beyond the end", (v) => v.setUint32(28, 0xf0, true), "cut short"],
  ["a program header offset that wraps", (v) => v.setUint32(28, 0xffffffff, true), "cut short"],
  ["a segment beyond the end", (v) => v.setUint32(56, 0xf8, true), "cut short: segment 0"],
  ["a segment larger in the file", (v) => v.setUint32(68, 65, true), "takes 65 bytes in the file"],
  ["a segment beyond 4 GiB", (v) => v.setUint32(64, 0xfffffff0, true), "below 4 GiB"],
  ["nothing to load", (v) => v.setUint32(52, 4, true), "no segment to load"],
  ["an entry outside of the segments", (v) => v.setUint32(24, 0x5000, true), "0x5000 is in none"],
];
for (const [what, patch, message] of REFUSED) {
  Deno.test(`parseElf32 refuses ${what}, naming the file`, () => {
    const error = assertThrows(() => parseElf32("k.elf", elf(patch)), ElfError, message);
    assertEquals(error.file, "k.elf");
  });
}

Deno.test("a header cut short anywhere is refused", () => {
  for (let length = 0; length < 0x90; length++) {
    assertThrows(() => parseElf32("k", elf().subarray(0, length)), ElfError);
  }
});
