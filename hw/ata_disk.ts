/**
 * ATA hard disk.
 *
 * ATA/ATAPI-6 (T13/1410D), section 8; CHS addressing as in ATA-3 (X3T10/2008D).
 */
import { type BlockDevice, BlockError, SECTOR_SIZE } from "../core/block/block_device.ts";
import { type State, StateError } from "../core/chip.ts";
import {
  AtaDevice,
  type AtaState,
  type AtaWires,
  BUFFER_SIZE,
  DEVICE,
  DEVICE_DEV,
  DEVICE_LBA,
  ERROR_ABRT,
  ERROR_IDNF,
  ERROR_UNC,
  FEATURES,
  identifyText,
  LBA_HIGH,
  LBA_LOW,
  LBA_MID,
  SECTOR_COUNT,
  SECTOR_NS,
  STATUS_DRDY,
  STATUS_DSC,
  storeWords,
} from "./ata_device.ts";
import type { Bounds } from "./bounds.ts";
import { type DiskGeometry, diskGeometry } from "./disk_geometry.ts";

const NOP = 0x00;
const RECALIBRATE = 0x10;
const READ_NATIVE_MAX_ADDRESS_EXT = 0x27;
const SEEK = 0x70;
const INITIALIZE_DEVICE_PARAMETERS = 0x91;
const SET_MULTIPLE_MODE = 0xc6;
const STANDBY_IMMEDIATE = 0xe0;
const IDLE_IMMEDIATE = 0xe1;
const STANDBY = 0xe2;
const IDLE = 0xe3;
const CHECK_POWER_MODE = 0xe5;
const SLEEP = 0xe6;
const FLUSH_CACHE = 0xe7;
const FLUSH_CACHE_EXT = 0xea;
const IDENTIFY_DEVICE = 0xec;
const SET_FEATURES = 0xef;
const READ_NATIVE_MAX_ADDRESS = 0xf8;

/** The power commands' codes in ATA-1 and what they are called since. */
const OLD_POWER_COMMANDS: { readonly [command: number]: number } = {
  0x94: STANDBY_IMMEDIATE,
  0x95: IDLE_IMMEDIATE,
  0x96: STANDBY,
  0x97: IDLE,
  0x98: CHECK_POWER_MODE,
  0x99: SLEEP,
};

interface Transfer {
  to: "host" | "disk" | "nowhere";
  by: "sector" | "multiple" | "dma";
  ext: boolean;
}

/** The commands that go through sectors. */
const TRANSFERS: { readonly [command: number]: Transfer } = {
  0x20: { to: "host", by: "sector", ext: false }, // READ SECTOR(S)
  0x21: { to: "host", by: "sector", ext: false }, // without retries
  0x24: { to: "host", by: "sector", ext: true },
  0x25: { to: "host", by: "dma", ext: true }, // READ DMA EXT
  0x29: { to: "host", by: "multiple", ext: true }, // READ MULTIPLE EXT
  0x30: { to: "disk", by: "sector", ext: false }, // WRITE SECTOR(S)
  0x31: { to: "disk", by: "sector", ext: false }, // without retries
  0x34: { to: "disk", by: "sector", ext: true },
  0x35: { to: "disk", by: "dma", ext: true }, // WRITE DMA EXT
  0x39: { to: "disk", by: "multiple", ext: true }, // WRITE MULTIPLE EXT
  0x40: { to: "nowhere", by: "dma", ext: false }, // READ VERIFY SECTOR(S)
  0x41: { to: "nowhere", by: "dma", ext: false }, // without retries
  0x42: { to: "nowhere", by: "dma", ext: true },
  0xc4: { to: "host", by: "multiple", ext: false }, // READ MULTIPLE
  0xc5: { to: "disk", by: "multiple", ext: false }, // WRITE MULTIPLE
  0xc8: { to: "host", by: "dma", ext: false }, // READ DMA
  0xc9: { to: "host", by: "dma", ext: false }, // without retries
  0xca: { to: "disk", by: "dma", ext: false }, // WRITE DMA
  0xcb: { to: "disk", by: "dma", ext: false }, // without retries
};

// SET FEATURES subcommands.
const ENABLE_WRITE_CACHE = 0x02;
const SET_TRANSFER_MODE = 0x03;
const DISABLE_WRITE_CACHE = 0x82;
const KEEP_FEATURES_ON_RESET = 0x66;
const REVERT_FEATURES_ON_RESET = 0xcc;

// Upper five bits of a transfer mode.
const MODE_PIO_DEFAULT = 0;
const MODE_PIO = 1;
const MODE_MULTIWORD = 4;
const MODE_ULTRA = 8;

/** CHECK POWER MODE's answers, and one for SLEEP, in which there is no answer. */
const POWER_ACTIVE = 0xff, POWER_STANDBY = 0x00, POWER_SLEEP = -1;

const MAX_MULTIPLE = 16;
const MAX_LBA28 = 0x0fffffff;
const DMA_SECTORS = BUFFER_SIZE / SECTOR_SIZE;

type DiskState = State & {
  /** First sector not yet done and sectors still to do. */
  lba: number;
  remaining: number;
  /** Sectors of the present data request. */
  block: number;
  /** Sectors a block of READ and WRITE MULTIPLE; 0 while disabled. */
  multiple: number;
  /** Translation by INITIALIZE DEVICE PARAMETERS. */
  heads: number;
  sectors: number;
  transferMode: number;
  writeCache: boolean;
  power: number;
};

const BOUNDS: Bounds = {
  lba: 2 ** 48,
  remaining: 65536,
  block: DMA_SECTORS,
  multiple: MAX_MULTIPLE,
  heads: { min: 1, max: 16 },
  sectors: 255,
  transferMode: 0xff,
  power: { min: POWER_SLEEP, max: POWER_ACTIVE },
};

/** What a disk is connected to. */
export interface AtaDiskWires extends AtaWires {
  block: BlockDevice;
}

/** What a disk says of itself. */
export interface AtaDiskOptions {
  /** Unique in the machine. Default `ata-disk`. */
  name?: string;
  /** At most 40 characters. */
  model?: string;
  /** At most 20 characters. */
  serial?: string;
  /** At most 8 characters. */
  firmware?: string;
  /** Default: what {@linkcode diskGeometry} makes of the image. */
  geometry?: DiskGeometry;
}

/** An ATA disk with 28- and 48-bit addressing. */
export class AtaDisk extends AtaDevice<DiskState> {
  /** Geometry that the disk announces, and the translation that the board tells the firmware. */
  readonly geometry: DiskGeometry;
  /** Size in sectors. */
  readonly total: number;
  protected readonly packet = false;
  private readonly block: BlockDevice;
  private readonly options: AtaDiskOptions;

  /** @throws {BlockError} when the backend cannot be read */
  constructor(wires: AtaDiskWires, options: AtaDiskOptions = {}) {
    const { block } = wires;
    const geometry = options.geometry ?? diskGeometry(block.size, block.read(0, SECTOR_SIZE));
    super(options.name ?? "ata-disk", wires, {
      state: {
        lba: 0,
        remaining: 0,
        block: 0,
        multiple: MAX_MULTIPLE,
        heads: geometry.heads,
        sectors: geometry.sectors,
        transferMode: MODE_ULTRA << 3 | 5,
        writeCache: true,
        power: POWER_ACTIVE,
      },
      bounds: BOUNDS,
      steps: ["read", "write", "dmaWrite", "verify"],
    });
    this.block = block;
    this.options = options;
    this.geometry = geometry;
    this.total = Math.floor(block.size / SECTOR_SIZE);
    this.reset();
  }

  override writeCommand(command: number): void {
    // Only a reset ends sleep.
    if (this.state.power !== POWER_SLEEP) super.writeCommand(command);
  }

  protected signature(): number {
    const { file } = this.state;
    file[SECTOR_COUNT] = file[LBA_LOW] = 1;
    file[LBA_MID] = file[LBA_HIGH] = 0;
    file[DEVICE] = 0;
    this.state.error = 1;
    this.state.power = POWER_ACTIVE;
    return STATUS_DRDY | STATUS_DSC;
  }

  protected checkOwn(state: AtaState & DiskState): void {
    const { remaining, block, power } = state;
    if (block > remaining) throw new StateError(this.name, "a block has more than what remains");
    if (![POWER_ACTIVE, POWER_STANDBY, POWER_SLEEP].includes(power)) {
      throw new StateError(this.name, `there is no power mode ${power}`);
    }
    if ((state.step === "write" || state.step === "dmaWrite") && state.filled < block * 512) {
      throw new StateError(this.name, "the buffer lacks what is to be written");
    }
  }

  protected execute(command: number): void {
    const { state } = this;
    const { file } = state;
    const transfer = TRANSFERS[command];
    if (transfer !== undefined) return this.start(transfer);
    if ((command & 0xf0) === RECALIBRATE || (command & 0xf0) === SEEK) return this.complete();
    const code = OLD_POWER_COMMANDS[command] ?? command;
    switch (code) {
      case IDENTIFY_DEVICE:
        storeWords(this.identify(), state.buffer);
        state.remaining = state.block = 0;
        this.request("read", 0, SECTOR_SIZE);
        return this.setIntrq(true);
      case INITIALIZE_DEVICE_PARAMETERS:
        state.heads = (file[DEVICE] & 0x0f) + 1;
        state.sectors = file[SECTOR_COUNT];
        return this.complete(state.sectors === 0 ? ERROR_ABRT : 0);
      case SET_MULTIPLE_MODE: {
        const count = file[SECTOR_COUNT];
        if (count > MAX_MULTIPLE || (count & (count - 1)) !== 0) return this.complete(ERROR_ABRT);
        state.multiple = count;
        return this.complete();
      }
      case SET_FEATURES:
        return this.complete(this.setFeature(file[FEATURES], file[SECTOR_COUNT]) ? 0 : ERROR_ABRT);
      case FLUSH_CACHE:
      case FLUSH_CACHE_EXT:
        return this.complete(this.flushed() ? 0 : ERROR_ABRT);
      case READ_NATIVE_MAX_ADDRESS:
        this.setAddress(Math.min(this.total - 1, MAX_LBA28), false);
        return this.complete();
      case READ_NATIVE_MAX_ADDRESS_EXT:
        this.setAddress(this.total - 1, true);
        return this.complete();
      case IDLE_IMMEDIATE:
      case IDLE:
        state.power = POWER_ACTIVE;
        return this.complete();
      case STANDBY_IMMEDIATE:
      case STANDBY:
        state.power = POWER_STANDBY;
        return this.complete();
      case SLEEP:
        state.power = POWER_SLEEP;
        return this.complete();
      case CHECK_POWER_MODE:
        file[SECTOR_COUNT] = state.power;
        return this.complete();
      case NOP:
      default:
        return this.complete(ERROR_ABRT);
    }
  }

  protected perform(step: string): void {
    switch (step) {
      case "read":
        return this.readMedium(this.transfer.by === "dma" ? "dmaRead" : "read");
      case "write":
      case "dmaWrite":
        return this.writeMedium(step);
      case "verify":
        return this.verifyMedium();
    }
  }

  protected transferred(): void {
    const { state } = this;
    if (state.command === IDENTIFY_DEVICE) {
      state.status = STATUS_DRDY | STATUS_DSC;
      return;
    }
    const { to, by } = this.transfer;
    if (to === "disk") {
      return this.later(by === "dma" ? "dmaWrite" : "write", state.block * SECTOR_NS);
    }
    this.advance(state.block);
    if (state.remaining > 0) return this.awaitMedium("read");
    if (by === "dma") return this.complete();
    // The last block of a PIO read was announced; its end is not.
    state.status = STATUS_DRDY | STATUS_DSC;
  }

  private get transfer(): Transfer {
    return TRANSFERS[this.state.command] ?? TRANSFERS[0x20];
  }

  private start(transfer: Transfer): void {
    const { state } = this;
    state.power = POWER_ACTIVE;
    if (transfer.by === "multiple" && state.multiple === 0) return this.complete(ERROR_ABRT);
    const lba = this.address(transfer.ext);
    if (lba === undefined || lba >= this.total) return this.complete(ERROR_IDNF);
    state.lba = lba;
    state.remaining = this.count(transfer.ext);
    switch (transfer.to) {
      case "host":
        return this.awaitMedium("read");
      case "nowhere":
        return this.awaitMedium("verify");
      case "disk":
        if (this.block.readOnly) return this.complete(ERROR_ABRT);
        return this.requestWrite();
    }
  }

  /** Sectors that go in one data request. */
  private nextBlock(): number {
    const { by } = this.transfer;
    const { remaining, multiple } = this.state;
    return Math.min(remaining, by === "dma" ? DMA_SECTORS : by === "multiple" ? multiple : 1);
  }

  private awaitMedium(step: "read" | "verify"): void {
    this.state.block = this.nextBlock();
    this.later(step, this.state.block * SECTOR_NS);
  }

  private readMedium(phase: "read" | "dmaRead"): void {
    const bytes = this.readSectors();
    if (bytes === undefined) return;
    this.state.buffer.set(bytes);
    this.request(phase, 0, bytes.length);
    if (phase === "read") this.setIntrq(true);
  }

  private verifyMedium(): void {
    if (this.readSectors() === undefined) return;
    this.advance(this.state.block);
    if (this.state.remaining > 0) return this.awaitMedium("verify");
    this.complete();
  }

  private requestWrite(): void {
    const { state } = this;
    state.block = this.nextBlock();
    if (state.lba + state.block > this.total) return this.fail(ERROR_IDNF, this.total);
    this.request(this.transfer.by === "dma" ? "dmaWrite" : "write", 0, state.block * SECTOR_SIZE);
  }

  private writeMedium(step: "write" | "dmaWrite"): void {
    const { state } = this;
    const bytes = state.buffer.subarray(0, state.block * SECTOR_SIZE);
    try {
      this.block.write(state.lba * SECTOR_SIZE, bytes);
    } catch (error) {
      return this.failed(error, ERROR_ABRT, state.lba);
    }
    this.advance(state.block);
    if (state.remaining > 0) {
      if (step === "write") this.setIntrq(true);
      return this.requestWrite();
    }
    this.complete(state.writeCache || this.flushed() ? 0 : ERROR_ABRT);
  }

  private flushed(): boolean {
    try {
      this.block.flush();
      return true;
    } catch (error) {
      this.reportOrThrow(error);
      return false;
    }
  }

  /** Reads the present block; undefined when the command failed. */
  private readSectors(): Uint8Array | undefined {
    const { lba, block } = this.state;
    if (lba + block > this.total) {
      this.fail(ERROR_IDNF, this.total);
      return undefined;
    }
    try {
      return this.block.read(lba * SECTOR_SIZE, block * SECTOR_SIZE);
    } catch (error) {
      this.failed(error, ERROR_UNC, this.firstBad(lba, block));
      return undefined;
    }
  }

  /** The first sector of a block that cannot be read. */
  private firstBad(lba: number, block: number): number {
    for (let i = 0; i < block - 1; i++) {
      try {
        this.block.read((lba + i) * SECTOR_SIZE, SECTOR_SIZE);
      } catch {
        return lba + i;
      }
    }
    return lba + block - 1;
  }

  private failed(error: unknown, bits: number, lba: number): void {
    this.reportOrThrow(error);
    this.fail(bits, lba);
  }

  private reportOrThrow(error: unknown): void {
    if (!(error instanceof BlockError)) throw error;
    this.report(error);
  }

  private fail(bits: number, lba: number): void {
    this.setAddress(lba, this.transfer.ext);
    this.state.remaining = this.state.block = 0;
    this.complete(bits);
  }

  private advance(sectors: number): void {
    const { state } = this;
    state.lba += sectors;
    state.remaining -= sectors;
    state.block = 0;
    const { ext } = this.transfer;
    this.setAddress(state.lba - 1, ext);
    state.file[SECTOR_COUNT] = state.remaining & 0xff;
    if (ext) state.previous[SECTOR_COUNT] = (state.remaining >> 8) & 0xff;
  }

  private count(ext: boolean): number {
    const { file, previous } = this.state;
    if (ext) return (previous[SECTOR_COUNT] << 8 | file[SECTOR_COUNT]) || 65536;
    return file[SECTOR_COUNT] || 256;
  }

  /** The sector that the registers name; undefined when there is none of that cylinder, head and sector. */
  private address(ext: boolean): number | undefined {
    const { file, previous, heads, sectors } = this.state;
    const low = file[LBA_HIGH] << 16 | file[LBA_MID] << 8 | file[LBA_LOW];
    if (ext) {
      const high = previous[LBA_HIGH] << 16 | previous[LBA_MID] << 8 | previous[LBA_LOW];
      return high * 2 ** 24 + low;
    }
    const head = file[DEVICE] & 0x0f;
    if ((file[DEVICE] & DEVICE_LBA) !== 0) return head << 24 | low;
    const sector = file[LBA_LOW];
    if (sector === 0 || sector > sectors || head >= heads) return undefined;
    return ((low >>> 8) * heads + head) * sectors + sector - 1;
  }

  private setAddress(lba: number, ext: boolean): void {
    const { file, previous, heads, sectors } = this.state;
    let low = lba % 2 ** 24;
    if (ext) {
      const high = Math.floor(lba / 2 ** 24);
      previous[LBA_LOW] = high & 0xff;
      previous[LBA_MID] = (high >> 8) & 0xff;
      previous[LBA_HIGH] = (high >> 16) & 0xff;
    } else {
      let head = Math.floor(lba / 2 ** 24) & 0x0f;
      if ((file[DEVICE] & DEVICE_LBA) === 0 && sectors > 0) {
        const track = Math.floor(lba / sectors);
        head = track % heads;
        low = (Math.floor(track / heads) & 0xffff) << 8 | (lba % sectors + 1);
      }
      file[DEVICE] = (file[DEVICE] & 0xf0) | head;
    }
    file[LBA_LOW] = low & 0xff;
    file[LBA_MID] = (low >> 8) & 0xff;
    file[LBA_HIGH] = (low >> 16) & 0xff;
  }

  private setFeature(feature: number, value: number): boolean {
    const { state } = this;
    switch (feature) {
      case ENABLE_WRITE_CACHE:
      case DISABLE_WRITE_CACHE:
        state.writeCache = feature === ENABLE_WRITE_CACHE;
        return state.writeCache || this.flushed();
      case KEEP_FEATURES_ON_RESET:
      case REVERT_FEATURES_ON_RESET:
        return true;
      case SET_TRANSFER_MODE: {
        const kind = value >> 3, mode = value & 7;
        if (kind === MODE_PIO_DEFAULT) return mode <= 1;
        if (kind === MODE_PIO) return mode <= 4;
        const known = (kind === MODE_MULTIWORD && mode <= 2) || (kind === MODE_ULTRA && mode <= 5);
        if (known) state.transferMode = value;
        return known;
      }
      default:
        return false;
    }
  }

  /** IDENTIFY DEVICE data (section 8.15). */
  private identify(): Uint16Array {
    const { state, geometry, total, options } = this;
    const words = new Uint16Array(256);
    const set32 = (at: number, value: number) => {
      words[at] = value % 65536;
      words[at + 1] = Math.floor(value / 65536);
    };
    words[0] = 0x0040; // fixed drive
    words[1] = geometry.cylinders;
    words[3] = geometry.heads;
    words[6] = geometry.sectors;
    identifyText(words, 10, 10, options.serial ?? "CY00001");
    words[20] = 3; // dual-ported buffer with look-ahead, for hosts of ATA-1's days
    words[21] = BUFFER_SIZE / SECTOR_SIZE;
    words[22] = 4;
    identifyText(words, 23, 4, options.firmware ?? "1.0");
    identifyText(words, 27, 20, options.model ?? "COMPY HARDDISK");
    words[47] = 0x8000 | MAX_MULTIPLE;
    words[48] = 1; // doubleword transfers at the data port
    words[49] = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8; // IORDY, may be disabled, LBA, DMA
    words[50] = 0x4000;
    words[51] = words[52] = 0x0200;
    words[53] = 7; // words 54 to 58, 64 to 70 and 88 are valid
    const perCylinder = state.heads * Math.max(1, state.sectors);
    words[54] = Math.min(65535, Math.floor(Math.min(total, 16514064) / perCylinder));
    words[55] = state.heads;
    words[56] = state.sectors;
    set32(57, words[54] * perCylinder);
    words[59] = state.multiple === 0 ? 0 : 0x0100 | state.multiple;
    set32(60, Math.min(total, MAX_LBA28));
    const kind = state.transferMode >> 3, selected = 0x100 << (state.transferMode & 7);
    words[63] = 7 | (kind === MODE_MULTIWORD ? selected : 0);
    words[64] = 3; // PIO modes 3 and 4
    words[65] =
      words[66] =
      words[67] =
      words[68] =
        120;
    words[80] = 0x0070; // ATA/ATAPI-4 to -6
    words[82] = 1 << 14 | 1 << 5 | 1 << 3; // NOP, write cache, power management
    words[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10; // FLUSH CACHE EXT, FLUSH CACHE, LBA48
    words[84] = 1 << 14;
    words[85] = 1 << 14 | (state.writeCache ? 1 << 5 : 0) | 1 << 3;
    words[86] = 1 << 13 | 1 << 12 | 1 << 10;
    words[87] = 1 << 14;
    words[88] = 0x3f | (kind === MODE_ULTRA ? selected : 0);
    // Hardware reset result: 80-conductor cable; determined by jumper, as device 0 or 1.
    words[93] = 0x6001 | ((state.file[DEVICE] & DEVICE_DEV) !== 0 ? 0x0200 : 0x0002);
    set32(100, total % 2 ** 32);
    words[102] = Math.floor(total / 2 ** 32);
    return words;
  }
}
