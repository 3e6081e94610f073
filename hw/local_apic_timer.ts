/**
 * The timer of a local APIC: one-shot, periodic, and TSC-deadline.
 *
 * Intel SDM vol. 3, section 11.5.4 "APIC Timer".
 *
 * It is kept as it was at one instant and brought up to date when somebody looks. An alarm is set only
 * while an interrupt can come of it.
 */
import type { State } from "../core/chip.ts";
import type { Alarm, Clock } from "../core/machine/clock.ts";
import { ANY_TIME, ANY_TIME_OR_NULL, type Bound } from "./bounds.ts";

/** Timer modes: bits 18:17 of the timer's local vector table entry. */
export const ONE_SHOT = 0, PERIODIC = 1, TSC_DEADLINE = 2;

/** Bits of the divide configuration register. */
const DIVIDE_MASK = 0xb;

/** State of the timer, part of its APIC's. The bus clock has one tick a virtual nanosecond. */
export interface TimerState extends State {
  mode: number;
  masked: boolean;
  divide: number;
  initial: number;
  /** The count at the instant `since`; 0 when it does not count. */
  count: number;
  since: number;
  /** IA32_TSC_DEADLINE while armed, as the instant of the clock. */
  deadlineLow: number;
  deadlineHigh: number;
  /** When the alarm is set to ring. */
  due: number | null;
}

/** Bounds of {@linkcode TimerState}. */
export const TIMER_BOUNDS: Bound = {
  keys: {
    mode: 3,
    divide: DIVIDE_MASK,
    initial: 0xffffffff,
    count: 0xffffffff,
    since: ANY_TIME,
    deadlineLow: 0xffffffff,
    deadlineHigh: 0xffffffff,
    due: ANY_TIME_OR_NULL,
  },
};

/** The state after a reset. */
export function resetTimer(): TimerState {
  return {
    mode: ONE_SHOT,
    masked: true,
    divide: 0,
    initial: 0,
    count: 0,
    since: 0,
    deadlineLow: 0,
    deadlineHigh: 0,
    due: null,
  };
}

/** The timer. */
export class LocalApicTimer {
  private state = resetTimer();
  private readonly alarm: Alarm;

  /** @param expire called at each expiry while the timer is not masked */
  constructor(name: string, private readonly clock: Clock, private readonly expire: () => void) {
    this.alarm = clock.createAlarm(name, () => this.ring());
  }

  /** Nanoseconds in one count. */
  private get period(): number {
    const { divide } = this.state;
    const code = (divide & 3) | ((divide & 8) >> 1);
    return code === 7 ? 1 : 2 << code;
  }

  /** Counts that have passed since `since`. */
  private get passed(): number {
    return Math.floor((this.clock.now() - this.state.since) / this.period);
  }

  /** The current-count register. */
  get current(): number {
    const { mode, count, initial } = this.state;
    if (mode === TSC_DEADLINE || count === 0) return 0;
    const { passed } = this;
    if (passed < count) return count - passed;
    if (mode !== PERIODIC || initial === 0) return 0;
    return initial - ((passed - count) % initial);
  }

  /** The initial-count register. */
  get initial(): number {
    return this.state.initial;
  }
  set initial(value: number) {
    // It does not exist in TSC-deadline mode: writes are ignored (11.5.4.1).
    if (this.state.mode === TSC_DEADLINE) return;
    this.state.initial = this.state.count = value;
    this.state.since = this.clock.now();
    this.schedule();
  }

  /** The divide configuration register. */
  get divide(): number {
    return this.state.divide;
  }
  set divide(value: number) {
    this.settle();
    this.state.divide = value & DIVIDE_MASK;
    this.schedule();
  }

  /** Takes over mode and mask of the local vector table entry. */
  configure(mode: number, masked: boolean): void {
    const { state } = this;
    if (mode !== state.mode) {
      this.settle();
      // To and from TSC-deadline mode disarms (11.5.4.1).
      if (mode === TSC_DEADLINE || state.mode === TSC_DEADLINE) state.count = state.initial = 0;
      state.deadlineLow = state.deadlineHigh = 0;
      state.mode = mode;
    }
    state.masked = masked;
    this.schedule();
  }

  /** IA32_TSC_DEADLINE, as an instant of the clock: 0 when not armed. */
  get deadline(): { low: number; high: number } {
    const { deadlineLow: low, deadlineHigh: high } = this.state;
    return high * 2 ** 32 + low > this.clock.now() ? { low, high } : { low: 0, high: 0 };
  }

  /** Arms TSC-deadline mode; 0 disarms. An instant that is over rings at once. */
  setDeadline(low: number, high: number): void {
    const { state } = this;
    if (state.mode !== TSC_DEADLINE) return;
    state.deadlineLow = low >>> 0;
    state.deadlineHigh = high >>> 0;
    const at = state.deadlineHigh * 2 ** 32 + state.deadlineLow;
    const over = at !== 0 && at <= this.clock.now();
    if (over) state.deadlineLow = state.deadlineHigh = 0;
    this.schedule();
    if (over && !state.masked) this.expire();
  }

  /** Makes now the instant that the count is kept at. */
  private settle(): void {
    const { state } = this;
    state.count = this.current;
    state.since = this.clock.now();
  }

  /** The next expiry that is still to come. */
  private next(): number | null {
    const { mode, count, initial, since, deadlineLow, deadlineHigh } = this.state;
    if (mode === TSC_DEADLINE) {
      const at = deadlineHigh * 2 ** 32 + deadlineLow;
      return at > this.clock.now() && at <= Number.MAX_SAFE_INTEGER ? at : null;
    }
    if (count === 0) return null;
    const { passed, period } = this;
    if (passed < count) return since + count * period;
    if (mode !== PERIODIC || initial === 0) return null;
    const reloads = Math.floor((passed - count) / initial) + 1;
    return since + (count + reloads * initial) * period;
  }

  private schedule(): void {
    this.state.due = this.state.masked ? null : this.next();
    if (this.state.due === null) this.alarm.cancel();
    else this.alarm.set(this.state.due);
  }

  private ring(): void {
    if (this.state.mode === TSC_DEADLINE) this.state.deadlineLow = this.state.deadlineHigh = 0;
    this.schedule();
    this.expire();
  }

  /** Back to the state after a reset. */
  reset(): void {
    this.state = resetTimer();
    this.alarm.cancel();
  }

  /** A copy of the state. */
  snapshot(): TimerState {
    return { ...this.state };
  }

  /** Takes over a state that has been checked. */
  restore(state: TimerState): void {
    this.state = { ...state };
    if (state.due === null) this.alarm.cancel();
    else this.alarm.set(state.due);
  }
}
