/** Where the pieces of a fuzzed guest lie, and how it is set up. */

/** How the processor runs a program. */
export interface Setup {
  bits: 32 | 64;
  ring: 0 | 3;
  paging: "none" | "32-bit" | "PAE" | "long";
  /** Code and data at addresses from FFFFFFFF80000000h on, in 64-bit code. */
  high: boolean;
  /** Nanoseconds between two timer interrupts; 0 for none. */
  timer: number;
  /** CR0.WP and CR0.AM. */
  writeProtect: boolean;
  alignment: boolean;
}

/** All memory there is, from 0 on. */
export const MEMORY = 2 << 20;
/** Physical addresses: start-up code and handlers, the processor's tables, cells, stacks. */
export const KERNEL = 0x100000, GDT = 0x102000, IDT = 0x103000, CELLS = 0x104000, TSS = 0x105000;
export const KERNEL_STACK = 0x108000, STACK = 0x11c000;
/** Two sets of page tables. */
export const TABLES = [0x108000, 0x110000] as const;
/** Program, data, pages whose rights change and that are repaired, pages that are never there. */
export const CODE = 0x120000, CODE_END = 0x160000, DATA = 0x160000, DATA_SIZE = 0x10000;
export const SHIFTING = 0x170000, SHIFTING_PAGES = 8, NOWHERE = 0x178000;
/** From here on linear addresses lead to all of memory again, where there is paging. */
export const ALIAS = 0x400000;
export const APIC = 0xfee00000 | 0, TEXT = 0xb8000;

/** Cells: where to go on after a fault, and with which stack. */
export const RESUME_IP = CELLS, RESUME_SP = CELLS + 8, FAULTS = CELLS + 16, TICKS = CELLS + 24;
/** What INT 80h is to do and with what, single steps that are left, times around the main loop. */
export const SERVICE = CELLS + 32, ARGUMENT = CELLS + 40, STEPS = CELLS + 48, ROUNDS = CELLS + 56;
/** What a breakpoint is to be at, and DR7; a stack pointer. Scratch of the handlers, loop counters, pointers, faults by vector. */
export const WATCHED = CELLS + 72, WATCH_MODE = CELLS + 80, SAVED_SP = CELLS + 88;
/** Address of a byte that the timer's handler increments, or 0. */
export const PATCHED = CELLS + 96;
export const SPARE = CELLS + 64, COUNTERS = CELLS + 0x100, POINTERS = CELLS + 0x400;
export const VECTORS = CELLS + 0x800;

/** Selectors. */
export const CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, LONG0 = 0x28, LONG3 = 0x33;
/** 16-bit and 32-bit code from CODE on, data from DATA on, the task state segment. */
export const SHORT_CODE = 0x38, BASED_CODE = 0x40, BASED_DATA = 0x48, TASK = 0x50;
/** Data from DATA on without a limit, and data above a limit; the table's size. */
export const WIDE_DATA = 0x60, DOWN_DATA = 0x68, GDT_SIZE = 0x70;
/** A stack for code that reaches only low addresses. */
export const LOW_STACK = 0x11b000;

/** A linear address as a signed 32-bit number, whose sign upper halves repeat. */
export function linear(setup: Setup, address: number): number {
  return setup.high ? (address | 0x80000000) | 0 : address;
}

/** Selectors of the program's code and data. */
export function selectors({ bits, ring }: Setup): { code: number; data: number } {
  if (ring === 3) return { code: bits === 64 ? LONG3 : CODE3, data: DATA3 };
  return { code: bits === 64 ? LONG0 : CODE0, data: DATA0 };
}

/** Bytes of a page table's entry. */
export function entrySize({ paging }: Setup): number {
  return paging === "32-bit" ? 4 : 8;
}

/** Where the entries for the first pages of memory begin in a set of tables. */
export function pageTable(set: number): number {
  return TABLES[set] + 0x4000;
}
