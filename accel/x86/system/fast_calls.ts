/** SYSENTER, SYSEXIT, SYSCALL, SYSRET and SWAPGS (SDM vol. 2; AMD64 manual vol. 3 for SYSCALL outside 64-bit mode). */
import type { X86 } from "../cpu.ts";
import * as Words from "../state.ts";
import { setCpl, updateAlignment } from "./control.ts";
import { DR6_BS } from "./debug.ts";
import * as Msrs from "./msr.ts";
import { isCanonical, isNull } from "./segments.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const { CSTAR, FMASK, KERNEL_GS_BASE, LSTAR, STAR } = Msrs;

/** Flat segments that these instructions load without a descriptor, DPL 0: code, 64-bit code, data. */
const FLAT_CODE = 0xc09b, FLAT_LONG_CODE = 0xa09b, FLAT_DATA = 0xc093;
/** RFLAGS bits that SYSRET takes from R11. */
const SYSRET_FLAGS = 0x3c7fd7;

function setFlat(
  R: Int32Array,
  segment: number,
  selector: number,
  attr: number,
  ring: number,
): void {
  R[S.SEG_SEL + segment] = ((selector & ~3) | ring) & 0xffff;
  R[S.SEG_BASE + segment] = R[S.SEG_BASE_HI + segment] = 0;
  R[S.SEG_LIMIT + segment] = -1;
  R[S.SEG_ATTR + segment] = attr | (ring << 5);
  R[S.SEG_FLAT + segment] = 1;
}

// hot: bench/microbench, fastsys.
function setFlatPair(cpu: X86, code: number, stack: number, ring: number, attr: number): void {
  const { R } = cpu;
  setFlat(R, S.CS, code, attr, ring);
  setFlat(R, S.SS, stack, FLAT_DATA, ring);
  R[S.LONG] = attr === FLAT_LONG_CODE ? 1 : 0;
  setCpl(cpu, ring);
}

function setIp(R: Int32Array, low: number, high: number): void {
  R[S.RIP] = low;
  R[S.RIP + 1] = high;
}

function setSp(R: Int32Array, low: number, high: number): void {
  R[S.RSP] = low;
  R[S.RSP + 1] = high;
}

/** AMD's processors have no SYSENTER and SYSEXIT in long mode. */
function requireSysenter(cpu: X86): void {
  if (cpu.longActive && !cpu.isIntel) cpu.raise(S.UD);
}

/** SYSENTER. */
export function sysenter(cpu: X86): void {
  requireSysenter(cpu);
  const R = cpu.R, selector = R[S.SYSENTER_CS], long = cpu.longActive;
  if ((R[S.CR0] & S.CR0_PE) === 0 || isNull(selector)) cpu.raise(S.GP, 0);
  R[S.EFLAGS] &= ~(S.VM | S.IF | S.RF);
  setSp(R, R[S.SYSENTER_ESP], long ? R[S.SYSENTER_ESP + 1] : R[S.RSP + 1]);
  setIp(R, R[S.SYSENTER_EIP], long ? R[S.SYSENTER_EIP + 1] : 0);
  setFlatPair(cpu, selector, selector + 8, 0, long ? FLAT_LONG_CODE : FLAT_CODE);
}

/** SYSEXIT: to ECX and EDX, or RCX and RDX with 64-bit operands. */
export function sysexit(cpu: X86): void {
  requireSysenter(cpu);
  const R = cpu.R, selector = R[S.SYSENTER_CS], wide = cpu.operandSize === 64;
  if ((R[S.CR0] & S.CR0_PE) === 0 || isNull(selector) || R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  if (wide && !(isCanonical(R[S.RCX + 1]) && isCanonical(R[S.RDX + 1]))) cpu.raise(S.GP, 0);
  setSp(R, R[S.RCX], wide ? R[S.RCX + 1] : 0);
  setIp(R, R[S.RDX], wide ? R[S.RDX + 1] : 0);
  const code = selector + (wide ? 32 : 16);
  setFlatPair(cpu, code, code + 8, 3, wide ? FLAT_LONG_CODE : FLAT_CODE);
}

/** Outside 64-bit mode SYSCALL and SYSRET exist on AMD's processors only. */
function requireSyscall(cpu: X86): void {
  const R = cpu.R;
  if ((R[S.EFER] & S.EFER_SCE) === 0) cpu.raise(S.UD);
  if (R[S.LONG] === 0 && cpu.isIntel) cpu.raise(S.UD);
}

/**
 * TF counts as it is after the instruction: SYSCALL that masks TF is not traced into the kernel, and SYSRET
 * traps as if the SYSCALL before it had just been completed.
 */
function stepByNewFlags(R: Int32Array): void {
  R[S.STEPPING] = 0;
  if ((R[S.EFLAGS] & S.TF) !== 0) R[S.PENDING_DEBUG] |= DR6_BS;
}

/** SYSCALL. */
export function syscall(cpu: X86): void {
  requireSyscall(cpu);
  const { R, msrs } = cpu, selector = msrs.high(STAR) & 0xffff;
  if (!cpu.longActive) {
    if (!cpu.protectedMode) cpu.raise(S.UD);
    R[S.RCX] = R[S.RIP];
    R[S.EFLAGS] &= ~(S.VM | S.IF | S.RF);
    setIp(R, msrs.low(STAR), 0);
    return setFlatPair(cpu, selector, selector + 8, 0, FLAT_CODE);
  }
  const long = R[S.LONG] !== 0, entry = long ? LSTAR : CSTAR;
  const flags = S.readEflags(R) & ~S.RF;
  R[S.RCX] = R[S.RIP];
  R[S.RCX + 1] = long ? R[S.RIP + 1] : 0;
  R[22] = flags; // R11
  R[23] = 0;
  if (!long) R[S.RSP + 1] = 0;
  S.writeEflags(R, flags & ~msrs.low(FMASK));
  setIp(R, msrs.low(entry), msrs.high(entry));
  setFlatPair(cpu, selector, selector + 8, 0, FLAT_LONG_CODE);
  stepByNewFlags(R);
}

/** SYSRET: to 64-bit code with 64-bit operands, else to compatibility mode. */
export function sysret(cpu: X86): void {
  requireSyscall(cpu);
  const { R, msrs } = cpu, base = msrs.high(STAR) >>> 16;
  if (!cpu.protectedMode || R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  const wide = cpu.operandSize === 64;
  // AMD's processors find out when they fetch, in ring 3.
  const intel = cpu.isIntel;
  if (wide && intel && !isCanonical(R[S.RCX + 1])) cpu.raise(S.GP, 0);
  if (cpu.longActive) S.writeEflags(R, R[22] & SYSRET_FLAGS);
  else R[S.EFLAGS] |= S.IF;
  setIp(R, R[S.RCX], wide ? R[S.RCX + 1] : 0);
  setFlatPair(
    cpu,
    wide ? base + 16 : base,
    base + 8,
    3,
    wide ? FLAT_LONG_CODE : FLAT_CODE,
  );
  updateAlignment(cpu);
  stepByNewFlags(R);
}

/** SWAPGS: GS's base and KERNEL_GS_BASE change places. */
export function swapgs(cpu: X86): void {
  const { R, msrs } = cpu;
  if (R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  const low = R[S.SEG_BASE + S.GS], high = R[S.SEG_BASE_HI + S.GS];
  R[S.SEG_BASE + S.GS] = msrs.low(KERNEL_GS_BASE);
  R[S.SEG_BASE_HI + S.GS] = msrs.high(KERNEL_GS_BASE);
  msrs.set(KERNEL_GS_BASE, low, high);
}

/** RDFSBASE and RDGSBASE. */
export function readBase(cpu: X86, segment: number): number {
  const R = cpu.R;
  if ((R[S.CR4] & S.CR4_FSGSBASE) === 0) cpu.raise(S.UD);
  R[S.HIGH] = cpu.operandSize === 64 ? R[S.SEG_BASE_HI + segment] : 0;
  return R[S.SEG_BASE + segment];
}

/** WRFSBASE and WRGSBASE. */
export function writeBase(cpu: X86, segment: number, low: number): void {
  const R = cpu.R, high = cpu.operandSize === 64 ? R[S.ARG_HI] : 0;
  if ((R[S.CR4] & S.CR4_FSGSBASE) === 0) cpu.raise(S.UD);
  if (!isCanonical(high)) cpu.raise(S.GP, 0);
  R[S.SEG_BASE + segment] = low;
  R[S.SEG_BASE_HI + segment] = high;
}
