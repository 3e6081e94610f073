/**
 * QEMU's firmware configuration device: how the board tells firmware and kernels what it is made of.
 *
 * QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device" (docs/specs/fw_cfg).
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import { checkState, type Chip, copyState, type State, StateError } from "../core/chip.ts";

// Items by selector key.
export const FW_CFG_SIGNATURE = 0x00;
export const FW_CFG_ID = 0x01;
export const FW_CFG_UUID = 0x02;
export const FW_CFG_RAM_SIZE = 0x03;
export const FW_CFG_NOGRAPHIC = 0x04;
export const FW_CFG_NB_CPUS = 0x05;
export const FW_CFG_KERNEL_ADDR = 0x07;
export const FW_CFG_KERNEL_SIZE = 0x08;
export const FW_CFG_INITRD_ADDR = 0x0a;
export const FW_CFG_INITRD_SIZE = 0x0b;
export const FW_CFG_BOOT_DEVICE = 0x0c;
export const FW_CFG_NUMA = 0x0d;
export const FW_CFG_BOOT_MENU = 0x0e;
export const FW_CFG_MAX_CPUS = 0x0f;
export const FW_CFG_KERNEL_ENTRY = 0x10;
export const FW_CFG_KERNEL_DATA = 0x11;
export const FW_CFG_INITRD_DATA = 0x12;
export const FW_CFG_CMDLINE_ADDR = 0x13;
export const FW_CFG_CMDLINE_SIZE = 0x14;
export const FW_CFG_CMDLINE_DATA = 0x15;
export const FW_CFG_SETUP_ADDR = 0x16;
export const FW_CFG_SETUP_SIZE = 0x17;
export const FW_CFG_SETUP_DATA = 0x18;
export const FW_CFG_FILE_DIR = 0x19;
export const FW_CFG_FILE_FIRST = 0x20;
export const FW_CFG_ACPI_TABLES = 0x8000;
export const FW_CFG_SMBIOS_ENTRIES = 0x8001;
export const FW_CFG_IRQ0_OVERRIDE = 0x8002;
export const FW_CFG_E820_TABLE = 0x8003;
export const FW_CFG_HPET = 0x8004;

/** FW_CFG_ID: the traditional interface and the DMA interface. */
const ID_VERSION = 1 << 0, ID_DMA = 1 << 1;

/** The DMA address register reads as this. */
const DMA_SIGNATURE = new TextEncoder().encode("QEMU CFG");

// FWCfgDmaAccess.control
const DMA_CTL_ERROR = 1 << 0;
const DMA_CTL_READ = 1 << 1;
const DMA_CTL_SKIP = 1 << 2;
const DMA_CTL_SELECT = 1 << 3;
const DMA_CTL_WRITE = 1 << 4;
const DMA_ACCESS_SIZE = 16;

const FILE_NAME_SIZE = 56;
const FILE_ENTRY_SIZE = 8 + FILE_NAME_SIZE;
const LAST_FILE = 0x3fff;
/** Zeros that a DMA read delivers at most beyond the end of an item. */
const MAX_PADDING = 1 << 20;
/** No physical address has more than 40 bits. */
const DMA_ADDRESS_LIMIT = 2 ** 40;

/** How an item behaves. */
export interface FwCfgItemOptions {
  /** Makes the item writable by DMA; called after each write with the bytes that changed and where. */
  onWrite?: (offset: number, length: number) => void;
}

/** Guest memory as the device's DMA sees it. */
export interface FwCfgWires {
  memory: {
    readBlock(address: number, target: Uint8Array): void;
    writeBlock(address: number, source: Uint8Array): void;
  };
}

interface Item {
  bytes: Uint8Array;
  /** Contents at power-on of an item that the guest can write. */
  initial: Uint8Array | undefined;
  onWrite: ((offset: number, length: number) => void) | undefined;
}

const NO_ITEM = -1;
const INITIAL = { selector: FW_CFG_SIGNATURE, offset: 0, dmaHigh: 0, written: [] as Uint8Array[] };

/** Firmware configuration device with the port interface and the DMA interface. */
export class FwCfg implements Chip {
  readonly name = "fw-cfg";
  private readonly items = new Map<number, Item>();
  /** Names of the files, by order of their keys from FW_CFG_FILE_FIRST on. */
  private readonly files: string[] = [];
  private state = { selector: FW_CFG_SIGNATURE, offset: 0, dmaHigh: 0 };

  /** Selector at 0x510 and data at 0x511: claim 2 ports with `sizes: [1, 2]`. */
  readonly ports: RegisterAccess = {
    read: (_offset, size) => size === 1 ? this.readByte() : 0xffff,
    write: (offset, size, value) => {
      if (offset === 0 && size === 2) this.select(value);
    },
  };

  /** DMA address at 0x514, big-endian: claim 8 ports with `sizes: [1, 2, 4]`. */
  readonly dma: RegisterAccess = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= DMA_SIGNATURE[offset + i] << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      if (size !== 4) return;
      const bytes = new DataView(new ArrayBuffer(4));
      bytes.setUint32(0, value, true);
      if (offset === 0) this.state.dmaHigh = bytes.getUint32(0);
      else if (offset === 4) this.runDma(bytes.getUint32(0));
    },
  };

  constructor(private readonly wires: FwCfgWires) {
    this.addItem(FW_CFG_SIGNATURE, new TextEncoder().encode("QEMU"));
    this.addNumber(FW_CFG_ID, 4, ID_VERSION | ID_DMA);
    this.addItem(FW_CFG_FILE_DIR, new Uint8Array(4));
  }

  /** Sets what a key holds; replaces what it held. */
  addItem(key: number, bytes: Uint8Array, options: FwCfgItemOptions = {}): void {
    const { onWrite } = options;
    this.items.set(key, {
      bytes: onWrite === undefined ? bytes : bytes.slice(),
      initial: onWrite === undefined ? undefined : bytes.slice(),
      onWrite,
    });
  }

  /** Sets a key to a little-endian number of 2, 4 or 8 bytes. */
  addNumber(key: number, size: 2 | 4 | 8, value: number): void {
    const view = new DataView(new ArrayBuffer(size));
    if (size === 8) view.setBigUint64(0, BigInt(value), true);
    else if (size === 4) view.setUint32(0, value, true);
    else view.setUint16(0, value, true);
    this.addItem(key, new Uint8Array(view.buffer));
  }

  /**
   * Adds a named file, or replaces the one of that name.
   *
   * @param name such as `etc/e820`, at most 55 ASCII characters
   * @throws {RangeError} when the name does not fit
   */
  addFile(name: string, bytes: Uint8Array, options: FwCfgItemOptions = {}): void {
    if (name.length === 0 || name.length >= FILE_NAME_SIZE || !/^[\x21-\x7e]+$/.test(name)) {
      throw new RangeError(
        `fw_cfg file name ${JSON.stringify(name)} is not of 1 to 55 ASCII letters`,
      );
    }
    let index = this.files.indexOf(name);
    if (index < 0) index = this.files.push(name) - 1;
    if (FW_CFG_FILE_FIRST + index > LAST_FILE) throw new RangeError("fw_cfg has too many files");
    this.addItem(FW_CFG_FILE_FIRST + index, bytes, options);
    this.items.get(FW_CFG_FILE_DIR)!.bytes = this.directory();
  }

  /** What a file holds now, undefined when there is none of that name. */
  file(name: string): Uint8Array | undefined {
    const index = this.files.indexOf(name);
    return index < 0 ? undefined : this.items.get(FW_CFG_FILE_FIRST + index)?.bytes;
  }

  reset(): void {
    this.state = { selector: FW_CFG_SIGNATURE, offset: 0, dmaHigh: 0 };
    for (const item of this.writable()) item.bytes.set(item.initial!);
  }

  snapshot(): State {
    return { ...this.state, written: this.writable().map(({ bytes }) => bytes.slice()) };
  }

  restore(state: State): void {
    checkState(this.name, state, INITIAL);
    const { selector, offset, dmaHigh, written } = copyState(state) as typeof INITIAL;
    const whole = (n: number, least: number, most: number) =>
      Number.isInteger(n) && n >= least && n <= most;
    if (
      !whole(selector, NO_ITEM, 0xffff) || !whole(offset, 0, 2 ** 32) ||
      !whole(dmaHigh, 0, 0xffffffff)
    ) throw new StateError(this.name, "a register is out of bounds");
    const items = this.writable();
    const fits = written.length === items.length &&
      items.every(({ bytes }, i) =>
        written[i] instanceof Uint8Array && written[i].length === bytes.length
      );
    if (!fits) throw new StateError(this.name, "the writable items are others");
    items.forEach(({ bytes }, i) => bytes.set(written[i]));
    this.state = { selector, offset, dmaHigh };
  }

  /** Items that the guest may write, by key. */
  private writable(): Item[] {
    return [...this.items.entries()].sort(([a], [b]) => a - b).map(([, item]) => item)
      .filter(({ initial }) => initial !== undefined);
  }

  private directory(): Uint8Array {
    const bytes = new Uint8Array(4 + FILE_ENTRY_SIZE * this.files.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.files.length);
    this.files.forEach((name, i) => {
      const at = 4 + FILE_ENTRY_SIZE * i, key = FW_CFG_FILE_FIRST + i;
      view.setUint32(at, this.items.get(key)!.bytes.length);
      view.setUint16(at + 4, key);
      bytes.set(new TextEncoder().encode(name), at + 8);
    });
    return bytes;
  }

  private select(key: number): void {
    this.state.offset = 0;
    this.state.selector = this.items.has(key) ? key : NO_ITEM;
  }

  private readByte(): number {
    const item = this.items.get(this.state.selector);
    if (item === undefined || this.state.offset >= item.bytes.length) return 0;
    return item.bytes[this.state.offset++];
  }

  private runDma(low: number): void {
    const { memory } = this.wires;
    const at = this.state.dmaHigh * 0x100000000 + low;
    this.state.dmaHigh = 0;
    if (at >= DMA_ADDRESS_LIMIT) return;
    const request = new Uint8Array(DMA_ACCESS_SIZE);
    memory.readBlock(at, request);
    const view = new DataView(request.buffer);
    const control = view.getUint32(0);
    if ((control & DMA_CTL_SELECT) !== 0) this.select(control >>> 16);
    const address = view.getUint32(8) * 0x100000000 + view.getUint32(12);
    const done = address < DMA_ADDRESS_LIMIT && this.transfer(control, view.getUint32(4), address);
    const answer = new Uint8Array(4);
    answer[3] = done ? 0 : DMA_CTL_ERROR;
    memory.writeBlock(at, answer);
  }

  private transfer(control: number, length: number, address: number): boolean {
    const { memory } = this.wires;
    const { state } = this;
    const item = this.items.get(state.selector);
    const left = item === undefined ? 0 : Math.max(0, item.bytes.length - state.offset);
    const moved = Math.min(length, left);
    if ((control & DMA_CTL_READ) !== 0) {
      // Deviation: QEMU pads without a limit, which would let a guest keep the host busy.
      if (length - moved > MAX_PADDING) return false;
      if (item !== undefined) {
        memory.writeBlock(address, item.bytes.subarray(state.offset, state.offset + moved));
      }
      if (length > moved) {
        memory.writeBlock(address + moved, new Uint8Array(length - moved));
      }
    } else if ((control & DMA_CTL_WRITE) !== 0) {
      if (item?.initial === undefined || moved !== length) return false;
      memory.readBlock(address, item.bytes.subarray(state.offset, state.offset + length));
      item.onWrite?.(state.offset, length);
    } else if ((control & DMA_CTL_SKIP) === 0) return true;
    state.offset += moved;
    return true;
  }
}
