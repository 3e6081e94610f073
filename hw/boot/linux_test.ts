import { assert, assertEquals, assertThrows } from "@std/assert";
import { e820Map } from "./e820.ts";
import { ImageError, InitrdError, KernelError } from "./image_error.ts";
import { isLinux, type LinuxOptions, parseSetupHeader, planLinux } from "./linux.ts";

const MIB = 2 ** 20;

/** A bzImage of protocol 2.15 whose code is `code` bytes of its own offset's low byte. */
function bzImage(patch: (view: DataView) => void = () => {}, code = 0x4000): Uint8Array {
  const setup = 5 * 512;
  const image = new Uint8Array(setup + code);
  const view = new DataView(image.buffer);
  for (let i = 0; i < code; i++) image[setup + i] = i & 0xff;
  view.setUint8(0x1f1, 4);
  view.setUint32(0x1f4, code / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint8(0x200, 0xeb);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x214, 0x100000, true);
  view.setUint32(0x22c, 0x37ffffff, true);
  view.setUint32(0x230, 0x400000, true);
  view.setUint8(0x234, 1);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 0x1000000n, true);
  view.setUint32(0x260, 0x800000, true);
  patch(view);
  return image;
}

function plan(options: Partial<LinuxOptions> = {}) {
  const ramSize = options.ramSize ?? 64 * MIB;
  return planLinux({
    file: "vmlinuz",
    kernel: bzImage(),
    ramSize,
    memoryMap: e820Map(ramSize),
    ...options,
  });
}

function blob(options: Partial<LinuxOptions>, what: string) {
  const found = plan(options).blobs.find((b) => b.what.startsWith(what));
  assert(found !== undefined, `no blob ${what}`);
  return found;
}

Deno.test("a bzImage is recognised by its magic numbers", () => {
  assert(isLinux(bzImage()));
  assert(!isLinux(new Uint8Array(4096)));
  assert(!isLinux(new Uint8Array(3)));
});

Deno.test("the protected-mode code is loaded and entered at code32_start with ESI at boot_params", () => {
  const { blobs, entry } = plan();
  const code = blobs[0];
  assertEquals(code.address, 0x100000);
  assertEquals(code.bytes.length, 0x4000);
  assertEquals(code.bytes[0x123], 0x23);
  const params = blobs.find((b) => b.what === "boot_params")!;
  assertEquals(entry, { mode: "protected", eip: 0x100000, registers: { esi: params.address } });
});

Deno.test("boot_params carry header, memory map, command line, screen and ACPI root pointer", () => {
  const { bytes } = blob({
    commandLine: "console=ttyS0",
    rsdpAddress: 0xf0000,
    vgaText: true,
  }, "boot_params");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  assertEquals(view.getUint32(0x202, true), 0x53726448);
  assertEquals(view.getUint8(0x210), 0xff);
  assertEquals(view.getUint32(0x228, true), 0x20000);
  assertEquals(view.getBigUint64(0x70, true), 0xf0000n);
  assertEquals(view.getUint8(0x1e8), 4);
  assertEquals(view.getBigUint64(0x2d0 + 60, true), 0x100000n);
  assertEquals(view.getBigUint64(0x2d0 + 68, true), BigInt(63 * MIB));
  assertEquals(view.getUint32(0x2d0 + 76, true), 1);
  assertEquals([view.getUint8(6), view.getUint8(7), view.getUint8(14), view.getUint8(15)], [
    3,
    80,
    25,
    1,
  ]);
  assertEquals(view.getUint8(0x1ef), 0, "the sentinel says that the rest was cleared");
  const line = blob({ commandLine: "console=ttyS0" }, "command line");
  assertEquals(new TextDecoder().decode(line.bytes), "console=ttyS0\0");
});

Deno.test("bytes behind the setup header are not copied into boot_params", () => {
  const kernel = bzImage((view) => {
    view.setUint8(0x26c, 0x99); // first byte behind a header of 0x202 + 0x6a bytes
  });
  assertEquals(blob({ kernel }, "boot_params").bytes[0x26c], 0);
});

Deno.test("the initrd lies at the top of RAM on a page boundary", () => {
  const initrd = { file: "initrd.gz", bytes: new Uint8Array(5000).fill(7) };
  const found = blob({ initrd }, "initrd");
  assertEquals(found.address, 64 * MIB - 0x2000);
  const params = new DataView(blob({ initrd }, "boot_params").bytes.buffer);
  assertEquals(params.getUint32(0x218, true), found.address);
  assertEquals(params.getUint32(0x21c, true), 5000);
});

Deno.test("the initrd stays below initrd_addr_max and below mem=", () => {
  const initrd = { file: "initrd.gz", bytes: new Uint8Array(4096) };
  assertEquals(blob({ initrd, ramSize: 1024 * MIB }, "initrd").address, 0x37fff000);
  assertEquals(
    blob({ initrd, commandLine: "quiet mem=48M" }, "initrd").address,
    48 * MIB - 4096,
  );
});

const REFUSED: [string, Partial<LinuxOptions>, string][] = [
  ["an empty file", { kernel: new Uint8Array() }, "it has only 0 bytes"],
  ["a file that is no kernel", { kernel: new Uint8Array(8192) }, "neither a Linux setup header"],
  ["a file cut in the setup code", { kernel: bzImage().subarray(0, 1024) }, "cut short"],
  [
    "a file cut in the protected-mode code",
    { kernel: bzImage().subarray(0, 0x4000) },
    "the header tells of 18944 bytes, the file has 16384",
  ],
  [
    "an old protocol",
    { kernel: bzImage((v) => v.setUint16(0x206, 0x201, true)) },
    "protocol is 2.01",
  ],
  ["a zImage", { kernel: bzImage((v) => v.setUint8(0x211, 0)) }, "zImage"],
  [
    "an entry below 1 MiB",
    { kernel: bzImage((v) => v.setUint32(0x214, 0x10000, true)) },
    "code32_start is 0x10000",
  ],
  ["too little memory", { ramSize: 16 * MIB }, "give the machine at least 24 MiB"],
  ["a command line beyond the kernel's limit", { commandLine: "x".repeat(2048) }, "at most 2047"],
  ["a command line with a NUL", { commandLine: "a\0b" }, "NUL"],
];
for (const [what, options, message] of REFUSED) {
  Deno.test(`planLinux refuses ${what}, naming the file`, () => {
    const error = assertThrows(() => plan(options), KernelError, message);
    assertEquals(error.file, "vmlinuz");
    assert(error.message.startsWith("kernel vmlinuz: "), error.message);
  });
}

Deno.test("an empty initrd is refused by name", () => {
  const initrd = { file: "empty.img", bytes: new Uint8Array() };
  const error = assertThrows(() => plan({ initrd }), InitrdError, "empty.img: it is empty");
  assertEquals(error.file, "empty.img");
});

Deno.test("an initrd that does not fit is refused with the memory it needs", () => {
  const initrd = { file: "big.img", bytes: new Uint8Array(48 * MIB) };
  assertThrows(() => plan({ initrd }), InitrdError, "at least 73 MiB");
});

Deno.test("a header with any one byte changed is planned or refused, never a crash", () => {
  for (let at = 0x1f1; at < 0x270; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const kernel = bzImage((view) => view.setUint8(at, value));
      try {
        plan({ kernel });
      } catch (error) {
        assert(error instanceof ImageError, `byte ${at.toString(16)}: ${error}`);
      }
    }
  }
});

Deno.test("a kernel cut short anywhere is refused", () => {
  const kernel = bzImage();
  for (let length = 0; length < kernel.length - 16; length += 97) {
    assertThrows(() => parseSetupHeader("k", kernel.subarray(0, length)), KernelError);
  }
});
