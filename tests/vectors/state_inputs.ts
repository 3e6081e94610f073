/** Random x87, MMX and SSE state in the layout of FXSAVE (SDM vol. 1, 10.5.1), by classes of values. */
import type { Prng } from "./prng.ts";

/** Sign and exponent, then the significand's high and low half, of an 80-bit number. */
export type Extended = [number, number, number];

/** Offsets in an FXSAVE image. */
export const FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_FOP = 6, FX_FIP = 8, FX_FDP = 16, FX_MXCSR = 24;
export const FX_ST = 32, FX_XMM = 160;
/** What of an image is state: the rest is reserved. */
export const FX_USED = 288;

const CONSTANTS: Extended[] = [
  [0x3fff, 0x80000000, 0],
  [0xbfff, 0x80000000, 0],
  [0x4000, 0x80000000, 0],
  [0x3ffe, 0x80000000, 0],
  [0x3fff, 0xc0000000, 0],
  [0x4000, 0xc90fdaa2, 0x2168c235],
  [0x3fff, 0xc90fdaa2, 0x2168c235],
  [0x3ffe, 0xc90fdaa2, 0x2168c235],
  [0x4002, 0xa0000000, 0],
  [0x403e, 0x80000000, 0],
  [0xc03e, 0x80000000, 0],
  [0x403d, 0xffffffff, 0xfffffffe],
  [0x401e, 0x80000000, 0],
  [0xc01e, 0x80000000, 0],
  [0x401d, 0xffffffff, 0],
  [0x400e, 0x80000000, 0],
  [0xc00e, 0x80000000, 0],
  [0x400d, 0xfffe0000, 0],
  [0x400d, 0xffff0000, 0],
  [0x407f, 0x80000000, 0],
  [0x407e, 0xffffff00, 0],
  [0x407e, 0xffffff80, 0],
  [0x3f81, 0x80000000, 0],
  [0x3f80, 0x80000000, 0],
  [0x3f6a, 0x80000000, 0],
  [0x3f69, 0x80000000, 0],
  [0x43fe, 0xffffffff, 0xfffff800],
  [0x43fe, 0xffffffff, 0xfffffc00],
  [0x3c01, 0x80000000, 0],
  [0x3bcd, 0x80000000, 0],
  [0x3bcc, 0x80000000, 0],
  [0x7ffe, 0xffffffff, 0xffffffff],
  [0x0001, 0x80000000, 0],
  [0x4039, 0xde0b6b3a, 0x76400000],
  [0x403a, 0x8ac72304, 0x89e80000],
];

/** A finite, normal number whose exponent is within `spread` of 1's. */
export function nearOne(rng: Prng, spread: number): Extended {
  const exponent = 0x3fff + rng.range(-spread, spread);
  const low = rng.chance(50) ? 0 : rng.next();
  const high = rng.chance(30) ? rng.next() & (-1 << rng.below(31)) : rng.next();
  return [(rng.next() & 0x8000) | exponent, (high | 0x80000000) >>> 0, low];
}

/** Any 80-bit pattern: normal numbers mostly, and every special class. */
export function extended(rng: Prng): Extended {
  const sign = rng.next() & 0x8000;
  switch (rng.below(24)) {
    case 0:
      return [sign, 0, 0];
    case 1:
      return [sign | 0x7fff, 0x80000000, 0];
    case 2:
      return [sign | 0x7fff, (0xc0000000 | rng.next()) >>> 0, rng.next()];
    case 3:
      return [sign | 0x7fff, (0x80000000 | (rng.next() & 0x3fffffff)) >>> 0, rng.next() | 1];
    case 4: // denormal
      return [sign, (rng.next() & 0x7fffffff) >>> rng.below(31), rng.next()];
    case 5: // pseudo-denormal
      return [sign, (rng.next() | 0x80000000) >>> 0, rng.next()];
    case 6: // unnormal, pseudo-infinity, pseudo-NaN: unsupported since the 387
      return [
        sign | rng.pick([0x7fff, 0x3fff, 1 + rng.below(0x7ffd)]),
        rng.chance(30) ? 0 : rng.next() & 0x7fffffff,
        rng.chance(30) ? 0 : rng.next(),
      ];
    case 7:
    case 8:
    case 9: {
      const [e, high, low] = rng.pick(CONSTANTS);
      return [e ^ sign, high, low];
    }
    case 10: // far out
      return [
        sign | rng.pick([1, 2, 0x40, 0x7ffe, 0x7ffd, 0x7fc0]),
        (rng.next() | 0x80000000) >>> 0,
        rng.next(),
      ];
    case 11: // small integers and halves
      return fromInteger(rng.range(-40, 40), rng.pick([0, 0, 1]));
    case 12: // beyond double and single range
      return [
        sign | rng.pick([0x3c00, 0x3bcc, 0x43ff, 0x3f6a, 0x3f80, 0x407f, 0x4080]),
        (rng.next() | 0x80000000) >>> 0,
        rng.next(),
      ];
    case 13:
      return nearOne(rng, 70);
    default:
      return nearOne(rng, rng.pick([0, 1, 3, 20]));
  }
}

/** `value` / 2^`shift` as an 80-bit number. */
export function fromInteger(value: number, shift = 0): Extended {
  if (value === 0) return [0, 0, 0];
  const sign = value < 0 ? 0x8000 : 0, magnitude = Math.abs(value);
  const top = 31 - Math.clz32(magnitude);
  return [sign | (0x3fff + top - shift), (magnitude << (31 - top)) >>> 0, 0];
}

/** Bits of a double, high and low word, of any class. */
export function double(rng: Prng): [number, number] {
  const sign = rng.next() & 0x80000000;
  switch (rng.below(18)) {
    case 0:
      return [sign, 0];
    case 1:
      return [sign | 0x7ff00000, 0];
    case 2:
      return [sign | 0x7ff80000 | (rng.next() & 0x7ffff), rng.next()];
    case 3:
      return [sign | 0x7ff00000 | (rng.next() & 0x7ffff), rng.next() | 1];
    case 4:
      return [sign | ((rng.next() & 0xfffff) >>> rng.below(20)), rng.next()];
    case 5:
      return [
        sign | rng.pick([0x7fe00000, 0x00100000, 0x00200000]) | (rng.next() & 0xfffff),
        rng.next(),
      ];
    case 6:
      return [sign | 0x3ff00000, 0];
    case 7: // around the limits of int32, int64 and single
      return [
        sign |
        (rng.pick([0x41d, 0x41e, 0x41f, 0x43d, 0x43e, 0x43f, 0x380, 0x381, 0x369, 0x47e, 0x47f]) <<
          20) |
        rng.pick([0, 0xfffff, rng.next() & 0xfffff]),
        rng.pick([0, 0xffffffff, 0xe0000000, 0xffc00000, rng.next()]),
      ];
    case 8: { // integers and halves
      const bits = new DataView(new ArrayBuffer(8));
      bits.setFloat64(0, rng.range(-100, 100) / 2);
      return [bits.getUint32(0), bits.getUint32(4)];
    }
    case 9:
      return [rng.next(), rng.next()];
    default: {
      const spread = rng.pick([0, 1, 4, 30]);
      const exponent = 0x3ff + rng.range(-spread, spread);
      return [
        sign | (exponent << 20) | (rng.next() & 0xfffff),
        rng.chance(40) ? 0 : rng.next() & (-1 << rng.below(32)),
      ];
    }
  }
}

/** Bits of a single of any class. */
export function single(rng: Prng): number {
  const sign = rng.next() & 0x80000000;
  switch (rng.below(18)) {
    case 0:
      return sign;
    case 1:
      return sign | 0x7f800000;
    case 2:
      return sign | 0x7fc00000 | (rng.next() & 0x3fffff);
    case 3:
      return sign | 0x7f800001 | (rng.next() & 0x3fffff);
    case 4:
      return sign | ((rng.next() & 0x7fffff) >>> rng.below(23));
    case 5:
      return sign | rng.pick([0x7f000000, 0x00800000, 0x01000000]) | (rng.next() & 0x7fffff);
    case 6:
      return sign | 0x3f800000;
    case 7:
      return sign | (rng.pick([0x8d, 0x8e, 0x9d, 0x9e, 0x9f, 0xbd, 0xbe]) << 23) |
        rng.pick([0, 0x7fffff, rng.next() & 0x7fffff]);
    case 8: {
      const bits = new DataView(new ArrayBuffer(4));
      bits.setFloat32(0, rng.range(-100, 100) / 2);
      return bits.getUint32(0);
    }
    case 9:
      return rng.next();
    default: {
      const spread = rng.pick([0, 1, 4, 20]);
      const fraction = rng.next() & 0x7fffff;
      return sign | ((127 + rng.range(-spread, spread)) << 23) |
        (rng.chance(30) ? fraction & (-1 << rng.below(23)) : fraction);
    }
  }
}

/** What vector registers and memory operands are filled with. */
export type Lanes = "int" | "single" | "double" | "mixed";

/** 16 bytes of such lanes. */
export function lanes(rng: Prng, kind: Lanes): Uint8Array {
  const out = new Uint8Array(16), view = new DataView(out.buffer);
  const chosen = kind === "mixed" ? rng.pick(["int", "single", "double"] as const) : kind;
  if (chosen === "int") {
    const width = rng.pick([8, 16, 32, 0]);
    for (let i = 0; i < 4; i++) {
      let word = rng.next();
      if (width === 32) word = rng.value();
      else if (width === 16) word = (rng.value() & 0xffff) | (rng.value() << 16);
      else if (width === 8) {
        word = 0;
        for (let k = 0; k < 4; k++) {
          word = (word << 8) | rng.pick([0, 1, 0x7f, 0x80, 0xff, rng.next() & 0xff]);
        }
      }
      view.setUint32(i * 4, word, true);
    }
  } else if (chosen === "single") {
    for (let i = 0; i < 4; i++) view.setUint32(i * 4, single(rng), true);
  } else {
    for (let i = 0; i < 2; i++) {
      const [high, low] = double(rng);
      view.setUint32(i * 8, low, true);
      view.setUint32(i * 8 + 4, high, true);
    }
  }
  return out;
}

/** Writes an 80-bit number into an image or a memory operand. */
export function putExtended(to: Uint8Array, at: number, [e, high, low]: Extended): void {
  const view = new DataView(to.buffer, to.byteOffset);
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
  view.setUint16(at + 8, e, true);
}

/** Sets ST(`i`) of an image. */
export function setSt(fx: Uint8Array, i: number, value: Extended): void {
  putExtended(fx, FX_ST + 16 * i, value);
}

/** Fills XMM0 to XMM7 of an image. */
export function setLanes(fx: Uint8Array, rng: Prng, kind: Lanes): void {
  for (let i = 0; i < 8; i++) {
    fx.set(lanes(rng, kind), FX_XMM + 16 * i);
    // MMX registers alias the significands.
    if (kind !== "mixed") fx.set(lanes(rng, kind).subarray(0, 8), FX_ST + 16 * i);
  }
}

/** A whole random image with what matters to x87, MMX or SSE instructions varied. */
export function randomState(rng: Prng, kind: "x87" | "mmx" | "sse"): Uint8Array {
  const fx = new Uint8Array(512), view = new DataView(fx.buffer);
  // Precision control 1 is reserved.
  let control = 0x40 | (rng.below(4) << 10) | (rng.pick([0, 2, 3, 3, 3]) << 8);
  control |= rng.chance(80) ? 0x3f : rng.next() & 0x3f;
  let status = (rng.below(8) << 11) | (rng.next() & 0x4700);
  const flags = kind !== "sse" && rng.chance(15) ? rng.next() & 0x7f : 0;
  // Mostly flags that wait for nobody; a pending unmasked one makes the next waiting instruction #MF.
  status |= rng.chance(75) ? flags & (control | 0x40) : flags;
  if ((status & ~control & 0x3f) !== 0) status |= 0x8080;
  view.setUint16(FX_FCW, control, true);
  view.setUint16(FX_FSW, status, true);
  fx[FX_FTW] = rng.chance(70) ? 0xff : rng.next() & 0xff;
  let csr = rng.below(4) << 13;
  csr |= rng.chance(80) ? 0x1f80 : rng.next() & 0x1f80;
  if (rng.chance(15)) csr |= rng.next() & 0x8040;
  if (rng.chance(25)) csr |= rng.next() & 0x3f;
  view.setUint32(FX_MXCSR, csr, true);
  for (let i = 0; i < 8; i++) setSt(fx, i, extended(rng));
  for (let i = 0; i < 8; i++) fx.set(lanes(rng, "mixed"), FX_XMM + 16 * i);
  return fx;
}
