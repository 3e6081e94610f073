/** PUSHF, POPF, CLI and STI with all that virtual-8086 mode, VME and PVI make of them (SDM vol. 2; vol. 3, 20.3 and 20.4). */
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import { dropStack, frameSize, peekStack, push } from "./stack.ts";
import { setFlags, USER_FLAGS } from "./transfers.ts";

/** Whether virtual-8086 code works on VIF in IF's place; raises #GP(0) when the monitor must do it. */
function usesVif(cpu: X86): boolean {
  if (!cpu.v86Mode || cpu.iopl === 3) return false;
  if ((cpu.R[S.CR4] & S.CR4_VME) === 0) cpu.raise(S.GP, 0);
  return true;
}

/** PUSHF, PUSHFD and PUSHFQ. */
export function pushFlags(cpu: X86): void {
  const wide = cpu.operandSize !== 16;
  let flags = S.readEflags(cpu.R) & ~(S.VM | S.RF);
  if (cpu.v86Mode && cpu.iopl < 3) {
    if (wide) cpu.raise(S.GP, 0);
    usesVif(cpu);
    flags = (flags & ~S.IF) | S.IOPL | ((flags & S.VIF) !== 0 ? S.IF : 0);
  }
  push(cpu, frameSize(cpu), flags);
}

/** POPF, POPFD and POPFQ. */
export function popFlags(cpu: X86): void {
  const R = cpu.R, wide = cpu.operandSize !== 16, size = frameSize(cpu);
  if (cpu.v86Mode && cpu.iopl < 3 && wide) cpu.raise(S.GP, 0);
  const virtual = usesVif(cpu);
  const value = peekStack(cpu, 0, size);
  let flags = value, mask = USER_FLAGS | (wide ? S.AC | S.ID : 0);
  if (virtual) {
    const enable = (value & S.IF) !== 0;
    if ((enable && (R[S.EFLAGS] & S.VIP) !== 0) || (value & S.TF) !== 0) cpu.raise(S.GP, 0);
    flags = enable ? value | S.VIF : value & ~S.VIF;
    mask |= S.VIF;
  } else {
    // In real mode CPL is 0; in virtual-8086 mode IOPL is 3 here, and out of reach.
    if (R[S.CPL] <= cpu.iopl) mask |= S.IF;
    if (R[S.CPL] === 0) mask |= S.IOPL;
  }
  dropStack(cpu, size);
  setFlags(cpu, flags, mask);
}

/** Which flag CLI and STI work on: IF, or VIF with VME or PVI. Raises #GP(0) when neither is allowed. */
function interruptFlag(cpu: X86): number {
  const R = cpu.R, cpl = R[S.CPL];
  if (cpl <= cpu.iopl) return S.IF;
  const extension = cpu.v86Mode ? S.CR4_VME : cpl === 3 ? S.CR4_PVI : 0;
  if ((R[S.CR4] & extension) === 0) cpu.raise(S.GP, 0);
  return S.VIF;
}

/** CLI. */
export function clearInterruptFlag(cpu: X86): void {
  cpu.R[S.EFLAGS] &= ~interruptFlag(cpu);
}

/** STI: interrupts wait for one more instruction when they were off. */
export function setInterruptFlag(cpu: X86): void {
  const R = cpu.R, flag = interruptFlag(cpu);
  if (flag === S.VIF && (R[S.EFLAGS] & S.VIP) !== 0) cpu.raise(S.GP, 0);
  if (flag === S.IF && (R[S.EFLAGS] & S.IF) === 0) R[S.SHADOW] = 1;
  R[S.EFLAGS] |= flag;
}
