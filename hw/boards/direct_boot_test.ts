import { assert, assertEquals, assertThrows } from "@std/assert";
import type { AcpiTables } from "../acpi/tables.ts";
import { InitrdError, KernelError } from "../boot/image_error.ts";
import { type KernelOptions, planDirectBoot } from "./direct_boot.ts";

const MIB = 2 ** 20;
const ACPI: AcpiTables = {
  tables: new Uint8Array(64),
  rsdp: new Uint8Array(36),
  pointers: [],
  checksums: [],
};

function plan(options: KernelOptions) {
  return planDirectBoot(options, {
    ramSize: 32 * MIB,
    acpi: ACPI,
    vgaText: true,
    serialPorts: [0x3f8, 0x2f8],
  });
}

const multiboot = new Uint8Array(4096);
[0x1badb002, 0x10000, -(0x1badb002 + 0x10000), 0x100000, 0x100000, 0, 0, 0x100020].forEach(
  (word, i) => new DataView(multiboot.buffer).setUint32(4 * i, word, true),
);

Deno.test("the BIOS data area tells of serial ports, base memory and the screen", () => {
  const { blobs } = plan({ kernel: { file: "k", bytes: multiboot } });
  const bda = blobs.find(({ address }) => address === 0x400)!;
  const view = new DataView(bda.bytes.buffer);
  assertEquals([0, 2, 4].map((at) => view.getUint16(at, true)), [0x3f8, 0x2f8, 0]);
  assertEquals(view.getUint16(0x0e, true), 0x9fc0);
  assertEquals(view.getUint16(0x10, true), 0x0406);
  assertEquals(view.getUint16(0x13, true), 639);
  assertEquals([view.getUint8(0x49), view.getUint16(0x4a, true)], [3, 80]);
});

Deno.test("an initrd is a Multiboot kernel's first module", () => {
  const { blobs } = plan({
    kernel: { file: "k", bytes: multiboot },
    initrd: { file: "ramdisk", bytes: new Uint8Array(10) },
    modules: [{ file: "more", bytes: new Uint8Array(10) }],
  });
  const modules = blobs.filter(({ what }) => what.startsWith("module"));
  assertEquals(modules.map(({ what }) => what), ["module ramdisk", "module more"]);
});

Deno.test("a flat image is started only when asked for", () => {
  const kernel = { file: "boot.bin", bytes: new Uint8Array(512) };
  const { entry } = plan({ kernel, flat: {} });
  assert(entry.mode === "real");
  assertEquals(entry.ip, 0x7c00);
  assertThrows(() => plan({ kernel }), KernelError, "it has only 512 bytes");
});

Deno.test("files that a kernel cannot take are refused by name", () => {
  const kernel = { file: "boot.bin", bytes: new Uint8Array(512) };
  const extra = { file: "extra.img", bytes: new Uint8Array(1) };
  assertThrows(() => plan({ kernel, flat: {}, initrd: extra }), InitrdError, "extra.img");
  assertThrows(() => plan({ kernel, flat: {}, modules: [extra] }), InitrdError, "extra.img");
});
