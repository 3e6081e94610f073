/**
 * The ACPI tables of the board `pc` (ACPI specification 6.3, chapter 5 "ACPI Software Programming
 * Model"): built without addresses, then either linked to where a kernel without firmware finds them,
 * or handed to firmware with a script that links them.
 */
import { littleEndian } from "./aml.ts";
import { dsdtBody, type DsdtOptions } from "./dsdt.ts";
import { hpetBody, madtBody } from "./madt.ts";

/** What the tables have to know of the board. */
export interface AcpiOptions extends DsdtOptions {
  /** Port that takes the commands which switch between legacy and ACPI mode, and these commands. */
  smiCommand: number;
  acpiEnable: number;
  acpiDisable: number;
  /** Value that a write to port 0xcf9 resets the board by. */
  resetPort: number;
  resetValue: number;
  /** Port of the general purpose event registers. */
  gpeBase: number;
  /** Bytes of status and enable registers of general purpose events together. */
  gpeLength: number;
  /** I/O APIC input of ISA interrupt 0. */
  timerInput: number;
  /** Whether the processors have local APICs. Without them only the 8259s reach them. */
  localApics: boolean;
}

/** The two pieces that are placed apart. */
export type AcpiPiece = "tables" | "rsdp";

/** A field that holds the address of a table: until linked, its offset in the tables. */
export interface AcpiPointer {
  piece: AcpiPiece;
  offset: number;
  size: 4 | 8;
}

/** A byte that makes a range of bytes add up to 0. */
export interface AcpiChecksum {
  piece: AcpiPiece;
  offset: number;
  start: number;
  length: number;
}

/** Tables with pointers that count from their beginning and checksums still 0. */
export interface AcpiTables {
  tables: Uint8Array<ArrayBuffer>;
  rsdp: Uint8Array<ArrayBuffer>;
  pointers: readonly AcpiPointer[];
  /** In the order in which they have to be computed, after the pointers. */
  checksums: readonly AcpiChecksum[];
}

/** Alignment that the tables need: the FACS's. */
export const ACPI_ALIGNMENT = 64;

const HEADER_SIZE = 36, HEADER_CHECKSUM = 9;
const OEM_ID = "COMPY ", OEM_TABLE_ID = "COMPYPC ", CREATOR_ID = "CMPY";

/** FADT flags. */
const WBINVD = 1 << 0,
  PROC_C1 = 1 << 2,
  SLP_BUTTON = 1 << 5,
  RESET_REG_SUP = 1 << 10,
  FORCE_APIC_CLUSTER_MODEL = 1 << 18;
/** Flat logical destinations have a bit for each of so many processors. */
const FLAT_PROCESSORS = 8;
/** IAPC_BOOT_ARCH flags. */
const LEGACY_DEVICES = 1 << 0, HAS_8042 = 1 << 1;
/** Power management registers of the PIIX4, from the base in PMBA. */
const PM1_EVT = 0, PM1_CNT = 4, PM_TMR = 8;
const CMOS_CENTURY = 0x32;

function ascii(text: string): number[] {
  return [...text].map((c) => c.charCodeAt(0));
}

/** Lays tables out one behind the other and notes what has to be patched. */
class Layout {
  readonly bytes: number[] = [];
  readonly pointers: AcpiPointer[] = [];
  readonly checksums: AcpiChecksum[] = [];

  align(to: number): number {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
    return this.bytes.length;
  }

  /** Adds a table with a standard header; returns its offset. */
  table(signature: string, revision: number, body: readonly number[]): number {
    const at = this.align(16);
    const length = HEADER_SIZE + body.length;
    this.bytes.push(
      ...ascii(signature),
      ...littleEndian(length, 4),
      revision,
      0,
      ...ascii(OEM_ID),
      ...ascii(OEM_TABLE_ID),
      ...littleEndian(1, 4),
      ...ascii(CREATOR_ID),
      ...littleEndian(1, 4),
    );
    for (const byte of body) this.bytes.push(byte);
    this.checksums.push({ piece: "tables", offset: at + HEADER_CHECKSUM, start: at, length });
    return at;
  }

  pointer(offset: number, size: 4 | 8): void {
    this.pointers.push({ piece: "tables", offset, size });
  }
}

/** A Generic Address Structure in port space. */
function gas(base: number, bytes: number): number[] {
  const SYSTEM_IO = 1;
  return base === 0 ? littleEndian(0, 12) : [SYSTEM_IO, bytes * 8, 0, 0, ...littleEndian(base, 8)];
}

/** FADT, revision 3; offsets in the comments are those of its table in the specification. */
function fadtBody(facs: number, dsdt: number, options: AcpiOptions): number[] {
  const DESKTOP = 1, NO_C2 = 0x0fff, NO_C3 = 0x0fff;
  const { pmBase, gpeBase: gpe, gpeLength, resetPort, resetValue } = options;
  const flags = WBINVD | PROC_C1 | SLP_BUTTON | RESET_REG_SUP |
    (options.processors > FLAT_PROCESSORS ? FORCE_APIC_CLUSTER_MODEL : 0);
  const u16 = (n: number): number[] => littleEndian(n, 2);
  const u32 = (n: number): number[] => littleEndian(n, 4);
  const u64 = (n: number): number[] => littleEndian(n, 8);
  return [
    ...u32(facs), // 36 FIRMWARE_CTRL
    ...u32(dsdt), // 40 DSDT
    0, // 44
    DESKTOP, // 45 Preferred_PM_Profile
    ...u16(options.sciInterrupt), // 46 SCI_INT
    ...u32(options.smiCommand), // 48 SMI_CMD
    ...[options.acpiEnable, options.acpiDisable, 0, 0], // 52 …, S4BIOS_REQ, PSTATE_CNT
    ...[pmBase + PM1_EVT, 0, pmBase + PM1_CNT, 0, 0, pmBase + PM_TMR, gpe, 0].flatMap(u32), // 56
    ...[4, 2, 0, 4, gpeLength, 0, 0, 0], // 88 PM1_EVT_LEN … CST_CNT
    ...u16(NO_C2), // 96 P_LVL2_LAT
    ...u16(NO_C3), // 98 P_LVL3_LAT
    ...u16(0), // 100 FLUSH_SIZE
    ...u16(0), // 102 FLUSH_STRIDE
    ...[0, 0, 0, 0, CMOS_CENTURY], // 104 DUTY_OFFSET, DUTY_WIDTH, DAY_ALRM, MON_ALRM, CENTURY
    ...u16(LEGACY_DEVICES | HAS_8042), // 109 IAPC_BOOT_ARCH
    0, // 111
    ...u32(flags), // 112 Flags
    ...gas(resetPort, 1), // 116 RESET_REG
    resetValue, // 128 RESET_VALUE
    ...[0, 0, 0], // 129
    ...u64(0), // 132 X_FIRMWARE_CTRL: FIRMWARE_CTRL holds
    ...u64(dsdt), // 140 X_DSDT
    ...gas(pmBase + PM1_EVT, 4), // 148
    ...gas(0, 0), // 160
    ...gas(pmBase + PM1_CNT, 2), // 172
    ...gas(0, 0), // 184
    ...gas(0, 0), // 196
    ...gas(pmBase + PM_TMR, 4), // 208
    ...gas(gpe, gpeLength), // 220
    ...gas(0, 0), // 232
  ];
}

/** WAET: Windows need not work around the PM timer of other chips, whose reads may be torn. */
function waetBody(): number[] {
  const ACPI_PM_TIMER_GOOD = 1 << 1;
  return littleEndian(ACPI_PM_TIMER_GOOD, 4);
}

function facsBody(): number[] {
  const LENGTH = 64, VERSION = 1;
  const bytes = [...ascii("FACS"), ...littleEndian(LENGTH, 4)];
  while (bytes.length < LENGTH) bytes.push(0);
  bytes[32] = VERSION;
  return bytes;
}

/** Builds the tables. */
export function buildAcpiTables(options: AcpiOptions): AcpiTables {
  const layout = new Layout();
  const facs = layout.align(ACPI_ALIGNMENT);
  layout.bytes.push(...facsBody());
  const dsdt = layout.table("DSDT", 1, dsdtBody(options));
  const fadt = layout.table("FACP", 3, fadtBody(facs, dsdt, options));
  // FIRMWARE_CTRL, DSDT and X_DSDT.
  layout.pointer(fadt + 36, 4);
  layout.pointer(fadt + 40, 4);
  layout.pointer(fadt + 140, 8);
  const levelInterrupts = [options.sciInterrupt, ...options.pciInterrupts];
  levelInterrupts.sort((a, b) => a - b);
  const listed = [
    fadt,
    ...(options.localApics
      ? [layout.table("APIC", 1, madtBody({ ...options, levelInterrupts }))]
      : []),
    ...(options.hpet ? [layout.table("HPET", 1, hpetBody())] : []),
    layout.table("WAET", 1, waetBody()),
  ];
  const root = (signature: string, size: 4 | 8): number => {
    const body = listed.flatMap((table) => littleEndian(table, size));
    const at = layout.table(signature, 1, body);
    listed.forEach((_, i) => layout.pointer(at + HEADER_SIZE + size * i, size));
    return at;
  };
  const rsdt = root("RSDT", 4), xsdt = root("XSDT", 8);
  layout.align(16);

  const RSDP_SIZE = 36, ACPI_2 = 2;
  const rsdp = new Uint8Array([
    ...ascii("RSD PTR "),
    0,
    ...ascii(OEM_ID),
    ACPI_2,
    ...littleEndian(rsdt, 4),
    ...littleEndian(RSDP_SIZE, 4),
    ...littleEndian(xsdt, 8),
    0,
    ...[0, 0, 0],
  ]);
  return {
    tables: new Uint8Array(layout.bytes),
    rsdp,
    pointers: [
      ...layout.pointers,
      { piece: "rsdp", offset: 16, size: 4 },
      { piece: "rsdp", offset: 24, size: 8 },
    ],
    checksums: [
      ...layout.checksums,
      { piece: "rsdp", offset: 8, start: 0, length: 20 },
      { piece: "rsdp", offset: 32, start: 0, length: RSDP_SIZE },
    ],
  };
}

/** The tables as they read at `address`: pointers linked, checksums right. */
export function linkAcpiTables(
  { tables, rsdp, pointers, checksums }: AcpiTables,
  address: number,
): { tables: Uint8Array<ArrayBuffer>; rsdp: Uint8Array<ArrayBuffer> } {
  const linked = { tables: tables.slice(), rsdp: rsdp.slice() };
  for (const { piece, offset } of pointers) {
    const view = new DataView(linked[piece].buffer);
    view.setUint32(offset, view.getUint32(offset, true) + address, true);
  }
  for (const { piece, offset, start, length } of checksums) {
    const sum = linked[piece].subarray(start, start + length).reduce((a, b) => a + b, 0);
    linked[piece][offset] = (linked[piece][offset] - sum) & 0xff;
  }
  return linked;
}

/** Names of the files by which firmware gets the tables over fw_cfg. */
export const ACPI_TABLES_FILE = "etc/acpi/tables",
  ACPI_RSDP_FILE = "etc/acpi/rsdp",
  TABLE_LOADER_FILE = "etc/table-loader";

const FILE_OF = { tables: ACPI_TABLES_FILE, rsdp: ACPI_RSDP_FILE };
const COMMAND_SIZE = 128, FILE_NAME_SIZE = 56;
const ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3;
const ZONE_HIGH = 1, ZONE_FSEG = 2;

function loaderCommand(command: number, fields: readonly number[]): number[] {
  const bytes = [...littleEndian(command, 4), ...fields];
  while (bytes.length < COMMAND_SIZE) bytes.push(0);
  return bytes;
}

function fileName(file: string): number[] {
  const bytes = ascii(file);
  while (bytes.length < FILE_NAME_SIZE) bytes.push(0);
  return bytes;
}

/** The script by which firmware places and links the tables: QEMU's linker/loader interface, docs/specs/fw_cfg and `bios-linker-loader`. */
export function acpiLoaderScript({ pointers, checksums }: AcpiTables): Uint8Array<ArrayBuffer> {
  const u32 = (n: number): number[] => littleEndian(n, 4);
  return new Uint8Array([
    ...loaderCommand(ALLOCATE, [...fileName(ACPI_RSDP_FILE), ...u32(16), ZONE_FSEG]),
    ...loaderCommand(ALLOCATE, [
      ...fileName(ACPI_TABLES_FILE),
      ...u32(ACPI_ALIGNMENT),
      ZONE_HIGH,
    ]),
    ...pointers.flatMap(({ piece, offset, size }) =>
      loaderCommand(ADD_POINTER, [
        ...fileName(FILE_OF[piece]),
        ...fileName(ACPI_TABLES_FILE),
        ...u32(offset),
        size,
      ])
    ),
    ...checksums.flatMap(({ piece, offset, start, length }) =>
      loaderCommand(ADD_CHECKSUM, [
        ...fileName(FILE_OF[piece]),
        ...u32(offset),
        ...u32(start),
        ...u32(length),
      ])
    ),
  ]);
}
