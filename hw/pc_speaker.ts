/**
 * System control port B (61h): the gate and output of timer counter 2, the speaker, and the refresh toggle.
 *
 * 82371SB (PIIX3) datasheet, "NSC: NMI status and control register".
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import type { Clock } from "../core/machine/clock.ts";
import { checkedState } from "./bounds.ts";
import { PIT_HZ } from "./i8254.ts";
import { Ticks } from "./ticks.ts";

const TIMER2_GATE = 0x01, SPEAKER_DATA = 0x02, REFRESH_TOGGLE = 0x10, TIMER2_OUT = 0x20;
const WRITABLE = 0x0f;
/** Timer ticks between two refresh requests: 15.085 microseconds. */
const REFRESH_TICKS = 18;

/** Port 61h. */
export class PcSpeaker implements Chip {
  readonly name = "pc_speaker";
  private readonly ticks = new Ticks(PIT_HZ);
  private state = { control: 0 };
  readonly register: RegisterAccess = {
    read: () => this.read(),
    write: (_offset, _size, value) => {
      this.state.control = value & WRITABLE;
      this.drive();
    },
  };

  /** `gate2` and `out2` are the timer's pins; `speaker` switches the amplifier. */
  constructor(
    private readonly wires: {
      clock: Clock;
      gate2: Wire;
      out2: () => boolean;
      speaker?: Wire;
    },
  ) {}

  /** Deviation: refresh goes on at its usual rate whatever counter 1 is programmed to. */
  private read(): number {
    const refreshes = Math.floor(this.ticks.at(this.wires.clock.now()) / REFRESH_TICKS);
    return this.state.control | (refreshes % 2 !== 0 ? REFRESH_TOGGLE : 0) |
      (this.wires.out2() ? TIMER2_OUT : 0);
  }

  private drive(): void {
    this.wires.gate2((this.state.control & TIMER2_GATE) !== 0);
    this.wires.speaker?.((this.state.control & SPEAKER_DATA) !== 0);
  }

  reset(): void {
    this.state.control = 0;
    this.drive();
  }

  snapshot(): State {
    return { ...this.state };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, { control: WRITABLE });
    this.drive();
  }
}
