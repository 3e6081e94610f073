/**
 * Intel 8254 programmable interval timer: three 16-bit counters at 1.193182 MHz.
 *
 * Intel 82C54 datasheet (order number 231244), sections "Programming the 82C54" and "Mode Definitions".
 *
 * A counter is kept as it was at one CLK pulse and brought up to date, in one step, when somebody looks:
 * what a guest reads is an exact function of virtual time, and no alarm is needed but for the edges of
 * counter 0's output.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, ANY_TIME_OR_NULL, type Bound, checkedState } from "./bounds.ts";
import { Ticks } from "./ticks.ts";

/** The rate of CLK in a PC. */
export const PIT_HZ = 1_193_182;

/** Offset of the control word; the counters are at 0 to 2. */
const CONTROL = 3;
/** Control word: SC = 3 is the read-back command, RW = 0 the counter latch command. */
const READ_BACK = 3, LATCH = 0, RW_LSB = 1, RW_MSB = 2, RW_BOTH = 3;
/** Read-back command, active low. */
const NO_COUNT = 0x20, NO_STATUS = 0x10;
/** Status byte. */
const STATUS_OUT = 0x80, STATUS_NULL_COUNT = 0x40;

interface Counter extends State {
  mode: number;
  bcd: boolean;
  rw: number;
  gate: boolean;
  out: boolean;
  /** CR as a count: 1 to 65536, or to 10000 in BCD. */
  reload: number;
  /** CE at CLK pulse `at`: 0 to 65536. */
  ce: number;
  at: number;
  /** The CLK pulse that moves CR to CE, if one is awaited. */
  loadAt: number | null;
  /** A count has been written since the control word: modes 1 and 5 may be triggered. */
  written: boolean;
  /** CE has been loaded since the control word. */
  loaded: boolean;
  /** The terminal count is still to come: modes 0, 1, 4 and 5 act on it once a load. */
  armed: boolean;
  /** Mode 0 between the two bytes of a count. */
  halted: boolean;
  nullCount: boolean;
  /** Mode 3: an odd count, whose high half lasts one CLK longer. */
  odd: boolean;
  /** The low byte of a two-byte count that is being written. */
  writeLow: number | null;
  /** The next byte read is the high one. */
  readHigh: boolean;
  /** Output latch and status latch. */
  latch: number | null;
  status: number | null;
}

const COUNTER_BOUNDS: Bound = {
  keys: {
    mode: 5,
    rw: { min: 1, max: 3 },
    reload: { min: 1, max: 0x10000 },
    ce: 0x10000,
    at: ANY_TIME,
    loadAt: ANY_TIME_OR_NULL,
    writeLow: { max: 0xff, nullable: true },
    latch: { max: 0xffff, nullable: true },
    status: { max: 0xff, nullable: true },
  },
};

/**
 * What firmware usually leaves: mode 3 with the longest count, as in QEMU. The datasheet leaves the state
 * after power-on undefined.
 */
function resetCounter(gate: boolean, at: number): Counter {
  return {
    mode: 3,
    bcd: false,
    rw: RW_BOTH,
    gate,
    out: true,
    reload: 0x10000,
    ce: 0x10000,
    at,
    loadAt: null,
    written: true,
    loaded: true,
    armed: true,
    halted: false,
    nullCount: false,
    odd: false,
    writeLow: null,
    readHigh: false,
    latch: null,
    status: null,
  };
}

const modulus = (c: Counter): number => (c.bcd ? 10_000 : 0x10000);
const isPeriodic = (c: Counter): boolean => c.mode === 2 || c.mode === 3;
const isTriggered = (c: Counter): boolean => c.mode === 1 || c.mode === 5;

/** Whether CE counts at each CLK pulse. */
function isCounting(c: Counter): boolean {
  return c.loaded && !c.halted && (c.gate || isTriggered(c));
}

/** CR moves to CE. */
function load(c: Counter): void {
  c.loaded = true;
  c.armed = true;
  c.nullCount = false;
  c.ce = c.reload;
  if (c.mode === 3) {
    c.odd = (c.reload & 1) !== 0;
    c.ce = c.reload & ~1;
  }
  c.out = c.mode !== 0 && c.mode !== 1;
}

/** Mode 3: CLK pulses until the output changes. */
function halfLeft(c: Counter): number {
  return (c.ce >> 1) + (c.odd && c.out ? 1 : 0);
}

/** Counts of 1 are illegal in modes 2 and 3; the output then stays high. */
const isStuck = (c: Counter): boolean => isPeriodic(c) && c.reload === 1;

/** Passes `n` CLK pulses, none of which loads a new count from the bus. */
function count(c: Counter, n: number): void {
  if (!isCounting(c)) return;
  switch (c.mode) {
    case 2: {
      if (n >= c.ce) {
        n -= c.ce;
        c.nullCount = false;
        n %= c.reload;
        c.ce = c.reload;
      }
      c.ce -= n;
      c.out = c.ce !== 1 || isStuck(c);
      return;
    }
    case 3: {
      let left = halfLeft(c);
      if (n < left) {
        c.ce -= 2 * n;
        return;
      }
      const toggle = () => {
        n -= left;
        c.out = !c.out;
        c.odd = (c.reload & 1) !== 0;
        c.ce = c.reload & ~1;
        c.nullCount = false;
        left = halfLeft(c);
      };
      if (isStuck(c)) {
        Object.assign(c, { out: true, odd: true, ce: 0, nullCount: false });
        return;
      }
      toggle();
      n %= c.reload;
      if (n >= left) toggle();
      c.ce -= 2 * n;
      return;
    }
    default: {
      const strobe = c.mode === 4 || c.mode === 5;
      if (strobe) c.out = true;
      // A count of the full modulus reaches zero only after as many pulses.
      if (c.armed && n >= c.ce) {
        c.armed = false;
        c.out = strobe ? n !== c.ce : true;
      }
      const m = modulus(c);
      c.ce = (((c.ce - n) % m) + m) % m;
    }
  }
}

/** Brings a counter up to CLK pulse `to`. */
function advance(c: Counter, to: number): void {
  if (c.loadAt !== null && c.loadAt <= to) {
    if (c.loadAt > c.at) count(c, c.loadAt - c.at);
    c.at = c.loadAt;
    c.loadAt = null;
    load(c);
  }
  if (to > c.at) {
    const n = to - c.at;
    c.at = to;
    if (n > 0) count(c, n);
  }
}

/** The CLK pulse of the next change of the output, if nobody writes before. */
function nextEdge(c: Counter): number {
  let edge = Infinity;
  if (isCounting(c) && !isStuck(c)) {
    if (c.mode === 2) edge = c.at + Math.max(1, c.ce - 1);
    else if (c.mode === 3) edge = c.at + Math.max(1, halfLeft(c));
    else if (c.armed) edge = c.at + Math.max(1, c.ce);
    else if ((c.mode === 4 || c.mode === 5) && !c.out) edge = c.at + 1;
  }
  // Loading may change the output as well.
  return c.loadAt === null ? edge : Math.min(edge, c.loadAt);
}

const toBcd = (n: number): number =>
  (n % 10) | ((Math.floor(n / 10) % 10) << 4) | ((Math.floor(n / 100) % 10) << 8) |
  ((Math.floor(n / 1000) % 10) << 12);

/** Digits above 9 count as their value, as in a counter that borrows digit by digit. */
const fromBcd = (n: number): number =>
  (n & 15) + ((n >> 4) & 15) * 10 + ((n >> 8) & 15) * 100 + ((n >> 12) & 15) * 1000;

function countOf(c: Counter): number {
  return c.bcd ? toBcd(c.ce) : c.ce & 0xffff;
}

/**
 * A counter as a bus cycle finds it. A cycle on the ISA bus takes longer than a CLK pulse, so a count written by
 * the cycle before has been loaded, while an instruction of the guest may take only some nanoseconds.
 */
function asSeen(c: Counter): Counter {
  if (c.loadAt === null) return c;
  const loaded = { ...c };
  advance(loaded, c.loadAt);
  return loaded;
}

/** The three counters of a PC's timer. */
export class I8254 implements Chip {
  readonly name = "i8254";
  private readonly ticks = new Ticks(PIT_HZ);
  private readonly alarm: Alarm;
  private state: { counters: Counter[] };
  /** What `irq` was last driven to. */
  private level = true;
  /** Ports 40h to 43h. */
  readonly registers: RegisterAccess = {
    read: (offset) => this.read(offset),
    write: (offset, _size, value) => this.write(offset, value),
  };

  /** `irq` is counter 0's OUT. */
  constructor(private readonly wires: { clock: Clock; irq: Wire }) {
    this.alarm = wires.clock.createAlarm("i8254", () => this.settle());
    this.state = this.resetState();
    this.schedule();
  }

  private resetState(): { counters: Counter[] } {
    const now = this.now();
    // The gates of counters 0 and 1 are tied high, counter 2's comes from port 61h.
    return { counters: [0, 1, 2].map((n) => resetCounter(n !== 2, now)) };
  }

  private now(): number {
    return this.ticks.at(this.wires.clock.now());
  }

  /** The level of a counter's OUT. */
  out(counter: number): boolean {
    const copy = { ...this.counter(counter) };
    advance(copy, this.now());
    return copy.out;
  }

  /** Drives a counter's GATE. */
  setGate(counter: number, level: boolean): void {
    const c = this.counter(counter);
    if (c.gate === level) return;
    this.settle();
    const now = this.now();
    advance(c, now);
    c.gate = level;
    if (level && c.mode !== 0 && c.mode !== 4 && c.written) c.loadAt = now + 1;
    if (!level && isPeriodic(c)) {
      c.out = true;
      // The trigger that would have reloaded is gone unless it is the first load.
      if (c.loaded) c.loadAt = null;
    }
    this.settle();
  }

  private counter(n: number): Counter {
    const c = this.state.counters[n];
    if (c === undefined) throw new RangeError(`counter ${n} does not exist: give 0 to 2`);
    return c;
  }

  /** Drives IRQ 0 through the edges up to now, and waits for the next. */
  private settle(): void {
    const c = this.state.counters[0], now = this.now();
    // More than a period in one step happens only where one instruction outlasts it.
    for (let i = 0; i < 4; i++) {
      const edge = nextEdge(c);
      if (edge > now) break;
      advance(c, edge);
      this.drive(c.out);
    }
    if (nextEdge(c) <= now) {
      this.drive(!c.out);
      this.drive(c.out);
    }
    advance(c, now);
    this.drive(c.out);
    this.schedule();
  }

  private drive(level: boolean): void {
    if (level === this.level) return;
    this.level = level;
    this.wires.irq(level);
  }

  private schedule(): void {
    const edge = nextEdge(this.state.counters[0]);
    if (edge === Infinity) this.alarm.cancel();
    else this.alarm.set(this.ticks.time(edge));
  }

  private read(offset: number): number {
    if (offset >= CONTROL) return 0xff;
    const c = this.state.counters[offset];
    if (c.status !== null) {
      const status = c.status;
      c.status = null;
      return status;
    }
    let value = c.latch;
    if (value === null) {
      if (offset === 0) this.settle();
      else advance(c, this.now());
      value = countOf(asSeen(c));
    }
    const high = c.rw === RW_MSB || (c.rw === RW_BOTH && c.readHigh);
    if (c.rw === RW_BOTH) c.readHigh = !c.readHigh;
    if (c.rw !== RW_BOTH || high) c.latch = null;
    return high ? value >> 8 : value & 0xff;
  }

  private write(offset: number, value: number): void {
    this.settle();
    const now = this.now();
    for (const c of this.state.counters) advance(c, now);
    if (offset === CONTROL) this.writeControl(value);
    else this.writeCount(this.state.counters[offset], value, now);
    this.settle();
  }

  private writeControl(value: number): void {
    const select = value >> 6, rw = (value >> 4) & 3;
    if (select === READ_BACK) {
      this.state.counters.forEach((c, n) => {
        if ((value & (2 << n)) === 0) return;
        if ((value & NO_COUNT) === 0) this.latchCount(c);
        if ((value & NO_STATUS) === 0) this.latchStatus(c);
      });
      return;
    }
    const c = this.state.counters[select];
    if (rw === LATCH) {
      this.latchCount(c);
      return;
    }
    const mode = (value >> 1) & 7;
    Object.assign(c, {
      // Bit 2 of the mode counts for nothing in modes 2 and 3.
      mode: mode > 5 ? mode - 4 : mode,
      bcd: (value & 1) !== 0,
      rw,
      out: mode !== 0,
      loadAt: null,
      written: false,
      loaded: false,
      armed: false,
      halted: false,
      nullCount: true,
      odd: false,
      writeLow: null,
      readHigh: false,
      latch: null,
      status: null,
    });
  }

  /** A count or status that has not been read yet stays. */
  private latchCount(c: Counter): void {
    c.latch ??= countOf(asSeen(c));
  }

  private latchStatus(counter: Counter): void {
    const c = asSeen(counter);
    counter.status ??= (c.out ? STATUS_OUT : 0) | (c.nullCount ? STATUS_NULL_COUNT : 0) |
      (c.rw << 4) |
      (c.mode << 1) | (c.bcd ? 1 : 0);
  }

  private writeCount(c: Counter, value: number, now: number): void {
    let raw: number;
    if (c.rw === RW_LSB) raw = value;
    else if (c.rw === RW_MSB) raw = value << 8;
    else if (c.writeLow === null) {
      c.writeLow = value;
      if (c.mode === 0) {
        c.halted = true;
        c.out = false;
        c.loadAt = null;
      }
      return;
    } else {
      raw = (value << 8) | c.writeLow;
      c.writeLow = null;
    }
    const m = modulus(c);
    c.reload = (c.bcd ? fromBcd(raw) : raw) % m || m;
    c.nullCount = true;
    c.halted = false;
    const first = !c.written;
    c.written = true;
    if (c.mode === 0) c.out = false;
    if (c.mode === 0 || c.mode === 4 || (isPeriodic(c) && first)) c.loadAt = now + 1;
  }

  reset(): void {
    const gates = this.state.counters.map((c) => c.gate);
    this.state = this.resetState();
    this.state.counters.forEach((c, n) => c.gate = gates[n]);
    this.level = true;
    this.wires.irq(true);
    this.schedule();
  }

  snapshot(): State {
    const [counter0, counter1, counter2] = this.state.counters.map((c) => ({ ...c }));
    return { counter0, counter1, counter2 };
  }

  restore(state: State): void {
    const like = resetCounter(true, 0);
    const { counter0, counter1, counter2 } = checkedState(
      this.name,
      state,
      { counter0: like, counter1: like, counter2: like },
      { counter0: COUNTER_BOUNDS, counter1: COUNTER_BOUNDS, counter2: COUNTER_BOUNDS },
    );
    this.state = { counters: [counter0, counter1, counter2] };
    this.level = counter0.out;
    this.wires.irq(this.level);
    this.schedule();
  }
}
