/**
 * The local APIC of one processor, in xAPIC and x2APIC mode.
 *
 * Intel SDM vol. 3, chapter 11 "Advanced Programmable Interrupt Controller (APIC)". The version is 14h, of
 * the integrated xAPICs, with seven local vector table entries and suppression of EOI broadcasts.
 *
 * Deviation: after RESET and INIT the bootstrap processor's LINT0 is ExtINT and its LINT1 NMI, both open,
 * where the SDM has them masked: virtual wire mode from the first instruction on, as in KVM's "LINT0
 * re-enabled". Software that knows of no APIC, and firmware for processors without one, work by it.
 * Deviation: SMIs are not delivered, since there is no system management mode.
 */
import type { RegisterAccess } from "../core/bus/port_map.ts";
import { type Chip, type State, StateError, type Wire } from "../core/chip.ts";
import type { Clock } from "../core/machine/clock.ts";
import type { LocalApicPort } from "../core/machine/cpu.ts";
import {
  type ApicMessage,
  type ApicReceiver,
  BROADCAST,
  EXTINT,
  FIXED,
  INIT,
  LOWEST_PRIORITY,
  NMI,
  type Shorthand,
  STARTUP,
} from "./apic_bus.ts";
import { type Bound, checkedState } from "./bounds.ts";
import { LocalApicTimer, TIMER_BOUNDS, type TimerState } from "./local_apic_timer.ts";
import { VectorSet } from "./vector_set.ts";

/** Where the registers are after a reset. */
export const LOCAL_APIC_BASE = 0xfee00000, LOCAL_APIC_SIZE = 0x1000;

/** Registers, by the offset in their page divided by 16, which is also their number in x2APIC mode (table 11-6). */
const ID = 0x02,
  VERSION = 0x03,
  TPR = 0x08,
  APR = 0x09,
  PPR = 0x0a,
  EOI = 0x0b,
  RRD = 0x0c,
  LDR = 0x0d,
  DFR = 0x0e,
  SVR = 0x0f,
  ISR = 0x10,
  TMR = 0x18,
  IRR = 0x20,
  ESR = 0x28,
  LVT_CMCI = 0x2f,
  ICR_LOW = 0x30,
  ICR_HIGH = 0x31,
  LVT_TIMER = 0x32,
  LVT_THERMAL = 0x33,
  LVT_PERF = 0x34,
  LVT_LINT0 = 0x35,
  LVT_LINT1 = 0x36,
  LVT_ERROR = 0x37,
  INITIAL_COUNT = 0x38,
  CURRENT_COUNT = 0x39,
  DIVIDE = 0x3e,
  SELF_IPI = 0x3f;

/** Positions in the state's array of local vector table entries. */
const TABLE: readonly number[] = [
  LVT_TIMER,
  LVT_THERMAL,
  LVT_PERF,
  LVT_LINT0,
  LVT_LINT1,
  LVT_ERROR,
  LVT_CMCI,
];
const TIMER = 0, LINT0 = 3, LINT1 = 4, ERROR = 5;

const LVT_MASK = 1 << 16, LVT_LEVEL = 1 << 15, LVT_REMOTE_IRR = 1 << 14, LVT_ACTIVE_LOW = 1 << 13;
/** Bits that software writes, by position: vector and mask, with delivery mode, pin or timer mode. */
const LVT_WRITABLE: readonly number[] = [
  0x700ff,
  0x107ff,
  0x107ff,
  0x1a7ff,
  0x1a7ff,
  0x100ff,
  0x107ff,
];

/** Version 14h, six as the highest entry, EOI broadcasts may be suppressed. */
const VERSION_VALUE = 0x01060014;
const SVR_ENABLE = 1 << 8, SVR_SUPPRESS_EOI = 1 << 12, SVR_WRITABLE = 0x11ff;
const ESR_SEND_ILLEGAL = 1 << 5, ESR_RECEIVE_ILLEGAL = 1 << 6, ESR_ILLEGAL_REGISTER = 1 << 7;
/** Vectors below are the processor's own. */
const FIRST_VECTOR = 16;

/** Interrupt command register. */
const ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15;
const ICR_WRITABLE = 0xccfff;
const SHORTHANDS: readonly Shorthand[] = ["none", "self", "all", "others"];

/** IA32_APIC_BASE: x2APIC mode and global enable; MAXPHYADDR is 40. */
const BASE_EXTD = 1 << 10, BASE_EN = 1 << 11, BASE_BSP = 1 << 8;
const BASE_RESERVED_LOW = 0x2ff, BASE_RESERVED_HIGH = ~0xff;

interface Registers extends State {
  /** IA32_APIC_BASE. */
  baseLow: number;
  baseHigh: number;
  id: number;
  tpr: number;
  ldr: number;
  dfr: number;
  svr: number;
  /** ESR as it reads, and errors since it was written last. */
  esr: number;
  errors: number;
  icrLow: number;
  icrHigh: number;
  lvt: number[];
  /** Levels of LINT0 and LINT1. */
  lint0: boolean;
  lint1: boolean;
  /** An ExtINT message waits for its acknowledge cycle. */
  extInt: boolean;
}

interface LocalApicState extends Registers {
  irr: number[];
  isr: number[];
  tmr: number[];
  timer: TimerState;
}

/** What a local APIC is joined to. */
export interface LocalApicWires {
  clock: Clock;
  bus: {
    sendFrom(sender: ApicReceiver, message: ApicMessage, shorthand: Shorthand): void;
    endOfInterrupt(vector: number): void;
  };
  /** Its processor's pins. */
  processor: {
    intr: Wire;
    nmi(): void;
    init(): void;
    startup(vector: number): void;
  };
  /** The acknowledge cycle of the external interrupt controller. */
  acknowledge(): number;
  /** Tells where the registers are, or that memory does not show them. */
  decode(base: number | undefined): void;
}

/** Which processor it belongs to. */
export interface LocalApicOptions {
  /** The APIC ID after a reset. Processor 0 is the bootstrap processor. */
  index: number;
}

/** A local APIC. */
export class LocalApic implements Chip, LocalApicPort, ApicReceiver {
  readonly name: string;
  private readonly bootstrap: boolean;
  private readonly index: number;
  private state: Registers;
  private readonly timer: LocalApicTimer;
  private readonly irr = new VectorSet();
  private readonly isr = new VectorSet();
  private readonly tmr = new VectorSet();
  private intrLevel = false;

  /** The page of registers, for xAPIC mode: claim it with `sizes: [4]`. */
  readonly registers: RegisterAccess = {
    read: (offset) => (offset & 0xf) === 0 ? this.readRegister(offset >>> 4) : 0,
    write: (offset, _size, value) => {
      if ((offset & 0xf) === 0) this.writeRegister(offset >>> 4, value);
    },
  };

  constructor(private readonly wires: LocalApicWires, { index }: LocalApicOptions) {
    this.name = `lapic${index}`;
    this.index = index;
    this.bootstrap = index === 0;
    this.timer = new LocalApicTimer(`${this.name} timer`, wires.clock, () => this.local(TIMER));
    this.state = this.powerUp();
  }

  private powerUp(): Registers {
    return {
      baseLow: (LOCAL_APIC_BASE | BASE_EN | (this.bootstrap ? BASE_BSP : 0)) >>> 0,
      baseHigh: 0,
      id: this.index,
      tpr: 0,
      ldr: 0,
      dfr: 0xffffffff,
      svr: 0xff,
      esr: 0,
      errors: 0,
      icrLow: 0,
      icrHigh: 0,
      lvt: TABLE.map((_, at) => {
        if (this.bootstrap && at === LINT0) return EXTINT << 8;
        return this.bootstrap && at === LINT1 ? NMI << 8 : LVT_MASK;
      }),
      lint0: false,
      lint1: false,
      extInt: false,
    };
  }

  // Modes.

  /** IA32_APIC_BASE.EN: the processor has a local APIC at all. */
  private get present(): boolean {
    return (this.state.baseLow & BASE_EN) !== 0;
  }

  /** The registers are MSRs. */
  private get x2apic(): boolean {
    return (this.state.baseLow & BASE_EXTD) !== 0;
  }

  /** The software enable of the spurious-interrupt vector register. */
  get enabled(): boolean {
    return this.present && (this.state.svr & SVR_ENABLE) !== 0;
  }

  readBase(): { low: number; high: number } {
    return { low: this.state.baseLow | 0, high: this.state.baseHigh | 0 };
  }

  writeBase(low: number, high: number): boolean {
    if ((low & BASE_RESERVED_LOW) !== 0 || (high & BASE_RESERVED_HIGH) !== 0) return false;
    const was = this.state.baseLow & (BASE_EN | BASE_EXTD);
    const mode = low & (BASE_EN | BASE_EXTD);
    // Figure 11-27: x2APIC mode is entered from xAPIC mode only, and left by switching the APIC off.
    if (mode === BASE_EXTD) return false;
    if (mode === (BASE_EN | BASE_EXTD) && was === 0) return false;
    if (mode === BASE_EN && was === (BASE_EN | BASE_EXTD)) return false;
    if (mode === 0 && was !== 0) this.restart();
    const { state } = this;
    if (mode === (BASE_EN | BASE_EXTD) && was === BASE_EN) {
      state.id = this.index;
      // A processor's cluster and its bit there follow from its ID (11.12.10.2).
      state.ldr = (((this.index >>> 4) << 16) | (1 << (this.index & 0xf))) >>> 0;
      state.icrHigh = 0;
    }
    state.baseLow = low >>> 0;
    state.baseHigh = high >>> 0;
    this.wires.decode(this.base);
    this.update();
    return true;
  }

  /** Where memory shows the registers, if it does. */
  get base(): number | undefined {
    const { baseLow, baseHigh } = this.state;
    const shown = this.present && !this.x2apic;
    return shown ? baseHigh * 2 ** 32 + ((baseLow & 0xfffff000) >>> 0) : undefined;
  }

  // The processor's side.

  get taskPriority(): number {
    return this.state.tpr >>> 4;
  }
  set taskPriority(priority: number) {
    this.state.tpr = (priority & 0xf) << 4;
    this.update();
  }

  readDeadline(): { low: number; high: number } {
    return this.timer.deadline;
  }

  writeDeadline(low: number, high: number): void {
    this.timer.setDeadline(low, high);
  }

  /** The acknowledge cycle: the vector to be served. */
  acknowledge(): number {
    const { state } = this;
    if (this.externalRequest) {
      state.extInt = false;
      const vector = this.wires.acknowledge();
      this.update();
      return vector;
    }
    const vector = this.irr.highest;
    // The request has gone since INTR was raised: the spurious vector, which sets no bit (11.9).
    if (vector < 0 || vector >> 4 <= this.ppr >> 4) return state.svr & 0xff;
    this.irr.clear(vector);
    this.isr.set(vector);
    this.update();
    return vector;
  }

  /** Whether the external interrupt controller asks, and is let through. */
  private get externalRequest(): boolean {
    const { lvt, lint0, extInt } = this.state;
    if (!this.present) return lint0;
    if (extInt) return true;
    const open = (lvt[LINT0] & (LVT_MASK | 0x700)) === EXTINT << 8;
    return open && this.asserted(LINT0);
  }

  private get ppr(): number {
    const { tpr } = this.state, serving = Math.max(0, this.isr.highest) & 0xf0;
    return (tpr & 0xf0) >= serving ? tpr : serving;
  }

  get arbitrationPriority(): number {
    const { tpr } = this.state;
    const requested = Math.max(0, this.irr.highest) & 0xf0;
    const serving = Math.max(0, this.isr.highest) & 0xf0;
    if ((tpr & 0xf0) >= requested && (tpr & 0xf0) > serving) return tpr;
    return Math.max(tpr & 0xf0 & serving, requested);
  }

  /** Whether there is something to be acknowledged. */
  private get pending(): boolean {
    if (this.externalRequest) return true;
    const requested = this.irr.highest;
    return this.enabled && requested >= 0 && requested >> 4 > this.ppr >> 4;
  }

  /** Drives INTR by what is requested and what is being served. */
  private update(): void {
    const level = this.pending;
    if (level === this.intrLevel) return;
    this.intrLevel = level;
    this.wires.processor.intr(level);
  }

  /** The level of INTR. */
  get intr(): boolean {
    return this.intrLevel;
  }

  // Interrupts that arrive.

  matches(destination: number, logical: boolean): boolean {
    const { ldr, dfr, id } = this.state;
    if (!this.present) return false;
    if (destination === BROADCAST) return true;
    if (!logical) return destination === id;
    if (this.x2apic) {
      return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
    }
    const own = ldr >>> 24;
    // Flat model, or clusters of four (11.6.2.2).
    if (dfr >>> 28 === 0xf) return (destination & own) !== 0;
    return ((destination ^ own) & 0xf0) === 0 && (destination & own & 0x0f) !== 0;
  }

  accept({ mode, vector, level }: ApicMessage): boolean {
    if (!this.present) return false;
    switch (mode) {
      case FIXED:
      case LOWEST_PRIORITY:
        return this.request(vector, level);
      case NMI:
        this.wires.processor.nmi();
        return true;
      case INIT:
        this.init();
        return true;
      case STARTUP:
        this.wires.processor.startup(vector);
        return true;
      case EXTINT:
        this.state.extInt = true;
        this.update();
        return true;
    }
    return false;
  }

  /** Sets a request; false when the APIC takes none. */
  private request(vector: number, level: boolean): boolean {
    if (!this.enabled) return false;
    if (vector < FIRST_VECTOR) {
      this.error(ESR_RECEIVE_ILLEGAL);
      return true;
    }
    this.irr.set(vector);
    if (level) this.tmr.set(vector);
    else this.tmr.clear(vector);
    this.update();
    return true;
  }

  /** INIT, by message or by the board's reset line for the processor (11.4.7.3). */
  init(): void {
    this.restart();
    this.wires.processor.init();
  }

  /** One of the board's lines to the processor: 0 is LINT0 (INTR), 1 is LINT1 (NMI). */
  lint(pin: 0 | 1): Wire {
    const at = pin === 0 ? LINT0 : LINT1, key = pin === 0 ? "lint0" : "lint1";
    return (level) => {
      const { state } = this;
      if (state[key] === level) return;
      const before = this.asserted(at);
      state[key] = level;
      if (!this.present) {
        if (pin === 1 && level) this.wires.processor.nmi();
      } else if (this.asserted(at) && !before) this.local(at);
      this.update();
    };
  }

  /** Whether a pin is active by its polarity. */
  private asserted(at: number): boolean {
    const { lint0, lint1, lvt } = this.state;
    const level = at === LINT0 ? lint0 : lint1;
    return level !== ((lvt[at] & LVT_ACTIVE_LOW) !== 0);
  }

  /** A source of the local vector table asks. */
  private local(at: number): void {
    const { lvt } = this.state, entry = lvt[at];
    if ((entry & LVT_MASK) !== 0 || !this.present) return;
    const mode = at === TIMER || at === ERROR ? FIXED : (entry >>> 8) & 7;
    // ExtINT is a level: see `externalRequest`.
    if (mode === EXTINT) return;
    const level = mode === FIXED && at === LINT0 && (entry & LVT_LEVEL) !== 0;
    if (level && (entry & LVT_REMOTE_IRR) !== 0) return;
    const taken = this.accept({
      mode,
      vector: entry & 0xff,
      level,
      logical: false,
      destination: this.state.id,
    });
    if (level && taken) lvt[at] |= LVT_REMOTE_IRR;
  }

  private error(bit: number): void {
    this.state.errors |= bit;
    const entry = this.state.lvt[ERROR];
    // An error entry with an illegal vector must not cause another error.
    if ((entry & 0xff) >= FIRST_VECTOR) this.local(ERROR);
  }

  private endOfInterrupt(): void {
    const { state } = this, vector = this.isr.highest;
    if (vector < 0) return;
    this.isr.clear(vector);
    if (this.tmr.has(vector)) {
      const entry = state.lvt[LINT0];
      if ((entry & LVT_REMOTE_IRR) !== 0 && (entry & 0xff) === vector) {
        state.lvt[LINT0] &= ~LVT_REMOTE_IRR;
        if (this.asserted(LINT0)) this.local(LINT0);
      }
      if ((state.svr & SVR_SUPPRESS_EOI) === 0) this.wires.bus.endOfInterrupt(vector);
    }
    this.update();
  }

  // Registers.

  private readRegister(register: number): number {
    const { state } = this;
    const entry = TABLE.indexOf(register);
    if (entry >= 0) return state.lvt[entry];
    if (register >= ISR && register < ISR + 8) return this.isr.word(register - ISR);
    if (register >= TMR && register < TMR + 8) return this.tmr.word(register - TMR);
    if (register >= IRR && register < IRR + 8) return this.irr.word(register - IRR);
    switch (register) {
      case ID:
        return this.x2apic ? state.id : (state.id << 24) >>> 0;
      case VERSION:
        return VERSION_VALUE;
      case TPR:
        return state.tpr;
      case APR:
        return this.arbitrationPriority;
      case PPR:
        return this.ppr;
      case LDR:
        return state.ldr;
      case DFR:
        return state.dfr;
      case SVR:
        return state.svr;
      case ESR:
        return state.esr;
      case ICR_LOW:
        return state.icrLow;
      case ICR_HIGH:
        return state.icrHigh;
      case INITIAL_COUNT:
        return this.timer.initial;
      case CURRENT_COUNT:
        return this.timer.current;
      case DIVIDE:
        return this.timer.divide;
      case EOI:
      case RRD:
        return 0;
    }
    this.error(ESR_ILLEGAL_REGISTER);
    return 0;
  }

  private writeRegister(register: number, value: number): void {
    const { state } = this;
    const entry = TABLE.indexOf(register);
    if (entry >= 0) return this.writeEntry(entry, value);
    switch (register) {
      case ID:
        state.id = value >>> 24;
        return;
      case TPR:
        state.tpr = value & 0xff;
        return this.update();
      case EOI:
        return this.endOfInterrupt();
      case LDR:
        state.ldr = (value & 0xff000000) >>> 0;
        return;
      case DFR:
        state.dfr = (value | 0x0fffffff) >>> 0;
        return;
      case SVR:
        return this.writeSvr(value);
      case ESR:
        state.esr = state.errors;
        state.errors = 0;
        return;
      case ICR_LOW:
        state.icrLow = value & ICR_WRITABLE;
        return this.sendIpi();
      case ICR_HIGH:
        state.icrHigh = this.x2apic ? value : (value & 0xff000000) >>> 0;
        return;
      case INITIAL_COUNT:
        this.timer.initial = value;
        return;
      case DIVIDE:
        this.timer.divide = value;
        return;
      case SELF_IPI:
        if (this.x2apic) return this.sendSelf(value & 0xff);
        break;
      case VERSION:
      case APR:
      case PPR:
      case RRD:
      case CURRENT_COUNT:
        return;
    }
    if (register < ISR || register >= IRR + 8) this.error(ESR_ILLEGAL_REGISTER);
  }

  private writeSvr(value: number): void {
    const { state } = this;
    state.svr = value & SVR_WRITABLE;
    // Software disable masks all entries, and keeps them so (11.4.7.2).
    if ((value & SVR_ENABLE) === 0) {
      state.lvt = state.lvt.map((entry) => entry | LVT_MASK);
      this.configureTimer();
    }
    this.update();
  }

  private writeEntry(at: number, value: number): void {
    const { state } = this;
    let entry = value & LVT_WRITABLE[at];
    if ((state.svr & SVR_ENABLE) === 0) entry |= LVT_MASK;
    if ((entry & LVT_LEVEL) !== 0) entry |= state.lvt[at] & LVT_REMOTE_IRR;
    state.lvt[at] = entry;
    if (at === TIMER) this.configureTimer();
    // A level that is there already asks at once; an edge would have been seen.
    if (at === LINT0 && (entry & LVT_LEVEL) !== 0 && this.asserted(at)) {
      if (((entry >>> 8) & 7) === FIXED) this.local(at);
    }
    this.update();
  }

  private configureTimer(): void {
    const entry = this.state.lvt[TIMER];
    this.timer.configure((entry >>> 17) & 3, (entry & LVT_MASK) !== 0);
  }

  private sendSelf(vector: number): void {
    if (vector < FIRST_VECTOR) this.error(ESR_SEND_ILLEGAL);
    else this.request(vector, false);
  }

  /** What a write to the interrupt command register sends (table 11-3). */
  private sendIpi(): void {
    const { icrLow, icrHigh } = this.state;
    const mode = (icrLow >>> 8) & 7, vector = icrLow & 0xff, shorthand = SHORTHANDS[icrLow >>> 18];
    const level = (icrLow & ICR_LEVEL) !== 0;
    // INIT level de-assert synchronised the arbitration of ancient processors.
    if (mode === INIT && level && (icrLow & ICR_ASSERT) === 0) return;
    const fixed = mode === FIXED || mode === LOWEST_PRIORITY;
    if (fixed && vector < FIRST_VECTOR) return this.error(ESR_SEND_ILLEGAL);
    // A processor sends itself fixed interrupts only, and there is no lowest priority of one.
    if (mode !== FIXED && (shorthand === "self" || shorthand === "all")) return;
    const destination = this.x2apic ? icrHigh : icrHigh >>> 24;
    this.wires.bus.sendFrom(this, {
      mode,
      vector,
      level: false,
      logical: (icrLow & ICR_LOGICAL) !== 0,
      destination: !this.x2apic && destination === 0xff ? BROADCAST : destination,
    }, shorthand);
  }

  readMsr(index: number): { low: number; high: number } | undefined {
    const register = index - 0x800;
    if (!this.x2apic || !this.hasMsr(register) || register === EOI || register === SELF_IPI) {
      return undefined;
    }
    const high = register === ICR_LOW ? this.state.icrHigh : 0;
    return { low: this.readRegister(register) | 0, high: high | 0 };
  }

  writeMsr(index: number, low: number, high: number): boolean {
    const register = index - 0x800, value = low >>> 0;
    if (!this.x2apic || !this.hasMsr(register)) return false;
    if (register !== ICR_LOW && high !== 0) return false;
    const entry = TABLE.indexOf(register);
    // Read-only bits of an entry, delivery status and remote IRR, are not reserved ones.
    const allowed = entry >= 0 ? LVT_WRITABLE[entry] | 0x5000 : WRITABLE_MSRS.get(register);
    if (allowed === undefined || (value & ~allowed) !== 0) return false;
    if (register === ICR_LOW) this.state.icrHigh = high >>> 0;
    this.writeRegister(register, value);
    return true;
  }

  /** Whether a register exists in x2APIC mode (table 11-6). */
  private hasMsr(register: number): boolean {
    return TABLE.includes(register) || X2APIC_REGISTERS.has(register) ||
      (register >= ISR && register < IRR + 8);
  }

  // The chip.

  /** What INIT and switching off do: all but the base register, the ID and the levels of the pins start anew. */
  private restart(): void {
    const { baseLow, baseHigh, id, lint0, lint1, ldr } = this.state;
    this.state = { ...this.powerUp(), baseLow, baseHigh, id, lint0, lint1 };
    if (this.x2apic) this.state.ldr = ldr;
    for (const set of [this.irr, this.isr, this.tmr]) set.reset();
    this.timer.reset();
    this.update();
  }

  reset(): void {
    const { lint0, lint1 } = this.state;
    this.state = { ...this.powerUp(), lint0, lint1 };
    for (const set of [this.irr, this.isr, this.tmr]) set.reset();
    this.timer.reset();
    this.wires.decode(this.base);
    this.intrLevel = this.pending;
    this.wires.processor.intr(this.intrLevel);
  }

  snapshot(): State {
    return {
      ...this.state,
      lvt: [...this.state.lvt],
      irr: this.irr.words(),
      isr: this.isr.words(),
      tmr: this.tmr.words(),
      timer: this.timer.snapshot(),
    };
  }

  restore(state: State): void {
    const like = this.snapshot() as LocalApicState;
    const checked = checkedState(this.name, state, like, BOUNDS);
    const { irr, isr, tmr, timer, ...registers } = checked;
    const { baseLow } = registers;
    if ((baseLow & BASE_RESERVED_LOW) !== 0 || (baseLow & (BASE_EN | BASE_EXTD)) === BASE_EXTD) {
      throw new StateError(this.name, `baseLow cannot be ${baseLow}`);
    }
    this.irr.take(irr);
    this.isr.take(isr);
    this.tmr.take(tmr);
    this.timer.restore(timer);
    this.state = registers as Registers;
    this.wires.decode(this.base);
    this.intrLevel = this.pending;
    this.wires.processor.intr(this.intrLevel);
  }
}

/** Registers that exist as MSRs, besides the vector table and the three vector sets. */
const X2APIC_REGISTERS = new Set([
  ID,
  VERSION,
  TPR,
  PPR,
  EOI,
  LDR,
  SVR,
  ESR,
  ICR_LOW,
  INITIAL_COUNT,
  CURRENT_COUNT,
  DIVIDE,
  SELF_IPI,
]);

/** Those that can be written, with the bits that may be set (11.12.1.3). */
const WRITABLE_MSRS = new Map([
  [TPR, 0xff],
  [EOI, 0],
  [SVR, SVR_WRITABLE],
  [ESR, 0],
  [ICR_LOW, ICR_WRITABLE],
  [INITIAL_COUNT, 0xffffffff],
  [DIVIDE, 0xb],
  [SELF_IPI, 0xff],
]);

const U32 = 0xffffffff;
const WORDS: Bound = { items: U32, most: 8, least: 8 };
const BOUNDS = {
  baseLow: U32,
  baseHigh: 0xff,
  id: 0xff,
  tpr: 0xff,
  ldr: U32,
  dfr: { min: 0x0fffffff, max: U32 },
  svr: SVR_WRITABLE,
  esr: 0xff,
  errors: 0xff,
  icrLow: ICR_WRITABLE,
  icrHigh: U32,
  lvt: { items: 0x7ffff, most: TABLE.length, least: TABLE.length },
  irr: WORDS,
  isr: WORDS,
  tmr: WORDS,
  timer: TIMER_BOUNDS,
} as const;
