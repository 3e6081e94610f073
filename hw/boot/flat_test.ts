import { assertEquals, assertThrows } from "@std/assert";
import { type FlatOptions, planFlat } from "./flat.ts";
import { KernelError } from "./image_error.ts";

const image = new Uint8Array(512).fill(0x90);
const plan = (options: Partial<FlatOptions> = {}) =>
  planFlat({ file: "boot.bin", image, ramSize: 2 ** 20 * 16, ...options });

Deno.test("a flat image starts like a boot sector unless told otherwise", () => {
  const { blobs, entry } = plan();
  assertEquals(blobs[0].address, 0x7c00);
  assertEquals(entry, { mode: "real", cs: 0, ip: 0x7c00, ds: 0, registers: { esp: 0x7000 } });
});

Deno.test("a flat image starts at the given segment and offset, with the given registers", () => {
  const { entry } = plan({ address: 0x10000, cs: 0x1000, registers: { edx: 0x80, esp: 0x100 } });
  assertEquals(entry, {
    mode: "real",
    cs: 0x1000,
    ip: 0,
    ds: 0,
    registers: { esp: 0x100, edx: 0x80 },
  });
});

Deno.test("a flat image starts in protected mode above 1 MiB", () => {
  const { entry } = plan({ address: 0x100000, mode: "protected" });
  assertEquals(entry, { mode: "protected", eip: 0x100000, registers: { esp: 0x7000 } });
});

const REFUSED: [string, Partial<FlatOptions>, string][] = [
  ["an empty image", { image: new Uint8Array() }, "it is empty"],
  ["an address in the legacy hole", { address: 0xa0000 }, "are not in RAM"],
  ["an image that runs into the EBDA", { address: 0x9fb00 }, "are not in RAM"],
  ["an image beyond RAM", { address: 0xffff00 }, "are not in RAM"],
  ["an address out of real mode's reach", { address: 0x20000 }, "does not reach"],
  ["a segment beyond 16 bits", { cs: 0x10000 }, "cs 0x10000 is not a 16-bit number"],
];
for (const [what, options, message] of REFUSED) {
  Deno.test(`planFlat refuses ${what}, naming the file`, () => {
    assertEquals(assertThrows(() => plan(options), KernelError, message).file, "boot.bin");
  });
}
