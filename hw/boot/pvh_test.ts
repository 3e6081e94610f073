import { assert, assertEquals, assertThrows } from "@std/assert";
import { e820Map } from "./e820.ts";
import { ElfError, ImageError, InitrdError, KernelError } from "./image_error.ts";
import { findPvhEntry, planPvh, type PvhOptions } from "./pvh.ts";

const MIB = 2 ** 20;
const SEGMENT = 0x400, NOTES = 0x200;

/** A note with its parts on 4-byte boundaries. */
function note(name: string, type: number, descriptor: number[]): number[] {
  const word = (n: number) => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, (n >> 24) & 0xff];
  const padded = (bytes: number[]) => [...bytes, ...new Array((4 - bytes.length % 4) % 4).fill(0)];
  const text = [...new TextEncoder().encode(`${name}\0`)];
  return [
    ...word(text.length),
    ...word(descriptor.length),
    ...word(type),
    ...padded(text),
    ...padded(descriptor),
  ];
}

const ENTRY32 = [0x10, 0, 0x10, 0], ENTRY64 = [...ENTRY32, 0, 0, 0, 0];
const OTHERS = [...note("GNU", 18, [1, 2, 3]), ...note("Xen", 6, [0x6c, 0])];

interface Shape {
  is64?: boolean;
  notes?: number[];
  address?: number;
  memorySize?: number;
  alignment?: number;
}

/** An executable with one segment and one of notes. */
function elf(shape: Shape = {}): Uint8Array {
  const { is64 = false, address = 0x100000, memorySize = 0x2000, alignment = 4 } = shape;
  const notes = shape.notes ?? [...OTHERS, ...note("Xen", 18, is64 ? ENTRY64 : ENTRY32)];
  const bytes = new Uint8Array(0x800);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, is64 ? 62 : 3, true);
  const word = (at: number, n: number) =>
    is64 ? view.setBigUint64(at, BigInt(n), true) : view.setUint32(at, n, true);
  const [header, size] = is64 ? [64, 56] : [52, 32];
  word(24, 0x123456);
  word(is64 ? 32 : 28, header);
  view.setUint16(is64 ? 54 : 42, size, true);
  view.setUint16(is64 ? 56 : 44, 2, true);
  const fields = is64 ? [8, 16, 24, 32, 40, 48] : [4, 8, 12, 16, 20, 28];
  const program = (i: number, type: number, values: number[]) => {
    view.setUint32(header + i * size, type, true);
    fields.forEach((field, k) => word(header + i * size + field, values[k]));
  };
  program(0, 1, [SEGMENT, 0xc0100000, address, 0x100, memorySize, 0x1000]);
  program(1, 4, [NOTES, 0, 0, notes.length, notes.length, alignment]);
  bytes.set(notes, NOTES);
  bytes.fill(0x90, SEGMENT, SEGMENT + 0x100);
  return bytes;
}

function plan(options: Partial<PvhOptions> = {}) {
  const ramSize = options.ramSize ?? 16 * MIB;
  return planPvh({
    file: "/guests/vmlinux",
    kernel: elf(),
    ramSize,
    memoryMap: e820Map(ramSize),
    ...options,
  })!;
}

for (const is64 of [false, true]) {
  const bits = is64 ? 64 : 32;
  Deno.test(`a ${bits}-bit ELF kernel starts at the entry of its note, not of its header`, () => {
    const { blobs, entry } = plan({ kernel: elf({ is64 }) });
    assert(entry.mode === "protected");
    assertEquals(entry.eip, 0x100010);
    assertEquals(blobs[0].address, 0x100000);
    assertEquals(blobs[0].bytes.length, 0x2000);
    assertEquals([blobs[0].bytes[0xff], blobs[0].bytes[0x100]], [0x90, 0]);
  });
}

Deno.test("the note of a 64-bit kernel may hold 4 bytes, and lie on 8-byte boundaries", () => {
  const four = elf({ is64: true, notes: note("Xen", 18, ENTRY32) });
  assertEquals(findPvhEntry("k", four), 0x100010);
  // Header 12, name 4, then the descriptor at 16; the next note at 24.
  const eight = [
    ...note("Xen", 1, [7]),
    0,
    0,
    0,
    0,
    ...note("Xen", 18, ENTRY64),
  ];
  assertEquals(findPvhEntry("k", elf({ is64: true, notes: eight, alignment: 8 })), 0x100010);
});

Deno.test("the start information tells command line, modules, ACPI and memory", () => {
  const { blobs, entry } = plan({
    commandLine: "console=ttyS0",
    modules: [
      { file: "initrd.img", bytes: new Uint8Array(4097).fill(1) },
      { file: "more", bytes: new Uint8Array(5).fill(2), string: "more=1" },
    ],
    rsdpAddress: 0xe0000,
  });
  const block = blobs.find(({ what }) => what === "PVH start information")!;
  assert(entry.mode === "protected");
  assertEquals(entry.registers, { ebx: block.address });
  const view = new DataView(block.bytes.buffer);
  const at = (address: number): number => Number(view.getBigUint64(address - block.address, true));
  const text = (address: number): string => {
    const from = address - block.address;
    return new TextDecoder().decode(block.bytes.subarray(from, block.bytes.indexOf(0, from)));
  };
  assertEquals([0, 4, 8, 12].map((n) => view.getUint32(n, true)), [0x336ec578, 1, 0, 2]);
  const list = at(block.address + 16);
  const [first, second] = blobs.filter(({ what }) => what.startsWith("module"));
  assertEquals([first.address, second.address], [16 * MIB - 0x2000, 16 * MIB - 0x3000]);
  assertEquals([0, 8, 16].map((n) => at(list + n)), [first.address, 4097, 0]);
  assertEquals([at(list + 32), at(list + 40)], [second.address, 5]);
  assertEquals(text(at(list + 48)), "more=1");
  assertEquals(text(at(block.address + 24)), "console=ttyS0");
  assertEquals(at(block.address + 32), 0xe0000);
  const map = at(block.address + 40);
  assertEquals(view.getUint32(48, true), 4);
  assertEquals([0, 8, 16].map((n) => at(map + n)), [0, 0x9fc00, 1]);
  assertEquals([72, 80, 88].map((n) => at(map + n)), [MIB, 15 * MIB, 1]);
});

Deno.test("a kernel without modules gets no address of a list", () => {
  const { blobs } = plan();
  const block = blobs.find(({ what }) => what === "PVH start information")!;
  const view = new DataView(block.bytes.buffer);
  assertEquals([view.getUint32(12, true), view.getBigUint64(16, true)], [0, 0n]);
});

Deno.test("what is no ELF file, or has no such note, has no PVH entry", () => {
  assertEquals(
    planPvh({ file: "k", kernel: new Uint8Array(64), ramSize: MIB, memoryMap: [] }),
    undefined,
  );
  assertEquals(plan({ kernel: elf({ notes: OTHERS }) }), undefined);
});

const REFUSED: [string, Partial<PvhOptions>, string][] = [
  [
    "a note with an address of another size",
    { kernel: elf({ notes: note("Xen", 18, [1, 2]) }) },
    "XEN_ELFNOTE_PHYS32_ENTRY has 2 bytes",
  ],
  [
    "an entry beyond 4 GiB",
    {
      kernel: elf({ is64: true, notes: note("Xen", 18, [0, 0, 0, 0x81, 0xff, 0xff, 0xff, 0xff]) }),
    },
    "below 4 GiB",
  ],
  [
    "an entry outside of the segments",
    { kernel: elf({ notes: note("Xen", 18, [0, 0, 0x20, 0]) }) },
    "the entry 0x200000 of its note",
  ],
  [
    "two notes with an entry",
    { kernel: elf({ notes: [...note("Xen", 18, ENTRY32), ...note("Xen", 18, ENTRY32)] }) },
    "2 notes XEN_ELFNOTE_PHYS32_ENTRY",
  ],
  ["a load into video memory", {
    kernel: elf({ address: 0xa0000, notes: note("Xen", 18, [0, 0, 0xa, 0]) }),
  }, "where there is no RAM"],
  ["a load beyond RAM", { kernel: elf({ memorySize: 16 * MIB }) }, "give the machine more memory"],
  ["a NUL in the command line", { commandLine: "a\0b" }, "NUL"],
];
for (const [what, options, message] of REFUSED) {
  Deno.test(`planPvh refuses ${what}, naming the file`, () => {
    const error = assertThrows(() => plan(options), KernelError, message);
    assertEquals(error.file, "/guests/vmlinux");
  });
}

Deno.test("planPvh refuses notes that reach beyond their segment", () => {
  const whole = note("Xen", 18, ENTRY32);
  for (
    const [length, message] of [[8, "its header"], [14, "its name"], [
      18,
      "its descriptor",
    ]] as const
  ) {
    const kernel = elf({ notes: whole.slice(0, length) });
    assertThrows(() => plan({ kernel }), ElfError, `has ${message} beyond`);
  }
});

Deno.test("planPvh refuses modules that are empty or do not fit", () => {
  const fit = (length: number) =>
    plan({ modules: [{ file: "initrd", bytes: new Uint8Array(length) }] });
  assertThrows(() => fit(0), InitrdError, "it is empty");
  assertThrows(() => fit(15 * MIB), InitrdError, "do not fit behind the kernel");
  fit(14 * MIB);
});

Deno.test("a PVH kernel with any one byte changed is planned or refused, never a crash", () => {
  for (const is64 of [false, true]) {
    for (let at = 0; at < NOTES + 0x60; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const kernel = elf({ is64 });
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
