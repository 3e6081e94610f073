/**
 * Motorola MC146818A real-time clock with 128 bytes of CMOS memory, as in the PIIX3, and the NMI mask that
 * shares its index port.
 *
 * Motorola MC146818A datasheet (1988), sections "Address Map", "Update Cycle", "Interrupts" and "Registers".
 *
 * Deviation: daylight saving (DSE) is ignored, as in later chips; the square-wave pin is not wired in a PC.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, type Bounds, checkedState } from "./bounds.ts";
import { Ticks } from "./ticks.ts";

const SECONDS = 0,
  SECONDS_ALARM = 1,
  MINUTES = 2,
  MINUTES_ALARM = 3,
  HOURS = 4,
  HOURS_ALARM = 5,
  DAY_OF_WEEK = 6,
  DATE = 7,
  MONTH = 8,
  YEAR = 9,
  REGISTER_A = 10,
  REGISTER_B = 11,
  REGISTER_C = 12,
  REGISTER_D = 13,
  /** Where PC firmware keeps the century; the PIIX family counts it along. */
  CENTURY = 0x32;

/** Register A: update in progress, divider, rate. */
const UIP = 0x80, DV_RESET = 0x60, RS = 0x0f;
/** Divider for a 32,768 Hz crystal and a periodic rate of 1,024 Hz. */
const REGISTER_A_DEFAULT = 0x26;
/** Register B. */
const SET = 0x80,
  PIE = 0x40,
  AIE = 0x20,
  UIE = 0x10,
  SQWE = 0x08,
  DM_BINARY = 0x04,
  HOURS_24 = 0x02;
/** Register C. */
const IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10;
/** Register D: valid RAM and time. */
const VRT = 0x80;
const PM = 0x80;
/** An alarm byte with both top bits set matches every value. */
const DONT_CARE = 0xc0;

const HZ = 32_768;
/** From the rise of UIP to the end of the update: tBUC = 244 us and tUC = 1984 us, in periods of the crystal. */
const UPDATE_TICKS = 73;
const NMI_DISABLE = 0x80;
const DAY = 86_400;

/** How the clock starts. */
export interface Mc146818Options {
  /** The date and time at virtual time 0, in milliseconds since 1970-01-01T00:00:00Z. Default 2026-01-01T00:00:00Z. */
  start?: number;
}

interface RtcState extends State {
  /** All 128 bytes as the guest reads them, but for UIP. */
  cmos: Uint8Array;
  index: number;
  nmiMasked: boolean;
  /** Crystal period at which the dividers were zero, a second's end; null while they are held in reset. */
  origin: number | null;
  /** Crystal period up to which seconds and flags have been worked out. */
  seen: number;
}

const BOUNDS: Bounds = {
  index: 0x7f,
  origin: { min: -HZ, max: Number.MAX_SAFE_INTEGER, nullable: true },
  seen: ANY_TIME,
};

const toBcd = (n: number): number => (Math.floor(n / 10) << 4) | (n % 10);
const fromBcd = (n: number): number => (n >> 4) * 10 + (n & 15);

/** The real-time clock and CMOS memory. */
export class Mc146818 implements Chip {
  readonly name = "mc146818";
  private readonly ticks = new Ticks(HZ);
  private readonly alarm: Alarm;
  private state: RtcState;
  /** Ports 70h and 71h. */
  readonly registers: RegisterAccess = {
    read: (offset) => offset === 0 ? 0xff : this.read(),
    write: (offset, _size, value) => offset === 0 ? this.writeIndex(value) : this.write(value),
  };

  /**
   * `irq` is IRQ 8; `nmiMask` is high while bit 7 of port 70h keeps NMI from the processor.
   *
   * @throws {RangeError} when the start is not a date in the years 0 to 9999
   */
  constructor(
    private readonly wires: { clock: Clock; irq: Wire; nmiMask?: Wire },
    options: Mc146818Options = {},
  ) {
    const { start = Date.UTC(2026, 0, 1) } = options;
    const startYear = new Date(start).getUTCFullYear();
    if (!(startYear >= 0 && startYear <= 9999)) {
      throw new RangeError(
        `start ${start} is out of range: give milliseconds since 1970, in the years 0 to 9999`,
      );
    }
    this.alarm = wires.clock.createAlarm("mc146818", () => this.settle());
    this.state = {
      cmos: new Uint8Array(128),
      index: 0,
      nmiMasked: false,
      origin: 0,
      seen: 0,
    };
    const { cmos } = this.state;
    cmos[REGISTER_A] = REGISTER_A_DEFAULT;
    cmos[REGISTER_B] = HOURS_24;
    cmos[REGISTER_D] = VRT;
    this.writeTime(Math.floor(start / 1000));
    // The fraction of a second is spent already.
    const fraction = start - Math.floor(start / 1000) * 1000;
    this.state.origin = fraction === 0 ? 0 : -Math.floor((fraction * HZ) / 1000);
    this.settle();
  }

  /** Whether NMI is masked by bit 7 of the index port. */
  get nmiMasked(): boolean {
    return this.state.nmiMasked;
  }

  /** A byte of CMOS memory, for boards and monitors; time included. */
  getCmos(index: number): number {
    checkIndex(index);
    this.settle();
    return this.state.cmos[index];
  }

  /** Sets a byte of CMOS memory as a board does before power-on: memory size, boot order. */
  setCmos(index: number, value: number): void {
    checkIndex(index);
    if (!Number.isInteger(value) || value < 0 || value > 0xff) {
      throw new RangeError(`CMOS value ${value} is out of range: give a byte`);
    }
    this.settle();
    this.state.cmos[index] = value;
    this.settle();
  }

  private now(): number {
    return this.ticks.at(this.wires.clock.now());
  }

  /** The end of the first second after tick `after`. */
  private nextSecond(after: number): number {
    const origin = this.state.origin!;
    return origin + (Math.floor((after - origin) / HZ) + 1) * HZ;
  }

  /** Crystal periods between periodic interrupts, 0 for none. */
  private period(): number {
    const rate = this.state.cmos[REGISTER_A] & RS;
    // The two fastest rates of a 32,768 Hz crystal repeat slower ones: table 5.
    return rate === 0 ? 0 : 1 << (rate < 3 ? rate + 6 : rate - 1);
  }

  /** Works out what has happened up to now: seconds, flags, the interrupt line, the next alarm. */
  private settle(): void {
    const s = this.state, now = this.now();
    if (s.origin !== null && now > s.seen) {
      const period = this.period();
      if (period !== 0) {
        const passed = Math.floor((now - s.origin) / period) -
          Math.floor((s.seen - s.origin) / period);
        if (passed > 0) s.cmos[REGISTER_C] |= PF;
      }
      const seconds = Math.floor((now - s.origin) / HZ) - Math.floor((s.seen - s.origin) / HZ);
      if (seconds > 0 && (s.cmos[REGISTER_B] & SET) === 0) this.update(seconds);
    }
    s.seen = Math.max(now, s.seen);
    this.driveIrq();
    this.schedule();
  }

  /** Update cycles at the ends of `seconds` seconds. */
  private update(seconds: number): void {
    const { cmos } = this.state;
    const wait = this.secondsToAlarm();
    if (wait !== null && wait <= seconds) cmos[REGISTER_C] |= AF;
    cmos[REGISTER_C] |= UF;
    this.writeTime(this.readTime() + seconds);
  }

  private driveIrq(): void {
    const { cmos } = this.state;
    const active = (cmos[REGISTER_B] & cmos[REGISTER_C] & (PF | AF | UF)) !== 0;
    cmos[REGISTER_C] = (cmos[REGISTER_C] & ~IRQF) | (active ? IRQF : 0);
    this.wires.irq(active);
  }

  /** An alarm is needed only for what would raise the line. */
  private schedule(): void {
    const s = this.state, b = s.cmos[REGISTER_B];
    let tick = Infinity;
    if (s.origin !== null && (s.cmos[REGISTER_C] & IRQF) === 0) {
      const period = this.period();
      if ((b & PIE) !== 0 && period !== 0) {
        tick = s.origin + (Math.floor((s.seen - s.origin) / period) + 1) * period;
      }
      if ((b & SET) === 0) {
        const second = this.nextSecond(s.seen);
        if ((b & UIE) !== 0) tick = Math.min(tick, second);
        const wait = (b & AIE) !== 0 ? this.secondsToAlarm() : null;
        if (wait !== null) tick = Math.min(tick, second + (wait - 1) * HZ);
      }
    }
    if (tick === Infinity) this.alarm.cancel();
    else this.alarm.set(this.ticks.time(tick));
  }

  private decode(value: number): number {
    return (this.state.cmos[REGISTER_B] & DM_BINARY) !== 0 ? value : fromBcd(value);
  }

  private encode(value: number): number {
    return (this.state.cmos[REGISTER_B] & DM_BINARY) !== 0 ? value : toBcd(value);
  }

  private decodeHours(value: number): number {
    if ((this.state.cmos[REGISTER_B] & HOURS_24) !== 0) return this.decode(value);
    const hours = this.decode(value & ~PM) % 12;
    return (value & PM) !== 0 ? hours + 12 : hours;
  }

  private encodeHours(hours: number): number {
    if ((this.state.cmos[REGISTER_B] & HOURS_24) !== 0) return this.encode(hours);
    return this.encode(hours % 12 || 12) | (hours >= 12 ? PM : 0);
  }

  /** The date and time in the registers, in seconds since 1970. Impossible dates count on from possible ones. */
  private readTime(): number {
    const { cmos } = this.state;
    const year = fromBcd(cmos[CENTURY]) * 100 + this.decode(cmos[YEAR]) % 100;
    const date = new Date(0);
    date.setUTCFullYear(year, this.decode(cmos[MONTH]) - 1, this.decode(cmos[DATE]));
    return date.getTime() / 1000 + this.decodeHours(cmos[HOURS]) * 3600 +
      this.decode(cmos[MINUTES]) * 60 + this.decode(cmos[SECONDS]);
  }

  private writeTime(time: number): void {
    const { cmos } = this.state;
    const date = new Date(time * 1000);
    const year = date.getUTCFullYear();
    cmos[SECONDS] = this.encode(date.getUTCSeconds());
    cmos[MINUTES] = this.encode(date.getUTCMinutes());
    cmos[HOURS] = this.encodeHours(date.getUTCHours());
    cmos[DAY_OF_WEEK] = this.encode(date.getUTCDay() + 1);
    cmos[DATE] = this.encode(date.getUTCDate());
    cmos[MONTH] = this.encode(date.getUTCMonth() + 1);
    cmos[YEAR] = this.encode(((year % 100) + 100) % 100);
    cmos[CENTURY] = toBcd(Math.floor((((year % 10_000) + 10_000) % 10_000) / 100));
  }

  /** Updates until the alarm bytes match, 1 to 86,400, or null when they match no time. */
  private secondsToAlarm(): number | null {
    const { cmos } = this.state;
    const wanted = (index: number, hours = false): number =>
      (cmos[index] & DONT_CARE) === DONT_CARE
        ? -1
        : hours
        ? this.decodeHours(cmos[index])
        : this.decode(cmos[index]);
    const second = wanted(SECONDS_ALARM);
    const minute = wanted(MINUTES_ALARM);
    const hour = wanted(HOURS_ALARM, true);
    if (second > 59 || minute > 59 || hour > 23) return null;
    const now = ((this.readTime() % DAY) + DAY) % DAY;
    for (let wait = 1; wait <= DAY;) {
      const time = (now + wait) % DAY;
      if (hour >= 0 && Math.floor(time / 3600) !== hour) wait += 3600 - time % 3600;
      else if (minute >= 0 && Math.floor(time / 60) % 60 !== minute) wait += 60 - time % 60;
      else if (second >= 0 && time % 60 !== second) wait++;
      else return wait;
    }
    return null;
  }

  private updateInProgress(): boolean {
    const s = this.state;
    if (s.origin === null || (s.cmos[REGISTER_B] & SET) !== 0) return false;
    return this.nextSecond(s.seen) - s.seen <= UPDATE_TICKS;
  }

  private writeIndex(value: number): void {
    this.state.index = value & 0x7f;
    this.state.nmiMasked = (value & NMI_DISABLE) !== 0;
    this.wires.nmiMask?.(this.state.nmiMasked);
  }

  private read(): number {
    const { cmos, index } = this.state;
    if (index <= REGISTER_C || index === CENTURY) this.settle();
    const value = cmos[index];
    if (index === REGISTER_A) return (value & ~UIP) | (this.updateInProgress() ? UIP : 0);
    if (index === REGISTER_C) {
      cmos[REGISTER_C] = 0;
      this.settle();
    }
    return value;
  }

  private write(value: number): void {
    const s = this.state, { cmos, index } = s;
    if (index > REGISTER_D && index !== CENTURY) {
      cmos[index] = value;
      return;
    }
    this.settle();
    switch (index) {
      case REGISTER_A:
        cmos[REGISTER_A] = value & ~UIP;
        if ((value & DV_RESET) === DV_RESET) s.origin = null;
        // The first update comes half a second after the dividers are let go.
        else s.origin ??= s.seen - HZ / 2;
        break;
      case REGISTER_B:
        cmos[REGISTER_B] = (value & SET) !== 0 ? value & ~UIE : value;
        break;
      case REGISTER_C:
      case REGISTER_D:
        break;
      default:
        cmos[index] = value;
    }
    this.settle();
  }

  /** The battery keeps time and memory; RESET clears the interrupt enables and flags. */
  reset(): void {
    this.settle();
    const { cmos } = this.state;
    cmos[REGISTER_B] &= ~(PIE | AIE | UIE | SQWE);
    cmos[REGISTER_C] = 0;
    this.writeIndex(0);
    this.settle();
  }

  snapshot(): State {
    return { ...this.state, cmos: this.state.cmos.slice() };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, this.state, BOUNDS);
    this.wires.nmiMask?.(this.state.nmiMasked);
    this.driveIrq();
    this.schedule();
  }
}

function checkIndex(index: number): void {
  if (!Number.isInteger(index) || index < 0 || index > 0x7f) {
    throw new RangeError(`CMOS index ${index} is out of range: give 0 to 127`);
  }
}
