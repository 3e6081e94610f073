/**
 * Interrupts, and returns from them, in their common case: 32-bit gates and code of protected mode or 64-bit
 * ones of long mode, flat stacks, descriptors in the GDT that are present and were used before, and a TLB that
 * knows all memory concerned. Everything else is declined with nothing changed, and is then
 * `interrupts.ts`'s and `transfers.ts`'s to do, which say what each step stands for.
 */
// hot: bench/microbench, int80. Nothing is allocated here.
import type { X86 } from "../cpu.ts";
import * as LongTables from "../long_mmu.ts";
import * as Tables from "../mmu.ts";
import * as Words from "../state.ts";
import { dropInnerSegments, isCanonical } from "./segments.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const { LONG_READ, LONG_USER, LONG_WRITE } = LongTables;
const { TLB_READ, TLB_USER, TLB_WRITE } = Tables;

/** Bits of a descriptor's second doubleword. */
const PRESENT = 0x8000, ACCESSED = 0x100, BIG = 0x400000, LONG = 0x200000;
/** In the same: what a code segment has that does not conform, was used, and is present; and what is looked at. */
const CODE = PRESENT | 0x1800 | ACCESSED, CODE_MASK = PRESENT | 0x1c00 | ACCESSED;
/** The same of writable data. */
const DATA = PRESENT | 0x1200 | ACCESSED, DATA_MASK = PRESENT | 0x1a00 | ACCESSED;
/** Of a present 32-bit or 64-bit interrupt or trap gate; bit 8 tells which. */
const GATE = PRESENT | 0xe00, GATE_MASK = PRESENT | 0x1e00;

/** Flags that an event clears on entry through a gate. */
const CLEARED = S.TF | S.NT | S.RF | S.VM;
/** Flags of EFLAGS' other word that can be set at all. */
const SYSTEM_FLAGS = 0x003f7700 & ~S.ARITH_FLAGS;

/** Offset in the first view of host memory of bytes that the TLB knows, within one page; -1 for others. */
function place(tlb: Int32Array, table: number, linear: number, bytes: number): number {
  const entry = tlb[table + (linear >>> 12)], offset = linear & 0xfff;
  return entry > 0 && offset + bytes <= 0x1000 ? entry | offset : -1;
}

/** The same in long mode. */
function place64(
  tlb: Int32Array,
  table: number,
  low: number,
  high: number,
  bytes: number,
): number {
  const at = table + ((low >>> 10) & 0xfffc), offset = low & 0xfff;
  if (tlb[at] !== (low & ~0xfff) || tlb[at + 1] !== high) return -1;
  const entry = tlb[at + 2];
  return entry > 0 && offset + bytes <= 0x1000 ? entry | offset : -1;
}

/** Where in the GDT the descriptor of a selector lies; -1 for null ones, those in the LDT, and what is not known. */
function descriptorPlace(R: Int32Array, tlb: Int32Array, selector: number): number {
  const offset = selector & 0xfff8;
  if ((selector & 4) !== 0 || offset === 0 || offset + 7 > R[S.GDTR_LIMIT]) return -1;
  return place(tlb, TLB_READ, (R[S.GDTR_BASE] + offset) | 0, 8);
}

/** The same in long mode. */
function descriptorPlace64(R: Int32Array, tlb: Int32Array, selector: number): number {
  const offset = selector & 0xfff8;
  if ((selector & 4) !== 0 || offset === 0 || offset + 7 > R[S.GDTR_LIMIT]) return -1;
  return tablePlace64(R, tlb, S.GDTR_BASE, offset, 8);
}

/** Where bytes at an offset in the GDT or IDT lie in long mode; -1 also in one that crosses a multiple of 4 GiB. */
function tablePlace64(
  R: Int32Array,
  tlb: Int32Array,
  table: number,
  offset: number,
  bytes: number,
): number {
  const low = (R[table] + offset) | 0;
  if (R[table] < 0 && low >= 0) return -1;
  return place64(tlb, LONG_READ, low, R[table + 1], bytes);
}

function limitOf(low: number, high: number): number {
  const limit = (high & 0xf0000) | (low & 0xffff);
  return (high & 0x800000) !== 0 ? (limit << 12) | 0xfff : limit;
}

/** Fills a segment register from the two doublewords of a descriptor of code or of writable data that grows up. */
function setSegment(
  R: Int32Array,
  segment: number,
  selector: number,
  low: number,
  high: number,
): void {
  const base = (high & 0xff000000) | ((high & 0xff) << 16) | (low >>> 16);
  const limit = limitOf(low, high);
  R[S.SEG_SEL + segment] = selector;
  R[S.SEG_BASE + segment] = base;
  R[S.SEG_BASE_HI + segment] = 0;
  R[S.SEG_LIMIT + segment] = limit;
  R[S.SEG_ATTR + segment] = (high >>> 8) & 0xf0ff;
  R[S.SEG_FLAT + segment] = base === 0 && limit === -1 ? 1 : 0;
}

/** Enters 64-bit code, which has neither base nor limit. */
function setLongCode(R: Int32Array, selector: number, high: number): void {
  R[S.SEG_SEL + S.CS] = selector;
  R[S.SEG_BASE + S.CS] = R[S.SEG_BASE_HI + S.CS] = 0;
  R[S.SEG_LIMIT + S.CS] = -1;
  R[S.SEG_ATTR + S.CS] = (high >>> 8) & 0xf0ff;
  R[S.SEG_FLAT + S.CS] = 1;
  R[S.LONG] = 1;
}

/** Makes SS null. */
function setNullStack(R: Int32Array, selector: number): void {
  R[S.SEG_SEL + S.SS] = selector;
  R[S.SEG_BASE + S.SS] = R[S.SEG_BASE_HI + S.SS] = 0;
  R[S.SEG_LIMIT + S.SS] = R[S.SEG_ATTR + S.SS] = R[S.SEG_FLAT + S.SS] = 0;
}

/**
 * Enters an event's handler, as `deliver` of `interrupts.ts` has it; false if that is for the whole of it to do.
 *
 * @param software whether the gate must allow the current privilege to call it
 */
export function enterDirectly(
  cpu: X86,
  vector: number,
  software: boolean,
  error: number,
  resume: boolean,
): boolean {
  const { R } = cpu;
  // Alignment checks and SMAP's exception depend on AC.
  if ((R[S.EFLAGS] & (S.VM | S.AC)) !== 0 || (R[S.CR0] & S.CR0_PE) === 0) return false;
  return (R[S.EFER] & S.EFER_LMA) !== 0
    ? enterLong(cpu, vector, software, error, resume)
    : enterProtected(cpu, vector, software, error, resume);
}

function enterProtected(
  cpu: X86,
  vector: number,
  software: boolean,
  error: number,
  resume: boolean,
): boolean {
  const { R } = cpu, { tlb, low: view } = cpu.mmu, cpl = R[S.CPL];
  if (vector * 8 + 7 > R[S.IDTR_LIMIT]) return false;
  const gateAt = place(tlb, TLB_READ, (R[S.IDTR_BASE] + vector * 8) | 0, 8);
  if (gateAt < 0) return false;
  const gate = view.getInt32(gateAt, true), gateHigh = view.getInt32(gateAt + 4, true);
  if ((gateHigh & GATE_MASK) !== GATE || (software && ((gateHigh >>> 13) & 3) < cpl)) return false;
  const selector = gate >>> 16, codeAt = descriptorPlace(R, tlb, selector);
  if (codeAt < 0) return false;
  const code = view.getInt32(codeAt, true), codeHigh = view.getInt32(codeAt + 4, true);
  const ring = (codeHigh >>> 13) & 3, ip = (gateHigh & 0xffff0000) | (gate & 0xffff);
  if ((codeHigh & CODE_MASK) !== CODE || ring > cpl) return false;
  if ((ip >>> 0) > (limitOf(code, codeHigh) >>> 0)) return false;

  let bytes = error === -1 ? 12 : 16, table: number = TLB_WRITE, pointer = R[S.RSP];
  let stackSelector = 0, stack = 0, stackHigh = 0;
  if (ring < cpl) {
    bytes += 8;
    const task = ring * 8 + 4;
    if (
      (R[S.SEG_ATTR + S.TR] & 0x88) !== 0x88 || task + 5 > (R[S.SEG_LIMIT + S.TR] >>> 0)
    ) return false;
    const taskAt = place(tlb, TLB_READ, (R[S.SEG_BASE + S.TR] + task) | 0, 6);
    if (taskAt < 0) return false;
    pointer = view.getInt32(taskAt, true);
    stackSelector = view.getUint16(taskAt + 4, true);
    const stackAt = descriptorPlace(R, tlb, stackSelector);
    if (stackAt < 0) return false;
    stack = view.getInt32(stackAt, true);
    stackHigh = view.getInt32(stackAt + 4, true);
    if (
      (stackHigh & (DATA_MASK | 0x400)) !== DATA || (stackSelector & 3) !== ring ||
      ((stackHigh >>> 13) & 3) !== ring || (stackHigh & BIG) === 0 ||
      limitOf(stack, stackHigh) !== -1 ||
      (stackHigh & 0xff0000ff) !== 0 || (stack >>> 16) !== 0
    ) return false;
  } else {
    if (R[S.SEG_FLAT + S.SS] !== 1 || (R[S.SEG_ATTR + S.SS] & S.ATTR_BIG) === 0) return false;
    if (cpl === 3) table = TLB_USER + TLB_WRITE;
  }
  pointer = (pointer - bytes) | 0;
  let at = place(tlb, table, pointer, bytes);
  if (at < 0) return false;
  const flags = S.readEflags(R);

  if (error !== -1) {
    view.setInt32(at, error, true);
    at += 4;
  }
  view.setInt32(at, R[S.RIP], true);
  view.setInt32(at + 4, R[S.SEG_SEL + S.CS], true);
  view.setInt32(at + 8, resume ? flags | S.RF : flags, true);
  R[S.EFLAGS] &= ~(CLEARED | ((gateHigh & 0x100) === 0 ? S.IF : 0));
  if (ring < cpl) {
    view.setInt32(at + 12, R[S.RSP], true);
    view.setInt32(at + 16, R[S.SEG_SEL + S.SS], true);
    setSegment(R, S.SS, stackSelector, stack, stackHigh);
    R[S.CPL] = ring;
  }
  R[S.RSP] = pointer;
  setSegment(R, S.CS, (selector & ~3) | ring, code, codeHigh);
  R[S.RIP] = ip;
  return true;
}

function enterLong(
  cpu: X86,
  vector: number,
  software: boolean,
  error: number,
  resume: boolean,
): boolean {
  const { R, mmu: { low: view } } = cpu, { tlb } = cpu.mmu64, cpl = R[S.CPL];
  if (vector * 16 + 15 > R[S.IDTR_LIMIT]) return false;
  const gateAt = tablePlace64(R, tlb, S.IDTR_BASE, vector * 16, 12);
  if (gateAt < 0) return false;
  const gate = view.getInt32(gateAt, true), gateHigh = view.getInt32(gateAt + 4, true);
  const ipHigh = view.getInt32(gateAt + 8, true);
  if ((gateHigh & GATE_MASK) !== GATE || (software && ((gateHigh >>> 13) & 3) < cpl)) return false;
  const selector = gate >>> 16, codeAt = descriptorPlace64(R, tlb, selector);
  if (codeAt < 0 || !isCanonical(ipHigh)) return false;
  const codeHigh = view.getInt32(codeAt + 4, true), ring = (codeHigh >>> 13) & 3;
  if ((codeHigh & (CODE_MASK | BIG | LONG)) !== (CODE | LONG) || ring > cpl) return false;

  const bytes = error === -1 ? 40 : 48, long = R[S.LONG] !== 0, ist = gateHigh & 7;
  let pointer = R[S.RSP], pointerHigh = long ? R[S.RSP + 1] : 0;
  if (ring < cpl || ist !== 0) {
    const task = ist === 0 ? 4 + 8 * ring : 0x1c + 8 * ist, base = R[S.SEG_BASE + S.TR];
    if ((R[S.SEG_ATTR + S.TR] & 0x80) === 0 || task + 7 > (R[S.SEG_LIMIT + S.TR] >>> 0)) {
      return false;
    }
    const taskLow = (base + task) | 0;
    if ((taskLow >>> 0) < task) return false;
    const taskAt = place64(tlb, LONG_READ, taskLow, R[S.SEG_BASE_HI + S.TR], 8);
    if (taskAt < 0) return false;
    pointer = view.getInt32(taskAt, true);
    pointerHigh = view.getInt32(taskAt + 4, true);
  }
  // Frames that cross a multiple of 4 GiB are not in one page.
  pointer &= ~15;
  if ((pointer >>> 0) < bytes) return false;
  pointer = (pointer - bytes) | 0;
  const table = LONG_WRITE + (ring === 3 ? LONG_USER : 0);
  let at = place64(tlb, table, pointer, pointerHigh, bytes);
  if (at < 0) return false;
  const flags = S.readEflags(R);

  if (error !== -1) {
    view.setInt32(at, error, true);
    view.setInt32(at + 4, 0, true);
    at += 8;
  }
  view.setInt32(at, R[S.RIP], true);
  view.setInt32(at + 4, long ? R[S.RIP + 1] : 0, true);
  view.setInt32(at + 8, R[S.SEG_SEL + S.CS], true);
  view.setInt32(at + 12, 0, true);
  view.setInt32(at + 16, resume ? flags | S.RF : flags, true);
  view.setInt32(at + 20, 0, true);
  view.setInt32(at + 24, R[S.RSP], true);
  view.setInt32(at + 28, long ? R[S.RSP + 1] : 0, true);
  view.setInt32(at + 32, R[S.SEG_SEL + S.SS], true);
  view.setInt32(at + 36, 0, true);
  R[S.EFLAGS] &= ~(CLEARED | ((gateHigh & 0x100) === 0 ? S.IF : 0));
  if (ring < cpl) setNullStack(R, ring);
  R[S.RSP] = pointer;
  R[S.RSP + 1] = pointerHigh;
  setLongCode(R, (selector & ~3) | ring, codeHigh);
  R[S.RIP] = (gateHigh & 0xffff0000) | (gate & 0xffff);
  R[S.RIP + 1] = ipHigh;
  R[S.CPL] = ring;
  return true;
}

/** IRETD of protected mode and IRETQ of 64-bit mode, as `interruptReturn` of `transfers.ts` has it; false if that is for the whole of it to do. */
export function returnDirectly(cpu: X86): boolean {
  const { R } = cpu;
  if ((R[S.EFLAGS] & (S.VM | S.AC | S.NT | S.VIF | S.VIP)) !== 0) return false;
  if ((R[S.CR0] & S.CR0_PE) === 0) return false;
  if (R[S.LONG] !== 0) return cpu.operandSize === 64 && returnLong(cpu);
  return cpu.operandSize === 32 && (R[S.EFER] & S.EFER_LMA) === 0 && returnProtected(cpu);
}

/** Flags that a frame may bring: what has effects beyond the flag itself is left to the whole of IRET. */
const DECLINED = S.VM | S.AC | S.VIF | S.VIP;

/** Takes flags over at the privilege of the code that returns. */
function setFlags(R: Int32Array, cpl: number, flags: number): void {
  let mask = S.TF | S.DF | S.NT | S.RF | S.AC | S.ID;
  if (cpl <= ((R[S.EFLAGS] >>> 12) & 3)) mask |= S.IF;
  if (cpl === 0) mask |= S.IOPL;
  S.setArithFlags(R, flags);
  R[S.EFLAGS] = (((R[S.EFLAGS] & ~mask) | (flags & mask)) & SYSTEM_FLAGS) | 2;
}

function returnProtected(cpu: X86): boolean {
  const { R } = cpu, { tlb, low: view } = cpu.mmu, cpl = R[S.CPL], sp = R[S.RSP];
  if (R[S.SEG_FLAT + S.SS] !== 1 || (R[S.SEG_ATTR + S.SS] & S.ATTR_BIG) === 0) return false;
  const table = TLB_READ + (cpl === 3 ? TLB_USER : 0), at = place(tlb, table, sp, 12);
  if (at < 0) return false;
  const ip = view.getInt32(at, true), selector = view.getUint16(at + 4, true);
  const flags = view.getInt32(at + 8, true), ring = selector & 3;
  const codeAt = descriptorPlace(R, tlb, selector);
  if ((flags & DECLINED) !== 0 || codeAt < 0 || ring < cpl) return false;
  const code = view.getInt32(codeAt, true), codeHigh = view.getInt32(codeAt + 4, true);
  if ((codeHigh & CODE_MASK) !== CODE || ((codeHigh >>> 13) & 3) !== ring) return false;
  if ((ip >>> 0) > (limitOf(code, codeHigh) >>> 0)) return false;
  if (ring === cpl) R[S.RSP] = sp + 12;
  else {
    if (place(tlb, table, sp, 20) < 0) return false;
    const stackSelector = view.getUint16(at + 16, true);
    const stackAt = descriptorPlace(R, tlb, stackSelector);
    if (stackAt < 0) return false;
    const stack = view.getInt32(stackAt, true), stackHigh = view.getInt32(stackAt + 4, true);
    if (
      (stackHigh & (DATA_MASK | 0x400)) !== DATA || (stackSelector & 3) !== ring ||
      ((stackHigh >>> 13) & 3) !== ring || (stackHigh & BIG) === 0
    ) return false;
    setSegment(R, S.SS, stackSelector, stack, stackHigh);
    R[S.RSP] = view.getInt32(at + 12, true);
    R[S.CPL] = ring;
    dropInnerSegments(cpu);
  }
  setSegment(R, S.CS, selector, code, codeHigh);
  R[S.RIP] = ip;
  R[S.RIP + 1] = 0;
  setFlags(R, cpl, flags);
  return true;
}

function returnLong(cpu: X86): boolean {
  const { R, mmu: { low: view } } = cpu, { tlb } = cpu.mmu64, cpl = R[S.CPL];
  const table = LONG_READ + (cpl === 3 ? LONG_USER : 0);
  const at = place64(tlb, table, R[S.RSP], R[S.RSP + 1], 40);
  if (at < 0) return false;
  const ip = view.getInt32(at, true), ipHigh = view.getInt32(at + 4, true);
  const selector = view.getUint16(at + 8, true), ring = selector & 3;
  const flags = view.getInt32(at + 16, true), codeAt = descriptorPlace64(R, tlb, selector);
  if ((flags & DECLINED) !== 0 || codeAt < 0 || ring < cpl || !isCanonical(ipHigh)) return false;
  const codeHigh = view.getInt32(codeAt + 4, true);
  if (
    (codeHigh & (CODE_MASK | BIG | LONG)) !== (CODE | LONG) || ((codeHigh >>> 13) & 3) !== ring
  ) return false;
  const stackSelector = view.getUint16(at + 32, true);
  if ((stackSelector & 0xfffc) === 0) {
    if (ring === 3 || (stackSelector & 3) !== ring) return false;
    setNullStack(R, stackSelector);
  } else {
    const stackAt = descriptorPlace64(R, tlb, stackSelector);
    if (stackAt < 0) return false;
    const stack = view.getInt32(stackAt, true), stackHigh = view.getInt32(stackAt + 4, true);
    if (
      (stackHigh & (DATA_MASK | 0x400)) !== DATA || (stackSelector & 3) !== ring ||
      ((stackHigh >>> 13) & 3) !== ring
    ) return false;
    setSegment(R, S.SS, stackSelector, stack, stackHigh);
  }
  R[S.RSP] = view.getInt32(at + 24, true);
  R[S.RSP + 1] = view.getInt32(at + 28, true);
  setLongCode(R, selector, codeHigh);
  R[S.RIP] = ip;
  R[S.RIP + 1] = ipHigh;
  R[S.CPL] = ring;
  if (ring !== cpl) dropInnerSegments(cpu);
  setFlags(R, cpl, flags);
  return true;
}
