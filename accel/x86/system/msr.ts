/**
 * Model-specific registers (SDM vol. 4: tables 2-51 for the P6 family and 2-52 for the Pentium, and
 * table 2-2 for the architectural ones).
 *
 * What no hardware here stands behind (memory types, machine checks, performance counters, branch records)
 * are registers: they keep what may be written to them and change nothing.
 */
import { checkState, type State, StateError } from "../../../core/chip.ts";
import type { X86 } from "../cpu.ts";
import type { CpuModel } from "../models.ts";
import * as S from "../state.ts";
import { writeEfer } from "./control.ts";
import { isCanonical, updateFlat } from "./segments.ts";

const IA32_TIME_STAMP_COUNTER = 0x10, IA32_APIC_BASE = 0x1b;
const IA32_SYSENTER_CS = 0x174, IA32_SYSENTER_ESP = 0x175, IA32_SYSENTER_EIP = 0x176;
const IA32_BIOS_UPDT_TRIG = 0x79, IA32_DEBUGCTL = 0x1d9;
const EFER = 0xc0000080, FS_BASE = 0xc0000100, GS_BASE = 0xc0000101;
/** Registers of SYSCALL, SWAPGS and RDTSCP (SDM vol. 4, table 2-2). */
export const STAR = 0xc0000081,
  LSTAR = 0xc0000082,
  CSTAR = 0xc0000083,
  FMASK = 0xc0000084,
  KERNEL_GS_BASE = 0xc0000102,
  TSC_AUX = 0xc0000103;
/** The registers that instructions use by themselves, STAR to TSC_AUX, are found by their distance from the first, as int32. */
const FIRST_NEAR = STAR | 0, NEAR = TSC_AUX + 1 - STAR;
const MTRR_COUNT = 8, MC_BANKS = 5;
const IA32_TSC_ADJUST = 0x3b, IA32_TSC_DEADLINE = 0x6e0;
/** MSRs of the local APIC in x2APIC mode. */
const X2APIC_FIRST = 0x800, X2APIC_LAST = 0x8ff;
const APIC_ENABLE = 1 << 11, APIC_EXTD = 1 << 10;

/**
 * IA32_ARCH_CAPABILITIES of a processor that executes one instruction after the other: not affected by
 * rogue loads of data (bit 0), L1 faults (3), store bypass (4), buffer sampling (5), page-size changes (6),
 * TSX aborts (8), stale data of shared buffers (13), fill buffers (14) and primary buffers (15), branch
 * history (20), gather (26), register files (27).
 */
const NOT_AFFECTED = 0b1100_0001_0000_1110_0001_0111_1001;
/** The same register's high half: nor by indirect target selection (62). */
const NOT_AFFECTED_HIGH = 1 << 30;

/** DEBUGCTL: record last branches, single-step on branches. */
const LBR = 1, BTF = 2;

/** Whether a value may be written. */
type Check = (low: number, high: number) => boolean;

interface Definition {
  address: number;
  /** After power-up; INIT leaves these registers alone. */
  low: number;
  high: number;
  allows: Check;
}

const anything: Check = () => true;
const nothing: Check = () => false;
const zero: Check = (low, high) => low === 0 && high === 0;
const canonical: Check = (_low, high) => isCanonical(high);

/** Allows bits within two masks. */
function within(lowMask: number, highMask: number): Check {
  return (low, high) => (low & ~lowMask) === 0 && (high & ~highMask) === 0;
}

/** Memory types that MTRRs take: UC, WC, WT, WP, WB. */
function isMtrrType(type: number): boolean {
  return type === 0 || type === 1 || (type >= 4 && type <= 6);
}

/** Whether all eight bytes of a register are memory types by `valid`. */
function typeBytes(valid: (type: number) => boolean): Check {
  return (low, high) => {
    for (let shift = 0; shift < 32; shift += 8) {
      if (!valid((low >>> shift) & 0xff) || !valid((high >>> shift) & 0xff)) return false;
    }
    return true;
  };
}

const FIXED_MTRRS = [
  0x250,
  0x258,
  0x259,
  0x268,
  0x269,
  0x26a,
  0x26b,
  0x26c,
  0x26d,
  0x26e,
  0x26f,
];

/**
 * Registers of AMD's family 15 that kernels read or set without asking (BIOS and Kernel Developer's Guide
 * 32559): SYSCFG, HWCR, top of memory, NB_CFG, interrupt pending, DE_CFG.
 */
const AMD_MSRS = [
  0xc0010010,
  0xc0010015,
  0xc001001a,
  0xc001001d,
  0xc001001f,
  0xc0010055,
  0xc0011029,
];

/** The registers that long mode brought. */
function longModeDefinitions({ vendor, features }: CpuModel): Definition[] {
  const list: Definition[] = [];
  const add = (address: number, allows: Check, low = 0) =>
    list.push({ address, low, high: 0, allows });
  if (features.has("syscall")) add(STAR, anything);
  if (features.has("lm")) {
    add(LSTAR, canonical);
    add(CSTAR, canonical);
    add(FMASK, within(-1, 0));
    add(KERNEL_GS_BASE, canonical);
    if (vendor === "AuthenticAMD") { for (const address of AMD_MSRS) add(address, anything); }
  }
  if (features.has("rdtscp") || features.has("rdpid")) add(TSC_AUX, within(-1, 0));
  return list;
}

/** The plain registers of a model, by address. */
function definitions(model: CpuModel): Definition[] {
  const { family, features } = model;
  // Bits of a physical address beyond 32: MAXPHYADDR is 36, and 40 with long mode.
  const addressHigh = features.has("lm") ? 0xff : 0xf;
  const list: Definition[] = longModeDefinitions(model);
  const add = (address: number, allows: Check, low = 0, high = 0) =>
    list.push({ address, low, high, allows });
  if (!features.has("msr")) return list;
  const p6 = family >= 6;
  // IA32_P5_MC_ADDR and IA32_P5_MC_TYPE.
  add(0x00, anything);
  add(0x01, anything);
  if (!p6) {
    for (const counter of [0x11, 0x12, 0x13]) add(counter, anything); // CESR, CTR0, CTR1.
  }
  // Bits 8 BSP, 11 enable, and the base. A P6 without a local APIC is one whose APIC is not enabled (SDM
  // vol. 3, 10.4.3); where there is one, the register is the chip's.
  if (p6) {
    add(IA32_APIC_BASE, within(0xfffff900 | 0, addressHigh), 0xfee00100 | 0);
    add(0x17, nothing); // IA32_PLATFORM_ID.
    add(0x2a, anything); // EBL_CR_POWERON.
    for (const cache of [0x88, 0x89, 0x8a, 0x116, 0x118, 0x119, 0x11a, 0x11b, 0x11e]) {
      add(cache, anything); // BBL_CR_D0 and on.
    }
    add(0x8b, anything); // IA32_BIOS_SIGN_ID.
    for (const counter of [0xc1, 0xc2]) add(counter, anything); // PERFCTR0, PERFCTR1.
    for (const select of [0x186, 0x187]) add(select, within(-1, 0)); // PERFEVTSEL0, 1.
    add(IA32_DEBUGCTL, within(0x7f, 0));
    // LASTBRANCHFROMIP, LASTBRANCHTOIP, LASTINTFROMIP, LASTINTTOIP.
    for (const record of [0x1db, 0x1dc, 0x1dd, 0x1de]) add(record, nothing);
    add(0x1e0, anything); // ROB_CR_BKUPTMPDR6.
    // IA32_MISC_ENABLE: fast strings. It came with the Pentium 4 and the Pentium M.
    if (features.has("sse2")) add(0x1a0, anything, 1);
  }
  if (features.has("tsc_adjust")) add(IA32_TSC_ADJUST, anything);
  if (features.has("arch_capabilities")) add(0x10a, nothing, NOT_AFFECTED, NOT_AFFECTED_HIGH);
  if (features.has("mtrr")) {
    // IA32_MTRRCAP: WC, fixed ranges, number of variable ranges.
    add(0xfe, nothing, 0x500 | MTRR_COUNT);
    for (let n = 0; n < MTRR_COUNT; n++) {
      const base = within(0xfffff0ff | 0, addressHigh);
      add(0x200 + 2 * n, (low, high) => base(low, high) && isMtrrType(low & 0xff));
      add(0x201 + 2 * n, within(0xfffff800 | 0, addressHigh));
    }
    for (const fixed of FIXED_MTRRS) add(fixed, typeBytes(isMtrrType));
    const type = within(0xcff, 0);
    add(0x2ff, (low, high) => type(low, high) && isMtrrType(low & 0xff));
  }
  if (features.has("pat")) {
    add(0x277, typeBytes((t) => isMtrrType(t) || t === 7), 0x00070406, 0x00070406);
  }
  if (features.has("mca")) {
    // IA32_MCG_CAP: MCG_CTL is there, number of banks.
    add(0x179, nothing, 0x100 | MC_BANKS);
    add(0x17a, within(7, 0)); // IA32_MCG_STATUS.
    add(0x17b, anything); // IA32_MCG_CTL.
    for (let bank = 0; bank < MC_BANKS; bank++) {
      add(0x400 + 4 * bank, anything); // IA32_MCi_CTL; STATUS, ADDR and MISC can only be cleared.
      for (let i = 1; i < 4; i++) add(0x400 + 4 * bank + i, zero);
    }
  }
  return list.sort((a, b) => a.address - b.address);
}

/** A counter's low word and high word as two int32. */
export interface Words {
  low: number;
  high: number;
}

function toBigInt({ low, high }: Words): bigint {
  return (BigInt(high) << 32n) + BigInt(low >>> 0);
}

function toWords(value: bigint): Words {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
}

/** The model-specific registers of one processor. */
export class MsrFile {
  private readonly known: Definition[];
  /** Position in `known` by address. */
  private readonly slots = new Map<number, number>();
  /** The same for the registers from {@linkcode FIRST_NEAR} on, -1 for none. */
  private readonly near: Int32Array;
  /** Low and high words of `known`. */
  private readonly words: Int32Array;

  constructor(private readonly cpu: X86) {
    this.known = definitions(cpu.model);
    this.known.forEach(({ address }, slot) => this.slots.set(address, slot));
    this.near = Int32Array.from(
      { length: NEAR },
      (_, n) => this.slots.get((FIRST_NEAR >>> 0) + n) ?? -1,
    );
    this.words = new Int32Array(2 * this.known.length);
    this.reset();
  }

  /** Power-up values. */
  reset(): void {
    this.known.forEach(({ low, high }, slot) => {
      this.words[2 * slot] = low;
      this.words[2 * slot + 1] = high;
    });
    const R = this.cpu.R;
    R[S.SYSENTER_CS] = R[S.SYSENTER_ESP] = R[S.SYSENTER_EIP] = 0;
    R[S.SYSENTER_CS + 1] = R[S.SYSENTER_ESP + 1] = R[S.SYSENTER_EIP + 1] = 0;
    this.setTimeStamp(0, 0);
  }

  /** The value of a register, or undefined when RDMSR raises #GP(0) for it. */
  read(address: number): Words | undefined {
    address >>>= 0;
    const { R, model: { features } } = this.cpu;
    if (address === IA32_TIME_STAMP_COUNTER && features.has("tsc")) return this.timeStamp();
    const { apic } = this.cpu.bus;
    if (apic !== undefined) {
      if (address === IA32_APIC_BASE && features.has("apic")) return apic.readBase();
      if (this.isX2apic(address)) return apic.readMsr(address);
      if (address === IA32_TSC_DEADLINE && features.has("tsc_deadline_timer")) {
        const { low, high } = apic.readDeadline();
        return (low | high) === 0 ? { low, high } : this.add({ low, high }, this.offset());
      }
    }
    const at = this.sysenterWord(address);
    if (at !== 0) return { low: R[at], high: R[at + 1] };
    if (address === EFER && this.hasEfer) return { low: R[S.EFER], high: R[S.EFER + 1] };
    const segment = this.baseOf(address);
    if (segment >= 0) {
      return { low: R[S.SEG_BASE + segment], high: R[S.SEG_BASE_HI + segment] };
    }
    const slot = this.slots.get(address);
    if (slot === undefined) return undefined;
    return { low: this.words[2 * slot], high: this.words[2 * slot + 1] };
  }

  /** Writes a register; false when WRMSR raises #GP(0) for this address and value. */
  write(address: number, low: number, high: number): boolean {
    address >>>= 0;
    const { R, model } = this.cpu;
    if (address === IA32_TIME_STAMP_COUNTER && model.features.has("tsc")) {
      // Up to the P6 family the high half is cleared, whatever is written (SDM vol. 3, 17.17.3).
      this.writeTimeStamp(
        low,
        model.family < 6 || (model.family === 6 && model.model < 13) ? 0 : high,
      );
      return true;
    }
    if (address === IA32_TSC_ADJUST && model.features.has("tsc_adjust")) {
      const by = toWords(toBigInt({ low, high }) - toBigInt(this.register(IA32_TSC_ADJUST)));
      const { low: newLow, high: newHigh } = this.add(this.timeStamp(), by);
      this.writeTimeStamp(newLow, newHigh);
      return true;
    }
    const { apic } = this.cpu.bus;
    if (apic !== undefined) {
      if (address === IA32_APIC_BASE && model.features.has("apic")) {
        // The bit of x2APIC mode is reserved in a processor that has no such mode.
        if ((low & APIC_EXTD) !== 0 && !model.features.has("x2apic")) return false;
        return apic.writeBase(low, high);
      }
      if (this.isX2apic(address)) return apic.writeMsr(address, low, high);
      if (address === IA32_TSC_DEADLINE && model.features.has("tsc_deadline_timer")) {
        this.writeDeadline({ low, high });
        return true;
      }
    }
    const at = this.sysenterWord(address);
    if (at !== 0) {
      if (at !== S.SYSENTER_CS && model.features.has("lm") && !isCanonical(high)) return false;
      R[at] = low;
      R[at + 1] = at === S.SYSENTER_CS ? 0 : high;
      return true;
    }
    if (address === EFER && this.hasEfer) return writeEfer(this.cpu, low, high);
    const segment = this.baseOf(address);
    if (segment >= 0) {
      if (!isCanonical(high)) return false;
      R[S.SEG_BASE + segment] = low;
      R[S.SEG_BASE_HI + segment] = high;
      updateFlat(this.cpu, segment);
      return true;
    }
    // Microcode updates are accepted and have no effect; reading the trigger is #GP.
    if (address === IA32_BIOS_UPDT_TRIG) return model.features.has("msr") && model.family >= 6;
    const slot = this.slots.get(address);
    if (slot === undefined || !this.known[slot].allows(low, high)) return false;
    if (address === 0xc1 || address === 0xc2) high = (low >> 31) & 0xff; // 40 bits, sign-extended from 32.
    this.words[2 * slot] = low;
    this.words[2 * slot + 1] = high;
    return true;
  }

  /** IA32_APIC_BASE bit 11 of a processor with a local APIC. */
  get apicEnabled(): boolean {
    const { apic } = this.cpu.bus;
    return apic !== undefined && (apic.readBase().low & APIC_ENABLE) !== 0;
  }

  private isX2apic(address: number): boolean {
    return address >= X2APIC_FIRST && address <= X2APIC_LAST &&
      this.cpu.model.features.has("x2apic");
  }

  private register(address: number): Words {
    return { low: this.low(address), high: this.high(address) };
  }

  private add(a: Words, b: Words): Words {
    return toWords(toBigInt(a) + toBigInt(b));
  }

  /** What the time-stamp counter is ahead of the clock. */
  private offset(): Words {
    const R = this.cpu.R;
    return { low: R[S.TSC_OFFSET], high: R[S.TSC_OFFSET + 1] };
  }

  /** Sets the time-stamp counter as software does: IA32_TSC_ADJUST moves along, and a deadline stays the count it is (SDM vol. 3, 17.17.3). */
  private writeTimeStamp(low: number, high: number): void {
    const { apic } = this.cpu.bus, timed = this.cpu.model.features.has("tsc_deadline_timer");
    const deadline = timed && apic !== undefined ? this.read(IA32_TSC_DEADLINE) : undefined;
    const before = toBigInt(this.timeStamp());
    this.setTimeStamp(low, high);
    if (this.slots.has(IA32_TSC_ADJUST)) {
      const by = toWords(toBigInt({ low, high }) - before);
      const adjusted = this.add(this.register(IA32_TSC_ADJUST), by);
      this.set(IA32_TSC_ADJUST, adjusted.low, adjusted.high);
    }
    if (deadline !== undefined) this.writeDeadline(deadline);
  }

  /** Hands a deadline to the APIC, which counts by the clock: the counter's lead is taken off. */
  private writeDeadline(deadline: Words): void {
    const apic = this.cpu.bus.apic!;
    if ((deadline.low | deadline.high) === 0) return apic.writeDeadline(0, 0);
    const at = BigInt.asUintN(64, toBigInt(deadline)) - BigInt.asIntN(64, toBigInt(this.offset()));
    // One that the clock will never have shown has passed.
    const { low, high } = toWords(at > 0n ? at : 1n);
    apic.writeDeadline(low, high);
  }

  private get hasEfer(): boolean {
    const { features } = this.cpu.model;
    return features.has("syscall") || features.has("nx") || features.has("lm");
  }

  /** The segment whose base a register is, or -1. */
  private baseOf(address: number): number {
    if (!this.cpu.model.features.has("lm")) return -1;
    return address === FS_BASE ? S.FS : address === GS_BASE ? S.GS : -1;
  }

  // hot: SYSCALL, SYSRET and SWAPGS look at theirs.
  private slotOf(address: number): number {
    const near = (address | 0) - FIRST_NEAR;
    return near >= 0 && near < NEAR ? this.near[near] : this.slots.get(address)!;
  }

  /** Low half of a register that the model has. */
  low(address: number): number {
    return this.words[2 * this.slotOf(address)];
  }

  /** High half of a register that the model has. */
  high(address: number): number {
    return this.words[2 * this.slotOf(address) + 1];
  }

  /** Sets a register that the model has, unchecked. */
  set(address: number, low: number, high: number): void {
    const slot = this.slotOf(address);
    this.words[2 * slot] = low;
    this.words[2 * slot + 1] = high;
  }

  private sysenterWord(address: number): number {
    if (!this.cpu.model.features.has("sep")) return 0;
    if (address === IA32_SYSENTER_CS) return S.SYSENTER_CS;
    if (address === IA32_SYSENTER_ESP) return S.SYSENTER_ESP;
    if (address === IA32_SYSENTER_EIP) return S.SYSENTER_EIP;
    return 0;
  }

  /** The time-stamp counter: one tick a virtual nanosecond, plus the offset that writes to it leave. */
  timeStamp(): Words {
    const now = this.cpu.bus.clock.now(), R = this.cpu.R;
    const low = (now % 2 ** 32) + (R[S.TSC_OFFSET] >>> 0);
    const high = Math.floor(now / 2 ** 32) + R[S.TSC_OFFSET + 1] + (low >= 2 ** 32 ? 1 : 0);
    return { low: low | 0, high: high | 0 };
  }

  private setTimeStamp(low: number, high: number): void {
    const now = this.cpu.bus.clock.now(), R = this.cpu.R;
    const difference = (low >>> 0) - (now % 2 ** 32);
    R[S.TSC_OFFSET] = difference;
    R[S.TSC_OFFSET + 1] = high - Math.floor(now / 2 ** 32) - (difference < 0 ? 1 : 0);
  }

  /** Whether TF traps only after taken branches: DEBUGCTL.BTF. */
  get stepsBranches(): boolean {
    const slot = this.slots.get(IA32_DEBUGCTL);
    return slot !== undefined && (this.words[2 * slot] & BTF) !== 0;
  }

  /** #DB clears DEBUGCTL.LBR and BTF. */
  debugExceptionTaken(): void {
    const slot = this.slots.get(IA32_DEBUGCTL);
    if (slot !== undefined) this.words[2 * slot] &= ~(LBR | BTF);
  }

  /** The registers that are not in `R`: low and high words in order of address. */
  snapshot(): State {
    return { words: Array.from(this.words) };
  }

  /**
   * Takes over a snapshot of the same model.
   *
   * @throws {StateError} when it does not fit
   */
  restore(state: State): void {
    const words = this.checked(state);
    this.words.set(words);
  }

  private checked(state: State): number[] {
    checkState("cpu.msrs", state, this.snapshot());
    const words = state.words as number[];
    if (words.length !== this.words.length) {
      throw new StateError(
        "cpu.msrs",
        `words has ${words.length} entries, expected ${this.words.length}: another model`,
      );
    }
    for (const word of words) {
      if (typeof word !== "number" || word !== (word | 0)) {
        throw new StateError("cpu.msrs", `${word} in words is not a 32-bit integer`);
      }
    }
    return words;
  }
}
