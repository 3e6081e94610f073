/** Where execution is to stop before an instruction: addresses that somebody waits for it to reach. */
import { pageOf } from "./code_cache.ts";

/** The addresses of one processor; see `Cpu.stopAt`. */
export class Stops {
  private addresses: ReadonlySet<number> = new Set();
  private pages: ReadonlySet<number> = new Set();
  /** The instruction that was asked for last, or stood at when the addresses were set, and the count there. */
  private askedAt = NaN;
  private askedCount = 0;

  /** Whether there are any. */
  get exist(): boolean {
    return this.addresses.size !== 0;
  }

  /**
   * Sets the addresses.
   *
   * @param linear where the processor is, which does not count
   * @param count instructions that it has executed
   * @returns the numbers of the pages that the addresses are in, if they are others than before
   */
  set(
    addresses: ReadonlySet<number>,
    linear: number,
    count: number,
  ): ReadonlySet<number> | undefined {
    const pages = new Set([...addresses].map(pageOf)), before = this.pages;
    this.addresses = addresses;
    this.pages = pages;
    this.askedAt = linear;
    this.askedCount = count;
    const same = pages.size === before.size && [...pages].every((page) => before.has(page));
    return same ? undefined : pages;
  }

  /**
   * Whether execution has come to an address, to be asked before each instruction in its page.
   *
   * @param linear address of the instruction that comes next
   * @param count instructions executed
   * @param repeats whether that may be another iteration of the one before
   */
  reached(linear: number, count: number, repeats: boolean): boolean {
    const known = linear === this.askedAt && (repeats || count === this.askedCount);
    this.askedAt = linear;
    this.askedCount = count;
    return !known && this.addresses.has(linear);
  }

  /** Whether there are any in the page of an address, so that its instructions are to be looked at one by one. */
  near(linear: number): boolean {
    return this.pages.size !== 0 && this.pages.has(pageOf(linear));
  }

  /** Forgets where execution was: it is elsewhere now. */
  forget(): void {
    this.askedAt = NaN;
  }
}
