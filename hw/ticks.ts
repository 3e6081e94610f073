/** Exact arithmetic between virtual nanoseconds and the periods of a crystal. */

const SECOND = 1_000_000_000;

/**
 * A crystal that swings a whole number of times a second, from virtual time 0 on. Both directions are
 * exact for all times that a double holds exactly: nothing drifts however long the machine runs.
 */
export class Ticks {
  /** @param hz swings a second, an integer below 9 million (so that products stay exact) */
  constructor(readonly hz: number) {
    if (!Number.isInteger(hz) || hz < 1 || hz > 9_000_000) {
      throw new RangeError(`frequency ${hz} is out of range: give an integer from 1 to 9000000`);
    }
  }

  /** Whole periods that have passed at virtual time `ns`. */
  at(ns: number): number {
    const seconds = Math.floor(ns / SECOND);
    return seconds * this.hz + Math.floor(((ns - seconds * SECOND) * this.hz) / SECOND);
  }

  /** The first virtual nanosecond at which `tick` periods have passed. */
  time(tick: number): number {
    const seconds = Math.floor(tick / this.hz);
    return seconds * SECOND + Math.ceil(((tick - seconds * this.hz) * SECOND) / this.hz);
  }
}
