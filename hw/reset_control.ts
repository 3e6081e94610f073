/** Reset control register (CF9h) of the PIIX3: 82371SB datasheet, section 2.5.10 "RC: reset control register". */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

/** System reset: whether RCPU resets the whole board or only the processor. */
const SRST = 0x02;
/** Reset CPU: a rise resets. */
const RCPU = 0x04;

/** Port CF9h. */
export class ResetControl implements Chip {
  readonly name = "reset_control";
  private state = { value: 0 };
  readonly register: RegisterAccess = {
    read: () => this.state.value,
    write: (_offset, _size, value) => this.write(value),
  };

  /** `hardReset` resets the board; `softReset` is the processor's INIT. */
  constructor(private readonly wires: { hardReset: () => void; softReset: () => void }) {}

  private write(value: number): void {
    const before = this.state.value;
    this.state.value = value & (SRST | RCPU);
    if ((value & ~before & RCPU) === 0) return;
    if ((value & SRST) !== 0) this.wires.hardReset();
    else this.wires.softReset();
  }

  reset(): void {
    this.state.value = 0;
  }

  snapshot(): State {
    return { ...this.state };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, { value: SRST | RCPU });
  }
}
