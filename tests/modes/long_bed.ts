/** {@linkcode Bed} in long mode: 64-bit gates and TSS, four levels of pages, code of rings 0 and 3. */
import * as S from "../../accel/x86/state.ts";
import { setCpl, writeCr0, writeCr4, writeEfer } from "../../accel/x86/system/control.ts";
import {
  A_CODE,
  A_DATA,
  Bed,
  CODE0,
  CODE3,
  DATA3,
  GDT,
  HANDLERS,
  IDT,
  LARGE,
  P,
  RW,
  STACK0,
  STACK3,
  TSS,
  US,
} from "./bed.ts";

/** Selectors of 64-bit code of both rings and of the TSS, and what STAR holds for them; data lies where it puts SS. */
export const LONG0 = 0x40, LONG3 = 0x63, TASK64 = 0x70, STAR_HIGH = LONG0 | (0x50 << 16);
/** The tables, one of each level; the last one maps 4 KiB pages. */
export const PML4 = 0x34000, PDPT = 0x35000, PD = 0x36000, PT = 0x37000;
/** Bits 63:32 of addresses whose memory is that of the lowest 2 MiB, in the upper half. */
export const HIGH = 0xffffff80 | 0;

/** An exception as its handler finds it. */
export interface LongTrap {
  vector: number;
  /** Absent where the vector has none. */
  error?: number;
  cs: number;
  rip: bigint;
  flags: number;
}

const WITH_ERROR = [S.DOUBLE_FAULT, S.TS, S.NP, S.SS_FAULT, S.GP, S.PAGE_FAULT, S.AC_FAULT];

/** What a test wants of the processor. */
export interface LongOptions {
  model?: string;
  ring?: 0 | 3;
  /** Bits of CR4 besides PAE and OSFXSR. */
  cr4?: number;
  /** Bits of EFER besides LME and SCE. */
  efer?: number;
  /** 64-bit code, or compatibility mode. */
  wide?: boolean;
}

/** A processor in long mode. The first 2 MiB are mapped by 4 KiB pages, the next by a large one, for all rings; both again in the upper half. */
export class LongBed extends Bed {
  constructor({ model = "max", ring = 0, cr4 = 0, efer = 0, wide = true }: LongOptions = {}) {
    super(model);
    this.protect(0);
    const { R, cpu: { x86 } } = this, all = P | RW | US;
    for (const at of [PML4, PML4 + 511 * 8]) this.write64(at, PDPT | all);
    this.write64(PDPT, PD | all);
    this.write64(PD, PT | all);
    this.write64(PD + 8, 0x200000 | all | LARGE);
    for (let n = 0; n < 512; n++) this.write64(PT + 8 * n, (n << 12) | all);
    this.segment(LONG0, A_CODE, { flags: 0xa });
    this.segment(LONG3, A_CODE | 0x60, { flags: 0xa });
    this.segment(LONG0 + 8, A_DATA);
    this.segment(0x58, A_DATA | 0x60);
    this.segment(TASK64, 0x89, { base: TSS, limit: 0x67, flags: 0 });
    this.write64(GDT + TASK64 + 8, 0);
    for (let at = TSS; at < TSS + 0x68; at += 4) this.write32(at, 0);
    this.write32(TSS + 4, STACK0);
    for (let v = 0; v < 0x80; v++) {
      const at = HANDLERS + 8 * v;
      this.write32(IDT + 16 * v, (at & 0xffff) | (LONG0 << 16));
      this.write32(IDT + 16 * v + 4, (at & 0xffff0000) | 0x8e00);
      this.write64(IDT + 16 * v + 8, 0);
    }
    writeEfer(x86, S.EFER_LME | S.EFER_SCE | efer, 0);
    writeCr4(x86, S.CR4_PAE | S.CR4_OSFXSR);
    R[S.CR3] = PML4;
    writeCr0(x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
    writeCr4(x86, R[S.CR4] | cr4);
    this.load(S.TR, TASK64);
    this.load(S.CS, wide ? (ring === 0 ? LONG0 : LONG3) : ring === 0 ? CODE0 : CODE3);
    for (const s of [S.ES, S.SS, S.DS, S.FS, S.GS]) this.load(s, ring === 0 ? 0x10 : DATA3);
    R[S.RSP] = ring === 0 ? STACK0 : STACK3;
    setCpl(x86, ring);
  }

  write64(at: number, low: number, high = 0): void {
    this.write32(at, low);
    this.write32(at + 4, high);
  }

  read64(at: number): bigint {
    return (BigInt(this.read32(at + 4)) << 32n) | BigInt(this.read32(at));
  }

  /** Sets an entry of the page table for a linear address below 2 MiB, and makes the processor forget what it knew. */
  mapLong(linear: number, entry: number, high = 0): void {
    this.write64(PT + 8 * (linear >>> 12), entry, high);
    this.cpu.x86.mmu64.flushAll();
    this.cpu.x86.mmu.flushAll();
  }

  /** The value of a 64-bit register. */
  wide(at: number): bigint {
    const { R } = this;
    return BigInt.asUintN(64, (BigInt(R[at + 1]) << 32n) | BigInt(R[at] >>> 0));
  }

  setWide(at: number, value: bigint): void {
    this.R[at] = Number(BigInt.asIntN(32, value));
    this.R[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
  }

  /** Runs until the processor halts; the exception in whose handler it did, if in one. */
  runLong(limit = 100_000): LongTrap | undefined {
    this.cpu.run(limit);
    if (this.cpu.activity !== "halted") throw new Error(`the guest is ${this.cpu.activity}`);
    const { R } = this, at = R[S.RIP] - 1 - HANDLERS;
    if (R[S.RIP + 1] !== 0 || at < 0 || at >= 0x400 || (at & 7) !== 0) return undefined;
    const vector = at >>> 3, has = WITH_ERROR.includes(vector), stack = R[S.RSP] + (has ? 8 : 0);
    const frame = {
      vector,
      cs: this.read32(stack + 8) & 0xffff,
      rip: this.read64(stack),
      flags: this.read32(stack + 16),
    };
    return has ? { ...frame, error: this.read32(R[S.RSP]) } : frame;
  }
}
