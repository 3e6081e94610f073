/**
 * The processor that all engines share: state, faults, linear memory. Engines execute instructions on it;
 * `system/` gives meaning to the long ones.
 */
import type { MemoryMap } from "../../core/bus/memory_map.ts";
import type { Clock } from "../../core/machine/clock.ts";
import type { InterruptAcknowledge, LocalApicPort, PortBus } from "../../core/machine/cpu.ts";
import { type CpuModel, onBoard } from "./models.ts";
import { LongMmu } from "./long_mmu.ts";
import { Mmu } from "./mmu.ts";
import { seed } from "./random.ts";
import * as Words from "./state.ts";
import { MsrFile } from "./system/msr.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** What a processor is wired to. */
export interface CpuBus {
  memory: MemoryMap;
  ports: PortBus;
  clock: Clock;
  /** INTA cycle. */
  acknowledge: InterruptAcknowledge;
  /** Its local APIC, if the board has them. */
  apic?: LocalApicPort;
  /** Its number, which is its initial APIC ID; default 0, the bootstrap processor. */
  index?: number;
  /** How many processors the board has; default 1. */
  count?: number;
}

/** What is thrown when an instruction faults. One frozen object, without a stack: throwing it is cheap. */
export const FAULT: unique symbol = Symbol("x86 fault");

/** State, memory and faults of one x86 processor. */
export class X86 {
  /** All registers; see `state.ts` for the layout. */
  readonly R: Int32Array<ArrayBuffer>;
  /** `R` as bytes: register n's low byte is `U8[n * 8]`, its second byte `U8[n * 8 + 1]`. */
  readonly U8: Uint8Array<ArrayBuffer>;
  /** `R` as words: register n's low word is `U16[n * 4]`. */
  readonly U16: Uint16Array<ArrayBuffer>;
  /** `R` as a view, for floating point and 64-bit fields. */
  readonly view: DataView<ArrayBuffer>;
  readonly mmu: Mmu;
  /** Paging and memory while EFER.LMA is set: see `linear64`. */
  readonly mmu64: LongMmu;
  readonly msrs: MsrFile;

  /** Vector and error code of the fault last raised; -1 where the vector pushes none. */
  faultVector = 0;
  faultError = -1;
  /** Counts task switches, which tells a fault of the new task from one of the old. */
  taskSwitches = 0;
  /** Operand size in bits of the instruction whose helper is being called. */
  operandSize: 16 | 32 | 64 = 32;
  /** Address size in bits of that instruction. */
  addressSize: 16 | 32 | 64 = 32;
  /** Its repeat prefix: 0, 0xf2 or 0xf3. */
  repeat = 0;
  /** Iterations that a repeated string instruction may still do in this slice, and those it did. */
  iterationBudget = 1;
  iterations = 0;
  /** Set by a repeated string instruction that has iterations left; the engine clears it. */
  repeating = false;
  /** Set when the engine should look at interrupts, modes or limits before the next instruction or iteration. */
  attention = false;
  /** Set during accesses that instructions make to system structures by themselves. */
  private implicit = false;
  /** Called by PAUSE. */
  onPause: () => void = () => {};
  /** FERR#: driven with the x87 error summary while CR0.NE is clear. The board turns it into IRQ 13. */
  ferr: (level: boolean) => void = () => {};

  /** What the processor is, on this board. */
  readonly model: CpuModel;
  /** Whether it is signed as one of Intel's, whose system calls differ from AMD's. */
  readonly isIntel: boolean;

  constructor(readonly bus: CpuBus, model: CpuModel) {
    this.model = onBoard(model, bus.apic !== undefined);
    this.isIntel = model.vendor === "GenuineIntel";
    this.R = new Int32Array(S.STATE_WORDS);
    this.U8 = new Uint8Array(this.R.buffer);
    this.U16 = new Uint16Array(this.R.buffer);
    this.view = new DataView(this.R.buffer);
    this.mmu = new Mmu(this);
    this.mmu64 = new LongMmu(this);
    this.msrs = new MsrFile(this);
    seed(this.R, bus.index ?? 0);
  }

  /** Raises an exception: the instruction has no effect and the engine delivers the vector. Give an error code exactly for the vectors that push one. */
  raise(vector: number, error = -1): never {
    this.faultVector = vector;
    this.faultError = error;
    throw FAULT;
  }

  /** Whether the processor is in protected mode and not in virtual-8086 mode. */
  get protectedMode(): boolean {
    return (this.R[S.CR0] & S.CR0_PE) !== 0 && (this.R[S.EFLAGS] & S.VM) === 0;
  }

  /** Whether the processor is in virtual-8086 mode. */
  get v86Mode(): boolean {
    return (this.R[S.EFLAGS] & S.VM) !== 0;
  }

  /** EFER.LMA: long mode is active, in its 64-bit or its compatibility sub-mode. */
  get longActive(): boolean {
    return (this.R[S.EFER] & S.EFER_LMA) !== 0;
  }

  get iopl(): number {
    return (this.R[S.EFLAGS] >>> 12) & 3;
  }

  /**
   * Turns an offset in a segment into a linear address after all checks of SDM vol. 3, 5.3 and 5.5:
   * unusable segment, limit (all `size` bytes), and for writes and reads the segment's type.
   * Raises #SS(0) for SS and #GP(0) for the others.
   */
  linear(segment: number, offset: number, size: number, write: boolean): number {
    const R = this.R;
    if (R[S.SEG_FLAT + segment] === 1 && segment !== S.CS) return offset | 0;
    this.checkSegment(segment, offset, size, write);
    return (R[S.SEG_BASE + segment] + offset) | 0;
  }

  private checkSegment(segment: number, offset: number, size: number, write: boolean): void {
    if (!this.segmentAllows(segment, offset, size, write)) {
      this.raise(segment === S.SS ? S.SS_FAULT : S.GP, 0);
    }
  }

  /** The checks behind {@linkcode X86.linear}, as a question. */
  segmentAllows(segment: number, offset: number, size: number, write: boolean): boolean {
    const R = this.R, attr = R[S.SEG_ATTR + segment];
    const first = offset >>> 0, last = first + size - 1, limit = R[S.SEG_LIMIT + segment] >>> 0;
    const code = (attr & 0x8) !== 0;
    if ((R[S.CR0] & S.CR0_PE) !== 0 && (R[S.EFLAGS] & S.VM) === 0) {
      if ((attr & 0x80) === 0) return false;
      if (write ? code || (attr & 2) === 0 : code && (attr & 2) === 0) return false;
    }
    if (!code && (attr & 4) !== 0) {
      // Expand-down: valid offsets lie above the limit, up to 64 KiB or 4 GiB by the B bit.
      return first > limit && last <= ((attr & 0x4000) !== 0 ? 0xffffffff : 0xffff);
    }
    return last <= limit;
  }

  /**
   * The linear address of a 64-bit offset, as a number: all canonical addresses are exact integers of
   * -2^47 to 2^47 - 1, bit 63 being the sign. FS and GS add their bases, the other segments have none. A
   * non-canonical address raises #SS(0) for SS and #GP(0) for the others.
   */
  linear64(segment: number, low: number, high: number): number {
    const R = this.R;
    let linear = high * 0x100000000 + (low >>> 0);
    if (segment === S.FS || segment === S.GS) {
      const sum = (low >>> 0) + (R[S.SEG_BASE + segment] >>> 0);
      const top = (high + R[S.SEG_BASE_HI + segment] + (sum >= 0x100000000 ? 1 : 0)) | 0;
      linear = top * 0x100000000 + (sum % 0x100000000);
    }
    if (linear >= 0x800000000000 || linear < -0x800000000000) {
      this.raise(segment === S.SS ? S.SS_FAULT : S.GP, 0);
    }
    return linear;
  }

  /**
   * Whether a supervisor access to a user page is a fault: a fetch by SMEP, data by SMAP unless EFLAGS.AC
   * lets explicit accesses through (SDM vol. 3, 4.6).
   */
  preventsSupervisor(fetch: boolean): boolean {
    const R = this.R;
    if (fetch) return (R[S.CR4] & S.CR4_SMEP) !== 0;
    return (R[S.CR4] & S.CR4_SMAP) !== 0 && ((R[S.EFLAGS] & S.AC) === 0 || this.implicit);
  }

  /** Whether EFLAGS.AC lets explicit supervisor accesses through SMAP now. */
  private get userPagesOpen(): boolean {
    return (this.R[S.EFLAGS] & S.AC) !== 0 && (this.R[S.CR4] & S.CR4_SMAP) !== 0;
  }

  /** Makes an access to a system structure while user pages are open to others. */
  private implicitly<T>(access: () => T): T {
    this.closeUserPages();
    this.implicit = true;
    try {
      return access();
    } finally {
      this.implicit = false;
    }
  }

  /** To be called when EFLAGS.AC was cleared: supervisor accesses to user pages are looked at again. */
  closeUserPages(): void {
    this.mmu.closeUserPages();
    this.mmu64.closeUserPages();
  }

  // Linear memory with the privilege of the current CPL. Bytes and words are zero-extended,
  // doublewords signed. A fault leaves memory as it was. Compatibility mode has the lowest 4 GiB of
  // long mode's addresses and shares its TLB with legacy modes.

  load8(linear: number): number {
    if (this.R[S.LONG] !== 0) return this.mmu64.load8(linear, this.R[S.CPL] === 3);
    return this.mmu.load8(linear | 0, this.R[S.CPL] === 3);
  }
  load16(linear: number): number {
    if (this.R[S.LONG] !== 0) return this.mmu64.load16(linear, this.R[S.CPL] === 3);
    return this.mmu.load16(linear | 0, this.R[S.CPL] === 3);
  }
  load32(linear: number): number {
    if (this.R[S.LONG] !== 0) return this.mmu64.load32(linear, this.R[S.CPL] === 3);
    return this.mmu.load32(linear | 0, this.R[S.CPL] === 3);
  }
  store8(linear: number, value: number): void {
    if (this.R[S.LONG] !== 0) this.mmu64.store8(linear, value, this.R[S.CPL] === 3);
    else this.mmu.store8(linear | 0, value, this.R[S.CPL] === 3);
  }
  store16(linear: number, value: number): void {
    if (this.R[S.LONG] !== 0) this.mmu64.store16(linear, value, this.R[S.CPL] === 3);
    else this.mmu.store16(linear | 0, value, this.R[S.CPL] === 3);
  }
  store32(linear: number, value: number): void {
    if (this.R[S.LONG] !== 0) this.mmu64.store32(linear, value, this.R[S.CPL] === 3);
    else this.mmu.store32(linear | 0, value, this.R[S.CPL] === 3);
  }
  /** Reads a quadword: the low half is returned, the high half left in `R[HIGH]`. */
  load64(linear: number): number {
    return this.mmu64.load64(linear, this.R[S.CPL] === 3);
  }
  store64(linear: number, low: number, high: number): void {
    this.mmu64.store64(linear, low, high, this.R[S.CPL] === 3);
  }
  /** Raises what a write of `size` bytes at the current privilege would raise, and writes nothing. */
  probeWrite(linear: number, size: number): void {
    if (this.R[S.LONG] !== 0) this.mmu64.probeWrite(linear, size, this.R[S.CPL] === 3);
    else this.mmu.probeWrite(linear | 0, size, this.R[S.CPL] === 3);
  }

  // System structures (descriptor tables, TSS, inner stacks) are accessed as supervisor whatever the CPL.
  // These accesses are implicit: EFLAGS.AC does not let them through SMAP.

  sysLoad8(linear: number): number {
    if (this.userPagesOpen) return this.implicitly(() => this.systemLoad8(linear));
    return this.systemLoad8(linear);
  }
  sysLoad16(linear: number): number {
    if (this.userPagesOpen) return this.implicitly(() => this.systemLoad16(linear));
    return this.systemLoad16(linear);
  }
  sysLoad32(linear: number): number {
    if (this.userPagesOpen) return this.implicitly(() => this.systemLoad32(linear));
    return this.systemLoad32(linear);
  }
  sysLoad64(linear: number): number {
    if (this.userPagesOpen) return this.implicitly(() => this.mmu64.load64(linear, false));
    return this.mmu64.load64(linear, false);
  }
  sysStore8(linear: number, value: number): void {
    if (this.userPagesOpen) this.sysProbeWrite(linear, 1);
    if (this.longActive) this.mmu64.store8(linear, value, false);
    else this.mmu.store8(linear | 0, value, false);
  }
  sysStore16(linear: number, value: number): void {
    if (this.userPagesOpen) this.sysProbeWrite(linear, 2);
    if (this.longActive) this.mmu64.store16(linear, value, false);
    else this.mmu.store16(linear | 0, value, false);
  }
  sysStore32(linear: number, value: number): void {
    if (this.userPagesOpen) this.sysProbeWrite(linear, 4);
    if (this.longActive) this.mmu64.store32(linear, value, false);
    else this.mmu.store32(linear | 0, value, false);
  }
  sysStore64(linear: number, low: number, high: number): void {
    if (this.userPagesOpen) this.sysProbeWrite(linear, 8);
    this.mmu64.store64(linear, low, high, false);
  }
  sysProbeWrite(linear: number, size: number): void {
    if (this.userPagesOpen) this.implicitly(() => this.systemProbe(linear, size));
    else this.systemProbe(linear, size);
  }

  private systemLoad8(linear: number): number {
    if (this.longActive) return this.mmu64.load8(linear, false);
    return this.mmu.load8(linear | 0, false);
  }
  private systemLoad16(linear: number): number {
    if (this.longActive) return this.mmu64.load16(linear, false);
    return this.mmu.load16(linear | 0, false);
  }
  private systemLoad32(linear: number): number {
    if (this.longActive) return this.mmu64.load32(linear, false);
    return this.mmu.load32(linear | 0, false);
  }
  private systemProbe(linear: number, size: number): void {
    if (this.longActive) this.mmu64.probeWrite(linear, size, false);
    else this.mmu.probeWrite(linear | 0, size, false);
  }
}
