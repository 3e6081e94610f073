/**
 * The run loop: executes the guest exactly as long as a script waits for something, stops it on the
 * instruction that satisfied the wait, and gives the host's event loop its turn in between.
 */
import { setImmediate } from "node:timers";
import type { MachineControls } from "./board.ts";
import type { VirtualClock } from "./clock.ts";
import type { Cpu } from "./cpu.ts";
import { formatNanoseconds } from "./duration.ts";
import type { Exit, ExitCause, MachineReport } from "./exit.ts";
import {
  describeExit,
  HostFailureError,
  LimitError,
  MachineEndedError,
  type MachineError,
  WaitTimeoutError,
} from "./exit.ts";

/** Host milliseconds of guest execution between two turns of the host's event loop. */
const BATCH_MS = 4;
/** Host milliseconds that one call of the processor should take at most. */
const SLICE_MS = 2;
const MIN_SLICE = 1000;
/** Engines are left this often, so that code compiled meanwhile takes over (DESIGN.md, "What V8 does"). */
const MAX_SLICE = 100_000;

/** Lets the host's event loop run: pending promises, timers and I/O. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How a wait meets its end. */
export interface WaitOptions<T> {
  /** Virtual nanoseconds from now after which the wait is over; default none. */
  within?: number;
  /** Instructions from now after which the wait is over; default none. */
  instructions?: number;
  /** Starts watching for what is awaited; it may settle the wait at once. Returns what ends the watching. */
  arm?: (wait: Wait<T>) => (() => void) | void;
  /** Called when the time is over, instead of rejecting with a time-out. */
  atDeadline?: (wait: Wait<T>) => void;
  /** What may help, in a sentence for the message of a wait that was in vain. */
  hint?: () => string | undefined;
  /** Called when the machine has ended; a wait that it leaves unsettled is rejected. */
  atEnd?: (wait: Wait<T>, exit: Exit) => void;
}

/** One thing that a script is waiting for. */
export class Wait<T> {
  private readonly settling = Promise.withResolvers<T>();
  readonly promise: Promise<T> = this.settling.promise;
  /** Whether the wait is over. */
  settled = false;
  disarm: (() => void) | undefined;

  constructor(
    private readonly loop: RunLoop,
    /** What is awaited, in words that continue "waiting for". */
    readonly what: string,
    readonly options: WaitOptions<T>,
    /** Virtual time at which the wait is over. */
    readonly deadline: number,
    /** Instruction count at which the wait is over. */
    readonly lastInstruction: number,
  ) {}

  /** The hint, on a line of its own. */
  get hint(): string {
    const hint = this.options.hint?.();
    return hint === undefined ? "" : `\nhint: ${hint}`;
  }

  /** What was awaited has happened: the guest stops after the current instruction. */
  resolve(value: T): void {
    if (this.settled) return;
    this.loop.settle(this);
    this.settling.resolve(value);
  }

  /** What is awaited cannot happen: the guest stops after the current instruction. */
  reject(error: Error): void {
    if (this.settled) return;
    this.loop.settle(this);
    this.settling.reject(error);
  }

  /** Rejects with an error that carries a report of the machine as it is after the current instruction. */
  fail(make: (report: MachineReport) => MachineError): void {
    if (this.settled) return;
    this.loop.settle(this);
    this.loop.failures.push(async () => this.settling.reject(make(await this.loop.report())));
  }
}

/** The wires from the chips, latched until the current instruction is over. */
export class ControlLatch implements MachineControls {
  cause: ExitCause | undefined;
  reset = false;
  readonly held: Set<Promise<unknown>> = new Set();
  hostFailure: unknown;
  failed = false;
  /** Ends the running slice; set by the run loop. */
  interrupt: () => void = () => {};

  powerOff(): void {
    this.cause ??= { kind: "power-off" };
    this.interrupt();
  }

  requestReset(): void {
    this.reset = true;
    this.interrupt();
  }

  debugExit(value: number): void {
    this.cause ??= { kind: "debug-exit", value, status: ((value << 1) | 1) & 0xff };
    this.interrupt();
  }

  hold(work: Promise<unknown>): void {
    const done = work.then(() => {}, (error) => this.fail(error)).finally(() =>
      this.held.delete(done)
    );
    this.held.add(done);
    this.interrupt();
  }

  /** Something on the host failed: the machine cannot go on. */
  fail(error: unknown): void {
    if (!this.failed) this.hostFailure = error;
    this.failed = true;
    this.interrupt();
  }
}

/** What the run loop drives. */
export interface RunLoopParts {
  cpu: Cpu;
  clock: VirtualClock;
  /** A hardware reset of the whole board. */
  reset: () => void;
  /** Whether nothing could interrupt a processor that halts. Default: something could. */
  interruptsMasked?: () => boolean;
  latch: ControlLatch;
  /** Describes the machine as it is now. */
  report: () => Promise<MachineReport>;
}

/** When the run loop gives up. */
export interface RunLoopOptions {
  /** A guest's reset request ends the machine instead of resetting it. Default false. */
  noReboot?: boolean;
  /** What a triple fault does: end the machine (default) or reset it, as QEMU does. */
  tripleFault?: "exit" | "reset";
  /** Virtual nanoseconds since power-on after which everything fails. Default none. */
  virtualLimit?: number;
  /** Host milliseconds of guest execution after which everything fails. Default none. */
  hostLimit?: number;
  /** Never lets virtual time run ahead of host time: for a machine that a person or a live network talks to. Default false. */
  realTime?: boolean;
}

/** Something to be done at a virtual time, unnoticed by the guest. */
interface Ticker {
  period: number;
  next: number;
  look: () => void;
  /** Whether it may bring the guest input, for which a halted one waits. */
  input: boolean;
}

/** Runs the guest while waits are pending. */
export class RunLoop {
  private readonly waits = new Set<Wait<unknown>>();
  /** What remains to be done after the slice, by {@linkcode Wait}. */
  readonly failures: (() => Promise<void>)[] = [];
  private readonly tickers = new Set<Ticker>();
  private readonly later: (() => void)[] = [];
  private looping: Promise<void> | undefined;
  private awaken: () => void = () => {};
  /** Whether something happened since the last batch began that a sleeping machine must look at. */
  private woken = false;
  private settledSome = false;
  private inSlice = false;
  /** Small at first: V8 has compiled nothing yet, and an instruction takes microseconds. */
  private budget = MIN_SLICE;
  private ranFor = 0;
  private paceStart: { host: number; virtual: number } | undefined;
  private failing: ((what: string, report: MachineReport) => MachineError) | undefined;
  private end: { exit: Exit } | { error: (what: string) => MachineError } | undefined;
  /** Whether anything outside the machine may bring input at any time: a terminal, a socket. */
  hasLiveInput: () => boolean = () => false;
  private readonly cpu: Cpu;
  private readonly clock: VirtualClock;
  private readonly latch: ControlLatch;

  constructor(private readonly parts: RunLoopParts, private readonly options: RunLoopOptions = {}) {
    const { cpu, clock, latch } = parts;
    this.cpu = cpu;
    this.clock = clock;
    this.latch = latch;
    clock.instructions = () => cpu.instructions;
    clock.onEarlier = (deadline) => {
      if (this.inSlice) cpu.shortenSlice(Math.max(1, clock.instructionsUntil(deadline)));
    };
    latch.interrupt = () => {
      if (this.inSlice) cpu.endSlice();
      this.wake();
    };
  }

  /** Host milliseconds during which the guest ran. */
  get hostTime(): number {
    return this.ranFor;
  }

  /** How the machine ended, if it has. */
  get exit(): Exit | undefined {
    return this.end !== undefined && "exit" in this.end ? this.end.exit : undefined;
  }

  /** Whether the machine has ended, well or in failure. */
  get ended(): boolean {
    return this.end !== undefined;
  }

  /** Whether the guest is executing at this moment, i.e. the caller is inside one of its instructions. */
  get executing(): boolean {
    return this.inSlice;
  }

  /** Whether any wait is pending. */
  get waiting(): boolean {
    return this.waits.size > 0;
  }

  /** Describes the machine as it is now. */
  report(): Promise<MachineReport> {
    return this.parts.report();
  }

  /** Waits for something; the guest runs until it has happened. `what` continues "waiting for". */
  wait<T>(what: string, options: WaitOptions<T>): Promise<T> {
    const wait = new Wait<T>(
      this,
      what,
      options,
      options.within === undefined ? Infinity : this.clock.now() + options.within,
      options.instructions === undefined ? Infinity : this.cpu.instructions + options.instructions,
    );
    this.waits.add(wait as Wait<unknown>);
    const disarm = options.arm?.(wait) ?? undefined;
    if (wait.settled) disarm?.();
    else wait.disarm = disarm;
    this.looping ??= this.loop();
    this.wake();
    return wait.promise;
  }

  /** For {@linkcode Wait}: it is over. */
  settle<T>(wait: Wait<T>): void {
    wait.settled = true;
    this.waits.delete(wait as Wait<unknown>);
    this.settledSome = true;
    const { disarm } = wait;
    wait.disarm = undefined;
    if (disarm !== undefined) this.afterInstruction(disarm);
    if (this.inSlice) this.cpu.endSlice();
    this.wake();
  }

  /** Does `action` now or, inside a guest's instruction, as soon as it is over. */
  afterInstruction(action: () => void): void {
    if (this.inSlice) this.later.push(action);
    else action();
  }

  /** Something happened outside the guest, new input for one: a sleeping machine looks again. */
  wake(): void {
    this.woken = true;
    this.awaken();
  }

  /**
   * Calls `look` at every whole multiple of `period` virtual nanoseconds, between two instructions, until
   * the returned function is called. The guest cannot notice: no alarm of its clock is involved.
   */
  every(period: number, look: () => void): () => void {
    const next = (Math.floor(this.clock.now() / period) + 1) * period;
    const ticker = { period, next, look, input: false };
    this.tickers.add(ticker);
    return () => this.tickers.delete(ticker);
  }

  /**
   * Calls `send`, which gives the guest input, once after `delay` virtual nanoseconds, between two
   * instructions, unless the returned function is called before.
   */
  inputAfter(delay: number, send: () => void): () => void {
    const ticker: Ticker = {
      period: Infinity,
      next: this.clock.now() + delay,
      look: () => {
        this.tickers.delete(ticker);
        send();
      },
      input: true,
    };
    this.tickers.add(ticker);
    return () => this.tickers.delete(ticker);
  }

  /** Ends the machine by the script's wish. Pending waits are rejected; `exited` resolves. */
  async stop(reason: string): Promise<void> {
    this.latch.cause ??= { kind: "stopped", reason };
    this.latch.interrupt();
    if (this.looping !== undefined) await this.looping;
    else await this.handleSignals();
  }

  /** Ends the machine in failure after the current instruction: every wait, now and later, is rejected. */
  fail(make: (what: string, report: MachineReport) => MachineError): void {
    if (this.failing !== undefined || this.end !== undefined) return;
    this.failing = make;
    this.latch.interrupt();
  }

  /** Forgets that the machine ended: its state is another one now. */
  revive(): void {
    this.end = undefined;
    this.failing = undefined;
    this.latch.cause = undefined;
    this.latch.reset = false;
    this.latch.failed = false;
    this.paceStart = undefined;
  }

  private async loop(): Promise<void> {
    try {
      // A script may await several things at once: all are known when the guest moves.
      await turn();
      while (this.waits.size > 0 || this.failures.length > 0) {
        if (await this.handleSignals()) continue;
        let idle: number | undefined;
        try {
          idle = this.batch();
        } catch (error) {
          this.inSlice = false;
          this.latch.fail(error);
        }
        if (await this.handleSignals()) continue;
        if (this.latch.held.size > 0) await Promise.all(this.latch.held);
        else if (idle !== undefined && !this.settledSome) await this.sleep(idle);
        else await turn();
      }
    } finally {
      this.looping = undefined;
    }
  }

  /** Waits on the host for `ms` milliseconds or until something wakes the machine. */
  private async sleep(ms: number): Promise<void> {
    if (!this.woken) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.awaken = resolve;
        if (ms !== Infinity) timer = setTimeout(resolve, ms);
      });
      this.awaken = () => {};
      clearTimeout(timer);
    }
    await turn();
  }

  /** Between slices: carries out what was asked for during the last one. True when waits were settled. */
  private async handleSignals(): Promise<boolean> {
    for (const action of this.later.splice(0)) action();
    const hadFailures = this.failures.length > 0;
    for (const failure of this.failures.splice(0)) await failure();
    const { latch } = this;
    if (this.end === undefined) {
      if (latch.failed) {
        const cause = latch.hostFailure;
        const report = await this.report();
        const why = cause instanceof Error ? cause.message : String(cause);
        this.end = {
          error: (what) =>
            new HostFailureError(`while waiting for ${what}: ${why}`, report, { cause }),
        };
      } else if (this.failing !== undefined) {
        const make = this.failing, report = await this.report();
        this.end = { error: (what) => make(what, report) };
      } else if (latch.cause !== undefined) {
        this.end = { exit: { ...latch.cause, ...await this.report() } as Exit };
      }
    }
    if (this.end === undefined) return hadFailures;
    for (const wait of [...this.waits]) {
      if ("exit" in this.end) {
        const { exit } = this.end;
        wait.options.atEnd?.(wait, exit);
        wait.reject(
          new MachineEndedError(
            `while waiting for ${wait.what}: ${describeExit(exit)}${wait.hint}`,
            exit,
            exit,
          ),
        );
      } else wait.reject(this.end.error(wait.what));
    }
    for (const action of this.later.splice(0)) action();
    await turn();
    return true;
  }

  /** Runs the guest for a few host milliseconds. Returns how long the machine may sleep, or undefined when it has work. */
  private batch(): number | undefined {
    const began = performance.now();
    this.settledSome = false;
    this.woken = false;
    let at = began;
    try {
      for (;;) {
        const idle = this.step(at);
        at = performance.now();
        if (this.settledSome || this.stopping) return undefined;
        if (idle !== undefined) return idle;
        if (at - began >= BATCH_MS) return undefined;
        if (this.options.realTime) {
          const ahead = this.aheadOfHost(at);
          if (ahead >= 1) return ahead;
        }
      }
    } finally {
      this.ranFor += at - began;
      const { hostLimit } = this.options;
      if (hostLimit !== undefined && this.ranFor >= hostLimit) {
        this.fail((what, report) =>
          new LimitError(
            `while waiting for ${what}: the machine's limit of ${
              (hostLimit / 1000).toFixed(3)
            } s of host time is used up`,
            report,
          )
        );
      }
    }
  }

  private get stopping(): boolean {
    const { cause, failed, held } = this.latch;
    return cause !== undefined || failed || held.size > 0 || this.failing !== undefined;
  }

  private aheadOfHost(now: number): number {
    this.paceStart ??= { host: now, virtual: this.clock.now() };
    const ahead = (this.clock.now() - this.paceStart.virtual) / 1e6 - (now - this.paceStart.host);
    // A guest slower than the host's clock does not get to catch up in a rush later.
    if (ahead < -100) this.paceStart = undefined;
    return ahead;
  }

  /** One slice. Returns host milliseconds to sleep when nothing can happen before input arrives. */
  private step(startedAt: number): number | undefined {
    const { cpu, clock } = this;
    clock.fireDue();
    this.applyReset();
    this.expire();
    if (this.settledSome || this.stopping || clock.next <= clock.now()) return undefined;

    const { deadline, instruction } = this.horizon();
    const until = Math.min(clock.instructionsUntil(deadline), instruction - cpu.instructions);
    const limit = Math.min(this.budget, until);
    const before = cpu.instructions;
    this.inSlice = true;
    cpu.run(limit);
    this.inSlice = false;
    for (const action of this.later.splice(0)) action();
    const executed = cpu.instructions - before;
    if (executed === limit && limit === this.budget) {
      this.adapt(performance.now() - startedAt);
    }
    this.applyReset();
    if (cpu.activity === "shutdown") {
      if (this.options.tripleFault === "reset") {
        if (this.options.noReboot) this.latch.cause ??= { kind: "reset" };
        else this.parts.reset();
      } else this.latch.cause ??= { kind: "triple-fault" };
      return undefined;
    }
    // A processor that still halts when run again has no interrupt that it would take.
    if (cpu.activity !== "halted" || executed > 0 || this.settledSome || this.stopping) {
      return undefined;
    }
    return this.skip();
  }

  private applyReset(): void {
    if (!this.latch.reset) return;
    this.latch.reset = false;
    if (this.options.noReboot) this.latch.cause ??= { kind: "reset" };
    else this.parts.reset();
  }

  /** The processor halts and takes no interrupt: goes on at the next alarm, or finds that there is none. */
  private skip(): number | undefined {
    const { clock, cpu, latch } = this;
    if (!cpu.interruptsEnabled) {
      latch.cause ??= { kind: "dead-halt", reason: "HLT with interrupts disabled" };
      return undefined;
    }
    if (this.parts.interruptsMasked?.() === true) {
      latch.cause ??= { kind: "dead-halt", reason: "HLT with all interrupts masked" };
      return undefined;
    }
    const { deadline } = this.horizon();
    const expectsInput = this.hasLiveInput() || [...this.tickers].some(({ input }) => input);
    if (clock.next === Infinity && !expectsInput) {
      latch.cause ??= {
        kind: "dead-halt",
        reason: "HLT with nothing pending that could interrupt",
      };
      return undefined;
    }
    if (deadline === Infinity) return Infinity;
    clock.skipTo(deadline);
    return undefined;
  }

  /** How far the guest may run at most: to the next alarm, the end of a wait, the limit. */
  private horizon(): { deadline: number; instruction: number } {
    let deadline = Math.min(this.clock.next, this.options.virtualLimit ?? Infinity);
    let instruction = Infinity;
    for (const { next } of this.tickers) if (next < deadline) deadline = next;
    for (const wait of this.waits) {
      if (wait.deadline < deadline) deadline = wait.deadline;
      if (wait.lastInstruction < instruction) instruction = wait.lastInstruction;
    }
    return { deadline, instruction };
  }

  /** Ends the waits whose time is over. */
  private expire(): void {
    const now = this.clock.now(), { instructions } = this.cpu;
    for (const ticker of [...this.tickers]) {
      if (ticker.next > now) continue;
      ticker.next = (Math.floor(now / ticker.period) + 1) * ticker.period;
      ticker.look();
    }
    for (const wait of [...this.waits]) {
      if (wait.settled || (wait.deadline > now && wait.lastInstruction > instructions)) continue;
      wait.options.atDeadline?.(wait);
      wait.fail((report) =>
        new WaitTimeoutError(
          `timed out waiting for ${wait.what} within ${
            wait.options.within === undefined
              ? `${wait.options.instructions} instructions`
              : formatNanoseconds(wait.options.within)
          } of virtual time${wait.hint}`,
          report,
        )
      );
    }
    const { virtualLimit } = this.options;
    if (virtualLimit !== undefined && now >= virtualLimit) {
      this.fail((what, report) =>
        new LimitError(
          `while waiting for ${what}: the machine's limit of ${
            formatNanoseconds(virtualLimit)
          } of virtual time is used up`,
          report,
        )
      );
    }
  }

  /** Keeps slices near their share of host time, however fast the engine is. */
  private adapt(ms: number): void {
    if (ms > SLICE_MS) this.budget = Math.max(MIN_SLICE, this.budget >> 1);
    else if (ms < SLICE_MS / 3) this.budget = Math.min(MAX_SLICE, this.budget * 2);
  }
}
