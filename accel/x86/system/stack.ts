/** Stacks on which frames of several words are pushed and from which they are popped, all or nothing. */
import type { X86 } from "../cpu.ts";
import * as Words from "../state.ts";
import { ATTR_BIG } from "./segments.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** Bytes of one value on a stack; quadwords exist in long mode only. */
export type StackSize = 2 | 4 | 8;

/** The operand size in bytes, as frames have it. */
export function frameSize(cpu: X86): StackSize {
  return cpu.operandSize >> 3 as StackSize;
}

/** Where a stack pointer wraps outside 64-bit mode: 32 bits with a big SS, else 16. */
export function stackMask(cpu: X86): number {
  return (cpu.R[S.SEG_ATTR + S.SS] & ATTR_BIG) !== 0 ? -1 : 0xffff;
}

/** ESP with its part that the stack uses replaced: a 16-bit stack leaves the high half alone. */
function mergePointer(old: number, pointer: number, mask: number): number {
  return (old & ~mask) | (pointer & mask);
}

/** RSP as a number: exact where it is canonical. */
function wholePointer(R: Int32Array): number {
  return R[S.RSP + 1] * 0x100000000 + (R[S.RSP] >>> 0);
}

/** Sets RSP in 64-bit mode, else ESP, or SP alone on a 16-bit stack. */
export function setStackPointer(cpu: X86, pointer: number, high = 0): void {
  const R = cpu.R;
  if (R[S.LONG] !== 0) {
    R[S.RSP] = pointer;
    R[S.RSP + 1] = high;
  } else R[S.RSP] = mergePointer(R[S.RSP], pointer, stackMask(cpu));
}

/** ESP or SP plus `bytes`, as {@linkcode setStackPointer} takes it outside 64-bit mode. */
export function stackPointer(cpu: X86, bytes = 0): number {
  return (cpu.R[S.RSP] + bytes) & stackMask(cpu);
}

/** Checked linear address `bytes` above the stack pointer. Raises #SS(0). */
function stackLinear(cpu: X86, bytes: number, size: StackSize, write: boolean): number {
  const R = cpu.R;
  if (R[S.LONG] === 0) return cpu.linear(S.SS, stackPointer(cpu, bytes) >>> 0, size, write);
  const low = (R[S.RSP] >>> 0) + bytes;
  return cpu.linear64(S.SS, low | 0, (R[S.RSP + 1] + Math.floor(low / 0x100000000)) | 0);
}

/**
 * A stack on which a frame is being pushed: the current one, or that of an inner ring. Nothing of the
 * processor changes before {@linkcode Stack.commit}.
 */
export class Stack {
  private readonly mask: number;

  /**
   * @param pointer ESP before the first push; all of RSP as a number for a 64-bit stack
   * @param user whether the frame is written with user privilege
   * @param error code of #SS when the frame does not fit
   * @param wide whether this is a stack of 64-bit mode: no base, no limit
   */
  constructor(
    private readonly cpu: X86,
    private readonly base: number,
    private readonly limit: number,
    private readonly attr: number,
    public pointer: number,
    private readonly user: boolean,
    private readonly error: number,
    private readonly wide = false,
  ) {
    this.mask = (attr & ATTR_BIG) !== 0 ? -1 : 0xffff;
  }

  /** The stack at SS:ESP, or at RSP, with the current privilege. */
  static current(cpu: X86, error = 0): Stack {
    const R = cpu.R, user = R[S.CPL] === 3;
    if (R[S.LONG] !== 0) return Stack.wide(cpu, wholePointer(R), user, error);
    return new Stack(
      cpu,
      R[S.SEG_BASE + S.SS],
      R[S.SEG_LIMIT + S.SS],
      R[S.SEG_ATTR + S.SS],
      R[S.RSP],
      user,
      error,
    );
  }

  /** A stack of 64-bit mode. */
  static wide(cpu: X86, pointer: number, user: boolean, error = 0): Stack {
    return new Stack(cpu, 0, -1, ATTR_BIG, pointer, user, error, true);
  }

  /** The stack that 64-bit mode finds at this privilege: RSP, or ESP zero-extended when it comes from compatibility mode. */
  static entered(cpu: X86, error = 0): Stack {
    const R = cpu.R;
    const pointer = R[S.LONG] !== 0 ? wholePointer(R) : R[S.RSP] >>> 0;
    return Stack.wide(cpu, pointer, R[S.CPL] === 3, error);
  }

  /** Aligns the pointer down to 16 bytes, as events in long mode do. */
  align(): void {
    const above = this.pointer % 16;
    this.pointer -= above < 0 ? above + 16 : above;
  }

  /** Linear address of a value, checked. */
  private place(pointer: number, size: StackSize): number {
    if (this.wide) {
      if (pointer >= 0x800000000000 || pointer < -0x800000000000) {
        this.cpu.raise(S.SS_FAULT, this.error);
      }
      return pointer;
    }
    const offset = (pointer & this.mask) >>> 0;
    if (!this.allows(offset, size)) this.cpu.raise(S.SS_FAULT, this.error);
    return this.linear(offset);
  }

  private linear(offset: number): number {
    return this.cpu.longActive ? (this.base + offset) >>> 0 : (this.base + offset) | 0;
  }

  /** Raises what pushing `count` values of `size` bytes would raise: after this the pushes cannot fault. */
  reserve(count: number, size: StackSize): void {
    const { cpu } = this;
    for (let i = 1; i <= count; i++) {
      const linear = this.place(this.pointer - i * size, size);
      if (this.user && (linear & (size - 1)) !== 0 && alignmentChecked(cpu)) {
        cpu.raise(S.AC_FAULT, 0);
      }
      (cpu.longActive ? cpu.mmu64 : cpu.mmu).probeWrite(linear, size, this.user);
    }
  }

  private allows(offset: number, size: number): boolean {
    const last = offset + size - 1, limit = this.limit >>> 0;
    if ((this.attr & 0xc) === 4) return offset > limit && last <= this.mask >>> 0;
    return last <= limit;
  }

  /** Pushes one value that was reserved; `high` is the high half of a quadword. */
  push(size: StackSize, value: number, high = 0): void {
    const { cpu, user } = this, pointer = this.pointer - size;
    let linear = pointer;
    if (this.wide) this.pointer = pointer;
    else {
      this.pointer = mergePointer(this.pointer, pointer, this.mask);
      linear = this.linear(pointer & this.mask);
    }
    const mmu = cpu.longActive ? cpu.mmu64 : cpu.mmu;
    if (size === 8) cpu.mmu64.store64(linear, value, high, user);
    else if (size === 4) mmu.store32(linear, value, user);
    else mmu.store16(linear, value & 0xffff, user);
  }

  /** Makes this the processor's stack pointer; SS is the caller's. */
  commit(): void {
    const R = this.cpu.R;
    R[S.RSP] = this.pointer;
    if (this.wide) R[S.RSP + 1] = Math.floor(this.pointer / 0x100000000);
  }
}

/** Whether misaligned accesses fault now: user code with CR0.AM and EFLAGS.AC set. */
export function alignmentChecked(cpu: X86): boolean {
  const R = cpu.R;
  return R[S.CPL] === 3 && (R[S.CR0] & S.CR0_AM) !== 0 && (R[S.EFLAGS] & S.AC) !== 0;
}

/** Reads a value on the stack `offset` bytes above the stack pointer, unsigned for words; leaves the high half of a quadword in `R[HIGH]`. Raises #SS(0). */
export function peekStack(cpu: X86, offset: number, size: StackSize): number {
  const at = stackLinear(cpu, offset, size, false);
  return size === 8 ? cpu.load64(at) : size === 4 ? cpu.load32(at) : cpu.load16(at);
}

/** Pushes one value; nothing changes when it faults. */
export function push(cpu: X86, size: StackSize, value: number, high = 0): void {
  const at = stackLinear(cpu, -size, size, true);
  if (size === 8) cpu.store64(at, value, high);
  else if (size === 4) cpu.store32(at, value);
  else cpu.store16(at, value & 0xffff);
  dropStack(cpu, -size);
}

/** Pushes a word. */
export function push16(cpu: X86, value: number): void {
  push(cpu, 2, value);
}

/** Pushes a doubleword. */
export function push32(cpu: X86, value: number): void {
  push(cpu, 4, value);
}

/** Removes `bytes` from the stack. */
export function dropStack(cpu: X86, bytes: number): void {
  const R = cpu.R;
  if (R[S.LONG] === 0) return setStackPointer(cpu, R[S.RSP] + bytes);
  const low = (R[S.RSP] >>> 0) + bytes;
  R[S.RSP] = low;
  R[S.RSP + 1] += Math.floor(low / 0x100000000);
}
