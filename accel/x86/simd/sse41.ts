/** SSE4.1 (SDM vol. 1, 12.10, and the instruction pages); what is lane by lane is in `lanes.ts`. */
import * as F from "../fpu/softfloat.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as L from "./float.ts";
import { lane16, type Narrow, pack } from "./packed.ts";
import { commit4, move8T } from "./sse.ts";

const { T } = L;
const { MXCSR, SCRATCH, XMM0 } = S;
const DAZ = 0x40;

// Conversions between widths.

/** PMOVSX and PMOVZX: lanes of `from` bytes at b become lanes of `to` bytes. */
function extend(from: 1 | 2 | 4, to: 2 | 4 | 8, signed: boolean): Helper {
  const count = 16 / to, low = new Int32Array(8);
  return ({ R, U8, U16 }, a, b) => {
    for (let i = 0; i < count; i++) {
      const v = from === 1 ? U8[b * 4 + i] : from === 2 ? U16[b * 2 + i] : R[b + i];
      low[i] = !signed || from === 4 ? v : from === 1 ? (v << 24) >> 24 : (v << 16) >> 16;
    }
    for (let i = 0; i < count; i++) {
      if (to === 2) U16[a * 2 + i] = low[i];
      else if (to === 4) R[a + i] = low[i];
      else {
        R[a + 2 * i] = low[i];
        R[a + 2 * i + 1] = signed ? low[i] >> 31 : 0;
      }
    }
  };
}

function saturateU16(v: number): number {
  return v < 0 ? 0 : v > 65535 ? 65535 : v;
}
const packUnsigned: Narrow = (x, y) => saturateU16(x) | (saturateU16(y) << 16);
const packusdw = pack(packUnsigned);

// Selection.

/** Words of b where `mask` has a bit, of those of a elsewhere. */
function blend(R: Int32Array, a: number, b: number, mask: number): void {
  for (let i = 0; i < 4; i++) if (((mask >> i) & 1) !== 0) R[a + i] = R[b + i];
}

/** Each bit of a mask of doublewords twice. */
const double = (mask: number) => ((mask & 1) | ((mask & 2) << 1)) * 3;

const blendw: Helper = ({ U16 }, a, b, mask) => {
  for (let i = 0; i < 8; i++) if (((mask >> i) & 1) !== 0) U16[a * 2 + i] = U16[b * 2 + i];
};

/** XMM0's sign bits choose; it may be the destination or the source. */
const blendvb: Helper = ({ R, U8 }, a, b) => {
  const masks = [R[XMM0], R[XMM0 + 1], R[XMM0 + 2], R[XMM0 + 3]];
  for (let i = 0; i < 16; i++) {
    if (((masks[i >> 2] >>> ((i & 3) * 8 + 7)) & 1) !== 0) U8[a * 4 + i] = U8[b * 4 + i];
  }
};

function signs(R: Int32Array): number {
  return (R[XMM0] >>> 31) | ((R[XMM0 + 1] >>> 30) & 2) | ((R[XMM0 + 2] >>> 29) & 4) |
    ((R[XMM0 + 3] >>> 28) & 8);
}

/** INSERTPS: which lane of the source goes where, and which become zero. A source in memory is one lane. */
const insertps: Helper = ({ R }, a, b, order) => {
  R[a + ((order >> 4) & 3)] = R[b === SCRATCH ? b : b + ((order >> 6) & 3)];
  for (let i = 0; i < 4; i++) if (((order >> i) & 1) !== 0) R[a + i] = 0;
};

// Integers.

function muldq(R: Int32Array, a: number, b: number): void {
  for (let i = 0; i < 4; i += 2) {
    const x = R[a + i], y = R[b + i];
    R[a + i] = Math.imul(x, y);
    R[a + i + 1] = (F.mulHigh(x, y) - (x < 0 ? y : 0) - (y < 0 ? x : 0)) | 0;
  }
}

/** PHMINPOSUW: the least of eight words, and where it first is. */
function minimum(R: Int32Array, a: number, b: number): void {
  let at = 0, least = lane16(R, b, 0);
  for (let i = 1; i < 8; i++) {
    const v = lane16(R, b, i);
    if (v < least) {
      least = v;
      at = i;
    }
  }
  R[a] = least | (at << 16);
  R[a + 1] = R[a + 2] = R[a + 3] = 0;
}

/** MPSADBW: eight sums of differences between four bytes of the source and those at each place of the destination. */
const mpsadbw: Helper = ({ U8, U16 }, a, b, order) => {
  const x = a * 4 + (order & 4), y = b * 4 + (order & 3) * 4;
  const sums = [];
  for (let i = 0; i < 8; i++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += Math.abs(U8[x + i + k] - U8[y + k]);
    sums.push(sum);
  }
  for (let i = 0; i < 8; i++) U16[a * 2 + i] = sums[i];
};

const ptest: Helper = ({ R }, a, b) => {
  let both = 0, only = 0;
  for (let i = 0; i < 4; i++) {
    both |= R[a + i] & R[b + i];
    only |= ~R[a + i] & R[b + i];
  }
  S.setArithFlags(R, (both === 0 ? S.ZF : 0) | (only === 0 ? S.CF : 0));
};

/** PINSRB, PINSRD and PINSRQ. */
const pinsrd: Helper = (cpu, a, value, n) => {
  const { R } = cpu;
  if (cpu.operandSize === 64) {
    R[a + (n & 1) * 2] = value;
    R[a + (n & 1) * 2 + 1] = R[S.ARG_HI + 1];
  } else R[a + (n & 3)] = value;
};

const pextrd: Helper = (cpu, _, b, n) => {
  const { R } = cpu;
  if (cpu.operandSize !== 64) return R[b + (n & 3)];
  R[S.HIGH] = R[b + (n & 1) * 2 + 1];
  return R[b + (n & 1) * 2];
};

// Floating point.

/** An integral number by rounding control: 0 nearest even, 1 down, 2 up, 3 toward zero. */
function integral(x: number, rc: number): number {
  if (rc === 1) return Math.floor(x);
  if (rc === 2) return Math.ceil(x);
  if (rc === 3) return Math.trunc(x);
  const below = Math.floor(x), rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

const bits = new DataView(new ArrayBuffer(8));

/** The rounding control of ROUNDPS and its kin: the immediate's, or that of MXCSR. */
function controlOf(R: Int32Array, order: number): number {
  return (order & 4) !== 0 ? L.rounding(R) : order & 3;
}

/** T[t] = R[b], a single, rounded to an integral number. Gives flags: precision unless the immediate suppresses it. */
function round32(R: Int32Array, b: number, order: number, t: number): number {
  const word = R[b], exponent = word & 0x7f800000, fraction = word & 0x7fffff;
  T[t] = word;
  if (exponent === 0x7f800000) {
    if (fraction === 0) return 0;
    T[t] = word | 0x400000;
    return (word & 0x400000) === 0 ? F.IE : 0;
  }
  if (exponent === 0 && (fraction === 0 || (R[MXCSR] & DAZ) !== 0)) {
    T[t] = word & 0x80000000;
    return 0;
  }
  bits.setInt32(0, word);
  const x = bits.getFloat32(0), r = integral(x, controlOf(R, order));
  bits.setFloat32(0, r);
  // A zero keeps the sign of what it came from.
  T[t] = bits.getInt32(0) | (word & 0x80000000);
  return r !== x && (order & 8) === 0 ? F.PE : 0;
}

/** T[t..] likewise, of the double at R[b..]. */
function round64(R: Int32Array, b: number, order: number, t: number): number {
  const lo = R[b], hi = R[b + 1], exponent = hi & 0x7ff00000, fraction = (hi & 0xfffff) | lo;
  T[t] = lo;
  T[t + 1] = hi;
  if (exponent === 0x7ff00000) {
    if (fraction === 0) return 0;
    T[t + 1] = hi | 0x80000;
    return (hi & 0x80000) === 0 ? F.IE : 0;
  }
  if (exponent === 0 && (fraction === 0 || (R[MXCSR] & DAZ) !== 0)) {
    T[t] = 0;
    T[t + 1] = hi & 0x80000000;
    return 0;
  }
  bits.setInt32(0, hi);
  bits.setInt32(4, lo);
  const x = bits.getFloat64(0), r = integral(x, controlOf(R, order));
  bits.setFloat64(0, r);
  T[t] = bits.getInt32(4);
  T[t + 1] = bits.getInt32(0) | (hi & 0x80000000);
  return r !== x && (order & 8) === 0 ? F.PE : 0;
}

/** Two scratch registers for sums that have several steps. */
const A = SCRATCH + 8, B = SCRATCH + 12;

/**
 * DPPS and DPPD: exceptions of the products come before those of the sums, and each step raises its own. The
 * upper four bits of `mask` choose factors, the lower four where the sum goes.
 */
const dpps: Helper = (cpu, a, b, mask) => {
  const { R } = cpu;
  const products = [0, 0, 0, 0];
  let flags = 0;
  for (let i = 0; i < 4; i++) {
    if (((mask >> (4 + i)) & 1) === 0) continue;
    flags |= L.lane32(cpu, L.MUL, a + i, b + i, 0);
    products[i] = T[0];
  }
  L.settle(cpu, flags);
  for (let i = 0; i < 4; i++) R[A + i] = products[i];
  L.settle(cpu, L.lane32(cpu, L.ADD, A, A + 1, 0) | L.lane32(cpu, L.ADD, A + 2, A + 3, 1));
  R[B] = T[0];
  R[B + 1] = T[1];
  L.settle(cpu, L.lane32(cpu, L.ADD, B, B + 1, 0));
  for (let i = 0; i < 4; i++) R[a + i] = ((mask >> i) & 1) !== 0 ? T[0] : 0;
};

const dppd: Helper = (cpu, a, b, mask) => {
  const { R } = cpu;
  let flags = 0;
  const products = [0, 0, 0, 0];
  for (let i = 0; i < 2; i++) {
    if (((mask >> (4 + i)) & 1) === 0) continue;
    flags |= L.lane64(cpu, L.MUL, a + 2 * i, b + 2 * i, 0);
    products[2 * i] = T[0];
    products[2 * i + 1] = T[1];
  }
  L.settle(cpu, flags);
  for (let i = 0; i < 4; i++) R[A + i] = products[i];
  L.settle(cpu, L.lane64(cpu, L.ADD, A, A + 2, 0));
  for (let i = 0; i < 2; i++) {
    const on = ((mask >> i) & 1) !== 0;
    R[a + 2 * i] = on ? T[0] : 0;
    R[a + 2 * i + 1] = on ? T[1] : 0;
  }
};

/** Helpers of this file. */
export const SSE41: Record<string, Helper> = {
  pmovsxbw: extend(1, 2, true),
  pmovsxbd: extend(1, 4, true),
  pmovsxbq: extend(1, 8, true),
  pmovsxwd: extend(2, 4, true),
  pmovsxwq: extend(2, 8, true),
  pmovsxdq: extend(4, 8, true),
  pmovzxbw: extend(1, 2, false),
  pmovzxbd: extend(1, 4, false),
  pmovzxbq: extend(1, 8, false),
  pmovzxwd: extend(2, 4, false),
  pmovzxwq: extend(2, 8, false),
  pmovzxdq: extend(4, 8, false),
  packusdw: (cpu, a, b) => packusdw(cpu.R, a, b, 4),
  blendps: (cpu, a, b, mask) => blend(cpu.R, a, b, mask),
  blendpd: (cpu, a, b, mask) => blend(cpu.R, a, b, double(mask)),
  pblendw: blendw,
  pblendvb: blendvb,
  blendvps: (cpu, a, b) => blend(cpu.R, a, b, signs(cpu.R)),
  blendvpd: (cpu, a, b) => {
    const s = signs(cpu.R);
    blend(cpu.R, a, b, double(((s >> 1) & 1) | ((s >> 2) & 2)));
  },
  insertps,
  extractps: (cpu, _, b, n) => cpu.R[b + (n & 3)],
  pcmpeqq: ({ R }, a, b) => {
    for (let i = 0; i < 4; i += 2) {
      const equal = R[a + i] === R[b + i] && R[a + i + 1] === R[b + i + 1] ? -1 : 0;
      R[a + i] = R[a + i + 1] = equal;
    }
  },
  pmuldq: (cpu, a, b) => muldq(cpu.R, a, b),
  phminposuw: (cpu, a, b) => minimum(cpu.R, a, b),
  mpsadbw,
  ptest,
  pinsrb: (cpu, a, value, n) => {
    cpu.U8[a * 4 + (n & 15)] = value;
  },
  pinsrd,
  pextrb: (cpu, _, b, n) => cpu.U8[b * 4 + (n & 15)],
  pextrw_rm: (cpu, _, b, n) => lane16(cpu.R, b, n & 7),
  pextrd,
  roundps: (cpu, a, b, order) => {
    let flags = 0;
    for (let i = 0; i < 4; i++) flags |= round32(cpu.R, b + i, order, i);
    L.settle(cpu, flags);
    commit4(cpu.R, a);
  },
  roundpd: (cpu, a, b, order) => {
    L.settle(cpu, round64(cpu.R, b, order, 0) | round64(cpu.R, b + 2, order, 2));
    commit4(cpu.R, a);
  },
  roundss: (cpu, a, b, order) => {
    L.settle(cpu, round32(cpu.R, b, order, 0));
    cpu.R[a] = T[0];
  },
  roundsd: (cpu, a, b, order) => {
    L.settle(cpu, round64(cpu.R, b, order, 0));
    move8T(cpu.R, a);
  },
  dpps,
  dppd,
};
