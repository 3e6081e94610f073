/**
 * Segment descriptors, and loading segment registers with all checks: SDM vol. 3, chapters 3 and 5;
 * MOV, POP and LDS in vol. 2. Error codes are selectors with the EXT bit (vol. 3, 6.13).
 */
import type { X86 } from "../cpu.ts";
import * as Words from "../state.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** System descriptor types (SDM vol. 3, table 3-2). */
export const TSS16_AVAILABLE = 1,
  LDT = 2,
  TSS16_BUSY = 3,
  CALL_GATE16 = 4,
  TASK_GATE = 5,
  INTERRUPT_GATE16 = 6,
  TRAP_GATE16 = 7,
  TSS32_AVAILABLE = 9,
  TSS32_BUSY = 11,
  CALL_GATE32 = 12,
  INTERRUPT_GATE32 = 14,
  TRAP_GATE32 = 15;

/** Bits of `SEG_ATTR`. */
export const ATTR_PRESENT = 0x80, ATTR_BIG = 0x4000;
/** Read/write data, accessed, present, DPL 0: what segments are after reset. */
export const ATTR_REAL = 0x93;
/** The same with DPL 3: every segment in virtual-8086 mode. */
export const ATTR_V86 = 0xf3;

/** A descriptor as read from a table, and the selector that named it. */
export class Descriptor {
  /**
   * @param address linear address of the descriptor
   * @param low its first doubleword
   * @param high its second doubleword
   */
  constructor(
    readonly selector: number,
    readonly address: number,
    readonly low: number,
    readonly high: number,
  ) {}

  get type(): number {
    return (this.high >>> 8) & 0xf;
  }
  /** Whether this is a gate, TSS or LDT. */
  get system(): boolean {
    return (this.high & 0x1000) === 0;
  }
  get code(): boolean {
    return (this.high & 0x1800) === 0x1800;
  }
  get conforming(): boolean {
    return (this.high & 0x1c00) === 0x1c00;
  }
  get writable(): boolean {
    return (this.high & 0x1a00) === 0x1200;
  }
  /** Data, or code that may be read. */
  get readable(): boolean {
    return (this.high & 0x1800) === 0x1000 || (this.high & 0x1a00) === 0x1a00;
  }
  /** 64-bit code: the L bit, in long mode. */
  get long(): boolean {
    return (this.high & 0x200000) !== 0;
  }
  /** L and D are both set, which is reserved: #GP in long mode. */
  get contradictory(): boolean {
    return (this.high & 0x600000) === 0x600000;
  }
  get dpl(): number {
    return (this.high >>> 13) & 3;
  }
  get rpl(): number {
    return this.selector & 3;
  }
  get present(): boolean {
    return (this.high & 0x8000) !== 0;
  }
  get base(): number {
    return (this.high & 0xff000000) | ((this.high & 0xff) << 16) | (this.low >>> 16);
  }
  /** In bytes, unsigned. */
  get limit(): number {
    const limit = (this.high & 0xf0000) | (this.low & 0xffff);
    return ((this.high & 0x800000) !== 0 ? (limit << 12) | 0xfff : limit) >>> 0;
  }
  /** As kept in `SEG_ATTR`. */
  get attr(): number {
    return (this.high >>> 8) & 0xf0ff;
  }
  /** The code segment or TSS that a gate leads to. */
  get gateSelector(): number {
    return this.low >>> 16;
  }
  /** Whether a gate or TSS is of the 386's kind. */
  get is32(): boolean {
    return (this.high & 0x800) !== 0;
  }
  /** Where a gate enters its segment, unsigned. */
  get gateOffset(): number {
    return ((this.is32 ? this.high & 0xffff0000 : 0) | (this.low & 0xffff)) >>> 0;
  }
  /** Which interrupt stack a 64-bit gate asks for, 0 for none. */
  get ist(): number {
    return this.high & 7;
  }
  /** Words or doublewords that a call gate copies. */
  get parameters(): number {
    return this.high & 0x1f;
  }
  /** An available TSS of either kind. */
  get availableTss(): boolean {
    return this.system && (this.type & 7) === TSS16_AVAILABLE;
  }
  /** A busy TSS of either kind. */
  get busyTss(): boolean {
    return this.system && (this.type & 7) === TSS16_BUSY;
  }
}

/** The error code that names a selector; `ext` is 1 while an external event or exception is delivered. */
export function selectorError(selector: number, ext = 0): number {
  return (selector & 0xfffc) | ext;
}

/** Whether a selector is null: index 0 in the GDT. */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

/** Base of GDTR or IDTR (`GDTR_BASE`, `IDTR_BASE`) as a number. */
export function tableBase(cpu: X86, register: number): number {
  return cpu.R[register + 1] * 0x100000000 + (cpu.R[register] >>> 0);
}

/** Base of a segment register, LDTR or TR as a number. */
export function segmentBase(cpu: X86, segment: number): number {
  const R = cpu.R;
  return R[S.SEG_BASE_HI + segment] * 0x100000000 + (R[S.SEG_BASE + segment] >>> 0);
}

/** Whether a 64-bit address is canonical: bits 63 to 47 are alike. */
export function isCanonical(high: number): boolean {
  return (high << 16) >> 16 === high;
}

/** Recomputes `R[LONG]`: to be called by whatever loads CS or changes EFER.LMA. */
export function updateLongMode(cpu: X86): void {
  const R = cpu.R;
  R[S.LONG] = cpu.longActive && (R[S.SEG_ATTR + S.CS] & S.ATTR_LONG) !== 0 ? 1 : 0;
}

/** Reads the descriptor that a selector names, or gives undefined where it lies beyond its table. May raise #PF. */
export function findDescriptor(cpu: X86, selector: number): Descriptor | undefined {
  const R = cpu.R, local = (selector & 4) !== 0, offset = selector & 0xfff8;
  if (local && (R[S.SEG_ATTR + S.LDTR] & ATTR_PRESENT) === 0) return undefined;
  const limit = (local ? R[S.SEG_LIMIT + S.LDTR] : R[S.GDTR_LIMIT]) >>> 0;
  if (offset + 7 > limit) return undefined;
  const address = (local ? segmentBase(cpu, S.LDTR) : tableBase(cpu, S.GDTR_BASE)) + offset;
  return new Descriptor(selector, address, cpu.sysLoad32(address), cpu.sysLoad32(address + 4));
}

/**
 * Reads the third doubleword of a 16-byte system descriptor: bits 63:32 of a base or offset. It must lie in
 * the table and have no type bits in its upper half, or #GP.
 */
export function readUpper(cpu: X86, descriptor: Descriptor): number {
  const R = cpu.R, { selector, address } = descriptor, error = selectorError(selector);
  const limit = ((selector & 4) !== 0 ? R[S.SEG_LIMIT + S.LDTR] : R[S.GDTR_LIMIT]) >>> 0;
  if ((selector & 0xfff8) + 15 > limit) cpu.raise(S.GP, error);
  if ((cpu.sysLoad32(address + 12) & 0x1f00) !== 0) cpu.raise(S.GP, error);
  const high = cpu.sysLoad32(address + 8);
  if (!isCanonical(high)) cpu.raise(S.GP, error);
  return high;
}

/** Reads the descriptor that a selector names; one beyond its table raises `vector`. */
export function readDescriptor(cpu: X86, selector: number, vector: number, ext = 0): Descriptor {
  return findDescriptor(cpu, selector) ?? cpu.raise(vector, selectorError(selector, ext));
}

/** Sets the Accessed bit of a code or data segment in its table. */
export function markAccessed(cpu: X86, descriptor: Descriptor): void {
  if ((descriptor.high & 0x100) === 0) {
    cpu.sysStore8(descriptor.address + 5, ((descriptor.high >>> 8) & 0xff) | 1);
  }
}

/** Recomputes `SEG_FLAT` of one segment. */
export function updateFlat(cpu: X86, segment: number): void {
  const R = cpu.R, attr = R[S.SEG_ATTR + segment];
  let flat = R[S.SEG_BASE + segment] === 0 && R[S.SEG_LIMIT + segment] === -1;
  if (segment !== S.CS) {
    // Data that does not expand down; protection adds that it is present and writable.
    const wanted = cpu.protectedMode ? 0x92 : 0;
    flat &&= (attr & 0xc) !== 4 &&
      (wanted === 0 || ((attr & 0x9a) === wanted));
  }
  R[S.SEG_FLAT + segment] = flat ? 1 : 0;
}

/** Recomputes `SEG_FLAT` of all segments: after a change of mode. */
export function updateAllFlat(cpu: X86): void {
  for (let segment = S.ES; segment <= S.GS; segment++) updateFlat(cpu, segment);
}

/** Fills a segment register's visible and hidden parts. */
export function setSegment(
  cpu: X86,
  segment: number,
  selector: number,
  base: number,
  limit: number,
  attr: number,
  baseHigh = 0,
): void {
  const R = cpu.R;
  R[S.SEG_SEL + segment] = selector & 0xffff;
  R[S.SEG_BASE + segment] = base;
  R[S.SEG_BASE_HI + segment] = baseHigh;
  R[S.SEG_LIMIT + segment] = limit;
  R[S.SEG_ATTR + segment] = attr;
  if (segment === S.CS) updateLongMode(cpu);
  if (segment <= S.GS) updateFlat(cpu, segment);
}

/** Fills a segment register from a descriptor that passed all checks, under the given selector. */
export function setFromDescriptor(
  cpu: X86,
  segment: number,
  selector: number,
  descriptor: Descriptor,
): void {
  const attr = descriptor.attr | (descriptor.system ? 0 : 1);
  // 64-bit code has neither base nor limit, whatever its descriptor says.
  if (segment === S.CS && cpu.longActive && descriptor.long) {
    return setSegment(cpu, segment, selector, 0, -1, attr);
  }
  setSegment(cpu, segment, selector, descriptor.base, descriptor.limit, attr);
}

/** Makes a segment register unusable; the selector is kept as given. */
export function setNull(cpu: X86, segment: number, selector = 0): void {
  setSegment(cpu, segment, selector, 0, 0, 0);
}

/**
 * Loads a segment register as real mode does: selector and base only. Limit and rights stay as protected
 * mode left them, which is what "unreal mode" lives on. A segment that was null becomes a plain 64 KiB
 * one (what it becomes on silicon is undocumented).
 */
export function loadRealSegment(cpu: X86, segment: number, selector: number): void {
  const R = cpu.R;
  let limit = R[S.SEG_LIMIT + segment], attr = R[S.SEG_ATTR + segment];
  if ((attr & ATTR_PRESENT) === 0) {
    limit = 0xffff;
    attr = ATTR_REAL;
  }
  setSegment(cpu, segment, selector, (selector & 0xffff) << 4, limit, attr);
}

/** Loads a segment register as virtual-8086 mode does: everything follows from the selector. */
export function loadV86Segment(cpu: X86, segment: number, selector: number): void {
  setSegment(cpu, segment, selector, (selector & 0xffff) << 4, 0xffff, ATTR_V86);
}

/** Loads a segment register in real or virtual-8086 mode. */
export function loadUnprotected(cpu: X86, segment: number, selector: number): void {
  if (cpu.v86Mode) loadV86Segment(cpu, segment, selector);
  else loadRealSegment(cpu, segment, selector);
}

/** Whether data of this descriptor may be used at a privilege: conforming code always, else by CPL and RPL. */
export function dataPrivilegeAllows(cpu: X86, descriptor: Descriptor): boolean {
  return descriptor.conforming ||
    (descriptor.dpl >= descriptor.rpl && descriptor.dpl >= cpu.R[S.CPL]);
}

/** What MOV, POP and LDS and its kin do to ES, SS, DS, FS or GS. Commits only when nothing can fault any more. */
export function loadSegment(cpu: X86, segment: number, selector: number): void {
  selector &= 0xffff;
  if (!cpu.protectedMode) return loadUnprotected(cpu, segment, selector);
  const error = selectorError(selector);
  if (segment === S.SS) {
    const cpl = cpu.R[S.CPL];
    if (isNull(selector)) {
      if (cpu.R[S.LONG] === 0 || cpl === 3 || (selector & 3) !== cpl) cpu.raise(S.GP, 0);
      return setNull(cpu, S.SS, selector);
    }
    const descriptor = readDescriptor(cpu, selector, S.GP);
    if (descriptor.rpl !== cpl || !descriptor.writable || descriptor.dpl !== cpl) {
      cpu.raise(S.GP, error);
    }
    if (!descriptor.present) cpu.raise(S.SS_FAULT, error);
    markAccessed(cpu, descriptor);
    return setFromDescriptor(cpu, S.SS, selector, descriptor);
  }
  if (isNull(selector)) return setNull(cpu, segment, selector);
  const descriptor = readDescriptor(cpu, selector, S.GP);
  if (!descriptor.readable || !dataPrivilegeAllows(cpu, descriptor)) cpu.raise(S.GP, error);
  if (!descriptor.present) cpu.raise(S.NP, error);
  markAccessed(cpu, descriptor);
  setFromDescriptor(cpu, segment, selector, descriptor);
}

/** After a return to an outer ring: data segments that are too privileged for it become null (SDM vol. 3, 5.8.6). */
export function dropInnerSegments(cpu: X86): void {
  const R = cpu.R, cpl = R[S.CPL];
  for (let segment = S.ES; segment <= S.GS; segment++) {
    if (segment === S.CS || segment === S.SS) continue;
    const attr = R[S.SEG_ATTR + segment];
    // FS and GS keep the bases that were written to their MSRs.
    if (cpu.longActive && isNull(R[S.SEG_SEL + segment])) continue;
    const conforming = (attr & 0x1c) === 0x1c;
    if (!conforming && ((attr >>> 5) & 3) < cpl && attr !== 0) setNull(cpu, segment);
  }
}

/** Raises #GP unless code of a descriptor may go on at an offset: canonical for 64-bit code, else within the limit. */
export function checkCodeOffset(
  cpu: X86,
  code: Descriptor,
  offset: number,
  high: number,
  error = 0,
): void {
  if (!cpu.longActive || !code.long) checkCodeLimit(cpu, offset, code.limit, error);
  else if (!isCanonical(high)) cpu.raise(S.GP, error);
}

/** Raises #GP unless `offset` lies within a code segment's limit. */
export function checkCodeLimit(cpu: X86, offset: number, limit: number, error = 0): void {
  if ((offset >>> 0) > (limit >>> 0)) cpu.raise(S.GP, error);
}
