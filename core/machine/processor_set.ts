/**
 * Several processors that take turns on one thread. A turn ends after a fixed number of instructions, when
 * its processor stops (HLT, waiting for a start-up message), or at a PAUSE while another processor has
 * something to do; the next processor in order that is ready then gets its turn.
 *
 * Whose turn it is depends on instruction counts alone, never on the slices that the run loop asks for, so
 * that a machine of several processors is as repeatable as one of one. Time is the sum of all instructions.
 */
import { checkState, type State, StateError } from "../chip.ts";
import type { Cpu, CpuActivity, CpuRegisters, ExecutedInstruction } from "./cpu.ts";

/**
 * Instructions in a turn: 80 µs at the default clock. Long enough that changing over costs next to
 * nothing; short enough that interrupts between processors arrive well before anything times out.
 */
const TURN = 10_000;

/** The processors of a board as the one that the run loop drives. */
export class ProcessorSet implements Cpu {
  readonly name = "cpu";
  onPause: () => void = () => {};
  onStop: (linear: number) => void = () => {};
  /** Number of the processor that executes, or executed last. */
  private current = 0;
  /** Instructions left of its turn; 0 when the next instruction begins a new one. */
  private turnLeft: number;
  /** Instructions executed by all the others. */
  private others = 0;
  /** Instructions of all that end the slice. */
  private sliceEnd = 0;
  private busy = false;
  private yielding = false;

  /**
   * @param processors in the order of their numbers; 0 is the bootstrap processor
   * @param turn instructions in a turn
   */
  constructor(readonly processors: readonly Cpu[], private readonly turn: number = TURN) {
    if (processors.length === 0) throw new RangeError("a set of processors needs at least one");
    this.turnLeft = turn;
    for (const cpu of processors) {
      cpu.onPause = () => this.pause(cpu);
      cpu.onStop = (linear) => this.onStop(linear);
    }
    this.count();
  }

  private get running(): Cpu {
    return this.processors[this.current];
  }

  /** Number of the processor that executes, or executed last. */
  get currentProcessor(): number {
    return this.current;
  }

  run(limit: number): void {
    this.sliceEnd = this.instructions + limit;
    this.busy = true;
    for (;;) {
      const left = this.sliceEnd - this.instructions;
      if (left <= 0) break;
      // The next processor is chosen only when it is to execute: what becomes ready meanwhile counts.
      if ((this.turnLeft === 0 || !this.running.ready) && !this.nextTurn()) break;
      const cpu = this.running, before = cpu.instructions;
      cpu.run(Math.min(left, this.turnLeft));
      const executed = cpu.instructions - before;
      this.turnLeft = this.yielding || !cpu.ready ? 0 : this.turnLeft - executed;
      this.yielding = false;
      if (executed === 0 || cpu.activity === "shutdown") break;
    }
    this.busy = false;
  }

  /** Gives the next processor that is ready its turn, the last one too if no other is. False if none is. */
  private nextTurn(): boolean {
    const { processors } = this;
    for (let i = 1; i <= processors.length; i++) {
      const next = (this.current + i) % processors.length;
      if (!processors[next].ready) continue;
      this.others += this.running.instructions - processors[next].instructions;
      this.current = next;
      this.turnLeft = this.turn;
      return true;
    }
    return false;
  }

  /** A processor spins: its turn ends if another has something to do. */
  private pause(cpu: Cpu): void {
    if (!this.busy || !this.processors.some((other) => other !== cpu && other.ready)) return;
    this.yielding = true;
    cpu.endSlice();
  }

  private count(): void {
    this.others = 0;
    for (const cpu of this.processors) if (cpu !== this.running) this.others += cpu.instructions;
  }

  stopAt(addresses: ReadonlySet<number>): void {
    for (const cpu of this.processors) cpu.stopAt(addresses);
  }

  get instructions(): number {
    return this.others + this.running.instructions;
  }

  endSlice(): void {
    this.shortenSlice(0);
  }

  shortenSlice(count: number): void {
    if (!this.busy) return;
    this.sliceEnd = Math.min(this.sliceEnd, this.instructions + count);
    this.running.shortenSlice(count);
  }

  /** `shutdown` if any processor is in it, `running` if any runs, else `halted`. */
  get activity(): CpuActivity {
    let activity: CpuActivity = "halted";
    for (const cpu of this.processors) {
      if (cpu.activity === "shutdown") return "shutdown";
      if (cpu.activity === "running") activity = "running";
    }
    return activity;
  }

  get ready(): boolean {
    return this.processors.some((cpu) => cpu.ready);
  }

  get interruptsEnabled(): boolean {
    return this.processors.some((cpu) => cpu.interruptsEnabled);
  }

  /** INTR of the bootstrap processor. */
  setIntr(level: boolean): void {
    this.processors[0].setIntr(level);
  }

  /** NMI of the bootstrap processor. */
  nmi(): void {
    this.processors[0].nmi();
  }

  setA20(enabled: boolean): void {
    for (const cpu of this.processors) cpu.setA20(enabled);
  }

  init(): void {
    for (const cpu of this.processors) cpu.init();
  }

  /** A start-up message to all. */
  startup(vector: number): void {
    for (const cpu of this.processors) cpu.startup(vector);
  }

  get location(): { cs: number; ip: number; linear: number } {
    return this.running.location;
  }

  registers(): CpuRegisters {
    return this.running.registers();
  }

  recent(count: number): ExecutedInstruction[] {
    return this.running.recent(count);
  }

  peekLinear(address: number, length: number): Uint8Array | undefined {
    return this.running.peekLinear(address, length);
  }

  reset(): void {
    for (const cpu of this.processors) cpu.reset();
    this.current = 0;
    this.turnLeft = this.turn;
    this.count();
  }

  snapshot(): State {
    return {
      current: this.current,
      turnLeft: this.turnLeft,
      processors: this.processors.map((cpu) => cpu.snapshot()),
    };
  }

  restore(state: State): void {
    const before = this.snapshot();
    checkState(this.name, { ...state, processors: [] }, { ...before, processors: [] });
    const current = state.current as number, turnLeft = state.turnLeft as number;
    const states = state.processors as State[];
    if (!Array.isArray(states) || states.length !== this.processors.length) {
      throw new StateError(
        this.name,
        `state.processors must be an array of ${this.processors.length} processors' states`,
      );
    }
    if (!Number.isInteger(current) || current < 0 || current >= this.processors.length) {
      throw new StateError(this.name, `state.current is ${current}`);
    }
    if (!Number.isInteger(turnLeft) || turnLeft < 0 || turnLeft > this.turn) {
      throw new StateError(this.name, `state.turnLeft is ${turnLeft}`);
    }
    try {
      this.processors.forEach((cpu, i) => cpu.restore(states[i]));
    } catch (error) {
      this.processors.forEach((cpu, i) => cpu.restore((before.processors as State[])[i]));
      throw error;
    }
    this.current = current;
    this.turnLeft = turnLeft;
    this.count();
  }
}
