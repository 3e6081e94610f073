/** A processor over a little memory, with hand-made descriptor tables: what the scenario tests of this folder stand on. */
import { assertEquals } from "@std/assert";
import { HostMemory } from "../../../core/bus/host_memory.ts";
import { MemoryMap } from "../../../core/bus/memory_map.ts";
import { VirtualClock } from "../../../core/machine/clock.ts";
import { type CpuBus, FAULT, X86 } from "../cpu.ts";
import { parseCpuModel } from "../models.ts";
import * as S from "../state.ts";
import { setCpl } from "./control.ts";
import { resetState } from "./reset.ts";
import { SYSTEM_GUARDS, SYSTEM_HELPERS, SYSTEM_ROWS } from "./rows.ts";
import { Descriptor, loadV86Segment, setFromDescriptor, updateAllFlat } from "./segments.ts";

/** Where the tables lie. */
export const GDT = 0x1000,
  IDT = 0x2000,
  TSS_A = 0x3000,
  TSS_B = 0x3400,
  TSS_C16 = 0x3800,
  TSS_D16 = 0x3a00,
  LDT_BASE = 0x4000,
  PAGES = 0x10000;
/** Tops of the rings' stacks. */
export const STACK0 = 0x9000, STACK1 = 0xa000, STACK3 = 0xb000;
/** Selectors of the descriptors that every test finds: flat code and data of rings 0, 1 and 3, and the tasks. */
export const CODE0 = 0x08,
  DATA0 = 0x10,
  CODE3 = 0x1b,
  DATA3 = 0x23,
  CODE1 = 0x29,
  DATA1 = 0x31,
  TASK_A = 0x38,
  TASK_B = 0x40,
  TASK_C16 = 0x48,
  TASK_D16 = 0x50,
  LDT_SEL = 0x58;
/** The first of the selectors that tests fill themselves. */
export const FREE = 0x80;

/** Access bytes (present, accessed). */
export const CODE = 0x9b, CONFORMING = 0x9f, EXECUTE_ONLY = 0x99, DATA = 0x93, READ_ONLY = 0x91;
/** Adds a DPL to an access byte. */
export function dpl(access: number, ring: number): number {
  return access | (ring << 5);
}
/** Clears the present bit of an access byte. */
export function absent(access: number): number {
  return access & ~0x80;
}

/** Rest of a segment descriptor. */
export interface SegmentOptions {
  base?: number;
  /** The raw 20-bit limit. */
  limit?: number;
  /** G, D/B, L and AVL as a nibble. */
  flags?: number;
}

/** What a call did: nothing wrong, or a vector and an error code (-1 for none). */
export interface Outcome {
  vector: number;
  error: number;
}

/** One processor and its memory. */
export class Testbed {
  readonly memory: MemoryMap;
  readonly clock = new VirtualClock();
  readonly cpu: X86;
  readonly R: Int32Array;
  /** Port accesses as they reached the bus. */
  readonly ports: { port: number; size: number; value: number }[] = [];

  constructor(model = "max", bus: Partial<CpuBus> = {}) {
    const host = new HostMemory(0x200000);
    this.memory = new MemoryMap(host);
    this.memory.addRam("ram", 0, 0x200000, host.allocate(0x200000));
    const ports = {
      read: (port: number, size: number) => {
        this.ports.push({ port, size, value: -1 });
        return 0x12345678;
      },
      write: (port: number, size: number, value: number) => {
        this.ports.push({ port, size, value });
      },
    };
    this.cpu = new X86(
      { memory: this.memory, ports, clock: this.clock, acknowledge: () => 0, ...bus },
      parseCpuModel(model),
    );
    this.R = this.cpu.R;
    resetState(this.cpu);
  }

  read32(address: number): number {
    return this.memory.read(address, 4);
  }
  read16(address: number): number {
    return this.memory.read(address, 2);
  }
  write32(address: number, value: number): void {
    this.memory.write(address, 4, value >>> 0);
  }
  write16(address: number, value: number): void {
    this.memory.write(address, 2, value & 0xffff);
  }
  write8(address: number, value: number): void {
    this.memory.write(address, 1, value & 0xff);
  }

  /** Writes a code, data, LDT or TSS descriptor into the GDT (or the LDT, for selectors with TI set). */
  segment(selector: number, access: number, options: SegmentOptions = {}): void {
    const { base = 0, limit = 0xfffff, flags = 0xc } = options;
    const at = ((selector & 4) !== 0 ? LDT_BASE : GDT) + (selector & 0xfff8);
    this.write32(at, (limit & 0xffff) | (base << 16));
    this.write32(
      at + 4,
      ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) |
        (base & 0xff000000),
    );
  }

  /** Writes a gate into the GDT or LDT. */
  gate(at: number, access: number, selector: number, offset: number, parameters = 0): void {
    const table = (at & 4) !== 0 ? LDT_BASE : GDT;
    this.gateAt(table + (at & 0xfff8), access, selector, offset, parameters);
  }

  /** Writes a gate into the IDT. */
  interruptGate(vector: number, access: number, selector: number, offset: number): void {
    this.gateAt(IDT + vector * 8, access, selector, offset, 0);
  }

  private gateAt(
    at: number,
    access: number,
    selector: number,
    offset: number,
    parameters: number,
  ): void {
    this.write32(at, (offset & 0xffff) | (selector << 16));
    this.write32(at + 4, (offset & 0xffff0000) | (access << 8) | parameters);
  }

  /** The access byte of a descriptor in the GDT or LDT. */
  access(selector: number): number {
    const table = (selector & 4) !== 0 ? LDT_BASE : GDT;
    return this.memory.read(table + (selector & 0xfff8) + 5, 1);
  }

  /** Protected mode at a ring, flat segments, task A current, stacks for rings 0 and 1 in its TSS. */
  protect(ring: 0 | 1 | 3 = 0): this {
    const { R } = this;
    for (const [code, data, n] of [[CODE0, DATA0, 0], [CODE1, DATA1, 1], [CODE3, DATA3, 3]]) {
      this.segment(code, dpl(CODE, n));
      this.segment(data, dpl(DATA, n));
    }
    this.segment(TASK_A, 0x8b, { base: TSS_A, limit: 0x3ff, flags: 0 });
    this.segment(TASK_B, 0x89, { base: TSS_B, limit: 0x3ff, flags: 0 });
    this.segment(TASK_C16, 0x81, { base: TSS_C16, limit: 0x2b, flags: 0 });
    this.segment(TASK_D16, 0x81, { base: TSS_D16, limit: 0x2b, flags: 0 });
    this.segment(LDT_SEL, 0x82, { base: LDT_BASE, limit: 0xff, flags: 0 });
    this.write32(TSS_A + 4, STACK0);
    this.write32(TSS_A + 8, DATA0);
    this.write32(TSS_A + 12, STACK1);
    this.write32(TSS_A + 16, DATA1);
    this.write16(TSS_A + 0x66, 0x88); // The I/O map; the redirection bitmap lies just below.
    R[S.GDTR_BASE] = GDT;
    R[S.GDTR_LIMIT] = 0x7ff;
    R[S.IDTR_BASE] = IDT;
    R[S.IDTR_LIMIT] = 0x7ff;
    R[S.CR0] = S.CR0_PE | S.CR0_ET;
    this.load(S.LDTR, LDT_SEL);
    this.load(S.TR, TASK_A);
    this.enter(ring);
    R[S.RIP] = R[S.INSN_IP] = 0x5000;
    R[S.NEXT_IP] = 0x5002;
    return this;
  }

  /** Loads a segment register without checks. */
  load(segment: number, selector: number): void {
    const at = ((selector & 4) !== 0 ? LDT_BASE : GDT) + (selector & 0xfff8);
    const descriptor = new Descriptor(selector, at, this.read32(at) | 0, this.read32(at + 4) | 0);
    setFromDescriptor(this.cpu, segment, selector, descriptor);
  }

  /** Flat segments and the stack of a ring. */
  enter(ring: 0 | 1 | 3): void {
    const [code, data, top] = ring === 0
      ? [CODE0, DATA0, STACK0]
      : ring === 1
      ? [CODE1, DATA1, STACK1]
      : [CODE3, DATA3, STACK3];
    this.load(S.CS, code);
    for (const segment of [S.SS, S.DS, S.ES, S.FS, S.GS]) this.load(segment, data);
    this.R[S.RSP] = top;
    setCpl(this.cpu, ring);
    updateAllFlat(this.cpu);
  }

  /** Virtual-8086 mode with the given segment values and IOPL. */
  virtual8086(iopl = 0, segment = 0x500): this {
    this.protect(0);
    const { R, cpu } = this;
    R[S.EFLAGS] |= S.VM | (iopl << 12);
    for (let n = S.ES; n <= S.GS; n++) loadV86Segment(cpu, n, segment + n);
    R[S.RSP] = 0x800;
    setCpl(cpu, 3);
    cpu.operandSize = 16;
    R[S.RIP] = R[S.INSN_IP] = 0x100;
    R[S.NEXT_IP] = 0x102;
    return this;
  }

  /** Real mode with all bases at `segment * 16`. */
  real(segment = 0): this {
    const { R } = this;
    for (let n = S.ES; n <= S.GS; n++) {
      R[S.SEG_SEL + n] = segment;
      R[S.SEG_BASE + n] = segment << 4;
    }
    this.cpu.operandSize = 16;
    R[S.RSP] = 0x7000;
    R[S.RIP] = R[S.INSN_IP] = 0x100;
    R[S.NEXT_IP] = 0x102;
    R[S.IDTR_LIMIT] = 0x3ff;
    return this;
  }

  /** Turns on paging with an identity map of the first 2 MiB, all user and writable. */
  page(): void {
    for (let n = 0; n < 512; n++) this.write32(PAGES + 0x1000 + n * 4, (n << 12) | 7);
    this.write32(PAGES, (PAGES + 0x1000) | 7);
    this.R[S.CR3] = PAGES;
    this.R[S.CR0] |= S.CR0_PG | S.CR0_WP;
    this.cpu.mmu.flushAll();
  }

  /** Removes a page from the map, or gives its entry other bits. */
  mapPage(linear: number, bits: number): void {
    this.write32(PAGES + 0x1000 + (linear >>> 12) * 4, (linear & ~0xfff) | bits);
    this.cpu.mmu.flushAll();
  }

  /** Calls a helper as an engine does, guard first, and says what it raised. */
  call(name: string, a = 0, b = 0, c = 0): number | Outcome {
    return this.attempt(() => {
      const row = SYSTEM_ROWS.find((r) => r.semantic === name);
      if (row?.guard !== undefined) SYSTEM_GUARDS[row.guard](this.cpu);
      this.R[S.RIP] = this.R[S.NEXT_IP];
      return SYSTEM_HELPERS[name](this.cpu, a, b, c) ?? 0;
    });
  }

  /** Runs something that may fault; a number is its result. */
  attempt(action: () => number | void): number | Outcome {
    try {
      return action() ?? 0;
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
      return { vector: this.cpu.faultVector, error: this.cpu.faultError };
    }
  }

  /** Asserts that a helper raises an exception and leaves all registers as they were (but RIP, which the engine restores, and CR2). */
  faults(vector: number, error: number, name: string, a = 0, b = 0, c = 0): void {
    this.faultsIn(vector, error, () => {
      const outcome = this.call(name, a, b, c);
      if (typeof outcome !== "number") this.cpu.raise(outcome.vector, outcome.error);
    }, name);
  }

  /** {@linkcode Testbed.faults} for any action. */
  faultsIn(vector: number, error: number, action: () => void, what = ""): void {
    const before = this.registers();
    const outcome = this.attempt(action);
    assertEquals(outcome, { vector, error }, what);
    assertEquals(this.registers(), before, `${what} changed registers`);
  }

  /** All architectural registers but RIP and CR2. */
  registers(): number[] {
    const R = this.R.slice(0, S.SCRATCH);
    R[S.RIP] =
      R[S.RIP + 1] =
      R[S.CR2] =
      R[S.CR2 + 1] =
        0;
    return [...R, this.R[S.PENDING_DEBUG]];
  }

  /** Asserts that a helper succeeds, and gives its result. */
  succeeds(name: string, a = 0, b = 0, c = 0): number {
    const outcome = this.call(name, a, b, c);
    if (typeof outcome !== "number") {
      throw new Error(`${name} raised vector ${outcome.vector} code ${outcome.error}`);
    }
    return outcome;
  }
}
