/** System control port A (92h) of the PS/2: A20 and a fast processor reset. */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

const FAST_INIT = 0x01, ALT_A20 = 0x02;

/** Port 92h. */
export class Port92 implements Chip {
  readonly name = "port92";
  /** Deviation: A20 is on after reset, as the keyboard controller's is; one line shows the state of both. */
  private state = { value: ALT_A20 };
  readonly register: RegisterAccess = {
    read: () => this.state.value,
    write: (_offset, _size, value) => this.write(value),
  };

  /** `a20` lets address bit 20 through; `reset` is pulsed by a rise of bit 0. */
  constructor(private readonly wires: { a20: Wire; reset: () => void }) {}

  private write(value: number): void {
    const before = this.state.value;
    this.state.value = value;
    this.wires.a20((value & ALT_A20) !== 0);
    if ((value & ~before & FAST_INIT) !== 0) this.wires.reset();
  }

  reset(): void {
    this.state.value = ALT_A20;
    this.wires.a20(true);
  }

  snapshot(): State {
    return { ...this.state };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, { value: 0xff });
    this.wires.a20((this.state.value & ALT_A20) !== 0);
  }
}
