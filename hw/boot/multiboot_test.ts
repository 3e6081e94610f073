import { assert, assertEquals, assertThrows } from "@std/assert";
import { e820Map } from "./e820.ts";
import { ElfError, ImageError, InitrdError, MultibootError } from "./image_error.ts";
import { findMultibootHeader, type MultibootOptions, planMultiboot } from "./multiboot.ts";

const MIB = 2 ** 20;
const MAGIC = 0x1badb002;

function header(flags: number, checksum = -(MAGIC + flags) >>> 0): number[] {
  return [MAGIC, flags, checksum];
}

/** A file with a header at `at` and, if given, its address fields. */
function kludgeFile(fields?: number[], at = 0x40, flags = 0x10003): Uint8Array {
  const bytes = new Uint8Array(0x1000);
  const view = new DataView(bytes.buffer);
  [...header(flags), ...(fields ?? [0x100040, 0x100000, 0, 0, 0x100080])].forEach((word, i) =>
    view.setUint32(at + 4 * i, word >>> 0, true)
  );
  bytes[0x80] = 0xf4;
  return bytes;
}

/** An ELF file with a Multiboot header behind the program header. */
function elfFile(address = 0x100000, memorySize = 0x2000): Uint8Array {
  const bytes = new Uint8Array(0x200);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, address + 0x10, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x80, address, address, 0x100, memorySize].forEach((word, i) =>
    view.setUint32(52 + 4 * i, word, true)
  );
  header(3).forEach((word, i) => view.setUint32(0x80 + 4 * i, word, true));
  return bytes;
}

function plan(options: Partial<MultibootOptions> = {}) {
  const ramSize = options.ramSize ?? 16 * MIB;
  return planMultiboot({
    file: "/guests/test.elf",
    kernel: elfFile(),
    ramSize,
    memoryMap: e820Map(ramSize),
    ...options,
  })!;
}

function information(options: Partial<MultibootOptions> = {}) {
  const { blobs, entry } = plan(options);
  const block = blobs.find((b) => b.what === "multiboot information")!;
  const view = new DataView(block.bytes.buffer, block.bytes.byteOffset);
  assert(entry.mode === "protected");
  assertEquals(entry.registers.ebx, block.address);
  return {
    blobs,
    word: (at: number): number => view.getUint32(at, true),
    at: (address: number): number => view.getUint32(address - block.address, true),
    text: (address: number): string => {
      const from = address - block.address;
      return new TextDecoder().decode(block.bytes.subarray(from, block.bytes.indexOf(0, from)));
    },
  };
}

Deno.test("a header is found on any 4-byte boundary within 8192 bytes", () => {
  for (const at of [0, 4, 0x1f4, 8188 - 8]) {
    const bytes = new Uint8Array(16384);
    const view = new DataView(bytes.buffer);
    header(3).forEach((word, i) => view.setUint32(at + 4 * i, word, true));
    assertEquals(findMultibootHeader("k", bytes), { offset: at, flags: 3 });
  }
});

Deno.test("a header beyond 8192 bytes or off the boundary is none", () => {
  for (const at of [8192, 2]) {
    const bytes = new Uint8Array(16384);
    const view = new DataView(bytes.buffer);
    header(3).forEach((word, i) => view.setUint32(at + 4 * i, word, true));
    assertEquals(findMultibootHeader("k", bytes), undefined);
    assertEquals(plan({ kernel: bytes }), undefined);
  }
});

Deno.test("a magic number with a wrong checksum is passed over when a right one follows", () => {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  header(3, 1).forEach((word, i) => view.setUint32(4 * i, word, true));
  header(2).forEach((word, i) => view.setUint32(32 + 4 * i, word, true));
  assertEquals(findMultibootHeader("k", bytes), { offset: 32, flags: 2 });
});

Deno.test("an ELF kernel is loaded by its physical addresses, its bss cleared", () => {
  const { blobs, entry } = plan();
  assertEquals(blobs[0].address, 0x100000);
  assertEquals(blobs[0].bytes.length, 0x2000);
  assertEquals(blobs[0].bytes.subarray(0, 0x100), elfFile().subarray(0x80, 0x180));
  assert(entry.mode === "protected");
  assertEquals(entry.eip, 0x100010);
  assertEquals(entry.registers.eax, 0x2badb002);
});

Deno.test("a kernel with address fields is loaded by them, whatever its format", () => {
  const { blobs, entry } = plan({
    kernel: kludgeFile([0x100040, 0x100010, 0x100100, 0x100200, 0x100080]),
  });
  assertEquals(blobs[0].address, 0x100010);
  assertEquals(blobs[0].bytes.length, 0x1f0);
  assertEquals(blobs[0].bytes[0x70], 0xf4);
  assertEquals(blobs[0].bytes.subarray(0xf0), new Uint8Array(0x100));
  assert(entry.mode === "protected");
  assertEquals(entry.eip, 0x100080);
});

Deno.test("load_end_addr and bss_end_addr of 0 mean the whole file and no bss", () => {
  assertEquals(plan({ kernel: kludgeFile() }).blobs[0].bytes, kludgeFile());
});

Deno.test("the information tells memory, its map, the command line and the loader", () => {
  const info = information({ commandLine: "a=1 b", vgaText: true });
  assertEquals(info.word(0), 1 | 4 | 8 | 0x40 | 0x200 | 0x1000);
  assertEquals([info.word(4), info.word(8)], [639, 15 * 1024]);
  assertEquals(info.text(info.word(16)), "test.elf a=1 b");
  assertEquals(info.text(info.word(64)), "compy");
  assertEquals(info.word(44), 4 * 24);
  const map = info.word(48);
  assertEquals([0, 4, 12, 20].map((n) => info.at(map + n)), [20, 0, 0x9fc00, 1]);
  assertEquals([0, 4, 12, 20].map((n) => info.at(map + 72 + n)), [20, 0x100000, 15 * MIB, 1]);
  assertEquals(info.word(88), 0xb8000);
});

Deno.test("modules lie on pages behind the kernel, each with its string", () => {
  const info = information({
    modules: [
      { file: "/x/one", bytes: new Uint8Array(4097).fill(1) },
      { file: "/x/two", bytes: new Uint8Array(5).fill(2), string: "two=2" },
    ],
  });
  assertEquals(info.word(20), 2);
  const list = info.word(24);
  assertEquals([info.at(list), info.at(list + 4)], [0x102000, 0x103001]);
  assertEquals([info.at(list + 16), info.at(list + 20)], [0x104000, 0x104005]);
  assertEquals(info.text(info.at(list + 8)), "one");
  assertEquals(info.text(info.at(list + 24)), "two=2");
  const second = info.blobs.find((b) => b.what === "module /x/two")!;
  assertEquals(second.address, 0x104000);
});

Deno.test("the information avoids a kernel that is linked low", () => {
  const info = information({ kernel: elfFile(0x10000, 0x3800) });
  const block = info.blobs.find((b) => b.what === "multiboot information")!;
  assertEquals(block.address, 0x14000);
});

const REFUSED: [string, Partial<MultibootOptions>, string][] = [
  [
    "a wrong checksum",
    { kernel: new Uint8Array(new Uint32Array(header(3, 5)).buffer) },
    "checksum 0x5",
  ],
  ["a header cut off", { kernel: new Uint8Array(new Uint32Array([MAGIC, 3]).buffer) }, "cut off"],
  [
    "address fields cut off",
    { kernel: new Uint8Array(new Uint32Array(header(0x10000)).buffer) },
    "address fields",
  ],
  ["an unknown requirement", { kernel: kludgeFile(undefined, 0x40, 0x10013) }, "(flags 0x10)"],
  [
    "load_addr above header_addr",
    { kernel: kludgeFile([0x100040, 0x100050, 0, 0, 0x100080]) },
    "load_addr 0x100050 is above",
  ],
  [
    "load_addr before the file",
    { kernel: kludgeFile([0x100041, 0x100000, 0, 0, 0x100080]) },
    "65 bytes before the header",
  ],
  [
    "load_end_addr below load_addr",
    { kernel: kludgeFile([0x100040, 0x100000, 0x1000, 0, 0x100080]) },
    "load_end_addr 0x1000 is not above",
  ],
  [
    "load_end_addr beyond the file",
    { kernel: kludgeFile([0x100040, 0x100000, 0x200000, 0, 0x100080]) },
    "cut short",
  ],
  [
    "bss_end_addr below load_end_addr",
    { kernel: kludgeFile([0x100040, 0x100000, 0x100200, 0x100100, 0x100080]) },
    "bss_end_addr 0x100100 is below",
  ],
  [
    "entry_addr outside of the image",
    { kernel: kludgeFile([0x100040, 0x100000, 0, 0, 0x200000]) },
    "entry_addr 0x200000 is outside",
  ],
  [
    "a 64-bit ELF file",
    {
      kernel: (() => {
        const bytes = elfFile();
        bytes[4] = 2;
        return bytes;
      })(),
    },
    "64-bit ELF file without address fields",
  ],
  ["a load into video memory", { kernel: elfFile(0xb8000) }, "where there is no RAM"],
  [
    "a load beyond RAM",
    { kernel: elfFile(0xff0000, 0x20000) },
    "beyond the RAM that ends at 0x1000000",
  ],
];
for (const [what, options, message] of REFUSED) {
  Deno.test(`planMultiboot refuses ${what}, naming the file`, () => {
    const error = assertThrows(() => plan(options), MultibootError, message);
    assertEquals(error.file, "/guests/test.elf");
  });
}

Deno.test("planMultiboot refuses a damaged ELF file and a module that does not fit", () => {
  const cut = elfFile().subarray(0, 0x100);
  assertThrows(() => plan({ kernel: cut }), ElfError, "cut short");
  const modules = [{ file: "m", bytes: new Uint8Array(16 * MIB) }];
  assertThrows(() => plan({ modules }), InitrdError, "does not fit");
});

Deno.test("a file with any one byte changed is planned or refused, never a crash", () => {
  for (const make of [elfFile, kludgeFile]) {
    for (let at = 0; at < 0xa0; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const kernel = make();
        kernel[at] = value;
        try {
          plan({ kernel });
        } catch (error) {
          assert(error instanceof ImageError, `byte ${at.toString(16)}: ${error}`);
        }
      }
    }
  }
});
