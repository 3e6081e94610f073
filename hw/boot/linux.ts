/**
 * Booting a Linux bzImage by the 32-bit boot protocol (Linux, Documentation/arch/x86/boot.rst and
 * zero-page.rst): without real-mode code, so without a BIOS.
 */
import { type E820Entry, EBDA_BASE, encodeE820, HIGH_MEMORY } from "./e820.ts";
import { hex, InitrdError, KernelError } from "./image_error.ts";
import type { BootPlan, GuestBlob, NamedImage } from "./plan.ts";

/** Offsets of the setup header, the same in the file and in boot_params. */
const SETUP_SECTS = 0x1f1,
  SYSSIZE = 0x1f4,
  BOOT_FLAG = 0x1fe,
  JUMP_LENGTH = 0x201,
  HEADER = 0x202,
  VERSION = 0x206,
  TYPE_OF_LOADER = 0x210,
  LOADFLAGS = 0x211,
  CODE32_START = 0x214,
  RAMDISK_IMAGE = 0x218,
  RAMDISK_SIZE = 0x21c,
  CMD_LINE_PTR = 0x228,
  INITRD_ADDR_MAX = 0x22c,
  KERNEL_ALIGNMENT = 0x230,
  RELOCATABLE_KERNEL = 0x234,
  CMDLINE_SIZE = 0x238,
  PREF_ADDRESS = 0x258,
  INIT_SIZE = 0x260;
/** Offsets in boot_params outside of the header. */
const SCREEN_INFO = 0x000,
  EXT_MEM_K = 0x002,
  ACPI_RSDP_ADDR = 0x070,
  ALT_MEM_K = 0x1e0,
  E820_ENTRIES = 0x1e8,
  E820_TABLE = 0x2d0,
  BOOT_PARAMS_SIZE = 0x1000,
  E820_MAX_ENTRIES = 128;
/** Offsets in screen_info. */
const ORIG_Y = 1,
  ORIG_VIDEO_PAGE = 4,
  ORIG_VIDEO_MODE = 6,
  ORIG_VIDEO_COLS = 7,
  ORIG_VIDEO_EGA_BX = 10,
  ORIG_VIDEO_LINES = 14,
  ORIG_VIDEO_ISVGA = 15,
  ORIG_VIDEO_POINTS = 16;

const BOOT_FLAG_MAGIC = 0xaa55, HEADER_MAGIC = 0x53726448; // "HdrS"
const LOADED_HIGH = 1 << 0;
/** "Undefined" loader: the number for loaders without one of their own. */
const LOADER_UNDEFINED = 0xff;
const SECTOR = 512;

/** Where the loader puts its own things below 640 KiB. */
const BOOT_PARAMS = 0x10000, COMMAND_LINE = 0x20000;
/** Limits that protocols hold which are too old to say. */
const OLD_CMDLINE_SIZE = 255, OLD_INITRD_ADDR_MAX = 0x37ffffff;

/** What a kernel is booted with. */
export interface LinuxOptions {
  /** Named in errors. */
  file: string;
  kernel: Uint8Array;
  commandLine?: string;
  initrd?: NamedImage;
  ramSize: number;
  memoryMap: readonly E820Entry[];
  /** Physical address of the ACPI root pointer. */
  rsdpAddress?: number;
  /** Whether a VGA in 80×25 text mode is present. */
  vgaText?: boolean;
}

/** What the setup header says. */
export interface SetupHeader {
  /** Protocol version, `0x20f` for 2.15. */
  version: number;
  /** Where the protected-mode code lies in the file, and how long it is. */
  codeOffset: number;
  codeSize: number;
  /** Where it is loaded and entered. */
  codeAddress: number;
  /** Where the kernel will decompress itself to, and how much memory it needs from there. */
  runAddress: number;
  initSize: number;
  commandLineMax: number;
  initrdMax: number;
  /** First byte behind the header. */
  headerEnd: number;
}

/** Whether the bytes have the magic numbers of a Linux kernel image. */
export function isLinux(kernel: Uint8Array): boolean {
  if (kernel.length < HEADER + 4) return false;
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.length);
  return view.getUint16(BOOT_FLAG, true) === BOOT_FLAG_MAGIC &&
    view.getUint32(HEADER, true) === HEADER_MAGIC;
}

/**
 * Reads and checks the setup header of a bzImage.
 *
 * @throws {KernelError} when the file is not a bzImage, is too old, or is cut short
 */
export function parseSetupHeader(file: string, kernel: Uint8Array): SetupHeader {
  const fail = (problem: string, expected: string): never => {
    throw new KernelError(file, problem, expected);
  };
  if (kernel.length < HEADER + 4) {
    fail(
      `it has only ${kernel.length} bytes`,
      "give a Linux bzImage, a Multiboot kernel or an ELF kernel with a PVH entry " +
        "(a bzImage's header alone takes two sectors)",
    );
  }
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.length);
  if (!isLinux(kernel)) {
    fail(
      'it has neither a Linux setup header ("HdrS" at 0x202, 0xaa55 at 0x1fe) nor a Multiboot header ' +
        "nor a PVH entry (an ELF note XEN_ELFNOTE_PHYS32_ENTRY)",
      "give a Linux bzImage (vmlinuz), a Multiboot 1 kernel, or a vmlinux built with CONFIG_PVH",
    );
  }
  const setupSectors = view.getUint8(SETUP_SECTS) || 4;
  const codeOffset = (setupSectors + 1) * SECTOR;
  if (kernel.length < codeOffset) {
    fail(
      `it is cut short: the setup code ends at ${hex(codeOffset)}, the file at ${
        hex(kernel.length)
      }`,
      "give the whole file",
    );
  }
  const version = view.getUint16(VERSION, true);
  const versionText = `${version >>> 8}.${(version & 0xff).toString().padStart(2, "0")}`;
  if (version < 0x202) {
    fail(
      `its boot protocol is ${versionText}`,
      "give a kernel of protocol 2.02 (Linux 2.4) or later",
    );
  }
  if ((view.getUint8(LOADFLAGS) & LOADED_HIGH) === 0) {
    fail("it is a zImage, which is loaded below 640 KiB", "build a bzImage");
  }
  // Older protocols had 16 bits of syssize, which overflowed: only the file's length counts there.
  const stated = version >= 0x204 ? view.getUint32(SYSSIZE, true) * 16 : 0;
  const codeSize = kernel.length - codeOffset;
  // syssize counts units of 16 bytes, so the last one may be partly filled.
  if (codeSize === 0 || codeSize + 15 < stated) {
    fail(
      `it is cut short: the header tells of ${
        codeOffset + stated
      } bytes, the file has ${kernel.length}`,
      "give the whole file",
    );
  }
  const codeAddress = view.getUint32(CODE32_START, true);
  if (codeAddress < HIGH_MEMORY) {
    fail(
      `its code32_start is ${hex(codeAddress)}`,
      `a bzImage is loaded at ${hex(HIGH_MEMORY)} or above`,
    );
  }
  const relocatable = version >= 0x205 && view.getUint8(RELOCATABLE_KERNEL) !== 0;
  const alignment = relocatable ? view.getUint32(KERNEL_ALIGNMENT, true) || 1 : 1;
  const preferred = version >= 0x20a ? Number(view.getBigUint64(PREF_ADDRESS, true)) : codeAddress;
  const runAddress = relocatable
    ? Math.max(Math.ceil(codeAddress / alignment) * alignment, preferred)
    : preferred;
  return {
    version,
    codeOffset,
    codeSize,
    codeAddress,
    runAddress,
    initSize: version >= 0x20a ? view.getUint32(INIT_SIZE, true) : codeSize * 4,
    commandLineMax: version >= 0x206 ? view.getUint32(CMDLINE_SIZE, true) : OLD_CMDLINE_SIZE,
    initrdMax: version >= 0x203 ? view.getUint32(INITRD_ADDR_MAX, true) : OLD_INITRD_ADDR_MAX,
    headerEnd: HEADER + view.getUint8(JUMP_LENGTH),
  };
}

/** The value of `mem=` on the command line, which a boot loader has to heed when it places the initrd. */
function memoryLimit(commandLine: string): number {
  const found = /(?:^|\s)mem=(0x[0-9a-f]+|\d+)([KMG]?)(?=\s|$)/i.exec(commandLine);
  if (found === null) return Infinity;
  const unit = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[found[2].toUpperCase()]!;
  return Number(found[1]) * unit;
}

function placeInitrd(
  { file, bytes }: NamedImage,
  header: SetupHeader,
  ramEnd: number,
): number {
  if (bytes.length === 0) {
    throw new InitrdError(file, "it is empty", "give a cpio archive or image");
  }
  const limit = Math.min(ramEnd, header.initrdMax + 1);
  const address = Math.floor((limit - bytes.length) / 0x1000) * 0x1000;
  const kernelEnd = header.runAddress + header.initSize;
  if (address < kernelEnd) {
    throw new InitrdError(
      file,
      `its ${bytes.length} bytes do not fit between the end of the kernel's work area at ${
        hex(kernelEnd)
      } and ${hex(limit)}`,
      `give the machine at least ${
        Math.ceil((kernelEnd + bytes.length + 0x1000) / 2 ** 20)
      } MiB of memory`,
    );
  }
  return address;
}

function writeScreenInfo(params: DataView): void {
  params.setUint8(SCREEN_INFO + ORIG_Y, 0);
  params.setUint16(SCREEN_INFO + ORIG_VIDEO_PAGE, 0, true);
  params.setUint8(SCREEN_INFO + ORIG_VIDEO_MODE, 3);
  params.setUint8(SCREEN_INFO + ORIG_VIDEO_COLS, 80);
  // What INT 10h, AH=12h, BL=10h answers on a VGA: BL=3 is 256 KiB of memory, BH=0 is colour.
  params.setUint16(SCREEN_INFO + ORIG_VIDEO_EGA_BX, 3, true);
  params.setUint8(SCREEN_INFO + ORIG_VIDEO_LINES, 25);
  params.setUint8(SCREEN_INFO + ORIG_VIDEO_ISVGA, 1);
  params.setUint16(SCREEN_INFO + ORIG_VIDEO_POINTS, 16, true);
}

/**
 * Makes the plan that boots a Linux kernel.
 *
 * @throws {KernelError | InitrdError} when the files are bad or the memory is too small for them
 */
export function planLinux(options: LinuxOptions): BootPlan {
  const { file, kernel, commandLine = "", initrd, ramSize, memoryMap } = options;
  const header = parseSetupHeader(file, kernel);
  const needed = Math.max(
    header.runAddress + header.initSize,
    header.codeAddress + header.codeSize,
  );
  if (needed > ramSize) {
    throw new KernelError(
      file,
      `it needs memory up to ${hex(needed)}, and RAM ends at ${hex(ramSize)}`,
      `give the machine at least ${Math.ceil(needed / 2 ** 20)} MiB of memory`,
    );
  }
  const command = new TextEncoder().encode(commandLine);
  if (command.includes(0)) {
    throw new KernelError(file, "the command line contains a NUL character", "leave it out");
  }
  const room = Math.min(header.commandLineMax, EBDA_BASE - COMMAND_LINE - 1);
  if (command.length > room) {
    throw new KernelError(
      file,
      `the command line has ${command.length} bytes`,
      `this kernel takes at most ${room}`,
    );
  }
  if (memoryMap.length > E820_MAX_ENTRIES) {
    throw new RangeError(
      `a memory map of ${memoryMap.length} entries, ${E820_MAX_ENTRIES} at most`,
    );
  }

  const params = new Uint8Array(BOOT_PARAMS_SIZE);
  const headerEnd = Math.min(header.headerEnd, kernel.length, E820_TABLE);
  params.set(kernel.subarray(SETUP_SECTS, headerEnd), SETUP_SECTS);
  const view = new DataView(params.buffer);
  view.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED);
  view.setUint32(CMD_LINE_PTR, COMMAND_LINE, true);
  view.setUint16(EXT_MEM_K, Math.min((ramSize - HIGH_MEMORY) >>> 10, 0xfc00), true);
  view.setUint32(ALT_MEM_K, (ramSize - HIGH_MEMORY) >>> 10, true);
  view.setUint8(E820_ENTRIES, memoryMap.length);
  params.set(encodeE820(memoryMap), E820_TABLE);
  if (options.rsdpAddress !== undefined) {
    view.setBigUint64(ACPI_RSDP_ADDR, BigInt(options.rsdpAddress), true);
  }
  if (options.vgaText) writeScreenInfo(view);

  const blobs: GuestBlob[] = [
    {
      what: `kernel ${file}`,
      address: header.codeAddress,
      bytes: kernel.subarray(header.codeOffset),
    },
    { what: "boot_params", address: BOOT_PARAMS, bytes: params },
    { what: "command line", address: COMMAND_LINE, bytes: new Uint8Array([...command, 0]) },
  ];
  if (initrd !== undefined) {
    const address = placeInitrd(initrd, header, Math.min(ramSize, memoryLimit(commandLine)));
    view.setUint32(RAMDISK_IMAGE, address, true);
    view.setUint32(RAMDISK_SIZE, initrd.bytes.length, true);
    blobs.push({ what: `initrd ${initrd.file}`, address, bytes: initrd.bytes });
  }
  return {
    blobs,
    entry: { mode: "protected", eip: header.codeAddress, registers: { esi: BOOT_PARAMS } },
  };
}
