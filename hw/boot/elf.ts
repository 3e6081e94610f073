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

/** A record of a PT_NOTE segment. */
export interface ElfNote {
  /** Who defined the note's types, without the zero at the end. */
  name: string;
  type: number;
  bytes: Uint8Array;
}

/** What a program header says, whatever the file's class. */
interface ProgramHeader {
  type: number;
  offset: number;
  virtualAddress: number;
  address: number;
  fileSize: number;
  memorySize: number;
  alignment: number;
}

/** Both ELF headers, before anything is made of them. */
interface Headers {
  is64: boolean;
  virtualEntry: number;
  programs: ProgramHeader[];
}

const EI_CLASS = 4, EI_DATA = 5, EI_VERSION = 6;
const ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1, EV_CURRENT = 1;
const ET_EXEC = 2, ET_DYN = 3, EM_386 = 3, EM_486 = 6, EM_X86_64 = 62;
const PT_LOAD = 1, PT_NOTE = 4;
const E_TYPE = 16, E_MACHINE = 18;
/** Sizes and offsets that differ between the classes. Of a program header: offset, vaddr, paddr, filesz, memsz, align. */
const CLASS32 = {
  header: 52,
  program: 32,
  entry: 24,
  table: 28,
  entrySize: 42,
  count: 44,
  fields: [4, 8, 12, 16, 20, 28],
};
const CLASS64 = {
  header: 64,
  program: 56,
  entry: 24,
  table: 32,
  entrySize: 54,
  count: 56,
  fields: [8, 16, 24, 32, 40, 48],
};
/** Header of a note: sizes of name and descriptor, and type. */
const NOTE_HEADER = 12;

/** Whether the bytes begin like an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c &&
    bytes[3] === 0x46;
}

/** Whether the bytes are an ELF file of the 64-bit class. */
export function isElf64(bytes: Uint8Array): boolean {
  return isElf(bytes) && bytes[EI_CLASS] === ELFCLASS64;
}

function readHeaders(file: string, bytes: Uint8Array, accept64: boolean): Headers {
  const kind = accept64 ? "x86" : "32-bit x86";
  const fail = (problem: string, expected = `give an intact ${kind} executable`): never => {
    throw new ElfError(file, problem, expected);
  };
  if (!isElf(bytes)) fail("it does not begin with the ELF magic");
  const is64 = isElf64(bytes);
  const layout = is64 ? CLASS64 : CLASS32;
  if (is64 && !accept64) {
    fail("it is a 64-bit executable", "link it as 32-bit ELF (elf_i386)");
  }
  if (bytes.length < layout.header) {
    fail(
      `it is cut short: ${bytes.length} bytes, and the ELF header alone takes ${layout.header}`,
    );
  }
  if (!is64 && bytes[EI_CLASS] !== ELFCLASS32) fail(`it has the unknown class ${bytes[EI_CLASS]}`);
  if (bytes[EI_DATA] !== ELFDATA2LSB) fail("it is not little-endian");
  if (bytes[EI_VERSION] !== EV_CURRENT) fail(`it has the unknown version ${bytes[EI_VERSION]}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (at: number): number =>
    is64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
  const type = view.getUint16(E_TYPE, true), machine = view.getUint16(E_MACHINE, true);
  if (type !== ET_EXEC && type !== ET_DYN) {
    fail(`it is of type ${type}, not an executable`, "link it as an executable");
  }
  const machines = is64 ? [EM_X86_64] : [EM_386, EM_486];
  if (!machines.includes(machine)) {
    fail(
      `it is for machine ${machine}, not x86`,
      is64 ? "build it for x86-64 (machine 62)" : "build it for i386 (machine 3)",
    );
  }
  const table = word(layout.table), count = view.getUint16(layout.count, true);
  const entrySize = view.getUint16(layout.entrySize, true);
  if (count === 0) fail("it has no program headers", "link it as an executable");
  if (entrySize < layout.program) {
    fail(`its program headers are ${entrySize} bytes each, fewer than ${layout.program}`);
  }
  if (table + count * entrySize > bytes.length) {
    fail(
      `it is cut short: the program headers end at ${hex(table + count * entrySize)}, ` +
        `the file at ${hex(bytes.length)}`,
    );
  }
  const programs = Array.from({ length: count }, (_, i): ProgramHeader => {
    const at = table + i * entrySize;
    const [offset, virtualAddress, address, fileSize, memorySize, alignment] = layout.fields.map((
      field,
    ) => word(at + field));
    return {
      type: view.getUint32(at, true),
      offset,
      virtualAddress,
      address,
      fileSize,
      memorySize,
      alignment,
    };
  });
  programs.forEach(({ type, offset, fileSize }, i) => {
    const used = (type === PT_LOAD || type === PT_NOTE) && fileSize > 0;
    if (used && offset + fileSize > bytes.length) {
      fail(
        `it is cut short: segment ${i} ends at ${hex(offset + fileSize)}, ` +
          `the file at ${hex(bytes.length)}`,
      );
    }
  });
  return { is64, virtualEntry: word(layout.entry), programs };
}

function loadedSegments(file: string, { programs }: Headers): ElfSegment[] {
  const segments: ElfSegment[] = [];
  programs.forEach(({ type, offset, virtualAddress, address, fileSize, memorySize }, i) => {
    if (type !== PT_LOAD || memorySize === 0) return;
    const fail = (problem: string): never => {
      throw new ElfError(file, problem, "give an intact x86 executable");
    };
    if (fileSize > memorySize) {
      fail(`segment ${i} takes ${fileSize} bytes in the file and only ${memorySize} in memory`);
    }
    if (address + memorySize > 2 ** 32) fail(`segment ${i} does not fit below 4 GiB`);
    segments.push({ offset, virtualAddress, address, fileSize, memorySize });
  });
  if (segments.length === 0) {
    throw new ElfError(
      file,
      "it has no segment to load",
      "link it as an executable with PT_LOAD segments",
    );
  }
  return segments;
}

/**
 * Parses a 32-bit x86 executable.
 *
 * @param file named in errors
 * @throws {ElfError} when it is another kind of file or its headers contradict themselves
 */
export function parseElf32(file: string, bytes: Uint8Array): ElfImage {
  const headers = readHeaders(file, bytes, false);
  const segments = loadedSegments(file, headers);
  const { virtualEntry } = headers;
  // A higher-half kernel gives its entry as a virtual address; paging is off, so the physical one counts.
  const home = segments.find((s) =>
    virtualEntry >= s.virtualAddress && virtualEntry < s.virtualAddress + s.memorySize
  );
  const entry = home === undefined
    ? virtualEntry
    : virtualEntry - home.virtualAddress + home.address;
  if (!segments.some((s) => entry >= s.address && entry < s.address + s.memorySize)) {
    throw new ElfError(
      file,
      `its entry point ${hex(entry)} is in none of its segments`,
      "give an intact 32-bit x86 executable",
    );
  }
  return { entry, segments };
}

/**
 * Parses an x86 executable of either class for its segments.
 *
 * @param file named in errors
 * @throws {ElfError} when it is another kind of file or its headers contradict themselves
 */
export function parseElfSegments(file: string, bytes: Uint8Array): ElfSegment[] {
  return loadedSegments(file, readHeaders(file, bytes, true));
}

/**
 * Reads the notes of an x86 executable of either class (System V ABI, "Note Section").
 *
 * @param file named in errors
 * @throws {ElfError} when its headers or a note contradict themselves
 */
export function parseElfNotes(file: string, bytes: Uint8Array): ElfNote[] {
  const notes: ElfNote[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  readHeaders(file, bytes, true).programs.forEach(({ type, offset, fileSize, alignment }, i) => {
    if (type !== PT_NOTE) return;
    // GNU's tools align the parts of 64-bit notes to 4 bytes too, unless the segment says 8.
    const unit = alignment === 8 ? 8 : 4;
    const align = (n: number): number => Math.ceil(n / unit) * unit;
    const fail = (at: number, part: string): never => {
      throw new ElfError(
        file,
        `the note at ${hex(offset + at)} in segment ${i} ${part} the segment's ${fileSize} bytes`,
        "give an executable with intact notes",
      );
    };
    for (let at = 0; at < fileSize;) {
      if (at + NOTE_HEADER > fileSize) fail(at, "has its header beyond");
      const nameSize = view.getUint32(offset + at, true);
      const size = view.getUint32(offset + at + 4, true);
      const name = at + NOTE_HEADER, descriptor = align(name + nameSize);
      if (name + nameSize > fileSize) fail(at, "has its name beyond");
      if (descriptor + size > fileSize) fail(at, "has its descriptor beyond");
      const text = bytes.subarray(offset + name, offset + name + nameSize);
      notes.push({
        name: new TextDecoder("latin1").decode(text).replace(/\0+$/, ""),
        type: view.getUint32(offset + at + 8, true),
        bytes: bytes.subarray(offset + descriptor, offset + descriptor + size),
      });
      at = align(descriptor + size);
    }
  });
  return notes;
}
