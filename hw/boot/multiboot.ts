/** Booting by the Multiboot Specification, version 0.6.96 ("Multiboot 1"). */
import { E820_RAM, type E820Entry, EBDA_BASE, HIGH_MEMORY } from "./e820.ts";
import { isElf64, parseElf32 } from "./elf.ts";
import { hex, InitrdError, MultibootError } from "./image_error.ts";
import {
  checkPieces,
  cString,
  fullBytes,
  InfoBlock,
  PAGE,
  type Piece,
  placeInfo,
  type Refusal,
} from "./placement.ts";
import type { BootPlan, GuestBlob } from "./plan.ts";

/** In the kernel's header and in EAX at its entry. */
export const MULTIBOOT_HEADER_MAGIC = 0x1badb002, MULTIBOOT_BOOTLOADER_MAGIC = 0x2badb002;

/** The header lies within this many bytes, on a 4-byte boundary. */
const SEARCH = 8192;

/** Header flags. */
const PAGE_ALIGN = 1 << 0, MEMORY_INFO = 1 << 1, VIDEO_MODE = 1 << 2, AOUT_KLUDGE = 1 << 16;
/** Bits 0 to 15 are requirements: a loader that does not know one must refuse. */
const REQUIREMENTS = 0xffff;

/** Information structure: flags. */
const INFO_MEMORY = 1 << 0,
  INFO_CMDLINE = 1 << 2,
  INFO_MODS = 1 << 3,
  INFO_MEM_MAP = 1 << 6,
  INFO_BOOT_LOADER_NAME = 1 << 9,
  INFO_FRAMEBUFFER = 1 << 12;
/** Information structure: offsets. */
const FLAGS = 0,
  MEM_LOWER = 4,
  MEM_UPPER = 8,
  CMDLINE = 16,
  MODS_COUNT = 20,
  MODS_ADDR = 24,
  MMAP_LENGTH = 44,
  MMAP_ADDR = 48,
  BOOT_LOADER_NAME = 64,
  FRAMEBUFFER_ADDR = 88,
  FRAMEBUFFER_PITCH = 96,
  FRAMEBUFFER_WIDTH = 100,
  FRAMEBUFFER_HEIGHT = 104,
  FRAMEBUFFER_BPP = 108,
  FRAMEBUFFER_TYPE = 109,
  INFO_SIZE = 116;
const FRAMEBUFFER_TYPE_EGA_TEXT = 2;

/** What a kernel is booted with. */
export interface MultibootOptions {
  /** Named in errors; its last component becomes the first word of the command line. */
  file: string;
  kernel: Uint8Array;
  commandLine?: string;
  modules?: readonly MultibootModule[];
  ramSize: number;
  memoryMap: readonly E820Entry[];
  /** Whether a VGA in 80×25 text mode is present. */
  vgaText?: boolean;
}

/** A file handed to the kernel with its string. */
export interface MultibootModule {
  file: string;
  bytes: Uint8Array;
  /** The module's string; by default the file's last path component. */
  string?: string;
}

/** A header that has been found and checked. */
export interface MultibootHeader {
  /** Where it lies in the file. */
  offset: number;
  flags: number;
  /** The address fields, when flag 16 says that they hold. */
  kludge?: {
    headerAddress: number;
    loadAddress: number;
    loadEnd: number;
    bssEnd: number;
    entry: number;
  };
}

/**
 * Looks for the header.
 *
 * @returns undefined when the magic number does not occur where a header may lie
 * @throws {MultibootError} when it occurs only with a wrong checksum, or cut off
 */
export function findMultibootHeader(
  file: string,
  kernel: Uint8Array,
): MultibootHeader | undefined {
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.length);
  let broken: MultibootError | undefined;
  for (let at = 0; at + 4 <= Math.min(kernel.length, SEARCH); at += 4) {
    if (view.getUint32(at, true) !== MULTIBOOT_HEADER_MAGIC) continue;
    if (at + 12 > kernel.length) {
      broken ??= new MultibootError(
        file,
        `its header at ${hex(at)} is cut off`,
        "give the whole file",
      );
      continue;
    }
    const flags = view.getUint32(at + 4, true), checksum = view.getUint32(at + 8, true);
    const right = -(MULTIBOOT_HEADER_MAGIC + flags) >>> 0;
    if (checksum !== right) {
      broken ??= new MultibootError(
        file,
        `its header at ${hex(at)} has the checksum ${hex(checksum)}`,
        `magic, flags and checksum must add up to 0: with the flags ${hex(flags)} it is ${
          hex(right)
        }`,
      );
      continue;
    }
    if ((flags & AOUT_KLUDGE) === 0) return { offset: at, flags };
    if (at + 32 > kernel.length) {
      throw new MultibootError(
        file,
        `the address fields of its header at ${hex(at)} are cut off`,
        "give the whole file",
      );
    }
    const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28]
      .map((field) => view.getUint32(at + field, true));
    return { offset: at, flags, kludge: { headerAddress, loadAddress, loadEnd, bssEnd, entry } };
  }
  if (broken !== undefined) throw broken;
  return undefined;
}

function kludgePieces(
  file: string,
  kernel: Uint8Array,
  { offset, kludge }: MultibootHeader & { kludge: NonNullable<MultibootHeader["kludge"]> },
): { pieces: Piece[]; entry: number } {
  const { headerAddress, loadAddress, loadEnd, bssEnd, entry } = kludge;
  const fail = (problem: string, expected: string): never => {
    throw new MultibootError(file, problem, expected);
  };
  if (headerAddress < loadAddress) {
    fail(
      `load_addr ${hex(loadAddress)} is above header_addr ${hex(headerAddress)}`,
      "the text segment begins at or before the header",
    );
  }
  const start = offset - (headerAddress - loadAddress);
  if (start < 0) {
    fail(
      `load_addr ${hex(loadAddress)} lies ${
        headerAddress - loadAddress
      } bytes before the header, ` +
        `which is only ${offset} bytes into the file`,
      "correct header_addr or load_addr",
    );
  }
  const length = loadEnd === 0 ? kernel.length - start : loadEnd - loadAddress;
  if (length <= 0) {
    fail(
      `load_end_addr ${hex(loadEnd)} is not above load_addr ${hex(loadAddress)}`,
      "give the end of the data segment, or 0 for the whole file",
    );
  }
  if (start + length > kernel.length) {
    fail(
      `it is cut short: load_end_addr asks for the file up to ${hex(start + length)}, it ends at ` +
        hex(kernel.length),
      "give the whole file",
    );
  }
  const size = bssEnd === 0 ? length : bssEnd - loadAddress;
  if (size < length) {
    fail(
      `bss_end_addr ${hex(bssEnd)} is below load_end_addr ${hex(loadAddress + length)}`,
      "give the end of the bss segment, or 0 for none",
    );
  }
  if (entry < loadAddress || entry >= loadAddress + size) {
    fail(
      `entry_addr ${hex(entry)} is outside the loaded image`,
      `give an address from ${hex(loadAddress)} to ${hex(loadAddress + size - 1)}`,
    );
  }
  const bytes = kernel.subarray(start, start + length);
  return { pieces: [{ address: loadAddress, bytes, size }], entry };
}

function kernelPieces(
  file: string,
  kernel: Uint8Array,
  header: MultibootHeader,
): { pieces: Piece[]; entry: number } {
  if (header.kludge !== undefined) {
    return kludgePieces(file, kernel, { ...header, kludge: header.kludge });
  }
  if (isElf64(kernel)) {
    throw new MultibootError(
      file,
      "it is a 64-bit ELF file without address fields in its header",
      "convert it to elf32-i386, or set flag 16 and fill in the address fields",
    );
  }
  const { entry, segments } = parseElf32(file, kernel);
  const pieces = segments.map(({ address, memorySize, offset, fileSize }) => ({
    address,
    size: memorySize,
    bytes: kernel.subarray(offset, offset + fileSize),
  }));
  return { pieces, entry };
}

const alignPage = (n: number): number => Math.ceil(n / PAGE) * PAGE;

/** The last component of a path: directories of the host are none of the guest's business. */
export function baseName(file: string): string {
  return file.slice(Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\")) + 1);
}

function encodeMemoryMap(map: readonly E820Entry[]): Uint8Array {
  const bytes = new Uint8Array(map.length * 24);
  const view = new DataView(bytes.buffer);
  map.forEach(({ base, length, type }, i) => {
    // The size field counts what follows it.
    view.setUint32(i * 24, 20, true);
    view.setBigUint64(i * 24 + 4, BigInt(base), true);
    view.setBigUint64(i * 24 + 12, BigInt(length), true);
    view.setUint32(i * 24 + 20, type, true);
  });
  return bytes;
}

/**
 * Makes the plan that boots a Multiboot kernel.
 *
 * @returns undefined when the file has no Multiboot header
 * @throws {MultibootError | ElfError | InitrdError}
 */
export function planMultiboot(options: MultibootOptions): BootPlan | undefined {
  const { file, kernel, commandLine = "", modules = [], ramSize, memoryMap } = options;
  const header = findMultibootHeader(file, kernel);
  if (header === undefined) return undefined;
  const unknown = header.flags & REQUIREMENTS & ~(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE);
  if (unknown !== 0) {
    throw new MultibootError(
      file,
      `its header requires features unknown to Multiboot 1 (flags ${hex(unknown)})`,
      "only the flags 0, 1, 2 and 16 exist",
    );
  }
  const { pieces, entry } = kernelPieces(file, kernel, header);
  const refusal: Refusal = (problem, expected) => new MultibootError(file, problem, expected);
  const end = checkPieces(pieces, ramSize, refusal);

  const blobs: GuestBlob[] = pieces.map((piece) => ({
    what: `kernel ${file}`,
    address: piece.address,
    bytes: fullBytes(piece),
  }));

  const block = new InfoBlock(INFO_SIZE, 4);
  const list = new DataView(new ArrayBuffer(modules.length * 16));
  const strings: number[] = [];
  let next = alignPage(end);
  modules.forEach((module, i) => {
    if (next + module.bytes.length > ramSize) {
      throw new InitrdError(
        module.file,
        `the module of ${module.bytes.length} bytes does not fit between ${
          hex(next)
        } and the end of RAM ${hex(ramSize)}`,
        "give the machine more memory",
      );
    }
    blobs.push({ what: `module ${module.file}`, address: next, bytes: module.bytes });
    list.setUint32(i * 16, next, true);
    list.setUint32(i * 16 + 4, next + module.bytes.length, true);
    strings.push(block.add(cString(module.string ?? baseName(module.file))));
    next = alignPage(next + module.bytes.length);
  });
  const name = baseName(file);
  const commandAt = block.add(cString(commandLine === "" ? name : `${name} ${commandLine}`));
  const loaderAt = block.add(cString("compy"));
  const map = encodeMemoryMap(memoryMap);
  const mapAt = block.add(map);
  const listAt = block.add(new Uint8Array(list.buffer));

  const base = placeInfo(block.size, pieces, refusal);
  strings.forEach((at, i) => list.setUint32(i * 16 + 8, base + at, true));
  const put = (field: number, value: number): void => block.info.setUint32(field, value, true);
  const upper = memoryMap.find((e) => e.type === E820_RAM && e.base === HIGH_MEMORY);
  put(
    FLAGS,
    INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MEM_MAP | INFO_BOOT_LOADER_NAME |
      (options.vgaText ? INFO_FRAMEBUFFER : 0),
  );
  put(MEM_LOWER, EBDA_BASE >>> 10);
  put(MEM_UPPER, upper === undefined ? 0 : upper.length / 1024);
  put(CMDLINE, base + commandAt);
  put(MODS_COUNT, modules.length);
  put(MODS_ADDR, base + listAt);
  put(MMAP_LENGTH, map.length);
  put(MMAP_ADDR, base + mapAt);
  put(BOOT_LOADER_NAME, base + loaderAt);
  if (options.vgaText) {
    // Deviation: a graphics mode that the header prefers is not set; the mode there is, is reported.
    put(FRAMEBUFFER_ADDR, 0xb8000);
    put(FRAMEBUFFER_PITCH, 160);
    put(FRAMEBUFFER_WIDTH, 80);
    put(FRAMEBUFFER_HEIGHT, 25);
    block.info.setUint8(FRAMEBUFFER_BPP, 16);
    block.info.setUint8(FRAMEBUFFER_TYPE, FRAMEBUFFER_TYPE_EGA_TEXT);
  }
  blobs.push({ what: "multiboot information", address: base, bytes: block.bytes() });
  return {
    blobs,
    entry: {
      mode: "protected",
      eip: entry,
      registers: { eax: MULTIBOOT_BOOTLOADER_MAGIC, ebx: base },
    },
  };
}
