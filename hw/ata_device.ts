/**
 * What ATA disks and ATAPI drives have in common: the command block and control block registers, the
 * data port, interrupt and DMA requests, resets, and the time that a command takes.
 *
 * ATA/ATAPI-6 (T13/1410D), sections 5.2, 7, 9.2 and 9.3.
 */
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { type Chip, copyState, type State, StateError, type Wire } from "../core/chip.ts";
import type { BlockError } from "../core/block/block_device.ts";
import { ANY_TIME_OR_NULL, type Bounds, checkedState } from "./bounds.ts";

// Command block registers by offset.
export const DATA = 0;
export const ERROR = 1;
export const FEATURES = 1;
export const SECTOR_COUNT = 2;
export const LBA_LOW = 3;
export const LBA_MID = 4;
export const LBA_HIGH = 5;
export const DEVICE = 6;
export const STATUS = 7;
export const COMMAND = 7;

export const STATUS_BSY = 1 << 7;
export const STATUS_DRDY = 1 << 6;
/** Seek complete; bit 4 has no name since ATA-4, yet hosts of the time expect it. */
export const STATUS_DSC = 1 << 4;
export const STATUS_DRQ = 1 << 3;
export const STATUS_ERR = 1 << 0;

export const ERROR_UNC = 1 << 6;
export const ERROR_IDNF = 1 << 4;
export const ERROR_ABRT = 1 << 2;

export const CONTROL_HOB = 1 << 7;
export const CONTROL_SRST = 1 << 2;
export const CONTROL_NIEN = 1 << 1;

export const DEVICE_LBA = 1 << 6;
export const DEVICE_DEV = 1 << 4;
/** Bits that read as ones in the days of CHS. */
const DEVICE_OBSOLETE = 0xa0;

const DEVICE_RESET = 0x08;
const EXECUTE_DEVICE_DIAGNOSTIC = 0x90;

/** Bytes that a device holds for the host at most. */
export const BUFFER_SIZE = 65536;

// Deviation: a command takes the time of electronics, not of mechanics.
/** Nanoseconds from a command to its first data or its end. */
export const COMMAND_NS = 10_000;
/** Nanoseconds that 512 bytes take to or from the medium. */
export const SECTOR_NS = 2_000;
const RESET_NS = 100_000;

/** What the device awaits of the host. */
export type Phase = "idle" | "read" | "write" | "dmaRead" | "dmaWrite";
const PHASES: readonly string[] = ["idle", "read", "write", "dmaRead", "dmaWrite"];

/** The state that all devices have. */
export type AtaState = State & {
  /** Registers 1 to 6 as last written, and what they held before that. */
  file: number[];
  previous: number[];
  status: number;
  error: number;
  control: number;
  command: number;
  intrq: boolean;
  phase: string;
  buffer: Uint8Array;
  /** Next byte of the buffer to move, end of the present data request, end of the valid bytes. */
  position: number;
  end: number;
  filled: number;
  /** What the device does at the deadline. */
  step: string;
  deadline: number | null;
};

const BYTE = 0xff;
const BOUNDS: Bounds = {
  file: { items: BYTE, least: 7, most: 7 },
  previous: { items: BYTE, least: 7, most: 7 },
  status: BYTE,
  error: BYTE,
  control: BYTE,
  command: BYTE,
  position: BUFFER_SIZE,
  end: BUFFER_SIZE,
  filled: BUFFER_SIZE,
  deadline: ANY_TIME_OR_NULL,
};

/** What a kind of device adds to the common state. */
export interface AtaOwn<Own extends State> {
  /** As after a hardware reset. */
  state: Own;
  bounds: Bounds;
  /** Steps that {@linkcode AtaDevice.perform} knows. */
  steps: readonly string[];
}

/** What any device is connected to. */
export interface AtaWires {
  clock: Clock;
  /** Hears of the backend's failures, of which the guest sees only error bits. */
  onError?: (error: BlockError) => void;
}

/** What a channel does for its devices. */
export interface AtaChannelWires {
  intrq: Wire;
  /** DMARQ was asserted. */
  dmarq: () => void;
}

function initialState(): AtaState {
  return {
    file: new Array(7).fill(0),
    previous: new Array(7).fill(0),
    status: 0,
    error: 0,
    control: 0,
    command: 0,
    intrq: false,
    phase: "idle",
    buffer: new Uint8Array(BUFFER_SIZE),
    position: 0,
    end: 0,
    filled: 0,
    step: "",
    deadline: null,
  };
}

/** A device on an IDE channel. */
export abstract class AtaDevice<Own extends State = State> implements Chip {
  protected state: AtaState & Own;
  private readonly alarm: Alarm;
  private channel: AtaChannelWires = { intrq: () => {}, dmarq: () => {} };

  constructor(
    readonly name: string,
    protected readonly wires: AtaWires,
    private readonly own: AtaOwn<Own>,
  ) {
    this.state = { ...initialState(), ...copyState(own.state) };
    this.alarm = wires.clock.createAlarm(name, () => this.fire());
  }

  /** Takes a command; BSY is set. Ends in one of the protected methods that say how it goes on. */
  protected abstract execute(command: number): void;
  /** Goes on where {@linkcode AtaDevice.later} said. */
  protected abstract perform(step: string): void;
  /** All bytes of the data request are moved. */
  protected abstract transferred(): void;
  /** Puts the signature into the registers and returns the status after a reset. */
  protected abstract signature(): number;
  /** @throws {StateError} when own values within their bounds do not fit each other */
  protected abstract checkOwn(state: AtaState & Own): void;
  /** Whether DEVICE RESET is one of its commands. */
  protected abstract readonly packet: boolean;

  /** For the channel: connects the cable. */
  connect(channel: AtaChannelWires): void {
    this.channel = channel;
    channel.intrq(this.state.intrq);
  }

  /** Level of INTRQ, whatever nIEN says. */
  get intrq(): boolean {
    return this.state.intrq;
  }

  /** Direction of the DMA transfer that the device asks for, as the device sees it; undefined while DMARQ is negated. */
  get dmaRequest(): "read" | "write" | undefined {
    const { phase } = this.state;
    return phase === "dmaRead" ? "read" : phase === "dmaWrite" ? "write" : undefined;
  }

  /** Reads a register other than the data port. */
  readRegister(offset: number): number {
    const { state } = this;
    switch (offset) {
      case ERROR:
        return state.error;
      case STATUS:
        this.setIntrq(false);
        return state.status;
      case DEVICE:
        return state.file[DEVICE] | DEVICE_OBSOLETE;
      default:
        return (state.control & CONTROL_HOB) !== 0 ? state.previous[offset] : state.file[offset];
    }
  }

  /** The status, without the effect on INTRQ that reading the status register has. */
  get alternateStatus(): number {
    return this.state.status;
  }

  /** Writes a register other than data and command. */
  writeRegister(offset: number, value: number): void {
    const { state } = this;
    if ((state.status & STATUS_BSY) !== 0) return;
    state.control &= ~CONTROL_HOB;
    if (offset === DEVICE) {
      state.file[DEVICE] = value;
      return;
    }
    state.previous[offset] = state.file[offset];
    state.file[offset] = value;
  }

  /** Writes the command register of a selected device. */
  writeCommand(command: number): void {
    const { state } = this;
    if ((state.control & CONTROL_SRST) !== 0) return;
    if (command === DEVICE_RESET && this.packet) return this.startReset();
    if ((state.status & (STATUS_BSY | STATUS_DRQ)) !== 0) return;
    state.control &= ~CONTROL_HOB;
    state.command = command;
    state.error = 0;
    this.setIntrq(false);
    this.later("command", COMMAND_NS);
  }

  /** EXECUTE DEVICE DIAGNOSTIC, which both devices take whichever is selected, and one of them answers with an interrupt. */
  diagnose(interrupt: boolean): void {
    if ((this.state.control & CONTROL_SRST) !== 0) return;
    this.abandon();
    this.state.command = EXECUTE_DEVICE_DIAGNOSTIC;
    this.setIntrq(false);
    this.later(interrupt ? "diagnose" : "reset", COMMAND_NS);
  }

  /** Writes the device control register. */
  writeControl(value: number): void {
    const { state } = this;
    const before = state.control;
    state.control = value;
    if ((value & CONTROL_SRST) !== 0) {
      if ((before & CONTROL_SRST) === 0) {
        this.abandon();
        this.setIntrq(false);
        state.status = STATUS_BSY;
      }
    } else if ((before & CONTROL_SRST) !== 0) this.startReset();
  }

  /** Reads the data port: one word. */
  readData(): number {
    const { state } = this;
    if (state.phase !== "read") return 0xffff;
    const { buffer, position } = state;
    const value = buffer[position] | (position + 1 < state.end ? buffer[position + 1] << 8 : 0);
    state.position = Math.min(position + 2, state.end);
    if (state.position === state.end) this.finishTransfer();
    return value;
  }

  /** Writes the data port: one word. */
  writeData(value: number): void {
    const { state } = this;
    if (state.phase !== "write") return;
    const { buffer, position } = state;
    buffer[position] = value & 0xff;
    if (position + 1 < state.end) buffer[position + 1] = value >>> 8;
    state.position = Math.min(position + 2, state.end);
    if (state.position === state.end) this.finishTransfer();
  }

  /** How many bytes the present DMA request still moves. */
  get dmaRemaining(): number {
    return this.state.end - this.state.position;
  }

  /** The next bytes of a DMA read, at most {@linkcode AtaDevice.dmaRemaining}; valid until {@linkcode AtaDevice.dmaDone}. */
  dmaBytes(length: number): Uint8Array {
    const { buffer, position } = this.state;
    return buffer.subarray(position, position + length);
  }

  /** The bytes of {@linkcode AtaDevice.dmaBytes} were moved: out of them by a read, into them by a write. */
  dmaDone(length: number): void {
    this.state.position += length;
    if (this.state.position >= this.state.end) this.finishTransfer();
  }

  /** A hardware reset. */
  reset(): void {
    this.alarm.cancel();
    this.state = { ...initialState(), ...copyState(this.own.state) };
    this.state.status = this.signature();
    this.channel.intrq(false);
  }

  snapshot(): State {
    return copyState(this.state);
  }

  restore(state: State): void {
    const bounds = { ...BOUNDS, ...this.own.bounds };
    const next = checkedState(this.name, state, this.state as State, bounds) as AtaState & Own;
    const { position, end, filled, phase, step, deadline } = next;
    const problem = (text: string) => new StateError(this.name, text);
    if (position > end || end > filled) {
      throw problem(`buffer bounds ${position}, ${end}, ${filled} are not in order`);
    }
    if (!PHASES.includes(phase)) throw problem(`there is no phase ${phase}`);
    if (!["", "command", "diagnose", "reset", ...this.own.steps].includes(step)) {
      throw problem(`there is no step ${step}`);
    }
    if ((step === "") !== (deadline === null)) throw problem("step and deadline do not fit");
    if (phase !== "idle" && position === end) throw problem(`nothing to move in phase ${phase}`);
    this.checkOwn(next);
    this.state = next;
    if (deadline === null) this.alarm.cancel();
    else this.alarm.set(deadline);
    // The channel keeps the level of its line itself; to tell it again here would make edges of
    // snapshots whose devices are restored one after another.
  }

  /** Sets BSY and performs a step after a while. */
  protected later(step: string, delay: number): void {
    const { state } = this;
    state.status = STATUS_BSY;
    state.phase = "idle";
    state.step = step;
    state.deadline = this.wires.clock.now() + delay;
    this.alarm.set(state.deadline);
  }

  /** Asks the host to move `length` bytes from `position` of the buffer. */
  protected request(phase: Phase, position: number, length: number): void {
    const { state } = this;
    state.phase = phase;
    state.position = position;
    state.end = position + length;
    state.filled = Math.max(state.filled, state.end);
    state.status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
    if (phase === "dmaRead" || phase === "dmaWrite") this.channel.dmarq();
  }

  /** Ends a command. */
  protected complete(error = 0): void {
    const { state } = this;
    state.phase = "idle";
    state.error = error;
    state.status = STATUS_DRDY | STATUS_DSC | (error === 0 ? 0 : STATUS_ERR);
    this.setIntrq(true);
  }

  protected setIntrq(level: boolean): void {
    this.state.intrq = level;
    this.channel.intrq(level);
  }

  /** Tells the host of a failure of the backend; the guest learns of it by error bits. */
  protected report(error: BlockError): void {
    this.wires.onError?.(error);
  }

  private finishTransfer(): void {
    this.state.phase = "idle";
    this.state.status &= ~STATUS_DRQ;
    this.transferred();
  }

  private abandon(): void {
    const { state } = this;
    this.alarm.cancel();
    state.phase = "idle";
    state.step = "";
    state.deadline = null;
    state.position = state.end = state.filled = 0;
  }

  private startReset(): void {
    this.abandon();
    this.setIntrq(false);
    this.later("reset", RESET_NS);
  }

  private fire(): void {
    const { state } = this;
    const { step } = state;
    state.step = "";
    state.deadline = null;
    switch (step) {
      case "command":
        state.position = state.end = state.filled = 0;
        return this.execute(state.command);
      case "reset":
        state.file.fill(0);
        state.previous.fill(0);
        state.status = this.signature();
        return;
      case "diagnose":
        state.status = this.signature();
        return this.setIntrq(true);
      default:
        return this.perform(step);
    }
  }
}

/** Puts a string into identification words: space padded, two characters a word, the first one above. */
export function identifyText(words: Uint16Array, first: number, count: number, text: string): void {
  const padded = text.padEnd(count * 2).slice(0, count * 2);
  for (let i = 0; i < count; i++) {
    words[first + i] = (padded.charCodeAt(2 * i) & 0xff) << 8 | padded.charCodeAt(2 * i + 1) & 0xff;
  }
}

/** Puts identification words at the start of a buffer, low byte first. */
export function storeWords(words: Uint16Array, buffer: Uint8Array): void {
  for (let i = 0; i < words.length; i++) {
    buffer[2 * i] = words[i];
    buffer[2 * i + 1] = words[i] >>> 8;
  }
}
