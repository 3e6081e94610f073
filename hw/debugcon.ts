/** The debug console of Bochs and QEMU: a port (E9h) whose written bytes go to the host. */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

/** What a guest reads to find out whether the port is there. */
const READBACK = 0xe9;

/** The debug console. */
export class Debugcon implements Chip {
  readonly name = "debugcon";
  readonly register: RegisterAccess = {
    read: () => READBACK,
    write: (_offset, _size, value) => this.wires.byte(value),
  };

  /** `byte` takes each byte the guest writes. */
  constructor(private readonly wires: { byte: (value: number) => void }) {}

  reset(): void {}

  snapshot(): State {
    return {};
  }

  restore(state: State): void {
    checkedState(this.name, state, {}, {});
  }
}
