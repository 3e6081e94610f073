/** The processors of a board: how many there are, and the one that stands for them all. */
import type { Cpu } from "../../core/machine/cpu.ts";
import { ProcessorSet } from "../../core/machine/processor_set.ts";
import { BoardError } from "./errors.ts";

/** Processors that a board can have. */
export const MOST_PROCESSORS = 16;

/** A board's processors, known to its chips before they are made. */
export class Processors {
  private readonly made: Cpu[] = [];
  private set: ProcessorSet | undefined;

  /** @param count 1 to {@linkcode MOST_PROCESSORS} */
  constructor(readonly count: number) {
    if (!(Number.isInteger(count) && count >= 1 && count <= MOST_PROCESSORS)) {
      throw new BoardError(
        "processors",
        `the board takes 1 to ${MOST_PROCESSORS} processors, not ${count}`,
      );
    }
  }

  /** Makes all, and gives the one that the run loop drives: a single processor is that itself. */
  make(processor: (index: number) => Cpu): Cpu {
    for (let index = 0; index < this.count; index++) this.made.push(processor(index));
    if (this.count === 1) return this.made[0];
    return this.set = new ProcessorSet(this.made);
  }

  /** A processor; undefined until it is made. */
  at(index: number): Cpu | undefined {
    return this.made[index];
  }

  /** Number of the one that executes, or executed last. */
  get current(): number {
    return this.set?.currentProcessor ?? 0;
  }

  /** Drives the A20 line of all. */
  setA20(enabled: boolean): void {
    for (const processor of this.made) processor.setA20(enabled);
  }
}
