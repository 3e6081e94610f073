/** 256 bits, one a vector: the interrupt request, in-service and trigger mode registers of a local APIC. */
export class VectorSet {
  private readonly bits = new Uint32Array(8);

  /** The highest vector in the set, or -1. */
  get highest(): number {
    for (let i = 7; i >= 0; i--) {
      if (this.bits[i] !== 0) return 32 * i + 31 - Math.clz32(this.bits[i]);
    }
    return -1;
  }

  /** Whether a vector is in the set. */
  has(vector: number): boolean {
    return (this.bits[vector >> 5] & (1 << (vector & 31))) !== 0;
  }

  set(vector: number): void {
    this.bits[vector >> 5] |= 1 << (vector & 31);
  }

  clear(vector: number): void {
    this.bits[vector >> 5] &= ~(1 << (vector & 31));
  }

  reset(): void {
    this.bits.fill(0);
  }

  /** 32 of the bits as a register shows them: vectors 32 × `index` and on. */
  word(index: number): number {
    return this.bits[index];
  }

  /** All the bits, for a snapshot. */
  words(): number[] {
    return [...this.bits];
  }

  /** Takes over what {@linkcode VectorSet.words} gave. */
  take(words: readonly number[]): void {
    this.bits.set(words);
  }
}
