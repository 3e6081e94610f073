/**
 * Debug registers, breakpoints and single step (SDM vol. 3, chapter 17).
 *
 * While {@linkcode hasDebugWork} holds, an engine executes one instruction at a time:
 * {@linkcode checkInstructionBreakpoint} before it, {@linkcode afterInstruction} after it. It sets
 * `R[SHADOW]` to 0 between the two calls, before the instruction executes: what `afterInstruction` finds
 * there was set by that instruction.
 */
import type { X86 } from "../cpu.ts";
import * as Words from "../state.ts";
import { deliverException } from "./interrupts.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** DR6: debug-register access detected, single step, task switch. */
export const DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15;
/** DR6 bits that always read as ones. */
const DR6_FIXED = 0xffff0ff0 | 0;
const DR6_WRITABLE = 0xe00f;
/** DR7: general detect enable; bit 10 is always set, bits 11, 12, 14 and 15 clear. */
export const DR7_GD = 1 << 13;
const DR7_FIXED = 1 << 10;
const DR7_WRITABLE = 0xffff23ff | 0;
const DR7_ENABLES = 0xff;

const EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3;
/** Bytes for each LEN encoding; 10B is undefined on 32-bit processors and taken as 8. */
const LENGTHS = [1, 2, 8, 4];

function enabled(dr7: number, n: number): boolean {
  return ((dr7 >>> (2 * n)) & 3) !== 0;
}
function kindOf(dr7: number, n: number): number {
  return (dr7 >>> (16 + 4 * n)) & 3;
}
function lengthOf(dr7: number, n: number): number {
  return LENGTHS[(dr7 >>> (18 + 4 * n)) & 3];
}

/**
 * Whether instructions must be executed one at a time now. RF alone is no reason, and every return from a page
 * fault sets it: without breakpoints there is nothing that it could hold off.
 */
export function hasDebugWork(cpu: X86): boolean {
  const R = cpu.R;
  return (R[S.EFLAGS] & S.TF) !== 0 || (R[S.DR7] & DR7_ENABLES) !== 0 || R[S.PENDING_DEBUG] !== 0;
}

/**
 * The breakpoints of the given kinds that cover a range, as DR6 bits B0 to B3. 0 unless one of them is
 * enabled; then the ones that match without being enabled are reported as well.
 */
function matches(cpu: X86, kinds: number, address: number, size: number): number {
  const R = cpu.R, dr7 = R[S.DR7];
  let bits = 0, hit = false;
  for (let n = 0; n < 4; n++) {
    if (((1 << kindOf(dr7, n)) & kinds) === 0) continue;
    const length = kindOf(dr7, n) === EXECUTE ? 1 : lengthOf(dr7, n);
    const first = R[S.DR0 + 2 * n + 1] * 0x100000000 + ((R[S.DR0 + 2 * n] & -length) >>> 0);
    if (first >= address + size || first + length <= address) continue;
    bits |= 1 << n;
    hit ||= enabled(dr7, n);
  }
  return hit ? bits : 0;
}

/** A linear address as the debug registers have it: 32 bits are zero-extended. */
function comparable(cpu: X86, linear: number): number {
  return cpu.R[S.LONG] !== 0 ? linear : linear >>> 0;
}

/** Delivers #DB for conditions that were met; `resume` as in {@linkcode deliverException}. */
function deliverDebug(cpu: X86, conditions: number, resume: boolean): void {
  const R = cpu.R;
  R[S.PENDING_DEBUG] = 0;
  R[S.DR6] = (R[S.DR6] & ~0xf) | conditions;
  deliverException(cpu, S.DB, -1, resume);
}

/**
 * To be called before each instruction while there is debug work; `linear` is its address. Delivers traps
 * that were held off until now, then instruction breakpoints. Clears RF for the instruction.
 *
 * @returns whether #DB was delivered, so that another instruction comes next
 */
export function checkInstructionBreakpoint(cpu: X86, linear: number): boolean {
  const R = cpu.R, inhibited = R[S.SHADOW] === 2;
  if (R[S.PENDING_DEBUG] !== 0 && !inhibited) {
    deliverDebug(cpu, R[S.PENDING_DEBUG], false);
    return true;
  }
  const resume = (R[S.EFLAGS] & S.RF) !== 0;
  if (!resume && !inhibited) {
    const bits = matches(cpu, 1 << EXECUTE, comparable(cpu, linear), 1);
    if (bits !== 0) {
      deliverDebug(cpu, bits, false);
      return true;
    }
  }
  R[S.EFLAGS] &= ~S.RF;
  R[S.STEPPING] = (R[S.EFLAGS] & S.TF) !== 0 ? 1 : 0;
  return false;
}

/**
 * To be called after each instruction that did not fault while there is debug work. Delivers data, I/O
 * and single-step traps; an instruction that loaded SS holds them off.
 *
 * @param repeating whether the instruction is a repeated string instruction that has iterations left
 * @returns whether #DB was delivered
 */
export function afterInstruction(cpu: X86, repeating = false): boolean {
  const R = cpu.R;
  const stepping = R[S.STEPPING] !== 0;
  R[S.STEPPING] = 0;
  if (R[S.SHADOW] === 2) return false;
  let conditions = R[S.PENDING_DEBUG];
  const straight = R[S.RIP] === R[S.NEXT_IP] &&
    (R[S.LONG] === 0 || R[S.RIP + 1] === R[S.NEXT_IP_HI]);
  if (stepping && !(cpu.msrs.stepsBranches && straight)) conditions |= DR6_BS;
  if (conditions !== 0) {
    deliverDebug(cpu, conditions, repeating);
    return true;
  }
  // The rest of a repeated instruction does not meet its own breakpoint again.
  if (repeating && (R[S.DR7] & DR7_ENABLES) !== 0) R[S.EFLAGS] |= S.RF;
  return false;
}

/** Notes a data access for {@linkcode afterInstruction}. */
function noteAccess(cpu: X86, linear: number, size: number, write: boolean): void {
  cpu.R[S.PENDING_DEBUG] |= matches(
    cpu,
    write ? (1 << WRITE) | (1 << ACCESS) : 1 << ACCESS,
    comparable(cpu, linear),
    size,
  );
}

/** Notes a port access for {@linkcode afterInstruction}: I/O breakpoints exist with CR4.DE. */
export function noteIo(cpu: X86, port: number, size: number): void {
  const R = cpu.R;
  if ((R[S.DR7] & DR7_ENABLES) === 0 || (R[S.CR4] & S.CR4_DE) === 0) return;
  R[S.PENDING_DEBUG] |= matches(cpu, 1 << IO, port, size);
}

/** The numbers of the pages that enabled data breakpoints lie on. */
function watchedPages(cpu: X86): number[] {
  const R = cpu.R, dr7 = R[S.DR7], pages: number[] = [];
  for (let n = 0; n < 4; n++) {
    const kind = kindOf(dr7, n);
    if (!enabled(dr7, n) || (kind !== WRITE && kind !== ACCESS)) continue;
    pages.push(R[S.DR0 + 2 * n + 1] * 0x100000 + (R[S.DR0 + 2 * n] >>> 12));
  }
  return pages;
}

/** Makes the MMU report accesses to watched pages. To be called after a restore; MOV to a debug register does it itself. */
export function updateWatches(cpu: X86): void {
  const pages = watchedPages(cpu);
  cpu.mmu.onSlowAccess =
    cpu.mmu64.onSlowAccess =
      (linear, size, write) => noteAccess(cpu, linear, size, write);
  cpu.mmu.watchPages(pages.filter((page) => page >= 0 && page < 0x100000));
  cpu.mmu64.watchPages(pages);
}

/** Which register MOV names: DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined. Raises what MOV does before any access. */
function select(cpu: X86, n: number): number {
  const R = cpu.R;
  if (n === 4 || n === 5) {
    if ((R[S.CR4] & S.CR4_DE) !== 0) cpu.raise(S.UD);
    n += 2;
  }
  if (R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  if ((R[S.DR7] & DR7_GD) !== 0) {
    R[S.DR6] |= DR6_BD;
    cpu.raise(S.DB);
  }
  return S.DR0 + 2 * n - (n >= 6 ? 4 : 0);
}

/** MOV from a debug register, its high half in `R[HIGH]`. */
export function readDebug(cpu: X86, n: number): number {
  const R = cpu.R, at = select(cpu, n);
  R[S.HIGH] = R[at + 1];
  return R[at];
}

/** MOV to a debug register; `high` is 0 outside 64-bit mode. */
export function writeDebug(cpu: X86, n: number, value: number, high = 0): void {
  const R = cpu.R, at = select(cpu, n), before = watchedPages(cpu).join();
  if (at >= S.DR6 && high !== 0) cpu.raise(S.GP, 0);
  R[at + 1] = high;
  if (at === S.DR6) R[at] = DR6_FIXED | (value & DR6_WRITABLE);
  else if (at === S.DR7) R[at] = DR7_FIXED | (value & DR7_WRITABLE);
  else R[at] = value;
  if (watchedPages(cpu).join() !== before) updateWatches(cpu);
}

/** The values after reset and INIT. */
export function resetDebug(cpu: X86): void {
  const R = cpu.R;
  for (let n = 0; n < 4; n++) R[S.DR0 + 2 * n] = R[S.DR0 + 2 * n + 1] = 0;
  R[S.DR6] = DR6_FIXED;
  R[S.DR7] = DR7_FIXED;
  R[S.PENDING_DEBUG] = 0;
  R[S.STEPPING] = 0;
  updateWatches(cpu);
}
