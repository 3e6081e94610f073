/** A line that several outputs drive: high while any of them is. */
import type { Wire } from "../../core/chip.ts";

/** A wired OR. Its level follows from its sources, so it has no state of its own to keep. */
export class OrLine {
  private readonly levels: boolean[] = [];

  constructor(private readonly out: Wire) {}

  /** One more output on the line. */
  source(): Wire {
    const index = this.levels.push(false) - 1;
    return (level) => {
      this.levels[index] = level;
      this.out(this.levels.includes(true));
    };
  }
}
