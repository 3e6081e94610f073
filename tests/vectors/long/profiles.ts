/** What instructions want of their inputs beyond random values, by mnemonic. */
import type { Builder } from "./builder.ts";
import { bitControl, EXTENSION_FORMS, textLength, vectorInputs } from "../forms_extensions.ts";
import * as M from "./machine.ts";

const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RBP = 5, RSI = 6, RDI = 7, RSP = 4;

/** Counts over the whole byte, most of them around operand sizes. */
function shift(b: Builder): void {
  const { rng } = b;
  const count = rng.chance(60)
    ? rng.pick([0, 1, 2, 8, 15, 16, 17, 31, 32, 33, 47, 48, 62, 63, 64, 65])
    : rng.next() & 0xff;
  b.immediate = BigInt(count);
  if (b.variant.form.operands.endsWith("CL")) b.setPart(RCX, 8, BigInt(count));
}

/** Quotients that fit, most of the time. */
function divide(b: Builder): void {
  const { rng } = b, bits = b.memorySize * 8, signed = b.variant.form.mnemonic === "idiv";
  const wrap = (v: bigint) => signed ? BigInt.asIntN(bits, v) : BigInt.asUintN(bits, v);
  let divisor = wrap(b.value()),
    dividend = (b.value() << BigInt(bits)) | BigInt.asUintN(bits, b.value());
  if (rng.chance(85)) {
    const most = 1n << BigInt(bits - (signed ? 1 : 0));
    const quotient = rng.chance(10) ? most - BigInt(rng.below(3)) : wrap(b.value());
    const size = divisor < 0n ? -divisor : divisor;
    const rest = size === 0n ? 0n : BigInt(rng.next()) % size;
    const product = quotient * divisor;
    dividend = product + (product < 0n ? -rest : rest);
  }
  if (bits === 8) b.setPart(RAX, 16, dividend);
  else {
    b.setPart(RAX, bits, dividend);
    b.setPart(RDX, bits, dividend >> BigInt(bits));
  }
  if (!b.variant.memory && (b.rm === RAX || b.rm === RDX || b.rm === RSP)) return;
  divisor = BigInt.asUintN(bits, divisor);
  b.setRm(divisor);
}

/** Bit offsets that reach some way around the operand. */
function bitString(b: Builder): void {
  const { rng } = b;
  if (!b.variant.memory || b.variant.form.digit >= 0) return;
  if (b.reg === RSP) b.reg = RBP;
  const offset = BigInt(rng.chance(50) ? rng.range(-3000, 3000) : rng.range(-40, 140));
  b.target = (rng.chance(50) ? M.HIGH : M.LOW) +
    BigInt(rng.range(M.DATA_FROM + 0x200, M.DATA_TO - 0x200));
  b.targetPatched = true;
  b.setPart(b.reg, b.operandSize, offset);
}

/** Source and destination in the data area, by registers of 32 or 64 bits. */
function string(b: Builder): void {
  const { rng, variant } = b, { form } = variant;
  const size = form.mnemonic.endsWith("b") ? 1 : b.operandSize / 8;
  if (rng.chance(25)) b.addressSize = 32;
  const narrow = b.addressSize === 32;
  if (!/^(stos|scas)/.test(form.mnemonic) && rng.chance(15)) b.override = rng.below(6);
  const place = (high: boolean) => {
    let offset = rng.range(M.DATA_FROM + 0x200, M.DATA_TO - 0x200);
    if (rng.chance(5)) {
      offset = rng.pick([M.ARENA_SIZE - 6, M.ARENA_SIZE + M.READ_ONLY_SIZE - 5, 3]);
    } else if (rng.chance(10)) offset = M.MIDDLE + rng.range(0x20, 0x60);
    return (high ? M.HIGH : M.LOW) + BigInt(offset);
  };
  const keep = (value: bigint) =>
    narrow ? (BigInt(rng.value()) << 32n) | BigInt.asUintN(32, value) : value;
  const from = place(b.override === 5 || (!narrow && rng.chance(60)));
  let to = place(!narrow && rng.chance(60));
  if (rng.chance(15)) {
    to = (narrow ? M.LOW : from >= M.HIGH ? M.HIGH : M.LOW) +
      BigInt(b.offsetOf(from) + rng.range(-3, 3) * size);
  }
  b.set(RSI, keep(from - b.segmentBase()));
  b.set(RDI, keep(to));
  const count = BigInt(rng.chance(8) ? rng.pick([0, 64, 65, 1]) : rng.range(1, 18));
  b.set(RCX, form.options.repeats ? keep(count) : b.value());
  if (/^(cmps|scas)/.test(form.mnemonic) && form.options.repeats) {
    const same = rng.next(), other = form.prefix === 0xf3 ? same : ~same;
    const fill = (at: number, value: number) =>
      b.patch(
        at - 160,
        Array.from({ length: 320 }, (_, i) => (value >>> (8 * (i % Math.min(size, 4)))) & 0xff),
      );
    b.set(RAX, BigInt(same) * 0x100000001n);
    fill(b.offsetOf(to), other);
    if (form.mnemonic.startsWith("cmps")) fill(b.offsetOf(from), same);
    b.patch(b.offsetOf(to) + rng.range(-10, 10) * size, rng.bytes(size));
  }
}

const near = (b: Builder): bigint =>
  b.rng.chance(80)
    ? (b.rng.chance(50) ? M.HIGH : M.LOW) + BigInt(b.rng.range(M.CODE_FROM, M.CODE_TO))
    : b.rng.chance(70)
    ? BigInt.asIntN(47, b.value()) & 0x7fffffffffffn
    : b.value();

/** Indirect targets: a non-canonical one is #GP. */
function nearTarget(b: Builder): void {
  if (b.variant.form.digit < 0 || (!b.variant.memory && b.rm === RSP)) return;
  b.setRm(near(b));
}

function nearReturn(b: Builder): void {
  b.patchNumber(b.gpr[RSP], 8, near(b));
}

function enter(b: Builder): void {
  const { rng } = b;
  b.immediate = BigInt(rng.chance(80) ? rng.below(0x300) : rng.value());
  b.immediate2 = rng.chance(60) ? rng.below(3) : rng.next() & 0xff;
  b.set(RBP, rng.chance(95) ? b.data() : b.value());
}

function leave(b: Builder): void {
  b.set(RBP, b.data());
}

function loop(b: Builder): void {
  if (b.rng.chance(30)) b.addressSize = 32;
  if (b.rng.chance(60)) {
    const high = b.rng.chance(50) ? 0n : BigInt(b.rng.value()) << 32n;
    b.set(RCX, high | BigInt(b.rng.below(3)));
  }
}

function xlat(b: Builder): void {
  if (b.rng.chance(25)) b.addressSize = 32;
  if (b.rng.chance(20)) b.override = b.rng.below(6);
  const high = b.override === 5 || (b.addressSize === 64 && b.rng.chance(50));
  const target = (high ? M.HIGH : M.LOW) + BigInt(b.rng.range(M.DATA_FROM, M.DATA_TO - 0x100));
  const value = target - b.segmentBase();
  b.set(RBX, b.addressSize === 32 ? (b.value() << 32n) | BigInt.asUintN(32, value) : value);
}

/** Equal in half of the cases. */
function cmpxchg(b: Builder): void {
  if (!b.rng.chance(50)) return;
  const value = b.value();
  b.setPart(RAX, b.memorySize * 8, value);
  if (!b.variant.memory && (b.rm === RAX || b.rm === RSP)) return;
  b.setRm(value);
}

const cmpxchgPair = (bytes: number) => (b: Builder): void => {
  if (b.rng.chance(10)) return;
  const low = BigInt.asUintN(bytes * 8, b.value()), high = BigInt.asUintN(bytes * 8, b.value());
  b.setPart(RAX, bytes * 8, low);
  b.setPart(RDX, bytes * 8, high);
  b.chooseTarget();
  b.patchNumber(b.target, bytes, low);
  b.patchNumber(b.target + BigInt(bytes), bytes, b.rng.chance(70) ? high : b.value());
  b.targetPatched = true;
};

function bitScan(b: Builder): void {
  if (b.variant.memory || b.rm !== RSP) b.setRm(b.rng.chance(15) ? 0n : b.value());
}

function maskMove(b: Builder): void {
  b.set(RDI, b.data());
}

/** Vector registers, the immediate, and lengths of texts. */
function vectors(b: Builder): void {
  const bytes = vectorInputs(b, 16);
  if (/^pcmpestr/.test(b.variant.form.mnemonic)) {
    const high = () => b.rng.chance(70) ? 0n : BigInt(b.rng.range(-1, 1)) << 32n;
    b.set(RAX, BigInt(textLength(b.rng)) + high());
    b.set(RDX, BigInt(textLength(b.rng)) + high());
  }
  b.immediate = BigInt(b.rng.next() & 0xff);
  if (!b.variant.memory) return;
  b.chooseTarget();
  b.patch(b.offsetOf(b.target), bytes.subarray(0, b.memorySize));
  b.targetPatched = true;
}

function controlled(b: Builder): void {
  if (b.vvvv === RSP) b.vvvv = RBP;
  b.setPart(b.vvvv, 32, BigInt(bitControl(b.rng)));
}

const strings = ["movs", "cmps", "stos", "lods", "scas"].flatMap((s) => [`${s}b`, `${s}v`]);

/** Profiles by mnemonic. */
export const PROFILES: Record<string, (b: Builder) => void> = {
  ...Object.fromEntries(
    "rol ror rcl rcr shl shr sar shld shrd".split(" ").map((name) => [name, shift]),
  ),
  div: divide,
  idiv: divide,
  ...Object.fromEntries(["bt", "bts", "btr", "btc"].map((name) => [name, bitString])),
  ...Object.fromEntries(strings.map((name) => [name, string])),
  call: nearTarget,
  jmp: nearTarget,
  ret: nearReturn,
  enter,
  leave,
  loop,
  loope: loop,
  loopne: loop,
  jcxz: loop,
  xlat,
  cmpxchg,
  cmpxchg8b: cmpxchgPair(4),
  cmpxchg16b: cmpxchgPair(8),
  ...Object.fromEntries(
    EXTENSION_FORMS.filter((form) => form.options.state !== undefined)
      .map(({ mnemonic }) => [mnemonic, vectors]),
  ),
  bextr: controlled,
  bzhi: controlled,
  bsf: bitScan,
  bsr: bitScan,
  maskmovq: maskMove,
  maskmovdqu: maskMove,
};
