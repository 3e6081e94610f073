/** The exact remainder of FPREM and FPREM1 (SDM vol. 2). */
import * as F from "./softfloat.ts";

const { W } = F;

/**
 * Z = A minus the quotient times B, exact, for finite A and B. The quotient is truncated, or rounded
 * to nearest even with `nearest`. Reduces the exponent by at most 63.
 *
 * @returns the low three bits of the quotient's magnitude, or -1 for a partial reduction
 */
export function remainder(nearest: boolean): number {
  const dist = W[F.A + F.EXP] - W[F.B + F.EXP];
  if (dist < (nearest ? -1 : 0)) {
    F.copyNumber(F.Z, F.A);
    return 0;
  }
  const bh = W[F.B + F.HI], bl = W[F.B + F.LO];
  // How many quotient bits this round gives, less one.
  const partial = dist >= 64;
  const steps = partial ? 32 + (dist & 31) : dist;
  let hi = W[F.A + F.HI], lo = W[F.A + F.LO], top = 0, quotient = 0;
  let exp = W[F.B + F.EXP];
  if (partial) exp += dist - steps;
  for (let i = 0; i <= steps; i++) {
    const l = (lo >>> 0) - (bl >>> 0);
    const h = (hi >>> 0) - (bh >>> 0) - (l < 0 ? 1 : 0);
    quotient = (quotient << 1) & 7;
    if (top !== 0 || h >= 0) {
      lo = l | 0;
      hi = h | 0;
      quotient |= 1;
    }
    if (i < steps) {
      top = hi >>> 31;
      hi = (hi << 1) | (lo >>> 31);
      lo = lo << 1;
    }
  }
  if (dist < 0) quotient = 0;
  let sign = W[F.A + F.SIGN];
  if (nearest && !partial) {
    // Twice the remainder against the divisor; at dist -1 the loop did not run and A is half the scale.
    let above: number;
    if (dist < 0) {
      above = compareWords(hi, lo, bh, bl);
      if (above > 0) {
        // B - A/2 in units of A's last place: 2B - A.
        const l = 2 * (bl >>> 0) - (lo >>> 0);
        const h = 2 * (bh >>> 0) - (hi >>> 0) + Math.floor(l / 4294967296);
        lo = l | 0;
        hi = h | 0;
        sign ^= 1;
        quotient = 1;
      }
      exp = W[F.A + F.EXP];
    } else {
      above = hi < 0 ? 1 : compareWords((hi << 1) | (lo >>> 31), lo << 1, bh, bl);
      if (above > 0 || (above === 0 && (quotient & 1) !== 0)) {
        const l = (bl >>> 0) - (lo >>> 0);
        lo = l | 0;
        hi = (bh - hi - (l < 0 ? 1 : 0)) | 0;
        sign ^= 1;
        quotient = (quotient + 1) & 7;
      }
    }
  }
  F.setZ(F.ZERO, W[F.A + F.SIGN]);
  if ((hi | lo) !== 0) {
    W[F.Z + F.CLS] = F.FINITE;
    W[F.Z + F.SIGN] = sign;
    W[F.Z + F.HI] = hi;
    W[F.Z + F.LO] = lo;
    W[F.Z + F.EXP] = exp;
    F.normalize(F.Z);
  }
  return partial ? -1 : quotient;
}

function compareWords(ah: number, al: number, bh: number, bl: number): number {
  return (ah >>> 0) - (bh >>> 0) || (al >>> 0) - (bl >>> 0);
}
