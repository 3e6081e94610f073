/** The gate of address bit 20, which the keyboard controller and port 92h switch. */
import { type Chip, copyState, type State, type Wire } from "../../core/chip.ts";
import { checkedState } from "../bounds.ts";

/**
 * The gate. Snapshots restore it after its inputs.
 *
 * Deviation: the input that was driven last decides, as in QEMU. The PIIX3 has an OR of both, and firmware
 * that leaves one of them off; here both are on after reset, and either can switch the gate alone.
 */
export class A20Gate implements Chip {
  readonly name = "a20";
  private state = { open: true };

  /** `out` lets address bit 20 through. */
  constructor(private readonly wires: { out: Wire }) {}

  /** An input, driven whenever its owner's register is written. */
  drive(level: boolean): void {
    this.state.open = level;
    this.wires.out(level);
  }

  reset(): void {
    this.drive(true);
  }

  snapshot(): State {
    return copyState(this.state);
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, {});
    this.wires.out(this.state.open);
  }
}
