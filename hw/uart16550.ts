/**
 * National Semiconductor PC16550D universal asynchronous receiver/transmitter, clocked at 1.8432 MHz and wired
 * as a PC's serial port: OUT2 lets the interrupt through.
 *
 * PC16550D datasheet (1995), sections 8.0 "Registers" and 8.8 "FIFO mode operation".
 *
 * Deviation: transmission takes no virtual time: a byte leaves at once and the transmitter is empty again.
 * Deviation: characters have eight bits in both directions, whatever the word length; parity is never wrong.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import type { SerialEndpoint } from "../core/machine/board.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, ANY_TIME_OR_NULL, type Bounds, checkedState } from "./bounds.ts";

/** RBR (read) and THR (write), or DLL while DLAB is set. */
const DATA = 0,
  /** IER, or DLM. */
  IER = 1,
  /** IIR (read), FCR (write). */
  IIR_FCR = 2,
  LCR = 3,
  MCR = 4,
  LSR = 5,
  MSR = 6,
  SCR = 7;

const IER_ERBFI = 0x01, IER_ETBEI = 0x02, IER_ELSI = 0x04, IER_EDSSI = 0x08;
const IIR_NONE = 0x01,
  IIR_MODEM = 0x00,
  IIR_THRE = 0x02,
  IIR_DATA = 0x04,
  IIR_LINE = 0x06,
  IIR_TIMEOUT = 0x0c,
  IIR_FIFOS = 0xc0;
const FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_DMA_MODE = 0x08, FCR_TRIGGER = 0xc0;
const LCR_STB = 0x04, LCR_PEN = 0x08, LCR_DLAB = 0x80;
const MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10;
const LSR_DR = 0x01, LSR_OE = 0x02, LSR_BI = 0x10, LSR_THRE = 0x20, LSR_TEMT = 0x40;
const LSR_ERRORS = 0x1e, LSR_FIFO_ERROR = 0x80;
const MSR_DELTAS = 0x0f, MSR_TERI = 0x04, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40;
const MSR_DCD = 0x80, MSR_LINES = 0xf0;

const FIFO_SIZE = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14];
const CLOCK_HZ = 1_843_200;

/** Modem lines, true where asserted. */
export interface ModemLines {
  cts?: boolean;
  dsr?: boolean;
  ri?: boolean;
  dcd?: boolean;
}

interface UartState extends State {
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  divisor: number;
  /** OE, PE, FE and BI as LSR shows them. */
  errors: number;
  /** Received characters, each with its error bits above bit 8. */
  received: number[];
  /** The transmitter has become empty and nobody has been told. */
  thrEmpty: boolean;
  timedOut: boolean;
  /** MSR's upper half from outside, also while looped back. */
  lines: number;
  deltas: number;
  /** When the character on the line has arrived completely. */
  lineBusyUntil: number;
  /** When the receiver's timeout strikes. */
  timeoutAt: number | null;
}

function resetState(): UartState {
  return {
    ier: 0,
    fcr: 0,
    lcr: 0,
    mcr: 0,
    scr: 0,
    divisor: 12,
    errors: 0,
    received: [],
    thrEmpty: true,
    timedOut: false,
    lines: MSR_CTS | MSR_DSR | MSR_DCD,
    deltas: 0,
    lineBusyUntil: 0,
    timeoutAt: null,
  };
}

const BOUNDS: Bounds = {
  ier: 0x0f,
  fcr: 0xff,
  lcr: 0xff,
  mcr: 0x1f,
  scr: 0xff,
  divisor: 0xffff,
  errors: LSR_ERRORS,
  received: { items: 0xff | (LSR_ERRORS << 8), most: FIFO_SIZE },
  lines: MSR_LINES,
  deltas: MSR_DELTAS,
  lineBusyUntil: ANY_TIME,
  timeoutAt: ANY_TIME_OR_NULL,
};

/** One serial port. */
export class Uart16550 implements Chip, SerialEndpoint {
  readonly name: string;
  onTransmit: (byte: number) => void = () => {};
  onCanReceive: () => void = () => {};
  private state = resetState();
  private readonly timeoutAlarm: Alarm;
  private readonly lineAlarm: Alarm;
  /** Eight ports. */
  readonly registers: RegisterAccess = {
    read: (offset) => this.read(offset),
    write: (offset, _size, value) => this.write(offset, value),
  };

  /** @param options `name` is `serial0` unless given */
  constructor(
    private readonly wires: { irq: Wire; clock: Clock },
    options: { name?: string } = {},
  ) {
    this.name = options.name ?? "serial0";
    this.timeoutAlarm = wires.clock.createAlarm(`${this.name} timeout`, () => this.timeOut());
    this.lineAlarm = wires.clock.createAlarm(`${this.name} line`, () => this.offer());
  }

  // --- the host's side ---

  canReceive(): boolean {
    const s = this.state;
    return (s.mcr & MCR_LOOP) === 0 && s.received.length < this.capacity() &&
      this.wires.clock.now() >= s.lineBusyUntil;
  }

  /** Gives one byte to the receiver, which is busy with it for the time of a character. Without room it is an overrun. */
  receive(byte: number): void {
    this.arrive(byte & 0xff);
  }

  /** A break on the line: a zero character with BI. */
  receiveBreak(): void {
    this.arrive(LSR_BI << 8);
  }

  private arrive(character: number): void {
    const s = this.state;
    if ((s.mcr & MCR_LOOP) !== 0) return;
    this.push(character);
    s.lineBusyUntil = this.wires.clock.now() + this.characterTime();
    this.lineAlarm.set(s.lineBusyUntil);
  }

  /** Sets the modem lines from outside; those not named keep their level. At first all but RI are asserted. */
  setModemLines(lines: ModemLines): void {
    const s = this.state, before = this.modemLines();
    const set = (bit: number, level: boolean | undefined) => {
      if (level !== undefined) s.lines = level ? s.lines | bit : s.lines & ~bit;
    };
    set(MSR_CTS, lines.cts);
    set(MSR_DSR, lines.dsr);
    set(MSR_RI, lines.ri);
    set(MSR_DCD, lines.dcd);
    this.noteModem(before);
    this.driveIrq();
  }

  /** Tells the host that there may be room again. */
  private offer(): void {
    if (this.canReceive()) this.onCanReceive();
  }

  // --- the guest's side ---

  private fifosOn(): boolean {
    return (this.state.fcr & FCR_ENABLE) !== 0;
  }

  private capacity(): number {
    return this.fifosOn() ? FIFO_SIZE : 1;
  }

  private trigger(): number {
    return this.fifosOn() ? TRIGGER_LEVELS[this.state.fcr >> 6] : 1;
  }

  /** Nanoseconds that a character takes on the line. */
  private characterTime(): number {
    const { lcr, divisor } = this.state;
    const bits = 1 + 5 + (lcr & 3) + ((lcr & LCR_PEN) !== 0 ? 1 : 0) +
      ((lcr & LCR_STB) !== 0 ? 2 : 1);
    return Math.ceil((bits * 16 * (divisor || 1) * 1e9) / CLOCK_HZ);
  }

  private push(character: number): void {
    const s = this.state;
    if (s.received.length < this.capacity()) s.received.push(character);
    else {
      s.errors |= LSR_OE;
      // Without FIFOs the new character takes the old one's place; with them it is lost.
      if (!this.fifosOn()) s.received[0] = character;
    }
    // Errors show when their character is the next to be read.
    if (s.received.length === 1) s.errors |= (s.received[0] >> 8) & LSR_ERRORS;
    this.startTimeout();
    this.driveIrq();
  }

  /** Section 8.8: four character times without a character coming or going, while there is one to read. */
  private startTimeout(): void {
    const s = this.state;
    s.timeoutAt = this.fifosOn() && s.received.length > 0
      ? this.wires.clock.now() + 4 * this.characterTime()
      : null;
    this.setTimeoutAlarm();
  }

  private setTimeoutAlarm(): void {
    const { timeoutAt } = this.state;
    if (timeoutAt === null) this.timeoutAlarm.cancel();
    else this.timeoutAlarm.set(timeoutAt);
  }

  private timeOut(): void {
    this.state.timeoutAt = null;
    this.state.timedOut = true;
    this.driveIrq();
  }

  /** IIR without the FIFO bits. */
  private cause(): number {
    const s = this.state;
    if ((s.ier & IER_ELSI) !== 0 && s.errors !== 0) return IIR_LINE;
    if ((s.ier & IER_ERBFI) !== 0 && s.received.length > 0) {
      if (s.received.length >= this.trigger()) return IIR_DATA;
      if (s.timedOut) return IIR_TIMEOUT;
    }
    if ((s.ier & IER_ETBEI) !== 0 && s.thrEmpty) return IIR_THRE;
    if ((s.ier & IER_EDSSI) !== 0 && s.deltas !== 0) return IIR_MODEM;
    return IIR_NONE;
  }

  private driveIrq(): void {
    // Looped back, the OUT2 pin is off.
    const enabled = (this.state.mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2;
    this.wires.irq(enabled && this.cause() !== IIR_NONE);
  }

  /** MSR's upper half. */
  private modemLines(): number {
    const { mcr, lines } = this.state;
    if ((mcr & MCR_LOOP) === 0) return lines;
    return ((mcr & MCR_RTS) !== 0 ? MSR_CTS : 0) | ((mcr & MCR_DTR) !== 0 ? MSR_DSR : 0) |
      ((mcr & MCR_OUT1) !== 0 ? MSR_RI : 0) | ((mcr & MCR_OUT2) !== 0 ? MSR_DCD : 0);
  }

  private noteModem(before: number): void {
    const now = this.modemLines();
    const changed = (before ^ now) >> 4;
    // RI counts only when it ends.
    const ringEnded = (before & ~now & MSR_RI) !== 0;
    this.state.deltas |= (changed & ~MSR_TERI) | (ringEnded ? MSR_TERI : 0);
  }

  private read(offset: number): number {
    const s = this.state;
    const dlab = (s.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case DATA:
        return dlab ? s.divisor & 0xff : this.readData();
      case IER:
        return dlab ? s.divisor >> 8 : s.ier;
      case IIR_FCR: {
        const cause = this.cause();
        if (cause === IIR_THRE) {
          s.thrEmpty = false;
          this.driveIrq();
        }
        return cause | (this.fifosOn() ? IIR_FIFOS : 0);
      }
      case LCR:
        return s.lcr;
      case MCR:
        return s.mcr;
      case LSR: {
        const value = this.lineStatus();
        s.errors = 0;
        if (s.received.length > 0) s.received[0] &= 0xff;
        this.driveIrq();
        return value;
      }
      case MSR: {
        const value = this.modemLines() | s.deltas;
        s.deltas = 0;
        this.driveIrq();
        return value;
      }
      case SCR:
        return s.scr;
      default:
        return 0xff;
    }
  }

  private lineStatus(): number {
    const s = this.state;
    const fifoError = this.fifosOn() && s.received.some((character) => character > 0xff);
    return LSR_THRE | LSR_TEMT | s.errors | (s.received.length > 0 ? LSR_DR : 0) |
      (fifoError ? LSR_FIFO_ERROR : 0);
  }

  private readData(): number {
    const s = this.state;
    const character = s.received.shift();
    if (character === undefined) return 0;
    s.timedOut = false;
    if (s.received.length > 0) s.errors |= (s.received[0] >> 8) & LSR_ERRORS;
    this.startTimeout();
    this.driveIrq();
    this.offer();
    return character & 0xff;
  }

  private write(offset: number, value: number): void {
    const s = this.state;
    const dlab = (s.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case DATA:
        if (dlab) s.divisor = (s.divisor & 0xff00) | value;
        else this.transmit(value);
        return;
      case IER:
        if (dlab) {
          s.divisor = (s.divisor & 0xff) | (value << 8);
          return;
        }
        // Enabling it while the transmitter is empty interrupts at once.
        if ((value & ~s.ier & IER_ETBEI) !== 0) s.thrEmpty = true;
        s.ier = value & 0x0f;
        break;
      case IIR_FCR:
        this.writeFcr(value);
        break;
      case LCR:
        s.lcr = value;
        break;
      case MCR: {
        const before = this.modemLines(), wasLooped = (s.mcr & MCR_LOOP) !== 0;
        s.mcr = value & 0x1f;
        this.noteModem(before);
        this.driveIrq();
        if (wasLooped) this.offer();
        return;
      }
      case LSR:
      case MSR:
        // Factory test only.
        return;
      case SCR:
        s.scr = value;
        return;
    }
    this.driveIrq();
  }

  private transmit(value: number): void {
    const s = this.state;
    s.thrEmpty = false;
    this.driveIrq();
    if ((s.mcr & MCR_LOOP) !== 0) this.push(value);
    else this.onTransmit(value);
    s.thrEmpty = true;
    this.driveIrq();
  }

  private writeFcr(value: number): void {
    const s = this.state;
    const toggled = ((value ^ s.fcr) & FCR_ENABLE) !== 0;
    // The other bits count only together with the enable bit.
    s.fcr = (value & FCR_ENABLE) !== 0 ? value & (FCR_ENABLE | FCR_DMA_MODE | FCR_TRIGGER) : 0;
    if (!toggled && ((value & FCR_ENABLE) === 0 || (value & FCR_CLEAR_RX) === 0)) return;
    s.received = [];
    s.timedOut = false;
    s.errors &= LSR_OE;
    this.startTimeout();
    this.driveIrq();
    this.offer();
  }

  reset(): void {
    // The modem lines belong to the other end.
    const { lines } = this.state;
    this.state = resetState();
    this.state.lines = lines;
    this.setTimeoutAlarm();
    this.lineAlarm.cancel();
    this.driveIrq();
    this.offer();
  }

  snapshot(): State {
    return { ...this.state, received: [...this.state.received] };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), BOUNDS);
    this.setTimeoutAlarm();
    const { lineBusyUntil } = this.state;
    if (lineBusyUntil >= this.wires.clock.now()) this.lineAlarm.set(lineBusyUntil);
    else this.lineAlarm.cancel();
    this.driveIrq();
  }
}
