/** Descriptor-table registers and the instructions that inspect descriptors (SDM vol. 2; vol. 3, 5.10). */
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import {
  CALL_GATE16,
  CALL_GATE32,
  dataPrivilegeAllows,
  type Descriptor,
  findDescriptor,
  isCanonical,
  isNull,
  LDT,
  readDescriptor,
  readUpper,
  selectorError,
  setFromDescriptor,
  setNull,
  setSegment,
  TASK_GATE,
  TSS32_AVAILABLE,
  TSS32_BUSY,
} from "./segments.ts";
import { alignmentChecked } from "./stack.ts";

/**
 * Linear address of an address-only operand: `offset`, whose high half is in `R[ARG_HI + operand]`, in
 * `R[INSN_SEG]`. Raises what an access of `size` bytes would raise, but page faults.
 */
export function operandAddress(
  cpu: X86,
  offset: number,
  size: number,
  write: boolean,
  operand = 0,
): number {
  const R = cpu.R, segment = R[S.INSN_SEG];
  return R[S.LONG] !== 0
    ? cpu.linear64(segment, offset, R[S.ARG_HI + operand])
    : cpu.linear(segment, offset >>> 0, size, write);
}

/** LGDT and LIDT: `register` is GDTR_BASE or IDTR_BASE, the operand 6 bytes, or 10 in 64-bit mode, at an offset in `R[INSN_SEG]`. */
export function loadTable(cpu: X86, register: number, offset: number): void {
  const R = cpu.R, at = operandAddress(cpu, offset, 6, false);
  const limit = cpu.load16(at), base = cpu.load32(at + 2);
  if (R[S.LONG] !== 0) {
    const high = cpu.load32(at + 6);
    if (!isCanonical(high)) cpu.raise(S.GP, 0);
    R[register] = base;
    R[register + 1] = high;
  } else {
    R[register] = cpu.operandSize === 16 ? base & 0xffffff : base;
    R[register + 1] = 0;
  }
  R[register + 2] = limit;
}

/** SGDT and SIDT. All 32 bits of the base are stored, whatever the operand size. */
export function storeTable(cpu: X86, register: number, offset: number): void {
  const R = cpu.R, long = R[S.LONG] !== 0, size = long ? 10 : 6;
  const at = operandAddress(cpu, offset, size, true);
  // The base, not the limit, must be aligned (SDM vol. 3, 3.5.1).
  if ((at & 3) !== 2 && alignmentChecked(cpu)) cpu.raise(S.AC_FAULT, 0);
  cpu.probeWrite(at, size);
  cpu.store16(at, R[register + 2]);
  cpu.store32(at + 2, R[register]);
  if (long) cpu.store32(at + 6, R[register + 1]);
}

/** LLDT. */
export function loadLdt(cpu: X86, selector: number): void {
  selector &= 0xffff;
  if (isNull(selector)) return setNull(cpu, S.LDTR, selector);
  const error = selectorError(selector);
  if ((selector & 4) !== 0) cpu.raise(S.GP, error);
  const descriptor = readDescriptor(cpu, selector, S.GP);
  if (!descriptor.system || descriptor.type !== LDT) cpu.raise(S.GP, error);
  if (!descriptor.present) cpu.raise(S.NP, error);
  const high = cpu.longActive ? readUpper(cpu, descriptor) : 0;
  setFromDescriptor(cpu, S.LDTR, selector, descriptor);
  cpu.R[S.SEG_BASE_HI + S.LDTR] = high;
}

/** LTR: the TSS becomes busy. */
export function loadTaskRegister(cpu: X86, selector: number): void {
  selector &= 0xffff;
  const error = selectorError(selector);
  if (isNull(selector) || (selector & 4) !== 0) cpu.raise(S.GP, error);
  const tss = readDescriptor(cpu, selector, S.GP);
  if (!tss.availableTss || (cpu.longActive && !tss.is32)) cpu.raise(S.GP, error);
  if (!tss.present) cpu.raise(S.NP, error);
  const high = cpu.longActive ? readUpper(cpu, tss) : 0;
  cpu.sysStore8(tss.address + 5, ((tss.high >>> 8) & 0xff) | 2);
  setSegment(cpu, S.TR, selector, tss.base, tss.limit, tss.attr | 2, high);
}

function setZero(cpu: X86, zero: boolean): void {
  S.setArithFlags(cpu.R, (S.arithFlags(cpu.R) & ~S.ZF) | (zero ? S.ZF : 0));
}

/** ARPL: raises the RPL of `destination` to that of `source`. */
export function adjustRpl(cpu: X86, destination: number, source: number): number {
  const raise = (destination & 3) < (source & 3);
  setZero(cpu, raise);
  return raise ? (destination & ~3) | (source & 3) : destination;
}

/** The descriptor that VERR, VERW, LAR and LSL look at, or undefined where they clear ZF. */
function inspect(cpu: X86, selector: number): Descriptor | undefined {
  selector &= 0xffff;
  return isNull(selector) ? undefined : findDescriptor(cpu, selector);
}

/** VERR, or VERW with `write`. */
export function verify(cpu: X86, selector: number, write: boolean): void {
  const descriptor = inspect(cpu, selector);
  setZero(
    cpu,
    descriptor !== undefined && (write ? descriptor.writable : descriptor.readable) &&
      dataPrivilegeAllows(cpu, descriptor),
  );
}

/** Whether LAR (with gates) or LSL can describe a descriptor at this privilege. */
function describable(cpu: X86, descriptor: Descriptor, gates: boolean): boolean {
  if (!dataPrivilegeAllows(cpu, descriptor)) return false;
  if (!descriptor.system) return true;
  const { type } = descriptor;
  if (cpu.longActive) {
    return type === TSS32_AVAILABLE || type === TSS32_BUSY || type === LDT ||
      (gates && type === CALL_GATE32);
  }
  return descriptor.availableTss || descriptor.busyTss || type === LDT ||
    (gates && (type === CALL_GATE16 || type === CALL_GATE32 || type === TASK_GATE));
}

/** LAR: gives the new value of the destination. */
export function loadAccessRights(cpu: X86, destination: number, selector: number): number {
  const descriptor = inspect(cpu, selector);
  const found = descriptor !== undefined && describable(cpu, descriptor, true);
  setZero(cpu, found);
  cpu.R[S.HIGH] = found ? 0 : cpu.R[S.ARG_HI];
  return found ? descriptor.high & 0x00ffff00 : destination;
}

/** LSL: gives the new value of the destination. */
export function loadSegmentLimit(cpu: X86, destination: number, selector: number): number {
  const descriptor = inspect(cpu, selector);
  const found = descriptor !== undefined && describable(cpu, descriptor, false);
  setZero(cpu, found);
  cpu.R[S.HIGH] = found ? 0 : cpu.R[S.ARG_HI];
  return found ? descriptor.limit | 0 : destination;
}
