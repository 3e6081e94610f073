/** Reading ELF executables (System V ABI, "Object Files" and "Program Loading"), as far as booting them needs. */
import { ElfError, hex } from "./image_error.ts";

/** A piece of the file that goes to memory. */
export interface ElfSegment {
  /** Offset and length in the file. */
  offset: number;
  fileSize: number;
  /** Physical address and length in memory; what the file does not fill is zero. */
  address: number;
  memorySize: number;
  virtualAddress: number;
}

/** A parsed executable. */
export interface ElfImage {
  /** The entry point as a physical address. */
  entry: number;
  segments: ElfSegment[];
}

const EI_CLASS = 4, EI_DATA = 5, EI_VERSION = 6;
const ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1, EV_CURRENT = 1;
const ET_EXEC = 2, ET_DYN = 3, EM_386 = 3, EM_486 = 6;
const PT_LOAD = 1;
const EHDR32_SIZE = 52, PHDR32_SIZE = 32;
const E_TYPE = 16, E_MACHINE = 18, E_ENTRY = 24, E_PHOFF = 28, E_PHENTSIZE = 42, E_PHNUM = 44;

/** Whether the bytes begin like an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c &&
    bytes[3] === 0x46;
}

/** Whether the bytes are an ELF file of the 64-bit class. */
export function isElf64(bytes: Uint8Array): boolean {
  return isElf(bytes) && bytes[EI_CLASS] === ELFCLASS64;
}

/**
 * Parses a 32-bit x86 executable.
 *
 * @param file named in errors
 * @throws {ElfError} when it is another kind of file or its headers contradict themselves
 */
export function parseElf32(file: string, bytes: Uint8Array): ElfImage {
  const fail = (problem: string, expected = "give an intact 32-bit x86 executable"): never => {
    throw new ElfError(file, problem, expected);
  };
  if (!isElf(bytes)) fail("it does not begin with the ELF magic");
  if (bytes.length < EHDR32_SIZE) {
    fail(`it is cut short: ${bytes.length} bytes, and the ELF header alone takes ${EHDR32_SIZE}`);
  }
  if (bytes[EI_CLASS] === ELFCLASS64) {
    fail("it is a 64-bit executable", "link it as 32-bit ELF (elf_i386)");
  }
  if (bytes[EI_CLASS] !== ELFCLASS32) fail(`it has the unknown class ${bytes[EI_CLASS]}`);
  if (bytes[EI_DATA] !== ELFDATA2LSB) fail("it is not little-endian");
  if (bytes[EI_VERSION] !== EV_CURRENT) fail(`it has the unknown version ${bytes[EI_VERSION]}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint16(E_TYPE, true), machine = view.getUint16(E_MACHINE, true);
  if (type !== ET_EXEC && type !== ET_DYN) {
    fail(`it is of type ${type}, not an executable`, "link it as an executable");
  }
  if (machine !== EM_386 && machine !== EM_486) {
    fail(`it is for machine ${machine}, not x86`, "build it for i386 (machine 3)");
  }
  const table = view.getUint32(E_PHOFF, true), count = view.getUint16(E_PHNUM, true);
  const entrySize = view.getUint16(E_PHENTSIZE, true);
  if (count === 0) fail("it has no program headers", "link it as an executable");
  if (entrySize < PHDR32_SIZE) {
    fail(`its program headers are ${entrySize} bytes each, fewer than ${PHDR32_SIZE}`);
  }
  if (table + count * entrySize > bytes.length) {
    fail(
      `it is cut short: the program headers end at ${hex(table + count * entrySize)}, ` +
        `the file at ${hex(bytes.length)}`,
    );
  }
  const segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * entrySize;
    const word = (n: number): number => view.getUint32(at + 4 * n, true);
    if (word(0) !== PT_LOAD) continue;
    const segment: ElfSegment = {
      offset: word(1),
      virtualAddress: word(2),
      address: word(3),
      fileSize: word(4),
      memorySize: word(5),
    };
    if (segment.memorySize === 0) continue;
    if (segment.fileSize > segment.memorySize) {
      fail(
        `segment ${i} takes ${segment.fileSize} bytes in the file and only ${segment.memorySize} in memory`,
      );
    }
    if (segment.offset + segment.fileSize > bytes.length) {
      fail(
        `it is cut short: segment ${i} ends at ${hex(segment.offset + segment.fileSize)}, ` +
          `the file at ${hex(bytes.length)}`,
      );
    }
    if (segment.address + segment.memorySize > 2 ** 32) {
      fail(`segment ${i} does not fit below 4 GiB`);
    }
    segments.push(segment);
  }
  if (segments.length === 0) {
    fail("it has no segment to load", "link it as an executable with PT_LOAD segments");
  }
  const virtualEntry = view.getUint32(E_ENTRY, true);
  // A higher-half kernel gives its entry as a virtual address; paging is off, so the physical one counts.
  const home = segments.find((s) =>
    virtualEntry >= s.virtualAddress && virtualEntry < s.virtualAddress + s.memorySize
  );
  const entry = home === undefined
    ? virtualEntry
    : virtualEntry - home.virtualAddress + home.address;
  if (!segments.some((s) => entry >= s.address && entry < s.address + s.memorySize)) {
    fail(`its entry point ${hex(entry)} is in none of its segments`);
  }
  return { entry, segments };
}
