/** Kernels, initial RAM disks, modules and firmware that cannot be used. */
import { assert, assertEquals } from "@std/assert";
import { Machine } from "../../mod.ts";
import { linuxGuest } from "../../scripts/guests/initramfs.ts";
import { guestTest } from "../../scripts/guests/testing.ts";
import { compy, withDirectory } from "./command.ts";
import { BASE, bzImage, elf, multiboot, type Patch } from "./images.ts";
import { type Refusal, refusalTest } from "./refusals.ts";

const MIB = 2 ** 20;
const HALT = [0xfa, 0xf4]; // cli; hlt
const text = (words: string) => new TextEncoder().encode(words);

Deno.test("The images that the tests damage are good before", async () => {
  for (const kernel of [bzImage(), elf(), multiboot(HALT)]) {
    await using vm = await Machine.create({ kernel, memory: "8M" });
    assertEquals((await vm.exited).kind, "dead-halt");
  }
});

/** A kernel that is refused, for the script and for the command. */
function kernel(what: string, bytes: Uint8Array, ...message: string[]): Refusal {
  return {
    what,
    files: { kernel: bytes },
    options: { kernel: "@kernel", memory: "16M" },
    args: ["-kernel", "@kernel", "-m", "16"],
    message: ["@kernel", ...message],
  };
}

/** Only by a script: the command takes the same way. */
function scripted({ args: _, ...refusal }: Refusal): Refusal {
  return refusal;
}

refusalTest("A file that is no kernel, or not all of one, is refused", [
  kernel("an empty file", new Uint8Array(), "it has only 0 bytes"),
  kernel("a text", text("#!/bin/sh\n".repeat(100)), "neither a Linux setup header"),
  scripted(kernel("three bytes", text("abc"), "it has only 3 bytes")),
  scripted(kernel("zeros", new Uint8Array(MIB), "neither a Linux setup header")),
  scripted(kernel("a header only", bzImage().subarray(0, 0x206), "cut short: the setup code")),
  kernel("a kernel cut in its setup code", bzImage().subarray(0, 2000), "cut short: the setup"),
  kernel(
    "a kernel cut in its body",
    bzImage().subarray(0, 9000),
    "the header tells of 18944 bytes, the file has 9000",
  ),
  scripted(kernel("an old zImage", bzImage((v) => v.setUint8(0x211, 0)), "zImage")),
  scripted(kernel("an old protocol", bzImage((v) => v.setUint16(0x206, 0x200, true)), "2.00")),
  scripted(
    kernel("a low entry", bzImage((v) => v.setUint32(0x214, 0x1000, true)), "code32_start"),
  ),
  kernel(
    "a kernel larger than memory",
    bzImage((v) => v.setUint32(0x260, 64 * MIB, true)),
    "give the machine at least 65 MiB",
  ),
  {
    what: "a kernel that is not there",
    options: { kernel: "@vmlinuz" },
    args: ["-kernel", "@vmlinuz"],
    message: ["cannot read @vmlinuz: there is no such file"],
  },
  {
    what: "a directory",
    options: { kernel: "@" },
    args: ["-kernel", "@"],
    message: ["cannot read @: it is a directory"],
  },
  {
    what: "a device without end",
    options: { kernel: "/dev/zero" },
    args: ["-kernel", "/dev/zero"],
    message: ["cannot read /dev/zero: it is a device"],
  },
  {
    what: "a command line that is too long",
    files: { kernel: bzImage() },
    options: { kernel: "@kernel", append: "x".repeat(256) },
    args: ["-kernel", "@kernel", "-append", "x".repeat(256)],
    message: ["@kernel: the command line has 256 bytes; this kernel takes at most 255"],
  },
]);

guestTest("Debian's kernel is refused when it is cut short", () =>
  withDirectory(async (dir) => {
    const path = `${dir}/vmlinuz`;
    const whole = await Deno.readFile((await linuxGuest()).kernel);
    await Deno.writeFile(path, whole.subarray(0, whole.length >> 1));
    const { code, stderr } = await compy("-kernel", path);
    assertEquals(code, 1);
    const sizes =
      /^compy: kernel (.*): it is cut short: the header tells of (\d+) bytes, the file has (\d+);/;
    const [, named, told, has] = sizes.exec(stderr) ?? [stderr];
    assertEquals([named, Number(has)], [path, whole.length >> 1]);
    // A signature may follow what the header tells of.
    assert(Number(told) <= whole.length && Number(told) > whole.length - 8192, stderr);
  }));

/** An initial RAM disk that is refused. */
function initrd(what: string, bytes: Uint8Array | undefined, ...message: string[]): Refusal {
  return {
    what,
    files: { kernel: bzImage(), ...(bytes === undefined ? {} : { initrd: bytes }) },
    options: { kernel: "@kernel", initrd: "@initrd", memory: "16M" },
    args: ["-kernel", "@kernel", "-initrd", "@initrd", "-m", "16M"],
    message: ["@initrd", ...message],
  };
}

refusalTest("An initial RAM disk or module that cannot be loaded is refused", [
  initrd("one that is not there", undefined, "there is no such file"),
  initrd("an empty one", new Uint8Array(), "it is empty"),
  initrd("one larger than memory", new Uint8Array(16 * MIB), "give the machine at least 19 MiB"),
  {
    what: "an initrd without a kernel",
    files: { initrd: text("x") },
    options: { firmware: new Uint8Array(65536), initrd: "@initrd" },
    message: ["initrd: is for a kernel"],
  },
  {
    what: "an initrd without a kernel, for the command",
    args: ["-initrd", "@initrd"],
    message: ["-initrd needs a kernel"],
  },
  {
    what: "a module that is not there",
    files: { kernel: multiboot(HALT) },
    options: { kernel: "@kernel", modules: [{ image: "@module" }] },
    args: ["-kernel", "@kernel", "-initrd", "@module arguments"],
    message: ["cannot read @module: there is no such file"],
  },
  {
    what: "a module larger than memory",
    files: { kernel: multiboot(HALT), module: new Uint8Array(8 * MIB) },
    options: { kernel: "@kernel", modules: [{ image: "@module" }], memory: "8M" },
    args: ["-kernel", "@kernel", "-initrd", "@module", "-m", "8"],
    message: ["@module: the module of 8388608 bytes does not fit"],
  },
  {
    what: "modules for Linux",
    files: { kernel: bzImage(), module: text("x") },
    options: { kernel: "@kernel", modules: [{ image: "@module" }] },
    message: ["@module", "Linux takes no Multiboot modules"],
  },
]);

/** Firmware that is refused. */
function firmware(what: string, bytes: Uint8Array | undefined, ...message: string[]): Refusal {
  return {
    what,
    files: bytes === undefined ? {} : { bios: bytes },
    options: { firmware: "@bios" },
    message: ["@bios", ...message],
  };
}

refusalTest("Firmware of a wrong size, and option ROMs that are none, are refused", [
  firmware("none", undefined, "there is no such file"),
  firmware("an empty file", new Uint8Array(), "it has 0 bytes; a system ROM has a multiple of 64"),
  firmware("a short file", new Uint8Array(1000), "it has 1000 bytes"),
  firmware("a byte too much", new Uint8Array(128 * 1024 + 1), "it has 131073 bytes"),
  firmware("a large file", new Uint8Array(17 * MIB), "up to 16 MiB"),
  {
    what: "an option ROM without signature",
    files: { rom: new Uint8Array(2048) },
    options: { firmware: new Uint8Array(65536), optionRoms: ["@rom"] },
    message: ["@rom", "it does not begin with the option ROM signature"],
  },
  {
    what: "an option ROM cut short",
    files: { rom: new Uint8Array([0x55, 0xaa, 4, 0]) },
    options: { firmware: new Uint8Array(65536), optionRoms: ["@rom"] },
    message: ["@rom", "its header tells of 2048 bytes, the file has 4"],
  },
]);

/** A flash chip that is refused. */
function flash(what: string, bytes: Uint8Array | undefined, ...message: string[]): Refusal {
  return {
    what,
    files: bytes === undefined ? {} : { chip: bytes },
    options: { flash: ["@chip"] },
    args: ["-pflash", "@chip"],
    message: ["@chip", ...message],
  };
}

refusalTest("Flash chips of a wrong size, or in places that there are not, are refused", [
  flash("none", undefined, "there is no such file"),
  flash("an empty file", new Uint8Array(), "has no bytes"),
  flash("half a block", new Uint8Array(2048), "it has 2048 bytes; a flash chip has whole blocks"),
  flash("a large file", new Uint8Array(9 * MIB), "there is room for 8388608"),
  {
    what: "a second chip without a first",
    files: { chip: new Uint8Array(4096) },
    options: { flash: [{ file: "@chip", unit: 1 }] },
    args: ["-drive", "if=pflash,unit=1,file=@chip"],
    message: ["@chip is unit 1, and there is no unit 0"],
  },
  {
    what: "flash and a kernel",
    files: { chip: new Uint8Array(4096), kernel: multiboot(HALT) },
    options: { flash: ["@chip"], kernel: "@kernel" },
    message: ["flash", "give one of them"],
  },
  {
    what: "an option that flash has not",
    options: { flash: [{ bytes: new Uint8Array(4096), readonly: true }] },
    message: ['readonly: there is no such option of a flash chip (did you mean "readOnly"?)'],
  },
]);

Deno.test("The command refuses firmware of a wrong size, and fetches nothing for it", () =>
  withDirectory(async (dir) => {
    const bios = `${dir}/bios.bin`;
    await Deno.writeFile(bios, new Uint8Array(1000));
    const { code, stderr } = await compy("-bios", bios);
    const expected = "it has 1000 bytes; a system ROM has a multiple of 64 KiB, up to 16 MiB";
    assertEquals([code, stderr], [1, `compy: firmware ${bios}: ${expected}\n`]);
  }));

/** Sets a field of 4 or 2 bytes, or of 1. */
const u32 = (at: number, value: number): Patch => (view) => view.setUint32(at, value, true);
const u16 = (at: number, value: number): Patch => (view) => view.setUint16(at, value, true);
const u8 = (at: number, value: number): Patch => (view) => view.setUint8(at, value);

/** Sets flags together with the checksum that they need. */
const flags = (at: number, value: number): Patch => (view) => {
  view.setUint32(at + 4, value, true);
  view.setUint32(at + 8, -(0x1badb002 + value) >>> 0, true);
};

const headerOf = (what: string, patch: Patch, ...message: string[]): Refusal =>
  scripted(kernel(what, multiboot([HALT, { fill: 0x300 }], patch), ...message));

refusalTest("A Multiboot header is refused for each field that makes no sense", [
  headerOf("magic", u32(0, 0x1badb003), "nor a Multiboot header"),
  kernel("checksum", multiboot(HALT, u32(8, 1)), "has the checksum 0x1"),
  headerOf("flags: unknown requirements", flags(0, 0x10010), "(flags 0x10)"),
  headerOf("flags: no addresses, no ELF file", flags(0, 0), "does not begin with the ELF magic"),
  headerOf("header_addr below load_addr", u32(12, BASE - 4), "load_addr 0x100000 is above"),
  headerOf("header_addr too far up", u32(12, BASE + 4), "load_addr 0x100000 lies 4 bytes before"),
  headerOf("load_addr above", u32(16, BASE + 4), "load_addr 0x100004 is above header_addr"),
  headerOf("load_addr below the file", u32(16, BASE - 8), "load_addr 0xffff8 lies 8 bytes before"),
  headerOf("load_end_addr below", u32(20, BASE - 4), "load_end_addr 0xffffc is not above"),
  headerOf("load_end_addr beyond", u32(20, BASE + 4096), "cut short: load_end_addr asks"),
  headerOf("bss_end_addr below", u32(24, BASE + 8), "bss_end_addr 0x100008 is below"),
  headerOf("bss_end_addr beyond memory", u32(24, 0xfffff000), "beyond the RAM that ends at"),
  headerOf("entry_addr below", u32(28, BASE - 1), "entry_addr 0xfffff is outside"),
  headerOf("entry_addr beyond", u32(28, BASE + 4096), "entry_addr 0x101000 is outside"),
  kernel("a header cut off", multiboot(HALT).subarray(0, 20), "address fields of its header"),
  headerOf("no RAM there", (view) => {
    for (const at of [12, 16]) view.setUint32(at, 0xb8000, true);
    view.setUint32(28, 0xb8020, true);
  }, "0xb8000, where there is no RAM"),
]);

const executable = (what: string, patch: Patch, ...message: string[]): Refusal =>
  scripted(kernel(what, elf(patch), ...message));

refusalTest("An ELF header is refused for each field that makes no sense", [
  executable("e_ident: magic", u8(1, 0), "does not begin with the ELF magic"),
  executable("e_ident: 64-bit class", u8(4, 2), "build it for x86-64"),
  executable("e_ident: unknown class", u8(4, 3), "unknown class 3"),
  executable("e_ident: big-endian", u8(5, 2), "not little-endian"),
  executable("e_ident: version", u8(6, 2), "unknown version 2"),
  kernel("e_type", elf(u16(16, 1)), "of type 1, not an executable"),
  executable("e_machine", u16(18, 62), "machine 62, not x86"),
  executable("e_entry", u32(24, 0x5000), "entry point 0x5000 is in none"),
  executable("e_phoff beyond the file", u32(28, 0xf0), "cut short: the program headers"),
  executable("e_phoff that wraps", u32(28, 0xfffffff0), "cut short: the program headers"),
  executable("e_phentsize", u16(42, 8), "program headers are 8 bytes each"),
  executable("e_phnum of none", u16(44, 0), "no program headers"),
  executable("e_phnum of too many", u16(44, 1000), "cut short: the program headers"),
  executable("p_type", u32(52, 2), "no segment to load"),
  executable("p_offset", u32(56, 0x80), "cut short: segment 0"),
  executable("p_paddr beyond memory", u32(64, 0xf0000000), "beyond the RAM"),
  executable("p_paddr beyond 4 GiB", u32(64, 0xfffffff0), "segment 0 does not fit below 4 GiB"),
  executable("p_paddr where no RAM is", u32(64, 0xa0000), "0xa0000, where there is no RAM"),
  executable("p_filesz beyond the file", u32(68, 0x180), "cut short: segment 0"),
  executable("p_memsz below p_filesz", u32(72, 0x10), "only 16 in memory"),
  executable("p_memsz beyond memory", u32(72, 0x8000000), "beyond the RAM"),
  kernel("a file cut short", elf().subarray(0, 0xf0), "cut short: segment 0"),
]);
