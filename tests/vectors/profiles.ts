/** What integer instructions want of their inputs beyond random values. */
import { type Builder, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, SS } from "./builder.ts";
import * as M from "./machine.ts";

/** Counts over the whole byte, most of them around operand sizes. */
export function shift(b: Builder): void {
  const { rng } = b;
  const count = rng.chance(60)
    ? rng.pick([0, 1, 2, 4, 7, 8, 9, 15, 16, 17, 18, 24, 31, 32, 33])
    : rng.next() & 0xff;
  b.immediate = count;
  if (b.variant.form.operands.endsWith("CL")) b.setPart(ECX, 8, count);
}

/** Quotients that fit, most of the time. */
export function divide(b: Builder): void {
  const { rng } = b;
  const bits = b.memorySize * 8, signed = b.variant.form.mnemonic === "idiv";
  let divisor = BigInt(rng.value());
  let high = BigInt(rng.value()), low = BigInt(rng.value());
  const wrap = (v: bigint, n: number) => signed ? BigInt.asIntN(n, v) : BigInt.asUintN(n, v);
  if (rng.chance(85)) {
    divisor = wrap(divisor, bits);
    const quotient = rng.chance(10)
      ? (1n << BigInt(bits - (signed ? 1 : 0))) - BigInt(rng.below(3))
      : wrap(BigInt(rng.value()), bits);
    const size = divisor < 0n ? -divisor : divisor;
    const rest = size === 0n ? 0n : BigInt(rng.next()) % size;
    const dividend = BigInt.asUintN(
      2 * bits,
      quotient * divisor + (quotient * divisor < 0n ? -rest : rest),
    );
    high = dividend >> BigInt(bits);
    low = dividend;
  }
  const part = (v: bigint) => Number(BigInt.asUintN(bits, v));
  if (bits === 8) b.setPart(EAX, 16, (part(high) << 8) | part(low));
  else {
    b.setPart(EAX, bits, part(low));
    b.setPart(EDX, bits, part(high));
  }
  const inputs = bits === 8 ? [0, 4] : [EAX, EDX];
  if (!b.variant.memory && inputs.includes(b.rm)) return;
  b.setRm(part(divisor) | 0);
}

/** Bit offsets that reach some way around the operand. */
export function bitString(b: Builder): void {
  const { rng } = b;
  if (!b.variant.memory) return;
  const bits = b.operandSize;
  if (b.reg === ESP) b.reg = EBP;
  const offset = rng.chance(50) ? rng.range(-3000, 3000) : rng.range(-40, 70);
  b.target = rng.range(M.DATA_FROM + 0x400, M.DATA_TO - 0x400);
  if (rng.chance(60)) b.target &= ~3;
  b.patch(b.target + (offset >> (bits === 16 ? 4 : 5)) * (bits / 8), rng.bytes(bits / 8));
  b.targetPatched = true;
  b.setPart(b.reg, bits, offset);
}

/** Source and destination in the data area; in 16-bit addressing also across the end of the segment. */
export function string(b: Builder): void {
  const { rng, variant } = b;
  const size = variant.form.mnemonic.endsWith("b") ? 1 : b.operandSize / 8;
  if (variant.env === "based" || (variant.env === "seg16" && rng.chance(25))) {
    b.addressSize = b.codeBits === 32 ? 16 : 32;
  }
  const mask = b.addressSize === 16 ? 0xffff : -1;
  const keep = (value: number) => (value & mask) | (rng.next() & ~mask);
  const place = (segment: number): number => {
    let offset = rng.range(M.DATA_FROM + 0x200, M.DATA_TO - 0x200);
    if (rng.chance(6)) {
      offset = variant.env === "flat"
        ? rng.pick([M.ARENA_SIZE - 6, M.ARENA_SIZE + M.READ_ONLY_SIZE - 5, 3, M.ARENA_SIZE + 8])
        : rng.pick([M.ARENA_SIZE - 6, M.ARENA_SIZE - 1, 0]);
    }
    return b.offsetIn(segment, offset);
  };
  if (!["stos", "scas"].some((s) => variant.form.mnemonic.startsWith(s)) && rng.chance(15)) {
    b.override = rng.pick([0, 1, 2, 4]);
    if (b.override === 4 && variant.env === "flat") b.seg[4] = M.SEL_DATA;
  }
  const source = b.override >= 0 ? b.override : DS;
  const from = place(source);
  const to = rng.chance(15) ? from + rng.range(-3, 3) * size : place(ES);
  b.set(ESI, keep(from));
  b.set(EDI, keep(to));
  const count = rng.chance(8) ? rng.pick([0, 64, 65, 1]) : rng.range(1, 18);
  b.set(ECX, variant.form.options.repeats ? keep(count) : rng.value());
  if (/^(cmps|scas)/.test(variant.form.mnemonic) && variant.form.options.repeats) {
    // Runs of equal or of different elements, so that the iteration goes on for a while.
    const arena = (segment: number, at: number) =>
      (at & mask) + M.selectorBase(b.seg[segment]) - M.ARENA;
    const same = rng.next(), other = variant.form.prefix === 0xf3 ? same : ~same;
    const fill = (at: number, value: number) => {
      const bytes = Array.from({ length: 64 * 4 }, (_, i) => (value >>> (8 * (i % size))) & 0xff);
      b.patch(at - 32 * 4, bytes);
    };
    b.set(EAX, same);
    fill(arena(ES, to), other);
    if (variant.form.mnemonic.startsWith("cmps")) fill(arena(source, from), same);
    const stop = arena(ES, to) + rng.range(-10, 10) * size;
    b.patch(stop, rng.bytes(size));
  }
}

/** CALL, JMP, Jcc with a full displacement: 16-bit code must stay within its limit now and then. */
export function nearBranch(b: Builder): void {
  if (b.rng.chance(60)) b.immediate = b.rng.range(-3000, 3000);
}

/** Indirect targets. */
export function nearTarget(b: Builder): void {
  if (!b.variant.memory && b.rm === ESP) return;
  if (b.variant.env === "seg16" && b.operandSize === 32 && b.rng.chance(70)) {
    b.setRm(b.rng.below(0x10000));
  } else b.setRm(b.rng.value());
}

/** Where ESP points, as an offset in the arena. */
function stackAt(b: Builder): number {
  const base = M.selectorBase(b.seg[SS]) - M.ARENA;
  return (b.variant.env === "seg16" ? b.gpr[ESP] & 0xffff : b.gpr[ESP]) + base;
}

function pushed(b: Builder, slots: number[]): void {
  const size = b.operandSize / 8;
  slots.forEach((value, i) => b.patchNumber(stackAt(b) + i * size, size, value));
}

export function nearReturn(b: Builder): void {
  const { rng } = b;
  b.immediate = rng.chance(70) ? rng.below(256) : rng.next() & 0xffff;
  pushed(b, [b.codeBits === 16 && rng.chance(80) ? rng.below(0x10000) : rng.value()]);
}

/** TF is set while recording, so the image shows it: see `normalize.ts`. */
export function pushFlags(b: Builder): void {
  if (b.rng.chance(20)) b.eflags |= 1 << 18;
}

/** Any flags, but TF and, for the recorder's sake, none that a signal handler cannot bear. */
export function popFlags(b: Builder): void {
  flagsFromPatch(b);
  pushed(b, [b.rng.next() & ~0x100]);
}

/** Where flags would come from memory that cannot be patched, they come from none: TF must not be popped. */
function flagsFromPatch(b: Builder): void {
  if (b.variant.env === "flat" && stackAt(b) > M.ARENA_SIZE - 16) b.gpr[ESP] += M.READ_ONLY_SIZE;
}

export function enter(b: Builder): void {
  const { rng } = b;
  b.immediate = rng.chance(80) ? rng.below(512) : rng.next() & 0xffff;
  b.immediate2 = rng.pick([0, 0, 1, 1, 2, 3, 5, 31, 32, 33, rng.next() & 0xff]);
  framePointer(b);
}

export function leave(b: Builder): void {
  framePointer(b);
}

function framePointer(b: Builder): void {
  const { rng } = b;
  let offset = rng.range(M.STACK_FROM / 2, M.STACK_TO / 2) * 2;
  if (b.variant.env === "flat" && rng.chance(5)) {
    offset = rng.pick([-3, -64, 0, 3, M.ARENA_SIZE - 2, M.ARENA_SIZE + 8, M.ARENA_SIZE + 0x1000]);
  }
  const high = b.variant.env === "seg16" && rng.chance(30) ? rng.next() & 0xffff0000 : 0;
  b.set(EBP, b.offsetIn(SS, offset) + high);
}

/** Selectors that Linux's tables define, with any RPL, and some that they do not. */
const DATA_SELECTORS = [
  M.USER_DS,
  M.SEL_DATA,
  M.SEL_DATA16,
  M.SEL_SMALL,
  M.SEL_DOWN,
  M.SEL_READ_ONLY,
  M.SEL_ABSENT,
  M.SEL_CODE32,
  M.SEL_EXECUTE,
  M.SEL_ABSENT_CODE,
  M.SEL_DOWN16,
  M.USER_CS,
  0,
  3,
  0x18,
  0x5f + 8,
  0xfff7,
];

function anySelector(b: Builder): number {
  const { rng } = b;
  const selector = rng.pick(DATA_SELECTORS);
  return rng.chance(25) ? (selector & ~3) | rng.below(4) : selector;
}

export function popSegment(b: Builder): void {
  pushed(b, [anySelector(b) | (b.rng.next() & 0xffff0000)]);
}

/** SS stays with this environment's own kind, so that little else changes; or the load fails. */
function stackSelector(b: Builder): number {
  const { rng } = b;
  if (rng.chance(50)) return rng.pick([b.seg[SS], M.USER_DS, M.SEL_DATA, M.SEL_SMALL]);
  return anySelector(b);
}

export function popStackSegment(b: Builder): void {
  pushed(b, [stackSelector(b) | (b.rng.next() & 0xffff0000)]);
}

export function toSegment(b: Builder): void {
  if (!b.variant.memory && b.rm === ESP) b.rm = EBX;
  b.setRm(anySelector(b));
}

export function toStackSegment(b: Builder): void {
  if (!b.variant.memory && b.rm === ESP) b.rm = EBX;
  b.setRm(stackSelector(b));
}

/** LAR, LSL, VERR, VERW. Selectors above the recorder's own tables only in the LDT: the GDT is the host's. */
export function selector(b: Builder): void {
  if (!b.variant.memory && b.rm === ESP) b.rm = EBX;
  b.setRm(anySelector(b));
}

const CODE_SELECTORS = [
  M.USER_CS,
  M.USER_CS,
  M.SEL_CODE16,
  M.SEL_CODE32,
  M.SEL_EXECUTE,
  M.SEL_ABSENT_CODE,
  M.USER_DS,
  M.SEL_DATA,
  0,
  0x67,
];

function farTarget(b: Builder): [number, number] {
  const { rng } = b;
  let code = rng.pick(CODE_SELECTORS);
  if (rng.chance(15)) code = (code & ~3) | rng.below(4);
  const flat = M.selectorBase(code) === 0;
  const offset = rng.chance(85)
    ? rng.range(M.CODE_FROM, M.CODE_TO) + (flat ? M.ARENA : 0)
    : rng.value();
  return [offset, code];
}

export function farImmediate(b: Builder): void {
  [b.immediate, b.immediate2] = farTarget(b);
}

export function farPointer(b: Builder): void {
  const [offset, code] = farTarget(b), size = b.operandSize / 8;
  b.chooseTarget();
  b.patchNumber(b.target, size, offset);
  b.patchNumber(b.target + size, 2, code);
  b.targetPatched = true;
}

export function farReturn(b: Builder): void {
  const [offset, code] = farTarget(b);
  b.immediate = b.rng.below(256);
  pushed(b, [offset, code | (b.rng.next() & 0xffff0000)]);
}

/** IRET to the same privilege. */
export function interruptReturn(b: Builder): void {
  const [offset, code] = farTarget(b);
  flagsFromPatch(b);
  pushed(b, [offset, code | (b.rng.next() & 0xffff0000), b.rng.next() & ~0x20100]);
}

export function loadFar(b: Builder): void {
  const size = b.operandSize / 8;
  b.chooseTarget();
  b.patchNumber(b.target, size, b.rng.value());
  b.patchNumber(b.target + size, 2, anySelector(b));
  b.targetPatched = true;
}

export function loadFarStack(b: Builder): void {
  const size = b.operandSize / 8;
  b.chooseTarget();
  b.patchNumber(b.target, size, b.rng.value());
  b.patchNumber(b.target + size, 2, stackSelector(b));
  b.targetPatched = true;
}

export function controlRegister(b: Builder): void {
  b.reg = b.rng.pick([0, 2, 3, 4]);
}

export function debugRegister(b: Builder): void {
  b.reg = b.rng.pick([0, 1, 2, 3, 6, 7]);
}

/** Not 3 and 4, which user mode may call, and not Linux's own 80h. */
export function softwareInterrupt(b: Builder): void {
  do b.immediate = b.rng.below(256); while ([3, 4, 0x80].includes(b.immediate));
}

export function aam(b: Builder): void {
  if (b.rng.chance(50)) b.immediate = b.rng.pick([10, 0, 1, 16]);
}

export function bound(b: Builder): void {
  const { rng } = b, bits = b.operandSize;
  if (b.reg === ESP) b.reg = ECX;
  const sign = 32 - bits;
  const value = (rng.value() << sign) >> sign;
  b.setPart(b.reg, bits, value);
  b.chooseTarget();
  const near = () => rng.chance(60) ? value + rng.range(-2, 2) : rng.value();
  b.patchNumber(b.target, bits / 8, near());
  b.patchNumber(b.target + bits / 8, bits / 8, near());
  b.targetPatched = true;
}

/** An address and nothing behind it: any registers, any displacement. */
export function lea(b: Builder): void {
  b.target = b.rng.next() & 0xffffff;
  b.targetPatched = true;
  b.override = b.rng.chance(10) ? b.rng.below(6) : -1;
}

export function xlat(b: Builder): void {
  const { rng } = b;
  if (b.variant.env === "based" || rng.chance(b.variant.env === "seg16" ? 25 : 0)) {
    b.addressSize = b.codeBits === 32 ? 16 : 32;
  }
  if (rng.chance(15)) b.override = rng.pick([0, 1, 2]);
  const offset = b.offsetIn(b.override >= 0 ? b.override : DS, rng.range(M.DATA_FROM, M.DATA_TO));
  b.set(EBX, offset - (b.gpr[EAX] & 0xff));
}

export function loop(b: Builder): void {
  const { rng } = b;
  if (rng.chance(40)) b.addressSize = b.codeBits === 32 ? 16 : 32;
  b.set(ECX, rng.chance(60) ? rng.pick([0, 1, 2, 0x10000, 0x10001]) : rng.value());
}

export function cmpxchg(b: Builder): void {
  if (b.rng.chance(50)) return;
  const value = b.rng.value();
  b.setRm(value | 0);
  if (b.variant.memory || b.rm !== EAX) b.setPart(EAX, b.memorySize * 8, value);
}

export function cmpxchg8b(b: Builder): void {
  if (b.rng.chance(40)) return;
  b.chooseTarget();
  b.patchNumber(b.target, 4, b.gpr[EAX]);
  b.patchNumber(b.target + 4, 4, b.gpr[EDX]);
  b.targetPatched = true;
  b.lock(EAX, EDX);
}

export function bitScan(b: Builder): void {
  if (!b.variant.memory && b.rm === ESP) return;
  if (b.rng.chance(15)) b.setRm(0);
}
