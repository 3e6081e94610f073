/**
 * Booting an ELF kernel by Xen's PVH protocol: the note XEN_ELFNOTE_PHYS32_ENTRY names a 32-bit entry, and
 * EBX points to an `hvm_start_info` there (Xen, docs/misc/pvh, and the public headers elfnote.h and
 * arch-x86/hvm/start_info.h). Kernels of either ELF class are entered alike.
 */
import type { E820Entry } from "./e820.ts";
import { type ElfNote, isElf, parseElfNotes, parseElfSegments } from "./elf.ts";
import { hex, InitrdError, KernelError } from "./image_error.ts";
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
import type { BootPlan, GuestBlob, NamedImage } from "./plan.ts";

/** elfnote.h */
const XEN_ELFNOTE_PHYS32_ENTRY = 18, NOTE_NAME = "Xen";
/** start_info.h */
export const XEN_HVM_START_MAGIC_VALUE = 0x336ec578;
const START_INFO_VERSION = 1;
const MAGIC = 0,
  VERSION = 4,
  NR_MODULES = 12,
  MODLIST_PADDR = 16,
  CMDLINE_PADDR = 24,
  RSDP_PADDR = 32,
  MEMMAP_PADDR = 40,
  MEMMAP_ENTRIES = 48,
  START_INFO_SIZE = 56;
const MODLIST_ENTRY_SIZE = 32, MEMMAP_ENTRY_SIZE = 24;

/** What a kernel is booted with. */
export interface PvhOptions {
  /** Named in errors. */
  file: string;
  kernel: Uint8Array;
  commandLine?: string;
  /** The first is Linux's initial RAM disk. */
  modules?: readonly (NamedImage & { string?: string })[];
  /** End of the RAM that begins at 0. */
  ramSize: number;
  memoryMap: readonly E820Entry[];
  /** Physical address of the ACPI root pointer. */
  rsdpAddress?: number;
}

/**
 * The entry that the kernel's notes name.
 *
 * @returns undefined when the file is no ELF file, or has no such note
 * @throws {ElfError | KernelError} when its notes are damaged
 */
export function findPvhEntry(file: string, kernel: Uint8Array): number | undefined {
  if (!isElf(kernel)) return undefined;
  const entries = parseElfNotes(file, kernel).filter(({ name, type }) =>
    name === NOTE_NAME && type === XEN_ELFNOTE_PHYS32_ENTRY
  );
  if (entries.length === 0) return undefined;
  if (entries.length > 1) {
    throw new KernelError(
      file,
      `it has ${entries.length} notes XEN_ELFNOTE_PHYS32_ENTRY`,
      "there is to be one",
    );
  }
  return entryOf(file, entries[0]);
}

function entryOf(file: string, { bytes }: ElfNote): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // The address has the size of a pointer of the kernel, which is entered in 32-bit mode all the same.
  if (bytes.length !== 4 && bytes.length !== 8) {
    throw new KernelError(
      file,
      `its note XEN_ELFNOTE_PHYS32_ENTRY has ${bytes.length} bytes`,
      "it holds an address of 4 or 8 bytes",
    );
  }
  const entry = bytes.length === 4 ? view.getUint32(0, true) : Number(view.getBigUint64(0, true));
  if (entry >= 2 ** 32) {
    throw new KernelError(
      file,
      `its note XEN_ELFNOTE_PHYS32_ENTRY names ${hex(entry)}`,
      "the entry is a physical address below 4 GiB",
    );
  }
  return entry;
}

function encodeMemoryMap(map: readonly E820Entry[]): Uint8Array {
  const bytes = new Uint8Array(map.length * MEMMAP_ENTRY_SIZE);
  const view = new DataView(bytes.buffer);
  map.forEach(({ base, length, type }, i) => {
    view.setBigUint64(i * MEMMAP_ENTRY_SIZE, BigInt(base), true);
    view.setBigUint64(i * MEMMAP_ENTRY_SIZE + 8, BigInt(length), true);
    view.setUint32(i * MEMMAP_ENTRY_SIZE + 16, type, true);
  });
  return bytes;
}

/**
 * Makes the plan that boots a kernel by its PVH entry.
 *
 * @returns undefined when the file has none
 * @throws {ElfError | KernelError | InitrdError}
 */
export function planPvh(options: PvhOptions): BootPlan | undefined {
  const { file, kernel, commandLine = "", modules = [], ramSize, memoryMap } = options;
  const entry = findPvhEntry(file, kernel);
  if (entry === undefined) return undefined;
  const refusal: Refusal = (problem, expected) => new KernelError(file, problem, expected);
  const pieces = parseElfSegments(file, kernel).map((
    { address, memorySize, offset, fileSize },
  ): Piece => ({
    address,
    size: memorySize,
    bytes: kernel.subarray(offset, offset + fileSize),
  }));
  if (!pieces.some(({ address, size }) => entry >= address && entry < address + size)) {
    throw refusal(
      `the entry ${hex(entry)} of its note XEN_ELFNOTE_PHYS32_ENTRY is in none of its segments`,
      "give an address within a PT_LOAD segment",
    );
  }
  const end = checkPieces(pieces, ramSize, refusal);
  if (commandLine.includes("\0")) {
    throw refusal("the command line contains a NUL character", "leave it out");
  }

  const blobs: GuestBlob[] = pieces.map((piece) => ({
    what: `kernel ${file}`,
    address: piece.address,
    bytes: fullBytes(piece),
  }));
  const block = new InfoBlock(START_INFO_SIZE, 8);
  const list = new DataView(new ArrayBuffer(modules.length * MODLIST_ENTRY_SIZE));
  const strings: (number | undefined)[] = [];
  // At the end of RAM, out of the way of what a kernel takes behind itself before it knows of modules.
  let top = ramSize;
  modules.forEach((module, i) => {
    if (module.bytes.length === 0) {
      throw new InitrdError(module.file, "it is empty", "give a file with bytes in it");
    }
    top = Math.floor((top - module.bytes.length) / PAGE) * PAGE;
    if (top < end) {
      throw new InitrdError(
        module.file,
        `its ${module.bytes.length} bytes do not fit behind the kernel, which ends at ${hex(end)}`,
        "give the machine more memory",
      );
    }
    blobs.push({ what: `module ${module.file}`, address: top, bytes: module.bytes });
    list.setBigUint64(i * MODLIST_ENTRY_SIZE, BigInt(top), true);
    list.setBigUint64(i * MODLIST_ENTRY_SIZE + 8, BigInt(module.bytes.length), true);
    strings.push(module.string === undefined ? undefined : block.add(cString(module.string)));
  });
  const commandAt = block.add(cString(commandLine));
  const mapAt = block.add(encodeMemoryMap(memoryMap));
  const listAt = block.add(new Uint8Array(list.buffer));

  const base = placeInfo(block.size, pieces, refusal);
  strings.forEach((at, i) => {
    if (at === undefined) return;
    list.setBigUint64(i * MODLIST_ENTRY_SIZE + 16, BigInt(base + at), true);
  });
  const { info } = block;
  const address = (field: number, value: number): void =>
    info.setBigUint64(field, BigInt(value), true);
  info.setUint32(MAGIC, XEN_HVM_START_MAGIC_VALUE, true);
  info.setUint32(VERSION, START_INFO_VERSION, true);
  info.setUint32(NR_MODULES, modules.length, true);
  if (modules.length > 0) address(MODLIST_PADDR, base + listAt);
  address(CMDLINE_PADDR, base + commandAt);
  address(RSDP_PADDR, options.rsdpAddress ?? 0);
  address(MEMMAP_PADDR, base + mapAt);
  info.setUint32(MEMMAP_ENTRIES, memoryMap.length, true);
  blobs.push({ what: "PVH start information", address: base, bytes: block.bytes() });
  return { blobs, entry: { mode: "protected", eip: entry, registers: { ebx: base } } };
}
