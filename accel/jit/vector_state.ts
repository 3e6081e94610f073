/** What is known of the XMM registers at a place in a region's text: names that hold what was stored. */
import type { Expr } from "../x86/binder.ts";

/** A floating-point value under a name. */
export interface Known {
  name: Expr;
  /** Whether it was found to be neither a NaN nor denormal. */
  plain: boolean;
}

/**
 * Names of values by their place in `R`. Registers are always stored too, so forgetting costs nothing but a
 * load. Processors forward a store only to loads of no more than it wrote: reading a double that was
 * stored as two words would wait, so a double that was loaded is kept as one as well.
 */
export class VectorState {
  private readonly words = new Map<number, Expr>();
  private readonly doubles = new Map<number, Known>();
  private readonly singles = new Map<number, Known>();
  /** Whether XMM registers were found usable, and all exceptions masked and rounding to nearest. */
  usable = false;
  nearest = false;
  /** Whether x87 registers were found usable, and all exceptions masked. */
  masked = false;

  /** Forgets everything: something else may have written. */
  forget(): void {
    this.words.clear();
    this.doubles.clear();
    this.singles.clear();
    this.usable = this.nearest = this.masked = false;
  }

  word(k: number): Expr | undefined {
    return this.words.get(k);
  }

  /** The double at words k and k + 1. */
  double(k: number): Known | undefined {
    return this.doubles.get(k);
  }

  single(k: number): Known | undefined {
    return this.singles.get(k);
  }

  /** Notes what was read, beside what is known. */
  readWord(k: number, name: Expr): void {
    this.words.set(k, name);
  }

  readDouble(k: number, name: Expr): Known {
    const known = { name, plain: false };
    this.doubles.set(k, known);
    return known;
  }

  readSingle(k: number, name: Expr): Known {
    const known = { name, plain: false };
    this.singles.set(k, known);
    return known;
  }

  /** Notes that word k was written. */
  setWord(k: number, name: Expr): void {
    this.words.set(k, name);
    this.doubles.delete(k & ~1);
    this.singles.delete(k);
  }

  /** Notes that a double was written to words k and k + 1. */
  setDouble(k: number, known: Known): void {
    for (const w of [k, k + 1]) {
      this.words.delete(w);
      this.singles.delete(w);
    }
    this.doubles.set(k, known);
  }

  /** Notes which double the words just written to k and k + 1 are. */
  setKnown(k: number, known: Known): void {
    this.doubles.set(k, known);
  }

  setSingle(k: number, known: Known): void {
    this.words.delete(k);
    this.doubles.delete(k & ~1);
    this.singles.set(k, known);
  }
}
