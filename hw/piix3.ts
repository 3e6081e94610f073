/**
 * Intel 82371SB (PIIX3), function 0: PCI-to-ISA bridge and PCI interrupt router.
 *
 * Datasheet: 82371FB/82371SB, order number 290550-002, sections 2.2 and 3.1. The reset control register
 * at port 0xcf9 is a chip of its own; the ISA bridge's timing and SMI registers keep what is written.
 */
import { checkState, type Chip, type State, StateError, type Wire } from "../core/chip.ts";
import { PciConfig } from "./pci.ts";

const IORT = 0x4c;
const XBCS = 0x4e;
const PIRQRCA = 0x60;
const TOM = 0x69;
const MSTAT = 0x6a;
const MBIRQ0 = 0x70;
const MBDMA0 = 0x76;
const PCSC = 0x78;
const APICBASE = 0x80;
const DLC = 0x82;
const SMICNTL = 0xa0;
const SMIEN = 0xa2;
const SEE = 0xa4;
const FTMR = 0xa8;
const SMIREQ = 0xaa;
const CTLTMR = 0xac;
const CTHTMR = 0xae;

/** PIRQRC: set while the PCI interrupt is not routed. */
const IRQ_ROUTING_DISABLE = 1 << 7;
/** ISA interrupts that a PCI interrupt may be routed to: 0, 1, 2, 8 and 13 are reserved. */
const ROUTABLE = 0b1101_1110_1111_1000;

const PIRQS = 4;

/** What the router drives. */
export interface Piix3Wires {
  /**
   * The ISA interrupt lines by number, 16 of them; those of reserved numbers are never driven. A line
   * also driven by an ISA device needs the board's OR.
   */
  irqs: readonly (Wire | undefined)[];
}

/**
 * The PIRQ# line that the interrupt pin of a PCI slot is connected to on i440FX boards.
 *
 * @param pin 1 to 4 for INTA# to INTD#
 * @returns 0 to 3 for PIRQA# to PIRQD#
 */
export function pirqOfSlot(device: number, pin: number): number {
  return (device - 1 + pin - 1) & 3;
}

/** ISA bridge with the four PIRQ# inputs. */
export class Piix3 implements Chip {
  readonly name = "piix3";
  readonly config: PciConfig = new PciConfig({
    vendor: 0x8086,
    device: 0x7000,
    classCode: 0x060100,
    multifunction: true,
    command: 0x0007,
    commandMask: 0x0108,
  });
  /** Level of each source that shares a PIRQ#, by source. */
  private levels: number[] = [];
  /** PIRQ# of each source. */
  private readonly pirqOf: number[] = [];
  /** Levels driven now, by ISA interrupt; derived. */
  private driven = 0;

  constructor(private readonly wires: Piix3Wires) {
    const { config } = this;
    config.register(IORT, 1, { value: 0x4d, writable: 0xff });
    config.register(XBCS, 2, { value: 0x0003, writable: 0x01ff });
    for (let i = 0; i < PIRQS; i++) {
      config.register(PIRQRCA + i, 1, { value: IRQ_ROUTING_DISABLE, writable: 0x8f });
    }
    config.register(TOM, 1, { value: 0x02, writable: 0xfe });
    config.register(MSTAT, 2, { writable: 0x00fe, clearable: 0x8000 });
    config.register(MBIRQ0, 1, { value: 0x80, writable: 0xef });
    config.register(MBDMA0, 2, { value: 0x0c0c, writable: 0x8f8f });
    config.register(PCSC, 2, { value: 0x0002, writable: 0xfffe });
    config.register(APICBASE, 1, { writable: 0x7f });
    config.register(DLC, 1, { writable: 0x0f });
    config.register(SMICNTL, 1, { value: 0x08, writable: 0x1f });
    config.register(SMIEN, 2, { writable: 0x01ff });
    config.register(SEE, 4, { writable: 0xe000ffff });
    config.register(FTMR, 1, { value: 0x0f, writable: 0xff });
    config.register(SMIREQ, 2, { writable: 0x01ff });
    config.register(CTLTMR, 1, { writable: 0xff });
    config.register(CTHTMR, 1, { writable: 0xff });
    config.onChange = () => this.route();
    this.reset();
  }

  /**
   * Makes one more source of a PIRQ# line; the line is active while any of its sources is.
   *
   * @param index 0 to 3 for PIRQA# to PIRQD#
   */
  pirq(index: number): Wire {
    if (!(index >= 0 && index < PIRQS)) throw new RangeError(`there is no PIRQ ${index}`);
    const source = this.levels.push(0) - 1;
    this.pirqOf.push(index);
    return (level) => {
      const value = level ? 1 : 0;
      if (this.levels[source] === value) return;
      this.levels[source] = value;
      this.route();
    };
  }

  /** Resets the registers. The PIRQ# inputs are the sources' business. */
  reset(): void {
    this.config.reset();
    this.route(true);
  }

  snapshot(): State {
    return { config: this.config.bytes.slice(), levels: [...this.levels] };
  }

  restore(state: State): void {
    checkState(this.name, state, this.snapshot());
    const levels = state.levels as number[];
    if (
      levels.length !== this.levels.length || levels.some((level) => level !== 0 && level !== 1)
    ) {
      throw new StateError(this.name, `levels are not those of ${this.levels.length} sources`);
    }
    this.config.check(this.name, state.config as Uint8Array);
    this.levels = [...levels];
    this.config.restore(state.config as Uint8Array);
    this.route(true);
  }

  private route(all = false): void {
    let active = 0;
    for (let source = 0; source < this.levels.length; source++) {
      if (this.levels[source] === 0) continue;
      const register = this.config.get8(PIRQRCA + this.pirqOf[source]);
      if ((register & IRQ_ROUTING_DISABLE) === 0) active |= 1 << (register & 0x0f);
    }
    active &= ROUTABLE;
    const changed = all ? ROUTABLE : active ^ this.driven;
    this.driven = active;
    for (let irq = 0; irq < 16; irq++) {
      if ((changed & (1 << irq)) !== 0) this.wires.irqs[irq]?.((active & (1 << irq)) !== 0);
    }
  }
}
