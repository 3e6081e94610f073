/**
 * Intel 82371SB (PIIX3), function 1: two IDE channels in legacy mode and their bus master.
 *
 * Datasheet: 82371FB/82371SB, order number 290550-002, sections 2.3 and 4.4; Programming Interface for Bus
 * Master IDE Controller, revision 1.0; ATA/ATAPI-6, section 9.16 for channels with one device.
 */
import type { AccessSize, RegisterAccess } from "../core/bus/port_map.ts";
import { type Chip, copyState, type State, StateError, type Wire } from "../core/chip.ts";
import {
  type AtaDevice,
  COMMAND as ATA_COMMAND,
  CONTROL_NIEN,
  CONTROL_SRST,
  DATA,
  DEVICE,
  DEVICE_DEV,
} from "./ata_device.ts";
import { type Bounds, checkedState } from "./bounds.ts";
import { type BarRange, COMMAND, COMMAND_IO, PciConfig } from "./pci.ts";

const IDETIM = 0x40;
const SIDETIM = 0x44;
/** IDETIM: the channel's ports decode. */
const IDE_DECODE_ENABLE = 1 << 15;

/** Base address register 4. */
const BMIBA = 4;
// Offsets within a channel's half of the bus master's 16 ports.
const BMICX = 0;
const BMISX = 2;
const BMIDTPX = 4;

const BMICX_RWCON = 1 << 3;
const BMICX_SSBM = 1 << 0;
const BMISX_DMA_CAPABLE = 3 << 5;
const BMISX_IDEINTS = 1 << 2;
const BMISX_ERROR = 1 << 1;
const BMISX_BMIDEA = 1 << 0;

/** Descriptors end a table by the top bit of their second dword. */
const PRD_EOT = 0x80;

const EXECUTE_DEVICE_DIAGNOSTIC = 0x90;

type ChannelState = {
  /** Selected device. */
  select: number;
  control: number;
  /** Level of the interrupt line. */
  irq: boolean;
  BMICX: number;
  BMISX: number;
  BMIDTPX: number;
  /** Next descriptor; next address and bytes left of the present one; whether it is the last. */
  cursor: number;
  address: number;
  left: number;
  last: boolean;
};

const INITIAL_CHANNEL: ChannelState = {
  select: 0,
  control: 0,
  irq: false,
  BMICX: 0,
  BMISX: 0,
  BMIDTPX: 0,
  cursor: 0,
  address: 0,
  left: 0,
  last: false,
};

const CHANNEL_BOUNDS: Bounds = {
  select: 1,
  control: 0xff,
  BMICX: 0xff,
  BMISX: 0xff,
  BMIDTPX: 0xffffffff,
  cursor: 0xffffffff,
  address: 0xffffffff,
  left: 65536,
};

/** Guest memory as a bus master sees it. */
export interface DmaMemory {
  readBlock(address: number, target: Uint8Array): void;
  writeBlock(address: number, source: Uint8Array): void;
}

/** What the controller is connected to. */
export interface Piix3IdeWires {
  /** Interrupt lines 14 and 15. */
  irqs: readonly [primary: Wire, secondary: Wire];
  memory: DmaMemory;
}

/** The ports of one channel, for the board to claim. */
export interface IdePorts {
  /** Command block at 0x1f0 or 0x170: claim 8 ports with `sizes: [1, 2, 4]`. */
  command: RegisterAccess;
  /** Control block at 0x3f6 or 0x376: claim 1 port. */
  control: RegisterAccess;
}

/** IDE controller. */
export class Piix3Ide implements Chip {
  readonly name = "piix3-ide";
  readonly config: PciConfig = new PciConfig({
    vendor: 0x8086,
    device: 0x7010,
    classCode: 0x010180,
    commandMask: 0x0005,
    status: 0x0280,
  });
  /** Primary and secondary channel. */
  readonly ports: readonly [IdePorts, IdePorts] = [this.portsOf(0), this.portsOf(1)];
  /** Base address register 4: claim 16 ports with `sizes: [1, 2, 4]`. */
  readonly busMaster: RegisterAccess = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= this.readBusMaster(offset + i) << (8 * i);
      return value >>> 0;
    },
    // From above, so that one write clears the status before it starts a transfer.
    write: (offset, size, value) => {
      for (let i = size - 1; i >= 0; i--) {
        this.writeBusMaster(offset + i, (value >>> (8 * i)) & 0xff);
      }
    },
  };
  private readonly devices: (AtaDevice | undefined)[][] = [[undefined, undefined], [
    undefined,
    undefined,
  ]];
  private readonly ranges: (BarRange[] | undefined)[] = [undefined, undefined];
  private channels: ChannelState[] = [copyState(INITIAL_CHANNEL), copyState(INITIAL_CHANNEL)];

  constructor(private readonly wires: Piix3IdeWires) {
    this.config.bar(BMIBA, { kind: "io", size: 16 });
    // Deviation: a reset leaves the channels decoding, where the PIIX3's registers are 0: OVMF never enables
    // them, since QEMU's ports decode whatever the register says.
    const enabled = IDE_DECODE_ENABLE * 0x10001;
    this.config.register(IDETIM, 4, { value: enabled, writable: 0xffffffff });
    this.config.register(SIDETIM, 1, { writable: 0xff });
    this.config.onChange = () => this.configured();
    this.reset();
  }

  /**
   * Puts a device on a channel's cable.
   *
   * @throws {RangeError} when the place does not exist or is taken
   */
  attach(channel: 0 | 1, index: 0 | 1, device: AtaDevice): void {
    if (this.devices[channel]?.[index] !== undefined) {
      throw new RangeError(`device ${index} of IDE channel ${channel} is taken`);
    }
    this.devices[channel][index] = device;
    device.connect({
      intrq: () => this.updateInterrupt(channel),
      dmarq: () => this.pump(channel),
    });
  }

  /** Hands over what the board claimed for a channel's ports: the controller switches them. */
  connectPorts(channel: 0 | 1, command: BarRange, control: BarRange): void {
    this.ranges[channel] = [command, control];
    this.configured();
  }

  /** Resets the controller; the devices are chips of their own. */
  reset(): void {
    this.channels = [copyState(INITIAL_CHANNEL), copyState(INITIAL_CHANNEL)];
    this.config.reset();
    for (const irq of this.wires.irqs) irq(false);
  }

  snapshot(): State {
    const [primary, secondary] = copyState(this.channels);
    return { config: this.config.bytes.slice(), primary, secondary };
  }

  restore(state: State): void {
    const like = this.snapshot();
    const next = checkedState(this.name, state, like, {
      primary: { keys: CHANNEL_BOUNDS },
      secondary: { keys: CHANNEL_BOUNDS },
    });
    const channels = [next.primary as ChannelState, next.secondary as ChannelState];
    for (const channel of channels) {
      const reserved = (channel.BMICX & ~(BMICX_RWCON | BMICX_SSBM)) |
        (channel.BMISX & ~(BMISX_DMA_CAPABLE | 7));
      if (reserved !== 0) throw new StateError(this.name, "reserved bits are set");
    }
    this.config.check(this.name, next.config as Uint8Array);
    // Configuring must not set a transfer going between devices of different times.
    this.channels = [copyState(INITIAL_CHANNEL), copyState(INITIAL_CHANNEL)];
    this.config.restore(next.config as Uint8Array);
    this.channels = channels;
    channels.forEach(({ irq }, i) => this.wires.irqs[i](irq));
  }

  private configured(): void {
    const io = (this.config.get16(COMMAND) & COMMAND_IO) !== 0;
    for (const channel of [0, 1]) {
      const decode = io && (this.config.get16(IDETIM + 2 * channel) & IDE_DECODE_ENABLE) !== 0;
      for (const range of this.ranges[channel] ?? []) range.setEnabled(decode);
      this.pump(channel);
    }
  }

  private portsOf(channel: number): IdePorts {
    return {
      command: {
        read: (offset, size) => this.readCommandBlock(channel, offset, size),
        write: (offset, size, value) => this.writeCommandBlock(channel, offset, size, value),
      },
      control: {
        read: () => this.selected(channel)?.alternateStatus ?? 0,
        write: (_offset, _size, value) => this.writeControl(channel, value),
      },
    };
  }

  private selected(channel: number): AtaDevice | undefined {
    return this.devices[channel][this.channels[channel].select];
  }

  private readCommandBlock(channel: number, offset: number, size: AccessSize): number {
    const device = this.selected(channel);
    if (offset === DATA) {
      if (device === undefined) return 0;
      const low = device.readData();
      return size === 4 ? (low | device.readData() << 16) >>> 0 : low;
    }
    let value = 0;
    // An absent device reads as zeros: device 0 answers for device 1, and pull-downs for both.
    for (let i = 0; i < size; i++) {
      value |= (device?.readRegister(offset + i) ?? 0) << (8 * i);
    }
    return value >>> 0;
  }

  private writeCommandBlock(
    channel: number,
    offset: number,
    size: AccessSize,
    value: number,
  ): void {
    if (offset === DATA) {
      const device = this.selected(channel);
      device?.writeData(value & 0xffff);
      if (size === 4) device?.writeData(value >>> 16);
      return;
    }
    for (let i = 0; i < size; i++) {
      this.writeCommandRegister(channel, offset + i, (value >>> (8 * i)) & 0xff);
    }
  }

  private writeCommandRegister(channel: number, offset: number, value: number): void {
    const state = this.channels[channel];
    const devices = this.devices[channel];
    if (offset !== ATA_COMMAND) {
      for (const device of devices) device?.writeRegister(offset, value);
      if (offset === DEVICE) {
        state.select = (value & DEVICE_DEV) !== 0 ? 1 : 0;
        this.updateInterrupt(channel);
      }
    } else if (value === EXECUTE_DEVICE_DIAGNOSTIC) {
      state.select = 0;
      devices[0]?.diagnose(true);
      devices[1]?.diagnose(false);
    } else devices[state.select]?.writeCommand(value);
  }

  private writeControl(channel: number, value: number): void {
    const state = this.channels[channel];
    state.control = value;
    if ((value & CONTROL_SRST) !== 0) state.select = 0;
    for (const device of this.devices[channel]) device?.writeControl(value);
    this.updateInterrupt(channel);
  }

  private updateInterrupt(channel: number): void {
    const state = this.channels[channel];
    const requested = this.selected(channel)?.intrq ?? false;
    const level = requested && (state.control & CONTROL_NIEN) === 0;
    if (level === state.irq) return;
    state.irq = level;
    if (level) state.BMISX |= BMISX_IDEINTS;
    this.wires.irqs[channel](level);
  }

  private readBusMaster(offset: number): number {
    const state = this.channels[offset >> 3];
    const register = offset & 7;
    if (register === BMICX) return state.BMICX;
    if (register === BMISX) return state.BMISX;
    return register >= BMIDTPX ? (state.BMIDTPX >>> (8 * (register - BMIDTPX))) & 0xff : 0;
  }

  private writeBusMaster(offset: number, value: number): void {
    const channel = offset >> 3;
    const state = this.channels[channel];
    const register = offset & 7;
    if (register === BMICX) this.writeBusMasterCommand(channel, value);
    else if (register === BMISX) {
      const kept = state.BMISX & ~(value & (BMISX_IDEINTS | BMISX_ERROR)) & ~BMISX_DMA_CAPABLE;
      state.BMISX = kept | (value & BMISX_DMA_CAPABLE);
    } else if (register >= BMIDTPX) {
      const shift = 8 * (register - BMIDTPX);
      state.BMIDTPX = ((state.BMIDTPX & ~(0xff << shift) | value << shift) & ~3) >>> 0;
    }
  }

  private writeBusMasterCommand(channel: number, value: number): void {
    const state = this.channels[channel];
    const started = (state.BMICX & BMICX_SSBM) !== 0;
    state.BMICX = value & (BMICX_RWCON | BMICX_SSBM);
    if ((value & BMICX_SSBM) === 0) state.BMISX &= ~BMISX_BMIDEA;
    else if (!started) {
      state.BMISX |= BMISX_BMIDEA;
      state.cursor = state.BMIDTPX;
      state.left = 0;
      state.last = false;
      this.pump(channel);
    }
  }

  /**
   * Moves data while the device asks for it and descriptors are left. A table that is too short leaves
   * the device waiting and the bus master inactive without an interrupt; one that is too long leaves it
   * active.
   *
   * Deviation: the device's direction counts, not RWCON; hardware moves nothing when they differ.
   */
  private pump(channel: number): void {
    const state = this.channels[channel];
    const device = this.selected(channel);
    while ((state.BMISX & BMISX_BMIDEA) !== 0 && this.config.master) {
      const request = device?.dmaRequest;
      if (device === undefined || request === undefined) return;
      if (state.left === 0) this.fetchDescriptor(state);
      // Its addresses have 32 bits: they go on from 0.
      const length = Math.min(state.left, device.dmaRemaining, 2 ** 32 - state.address);
      const bytes = device.dmaBytes(length);
      if (request === "read") this.wires.memory.writeBlock(state.address, bytes);
      else this.wires.memory.readBlock(state.address, bytes);
      state.address = (state.address + length) >>> 0;
      state.left -= length;
      if (state.left === 0 && state.last) state.BMISX &= ~BMISX_BMIDEA;
      device.dmaDone(length);
    }
  }

  private fetchDescriptor(state: ChannelState): void {
    const bytes = new Uint8Array(8);
    this.wires.memory.readBlock(state.cursor, bytes.subarray(0, 4));
    this.wires.memory.readBlock((state.cursor + 4) >>> 0, bytes.subarray(4));
    const view = new DataView(bytes.buffer);
    state.cursor = (state.cursor + 8) >>> 0;
    state.address = (view.getUint32(0, true) & ~1) >>> 0;
    state.left = (view.getUint16(4, true) & ~1) || 65536;
    state.last = (bytes[7] & PRD_EOT) !== 0;
  }
}
