/**
 * Virtual time. It is a pure function of the instructions executed and of the times that the machine
 * skipped while the processor was halted; the host's clock never enters it.
 */

/** One thing that happens at a virtual time. Created once by a chip, then rescheduled. */
export class Alarm {
  /** Virtual time in nanoseconds, or `Infinity` when not set. */
  deadline = Infinity;
  /** @param order creation order, which breaks ties between equal deadlines */
  constructor(
    readonly name: string,
    readonly order: number,
    private readonly clock: VirtualClock,
    readonly fire: () => void,
  ) {}

  /** Sets the alarm to a virtual time in nanoseconds; a time already past fires at the next chance. */
  set(deadline: number): void {
    this.deadline = deadline;
    this.clock.changed(this);
  }

  /** Sets the alarm `delay` nanoseconds from now. */
  setIn(delay: number): void {
    this.set(this.clock.now() + delay);
  }

  /** Forgets the deadline. */
  cancel(): void {
    this.deadline = Infinity;
    this.clock.changed(this);
  }

  /** Whether a deadline is set. */
  get armed(): boolean {
    return this.deadline !== Infinity;
  }
}

/** What a chip may know of time. */
export interface Clock {
  /** Virtual nanoseconds since power-on: an integer, exact to the instruction that asks. */
  now(): number;
  /** Makes an alarm, not set. `fire` runs between two instructions, with `now()` at or just past the deadline. */
  createAlarm(name: string, fire: () => void): Alarm;
}

/** The machine's clock: instructions executed times the length of one, plus what HLT skipped. */
export class VirtualClock implements Clock {
  private readonly alarms: Alarm[] = [];
  private skipped = 0;
  private nextDeadline = Infinity;
  /** Called when an alarm now stands before all others: the running slice may have to end sooner. */
  onEarlier: (deadline: number) => void = () => {};
  /** Instructions executed since power-on; the machine points this at the processor. */
  instructions: () => number = () => 0;
  /** The length of one instruction in nanoseconds. */
  readonly nsPerInstruction: number;

  /** @param shift one instruction lasts 2^shift nanoseconds, 0 to 10 (QEMU's `-icount shift=`) */
  constructor(readonly shift: number = 3) {
    if (!Number.isInteger(shift) || shift < 0 || shift > 10) {
      throw new RangeError(`clock shift ${shift} is out of range: give an integer from 0 to 10`);
    }
    this.nsPerInstruction = 2 ** shift;
  }

  now(): number {
    return this.instructions() * this.nsPerInstruction + this.skipped;
  }

  createAlarm(name: string, fire: () => void): Alarm {
    const alarm = new Alarm(name, this.alarms.length, this, fire);
    this.alarms.push(alarm);
    return alarm;
  }

  /** The earliest deadline, or `Infinity`. */
  get next(): number {
    return this.nextDeadline;
  }

  /** Names and deadlines of the alarms that are set, earliest first. */
  pending(): { name: string; deadline: number }[] {
    return this.alarms.filter((a) => a.armed)
      .sort((a, b) => a.deadline - b.deadline || a.order - b.order)
      .map(({ name, deadline }) => ({ name, deadline }));
  }

  /** Whole instructions from now until `deadline` is reached (at least 0). */
  instructionsUntil(deadline: number): number {
    return Math.max(0, Math.ceil((deadline - this.now()) / this.nsPerInstruction));
  }

  /** Moves time forward without executing: what HLT does. Never moves it back. */
  skipTo(time: number): void {
    const now = this.now();
    if (time > now) this.skipped += time - now;
  }

  /** Fires all alarms that are due, in order of deadline, then of creation. */
  fireDue(): void {
    for (;;) {
      const now = this.now();
      if (this.nextDeadline > now) return;
      let due: Alarm | undefined;
      for (const alarm of this.alarms) {
        if (alarm.deadline <= now && (due === undefined || alarm.deadline < due.deadline)) {
          due = alarm;
        }
      }
      if (due === undefined) return;
      due.deadline = Infinity;
      this.recompute();
      due.fire();
    }
  }

  /** For {@linkcode Alarm}: its deadline is another now. */
  changed(alarm: Alarm): void {
    const before = this.nextDeadline;
    if (alarm.deadline <= before) this.nextDeadline = alarm.deadline;
    else this.recompute();
    if (this.nextDeadline < before) this.onEarlier(this.nextDeadline);
  }

  private recompute(): void {
    let next = Infinity;
    for (const alarm of this.alarms) if (alarm.deadline < next) next = alarm.deadline;
    this.nextDeadline = next;
  }

  /** The nanoseconds that were skipped so far; part of a machine's snapshot. */
  get skippedNs(): number {
    return this.skipped;
  }
  set skippedNs(ns: number) {
    this.skipped = ns;
  }
}
