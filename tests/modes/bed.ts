/**
 * A processor with tables in which every vector has a handler that halts: what a guest raises, and all that
 * was saved for it, can then be read off the stack.
 */
import type { Interpreter } from "../../accel/interp/interpreter.ts";
import { engine } from "../../accel/interp/testing.ts";
import { parseCpuModel } from "../../accel/x86/models.ts";
import * as S from "../../accel/x86/state.ts";
import { setCpl, writeCr0 } from "../../accel/x86/system/control.ts";
import { loadV86Segment, setSegment } from "../../accel/x86/system/segments.ts";
import { HostMemory } from "../../core/bus/host_memory.ts";
import { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import { VirtualClock } from "../../core/machine/clock.ts";

/** Where things lie. Handlers are 8 bytes each and work in 16- and 32-bit code. */
export const GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, HANDLERS = 0x6000, STACK0 = 0x8000;
export const STACK3 = 0x9000, CODE = 0x10000, DATA = 0x20000, DIRECTORY = 0x30000, TABLE = 0x31000;
/** Selectors of flat 32-bit code and data, of the task, and the first that tests fill. */
export const CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TASK = 0x28, FREE = 0x30;
/** Access bytes: code, data, read-only and expand-down data, of ring 0 and accessed. */
export const A_CODE = 0x9b, A_DATA = 0x93, A_READ_ONLY = 0x91, A_DOWN = 0x97;
/** Page-table entry bits. */
export const P = 1, RW = 2, US = 4, ACCESSED = 0x20, DIRTY = 0x40, LARGE = 0x80, GLOBAL = 0x100;

const MEMORY = 0x800000;
/** What {@linkcode Bed.addHigh} puts from 4 GiB on. */
const HIGH_MEMORY = 0x10000;
const WITH_ERROR: readonly number[] = [
  S.DOUBLE_FAULT,
  S.TS,
  S.NP,
  S.SS_FAULT,
  S.GP,
  S.PAGE_FAULT,
  S.AC_FAULT,
];

/** An exception or interrupt as its handler finds it. */
export interface Trap {
  vector: number;
  /** Absent where the vector has none. */
  error?: number;
  cs: number;
  eip: number;
}

/** Bytes of hand-assembled code: hexadecimal, a `;` begins the mnemonic. */
export function code(text: string): number[] {
  return text.split("\n").flatMap((line) => line.split(";")[0].match(/[0-9a-f]{2}/g) ?? [])
    .map((byte) => parseInt(byte, 16));
}

/** What a segment descriptor says beyond type and base. */
export interface SegmentOptions {
  base?: number;
  /** The raw 20-bit limit. */
  limit?: number;
  /** G, D/B, L and AVL as a nibble. */
  flags?: number;
}

/** A processor, its memory, and where it stopped. */
export class Bed {
  readonly memory = new MemoryMap(new HostMemory(MEMORY + HIGH_MEMORY));
  readonly ports = new PortMap();
  readonly cpu: Interpreter;
  readonly R: Int32Array;

  /** @param make makes the engine; that of {@linkcode engine} unless given */
  constructor(model = "max", make = engine.make) {
    this.memory.addRam("ram", 0, MEMORY, this.memory.host.allocate(MEMORY));
    const clock = new VirtualClock(0);
    this.cpu = make(
      { memory: this.memory, ports: this.ports, clock, acknowledge: () => 0x20 },
      parseCpuModel(model),
    );
    clock.instructions = () => this.cpu.instructions;
    this.R = this.cpu.x86.R;
    this.cpu.setA20(true);
    // hlt; jmp back to it
    for (let v = 0; v < 0x100; v++) this.put(HANDLERS + 8 * v, [0xf4, 0xeb, 0xfd]);
    this.R[S.EFLAGS] = 2;
    this.R[S.RIP] = CODE;
  }

  /** Adds 64 KiB of RAM from 4 GiB on. */
  addHigh(): this {
    this.memory.addRam("high", 2 ** 32, HIGH_MEMORY, this.memory.host.allocate(HIGH_MEMORY));
    return this;
  }

  put(address: number, bytes: readonly number[]): void {
    this.memory.writeBlock(address, new Uint8Array(bytes));
  }
  read8(address: number): number {
    return this.memory.read(address, 1);
  }
  read16(address: number): number {
    return this.memory.read(address, 2);
  }
  read32(address: number): number {
    return this.memory.read(address, 4);
  }
  write32(address: number, value: number): void {
    this.memory.write(address, 4, value >>> 0);
  }
  write16(address: number, value: number): void {
    this.memory.write(address, 2, value & 0xffff);
  }

  /** Writes a descriptor. */
  segment(selector: number, access: number, options: SegmentOptions = {}): void {
    const { base = 0, limit = 0xfffff, flags = 0xc } = options;
    const at = GDT + (selector & 0xfff8);
    this.write32(at, (limit & 0xffff) | (base << 16));
    const high = ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20);
    this.write32(at + 4, high | (base & 0xff000000));
  }

  /** Writes a gate into the IDT. */
  gate(vector: number, access: number, selector: number, offset: number): void {
    this.write32(IDT + 8 * vector, (offset & 0xffff) | (selector << 16));
    this.write32(IDT + 8 * vector + 4, (offset & 0xffff0000) | (access << 8));
  }

  /** Loads a segment register from its descriptor, without checks. */
  load(segment: number, selector: number): void {
    const at = GDT + (selector & 0xfff8), low = this.read32(at), high = this.read32(at + 4);
    const base = (low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000);
    const raw = (low & 0xffff) | (high & 0xf0000);
    const limit = (high & 0x800000) !== 0 ? (raw << 12) | 0xfff : raw;
    setSegment(this.cpu.x86, segment, selector, base, limit, (high >>> 8) & 0xf0ff);
  }

  /** Flat protected mode at a ring; the code at {@linkcode CODE} comes next. */
  protect(ring: 0 | 3 = 0): this {
    const { R } = this;
    this.segment(CODE0, A_CODE);
    this.segment(DATA0, A_DATA);
    this.segment(CODE3, A_CODE | 0x60);
    this.segment(DATA3, A_DATA | 0x60);
    this.segment(TASK, 0x8b, { base: TSS, limit: 0x3ff, flags: 0 });
    for (let v = 0; v < 0x100; v++) this.gate(v, 0x8e, CODE0, HANDLERS + 8 * v);
    this.write32(TSS + 4, STACK0);
    this.write32(TSS + 8, DATA0);
    this.write16(TSS + 0x66, 0x88);
    R[S.GDTR_BASE] = GDT;
    R[S.GDTR_LIMIT] = 0xfff;
    R[S.IDTR_BASE] = IDT;
    R[S.IDTR_LIMIT] = 0x7ff;
    writeCr0(this.cpu.x86, S.CR0_PE | S.CR0_ET);
    this.load(S.TR, TASK);
    this.load(S.CS, ring === 0 ? CODE0 : CODE3);
    for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) this.load(s, ring === 0 ? DATA0 : DATA3);
    R[S.RSP] = ring === 0 ? STACK0 : STACK3;
    setCpl(this.cpu.x86, ring);
    return this;
  }

  /** Real mode: CS has base {@linkcode CODE}, the others base {@linkcode DATA}, SP is 1000h; the code at offset 0 comes next. */
  real(): this {
    const { R, cpu } = this;
    for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) {
      setSegment(cpu.x86, s, DATA >>> 4, DATA, 0xffff, 0x93);
    }
    setSegment(cpu.x86, S.CS, CODE >>> 4, CODE, 0xffff, 0x93);
    R[S.RSP] = 0x1000;
    R[S.RIP] = 0;
    R[S.IDTR_BASE] = 0;
    R[S.IDTR_LIMIT] = 0x3ff;
    for (let v = 0; v < 0x100; v++) this.write32(4 * v, HANDLERS + 8 * v);
    return this;
  }

  /** Virtual-8086 mode over protected mode's tables, laid out as {@linkcode Bed.real}. */
  virtual8086(iopl: number): this {
    this.protect(0);
    const { R, cpu } = this;
    R[S.EFLAGS] |= S.VM | (iopl << 12);
    for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) loadV86Segment(cpu.x86, s, DATA >>> 4);
    loadV86Segment(cpu.x86, S.CS, CODE >>> 4);
    R[S.RSP] = 0x1000;
    R[S.RIP] = 0;
    setCpl(cpu.x86, 3);
    return this;
  }

  /** Turns paging on: the first 4 MiB lie where they are, for all, and so do the next 4 through a large page. */
  page(): this {
    for (let n = 0; n < 1024; n++) this.write32(TABLE + 4 * n, (n << 12) | P | RW | US);
    this.write32(DIRECTORY, TABLE | P | RW | US);
    this.write32(DIRECTORY + 4, 0x400000 | P | RW | US | LARGE);
    this.R[S.CR3] = DIRECTORY;
    this.R[S.CR4] = S.CR4_PSE;
    writeCr0(this.cpu.x86, this.R[S.CR0] | S.CR0_PG | S.CR0_WP);
    return this;
  }

  /** Address of the page-table entry of a linear address below 4 MiB. */
  entry(linear: number): number {
    return TABLE + 4 * (linear >>> 12);
  }

  /** Gives a page other bits or another place, and makes the processor forget what it knew. */
  map(linear: number, entry: number): void {
    this.write32(this.entry(linear), entry);
    this.cpu.x86.mmu.flushPage(linear);
  }

  /** Runs until the processor halts, gives what stopped it if that was a handler of {@linkcode HANDLERS}. */
  run(limit = 100_000): Trap | undefined {
    this.cpu.run(limit);
    if (this.cpu.activity !== "halted") throw new Error(`the guest is ${this.cpu.activity}`);
    return this.trap();
  }

  /** The event in whose handler the processor halted. */
  trap(): Trap | undefined {
    const { R } = this, at = R[S.SEG_BASE + S.CS] + R[S.RIP] - 1 - HANDLERS;
    if (at < 0 || at >= 0x800 || (at & 7) !== 0) return undefined;
    const vector = at >>> 3, stack = R[S.SEG_BASE + S.SS] + R[S.RSP];
    if ((R[S.CR0] & S.CR0_PE) === 0) {
      return { vector, cs: this.read16(stack + 2), eip: this.read16(stack) };
    }
    const word = (n: number) => this.read32(stack + 4 * n);
    return WITH_ERROR.includes(vector)
      ? { vector, error: word(0), cs: word(2) & 0xffff, eip: word(1) }
      : { vector, cs: word(1) & 0xffff, eip: word(0) };
  }

  /** EFLAGS as the handler found them saved. */
  get savedFlags(): number {
    const { R } = this, stack = R[S.SEG_BASE + S.SS] + R[S.RSP];
    if ((R[S.CR0] & S.CR0_PE) === 0) return this.read16(stack + 4);
    return this.read32(stack + (this.trap()?.error === undefined ? 8 : 12));
  }
}
