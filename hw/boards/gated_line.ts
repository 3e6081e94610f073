/** A line that can be cut. */
import type { Wire } from "../../core/chip.ts";

/** A wire with a switch in it: low beyond the switch while that is open. Its state follows from its inputs. */
export class GatedLine {
  private level = false;
  private cut = false;

  constructor(private readonly out: Wire) {}

  /** What drives the line. */
  readonly source: Wire = (level) => {
    this.level = level;
    this.update();
  };

  /** Cuts the line while high. */
  readonly disconnect: Wire = (cut) => {
    this.cut = cut;
    this.update();
  };

  private update(): void {
    this.out(this.level && !this.cut);
  }
}
