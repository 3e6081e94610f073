/** F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN and FPATAN (SDM vol. 1, 8.3.7 to 8.3.10). */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as B from "./bigfloat.ts";
import * as F from "./softfloat.ts";
import * as K from "./stack.ts";

const { W } = F;
const { FCW, FSW } = S;
const CLS_A = F.A + F.CLS, CLS_B = F.B + F.CLS, SIGN_A = F.A + F.SIGN, SIGN_B = F.B + F.SIGN;

/** Makes Z a big number and rounds it. */
function finish(x: B.BigFloat, exact: boolean, fcw: number): number {
  if (x.m === 0n) {
    F.setZ(F.ZERO, 0);
    return 0;
  }
  B.toZ(x, exact);
  return K.round80(fcw);
}

/** Stores Z in ST(i) unless an exception forbids it. */
function commit(cpu: X86, i: number, flags: number, pops: boolean): void {
  const R = cpu.R;
  if (!K.isBlocked(R, flags)) {
    F.pack80(R, K.st(R, i));
    K.fill(R, i);
    if (pops) K.pop(R);
  }
  K.report(cpu, flags);
}

function f2xm1(cpu: X86): void {
  const R = cpu.R, fcw = R[FCW];
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    flags = W[CLS_A] >= F.QNAN ? K.nan1() : powerOfTwo(fcw);
  }
  commit(cpu, 0, flags, false);
}

/** Whether the magnitude of an operand is 1. */
function isUnit(slot: number): boolean {
  return W[slot + F.CLS] === F.FINITE && W[slot + F.EXP] === 0 &&
    W[slot + F.HI] === (0x80000000 | 0) && W[slot + F.LO] === 0;
}

/** Z = 2^A - 1. */
function powerOfTwo(fcw: number): number {
  const cls = W[CLS_A], sign = W[SIGN_A];
  F.copyNumber(F.Z, F.A);
  if (cls === F.ZERO) return 0;
  const flags = K.denormalA();
  if ((flags & ~fcw) !== 0) return flags;
  if (cls === F.INF || W[F.A + F.EXP] >= 0) {
    if (cls === F.INF) {
      if (sign === 1) B.toZ(B.fromNumber(-1), true);
      return flags;
    }
    // 2^1 - 1 = 1 and 2^-1 - 1 = -1/2. Beyond, where nothing is specified, A itself.
    if (isUnit(F.A) && sign === 1) W[F.Z + F.EXP] = -1;
    return flags | F.PE;
  }
  const x = B.fromSlot(F.A), t = B.mul(x, B.LN2);
  return flags | finish(B.mul(t, B.expm1Ratio(t)), false, fcw);
}

/** log2 of a positive `sum`, given also less 1 as `x`; exact when `exact` comes out true. */
function log2(sum: B.BigFloat, x: B.BigFloat): { value: B.BigFloat; exact: boolean } {
  // sum = 2^k * m with m around 1: log2 m = 2 atanh((m - 1) / (m + 1)) / ln 2.
  const length = sum.m.toString(2).length;
  let k = length - 1 + sum.e;
  if (B.toNumber({ m: sum.m, e: sum.e - k }) > Math.SQRT2) k++;
  const above = k === 0 ? x : B.add({ m: sum.m, e: sum.e - k }, B.fromNumber(-1));
  if (above.m === 0n) return { value: B.fromNumber(k), exact: true };
  const s = B.div(above, B.add(above, B.fromNumber(2)));
  const log = B.div(B.mul(s, B.atanhRatio(s)), B.LN2);
  return { value: B.add({ m: log.m, e: log.e + 1 }, B.fromNumber(k)), exact: false };
}

/** ST(1) = ST(1) times a logarithm of ST(0), and pop. */
function timesLog(cpu: X86, logarithm: (fcw: number) => number): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0) || K.isEmpty(R, 1)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    F.unpack80(F.B, R, K.st(R, 1));
    if (W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN) {
      // Of two equal NaNs it is ST(1), the destination, that counts as first.
      F.swapOperands();
      flags = K.nan2();
    } else flags = logarithm(R[FCW]);
  }
  commit(cpu, 1, flags, true);
}

function invalid(): number {
  F.setIndefinite();
  return F.IE;
}

/** Z = B times log2 A (SDM vol. 2, FYL2X). */
function yLog2(fcw: number): number {
  const a = W[CLS_A], b = W[CLS_B], sign = W[SIGN_B];
  if (a === F.ZERO) {
    if (b === F.ZERO) return invalid();
    F.setZ(F.INF, sign ^ 1);
    return b === F.INF ? 0 : F.ZE;
  }
  if (W[SIGN_A] === 1) return invalid();
  const flags = K.denormalAB();
  // How A compares with 1.
  const unit = isUnit(F.A);
  const below = a === F.FINITE && W[F.A + F.EXP] < 0;
  if (a === F.INF) {
    if (b === F.ZERO) return invalid();
    F.setZ(F.INF, sign);
    return flags;
  }
  if (b === F.INF) {
    if (unit) return invalid();
    F.setZ(F.INF, below ? sign ^ 1 : sign);
    return flags;
  }
  if (b === F.ZERO || unit) {
    F.setZ(F.ZERO, below ? sign ^ 1 : sign);
    return flags;
  }
  if ((flags & ~fcw) !== 0) return flags;
  const x = B.fromSlot(F.A), log = log2(x, B.add(x, B.fromNumber(-1)));
  // Processors report the logarithm of a power of two as inexact as well.
  return flags | F.PE | finish(B.mul(B.fromSlot(F.B), log.value), log.exact, fcw);
}

/** Z = B times log2(A + 1) (SDM vol. 2, FYL2XP1). */
function yLog2Plus1(fcw: number): number {
  const a = W[CLS_A], b = W[CLS_B], sign = W[SIGN_A] ^ W[SIGN_B];
  if (a === F.INF) {
    if (W[SIGN_A] === 1 || b === F.ZERO) return invalid();
    F.setZ(F.INF, sign);
    return K.denormalAB();
  }
  const flags = K.denormalAB();
  if (b === F.INF) {
    if (a === F.ZERO) return invalid();
    F.setZ(F.INF, sign);
    return flags;
  }
  if (a === F.ZERO || b === F.ZERO) {
    F.setZ(F.ZERO, sign);
    return flags;
  }
  if ((flags & ~fcw) !== 0) return flags;
  if (W[SIGN_A] === 1 && W[F.A + F.EXP] >= 0) {
    // No logarithm, but outside the specified range there is no complaint either: A itself.
    F.copyNumber(F.Z, F.A);
    return flags | F.PE;
  }
  const x = B.fromSlot(F.A), log = log2(B.add(B.fromNumber(1), x), x);
  // Processors report the logarithm of a power of two as inexact as well.
  return flags | F.PE | finish(B.mul(B.fromSlot(F.B), log.value), log.exact, fcw);
}

/** A reduced by multiples of pi/2: the rest, and the number of quarter turns modulo 4. */
function reduce(): { r: B.BigFloat; quadrant: number } {
  const x = B.fromSlot(F.A);
  if (W[F.A + F.EXP] < -2) return { r: x, quadrant: 0 };
  // In units of 2^-192; one quarter turn is PI_66 / 2, that is PI_66 << 127.
  const quarter = B.PI_66 << 127n, scaled = x.m << BigInt(x.e + 192);
  const doubled = 2n * scaled;
  let n = (doubled + (doubled < 0n ? -quarter : quarter)) / (2n * quarter);
  const rest = scaled - n * quarter;
  n &= 3n;
  return { r: { m: rest, e: -192 }, quadrant: Number(n) };
}

/** sin of a reduced angle after `quadrant` quarter turns. */
function sine(r: B.BigFloat, quadrant: number): { value: B.BigFloat; exact: boolean } {
  let value: B.BigFloat, exact = false;
  if ((quadrant & 1) === 0) {
    value = r.m === 0n ? r : B.mul(r, B.sinRatio(r));
  } else {
    exact = r.m === 0n;
    value = exact ? B.fromNumber(1) : B.cos(r);
  }
  return { value: (quadrant & 2) !== 0 ? B.neg(value) : value, exact };
}

/** FSIN, FCOS, FSINCOS and FPTAN: what they share. */
function trigonometric(cpu: X86, kind: "sin" | "cos" | "sincos" | "tan"): void {
  const R = cpu.R, fcw = R[FCW], pushes = kind === "sincos" || kind === "tan";
  K.note(cpu);
  R[FSW] &= ~K.C2;
  let flags = 0;
  if (K.isEmpty(R, 0)) flags = K.UNDERFLOW;
  else if (pushes && !K.isEmpty(R, 7)) flags = K.OVERFLOW;
  if (flags !== 0) {
    F.setIndefinite();
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    if (W[CLS_A] >= F.QNAN) {
      flags = K.nan1();
    } else if (W[CLS_A] === F.INF) {
      flags = invalid();
    } else {
      trigonometricFinite(cpu, kind, fcw);
      return;
    }
  }
  if (!K.isBlocked(R, flags)) {
    F.pack80(R, K.st(R, 0));
    K.fill(R, 0);
    if (pushes) {
      K.push(R);
      F.pack80(R, K.st(R, 0));
    }
  }
  K.report(cpu, flags);
}

function trigonometricFinite(cpu: X86, kind: "sin" | "cos" | "sincos" | "tan", fcw: number): void {
  const R = cpu.R;
  if (W[CLS_A] === F.FINITE && W[F.A + F.EXP] >= 63) {
    // Out of range: the operand stays and C2 says so.
    R[FSW] = (R[FSW] & ~F.C1) | K.C2;
    return;
  }
  let flags = K.denormalA();
  if ((flags & ~fcw) !== 0) {
    K.report(cpu, flags);
    return;
  }
  if (W[CLS_A] === F.ZERO) {
    F.copyNumber(F.Z, F.A);
    if (kind === "cos") B.toZ(B.fromNumber(1), true);
    F.pack80(R, K.st(R, 0));
    if (kind === "sincos" || kind === "tan") pushOne(cpu);
    K.report(cpu, 0);
    return;
  }
  const { r, quadrant } = reduce();
  const s = sine(r, quadrant), c = sine(r, quadrant + 1);
  if (kind === "tan") flags |= finish(B.div(s.value, c.value), false, fcw);
  else if (kind === "cos") flags |= finish(c.value, c.exact, fcw);
  else flags |= finish(s.value, s.exact, fcw);
  F.pack80(R, K.st(R, 0));
  if (kind === "tan") {
    pushOne(cpu);
  } else if (kind === "sincos") {
    flags = (flags & ~F.C1) | finish(c.value, c.exact, fcw);
    K.push(R);
    F.pack80(R, K.st(R, 0));
  }
  K.report(cpu, flags);
}

function pushOne(cpu: X86): void {
  B.toZ(B.fromNumber(1), true);
  K.push(cpu.R);
  F.pack80(cpu.R, K.st(cpu.R, 0));
}

/** FPATAN: ST(1) = the angle of the point (ST(0), ST(1)), and pop. */
function fpatan(cpu: X86): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0) || K.isEmpty(R, 1)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    // A is y, B is x.
    F.unpack80(F.A, R, K.st(R, 1));
    F.unpack80(F.B, R, K.st(R, 0));
    flags = W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN ? K.nan2() : angle(R[FCW]);
  }
  commit(cpu, 1, flags, true);
}

/** Z = atan2(A, B) (SDM vol. 2, FPATAN). */
function angle(fcw: number): number {
  const y = W[CLS_A], x = W[CLS_B], left = W[SIGN_B] === 1, sign = W[SIGN_A];
  const flags = K.denormalAB();
  if ((flags & ~fcw) !== 0) return flags;
  const signed = (value: B.BigFloat) => sign === 1 ? B.neg(value) : value;
  // Multiples of pi/4, where an operand is zero or infinite.
  let quarters = -1;
  if (y === F.ZERO || (x === F.INF && y !== F.INF)) quarters = left ? 4 : 0;
  else if (y === F.INF) quarters = x === F.INF ? (left ? 3 : 1) : 2;
  else if (x === F.ZERO) quarters = 2;
  if (quarters === 0) {
    F.setZ(F.ZERO, sign);
    return flags;
  }
  if (quarters > 0) {
    const value = B.mul(B.PI, B.fromNumber(quarters));
    return flags | finish(signed({ m: value.m, e: value.e - 2 }), false, fcw);
  }
  const ay = B.fromSlot(F.A), ax = B.fromSlot(F.B);
  if (ay.m < 0n) ay.m = -ay.m;
  if (ax.m < 0n) ax.m = -ax.m;
  const { value, exact } = firstQuadrant(ay, ax, W[F.A + F.EXP] - W[F.B + F.EXP]);
  const whole = left ? B.add(B.PI, B.neg(value)) : value;
  return flags | finish(signed(whole), exact && !left, fcw);
}

/** atan(y / x) for positive operands whose exponents differ by `d`. */
function firstQuadrant(
  y: B.BigFloat,
  x: B.BigFloat,
  d: number,
): { value: B.BigFloat; exact: boolean } {
  if (d < -40) {
    const z = B.div(y, x);
    return { value: B.mul(z, B.atanRatio(z)), exact: false };
  }
  if (d > 40) {
    const z = B.div(x, y), arc = B.mul(z, B.atanRatio(z));
    return { value: B.add({ m: B.PI.m, e: B.PI.e - 1 }, B.neg(arc)), exact: false };
  }
  // An estimate in doubles, then the exact angle between the point and the estimate's direction.
  const guess = B.fromNumber(
    Math.atan2(B.toNumber({ m: y.m, e: 0 }), B.toNumber({ m: x.m, e: -d })),
  );
  const { r, quadrant } = reduceHalf(guess);
  const s = sine(r, quadrant).value, c = sine(r, quadrant + 1).value;
  const xe = { m: x.m, e: -d }, ye = { m: y.m, e: 0 };
  const across = B.add(B.mul(ye, c), B.neg(B.mul(xe, s)));
  const along = B.add(B.mul(xe, c), B.mul(ye, s));
  if (across.m === 0n) return { value: guess, exact: false };
  const z = B.div(across, along);
  return { value: B.add(guess, B.mul(z, B.atanRatio(z))), exact: false };
}

/** An angle in the first quadrant, reduced to at most pi/4 by the full pi. */
function reduceHalf(angle: B.BigFloat): { r: B.BigFloat; quadrant: number } {
  if (B.toNumber(angle) <= Math.PI / 4) return { r: angle, quadrant: 0 };
  return { r: B.add(angle, B.neg({ m: B.PI.m, e: B.PI.e - 1 })), quadrant: 1 };
}

/** Helpers of this file. */
export const TRANSCENDENTAL: Record<string, Helper> = {
  f2xm1,
  fyl2x: (cpu) => timesLog(cpu, yLog2),
  fyl2xp1: (cpu) => timesLog(cpu, yLog2Plus1),
  fsin: (cpu) => trigonometric(cpu, "sin"),
  fcos: (cpu) => trigonometric(cpu, "cos"),
  fsincos: (cpu) => trigonometric(cpu, "sincos"),
  fptan: (cpu) => trigonometric(cpu, "tan"),
  fpatan,
};
