/**
 * Binary floating point of about 160 bits on BigInt, for the transcendental functions: rare enough that
 * BigInt's cost does not matter, and far more exact than the 64 bits they are rounded to.
 */
import * as F from "./softfloat.ts";

const { W } = F;

/** Bits kept of a mantissa, and of a fixed-point fraction. */
const BITS = 160;
const ONE = 1n << BigInt(BITS);

/** The number m * 2^e. */
export interface BigFloat {
  m: bigint;
  e: number;
}

function bitLength(m: bigint): number {
  return m === 0n ? 0 : m.toString(16).length * 4;
}

/** Drops what exceeds the precision, within four bits. */
function trim(m: bigint, e: number): BigFloat {
  const excess = bitLength(m < 0n ? -m : m) - BITS - 4;
  return excess > 0 ? { m: m >> BigInt(excess), e: e + excess } : { m, e };
}

/** The operand at `slot` of the workspace, a finite number. */
export function fromSlot(slot: number): BigFloat {
  const m = (BigInt(W[slot + F.HI] >>> 0) << 32n) | BigInt(W[slot + F.LO] >>> 0);
  return { m: W[slot + F.SIGN] === 1 ? -m : m, e: W[slot + F.EXP] - 63 };
}

/**
 * Makes Z the number, unrounded. A number that is not `exact` counts as truncated towards zero, so its
 * sticky bit is set.
 */
export function toZ(x: BigFloat, exact: boolean): void {
  const negative = x.m < 0n;
  let m = negative ? -x.m : x.m, e = x.e;
  const length = m.toString(2).length, shift = length - 96;
  let sticky = !exact;
  if (shift > 0) {
    const low = m & ((1n << BigInt(shift)) - 1n);
    if (low !== 0n) sticky = true;
    m >>= BigInt(shift);
  } else {
    m <<= BigInt(-shift);
  }
  e += shift + 95;
  F.setZ(F.FINITE, negative ? 1 : 0);
  W[F.Z + F.EXP] = e;
  W[F.Z + F.HI] = Number(m >> 64n) | 0;
  W[F.Z + F.LO] = Number((m >> 32n) & 0xffffffffn) | 0;
  W[F.Z + F.EXT] = Number(m & 0xffffffffn) | (sticky ? 1 : 0);
}

/** A small integer or a dyadic double. */
export function fromNumber(value: number): BigFloat {
  let e = 0;
  while (!Number.isInteger(value)) {
    value *= 65536;
    e -= 16;
  }
  return { m: BigInt(value), e };
}

export function mul(a: BigFloat, b: BigFloat): BigFloat {
  return trim(a.m * b.m, a.e + b.e);
}

export function add(a: BigFloat, b: BigFloat): BigFloat {
  if (a.m === 0n) return b;
  if (b.m === 0n) return a;
  const d = a.e - b.e;
  // So far apart that the lesser one is below the precision: it leaves a trace of its sign.
  if (d > 1000) return trim((a.m << 400n) + (b.m < 0n ? -1n : 1n), a.e - 400);
  if (d < -1000) return add(b, a);
  return d >= 0 ? trim((a.m << BigInt(d)) + b.m, b.e) : trim(a.m + (b.m << BigInt(-d)), a.e);
}

export function neg(a: BigFloat): BigFloat {
  return { m: -a.m, e: a.e };
}

export function div(a: BigFloat, b: BigFloat): BigFloat {
  const shift = BigInt(
    Math.max(0, BITS + 8 + bitLength(b.m < 0n ? -b.m : b.m) - bitLength(a.m < 0n ? -a.m : a.m)),
  );
  return trim((a.m << shift) / b.m, a.e - b.e - Number(shift));
}

/** As fixed point with 160 fraction bits, truncated. For magnitudes below about 2^16. */
export function toFixed(a: BigFloat): bigint {
  const shift = a.e + BITS;
  if (shift >= 0) return a.m << BigInt(shift);
  return shift < -2000 ? 0n : a.m >> BigInt(-shift);
}

export function fromFixed(m: bigint): BigFloat {
  return { m, e: -BITS };
}

/** The nearest double, for estimates; the exponent must suit one. */
export function toNumber(a: BigFloat): number {
  const t = trim(a.m, a.e), drop = Math.max(0, bitLength(t.m < 0n ? -t.m : t.m) - 64);
  return Number(t.m >> BigInt(drop)) * 2 ** (t.e + drop);
}

function times(a: bigint, b: bigint): bigint {
  return (a * b) >> BigInt(BITS);
}

/** The sum of terms 1, r(1), r(1)r(2)… where r(n) = x / divisor(n), until they vanish. */
function series(x: bigint, divisor: (n: bigint) => bigint): bigint {
  let sum = ONE, term = ONE;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    term = times(term, x) / divisor(n);
    sum += term;
  }
  return sum;
}

/** (e^t - 1) / t for |t| below 1. */
export function expm1Ratio(t: BigFloat): BigFloat {
  return fromFixed(series(toFixed(t), (n) => n + 1n));
}

/** Below 1 or above 1 by at least the last place: what a truncated series of a nonzero argument must be. */
function nudge(value: bigint, above: boolean): BigFloat {
  if (value === ONE) value += above ? 1n : -1n;
  return fromFixed(value);
}

/** sin(r) / r for |r| up to 1, r not 0. */
export function sinRatio(r: BigFloat): BigFloat {
  const square = toFixed(mul(r, r));
  return nudge(series(-square, (n) => (2n * n) * (2n * n + 1n)), false);
}

/** cos(r) for |r| up to 1, r not 0. */
export function cos(r: BigFloat): BigFloat {
  const square = toFixed(mul(r, r));
  return nudge(series(-square, (n) => (2n * n - 1n) * (2n * n)), false);
}

/** The sum of x^n / (2n + 1): atanh(s) / s for x = s², atan(s) / s for x = -s². */
function oddSeries(x: bigint): bigint {
  let sum = ONE, power = ONE;
  for (let n = 1n; power !== 0n && power !== -1n; n++) {
    power = times(power, x);
    sum += power / (2n * n + 1n);
  }
  return sum;
}

/** atanh(s) / s for |s| up to about 0.2, s not 0. */
export function atanhRatio(s: BigFloat): BigFloat {
  return nudge(oddSeries(toFixed(mul(s, s))), true);
}

/** atan(s) / s for |s| up to about 0.2, s not 0. */
export function atanRatio(s: BigFloat): BigFloat {
  return nudge(oddSeries(-toFixed(mul(s, s))), false);
}

/** ln 2 as 2 atanh(1/3). */
export const LN2: BigFloat = (() => {
  const third = div(fromNumber(1), fromNumber(3));
  const half = mul(third, fromFixed(oddSeries(toFixed(mul(third, third)))));
  return { m: half.m, e: half.e + 1 };
})();

/** Pi by Machin's formula, 16 atan(1/5) - 4 atan(1/239). */
export const PI: BigFloat = (() => {
  const arc = (n: number) => {
    const s = div(fromNumber(1), fromNumber(n));
    return mul(s, fromFixed(oddSeries(-toFixed(mul(s, s)))));
  };
  return add(mul(fromNumber(16), arc(5)), mul(fromNumber(-4), arc(239)));
})();

/** The pi that reduces arguments, in units of 2^-64: 66 significant bits of it (SDM vol. 1, 8.3.8). */
export const PI_66: bigint = 0x3_243f6a88_85a308d3n;
