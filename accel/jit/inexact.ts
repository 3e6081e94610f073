/**
 * Whether a floating-point operation was inexact, which sets MXCSR.PE. Asked only while that flag is clear,
 * of operands that are zero or normal and a finite result that is zero or well inside the normal range.
 */
import type { X86 } from "../x86/cpu.ts";

/** Whether the rounding error of `r = x + y` is not zero (Knuth's two-sum, which is exact). */
function add(x: number, y: number, r: number): boolean {
  const v = r - x;
  // What two-sum computes on the way may overflow only close to the largest numbers.
  if (Math.abs(r) > 2 ** 1021 || Math.abs(x) > 2 ** 1021) return addScaled(x, y, r);
  return (x - (r - v)) + (y - v) !== 0;
}

function addScaled(x: number, y: number, r: number): boolean {
  // Scaling down by 2^-4 is exact here but for an operand so small that the sum rounded it away.
  if (y !== 0 && Math.abs(y) < 2 ** -1000 || x !== 0 && Math.abs(x) < 2 ** -1000) return true;
  return add(x / 16, y / 16, r / 16);
}

const words = new Int32Array(2), double = new Float64Array(words.buffer);

/** The odd part of a double's significand, as a BigInt, and its exponent in `exponent`. */
let exponent = 0;
function significand(x: number): bigint {
  double[0] = Math.abs(x);
  const high = words[1], field = high >>> 20;
  exponent = field === 0 ? -1074 : field - 1075;
  const top = (high & 0xfffff) | (field === 0 ? 0 : 0x100000);
  return (BigInt(top) << 32n) | BigInt(words[0] >>> 0);
}

/** Whether `x * y` is not exactly `r`. */
function isProduct(x: number, y: number, r: number): boolean {
  const a = significand(x), ea = exponent, b = significand(y), eb = exponent;
  const c = significand(r), shift = exponent - ea - eb;
  return shift >= 0 ? a * b === c << BigInt(shift) : (a * b) << BigInt(-shift) === c;
}

/** Two halves of a product of doubles fit one each: whether `r = x * y` lost something (Dekker). */
function mul(x: number, y: number, r: number): boolean {
  if (r === 0) return false;
  const ax = Math.abs(x), ay = Math.abs(y), ar = Math.abs(r);
  if (ax > 2 ** 400 || ay > 2 ** 400 || ax < 2 ** -400 || ay < 2 ** -400 || ar < 2 ** -400) {
    return !isProduct(x, y, r);
  }
  const p = x * 134217729, xh = p - (p - x), xl = x - xh;
  const q = y * 134217729, yh = q - (q - y), yl = y - yh;
  return (xh * yh - r) + xh * yl + xl * yh + xl * yl !== 0;
}

function div(x: number, y: number, r: number): boolean {
  return x !== 0 && (r * y !== x || mul(r, y, x));
}

function sqrt(y: number, r: number): boolean {
  return y !== 0 && (r * r !== y || mul(r, r, y));
}

/** The same for singles: their operations are done in double and then rounded to `r`. */
const SINGLE = {
  add: (x: number, y: number, r: number) => x + y !== r || add(x, y, r),
  sub: (x: number, y: number, r: number) => x - y !== r || add(x, -y, r),
  // A product of singles fits a double.
  mul: (x: number, y: number, r: number) => x * y !== r,
  // Zero divided by infinity is exact, and the product of the two no number.
  div: (x: number, y: number, r: number) => x !== 0 && r * y !== x,
  sqrt: (y: number, r: number) => r * r !== y,
};

/** Functions that tell whether a result was rounded, by operation and format. */
export const INEXACT = {
  add64: add,
  sub64: (x: number, y: number, r: number): boolean => add(x, -y, r),
  mul64: mul,
  div64: div,
  sqrt64: sqrt,
  add32: SINGLE.add,
  sub32: SINGLE.sub,
  mul32: SINGLE.mul,
  div32: SINGLE.div,
  sqrt32: SINGLE.sqrt,
};

/** Names that the text of vector instructions uses, with their values. */
export function vectorScope(cpu: X86): Record<string, unknown> {
  const { buffer } = cpu.R;
  return {
    D: new Float64Array(buffer),
    F: new Float32Array(buffer),
    INEXACT,
    abs: Math.abs,
    fround: Math.fround,
    sqrt: Math.sqrt,
  };
}
