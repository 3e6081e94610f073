/**
 * Two Intel 8237A DMA controllers, cascaded as in a PC, with the page registers that extend their addresses
 * to 24 bits. Channels 0 to 3 move bytes; channels 5 to 7 move words; channel 4 is the cascade.
 *
 * Intel 8237A datasheet (order number 231466); IBM PC/AT technical reference, "DMA controller".
 *
 * Deviation: a transfer takes no virtual time. Timing bits (compressed, extended write) and the senses of
 * DREQ and DACK are remembered but mean nothing.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State } from "../core/chip.ts";
import { type Bounds, checkedState } from "./bounds.ts";

/** Registers 0 to 7: address and count of the four channels. */
const COMMAND_STATUS = 8,
  REQUEST = 9,
  SINGLE_MASK = 10,
  MODE = 11,
  CLEAR_FLIP_FLOP = 12,
  MASTER_CLEAR_TEMPORARY = 13,
  CLEAR_MASK = 14,
  WRITE_MASK = 15;

/** Command register. */
const MEMORY_TO_MEMORY = 0x01, CHANNEL_0_HOLD = 0x02, DISABLE = 0x04;
/** Mode register. */
const TRANSFER = 0x0c,
  TRANSFER_VERIFY = 0x00,
  TRANSFER_WRITE = 0x04,
  TRANSFER_READ = 0x08,
  AUTO_INITIALIZE = 0x10,
  DECREMENT = 0x20,
  SELECT = 0xc0,
  SELECT_CASCADE = 0xc0;
const CASCADE_CHANNEL = 4;

/** Which channel a page register at 81h to 8Fh belongs to; the others are spare bytes. */
const PAGE_OF_CHANNEL = [0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a];
const FIRST_PAGE = 0x81, PAGES = 15;

/** Eight channels; the second controller's come after the first's. */
interface I8237State extends State {
  baseAddress: number[];
  baseCount: number[];
  address: number[];
  count: number[];
  mode: number[];
  pages: Uint8Array;
  /** The following have one item a controller. */
  command: number[];
  /** Terminal counts reached, one bit a channel. */
  terminal: number[];
  mask: number[];
  /** Software requests. */
  request: number[];
  /** The next byte is the high one. */
  high: number[];
  temporary: number[];
  /** Levels of DREQ, one bit a channel. */
  dreq: number[];
}

const zeros = (n: number): number[] => Array.from({ length: n }, () => 0);

function resetState(): I8237State {
  return {
    baseAddress: zeros(8),
    baseCount: zeros(8),
    address: zeros(8),
    count: zeros(8),
    mode: zeros(8),
    pages: new Uint8Array(PAGES),
    command: [0, 0],
    terminal: [0, 0],
    mask: [0x0f, 0x0f],
    request: [0, 0],
    high: [0, 0],
    temporary: [0, 0],
    dreq: [0, 0],
  };
}

const eight = (items: number) => ({ items, least: 8, most: 8 });
const two = (items: number) => ({ items, least: 2, most: 2 });
const BOUNDS: Bounds = {
  baseAddress: eight(0xffff),
  baseCount: eight(0xffff),
  address: eight(0xffff),
  count: eight(0xffff),
  mode: eight(0xff),
  command: two(0xff),
  terminal: two(0x0f),
  mask: two(0x0f),
  request: two(0x0f),
  high: two(1),
  temporary: two(0xff),
  dreq: two(0x0f),
};

/** How a controller reaches guest memory: physical addresses below 16 MiB. */
export interface DmaMemory {
  read(address: number): number;
  write(address: number, value: number): void;
}

/** What became of a transfer. */
export interface DmaResult {
  /** Bytes moved. */
  bytes: number;
  /** Whether the count ran out: the TC pin. */
  terminal: boolean;
}

/** The pair of DMA controllers. */
export class I8237 implements Chip {
  readonly name = "i8237";
  private state = resetState();
  /** Ports 00h to 0Fh: channels 0 to 3. */
  readonly master: RegisterAccess = this.controller(0);
  /** Ports C0h to DFh, every other one: channels 4 to 7. */
  readonly slave: RegisterAccess = {
    read: (offset) => (offset & 1) === 0 ? this.read(1, offset >> 1) : 0xff,
    write: (offset, _size, value) => {
      if ((offset & 1) === 0) this.write(1, offset >> 1, value);
    },
  };
  /** Ports 81h to 8Fh. */
  readonly pages: RegisterAccess = {
    read: (offset) => this.state.pages[offset],
    write: (offset, _size, value) => {
      this.state.pages[offset] = value;
    },
  };

  constructor(private readonly wires: { memory: DmaMemory }) {}

  private controller(which: number): RegisterAccess {
    return {
      read: (offset) => this.read(which, offset),
      write: (offset, _size, value) => this.write(which, offset, value),
    };
  }

  private read(which: number, register: number): number {
    const s = this.state;
    if (register < COMMAND_STATUS) {
      const channel = which * 4 + (register >> 1);
      const value = ((register & 1) === 0 ? s.address : s.count)[channel];
      return this.flip(which) ? value >> 8 : value & 0xff;
    }
    switch (register) {
      case COMMAND_STATUS: {
        const status = s.terminal[which] | ((s.dreq[which] | s.request[which]) << 4);
        s.terminal[which] = 0;
        return status;
      }
      case MASTER_CLEAR_TEMPORARY:
        return s.temporary[which];
      case WRITE_MASK:
        // The 82C37A and the PIIX3 read the mask here.
        return 0xf0 | s.mask[which];
      default:
        return 0xff;
    }
  }

  /** Returns whether the high byte is meant, and changes over. */
  private flip(which: number): boolean {
    const high = this.state.high[which] !== 0;
    this.state.high[which] = high ? 0 : 1;
    return high;
  }

  private write(which: number, register: number, value: number): void {
    const s = this.state;
    if (register < COMMAND_STATUS) {
      const channel = which * 4 + (register >> 1);
      const isAddress = (register & 1) === 0;
      const base = isAddress ? s.baseAddress : s.baseCount;
      base[channel] = this.flip(which)
        ? (base[channel] & 0xff) | (value << 8)
        : (base[channel] & 0xff00) | value;
      (isAddress ? s.address : s.count)[channel] = base[channel];
      return;
    }
    const channel = value & 3, bit = 1 << channel;
    switch (register) {
      case COMMAND_STATUS:
        s.command[which] = value;
        break;
      case REQUEST:
        s.request[which] = (value & 4) !== 0 ? s.request[which] | bit : s.request[which] & ~bit;
        if (which === 0) this.moveMemory();
        break;
      case SINGLE_MASK:
        s.mask[which] = (value & 4) !== 0 ? s.mask[which] | bit : s.mask[which] & ~bit;
        break;
      case MODE:
        s.mode[which * 4 + channel] = value & ~3;
        break;
      case CLEAR_FLIP_FLOP:
        s.high[which] = 0;
        break;
      case MASTER_CLEAR_TEMPORARY:
        this.masterClear(which);
        break;
      case CLEAR_MASK:
        s.mask[which] = 0;
        break;
      case WRITE_MASK:
        s.mask[which] = value & 0x0f;
        break;
    }
  }

  /** Addresses, counts and modes keep their values. */
  private masterClear(which: number): void {
    const s = this.state;
    s.command[which] = 0;
    s.terminal[which] = 0;
    s.request[which] = 0;
    s.temporary[which] = 0;
    s.high[which] = 0;
    s.mask[which] = 0x0f;
  }

  /** The physical address that a channel stands at. */
  private physical(channel: number): number {
    const s = this.state;
    const page = s.pages[PAGE_OF_CHANNEL[channel] - FIRST_PAGE];
    // Word channels drive A1 to A16, and A17 to A23 come from the page.
    return channel < 4
      ? (page << 16) | s.address[channel]
      : ((page & 0xfe) << 16) | (s.address[channel] << 1);
  }

  /** Steps address and count. Returns whether the count ran out. */
  private step(channel: number, hold = false): boolean {
    const s = this.state;
    if (!hold) {
      const by = (s.mode[channel] & DECREMENT) !== 0 ? -1 : 1;
      s.address[channel] = (s.address[channel] + by) & 0xffff;
    }
    s.count[channel] = (s.count[channel] - 1) & 0xffff;
    return s.count[channel] === 0xffff;
  }

  private reachTerminal(channel: number): void {
    const s = this.state, which = channel >> 2, bit = 1 << (channel & 3);
    s.terminal[which] |= bit;
    s.request[which] &= ~bit;
    if ((s.mode[channel] & AUTO_INITIALIZE) !== 0) {
      s.address[channel] = s.baseAddress[channel];
      s.count[channel] = s.baseCount[channel];
    } else s.mask[which] |= bit;
  }

  /** Drives DREQ of a channel, which shows in the status register. */
  setRequest(channel: number, level: boolean): void {
    checkChannel(channel);
    const which = channel >> 2, bit = 1 << (channel & 3);
    const { dreq } = this.state;
    dreq[which] = level ? dreq[which] | bit : dreq[which] & ~bit;
  }

  /** Whether a device that asks for this channel would be served. */
  isReady(channel: number): boolean {
    checkChannel(channel);
    const s = this.state, which = channel >> 2;
    if (((s.command[which] | s.command[1]) & DISABLE) !== 0) return false;
    // Requests of the first controller pass through the second one's channel 0.
    if (which === 0 && (s.mask[1] & 1) !== 0) return false;
    return (s.mask[which] & (1 << (channel & 3))) === 0 &&
      (s.mode[channel] & SELECT) !== SELECT_CASCADE;
  }

  /**
   * A device's transfer on a channel: from `buffer` to memory where the guest has set up a write transfer,
   * from memory to `buffer` for a read transfer, neither for verify. It ends with the buffer or at the
   * terminal count. Channels 5 to 7 move two bytes at a time.
   */
  transfer(channel: number, buffer: Uint8Array): DmaResult {
    const unit = channel < 4 ? 1 : 2;
    let bytes = 0;
    while (bytes + unit <= buffer.length) {
      if (!this.isReady(channel)) return { bytes, terminal: false };
      const address = this.physical(channel);
      const kind = this.state.mode[channel] & TRANSFER;
      for (let i = 0; i < unit; i++) {
        if (kind === TRANSFER_WRITE) this.wires.memory.write(address + i, buffer[bytes + i]);
        else if (kind === TRANSFER_READ) buffer[bytes + i] = this.wires.memory.read(address + i);
        else if (kind !== TRANSFER_VERIFY) return { bytes, terminal: false };
      }
      bytes += unit;
      if (this.step(channel)) {
        this.reachTerminal(channel);
        return { bytes, terminal: true };
      }
    }
    return { bytes, terminal: false };
  }

  /** Memory-to-memory transfer: a software request of channel 0 copies to channel 1's address. */
  private moveMemory(): void {
    const s = this.state;
    const command = s.command[0];
    if ((command & MEMORY_TO_MEMORY) === 0 || (command & DISABLE) !== 0) return;
    if ((s.request[0] & 1) === 0) return;
    for (;;) {
      s.temporary[0] = this.wires.memory.read(this.physical(0)) & 0xff;
      this.wires.memory.write(this.physical(1), s.temporary[0]);
      this.step(0, (command & CHANNEL_0_HOLD) !== 0);
      if (this.step(1)) break;
    }
    this.reachTerminal(1);
    s.request[0] &= ~1;
  }

  reset(): void {
    const { dreq } = this.state;
    this.state = resetState();
    this.state.dreq = dreq;
  }

  snapshot(): State {
    return structuredClone(this.state);
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), BOUNDS);
  }
}

function checkChannel(channel: number): void {
  if (!Number.isInteger(channel) || channel < 0 || channel > 7 || channel === CASCADE_CHANNEL) {
    throw new RangeError(`DMA channel ${channel} does not exist: give 0 to 3 or 5 to 7`);
  }
}
