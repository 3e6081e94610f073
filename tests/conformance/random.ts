/** Seeded pseudo-random numbers for tests: the same on every host. */

/** A generator of 32-bit numbers (Marsaglia's xorshift32, "Xorshift RNGs", 2003). */
export class Random {
  private state: number;

  /** @param seed any integer but 0 */
  constructor(seed: number) {
    this.state = seed | 0 || 0x9e3779b9;
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  /** 0 to `count` - 1. */
  int(count: number): number {
    return this.next() % count;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)];
  }

  /** True once in `count` times. */
  oneIn(count: number): boolean {
    return this.int(count) === 0;
  }

  bool(): boolean {
    return (this.next() & 0x10000) !== 0;
  }
}
