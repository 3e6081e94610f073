/** The interpreter: pre-decoded instructions, executed one record at a time. The reference for all engines. */
import { checkState, type State, StateError } from "../../core/chip.ts";
import type {
  Cpu,
  CpuActivity,
  CpuRegisters,
  ExecutedInstruction,
} from "../../core/machine/cpu.ts";
import { type CpuBus, FAULT, X86 } from "../x86/cpu.ts";
import { Decoder, MAX_LENGTH } from "../x86/decoder.ts";
import { slotOf } from "../x86/long_mmu.ts";
import type { CpuModel } from "../x86/models.ts";
import * as Words from "../x86/state.ts";
import { afterInstruction, checkInstructionBreakpoint, hasDebugWork } from "../x86/system/debug.ts";
import { deliverExternal, deliverFault, deliverNmi } from "../x86/system/interrupts.ts";
import { initState, resetState, resumeState, startState } from "../x86/system/reset.ts";
import { ROWS } from "../x86/table.ts";
import type { AddressForm, InterpVariant } from "./binder.ts";
import { CodeCache } from "./code_cache.ts";
import { recentInstructions } from "./history.ts";
import { HOT_FORMS } from "./hot_forms.ts";
import { loopSource } from "./loop.ts";
import { Operations } from "./operations.ts";
import * as Records from "./record.ts";
import { Stops } from "./stops.ts";
import { warmUp } from "./warm_up.ts";
import { type Whereabouts, whereabouts } from "./whereabouts.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const {
  CURRENT,
  FIRST_STEP,
  LINK_FROM,
  LOOKUP_PLACE,
  OP,
  PAGE_IP,
  PAGE_IP_HI,
  PLACE_END,
  RECORD,
  RING_SIZE,
  STEP_WORDS,
  STEPS,
} = Records;

/** Instructions run between two returns to the dispatcher, so that V8 enters optimised code at the function's entry. */
const STRETCH = 100_000;

/**
 * Numbers the texts of the loop. V8 shares what it learned and compiled among functions of the same text,
 * and such code cannot have a processor's arrays as constants: with four processors the loop took 1.5 to
 * 2 times the time.
 */
let copies = 0;

/** A processor whose instructions are interpreted. */
export class Interpreter implements Cpu {
  readonly name = "cpu";
  /** Registers, memory and faults; tests and debuggers reach in here. */
  readonly x86: X86;
  protected readonly R: Int32Array;
  protected readonly code: CodeCache;
  protected readonly operations: Operations;
  private readonly variants: ReadonlyMap<string, InterpVariant>;
  /** Place of the first of its records for stepping. */
  private readonly firstStep: number;
  protected readonly whereabouts: Whereabouts;
  protected readonly branches: Int32Array<ArrayBuffer>;
  /** For the history: see {@linkcode recentInstructions}. */
  protected readonly untold = new Int32Array(RING_SIZE);
  protected readonly goOn: (long: boolean) => boolean;
  private readonly loop: (p: number, pEnd: number) => void;
  private readonly longLoop: (p: number, pEnd: number) => void;

  /** Instructions run between two returns to the dispatcher. */
  protected stretch = STRETCH;
  /** Instructions that will have been executed when the slice ends. */
  protected target = 0;
  /** Instructions left in the slice: outside the loop all of them, inside those cut off by {@linkcode Interpreter.interruptLoop}. */
  protected left = 0;
  private inLoop = false;
  private intr = false;
  private nmiPending = false;
  /** Set by an INIT from within an instruction, until that is over. */
  private initPending = false;
  /** Mode bits that were found when stock was last taken. */
  protected mode = 0;
  /** Number of the record that {@linkcode Interpreter.stepPlace} used last. */
  private step = 0;
  /** Iterations of a repeated string instruction that may pass as one: 1 where each is looked at. */
  private mostIterations = Infinity;
  /** Set by the slow lookup: the next instruction must be stepped from a copy of its bytes. */
  private mustStep = false;

  onStop: (linear: number) => void = () => {};
  private readonly stops = new Stops();

  /** @param peer another processor of the same board and model, with which it shares decoded code */
  constructor(bus: CpuBus, model: CpuModel, peer?: Interpreter) {
    this.x86 = new X86(bus, model);
    const { R, mmu, mmu64 } = this.x86;
    this.R = R;
    const decoder = new Decoder(ROWS, (feature) => this.x86.model.features.has(feature));
    this.code = peer?.code ?? new CodeCache(bus.memory, decoder);
    this.whereabouts = whereabouts(this.x86, this.code.hostPages);
    this.branches = this.whereabouts.branches;
    this.goOn = this.makeGoOn();
    this.firstStep = FIRST_STEP + this.code.join(this.x86) * STEP_WORDS;
    this.operations = new Operations(this.x86, this.code, peer?.code.operations);
    if (peer === undefined) this.code.operations = this.operations;
    this.operations.iterationBudget = () => Math.min(this.mostIterations, this.remaining());
    mmu.onFlush = () => this.interruptLoop();
    mmu64.onFlush = () => this.interruptLoop();
    // Only of the page that code runs in translations are taken for known without being looked up again.
    mmu.onDrop = (page, count) => {
      const code = ((R[S.SEG_BASE + S.CS] + R[PAGE_IP]) >>> 12) - page;
      if (code >= 0 && code < count) this.interruptLoop();
    };
    mmu64.onDrop = (low) => {
      if (slotOf(low) === slotOf(R[PAGE_IP])) this.interruptLoop();
    };
    this.variants = peer?.variants ?? this.hotVariants(decoder);
    this.loop = this.makeLoop(this.variants, false);
    this.longLoop = this.makeLoop(this.variants, true);
    const { variants } = this;
    warmUp(this.x86, this.code, this.loop, { variants, long: false });
    if (this.x86.model.features.has("lm")) {
      warmUp(this.x86, this.code, this.longLoop, { variants, long: true });
    }
    this.reset();
  }

  /** A form that each hot key stands for. */
  private hotVariants(decoder: Decoder): Map<string, InterpVariant> {
    const variants = new Map<string, InterpVariant>(), wanted = new Set(HOT_FORMS);
    const suffixes = [["", true, false], [" flat", true, false], [" any", false, false], [
      " long",
      true,
      true,
    ]] as const;
    // Most forms are not hot at all, and there are many keys to each.
    const hot = new Set(HOT_FORMS.map((key) => key.split("|", 2).join("|")));
    for (const form of decoder.forms) {
      if (!hot.has(`${form.row.opcode}|${form.row.operands}`)) continue;
      for (const operandSize of [16, 32, 64] as const) {
        for (
          const address of ["none", "base", "index", "absolute", "rip", "checked"] as AddressForm[]
        ) {
          for (const [suffix, flat, long] of suffixes) {
            const key =
              `${form.row.opcode}|${form.row.operands}|${operandSize}|${address}${suffix}`;
            if (!wanted.has(key)) continue;
            variants.set(key, {
              form,
              operandSize,
              memory: address !== "none",
              long,
              address,
              flat,
            });
          }
        }
      }
    }
    return variants;
  }

  private makeLoop(
    variants: ReadonlyMap<string, InterpVariant>,
    long: boolean,
  ): (p: number, pEnd: number) => void {
    const scope: Record<string, unknown> = {
      ...(long ? this.operations.longScope : this.operations.scope),
      H: this.operations.handlers,
      AFTER: this.operations.after,
      M: this.code.places,
      Q: this.code.recent,
      PG: this.code.pages,
      B: this.branches,
      lookup: () => long ? this.lookup64() : this.lookup(),
      cross: (p: number) => this.cross(p),
      renew: (p: number) => this.renew(p),
      region: (p: number) => this.enterRegion(p),
      goOn: () => this.goOn(long),
    };
    const names = Object.keys(scope);
    const source = loopSource(this.operations.hotBodies((key) => variants.get(key), long), long);
    return new Function(...names, `${source}//${copies++}`)(...names.map((name) => scope[name]));
  }

  reset(): void {
    resetState(this.x86);
    this.left = 0;
    this.nmiPending = false;
    this.branches.fill(0);
  }

  init(): void {
    if (this.inLoop) this.initPending = true;
    else initState(this.x86);
    this.interruptLoop();
  }

  // The slice.

  /** Instructions of the slice that are not executed yet, the current one included. */
  private remaining(): number {
    if (!this.inLoop) return this.left;
    const R = this.R;
    return ((R[PLACE_END] - R[CURRENT]) >> 3) + this.left - this.x86.iterations;
  }

  get instructions(): number {
    return this.target - this.remaining();
  }

  shortenSlice(count: number): void {
    const remaining = this.remaining(), keep = Math.max(count, this.inLoop ? 1 : 0);
    if (keep >= remaining) return;
    this.target -= remaining - keep;
    if (this.inLoop) {
      const R = this.R, owed = keep + this.x86.iterations;
      const now = Math.min(owed, (R[PLACE_END] - R[CURRENT]) >> 3);
      R[PLACE_END] = R[CURRENT] + now * RECORD;
      this.left = owed - now;
      this.x86.attention = true;
    } else this.left = keep;
  }

  endSlice(): void {
    this.shortenSlice(0);
  }

  /** Makes the loop come back after the current instruction, the budget kept: interrupts, modes or translations changed. */
  private interruptLoop(): void {
    this.x86.attention = true;
    if (!this.inLoop) return;
    const R = this.R, soon = R[CURRENT] + RECORD;
    if (R[PLACE_END] <= soon) return;
    this.left += (R[PLACE_END] - soon) >> 3;
    R[PLACE_END] = soon;
  }

  run(limit: number): void {
    const { R, x86 } = this;
    this.target += limit - this.left;
    this.left = limit;
    while (this.left > 0) {
      if (this.initPending) this.takeInit();
      if (R[S.ACTIVITY] > 1) break;
      if (R[S.SHADOW] === 0 && this.deliverPending()) {
        // One instruction comes between two interrupts, so that time always moves, and no more where one is pending.
        R[S.SHADOW] = 1;
        continue;
      }
      if (R[S.ACTIVITY] !== 0) break;
      if (this.stops.exist && this.stopsHere()) break;
      if (hasDebugWork(x86)) {
        this.debugStep();
        continue;
      }
      R[S.EFLAGS] &= ~S.RF;
      const shadow = R[S.SHADOW] !== 0;
      R[S.SHADOW] = 0;
      if (shadow) {
        // The shadow of STI, POP SS, MOV SS and of a delivery covers one instruction, however it is executed.
        this.execute(1, this.left === 1);
        if (this.mustStep) this.execute(1);
      } else {
        this.execute(Math.min(this.left, this.stretch));
        this.afterStretch();
      }
    }
    if (this.initPending) this.takeInit();
    // What was not executed is not owed.
    this.target -= this.left;
    this.left = 0;
  }

  /**
   * After an instruction that may have changed what code means: takes stock of that as between two stretches,
   * and tells whether the loop may go on. It may not where {@linkcode Interpreter.run} has something to do.
   */
  // hot: bench/microbench, int80 and fastsys.
  private makeGoOn(): (long: boolean) => boolean {
    // As variables, for V8: see `whereabouts.ts`.
    const { R, x86, whereabouts: { updateMode } } = this;
    return (long) => {
      if (x86.attention || x86.repeating || x86.iterations > 1 || this.initPending) return false;
      if ((R[S.ACTIVITY] | R[S.SHADOW]) !== 0 || (R[S.LONG] !== 0) !== long) return false;
      if (this.nmiPending || (this.intr && (R[S.EFLAGS] & S.IF) !== 0)) return false;
      if (hasDebugWork(x86)) return false;
      R[S.EFLAGS] &= ~S.RF;
      x86.iterations = 0;
      this.mode = updateMode();
      R[LINK_FROM] = 0;
      return true;
    };
  }

  /**
   * A function that executes the control instruction at `p` as the loop would, with `n` instructions left, the run that begins
   * there being noted. Gives what is left if the next one may be looked up at once, or else -1, with all prepared
   * for leaving the loop at `LOOKUP_PLACE`. May raise.
   */
  // hot: bench/microbench, int80 and fastsys.
  protected makeControl(): (p: number, n: number, long: boolean) => number {
    // As variables, for V8: see `whereabouts.ts`.
    const { R, goOn, whereabouts: { note }, operations: { handlers }, code: { records } } = this;
    return (p, n, long) => {
      R[CURRENT] = p;
      R[PLACE_END] = p + n * RECORD;
      handlers[records[p + OP]](p);
      n = ((R[PLACE_END] - p) >> 3) - 1;
      note(p);
      R[CURRENT] = LOOKUP_PLACE;
      R[PLACE_END] = LOOKUP_PLACE + n * RECORD;
      if (n > 0 && goOn(long)) return n;
      this.left += n;
      R[PLACE_END] = LOOKUP_PLACE;
      return -1;
    };
  }

  /**
   * Delivers the fault that was noted of the instruction at RIP from within the loop, with `n` instructions
   * left, that one included. Gives what is left if the next one may be looked up at once, or else -1, with all
   * prepared for leaving the loop at `LOOKUP_PLACE`.
   */
  // hot: bench/microbench, pgfault.
  protected fault(n: number, long: boolean): number {
    const { R, x86 } = this;
    R[S.INSN_IP] = R[S.RIP];
    R[S.INSN_IP_HI] = long ? R[S.RIP + 1] : 0;
    R[CURRENT] = R[PLACE_END] = LOOKUP_PLACE;
    // A fault counts as an instruction. It is delivered as between two of them.
    this.left += n - 1;
    this.inLoop = false;
    deliverFault(x86);
    this.inLoop = true;
    n = Math.min(n - 1, this.left);
    this.left -= n;
    return this.leftWith(n, long);
  }

  /** With `n` instructions left, and the next one to be looked up: what `control` gives. */
  private leftWith(n: number, long: boolean): number {
    const { R } = this;
    R[PLACE_END] = LOOKUP_PLACE + n * RECORD;
    if (n > 0 && this.goOn(long)) return n;
    this.left += n;
    R[PLACE_END] = LOOKUP_PLACE;
    return -1;
  }

  /** INIT came from within an instruction, which is over now. */
  private takeInit(): void {
    this.initPending = false;
    initState(this.x86);
  }

  /** Executes translated code whose record is at `p`; see `loop.ts`. Only a translator puts such records down. */
  protected enterRegion(_p: number): number {
    throw new Error("a record of translated code in an engine that translates nothing");
  }

  /** Offset in CS of the page in which translated code was entered that executes an instruction in another one. */
  protected get enteredPage(): number | undefined {
    return undefined;
  }

  /** Called where a fault may have ended translated code at `R[CURRENT]`. */
  protected leaveRegion(): void {}

  /** Called between two stretches of instructions. */
  protected afterStretch(): void {}

  private deliverPending(): boolean {
    const { R, x86 } = this;
    if (this.nmiPending && R[S.NMI_BLOCKED] === 0) {
      this.nmiPending = false;
      R[S.ACTIVITY] = 0;
      deliverNmi(x86, x86.repeating);
      return true;
    }
    if (this.intr && (R[S.EFLAGS] & S.IF) !== 0) {
      R[S.ACTIVITY] = 0;
      deliverExternal(x86, x86.bus.acknowledge(), x86.repeating);
      return true;
    }
    return false;
  }

  stopAt(addresses: ReadonlySet<number>): void {
    const { x86 } = this;
    const pages = this.stops.set(addresses, this.location.linear, this.instructions);
    if (pages === undefined) return;
    x86.mmu.keepOut(pages);
    x86.mmu64.keepOut(pages);
  }

  /** Between two instructions: whether to stop, which is then told. */
  private stopsHere(): boolean {
    const { location: { linear }, x86, stops } = this;
    if (!stops.reached(linear, this.instructions, x86.repeating)) return false;
    this.onStop(linear);
    return true;
  }

  /** One instruction with breakpoints and single-step traps around it. */
  private debugStep(): void {
    const { R, x86 } = this;
    const long = R[S.LONG] !== 0, from = R[S.RIP], fromHigh = R[S.RIP + 1];
    const linear = long ? fromHigh * 0x100000000 + (from >>> 0) : (R[S.SEG_BASE + S.CS] + from) | 0;
    if (checkInstructionBreakpoint(x86, linear)) {
      this.left--;
      return;
    }
    R[S.SHADOW] = 0;
    if (this.execute(1)) {
      const still = R[S.RIP] === from && (!long || R[S.RIP + 1] === fromHigh);
      afterInstruction(x86, x86.repeat !== 0 && still && R[S.INSN_IP] === from);
    }
  }

  /**
   * Runs the loop for up to `count` instructions; false if it ended with a fault, which is then delivered.
   *
   * @param alone whether the instruction is decoded anew, without use of the code cache
   */
  private execute(count: number, alone = count === 1): boolean {
    const { R, x86 } = this;
    this.mode = this.whereabouts.updateMode();
    R[LINK_FROM] = 0;
    x86.attention = false;
    x86.repeating = false;
    let place: number = LOOKUP_PLACE;
    if (this.mustStep) {
      this.mustStep = false;
      count = 1;
      alone = true;
    }
    this.mostIterations = count === 1 ? 1 : Infinity;
    this.left -= count;
    this.inLoop = true;
    R[CURRENT] = place;
    R[PLACE_END] = place + count * RECORD;
    x86.iterations = 0;
    try {
      if (alone) {
        place = this.stepPlace();
        this.note(place);
        R[PLACE_END] = place + RECORD;
        R[CURRENT] = place;
      }
      if (R[S.LONG] !== 0) this.longLoop(place, R[PLACE_END]);
      else this.loop(place, R[PLACE_END]);
      this.leaveLoop(R[CURRENT] - RECORD);
      return true;
    } catch (thrown) {
      if (thrown !== FAULT) {
        this.inLoop = false;
        throw thrown;
      }
      const p = R[CURRENT];
      this.leaveRegion();
      R[S.INSN_IP] = p === LOOKUP_PLACE ? R[S.RIP] : Operations.ipOf(R, this.code.records, p);
      R[S.INSN_IP_HI] = R[S.LONG] === 0
        ? 0
        : p === LOOKUP_PLACE
        ? R[S.RIP + 1]
        : this.highOf(R[S.INSN_IP]);
      // A fault counts as an instruction, or a handler that faults at once would stop time.
      const iterations = x86.iterations;
      x86.iterations = 0;
      this.leaveLoop(p);
      this.left -= iterations + 1;
      deliverFault(x86);
      return false;
    }
  }

  /** Enters a place into the branch ring, as the loop does. */
  protected note(place: number): void {
    this.whereabouts.note(place);
  }

  /** Takes stock when the loop was left; `last` is the record executed last. */
  private leaveLoop(last: number): void {
    const { R, x86 } = this;
    this.left += (R[PLACE_END] - R[CURRENT]) >> 3;
    this.inLoop = false;
    if (R[CURRENT] !== LOOKUP_PLACE) this.note(last);
    R[CURRENT] = LOOKUP_PLACE;
    if (x86.iterations > 1) this.left -= x86.iterations - 1;
    x86.iterations = 0;
  }

  /** High half of the address of an instruction in the current page, by its low half. */
  private highOf(ip: number): number {
    const { R } = this;
    return R[PAGE_IP_HI] + ((ip >>> 0) < (R[PAGE_IP] >>> 0) ? 1 : 0);
  }

  /** The slow lookup of RIP: a place, or 0 when the instruction must be stepped. May raise. */
  protected lookup(): number {
    const { R, x86 } = this;
    const ip = R[S.RIP] >>> 0, base = R[S.SEG_BASE + S.CS];
    const linear = (base + ip) | 0;
    const limit = R[S.SEG_LIMIT + S.CS] >>> 0;
    if (ip > limit) x86.raise(S.GP, 0);
    const offset = linear & 0xfff;
    // The records of a page do not look at the limit: where it lies within the page they are not used.
    const host = ip - offset + 0xfff > limit ? -1 : this.fetchPage(ip, 0);
    if (host < 0 || this.stops.near(linear >>> 0)) {
      this.mustStep = true;
      this.interruptLoop();
      return 0;
    }
    this.enterPage(ip - offset, 0);
    R[LINK_FROM] = 0;
    const place = this.code.find(host, offset, this.mode);
    this.note(place);
    return place;
  }

  /** The slow lookup in 64-bit code. */
  protected lookup64(): number {
    const { R, x86 } = this;
    const ip = R[S.RIP], offset = ip & 0xfff;
    const linear = R[S.RIP + 1] * 0x100000000 + (ip >>> 0);
    const host = x86.mmu64.fetchPage(linear, R[S.CPL] === 3);
    if (host < 0 || this.stops.near(linear)) {
      this.mustStep = true;
      this.interruptLoop();
      return 0;
    }
    this.enterPage(ip - offset, R[S.RIP + 1]);
    R[LINK_FROM] = 0;
    const place = this.code.find(host, offset, this.mode);
    this.note(place);
    return place;
  }

  /** Notes the page that code runs in from here on, by its start's offset in CS. */
  protected enterPage(low: number, high: number): void {
    this.whereabouts.enterPage(low, high);
  }

  /** Host offset of the page of code at an offset in CS, or negative. Raises #PF. */
  private fetchPage(low: number, high: number): number {
    const { R, x86 } = this, user = R[S.CPL] === 3;
    if (R[S.LONG] !== 0) return x86.mmu64.fetchPage(high * 0x100000000 + (low >>> 0), user);
    return x86.mmu.fetchPage((R[S.SEG_BASE + S.CS] + low) | 0, user);
  }

  /** The place of a record made of the instruction at RIP, for executing it alone. May raise. */
  private stepPlace(): number {
    const { R, x86 } = this;
    const long = R[S.LONG] !== 0;
    const ip = R[S.RIP] >>> 0,
      high = long ? R[S.RIP + 1] : 0,
      base = long ? 0 : R[S.SEG_BASE + S.CS];
    const limit = long ? Infinity : R[S.SEG_LIMIT + S.CS] >>> 0;
    if (ip > limit) x86.raise(S.GP, 0);
    const bytes = new Uint8Array(MAX_LENGTH + 1);
    const offset = (base + ip) & 0xfff;
    this.enterPage(ip - offset, high);
    this.step = (this.step + 1) % STEPS;
    const place = this.firstStep + this.step * 2 * RECORD;
    for (let length = 0; length < bytes.length;) {
      if (ip + length > limit) x86.raise(S.GP, 0);
      const at = ip + length, carried = at >= 0x100000000 && long ? high + 1 : high;
      const within = (base + at) & 0xfff;
      const host = this.fetchPage(at | 0, carried);
      const room = Math.min(0x1000 - within, bytes.length - length, limit - ip - length + 1);
      for (let i = 0; i < room; i++) {
        bytes[length + i] = host < 0
          ? x86.load8(long ? carried * 0x100000000 + ((at + i) >>> 0) : (base + at + i) | 0)
          : x86.bus.memory.host.bytes[host + within + i];
      }
      length += room;
      if (this.code.encodeBytes(place, bytes, length, offset, this.mode)) return place;
    }
    return x86.raise(S.GP, 0);
  }

  /** Decodes a record again whose bytes were written. */
  protected renew(p: number): void {
    this.code.renew(p);
  }

  /** The place of an instruction that ends in the next page, or 0 when it must be stepped. May raise. */
  private cross(p: number): number {
    const { R, code } = this;
    let place = -1;
    // Where CS has a limit, and where no memory lies, byte by byte: the next page may be none of its.
    if (R[S.LONG] !== 0 || R[S.SEG_FLAT + S.CS] === 1) {
      const page = R[PAGE_IP], after = (page + 0x1000) | 0;
      const next = this.fetchPage(after, R[PAGE_IP_HI] + (after === 0 ? 1 : 0));
      const host = this.fetchPage(page, R[PAGE_IP_HI]);
      if (next >= 0 && host >= 0) place = code.cross(p, host, next, this.mode);
    }
    if (place < 0) {
      this.mustStep = true;
      this.interruptLoop();
      return 0;
    }
    return place;
  }

  // The rest of `Cpu`.

  get activity(): CpuActivity {
    return (["running", "halted", "shutdown", "wait-for-sipi"] as const)[this.R[S.ACTIVITY]];
  }

  get ready(): boolean {
    const { R } = this;
    if (R[S.ACTIVITY] !== 1) return R[S.ACTIVITY] === 0;
    return R[S.SHADOW] === 0 &&
      ((this.nmiPending && R[S.NMI_BLOCKED] === 0) || (this.intr && (R[S.EFLAGS] & S.IF) !== 0));
  }

  set onPause(pause: () => void) {
    this.x86.onPause = pause;
  }

  get onPause(): () => void {
    return this.x86.onPause;
  }

  get interruptsEnabled(): boolean {
    return (this.R[S.EFLAGS] & S.IF) !== 0;
  }

  setIntr(level: boolean): void {
    this.intr = level;
    // While IF is clear nothing comes of it: what sets IF has the loop look at the pin.
    if (level && this.interruptsEnabled) this.interruptLoop();
  }

  startup(vector: number): void {
    startState(this.x86, vector);
  }

  nmi(): void {
    this.nmiPending = true;
    this.interruptLoop();
  }

  setA20(enabled: boolean): void {
    this.x86.mmu.setA20(enabled);
  }

  get location(): { cs: number; ip: number; linear: number } {
    const { R } = this;
    const p = R[CURRENT];
    const inside = this.inLoop && p !== LOOKUP_PLACE;
    const ip = inside ? Operations.ipOf(R, this.code.records, p) : R[S.RIP];
    const cs = R[S.SEG_SEL + S.CS] & 0xffff;
    if (R[S.LONG] !== 0) {
      const linear = (inside ? this.highOf(ip) : R[S.RIP + 1]) * 0x100000000 + (ip >>> 0);
      return { cs, ip: linear, linear };
    }
    return { cs, ip: ip >>> 0, linear: (R[S.SEG_BASE + S.CS] + ip) >>> 0 };
  }

  registers(): CpuRegisters {
    const { R } = this;
    const registers: CpuRegisters = {};
    const wide = (at: number) =>
      BigInt.asUintN(64, (BigInt(R[at + 1]) << 32n) | BigInt(R[at] >>> 0));
    const wideSegment = (n: number) =>
      BigInt.asUintN(64, (BigInt(R[S.SEG_BASE_HI + n]) << 32n) | BigInt(R[S.SEG_BASE + n] >>> 0));
    const names = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    if (this.x86.longActive) {
      names.forEach((name, n) => registers[`r${name}`] = wide(n * 2));
      for (let n = 8; n < S.GPR_COUNT; n++) registers[`r${n}`] = wide(n * 2);
      registers.rip = BigInt.asUintN(64, BigInt(this.location.ip));
    } else {
      names.forEach((name, n) => registers[`e${name}`] = R[n * 2] >>> 0);
      registers.eip = this.location.ip;
    }
    registers.eflags = S.readEflags(R) >>> 0;
    ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"].forEach((name, n) =>
      registers[name] = R[S.SEG_SEL + n] & 0xffff
    );
    registers.cr0 = R[S.CR0] >>> 0;
    if (this.x86.longActive) {
      registers.cr2 = wide(S.CR2);
      registers.cr3 = wide(S.CR3);
      registers.cr8 = this.x86.bus.apic?.taskPriority ?? R[S.CR8];
      registers.efer = R[S.EFER] >>> 0;
      registers.fs_base = wideSegment(S.FS);
      registers.gs_base = wideSegment(S.GS);
    } else {
      registers.cr2 = R[S.CR2] >>> 0;
      registers.cr3 = R[S.CR3] >>> 0;
    }
    registers.cr4 = R[S.CR4] >>> 0;
    registers.cpl = R[S.CPL];
    return registers;
  }

  recent(count: number): ExecutedInstruction[] {
    const { R } = this;
    const executed = recentInstructions(R, this.code.records, this.branches, count, {
      context: this.whereabouts.context(),
      left: this.whereabouts.left(),
      inLoop: this.inLoop,
      untold: this.untold,
      entered: this.enteredPage,
    });
    return executed.map(({ context: { cs, base, bits, pageHigh }, ip, length, unlisted }) => {
      // The history keeps low halves: code of one context lies in one half.
      const linear = bits === 64 ? pageHigh * 0x100000000 + (ip >>> 0) : (base + ip) >>> 0;
      return {
        cs: cs & 0xffff,
        ip: bits === 64 ? linear : ip >>> 0,
        linear,
        bytes: this.peekLinear(linear, length) ?? new Uint8Array(),
        bits,
        ...(unlisted > 0 ? { unlisted } : {}),
      };
    });
  }

  peekLinear(address: number, length: number): Uint8Array | undefined {
    const { x86 } = this;
    return x86.longActive
      ? x86.mmu64.peekBytes(address, length)
      : x86.mmu.peekBytes(address, length);
  }

  /** Drops all pre-decoded code, as when memory was changed behind the machine's back. */
  flushCode(): void {
    this.code.flush();
  }

  /** Executed records by form, for profiles: what `count` instructions from here on would use. Slow. */
  profile(count: number, tally: Map<string, number>): void {
    const names = this.operations.names(), C = this.code.records;
    for (let i = 0; i < count; i++) {
      this.run(1);
      const key = names.get(C[this.firstStep + this.step * 2 * RECORD]) ?? "?";
      tally.set(key, (tally.get(key) ?? 0) + 1);
    }
  }

  snapshot(): State {
    return {
      registers: S.stateBytes(this.x86.R),
      pdptes: [...this.x86.mmu.pdptes],
      a20: this.x86.mmu.a20,
      intr: this.intr,
      nmiPending: this.nmiPending,
      repeating: this.x86.repeating,
      instructions: this.instructions,
      msrs: this.x86.msrs.snapshot(),
    };
  }

  restore(state: State): void {
    checkState(this.name, state, this.snapshot());
    const pdptes = state.pdptes as number[];
    if (pdptes.length !== 8) throw new StateError(this.name, "state.pdptes must have 8 words");
    const { x86 } = this;
    x86.msrs.restore(state.msrs as State);
    x86.R.set(new Int32Array((state.registers as Uint8Array).slice().buffer));
    x86.mmu.pdptes.set(pdptes);
    x86.mmu.setA20(state.a20 as boolean);
    this.intr = state.intr as boolean;
    this.nmiPending = state.nmiPending as boolean;
    x86.repeating = state.repeating as boolean;
    this.target = state.instructions as number;
    this.left = 0;
    this.stops.forget();
    this.branches.fill(0);
    resumeState(x86);
    this.code.flush();
  }
}
