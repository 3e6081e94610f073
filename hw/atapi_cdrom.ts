/**
 * ATAPI CD-ROM and DVD-ROM drive: the ATA side. What packets mean is in `mmc.ts`.
 *
 * ATA/ATAPI-6 (T13/1410D), sections 8 (commands of PACKET devices) and 9.8 to 9.10.
 */
import { type BlockDevice, BlockError } from "../core/block/block_device.ts";
import { type State, StateError } from "../core/chip.ts";
import {
  AtaDevice,
  type AtaState,
  type AtaWires,
  BUFFER_SIZE,
  COMMAND_NS,
  ERROR_ABRT,
  FEATURES,
  identifyText,
  LBA_HIGH,
  LBA_LOW,
  LBA_MID,
  SECTOR_COUNT,
  SECTOR_NS,
  STATUS_DRDY,
  STATUS_DSC,
  STATUS_ERR,
  storeWords,
} from "./ata_device.ts";
import type { Bounds } from "./bounds.ts";
import { CD_BLOCK_SIZE, CD_RAW_SIZE, rawSector } from "./cd_sector.ts";
import {
  executePacket,
  GOOD,
  type MediaEvent,
  type MmcDrive,
  type MmcResult,
  READ_ERROR,
  type Sense,
  UNIT_ATTENTION_MEDIUM,
} from "./mmc.ts";

const PACKET = 0xa0;
const IDENTIFY_PACKET_DEVICE = 0xa1;
const STANDBY_IMMEDIATE = 0xe0;
const IDLE_IMMEDIATE = 0xe1;
const CHECK_POWER_MODE = 0xe5;
const IDENTIFY_DEVICE = 0xec;
const SET_FEATURES = 0xef;
const READ_SECTORS = 0x20;

const PACKET_DMA = 1 << 0;
const SET_TRANSFER_MODE = 0x03;
const MODE_MULTIWORD = 4, MODE_ULTRA = 8;

/** Interrupt reason, in the sector count register. */
const REASON_CD = 1 << 0, REASON_IO = 1 << 1;

const PACKET_SIZE = 12;
const BLOCK_NS = SECTOR_NS * CD_BLOCK_SIZE / 512;

type CdromState = State & {
  /** Whether the bytes asked for are the packet. */
  packet: boolean;
  cdb: Uint8Array;
  /** Byte count limit of the host, 0 for DMA. */
  limit: number;
  dma: boolean;
  /** Blocks still to read after those in the buffer, and their size as the host wants it. */
  next: number;
  remaining: number;
  blockSize: number;
  key: number;
  asc: number;
  ascq: number;
  /** A change of the medium not yet told by UNIT ATTENTION, and one not yet told by GET EVENT STATUS. */
  attention: boolean;
  event: string;
  open: boolean;
  locked: boolean;
  transferMode: number;
  /** Blocks of the medium in the drive: a snapshot fits only a drive that holds the same. */
  blocks: number;
};

const EVENTS: readonly string[] = ["none", "eject", "new", "removed"];

const BOUNDS: Bounds = {
  limit: 0xffff,
  next: 2 ** 32,
  remaining: 2 ** 32,
  blockSize: CD_RAW_SIZE,
  key: 15,
  asc: 0xff,
  ascq: 0xff,
  transferMode: 0xff,
  blocks: 2 ** 42,
};

/** What a drive is connected to. */
export interface AtapiCdromWires extends AtaWires {
  /** The disc in the drive at power-on. */
  medium?: BlockDevice;
  /** Hears of the guest opening and closing the tray. */
  onTray?: (open: boolean) => void;
}

/** What a drive says of itself. */
export interface AtapiCdromOptions {
  /** Unique in the machine. Default `atapi-cdrom`. */
  name?: string;
  /** At most 40 characters; the first 16 are INQUIRY's product. */
  model?: string;
  /** At most 20 characters. */
  serial?: string;
  /** At most 8 characters. */
  firmware?: string;
}

/** A drive with a tray for one disc. */
export class AtapiCdrom extends AtaDevice<CdromState> {
  protected readonly packet = true;
  private medium: BlockDevice | undefined;
  private readonly onTray: (open: boolean) => void;
  private readonly options: AtapiCdromOptions;

  constructor(wires: AtapiCdromWires, options: AtapiCdromOptions = {}) {
    super(options.name ?? "atapi-cdrom", wires, {
      state: {
        packet: false,
        cdb: new Uint8Array(PACKET_SIZE),
        limit: 0,
        dma: false,
        next: 0,
        remaining: 0,
        blockSize: CD_BLOCK_SIZE,
        key: 0,
        asc: 0,
        ascq: 0,
        attention: false,
        event: "none",
        open: false,
        locked: false,
        transferMode: MODE_ULTRA << 3 | 5,
        blocks: 0,
      },
      bounds: BOUNDS,
      steps: ["packet", "block", "read"],
    });
    this.options = options;
    this.medium = wires.medium;
    this.onTray = wires.onTray ?? (() => {});
    this.reset();
  }

  /** The disc in the drive, also while the tray is open. */
  get disc(): BlockDevice | undefined {
    return this.medium;
  }

  /** Whether the guest keeps the tray shut. */
  get locked(): boolean {
    return this.state.locked;
  }

  /** Whether the tray is open. */
  get open(): boolean {
    return this.state.open;
  }

  /** Puts a disc in, in place of the one that may be there, and closes the tray. The guest is told. */
  insert(medium: BlockDevice): void {
    const { state } = this;
    this.medium = medium;
    state.blocks = blocksOf(medium);
    state.open = false;
    state.attention = true;
    state.event = "new";
  }

  /**
   * Takes the disc out, as the button on the drive does: while the guest keeps the tray shut it is only
   * asked, unless `force` says otherwise.
   *
   * @returns the disc, or undefined when there was none or the guest keeps it
   */
  eject(options: { force?: boolean } = {}): BlockDevice | undefined {
    const { state, medium } = this;
    if (state.locked && !options.force) {
      state.event = "eject";
      return undefined;
    }
    state.open = true;
    state.locked = false;
    state.event = "removed";
    this.medium = undefined;
    state.blocks = 0;
    return medium;
  }

  override reset(): void {
    // The base class's state is renewed; a tray and a disc survive any reset.
    const open = this.state.open;
    super.reset();
    this.state.open = open;
    this.state.blocks = this.medium === undefined ? 0 : blocksOf(this.medium);
  }

  protected signature(): number {
    const { file } = this.state;
    file.fill(0);
    file[SECTOR_COUNT] = file[LBA_LOW] = 1;
    file[LBA_MID] = 0x14;
    file[LBA_HIGH] = 0xeb;
    this.state.error = 1;
    this.state.packet = false;
    return 0;
  }

  protected checkOwn(state: AtaState & CdromState): void {
    const { blockSize, event, blocks } = state;
    const fits = (blockSize === CD_BLOCK_SIZE || blockSize === CD_RAW_SIZE) &&
      EVENTS.includes(event) && (state.step !== "read" || state.remaining > 0) &&
      (state.step !== "block" || state.end < state.filled);
    if (!fits) throw new StateError(this.name, "block size, event or step is none that can be");
    if (blocks !== this.state.blocks) {
      throw new StateError(
        this.name,
        `it was made with a disc of ${blocks} blocks, the drive has ${this.state.blocks}`,
      );
    }
  }

  protected execute(command: number): void {
    const { state } = this;
    const { file } = state;
    switch (command) {
      case PACKET:
        state.packet = true;
        state.dma = (file[FEATURES] & PACKET_DMA) !== 0;
        state.limit = file[LBA_HIGH] << 8 | file[LBA_MID];
        file[SECTOR_COUNT] = REASON_CD;
        // Word 0 of the identification says: no interrupt for the packet.
        return this.request("write", 0, PACKET_SIZE);
      case IDENTIFY_PACKET_DEVICE:
        storeWords(this.identify(), state.buffer);
        this.request("read", 0, 512);
        return this.setIntrq(true);
      case IDENTIFY_DEVICE:
      case READ_SECTORS:
        // By these aborts, with the signature beside them, hosts know a PACKET device.
        this.signature();
        return this.complete(ERROR_ABRT);
      case SET_FEATURES:
        return this.complete(this.setFeature(file[FEATURES], file[SECTOR_COUNT]) ? 0 : ERROR_ABRT);
      case STANDBY_IMMEDIATE:
      case IDLE_IMMEDIATE:
        return this.complete();
      case CHECK_POWER_MODE:
        file[SECTOR_COUNT] = 0xff;
        return this.complete();
      default:
        return this.complete(ERROR_ABRT);
    }
  }

  protected perform(step: string): void {
    switch (step) {
      case "packet":
        return this.runPacket();
      case "block":
        return this.sendBlock();
      case "read":
        return this.readBlocks();
    }
  }

  protected transferred(): void {
    const { state } = this;
    if (state.command === IDENTIFY_PACKET_DEVICE) {
      state.status = STATUS_DRDY | STATUS_DSC;
    } else if (state.packet) {
      state.packet = false;
      state.cdb.set(state.buffer.subarray(0, PACKET_SIZE));
      this.later("packet", COMMAND_NS);
    } else if (state.end < state.filled) this.later("block", SECTOR_NS);
    else if (state.remaining > 0) this.awaitBlocks();
    else this.finish(GOOD);
  }

  private runPacket(): void {
    const { state } = this;
    state.position =
      state.end =
      state.filled =
      state.remaining =
        0;
    const drive: MmcDrive = {
      blocks: state.open ? 0 : state.blocks,
      open: state.open,
      locked: state.locked,
      attention: state.attention,
      event: state.event as MediaEvent,
      sense: { key: state.key, asc: state.asc, ascq: state.ascq },
      model: this.model,
      firmware: this.firmware,
    };
    const result = executePacket(state.cdb, drive);
    this.apply(result);
    if (result.sense.key !== 0) return this.finish(result.sense);
    if (result.read !== undefined) {
      state.next = result.read.block;
      state.remaining = result.read.count;
      state.blockSize = result.read.raw ? CD_RAW_SIZE : CD_BLOCK_SIZE;
      return this.awaitBlocks();
    }
    if (result.reply === undefined || result.reply.length === 0) return this.finish(GOOD);
    state.buffer.set(result.reply);
    this.offer(result.reply.length);
  }

  private apply(result: MmcResult): void {
    const { state } = this;
    if (result.told === "attention") state.attention = false;
    if (result.told === "event") state.event = "none";
    if (result.lock !== undefined) state.locked = result.lock;
    if (result.tray !== undefined && result.tray !== state.open) {
      state.open = result.tray;
      state.event = state.open ? "removed" : "new";
      state.attention = !state.open && state.blocks > 0;
      this.onTray(state.open);
    }
  }

  private awaitBlocks(): void {
    const { remaining, blockSize } = this.state;
    const count = Math.min(remaining, Math.floor(BUFFER_SIZE / blockSize));
    this.later("read", count * BLOCK_NS);
  }

  private readBlocks(): void {
    const { state, medium } = this;
    const { blockSize } = state;
    const count = Math.min(state.remaining, Math.floor(BUFFER_SIZE / blockSize));
    if (medium === undefined || state.open || state.next + count > state.blocks) {
      // The disc went away in the middle of a command.
      return this.finish(UNIT_ATTENTION_MEDIUM);
    }
    const offset = state.next * CD_BLOCK_SIZE;
    // A last block that the image does not fill reads as zeros.
    const data = new Uint8Array(count * CD_BLOCK_SIZE);
    try {
      data.set(medium.read(offset, Math.min(data.length, medium.size - offset)));
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.report(error);
      return this.finish(READ_ERROR);
    }
    if (blockSize === CD_BLOCK_SIZE) state.buffer.set(data);
    else {
      for (let i = 0; i < count; i++) {
        const block = data.subarray(i * CD_BLOCK_SIZE, (i + 1) * CD_BLOCK_SIZE);
        state.buffer.set(rawSector(state.next + i, block), i * CD_RAW_SIZE);
      }
    }
    state.next += count;
    state.remaining -= count;
    this.offer(count * blockSize);
  }

  /** The first `length` bytes of the buffer go to the host. */
  private offer(length: number): void {
    const { state } = this;
    state.position = state.end = 0;
    state.filled = length;
    if (!state.dma) return this.sendBlock();
    state.file[SECTOR_COUNT] = REASON_IO;
    this.request("dmaRead", 0, length);
  }

  private sendBlock(): void {
    const { state } = this;
    if (state.limit === 0) return this.complete(ERROR_ABRT);
    const left = state.filled - state.end;
    // All but the last data request of a packet have even lengths.
    const count = left <= state.limit ? Math.min(left, 0xfffe) : Math.max(2, state.limit & 0xfffe);
    state.file[LBA_MID] = count & 0xff;
    state.file[LBA_HIGH] = count >> 8;
    state.file[SECTOR_COUNT] = REASON_IO;
    this.request("read", state.end, count);
    this.setIntrq(true);
  }

  private finish(sense: Sense): void {
    const { state } = this;
    state.key = sense.key;
    state.asc = sense.asc;
    state.ascq = sense.ascq;
    state.remaining = 0;
    state.file[SECTOR_COUNT] = REASON_IO | REASON_CD;
    this.complete();
    if (sense.key === 0) return;
    state.error = sense.key << 4 | (sense.abort ? ERROR_ABRT : 0);
    state.status |= STATUS_ERR;
  }

  private setFeature(feature: number, value: number): boolean {
    if (feature !== SET_TRANSFER_MODE) return false;
    const kind = value >> 3, mode = value & 7;
    if (kind <= 1) return mode <= 4;
    const known = (kind === MODE_MULTIWORD && mode <= 2) || (kind === MODE_ULTRA && mode <= 5);
    if (known) this.state.transferMode = value;
    return known;
  }

  private get model(): string {
    return this.options.model ?? "COMPY DVD-ROM";
  }

  private get firmware(): string {
    return this.options.firmware ?? "1.0";
  }

  /** IDENTIFY PACKET DEVICE data (section 8.16). */
  private identify(): Uint16Array {
    const words = new Uint16Array(256);
    // ATAPI, CD-ROM, removable, DRQ within 50 µs of PACKET, packets of 12 bytes.
    words[0] = 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5;
    identifyText(words, 10, 10, this.options.serial ?? "CY00002");
    identifyText(words, 23, 4, this.firmware);
    identifyText(words, 27, 20, this.model);
    words[49] = 1 << 11 | 1 << 9 | 1 << 8; // IORDY, LBA, DMA
    words[50] = 0x4000;
    words[53] = 6; // words 64 to 70 and 88 are valid
    const kind = this.state.transferMode >> 3, selected = 0x100 << (this.state.transferMode & 7);
    words[63] = 7 | (kind === MODE_MULTIWORD ? selected : 0);
    words[64] = 3;
    words[65] =
      words[66] =
      words[67] =
      words[68] =
        120;
    words[80] = 0x0070; // ATA/ATAPI-4 to -6
    words[82] = words[85] = 1 << 14 | 1 << 9 | 1 << 4 | 1 << 3; // NOP, DEVICE RESET, PACKET, power
    words[83] = words[84] = words[87] = 1 << 14;
    words[88] = 0x3f | (kind === MODE_ULTRA ? selected : 0);
    words[93] = 0x6003;
    return words;
  }
}

function blocksOf(medium: BlockDevice): number {
  return Math.ceil(medium.size / CD_BLOCK_SIZE);
}
