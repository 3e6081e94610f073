/**
 * The tables by which a board describes itself to inventory tools: entry point and structures of the
 * System Management BIOS Reference Specification (DMTF DSP0134) 2.8, sections 5.2.1 and 7.
 */

/** What the tables tell. */
export interface SmbiosFacts {
  /** Processors, which are cores of one package. */
  processors: number;
  /** RAM: first address and length in bytes of each range. */
  memory: readonly { base: number; length: number }[];
}

/** The two pieces: firmware puts the entry point where software looks for it, and the address of the tables into it. */
export interface Smbios {
  /** The entry point, without the address of the tables and without checksums. */
  anchor: Uint8Array<ArrayBuffer>;
  tables: Uint8Array<ArrayBuffer>;
}

/** Names of the files by which firmware gets them over fw_cfg. */
export const SMBIOS_ANCHOR_FILE = "etc/smbios/smbios-anchor",
  SMBIOS_TABLES_FILE = "etc/smbios/smbios-tables";

const KIB = 1024, MIB = 2 ** 20;
const MANUFACTURER = "Compy", PRODUCT = "Standard PC (i440FX + PIIX)", VERSION = "pc-i440fx";
/** The time-stamp counter's rate. */
const MEGAHERTZ = 1000;

/** Offsets in the entry point. */
const ENTRY_CHECKSUM = 4,
  ENTRY_LENGTH = 5,
  INTERMEDIATE = 0x10,
  INTERMEDIATE_CHECKSUM = 0x15,
  TABLES_ADDRESS = 0x18;
const ENTRY_SIZE = 0x1f;

/** Handles of structures that others refer to. */
const CHASSIS = 0x300, MEMORY_ARRAY = 0x1000, NO_HANDLE = 0xffff, NOT_PROVIDED = 0xfffe;

function number(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
const byte = (value: number): number[] => number(value, 1);
const word = (value: number): number[] => number(value, 2);
const dword = (value: number): number[] => number(value, 4);
const qword = (value: number): number[] => number(value, 8);

/** One structure: its fields, and the strings that they number. */
class Structure {
  private readonly strings: string[] = [];
  private readonly fields: number[] = [];

  constructor(readonly type: number, readonly handle: number) {}

  add(...fields: number[][]): this {
    for (const field of fields) this.fields.push(...field);
    return this;
  }

  /** A field that refers to a string. */
  text(text: string): this {
    let index = this.strings.indexOf(text);
    if (index < 0) index = this.strings.push(text) - 1;
    return this.add(byte(index + 1));
  }

  get bytes(): number[] {
    const characters = this.strings.flatMap((s) => [...new TextEncoder().encode(s), 0]);
    return [
      this.type,
      4 + this.fields.length,
      ...word(this.handle),
      ...this.fields,
      ...(characters.length === 0 ? [0, 0] : [...characters, 0]),
    ];
  }
}

function bios(): Structure {
  const NOT_SUPPORTED = 1 << 3, VIRTUAL_MACHINE = 1 << 4;
  return new Structure(0, 0).text(MANUFACTURER).text(VERSION)
    .add(word(0xe800)).text("01/01/2026")
    .add(byte(0), qword(NOT_SUPPORTED), byte(0), byte(VIRTUAL_MACHINE))
    // Releases of BIOS and embedded controller: none is numbered.
    .add(dword(0xffffffff));
}

function system(): Structure {
  const NO_UUID = new Array(16).fill(0), POWER_SWITCH = 6, NONE = byte(0);
  return new Structure(1, 0x100).text(MANUFACTURER).text(PRODUCT).text(VERSION)
    .add(NONE, NO_UUID, byte(POWER_SWITCH), NONE, NONE);
}

function chassis(): Structure {
  const OTHER = 1, SAFE = 3, NO_SECURITY = 3, NONE = byte(0);
  return new Structure(3, CHASSIS).text(MANUFACTURER).add(byte(OTHER)).text(VERSION)
    .add(NONE, NONE, byte(SAFE), byte(SAFE), byte(SAFE), byte(NO_SECURITY), dword(0))
    // Height and power cords are not told; no contained elements; no SKU number.
    .add(NONE, NONE, NONE, NONE, NONE);
}

function processor(count: number): Structure {
  const CENTRAL = 3, OTHER = 1, POPULATED_ENABLED = 0x41, UNKNOWN = 2;
  const NONE = byte(0), NO_CACHE = word(NO_HANDLE);
  return new Structure(4, 0x400).text("CPU 0").add(byte(CENTRAL), byte(OTHER)).text(MANUFACTURER)
    .add(qword(0)).text(VERSION)
    .add(NONE, word(0), word(MEGAHERTZ), word(MEGAHERTZ), byte(POPULATED_ENABLED), byte(OTHER))
    .add(NO_CACHE, NO_CACHE, NO_CACHE, NONE, NONE, NONE)
    .add(byte(count), byte(count), byte(count), word(UNKNOWN), word(OTHER));
}

function memoryArray(total: number): Structure {
  const OTHER = 1, SYSTEM_MEMORY = 3, NO_CORRECTION = 3, EXTENDED = 0x80000000;
  const kib = total / KIB, fits = kib < EXTENDED;
  return new Structure(16, MEMORY_ARRAY)
    .add(byte(OTHER), byte(SYSTEM_MEMORY), byte(NO_CORRECTION))
    .add(dword(fits ? kib : EXTENDED), word(NOT_PROVIDED), word(1), qword(fits ? 0 : total));
}

function memoryDevice(total: number): Structure {
  const DIMM = 9, RAM = 7, DETAIL_OTHER = 1 << 1, UNKNOWN_WIDTH = 0xffff;
  const IN_KIB = 0x8000, EXTENDED = 0x7fff;
  const mib = total / MIB;
  const size = !Number.isInteger(mib) && total / KIB < IN_KIB
    ? IN_KIB | (total / KIB)
    : Math.min(Math.floor(mib), EXTENDED);
  return new Structure(17, 0x1100)
    .add(word(MEMORY_ARRAY), word(NOT_PROVIDED), word(UNKNOWN_WIDTH), word(UNKNOWN_WIDTH))
    .add(word(size), byte(DIMM), byte(0)).text("DIMM 0")
    .add(byte(0), byte(RAM), word(DETAIL_OTHER), word(0)).text(MANUFACTURER)
    // No serial number, asset tag, part number; no rank.
    .add(byte(0), byte(0), byte(0), byte(0), dword(size === EXTENDED ? Math.floor(mib) : 0))
    .add(word(0), word(0), word(0), word(0));
}

function mappedAddress(index: number, { base, length }: { base: number; length: number }) {
  const ADDRESSES_IN_QWORDS = 0xffffffff;
  const last = base + length - 1;
  const short = last < 2 ** 32;
  return new Structure(19, 0x1300 + index)
    .add(dword(short ? base / KIB : ADDRESSES_IN_QWORDS))
    .add(dword(short ? Math.floor(last / KIB) : ADDRESSES_IN_QWORDS))
    .add(word(MEMORY_ARRAY), byte(1), qword(short ? 0 : base), qword(short ? 0 : last));
}

/** Builds the tables. */
export function buildSmbios({ processors, memory }: SmbiosFacts): Smbios {
  const NO_ERRORS = 0, RESERVED = new Array(6).fill(0);
  const total = memory.reduce((sum, { length }) => sum + length, 0);
  const structures = [
    bios(),
    system(),
    chassis(),
    processor(processors),
    memoryArray(total),
    memoryDevice(total),
    ...memory.map((range, i) => mappedAddress(i, range)),
    new Structure(32, 0x2000).add(RESERVED, byte(NO_ERRORS)),
    new Structure(127, 0x7f00),
  ].map(({ bytes }) => bytes);
  const tables = new Uint8Array(structures.flat());
  const largest = Math.max(...structures.map(({ length }) => length));
  const text = (s: string): number[] => [...new TextEncoder().encode(s)];
  const anchor = new Uint8Array([
    ...text("_SM_"),
    0,
    ENTRY_SIZE,
    ...[2, 8],
    ...word(largest),
    0,
    ...[0, 0, 0, 0, 0],
    ...text("_DMI_"),
    0,
    ...word(tables.length),
    ...dword(0),
    ...word(structures.length),
    0x28,
  ]);
  return { anchor, tables };
}

/** The entry point for tables at `address`, with right checksums. */
export function linkSmbios({ anchor }: Smbios, address: number): Uint8Array<ArrayBuffer> {
  const linked = anchor.slice();
  new DataView(linked.buffer).setUint32(TABLES_ADDRESS, address, true);
  const sum = (from: number): number =>
    linked.subarray(from, linked[ENTRY_LENGTH]).reduce((a, b) => a + b, 0);
  linked[INTERMEDIATE_CHECKSUM] = -sum(INTERMEDIATE);
  linked[ENTRY_CHECKSUM] = -sum(0);
  return linked;
}
