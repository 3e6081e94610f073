/**
 * PCI: the configuration space of a function, and configuration mechanism #1.
 *
 * PCI Local Bus Specification 2.2, chapters 3.2.2.3 (mechanism #1) and 6 (configuration space).
 */
import {
  checkState,
  type Chip,
  copyState,
  type State,
  StateError,
  type Wire,
} from "../core/chip.ts";
import type { AccessSize, RegisterAccess } from "../core/bus/port_map.ts";

export const VENDOR_ID = 0x00;
export const DEVICE_ID = 0x02;
export const COMMAND = 0x04;
export const STATUS = 0x06;
export const REVISION_ID = 0x08;
export const CLASS_CODE = 0x09;
export const CACHE_LINE_SIZE = 0x0c;
export const LATENCY_TIMER = 0x0d;
export const HEADER_TYPE = 0x0e;
export const BASE_ADDRESS = 0x10;
export const SUBSYSTEM_VENDOR_ID = 0x2c;
export const SUBSYSTEM_ID = 0x2e;
export const EXPANSION_ROM = 0x30;
export const CAPABILITIES = 0x34;
export const INTERRUPT_LINE = 0x3c;
export const INTERRUPT_PIN = 0x3d;

export const COMMAND_IO = 1 << 0;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_MASTER = 1 << 2;
export const COMMAND_PARITY = 1 << 6;
export const COMMAND_SERR = 1 << 8;
export const COMMAND_INTX_DISABLE = 1 << 10;
export const STATUS_INTERRUPT = 1 << 3;
export const STATUS_CAPABILITIES = 1 << 4;
/** Bits of the status register that a one clears. */
const STATUS_CLEARABLE = 0xf900;

const CONFIG_SIZE = 256;
const BAR_IO = 1, BAR_WIDE = 4, BAR_PREFETCHABLE = 8;
const ROM_ENABLE = 1;

/** What decodes the addresses of a base address register: a `PortRange` or a `MemoryRange`. */
export interface BarRange {
  move(base: number): void;
  setEnabled(enabled: boolean): void;
}

/** What a function is. */
export interface PciIdentity {
  vendor: number;
  device: number;
  /** Base class, subclass and programming interface: 0x030000 is a VGA controller. */
  classCode: number;
  /** Default 0. */
  revision?: number;
  /** Subsystem vendor and device. Default 1af4:1100, by which guests know QEMU's boards. */
  subsystem?: readonly [vendor: number, device: number];
  /** Marks function 0 of a device that has others. Default false. */
  multifunction?: boolean;
  /** Interrupt pin: 1 to 4 for INTA# to INTD#. Default none. */
  interruptPin?: 1 | 2 | 3 | 4;
  /** Command register after reset. Default 0. */
  command?: number;
  /** Writable bits of the command register. Default I/O, memory, master, parity, SERR#, interrupt disable. */
  commandMask?: number;
  /** Status register after reset. Default 0x0200: medium DEVSEL# timing. */
  status?: number;
}

/** A base address register. */
export interface BarShape {
  kind: "io" | "memory";
  /** Bytes, a power of two: at least 4 for ports, 16 for memory. */
  size: number;
  prefetchable?: boolean;
  /** A 64-bit register, which takes the next index too. */
  wide?: boolean;
}

/** The bytes at an offset of configuration space. Values are little-endian. */
export interface PciRegister {
  /** Value after reset. Default 0. */
  value?: number;
  /** Bits that the guest writes. Default none. */
  writable?: number;
  /** Bits that a written one clears. Default none. */
  clearable?: number;
  /** Bits that the chip itself changes. Default none. */
  own?: number;
}

/** Sends a message-signalled interrupt: `data` is written to the physical address. */
export type MessageWire = (address: number, data: number) => void;

interface Bar {
  shape: BarShape;
  offset: number;
  range: BarRange | undefined;
  /** Where the range was put, or undefined while it is off. */
  at: number | undefined;
}

/** The 256 bytes of configuration space of one function. Its chip declares the registers, the board connects the ranges. */
export class PciConfig {
  /** The registers, for the chip's own use; the chip calls {@linkcode PciConfig.update} after changing what decodes. */
  readonly bytes: Uint8Array = new Uint8Array(CONFIG_SIZE);
  private readonly initial = new Uint8Array(CONFIG_SIZE);
  private readonly writable = new Uint8Array(CONFIG_SIZE);
  private readonly clearable = new Uint8Array(CONFIG_SIZE);
  private readonly own = new Uint8Array(CONFIG_SIZE);
  private readonly bars: Bar[] = [];
  private interruptWire: Wire = () => {};
  private messageWire: MessageWire = () => {};
  /** Where the next capability is linked from. */
  private lastCapability = CAPABILITIES;
  private readonly listeners: (() => void)[] = [];
  private readonly messengers: (() => boolean)[] = [];
  /** Called after a guest's write and after a restore, with the offset and length that may have changed. */
  onChange: (offset: number, length: number) => void = () => {};

  constructor(identity: PciIdentity) {
    const { revision = 0, subsystem = [0x1af4, 0x1100], command = 0, status = 0x0200 } = identity;
    const { commandMask = 0x0547, multifunction = false, interruptPin = 0 } = identity;
    this.register(VENDOR_ID, 2, { value: identity.vendor });
    this.register(DEVICE_ID, 2, { value: identity.device });
    this.register(COMMAND, 2, { value: command, writable: commandMask });
    this.register(STATUS, 2, { value: status, clearable: STATUS_CLEARABLE });
    this.register(REVISION_ID, 4, { value: (identity.classCode << 8) | revision });
    this.register(CACHE_LINE_SIZE, 1, { writable: 0xff });
    this.register(LATENCY_TIMER, 1, { writable: 0xf8 });
    this.register(HEADER_TYPE, 1, { value: multifunction ? 0x80 : 0 });
    this.register(SUBSYSTEM_VENDOR_ID, 2, { value: subsystem[0] });
    this.register(SUBSYSTEM_ID, 2, { value: subsystem[1] });
    if (interruptPin !== 0) {
      this.register(INTERRUPT_LINE, 1, { writable: 0xff });
      this.register(INTERRUPT_PIN, 1, { value: interruptPin });
    }
  }

  /** Declares `size` bytes at `offset`. */
  register(offset: number, size: AccessSize, register: PciRegister): void {
    const { value = 0, writable = 0, clearable = 0, own = 0 } = register;
    for (let i = 0; i < size; i++) {
      this.initial[offset + i] = value >>> (8 * i);
      this.writable[offset + i] = writable >>> (8 * i);
      this.clearable[offset + i] = clearable >>> (8 * i);
      this.own[offset + i] = own >>> (8 * i);
      this.bytes[offset + i] = this.initial[offset + i];
    }
  }

  /**
   * Declares base address register `index`, 0 to 5.
   *
   * @throws {RangeError} when the size is no power of two or too small
   */
  bar(index: number, shape: BarShape): void {
    const least = shape.kind === "io" ? 4 : 16;
    const { size } = shape;
    if (size < least || size > 2 ** 31 || 2 ** Math.round(Math.log2(size)) !== size) {
      throw new RangeError(`base address register ${index} cannot have ${size} bytes`);
    }
    const offset = BASE_ADDRESS + 4 * index;
    const flags = shape.kind === "io"
      ? BAR_IO
      : (shape.prefetchable ? BAR_PREFETCHABLE : 0) | (shape.wide ? BAR_WIDE : 0);
    this.register(offset, 4, { value: flags, writable: ~(size - 1) });
    if (shape.wide) this.register(offset + 4, 4, { writable: ~0 });
    this.bars.push({ shape, offset, range: undefined, at: undefined });
  }

  /** Declares the expansion ROM base address register; `size` is a power of two from 2 KiB. */
  romBar(size: number): void {
    if (size < 2048 || 2 ** Math.round(Math.log2(size)) !== size) {
      throw new RangeError(`an expansion ROM cannot have ${size} bytes`);
    }
    this.register(EXPANSION_ROM, 4, { writable: ~(size - 1) | ROM_ENABLE });
    this.bars.push({
      shape: { kind: "memory", size },
      offset: EXPANSION_ROM,
      range: undefined,
      at: undefined,
    });
  }

  /**
   * Connects what the board claimed to base address register `index`, or to the expansion ROM's.
   * From here on the register moves the range and switches it.
   *
   * @throws {RangeError} when the function has no such register
   */
  connectBar(index: number | "rom", range: BarRange): void {
    const offset = index === "rom" ? EXPANSION_ROM : BASE_ADDRESS + 4 * index;
    const bar = this.bars.find((b) => b.offset === offset);
    if (bar === undefined) throw new RangeError(`there is no base address register ${index}`);
    bar.range = range;
    bar.at = undefined;
    range.setEnabled(false);
    this.decode();
  }

  /** Connects the interrupt pin. */
  connectInterrupt(wire: Wire): void {
    this.interruptWire = wire;
    this.driveInterrupt();
  }

  /**
   * Adds a capability to the function's list: its ID and the link at `offset`, which is a multiple of 4
   * from 0x40 on. Its registers behind these two bytes are the caller's to declare.
   */
  capability(id: number, offset: number): void {
    if (offset % 4 !== 0 || offset < 0x40 || offset > CONFIG_SIZE - 4) {
      throw new RangeError(`a capability cannot lie at 0x${offset.toString(16)}`);
    }
    this.register(offset, 1, { value: id });
    this.register(offset + 1, 1, {});
    this.initial[this.lastCapability] = this.bytes[this.lastCapability] = offset;
    this.lastCapability = offset + 1;
    this.initial[STATUS] |= STATUS_CAPABILITIES;
    this.bytes[STATUS] |= STATUS_CAPABILITIES;
  }

  /** Connects what the function's message-signalled interrupts go to. */
  connectMessages(wire: MessageWire): void {
    this.messageWire = wire;
  }

  /**
   * Makes a capability a source of messages: `enabled` tells whether it stands in for the interrupt pin,
   * `changed` is called when registers may have changed. The answer sends a message, if the function may
   * be bus master.
   */
  messenger(enabled: () => boolean, changed: () => void): MessageWire {
    this.messengers.push(enabled);
    this.listeners.push(changed);
    return (address, data) => {
      if (this.master) this.messageWire(address, data);
    };
  }

  /** The level of the interrupt request of a function that reports it in its status register (PCI 2.3). */
  setInterrupt(level: boolean): void {
    if (level) this.bytes[STATUS] |= STATUS_INTERRUPT;
    else this.bytes[STATUS] &= ~STATUS_INTERRUPT;
    this.driveInterrupt();
  }

  /** Whether the guest lets the function be bus master. */
  get master(): boolean {
    return (this.get16(COMMAND) & COMMAND_MASTER) !== 0;
  }

  /** Where the guest has put an enabled base address register, undefined while it decodes nothing. */
  barAddress(index: number | "rom"): number | undefined {
    const offset = index === "rom" ? EXPANSION_ROM : BASE_ADDRESS + 4 * index;
    const bar = this.bars.find((b) => b.offset === offset);
    return bar === undefined ? undefined : this.decoded(bar);
  }

  /** The base address registers that exist, in the order of declaration. */
  get shapes(): { index: number | "rom"; shape: BarShape }[] {
    return this.bars.map(({ offset, shape }) => ({
      index: offset === EXPANSION_ROM ? "rom" : (offset - BASE_ADDRESS) / 4,
      shape,
    }));
  }

  get8(offset: number): number {
    return this.bytes[offset];
  }

  get16(offset: number): number {
    return this.bytes[offset] | (this.bytes[offset + 1] << 8);
  }

  get32(offset: number): number {
    return (this.get16(offset) | (this.get16(offset + 2) << 16)) >>> 0;
  }

  /** A configuration read. */
  read(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.bytes[(offset + i) & 0xff] << (8 * i);
    return value >>> 0;
  }

  /** A configuration write. */
  write(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = (offset + i) & 0xff;
      const byte = (value >>> (8 * i)) & 0xff;
      const writable = this.writable[at];
      const kept = this.bytes[at] & ~(byte & this.clearable[at]);
      this.bytes[at] = (kept & ~writable) | (byte & writable);
    }
    this.update(offset, size);
  }

  /** Puts everything in order after registers changed. */
  update(offset: number, length: number): void {
    this.decode();
    this.driveInterrupt();
    for (const listener of this.listeners) listener();
    this.onChange(offset, length);
  }

  reset(): void {
    this.bytes.set(this.initial);
    this.update(0, CONFIG_SIZE);
  }

  /**
   * Takes over registers that a snapshot kept.
   *
   * @throws {StateError} when bits differ that no guest can change
   */
  check(chip: string, bytes: Uint8Array): void {
    if (bytes.length !== CONFIG_SIZE) {
      throw new StateError(chip, `configuration space has ${bytes.length} bytes`);
    }
    for (let i = 0; i < CONFIG_SIZE; i++) {
      const free = this.writable[i] | this.clearable[i] | this.own[i] |
        (i === STATUS ? STATUS_INTERRUPT : 0);
      if (((bytes[i] ^ this.initial[i]) & ~free) !== 0) {
        throw new StateError(chip, `configuration byte 0x${i.toString(16)} cannot be ${bytes[i]}`);
      }
    }
  }

  /** Takes over registers that {@linkcode PciConfig.check} found right. */
  restore(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    this.update(0, CONFIG_SIZE);
  }

  private driveInterrupt(): void {
    const disabled = (this.get16(COMMAND) & COMMAND_INTX_DISABLE) !== 0 ||
      this.messengers.some((enabled) => enabled());
    this.interruptWire(!disabled && (this.bytes[STATUS] & STATUS_INTERRUPT) !== 0);
  }

  private decode(): void {
    for (const bar of this.bars) {
      if (bar.range === undefined) continue;
      const at = this.decoded(bar);
      if (at === bar.at) continue;
      if (bar.at !== undefined) bar.range.setEnabled(false);
      bar.at = at;
      if (at === undefined) continue;
      bar.range.move(at);
      bar.range.setEnabled(true);
    }
  }

  private decoded({ shape, offset }: Bar): number | undefined {
    const command = this.get16(COMMAND);
    const low = this.get32(offset);
    if (shape.kind === "io") {
      const base = (low & ~3) >>> 0;
      const reachable = base !== 0 && base + shape.size <= 0x10000;
      return (command & COMMAND_IO) !== 0 && reachable ? base : undefined;
    }
    if ((command & COMMAND_MEMORY) === 0) return undefined;
    if (offset === EXPANSION_ROM && (low & ROM_ENABLE) === 0) return undefined;
    if (shape.wide && this.get32(offset + 4) !== 0) return undefined;
    const base = (low & -shape.size) >>> 0;
    // Sizing writes all ones while decoding is on: the top of the address space stays the firmware's.
    return base !== 0 && base + shape.size < 2 ** 32 ? base : undefined;
  }
}

/** A function on the bus. */
export interface PciFunction {
  device: number;
  function: number;
  config: PciConfig;
}

const ENABLE = 0x80000000;

const INITIAL = { CONFADD: 0 };

/** Configuration mechanism #1 of the host bridge, for bus 0. */
export class PciHost implements Chip {
  readonly name = "pci";
  private readonly functions: (PciConfig | undefined)[] = new Array(256).fill(undefined);
  private state = copyState(INITIAL);

  /**
   * CONFADD at port 0xcf8: claim 4 ports with `sizes: [4]`. Narrower accesses are not its own,
   * which leaves port 0xcf9 to the reset control register.
   */
  readonly address: RegisterAccess = {
    read: () => this.state.CONFADD,
    write: (_offset, _size, value) => {
      this.state.CONFADD = (value & 0x80fffffc) >>> 0;
    },
  };

  /** CONFDATA at port 0xcfc: claim 4 ports with `sizes: [1, 2, 4]`. */
  readonly data: RegisterAccess = {
    read: (offset, size) => {
      const config = this.selected();
      return config === undefined
        ? 0xffffffff
        : config.read((this.state.CONFADD & 0xfc) + offset, size);
    },
    write: (offset, size, value) => {
      this.selected()?.write((this.state.CONFADD & 0xfc) + offset, size, value);
    },
  };

  /**
   * Puts a function on the bus.
   *
   * @throws {RangeError} when the place does not exist or is taken
   */
  attach(device: number, func: number, config: PciConfig): void {
    const place = `PCI device ${device} function ${func}`;
    if (!(device >= 0 && device < 32 && func >= 0 && func < 8)) {
      throw new RangeError(`${place} does not exist`);
    }
    const index = device * 8 + func;
    if (this.functions[index] !== undefined) throw new RangeError(`${place} is taken`);
    this.functions[index] = config;
  }

  /** The functions on the bus, by device and function. */
  list(): PciFunction[] {
    return this.functions.flatMap((config, index) =>
      config === undefined ? [] : [{ device: index >> 3, function: index & 7, config }]
    );
  }

  /** The lowest device number without a function, from `first` on; undefined when the bus is full. */
  freeDevice(first = 1): number | undefined {
    for (let device = first; device < 32; device++) {
      const slots = this.functions.slice(device * 8, device * 8 + 8);
      if (slots.every((config) => config === undefined)) return device;
    }
    return undefined;
  }

  reset(): void {
    this.state = copyState(INITIAL);
  }

  snapshot(): State {
    return copyState(this.state);
  }

  restore(state: State): void {
    checkState(this.name, state, INITIAL);
    const { CONFADD } = state as typeof INITIAL;
    if (((CONFADD & 0x80fffffc) >>> 0) !== CONFADD) {
      throw new StateError(this.name, `CONFADD cannot be ${CONFADD}`);
    }
    this.state = { CONFADD };
  }

  private selected(): PciConfig | undefined {
    const { CONFADD } = this.state;
    if ((CONFADD & ENABLE) === 0 || ((CONFADD >>> 16) & 0xff) !== 0) return undefined;
    return this.functions[(CONFADD >>> 8) & 0xff];
  }
}
