/** x87 data transfer: FLD, FST, FILD, FIST, FBLD, FBSTP, FXCH, FCMOVcc and the constants. */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as F from "./softfloat.ts";
import * as K from "./stack.ts";

const { W } = F;
const { FCW, FSW, SCRATCH } = S;
const CLS_A = F.A + F.CLS;

/** Pushes Z, or the masked response to a full stack. */
function pushZ(cpu: X86, flags: number): void {
  const R = cpu.R;
  if (!K.isEmpty(R, 7)) {
    flags = K.OVERFLOW;
    F.setIndefinite();
  }
  // A denormal is loaded even when its exception is unmasked.
  if (!K.isBlocked(R, flags & ~F.DE)) {
    K.push(R);
    F.pack80(R, K.st(R, 0));
  }
  K.report(cpu, flags);
}

/** High word of a normal single as a double, or one that is not normal. */
function widenHigh(bits: number): number {
  const e = (bits >>> 23) & 0xff;
  if (e === 0 || e === 0xff) return 0;
  return (bits & 0x80000000) | (((bits & 0x7fffffff) >>> 3) + (896 << 20));
}

// hot: bench/micro.ts, nbody. Loads and stores of doubles are half of what x87 code does.

/** FLD m32 and m64: signalling NaNs are quieted, denormals are reported. */
function loadReal(cpu: X86, double: boolean): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  const lo = double ? R[SCRATCH] : R[SCRATCH] << 29;
  const hi = double ? R[SCRATCH + 1] : widenHigh(R[SCRATCH]);
  const e = (hi >>> 20) & 0x7ff;
  if (e !== 0 && e !== 0x7ff) {
    // A normal number needs but its bits moved.
    const high = 0x80000000 | ((hi & 0xfffff) << 11) | (lo >>> 21);
    pushRaw(cpu, lo << 11, high, ((hi >>> 16) & 0x8000) | (e + 15360));
    return;
  }
  if (double) F.unpack64(F.A, lo, hi, false);
  else F.unpack32(F.A, R[SCRATCH], false);
  if (W[CLS_A] >= F.QNAN) {
    pushZ(cpu, K.nan1());
  } else {
    F.copyNumber(F.Z, F.A);
    pushZ(cpu, K.denormalA());
  }
}

/** Pushes the raw 80 bits at `R[from..]`. */
function pushRaw(cpu: X86, lo: number, hi: number, se: number): void {
  const R = cpu.R;
  if (!K.isEmpty(R, 7)) {
    pushZ(cpu, 0);
    return;
  }
  R[FSW] &= ~F.C1;
  K.push(R);
  const i = K.st(R, 0);
  R[i] = lo;
  R[i + 1] = hi;
  R[i + 2] = se & 0xffff;
}

function loadExtended(cpu: X86): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  pushRaw(cpu, R[SCRATCH], R[SCRATCH + 1], R[SCRATCH + 2]);
}

function loadRegister(cpu: X86, i: number): void {
  const R = cpu.R;
  K.note(cpu);
  if (K.isEmpty(R, i)) {
    F.setIndefinite();
    const flags = K.UNDERFLOW;
    if (!K.isBlocked(R, flags)) {
      K.push(R);
      F.pack80(R, K.st(R, 0));
    }
    K.report(cpu, flags);
    return;
  }
  const at = K.st(R, i);
  pushRaw(cpu, R[at], R[at + 1], R[at + 2]);
}

function loadInteger(cpu: X86, bits: number): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  const word = bits === 16 ? (R[SCRATCH] << 16) >> 16 : R[SCRATCH];
  F.unpackInt(F.Z, word, bits === 64 ? R[SCRATCH + 1] : word >> 31);
  pushZ(cpu, 0);
}

let storeFlags = 0;

/**
 * Stores ST(0) as a double to SCRATCH if it is well inside the normal range, rounded to nearest: nothing
 * but the precision exception can come of it. Leaves the flags in `storeFlags`.
 */
function storeNormal(R: Int32Array): boolean {
  const at = K.st(R, 0), lo = R[at], hi = R[at + 1], se = R[at + 2], e = (se & 0x7fff) - 15360;
  if (hi >= 0 || e <= 0 || e >= 2046) return false;
  let low = (lo >>> 11) | (hi << 21);
  let high = ((se & 0x8000) << 16) | (e << 20) | ((hi & 0x7fffffff) >>> 11);
  const rest = lo & 0x7ff;
  storeFlags = 0;
  if (rest !== 0) {
    storeFlags = F.PE;
    if (rest > 0x400 || (rest === 0x400 && (low & 1) !== 0)) {
      storeFlags = F.PE | F.C1;
      low = (low + 1) | 0;
      if (low === 0) high++;
    }
  }
  R[SCRATCH] = low;
  R[SCRATCH + 1] = high;
  return true;
}

/** FST and FSTP to m32 or m64. */
function storeReal(cpu: X86, double: boolean, pops: boolean): void {
  const R = cpu.R, fcw = R[FCW];
  K.noteOperand(cpu);
  let flags: number;
  if (K.isEmpty(R, 0)) {
    flags = K.UNDERFLOW;
    F.setIndefinite();
  } else if (double && (fcw & 0xc00) === 0 && storeNormal(R)) {
    if (pops) K.pop(R);
    if (storeFlags === 0) R[FSW] &= ~F.C1;
    else K.report(cpu, storeFlags);
    return;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    if (W[CLS_A] >= F.QNAN) {
      flags = K.nan1();
    } else {
      F.copyNumber(F.Z, F.A);
      flags = W[CLS_A] !== F.FINITE
        ? 0
        : F.roundZ(double ? 53 : 24, double ? -1022 : -126, (fcw >>> 10) & 3, ~fcw);
    }
  }
  if ((flags & ~fcw & (F.IE | F.OE | F.UE)) !== 0) {
    // Nothing is stored, so nothing was rounded either.
    flags &= (flags & F.SF) !== 0 ? -1 : ~(F.PE | F.C1);
    K.keepMemory(cpu, double ? 8 : 4);
  } else {
    if (double) F.pack64(R, SCRATCH);
    else R[SCRATCH] = F.pack32();
    if (pops) K.pop(R);
  }
  K.report(cpu, flags);
}

function storeExtended(cpu: X86): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  if (K.isEmpty(R, 0)) {
    if (K.isBlocked(R, K.UNDERFLOW)) {
      K.keepMemory(cpu, 10);
    } else {
      F.setIndefinite();
      F.pack80(R, SCRATCH);
      K.pop(R);
    }
    K.report(cpu, K.UNDERFLOW);
    return;
  }
  const at = K.st(R, 0);
  R[SCRATCH] = R[at];
  R[SCRATCH + 1] = R[at + 1];
  R[SCRATCH + 2] = R[at + 2] & 0xffff;
  K.pop(R);
  R[FSW] &= ~F.C1;
}

/** FST and FSTP to ST(i). */
function storeRegister(cpu: X86, i: number, pops: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  let flags = 0;
  const to = K.st(R, i), from = K.st(R, 0);
  if (K.isEmpty(R, 0)) {
    flags = K.UNDERFLOW;
    if (K.isBlocked(R, flags)) {
      K.report(cpu, flags);
      return;
    }
    F.setIndefinite();
    F.pack80(R, to);
  } else {
    R[to] = R[from];
    R[to + 1] = R[from + 1];
    R[to + 2] = R[from + 2];
  }
  K.fill(R, i);
  K.report(cpu, flags);
  if (pops) K.pop(R);
}

/** FSTP at D9 D8 takes an empty register without complaint: it only pops. */
function storeUnchecked(cpu: X86, i: number): void {
  const R = cpu.R, to = K.st(R, i), from = K.st(R, 0);
  K.note(cpu);
  if (!K.isEmpty(R, 0)) {
    for (let n = 0; n < 3; n++) R[to + n] = R[from + n];
    K.fill(R, i);
  }
  K.report(cpu, 0);
  K.pop(R);
}

/** FIST, FISTP and FISTTP. */
function storeInteger(cpu: X86, bits: number, pops: boolean, rc: number): void {
  const R = cpu.R, fcw = R[FCW];
  K.noteOperand(cpu);
  let flags = K.UNDERFLOW;
  if (!K.isEmpty(R, 0)) {
    F.unpack80(F.A, R, K.st(R, 0));
    flags = F.toInteger(bits, rc, R, SCRATCH);
  }
  if ((flags & F.IE) !== 0) {
    if ((fcw & F.IE) === 0) {
      K.keepMemory(cpu, bits >>> 3);
      K.report(cpu, flags);
      return;
    }
    // The integer indefinite.
    R[SCRATCH] = bits === 64 ? 0 : bits === 32 ? 0x80000000 | 0 : 0x8000;
    if (bits === 64) R[SCRATCH + 1] = 0x80000000 | 0;
  }
  K.report(cpu, flags);
  if (pops) K.pop(R);
}

/** Nine decimal digits from `bytes`, the highest at `digit` counted from the low end. */
function nineDigits(bytes: Uint8Array, at: number, digit: number): number {
  let value = 0;
  for (let d = digit; d > digit - 9; d--) {
    value = value * 10 + ((bytes[at + (d >> 1)] >> ((d & 1) * 4)) & 15);
  }
  return value;
}

function loadDecimal(cpu: X86): void {
  const bytes = cpu.U8, at = SCRATCH * 4;
  K.noteOperand(cpu);
  const high = nineDigits(bytes, at, 17), low = nineDigits(bytes, at, 8);
  // high * 10^9 + low in two words, by halves that doubles hold exactly.
  const t = (high & 0xffff) * 1e9 + low;
  const u = (high >>> 16) * 1e9 + Math.floor(t / 65536);
  const lo = ((u & 0xffff) << 16) | (t & 0xffff), hi = Math.floor(u / 65536);
  F.unpackInt(F.Z, lo, hi | 0);
  W[F.Z + F.SIGN] = bytes[at + 9] >> 7;
  pushZ(cpu, 0);
}

/** Writes nine decimal digits, the lowest at `digit`. */
function putDigits(bytes: Uint8Array, at: number, digit: number, value: number): void {
  for (let d = digit; d < digit + 9; d++) {
    bytes[at + (d >> 1)] |= (value % 10) << ((d & 1) * 4);
    value = Math.floor(value / 10);
  }
}

function storeDecimal(cpu: X86): void {
  const R = cpu.R, bytes = cpu.U8, at = SCRATCH * 4;
  K.noteOperand(cpu);
  let flags = K.UNDERFLOW;
  const sign = R[K.st(R, 0) + 2] & 0x8000;
  if (!K.isEmpty(R, 0)) {
    F.unpack80(F.A, R, K.st(R, 0));
    flags = F.toInteger(64, (R[FCW] >>> 10) & 3, R, SCRATCH);
  }
  let hi = R[SCRATCH + 1], lo = R[SCRATCH];
  if (hi < 0) {
    lo = -lo | 0;
    hi = (lo === 0 ? -hi : ~hi) | 0;
  }
  // 10^18 is 0xde0b6b3_a7640000.
  if (
    (flags & F.IE) === 0 &&
    (hi < 0 || hi > 0x0de0b6b3 || (hi === 0x0de0b6b3 && (lo >>> 0) >= 0xa7640000))
  ) {
    flags = F.IE;
  }
  if ((flags & F.IE) !== 0) {
    if ((R[FCW] & F.IE) === 0) {
      K.keepMemory(cpu, 10);
      K.report(cpu, flags);
      return;
    }
    // The packed BCD indefinite.
    R[SCRATCH] = 0;
    R[SCRATCH + 1] = 0xc0000000 | 0;
    R[SCRATCH + 2] = 0xffff;
  } else {
    R[SCRATCH] = R[SCRATCH + 1] = R[SCRATCH + 2] = 0;
    const upper = hi * 65536 + (lo >>> 16);
    const rest = (upper % 1e9) * 65536 + (lo & 0xffff);
    const high = Math.floor(upper / 1e9) * 65536 + Math.floor(rest / 1e9);
    putDigits(bytes, at, 0, rest % 1e9);
    putDigits(bytes, at, 9, high);
    bytes[at + 9] = sign >>> 8;
  }
  K.report(cpu, flags);
  K.pop(R);
}

function exchange(cpu: X86, i: number): void {
  const R = cpu.R;
  K.note(cpu);
  const a = K.st(R, 0), b = K.st(R, i);
  let flags = 0;
  if (K.isEmpty(R, 0) || K.isEmpty(R, i)) {
    flags = K.UNDERFLOW;
    if (K.isBlocked(R, flags)) {
      K.report(cpu, flags);
      return;
    }
    F.setIndefinite();
    if (K.isEmpty(R, 0)) F.pack80(R, a);
    if (K.isEmpty(R, i)) F.pack80(R, b);
    K.fill(R, 0);
    K.fill(R, i);
  }
  for (let n = 0; n < 3; n++) {
    const word = R[a + n];
    R[a + n] = R[b + n];
    R[b + n] = word;
  }
  K.report(cpu, flags);
}

/** FCMOVcc: ST(0) = ST(i) if the condition holds. */
function moveIf(cpu: X86, i: number, condition: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  if (K.isEmpty(R, 0) || K.isEmpty(R, i)) {
    if (!K.isBlocked(R, K.UNDERFLOW)) {
      F.setIndefinite();
      F.pack80(R, K.st(R, 0));
      K.fill(R, 0);
    }
    K.report(cpu, K.UNDERFLOW);
  } else if (condition) {
    const to = K.st(R, 0), from = K.st(R, i);
    R[to] = R[from];
    R[to + 1] = R[from + 1];
    R[to + 2] = R[from + 2];
  }
}

/** FLD1 to FLDZ. The last word says how the infinitely precise value differs: 1 if it lies above. */
function loadConstant(cpu: X86, se: number, hi: number, lo: number, above: number): void {
  const rc = (cpu.R[FCW] >>> 10) & 3;
  K.note(cpu);
  // The 64-bit value is the nearest one; directed modes may pick its neighbour (SDM vol. 1, 8.3.8).
  if (above === 1 && rc === F.UP) lo = (lo + 1) | 0;
  if (above === -1 && (rc === F.DOWN || rc === F.TRUNCATE)) lo = (lo - 1) | 0;
  if (!K.isEmpty(cpu.R, 7)) F.setIndefinite();
  pushRaw(cpu, lo, hi, se);
}

const flagsOf = S.arithFlags;

/** Helpers of this file. */
export const TRANSFER: Record<string, Helper> = {
  fld_m32: (cpu) => loadReal(cpu, false),
  fld_m64: (cpu) => loadReal(cpu, true),
  fld_m80: loadExtended,
  fld: loadRegister,
  fild_i16: (cpu) => loadInteger(cpu, 16),
  fild_i32: (cpu) => loadInteger(cpu, 32),
  fild_i64: (cpu) => loadInteger(cpu, 64),
  fst_m32: (cpu) => storeReal(cpu, false, false),
  fst_m64: (cpu) => storeReal(cpu, true, false),
  fstp_m32: (cpu) => storeReal(cpu, false, true),
  fstp_m64: (cpu) => storeReal(cpu, true, true),
  fstp_m80: storeExtended,
  fst: (cpu, i) => storeRegister(cpu, i, false),
  fstp: (cpu, i) => storeRegister(cpu, i, true),
  fstp_unchecked: storeUnchecked,
  fist_i16: (cpu) => storeInteger(cpu, 16, false, (cpu.R[FCW] >>> 10) & 3),
  fist_i32: (cpu) => storeInteger(cpu, 32, false, (cpu.R[FCW] >>> 10) & 3),
  fistp_i16: (cpu) => storeInteger(cpu, 16, true, (cpu.R[FCW] >>> 10) & 3),
  fistp_i32: (cpu) => storeInteger(cpu, 32, true, (cpu.R[FCW] >>> 10) & 3),
  fistp_i64: (cpu) => storeInteger(cpu, 64, true, (cpu.R[FCW] >>> 10) & 3),
  fisttp_i16: (cpu) => storeInteger(cpu, 16, true, F.TRUNCATE),
  fisttp_i32: (cpu) => storeInteger(cpu, 32, true, F.TRUNCATE),
  fisttp_i64: (cpu) => storeInteger(cpu, 64, true, F.TRUNCATE),
  fbld: loadDecimal,
  fbstp: storeDecimal,
  fxch: exchange,
  fcmovb: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.CF) !== 0),
  fcmove: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.ZF) !== 0),
  fcmovbe: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & (S.CF | S.ZF)) !== 0),
  fcmovu: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.PF) !== 0),
  fcmovnb: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.CF) === 0),
  fcmovne: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.ZF) === 0),
  fcmovnbe: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & (S.CF | S.ZF)) === 0),
  fcmovnu: (cpu, i) => moveIf(cpu, i, (flagsOf(cpu.R) & S.PF) === 0),
  fld1: (cpu) => loadConstant(cpu, 0x3fff, 0x80000000 | 0, 0, 0),
  fldl2t: (cpu) => loadConstant(cpu, 0x4000, 0xd49a784b | 0, 0xcd1b8afe | 0, 1),
  fldl2e: (cpu) => loadConstant(cpu, 0x3fff, 0xb8aa3b29 | 0, 0x5c17f0bc | 0, -1),
  fldpi: (cpu) => loadConstant(cpu, 0x4000, 0xc90fdaa2 | 0, 0x2168c235 | 0, -1),
  fldlg2: (cpu) => loadConstant(cpu, 0x3ffd, 0x9a209a84 | 0, 0xfbcff799 | 0, -1),
  fldln2: (cpu) => loadConstant(cpu, 0x3ffe, 0xb17217f7 | 0, 0xd1cf79ac | 0, -1),
  fldz: (cpu) => loadConstant(cpu, 0, 0, 0, 0),
};
