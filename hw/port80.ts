/** Port 80h, where firmware leaves its power-on self-test codes: a latch that a diagnostic card would show. */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

/** The POST code latch. In a PC it is the unused first byte of the DMA page registers, so it reads back. */
export class Port80 implements Chip {
  readonly name = "port80";
  private state = { code: 0 };
  readonly register: RegisterAccess = {
    read: () => this.state.code,
    write: (_offset, _size, value) => {
      this.state.code = value;
    },
  };

  /** The last code written. */
  get code(): number {
    return this.state.code;
  }

  reset(): void {
    this.state.code = 0;
  }

  snapshot(): State {
    return { ...this.state };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, { code: 0xff });
  }
}
