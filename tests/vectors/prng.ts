/** The seeded generator from which all inputs of the vectors are made. Changing it means recording again. */

/** FNV-1a hash of a text, 32 bits unsigned. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** FNV-1a hash of bytes, continuing from `h`. */
export function hashBytes(bytes: Uint8Array, h = 0x811c9dc5): number {
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i], 0x01000193);
  return h >>> 0;
}

/** Interesting 32-bit patterns; narrower operands take their low bits. */
const EDGES = [
  0,
  1,
  2,
  0xffffffff,
  0xfffffffe,
  0x7f,
  0x80,
  0x81,
  0xff,
  0x100,
  0x7fff,
  0x8000,
  0x8001,
  0xffff,
  0x10000,
  0x7fffffff,
  0x80000000,
  0x80000001,
  0xffffff80,
  0xffffff7f,
  0xffff8000,
  0xffff7fff,
  0x55555555,
  0xaaaaaaaa,
];

/** Sfc32: small, fast, and good enough that no operand pair repeats noticeably. */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private d = 1;

  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.imul(seed, 0x9e3779b1) | 0;
    this.c = ~seed;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 32 random bits, unsigned. */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return t >>> 0;
  }

  /** 0 to `n` - 1. */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n);
  }

  /** `low` to `high`, both included. */
  range(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** 32 bits, often at the edges of some operand size. */
  value(): number {
    switch (this.below(6)) {
      case 0:
      case 1:
        return this.pick(EDGES);
      case 2:
        return (1 << this.below(32)) >>> 0;
      case 3:
        return (this.next() >>> this.below(32)) >>> 0;
      default:
        return this.next();
    }
  }

  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = this.next() >>> 13;
    return out;
  }
}
