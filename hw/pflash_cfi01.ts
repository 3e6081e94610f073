/**
 * Parallel NOR flash, 8 bits wide, with the Intel/Sharp extended command set: QEMU's `pflash_cfi01`.
 *
 * JEDEC JESD68.01 (Common Flash Interface) and JEP137 (command set 0001h); commands and status bits as in
 * Intel's 28F640J3 datasheet, "Device Operations" and "Command Definitions".
 */
import { type BlockDevice, BlockError } from "../core/block/block_device.ts";
import type { RegisterAccess } from "../core/bus/port_map.ts";
import { type Chip, copyState, type State, StateError } from "../core/chip.ts";
import { type Bounds, checkedState } from "./bounds.ts";

// Commands. What is none of them returns to the array.
const CLEAR_STATUS_REGISTER = 0x50;
const READ_STATUS_REGISTER = 0x70;
const READ_IDENTIFIER_CODES = 0x90;
const READ_QUERY = 0x98;
const BYTE_PROGRAM = 0x40, BYTE_PROGRAM_ALTERNATE = 0x10;
const WRITE_TO_BUFFER = 0xe8;
const BLOCK_ERASE = 0x20;
const BLOCK_LOCK_SETUP = 0x60;
const READ_ARRAY = 0xff;
// Second cycles.
const CONFIRM = 0xd0, SET_BLOCK_LOCK_BIT = 0x01;

// Status register.
const SR_READY = 0x80, SR_ERASE_ERROR = 0x20, SR_PROGRAM_ERROR = 0x10, SR_BLOCK_LOCKED = 0x02;
/** Both error bits: a sequence of commands that makes no sense. */
const SR_SEQUENCE_ERROR = SR_ERASE_ERROR | SR_PROGRAM_ERROR;

// Identifier codes: the lock bit of each block lies at its third byte.
const ID_MANUFACTURER = 0, ID_DEVICE = 1, ID_BLOCK_LOCK = 2;

/** What the next access finds. All but the first four wait for a further cycle, and answer reads with the status. */
const ARRAY = 0,
  STATUS = 1,
  IDENTIFIER = 2,
  QUERY = 3,
  PROGRAM = 4,
  ERASE = 5,
  LOCK = 6,
  BUFFER_COUNT = 7,
  BUFFER_DATA = 8,
  BUFFER_CONFIRM = 9;

/** Bytes of an erase block. */
export const FLASH_BLOCK_SIZE = 4096;
/** Bytes of the write buffer. */
const BUFFER_SIZE = 256;

/** Where the query structure begins. */
const QUERY_OFFSET = 0x10;

type FlashState = State & {
  mode: number;
  status: number;
  /** Write to buffer: the aligned address that it goes to, -1 before the first byte, and the bytes still to come. */
  target: number;
  remaining: number;
  buffer: Uint8Array;
  /** Nonzero for blocks whose lock bit is set. */
  locks: Uint8Array;
};

const BOUNDS: Bounds = {
  mode: BUFFER_CONFIRM,
  status: 0xff,
  target: { min: -1, max: 2 ** 32 },
  remaining: BUFFER_SIZE,
};

/** What a flash chip is connected to. */
export interface PflashWires {
  /** The array as the processor reads it. Its size is a multiple of {@linkcode FLASH_BLOCK_SIZE}. */
  array: Uint8Array;
  /** What keeps the array; what is programmed reaches it before the guest is told. */
  block: BlockDevice;
  /** Whether reads reach the array, and not the chip's registers. */
  arrayMode: (on: boolean) => void;
  /** Bytes of the array have changed. */
  changed: (offset: number, length: number) => void;
  /** Hears of a failing backend; the guest sees error bits only. */
  onError?: (error: BlockError) => void;
}

/** A flash chip. */
export class PflashCfi01 implements Chip {
  private state: FlashState;
  private readonly query: Uint8Array;
  /** Takes bytes: the chip is 8 bits wide. */
  readonly registers: RegisterAccess = {
    read: (offset) => this.read(offset),
    write: (offset, _size, value) => this.write(offset, value),
  };

  constructor(readonly name: string, private readonly wires: PflashWires) {
    this.state = initialState(wires.array.length / FLASH_BLOCK_SIZE);
    this.query = queryStructure(wires.array.length);
  }

  /** Returns to the array. The lock bits are not volatile. */
  reset(): void {
    const { locks } = this.state;
    this.state = { ...initialState(locks.length), locks };
    this.wires.arrayMode(true);
  }

  private read(offset: number): number {
    const { array } = this.wires;
    switch (this.state.mode) {
      case ARRAY:
        return array[offset];
      case IDENTIFIER:
        return this.identifier(offset);
      case QUERY:
        return this.query[offset & 0xff] ?? 0;
      default:
        return this.state.status;
    }
  }

  private identifier(offset: number): number {
    switch (offset % FLASH_BLOCK_SIZE) {
      case ID_MANUFACTURER:
      case ID_DEVICE:
        return 0; // Of no maker: what it is, the query structure says.
      case ID_BLOCK_LOCK:
        return this.state.locks[Math.floor(offset / FLASH_BLOCK_SIZE)];
      default:
        return 0;
    }
  }

  private write(offset: number, value: number): void {
    const { state } = this;
    switch (state.mode) {
      case PROGRAM:
        this.program(offset, Uint8Array.of(value));
        return this.enter(STATUS);
      case ERASE:
        if (value === CONFIRM) this.erase(offset);
        else state.status |= SR_READY | SR_SEQUENCE_ERROR;
        return this.enter(STATUS);
      case LOCK:
        this.setLocks(offset, value);
        return this.enter(STATUS);
      case BUFFER_COUNT:
        if (value >= BUFFER_SIZE) return this.abandonBuffer();
        state.target = -1;
        state.remaining = value + 1;
        state.buffer.fill(0xff);
        return this.enter(BUFFER_DATA);
      case BUFFER_DATA:
        return this.fillBuffer(offset, value);
      case BUFFER_CONFIRM:
        if (value !== CONFIRM) return this.abandonBuffer();
        this.program(state.target, state.buffer);
        return this.enter(STATUS);
      default:
        return this.command(value);
    }
  }

  private command(value: number): void {
    const { state } = this;
    switch (value) {
      case CLEAR_STATUS_REGISTER:
        // Deviation: the ready bit reads 0 until the next operation, as in QEMU. OVMF knows flash by it.
        state.status = 0;
        return this.enter(STATUS);
      case READ_STATUS_REGISTER:
        return this.enter(STATUS);
      case READ_IDENTIFIER_CODES:
        return this.enter(IDENTIFIER);
      case READ_QUERY:
        return this.enter(QUERY);
      case BYTE_PROGRAM:
      case BYTE_PROGRAM_ALTERNATE:
        return this.enter(PROGRAM);
      case BLOCK_ERASE:
        return this.enter(ERASE);
      case BLOCK_LOCK_SETUP:
        return this.enter(LOCK);
      case WRITE_TO_BUFFER:
        // The extended status register, which reads return now, says that the buffer is free.
        state.status |= SR_READY;
        return this.enter(BUFFER_COUNT);
      case READ_ARRAY:
      default:
        return this.enter(ARRAY);
    }
  }

  private enter(mode: number): void {
    const was = this.state.mode;
    this.state.mode = mode;
    if ((was === ARRAY) !== (mode === ARRAY)) this.wires.arrayMode(mode === ARRAY);
  }

  private fillBuffer(offset: number, value: number): void {
    const { state } = this;
    const target = offset - offset % BUFFER_SIZE;
    if (state.target < 0) state.target = target;
    if (target !== state.target) return this.abandonBuffer();
    state.buffer[offset - target] = value;
    if (--state.remaining === 0) this.enter(BUFFER_CONFIRM);
  }

  private abandonBuffer(): void {
    this.state.remaining = 0;
    this.state.status |= SR_READY | SR_SEQUENCE_ERROR;
    this.enter(STATUS);
  }

  private locked(offset: number): boolean {
    return this.wires.block.readOnly ||
      this.state.locks[Math.floor(offset / FLASH_BLOCK_SIZE)] !== 0;
  }

  /** Programming turns ones into zeros, never zeros into ones. */
  private program(offset: number, bytes: Uint8Array): void {
    const old = this.wires.array.subarray(offset, offset + bytes.length);
    const fresh = bytes.map((byte, i) => byte & old[i]);
    this.store(offset, fresh, SR_PROGRAM_ERROR);
  }

  private erase(offset: number): void {
    const start = offset - offset % FLASH_BLOCK_SIZE;
    this.store(start, new Uint8Array(FLASH_BLOCK_SIZE).fill(0xff), SR_ERASE_ERROR);
  }

  /** Changes the array once what keeps it has taken the change. Deviation: in no time. */
  private store(offset: number, bytes: Uint8Array, errorBit: number): void {
    const { state, wires } = this;
    state.status |= SR_READY;
    if (this.locked(offset)) {
      state.status |= errorBit | SR_BLOCK_LOCKED;
      return;
    }
    try {
      wires.block.write(offset, bytes);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      state.status |= errorBit;
      wires.onError?.(error);
      return;
    }
    wires.array.set(bytes, offset);
    wires.changed(offset, bytes.length);
  }

  /** Lock bits are set one by one and cleared all together. */
  private setLocks(offset: number, value: number): void {
    const { state } = this;
    state.status |= SR_READY;
    if (value === SET_BLOCK_LOCK_BIT) state.locks[Math.floor(offset / FLASH_BLOCK_SIZE)] = 1;
    else if (value === CONFIRM) state.locks.fill(0);
    else state.status |= SR_SEQUENCE_ERROR;
  }

  snapshot(): State {
    return copyState(this.state);
  }

  /** The array is guest memory, and already back: what keeps it is made equal to it. */
  restore(state: State): void {
    const checked = checkedState(this.name, state, this.state, BOUNDS);
    const { mode, target, remaining } = checked;
    const { length } = this.wires.array;
    if (target >= length || (target >= 0 && target % BUFFER_SIZE !== 0)) {
      throw new StateError(this.name, `state.target is ${target}, no place in ${length} bytes`);
    }
    if (
      (mode === BUFFER_CONFIRM && target < 0) || (mode === BUFFER_DATA) !== (remaining > 0)
    ) throw new StateError(this.name, `state.mode ${mode} is at odds with the buffer`);
    this.state = checked;
    this.keepArray();
    this.wires.arrayMode(this.state.mode === ARRAY);
  }

  private keepArray(): void {
    const { array, block } = this.wires;
    if (block.readOnly) return;
    try {
      const kept = block.read(0, array.length);
      for (let at = 0; at < array.length; at += FLASH_BLOCK_SIZE) {
        const end = at + FLASH_BLOCK_SIZE;
        if (kept.subarray(at, end).some((byte, i) => byte !== array[at + i])) {
          block.write(at, array.slice(at, end));
        }
      }
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.wires.onError?.(error);
    }
  }
}

function initialState(blocks: number): FlashState {
  return {
    mode: ARRAY,
    status: SR_READY,
    target: -1,
    remaining: 0,
    buffer: new Uint8Array(BUFFER_SIZE).fill(0xff),
    locks: new Uint8Array(blocks),
  };
}

/** The query structure from its offset 10h on (JESD68.01, section 4.3; JEP137 for what is Intel's). */
function queryStructure(size: number): Uint8Array {
  const blocks = size / FLASH_BLOCK_SIZE;
  const word = (value: number): number[] => [value & 0xff, value >>> 8];
  const text = (s: string): number[] => [...new TextEncoder().encode(s)];
  const extendedTable = 0x31;
  const structure = [
    ...text("QRY"),
    ...word(0x0001), // primary command set: Intel/Sharp extended
    ...word(extendedTable),
    ...word(0), // no alternate command set
    ...word(0),
    0x45, // supply voltage, at least 4.5 V
    0x55, // at most 5.5 V
    0, // no programming voltage
    0,
    7, // typical timeouts, powers of two: byte program in µs
    7, // buffer program in µs
    10, // block erase in ms
    0, // no chip erase
    4, // longest timeouts, as multiples of the typical ones
    4,
    4,
    0,
    Math.ceil(Math.log2(size)),
    ...word(0), // interface: 8 bits
    ...word(Math.log2(BUFFER_SIZE)),
    1, // regions of equal erase blocks
    ...word(blocks - 1),
    ...word(FLASH_BLOCK_SIZE / 256),
    ...text("PRI10"), // version 1.0
    ...[0x08, 0, 0, 0], // features: lock bits are set one by one and cleared together
    0, // nothing after suspend
    ...word(1), // block status: lock bit
    0x50, // best supply voltage 5.0 V
    0,
  ];
  const query = new Uint8Array(QUERY_OFFSET + structure.length);
  query.set(structure, QUERY_OFFSET);
  return query;
}
