/** QEMU's `isa-debug-exit`: a guest writes a value and the machine ends with it. */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { checkedState } from "./bounds.ts";

/** Where the device is. */
export interface IsaDebugExitOptions {
  /** First port, 0 to 0xffff. Default 0x501. */
  iobase?: number;
  /** Ports, 1 to 4. Default 2. */
  iosize?: number;
}

/** The exit port. */
export class IsaDebugExit implements Chip {
  readonly name = "isa_debug_exit";
  readonly iobase: number;
  readonly iosize: number;
  /** Takes accesses of 1, 2 and 4 bytes; a wider access than the device has ports arrives in pieces. */
  readonly register: RegisterAccess = {
    read: () => 0,
    write: (_offset, _size, value) => this.wires.exit(value >>> 0),
  };

  /**
   * `exit` takes the value written; the exit status is `(value << 1) | 1`.
   *
   * @throws {RangeError} when the ports are not within the port space
   */
  constructor(
    private readonly wires: { exit: (value: number) => void },
    options: IsaDebugExitOptions = {},
  ) {
    const { iobase = 0x501, iosize = 2 } = options;
    if (!Number.isInteger(iosize) || iosize < 1 || iosize > 4) {
      throw new RangeError(`isa-debug-exit iosize ${iosize} is out of range: give 1 to 4`);
    }
    if (!Number.isInteger(iobase) || iobase < 0 || iobase + iosize > 0x10000) {
      throw new RangeError(`isa-debug-exit iobase ${iobase} is out of range: give 0 to 0xffff`);
    }
    this.iobase = iobase;
    this.iosize = iosize;
  }

  reset(): void {}

  snapshot(): State {
    return {};
  }

  restore(state: State): void {
    checkedState(this.name, state, {}, {});
  }
}
