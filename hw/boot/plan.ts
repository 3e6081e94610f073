/**
 * What a loader makes of a kernel: bytes for guest memory and the processor state to start with; and
 * the reset ROM that brings a processor from its reset vector to that state.
 *
 * The ROM replaces firmware. Because a real processor executes it, direct boot needs nothing from an
 * engine but a hardware reset.
 */

/** A file that the host has read. */
export interface NamedImage {
  /** Named in errors. */
  file: string;
  bytes: Uint8Array;
}

/** Bytes that go to guest memory before the processor starts. */
export interface GuestBlob {
  /** What it is, for traces and errors. */
  what: string;
  address: number;
  bytes: Uint8Array;
}

/** General registers at entry; those left out are 0. */
export interface EntryRegisters {
  eax?: number;
  ebx?: number;
  ecx?: number;
  edx?: number;
  esi?: number;
  edi?: number;
  ebp?: number;
  esp?: number;
}

/** Where and how the processor starts. Interrupts are off, paging is off. */
export type EntryState =
  /** Real mode at `cs`:`ip`; the data segments and SS are `ds`. */
  | { mode: "real"; cs: number; ip: number; ds: number; registers: EntryRegisters }
  /** 32-bit protected mode with segments of 4 GiB: CS is {@linkcode BOOT_CS}, the others are {@linkcode BOOT_DS}. */
  | { mode: "protected"; eip: number; registers: EntryRegisters };

/** Everything a kernel needs to be started, and to be started again after a reset. */
export interface BootPlan {
  blobs: GuestBlob[];
  entry: EntryState;
}

/** Selectors of the flat segments, with the numbers that Linux's 32-bit boot protocol prescribes. */
export const BOOT_CS = 0x10, BOOT_DS = 0x18;

/** Size of the reset ROM, which ends at 4 GiB. */
export const RESET_ROM_SIZE = 0x1000;
/** Physical address of the reset ROM. */
export const RESET_ROM_BASE = 2 ** 32 - RESET_ROM_SIZE;

/** Physical address of the ROM that stands where a BIOS has its entry for a restart: F000:FFF0. */
export const RESTART_ROM_BASE = 0x100000 - RESET_ROM_SIZE;

/** Offsets in the ROM. The first instruction is fetched at the fixed reset vector. */
const CODE = 0x000, GDT = 0xf80, GDTR = 0xfb0, RESET_VECTOR = 0xff0;

/** Flat code and data descriptors, 4 GiB, ring 0, with the accessed bit set since ROM cannot take it. */
const FLAT_CODE = [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0],
  FLAT_DATA = [0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0];

function u16(n: number): number[] {
  return [n & 0xff, (n >>> 8) & 0xff];
}

function u32(n: number): number[] {
  return [...u16(n), ...u16(n >>> 16)];
}

/** MOV r32, imm32 for every general register, in encoding order. */
function loadRegisters(registers: EntryRegisters, prefix: number[]): number[] {
  const { eax = 0, ecx = 0, edx = 0, ebx = 0, esp = 0, ebp = 0, esi = 0, edi = 0 } = registers;
  return [eax, ecx, edx, ebx, esp, ebp, esi, edi].flatMap((
    value,
    i,
  ) => [...prefix, 0xb8 + i, ...u32(value)]);
}

/** MOV Sreg, AX for SS, DS, ES, FS, GS; SS first, so that the load of ESP may follow at leisure. */
const LOAD_SEGMENTS = [0xd0, 0xd8, 0xc0, 0xe0, 0xe8].flatMap((modrm) => [0x8e, modrm]);

function realModeCode({ cs, ip, ds, registers }: EntryState & { mode: "real" }): number[] {
  return [
    0xfa, // CLI
    0xfc, // CLD
    0xb8,
    ...u16(ds), // MOV AX, ds
    ...LOAD_SEGMENTS,
    ...loadRegisters(registers, [0x66]),
    0xea,
    ...u16(ip),
    ...u16(cs), // JMP cs:ip
  ];
}

function protectedModeCode({ eip, registers }: EntryState & { mode: "protected" }): number[] {
  // Until the first far jump CS has the base 0xffff0000, so ROM offsets need 0xf000 added.
  const enter = [
    0xfa, // CLI
    0xfc, // CLD
    0x2e,
    0x66,
    0x0f,
    0x01,
    0x16,
    ...u16(0xf000 + GDTR), // LGDT CS:[gdtr], 32-bit base
    0x0f,
    0x20,
    0xc0, // MOV EAX, CR0
    0x0c,
    0x01, // OR AL, PE
    0x0f,
    0x22,
    0xc0, // MOV CR0, EAX
  ];
  const jump = 8; // length of the jump itself
  return [
    ...enter,
    0x66,
    0xea,
    ...u32(RESET_ROM_BASE + CODE + enter.length + jump),
    ...u16(BOOT_CS), // JMP BOOT_CS:next
    0xb8,
    ...u32(BOOT_DS), // MOV EAX, BOOT_DS
    ...LOAD_SEGMENTS,
    ...loadRegisters(registers, []),
    0xea,
    ...u32(eip),
    ...u16(BOOT_CS), // JMP BOOT_CS:eip
  ];
}

/** The ROM that ends at 4 GiB and takes a processor from reset to the entry state. */
export function resetRom(entry: EntryState): Uint8Array<ArrayBuffer> {
  const rom = new Uint8Array(RESET_ROM_SIZE).fill(0xff);
  rom.set(entry.mode === "real" ? realModeCode(entry) : protectedModeCode(entry), CODE);
  rom.fill(0, GDT, GDT + BOOT_CS);
  rom.set(FLAT_CODE, GDT + BOOT_CS);
  rom.set(FLAT_DATA, GDT + BOOT_DS);
  rom.set([...u16(BOOT_DS + 8 - 1), ...u32(RESET_ROM_BASE + GDT)], GDTR);
  // JMP near back to the code; CS keeps its base.
  rom.set([0xe9, ...u16(CODE - (RESET_VECTOR + 3))], RESET_VECTOR);
  return rom;
}

/** The ROM that ends at 1 MiB. Software that wants the BIOS to restart the machine jumps there in real mode. */
export function restartRom(): Uint8Array<ArrayBuffer> {
  const rom = new Uint8Array(RESET_ROM_SIZE).fill(0xff);
  rom.set([
    0xb0,
    0x06, // MOV AL, 6
    0xba,
    ...u16(0xcf9), // MOV DX, reset control register
    0xee, // OUT DX, AL
    0xf4, // HLT
    0xeb,
    0xfd, // JMP back to HLT
  ], RESET_VECTOR);
  return rom;
}
