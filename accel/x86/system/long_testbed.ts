/** {@linkcode Testbed} in long mode: four levels of identity pages, 64-bit segments, gates and TSS. */
import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { writeControl } from "./control.ts";
import { CODE, dpl, GDT, IDT, PAGES, STACK0, STACK3, Testbed, TSS_A } from "./testbed.ts";

/** 64-bit code of rings 0 and 3, and the 16-byte descriptors; `protect` adds 32-bit segments. */
export const LONG0 = 0x80,
  LONG3 = 0x8b,
  TSS64 = 0x90,
  LDT64 = 0xa0,
  GATE64 = 0xb0,
  STACK_DATA3 = 0x23,
  /** For tests to fill. */
  SPARE = 0xd0;
/** Bits 63:32 of the addresses at which the first 2 MiB appear again. */
export const HIGH_HALF = 0xffffff80 | 0;
/** The stack of IST2. */
export const STACK_IST = 0xc000;
/** Where `protect` puts RIP: within all segments. */
export const START = 0x5000;

/** A processor in long mode. */
export class LongTestbed extends Testbed {
  constructor(model = "qemu64,+fsgsbase,+rdtscp,+smap,+smep,+umip") {
    super(model);
    this.protect(0);
    const { R } = this;
    // PML4 entries 0 and 511, PDPT entry 0, one page of 2 MiB.
    for (const at of [PAGES, PAGES + 511 * 8]) this.write32(at, (PAGES + 0x1000) | 7);
    this.write32(PAGES + 0x1000, (PAGES + 0x2000) | 7);
    this.write32(PAGES + 0x2000, 0x87);
    this.segment(LONG0, CODE, { flags: 0xa });
    this.segment(LONG3, dpl(CODE, 3), { flags: 0xa });
    this.wideSegment(TSS64, 0x89, TSS_A, HIGH_HALF, 0x3ff);
    for (let at = TSS_A; at < TSS_A + 0x68; at += 4) this.write32(at, 0);
    this.write64(TSS_A + 4, STACK0, 0);
    this.write64(TSS_A + 0x24 + 8, STACK_IST, HIGH_HALF);
    R[S.IDTR_LIMIT] = 0xfff;
    R[S.CR4] = S.CR4_PAE;
    R[S.CR3] = PAGES;
    R[S.EFER] = S.EFER_LME | S.EFER_SCE;
  }

  /** Turns paging on and enters 64-bit code, or compatibility mode (`wide` false), of a ring. */
  long(ring: 0 | 3 = 0, wide = true): this {
    const { R, cpu } = this;
    writeControl(cpu, 0, R[S.CR0] | S.CR0_PG | S.CR0_WP);
    this.succeeds("ltr", TSS64);
    this.enter(ring);
    if (wide) this.load(S.CS, ring === 0 ? LONG0 : LONG3);
    R[S.RIP + 1] = R[S.INSN_IP_HI] = R[S.NEXT_IP_HI] = 0;
    R[S.RIP] = START;
    R[S.RSP] = ring === 0 ? STACK0 : STACK3;
    R[S.RSP + 1] = 0;
    cpu.operandSize = wide ? 64 : 32;
    assertEquals(R[S.LONG], wide ? 1 : 0);
    return this;
  }

  write64(at: number, low: number, high: number): void {
    this.write32(at, low);
    this.write32(at + 4, high);
  }

  /** The quadword at a physical address: low and high half as int32. */
  read64(at: number): [low: number, high: number] {
    return [this.read32(at) | 0, this.read32(at + 4) | 0];
  }

  /** Low halves of the quadwords from `at` on, whose high halves must be 0. */
  quads(at: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const [low, high] = this.read64(at + 8 * i);
      assertEquals(high, 0);
      return low;
    });
  }

  /** Writes a 16-byte TSS or LDT descriptor. */
  wideSegment(selector: number, access: number, base: number, high: number, limit: number): void {
    this.segment(selector, access, { base, limit, flags: 0 });
    this.write64(GDT + (selector & 0xfff8) + 8, high, 0);
  }

  /** Writes a 64-bit gate into the IDT. */
  longGate(
    vector: number,
    access: number,
    selector: number,
    offset: number,
    high = 0,
    ist = 0,
  ): void {
    this.wideGate(IDT + 16 * vector, access, selector, offset, high, ist);
  }

  /** Writes a 16-byte gate at an address. */
  wideGate(
    at: number,
    access: number,
    selector: number,
    offset: number,
    high: number,
    ist = 0,
  ): void {
    this.write32(at, (offset & 0xffff) | (selector << 16));
    this.write32(at + 4, (offset & 0xffff0000) | (access << 8) | ist);
    this.write64(at + 8, high, 0);
  }

  /** A 64-bit register. */
  pair(at: number): [low: number, high: number] {
    return [this.R[at], this.R[at + 1]];
  }
}
