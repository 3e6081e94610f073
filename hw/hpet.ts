/**
 * High precision event timers: a 64-bit counter at 100 MHz and three comparators.
 *
 * IA-PC HPET Specification, revision 1.0a, sections 2.3 "Memory Mapped Registers" and 2.4. Capabilities
 * are those of QEMU's board `pc`: all timers periodic, 64 bits wide, routed to I/O APIC input 2 unless they
 * replace the 8254 and the real-time clock; no interrupts by FSB messages.
 *
 * A comparator matches when the counter equals it, as in the specification. (QEMU also takes one that lies
 * in the past.)
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import type { Chip, State, Wire } from "../core/chip.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, ANY_TIME_OR_NULL, type Bound, checkedState } from "./bounds.ts";

/** Physical address and size of the registers in a PC. */
export const HPET_BASE = 0xfed00000, HPET_SIZE = 0x400;
/** Comparators. */
export const HPET_TIMERS = 3;
/** Event timer block identification, of the ACPI table too: Intel, legacy routing, 64 bits, three timers, revision 1. */
export const HPET_ID = 0x8086a201;

/** Offsets of general registers; each is 64 bits wide. */
const CAP_ID = 0x00, CONF = 0x10, STATUS = 0x20, COUNTER = 0xf0;
/** Offsets of timer registers, and within one timer's. */
const TIMERS = 0x100, TIMER_STRIDE = 0x20, TN_CONF = 0x00, TN_COMPARATOR = 0x08;

/** One tick in nanoseconds, and in femtoseconds. */
const TICK_NS = 10, TICK_FS = 10_000_000;

const ENABLE_CNF = 1 << 0, LEG_RT_CNF = 1 << 1;

const TN_INT_TYPE = 1 << 1,
  TN_INT_ENB = 1 << 2,
  TN_TYPE = 1 << 3,
  TN_PER_INT_CAP = 1 << 4,
  TN_SIZE_CAP = 1 << 5,
  TN_VAL_SET = 1 << 6,
  TN_32MODE = 1 << 8,
  TN_INT_ROUTE_SHIFT = 9;
const TN_WRITABLE = TN_INT_TYPE | TN_INT_ENB | TN_TYPE | TN_VAL_SET | TN_32MODE | 0x3e00;
/** Inputs of the I/O APIC that a timer may be routed to. */
const ROUTES = 1 << 2;

const WRAP = 1n << 64n, WRAP_32 = 1n << 32n;

interface TimerState extends State {
  conf: number;
  comparatorLow: number;
  comparatorHigh: number;
  periodLow: number;
  periodHigh: number;
  /** When its alarm is set to ring. */
  due: number | null;
}

interface HpetState extends State {
  conf: number;
  status: number;
  /** The counter at the instant `since`, and for as long as it is halted. */
  counterLow: number;
  counterHigh: number;
  since: number;
  timers: TimerState[];
}

function resetTimer(): TimerState {
  return {
    conf: TN_PER_INT_CAP | TN_SIZE_CAP,
    comparatorLow: 0xffffffff,
    comparatorHigh: 0xffffffff,
    periodLow: 0,
    periodHigh: 0,
    due: null,
  };
}

function resetState(): HpetState {
  return {
    conf: 0,
    status: 0,
    counterLow: 0,
    counterHigh: 0,
    since: 0,
    timers: Array.from({ length: HPET_TIMERS }, resetTimer),
  };
}

const U32 = 0xffffffff;
const TIMER_BOUND: Bound = {
  keys: {
    conf: 0xffff,
    comparatorLow: U32,
    comparatorHigh: U32,
    periodLow: U32,
    periodHigh: U32,
    due: ANY_TIME_OR_NULL,
  },
};

/** What it is joined to. */
export interface HpetWires {
  clock: Clock;
  /** Lines 0 and 8 of the ISA bus, which timers 0 and 1 drive in legacy replacement mode. */
  isa: readonly [Wire, Wire];
  /** Input 2 of the I/O APIC. */
  input2: Wire;
  /** Whether the 8254 and the real-time clock must not drive their lines. */
  replaces: Wire;
}

function join(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The timers. */
export class Hpet implements Chip {
  readonly name = "hpet";
  private state = resetState();
  private readonly alarms: Alarm[];

  /** The registers: claim {@linkcode HPET_SIZE} bytes with `sizes: [4]`. */
  readonly registers: RegisterAccess = {
    read: (offset) => (offset & 3) === 0 ? this.read(offset) : 0,
    write: (offset, _size, value) => {
      if ((offset & 3) === 0) this.write(offset, value >>> 0);
    },
  };

  constructor(private readonly wires: HpetWires) {
    this.alarms = this.state.timers.map((_, n) =>
      wires.clock.createAlarm(`hpet ${n}`, () => this.ring(n))
    );
  }

  private get running(): boolean {
    return (this.state.conf & ENABLE_CNF) !== 0;
  }

  /** The main counter. */
  private get counter(): bigint {
    const { counterLow, counterHigh, since } = this.state;
    const base = join(counterLow, counterHigh);
    if (!this.running) return base;
    const ticks = Math.floor((this.wires.clock.now() - since) / TICK_NS);
    return (base + BigInt(ticks)) % WRAP;
  }

  private setCounter(value: bigint): void {
    this.state.counterLow = Number(value % WRAP_32);
    this.state.counterHigh = Number(value >> 32n);
    this.state.since = this.wires.clock.now();
  }

  /** What a timer's comparison wraps at. */
  private wrap({ conf }: TimerState): bigint {
    return (conf & TN_32MODE) !== 0 ? WRAP_32 : WRAP;
  }

  /** Ticks from now to the next match; 0 is now. */
  private distance(timer: TimerState): bigint {
    const wrap = this.wrap(timer);
    const comparator = join(timer.comparatorLow, timer.comparatorHigh);
    return (comparator - this.counter % wrap + wrap) % wrap;
  }

  private isPeriodic(timer: TimerState): boolean {
    return (timer.conf & TN_TYPE) !== 0 && (timer.periodLow | timer.periodHigh) !== 0;
  }

  /**
   * Moves a periodic comparator beyond the counter. Called for timers whose matches nobody waits for;
   * that one has been passed shows by its distance, which is then more than a period.
   */
  private catchUp(timer: TimerState): void {
    if (!this.running || !this.isPeriodic(timer)) return;
    const wrap = this.wrap(timer), period = join(timer.periodLow, timer.periodHigh) % wrap;
    const distance = this.distance(timer);
    if (period === 0n || distance <= period) return;
    const behind = wrap - distance;
    // A comparator that lies further ahead than behind has not been passed: software put it there.
    if (behind > distance) return;
    this.advance(timer, behind / period + 1n);
  }

  private advance(timer: TimerState, periods: bigint): void {
    const wrap = this.wrap(timer), period = join(timer.periodLow, timer.periodHigh);
    const next = (join(timer.comparatorLow, timer.comparatorHigh) + periods * period) % wrap;
    timer.comparatorLow = Number(next % WRAP_32);
    timer.comparatorHigh = Number(next >> 32n);
  }

  /** Sets the alarm of a timer for its next match, if anything comes of it. */
  private schedule(n: number, matched = false): void {
    const timer = this.state.timers[n], alarm = this.alarms[n];
    this.catchUp(timer);
    timer.due = null;
    if (this.running && (timer.conf & (TN_INT_ENB | TN_INT_TYPE)) !== 0) {
      let ticks = this.distance(timer);
      if (ticks === 0n && matched) ticks = this.wrap(timer);
      const { clock } = this.wires, { since } = this.state;
      const passed = Math.floor((clock.now() - since) / TICK_NS);
      const due = since + (passed + Number(ticks)) * TICK_NS;
      if (due <= Number.MAX_SAFE_INTEGER) timer.due = due;
    }
    if (timer.due === null) alarm.cancel();
    else alarm.set(timer.due);
  }

  /** A comparator matches. */
  private ring(n: number): void {
    const timer = this.state.timers[n];
    if (this.isPeriodic(timer)) {
      const wrap = this.wrap(timer), period = join(timer.periodLow, timer.periodHigh) % wrap;
      const behind = (wrap - this.distance(timer)) % wrap;
      this.advance(timer, period === 0n ? 1n : behind / period + 1n);
    }
    this.schedule(n, true);
    if ((timer.conf & TN_INT_TYPE) !== 0) {
      this.state.status |= 1 << n;
      this.drive();
    } else if ((timer.conf & TN_INT_ENB) !== 0) {
      const wire = this.output(n);
      wire?.(true);
      wire?.(false);
    }
  }

  /** The line that a timer drives now. */
  private output(n: number): Wire | undefined {
    const { isa, input2 } = this.wires;
    if ((this.state.conf & LEG_RT_CNF) !== 0 && n < isa.length) return isa[n];
    const route = (this.state.timers[n].conf >>> TN_INT_ROUTE_SHIFT) & 0x1f;
    return ((1 << route) & ROUTES) !== 0 ? input2 : undefined;
  }

  /** Drives all lines by the level-triggered timers that ask. */
  private drive(): void {
    const { isa, input2, replaces } = this.wires, { status, timers } = this.state;
    const asking = timers.flatMap(({ conf }, n) => {
      const enabled = (conf & TN_INT_TYPE) !== 0 && (conf & TN_INT_ENB) !== 0;
      return enabled && (status & (1 << n)) !== 0 ? [this.output(n)] : [];
    });
    replaces((this.state.conf & LEG_RT_CNF) !== 0);
    for (const wire of [...isa, input2]) wire(asking.includes(wire));
  }

  private read(offset: number): number {
    const { state } = this, high = (offset & 4) !== 0;
    switch (offset & ~4) {
      case CAP_ID:
        return high ? TICK_FS : HPET_ID;
      case CONF:
        return high ? 0 : state.conf;
      case STATUS:
        return high ? 0 : state.status;
      case COUNTER:
        return Number(high ? this.counter >> 32n : this.counter % WRAP_32);
    }
    const timer = this.timerAt(offset);
    if (timer === undefined) return 0;
    switch (offset & (TIMER_STRIDE - 1) & ~4) {
      case TN_CONF:
        return high ? ROUTES : timer.conf;
      case TN_COMPARATOR:
        this.catchUp(timer);
        return high ? timer.comparatorHigh : timer.comparatorLow;
    }
    return 0;
  }

  private timerAt(offset: number): TimerState | undefined {
    return offset < TIMERS
      ? undefined
      : this.state.timers[Math.floor((offset - TIMERS) / TIMER_STRIDE)];
  }

  private write(offset: number, value: number): void {
    const { state } = this, high = (offset & 4) !== 0;
    switch (offset & ~4) {
      case CONF:
        if (!high) this.writeConf(value & (ENABLE_CNF | LEG_RT_CNF));
        return;
      case STATUS:
        if (!high) state.status &= ~value;
        return this.drive();
      case COUNTER: {
        const low = high ? Number(this.counter % WRAP_32) : value;
        this.setCounter(join(low, high ? value : Number(this.counter >> 32n)));
        return this.scheduleAll();
      }
    }
    const timer = this.timerAt(offset);
    if (timer === undefined) return;
    const n = state.timers.indexOf(timer);
    switch (offset & (TIMER_STRIDE - 1) & ~4) {
      case TN_CONF:
        if (!high) this.writeTimer(n, value);
        return;
      case TN_COMPARATOR:
        return this.writeComparator(n, high, value);
    }
  }

  private writeConf(value: number): void {
    const { state } = this;
    // The counter stands still while it is halted, and goes on from there.
    this.state.timers.forEach((timer) => this.catchUp(timer));
    this.setCounter(this.counter);
    state.conf = value;
    this.scheduleAll();
    this.drive();
  }

  private writeTimer(n: number, value: number): void {
    const timer = this.state.timers[n];
    // By the mode that it was in.
    this.catchUp(timer);
    let conf = (value & TN_WRITABLE) | TN_PER_INT_CAP | TN_SIZE_CAP;
    // Software finds out what a timer can be routed to by reading back what it wrote.
    const route = (value >>> TN_INT_ROUTE_SHIFT) & 0x1f;
    if (((1 << route) & ROUTES) === 0) conf &= ~(0x1f << TN_INT_ROUTE_SHIFT);
    timer.conf = conf;
    if ((conf & TN_32MODE) !== 0) timer.comparatorHigh = timer.periodHigh = 0;
    if ((conf & TN_INT_TYPE) === 0) this.state.status &= ~(1 << n);
    this.schedule(n);
    this.drive();
  }

  private writeComparator(n: number, high: boolean, value: number): void {
    const timer = this.state.timers[n];
    if (high && (timer.conf & TN_32MODE) !== 0) return;
    const periodic = (timer.conf & TN_TYPE) !== 0;
    if (periodic) timer[high ? "periodHigh" : "periodLow"] = value;
    // While periodic, the comparator itself is written only where VAL_SET says so.
    if (!periodic || (timer.conf & TN_VAL_SET) !== 0) {
      timer[high ? "comparatorHigh" : "comparatorLow"] = value;
    }
    timer.conf &= ~TN_VAL_SET;
    this.schedule(n);
  }

  private scheduleAll(): void {
    this.state.timers.forEach((_, n) => this.schedule(n));
  }

  reset(): void {
    this.state = resetState();
    for (const alarm of this.alarms) alarm.cancel();
    this.drive();
  }

  snapshot(): State {
    return { ...this.state, timers: this.state.timers.map((timer) => ({ ...timer })) };
  }

  restore(state: State): void {
    this.state = checkedState(this.name, state, resetState(), {
      conf: ENABLE_CNF | LEG_RT_CNF,
      status: (1 << HPET_TIMERS) - 1,
      counterLow: U32,
      counterHigh: U32,
      since: ANY_TIME,
      timers: { items: TIMER_BOUND, most: HPET_TIMERS, least: HPET_TIMERS },
    });
    this.state.timers.forEach(({ due }, n) => {
      if (due === null) this.alarms[n].cancel();
      else this.alarms[n].set(due);
    });
    this.drive();
  }
}
