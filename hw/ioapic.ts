/**
 * Intel 82093AA I/O Advanced Programmable Interrupt Controller: 24 inputs, each with a redirection entry.
 *
 * Intel 82093AA datasheet (order number 290566), sections 3.1 and 3.2. The version is 20h, which adds the
 * EOI register of the later chips (ICH datasheets, "EOIR"), as in QEMU.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import { type ApicMessage, BROADCAST, type EoiListener } from "./apic_bus.ts";
import { checkedState } from "./bounds.ts";

/** Physical address and size of the registers in a PC. */
export const IOAPIC_BASE = 0xfec00000, IOAPIC_SIZE = 0x1000;
/** Interrupt inputs. */
export const IOAPIC_PINS = 24;

/** Offsets of the registers that memory shows. */
const IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40;
/** Indirect registers; the redirection table has two for each input. */
const IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10;
const VERSION = 0x20;

/** Lower half of a redirection entry. */
const INTPOL = 1 << 13,
  REMOTE_IRR = 1 << 14,
  TRIGGER_LEVEL = 1 << 15,
  INTERRUPT_MASK = 1 << 16,
  DESTMOD = 1 << 11;
/** Bits that software writes: all but the delivery status and remote IRR. */
const WRITABLE = 0x1afff;

interface IoApicState extends State {
  ioregsel: number;
  id: number;
  /** Levels of the inputs. */
  lines: number;
  /** Edges that have come and not been sent. */
  irr: number;
  /** Lower and upper halves of the redirection entries. */
  low: number[];
  high: number[];
}

function resetState(lines: number): IoApicState {
  return {
    ioregsel: 0,
    id: 0,
    lines,
    irr: 0,
    low: new Array(IOAPIC_PINS).fill(INTERRUPT_MASK),
    high: new Array(IOAPIC_PINS).fill(0),
  };
}

/** What it is joined to. */
export interface IoApicWires {
  /** Sends a message to the local APICs; false when none of them takes it. */
  send(message: ApicMessage): boolean;
}

/** The I/O APIC. */
export class IoApic implements Chip, EoiListener {
  readonly name = "ioapic";
  private state = resetState(0);

  /** The registers, which take doublewords: claim {@linkcode IOAPIC_SIZE} bytes with `sizes: [4]`. */
  readonly registers: RegisterAccess = {
    read: (offset) => {
      // Only address bits 7:4 of the page are decoded (section 3.1).
      const at = offset & 0xf0;
      if (at === IOREGSEL) return this.state.ioregsel;
      return at === IOWIN ? this.readIndirect(this.state.ioregsel) : 0;
    },
    write: (offset, _size, value) => {
      const at = offset & 0xf0;
      if (at === IOREGSEL) this.state.ioregsel = value & 0xff;
      else if (at === IOWIN) this.writeIndirect(this.state.ioregsel, value);
      else if (at === EOIR) this.endOfInterrupt(value & 0xff);
    },
  };

  /** Whether every redirection entry is masked. */
  get closed(): boolean {
    return this.state.low.every((low) => (low & INTERRUPT_MASK) !== 0);
  }

  constructor(private readonly wires: IoApicWires) {}

  /** Drives an input: 0 to 23. */
  setPin(pin: number, level: boolean): void {
    if (!(Number.isInteger(pin) && pin >= 0 && pin < IOAPIC_PINS)) {
      throw new RangeError(`I/O APIC input ${pin} does not exist: give 0 to ${IOAPIC_PINS - 1}`);
    }
    const { state } = this, bit = 1 << pin;
    if (((state.lines & bit) !== 0) === level) return;
    state.lines ^= bit;
    const low = state.low[pin];
    if ((low & TRIGGER_LEVEL) === 0) {
      // Edges on a masked input are lost (section 3.2.4, "Interrupt Mask").
      if (!this.asserted(pin) || (low & INTERRUPT_MASK) !== 0) return;
      state.irr |= bit;
    }
    this.service(pin);
  }

  /** The wire of one input. */
  pin(pin: number): Wire {
    return (level) => this.setPin(pin, level);
  }

  endOfInterrupt(vector: number): void {
    const { low } = this.state;
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      if ((low[pin] & 0xff) !== vector || (low[pin] & TRIGGER_LEVEL) === 0) continue;
      low[pin] &= ~REMOTE_IRR;
      this.service(pin);
    }
  }

  /** Whether an input is active by its polarity. */
  private asserted(pin: number): boolean {
    const { lines, low } = this.state;
    return ((lines & (1 << pin)) !== 0) !== ((low[pin] & INTPOL) !== 0);
  }

  /** Sends what an input asks for. */
  private service(pin: number): void {
    const { state } = this, low = state.low[pin];
    if ((low & INTERRUPT_MASK) !== 0) return;
    const level = (low & TRIGGER_LEVEL) !== 0;
    if (level) {
      if ((low & REMOTE_IRR) !== 0 || !this.asserted(pin)) return;
      // Set first: the answer may come while the message is being sent.
      state.low[pin] |= REMOTE_IRR;
    } else if ((state.irr & (1 << pin)) === 0) return;
    const destination = state.high[pin] >>> 24;
    const taken = this.wires.send({
      mode: (low >>> 8) & 7,
      vector: low & 0xff,
      level,
      logical: (low & DESTMOD) !== 0,
      destination: destination === 0xff ? BROADCAST : destination,
    });
    if (!level) state.irr &= ~(1 << pin);
    else if (!taken) state.low[pin] &= ~REMOTE_IRR;
  }

  private readIndirect(index: number): number {
    const { state } = this;
    switch (index) {
      case IOAPICID:
      case IOAPICARB:
        return state.id << 24;
      case IOAPICVER:
        return ((IOAPIC_PINS - 1) << 16) | VERSION;
    }
    const pin = (index - IOREDTBL) >> 1;
    if (pin < 0 || pin >= IOAPIC_PINS) return 0;
    return (index & 1) === 0 ? state.low[pin] : state.high[pin];
  }

  private writeIndirect(index: number, value: number): void {
    const { state } = this;
    if (index === IOAPICID) state.id = (value >>> 24) & 0xf;
    const pin = (index - IOREDTBL) >> 1;
    if (pin < 0 || pin >= IOAPIC_PINS) return;
    if ((index & 1) !== 0) {
      state.high[pin] = (value & 0xff000000) >>> 0;
      return;
    }
    const written = value & WRITABLE;
    // An input that becomes edge-triggered has nothing to be ended: Linux clears remote IRR by this.
    const remote = (written & TRIGGER_LEVEL) !== 0 ? state.low[pin] & REMOTE_IRR : 0;
    state.low[pin] = written | remote;
    if ((written & TRIGGER_LEVEL) !== 0) state.irr &= ~(1 << pin);
    this.service(pin);
  }

  reset(): void {
    // Who drives a line goes on driving it.
    this.state = resetState(this.state.lines);
  }

  snapshot(): State {
    const { state } = this;
    return { ...state, low: [...state.low], high: [...state.high] };
  }

  restore(state: State): void {
    const pins = (max: number) => ({ items: max, most: IOAPIC_PINS, least: IOAPIC_PINS });
    this.state = checkedState(this.name, state, resetState(0), {
      ioregsel: 0xff,
      id: 0xf,
      lines: 2 ** IOAPIC_PINS - 1,
      irr: 2 ** IOAPIC_PINS - 1,
      low: pins(WRITABLE | REMOTE_IRR),
      high: pins(0xff000000),
    });
  }
}
