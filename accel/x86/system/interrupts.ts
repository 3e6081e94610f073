/**
 * Delivery of interrupts and exceptions (SDM vol. 3, chapter 6; INT n in vol. 2; virtual-8086 mode in
 * vol. 3, chapter 20).
 *
 * An engine calls {@linkcode deliverFault} after it caught `FAULT`, {@linkcode deliverExternal} and
 * {@linkcode deliverNmi} between two instructions. All return normally, whatever the guest's tables hold:
 * the worst outcome is shutdown, `R[ACTIVITY] === 2`. Everything that engines derived from CS, SS,
 * privilege, mode and paging is stale afterwards.
 */
import { FAULT, type X86 } from "../cpu.ts";
import * as Words from "../state.ts";
import { setCpl } from "./control.ts";
import { enterDirectly } from "./direct_transfers.ts";
import {
  checkCodeLimit,
  checkCodeOffset,
  Descriptor,
  INTERRUPT_GATE16,
  INTERRUPT_GATE32,
  isNull,
  loadUnprotected,
  markAccessed,
  readDescriptor,
  selectorError,
  setFromDescriptor,
  setNull,
  tableBase,
  TASK_GATE,
  TRAP_GATE16,
  TRAP_GATE32,
} from "./segments.ts";
import { Stack } from "./stack.ts";
import { enterTask, innerStack, longStack } from "./tasks.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/**
 * Where an event comes from: INTR or NMI; an exception; INT n; INT3 and INTO; INT1. Software ones are
 * subject to the gate's DPL (but INT1), all but `int` and `int3` set EXT in error codes.
 */
export type EventKind = "external" | "exception" | "int" | "int3" | "int1";

/** Error-code bit: the code names an IDT entry. */
const IDT = 2;
/** DR7.GD. */
const DR7_GD = 1 << 13;
/** Nested faults that end in shutdown: benign ones could otherwise chase each other for ever. */
const MAX_NESTING = 16;

/** Flags that an event clears on entry through a gate. */
const CLEARED = S.TF | S.NT | S.RF | S.VM;

/**
 * Delivers one event with `R[RIP]` as the return address, or raises what goes wrong; then nothing of the
 * interrupted context has changed (unless a task switch had committed).
 *
 * @param error error code, or -1
 * @param resume whether the pushed EFLAGS image has RF set
 */
export function deliver(
  cpu: X86,
  vector: number,
  kind: EventKind,
  error = -1,
  resume = false,
): void {
  const R = cpu.R, software = kind === "int" || kind === "int3";
  if (!enterDirectly(cpu, vector, software, error, resume)) {
    deliverWholly(cpu, vector, kind, error, resume);
  }
  R[S.ACTIVITY] = 0;
  R[S.SHADOW] = 0;
  R[S.STEPPING] = 0;
  if (vector === S.DB && kind !== "int") {
    R[S.DR7] &= ~DR7_GD; // So that the handler can use the debug registers (SDM vol. 3, 17.2.4).
    cpu.msrs.debugExceptionTaken();
  }
}

/** {@linkcode deliver} in all its cases, up to the handler's entry. */
export function deliverWholly(
  cpu: X86,
  vector: number,
  kind: EventKind,
  error: number,
  resume: boolean,
): void {
  if (cpu.longActive) deliverLong(cpu, vector, kind, error, resume);
  else if ((cpu.R[S.CR0] & S.CR0_PE) === 0) deliverReal(cpu, vector, kind, resume);
  else if (!(kind === "int" && cpu.v86Mode && deliverRedirected(cpu, vector))) {
    deliverProtected(cpu, vector, kind, error, resume);
  }
}

function extOf(kind: EventKind): number {
  return kind === "int" || kind === "int3" ? 0 : 1;
}

/** Real mode: the vector table at the IDT base holds far pointers. */
function deliverReal(cpu: X86, vector: number, kind: EventKind, resume: boolean): void {
  const R = cpu.R;
  if (vector * 4 + 3 > R[S.IDTR_LIMIT]) cpu.raise(S.GP, vector * 8 + IDT + extOf(kind));
  const at = R[S.IDTR_BASE] + vector * 4;
  const ip = cpu.sysLoad16(at | 0), cs = cpu.sysLoad16((at + 2) | 0);
  const stack = Stack.current(cpu, 0);
  stack.reserve(3, 2);
  checkCodeLimit(cpu, ip, R[S.SEG_LIMIT + S.CS]);
  stack.push(2, S.readEflags(R) | (resume ? S.RF : 0));
  stack.push(2, R[S.SEG_SEL + S.CS]);
  stack.push(2, R[S.RIP]);
  stack.commit();
  R[S.EFLAGS] &= ~(S.IF | S.TF | S.AC | S.RF);
  loadUnprotected(cpu, S.CS, cs);
  R[S.RIP] = ip;
}

/**
 * INT n in virtual-8086 mode (SDM vol. 3, table 20-2): with VME and a clear bit in the TSS's redirection
 * bitmap it goes to the 8086 program's own handler.
 *
 * @returns false when the protected-mode handler is to take it; raises #GP(0) when the monitor is
 */
function deliverRedirected(cpu: X86, vector: number): boolean {
  const R = cpu.R, iopl = cpu.iopl;
  if ((R[S.CR4] & S.CR4_VME) !== 0) {
    const base = R[S.SEG_BASE + S.TR], limit = R[S.SEG_LIMIT + S.TR] >>> 0;
    if (limit < 0x67) cpu.raise(S.GP, 0);
    // The 32 bytes of the bitmap lie just below the I/O permission bitmap.
    const at = cpu.sysLoad16((base + 0x66) | 0) - 32 + (vector >>> 3);
    if (at < 0 || at > limit) cpu.raise(S.GP, 0);
    if ((cpu.sysLoad8((base + at) | 0) & (1 << (vector & 7))) === 0) {
      const ip = cpu.sysLoad16(vector * 4), cs = cpu.sysLoad16(vector * 4 + 2);
      let flags = S.readEflags(R);
      if (iopl < 3) flags = (flags & ~S.IF) | S.IOPL | ((flags & S.VIF) !== 0 ? S.IF : 0);
      const stack = Stack.current(cpu, 0);
      stack.reserve(3, 2);
      stack.push(2, flags);
      stack.push(2, R[S.SEG_SEL + S.CS]);
      stack.push(2, R[S.RIP]);
      stack.commit();
      R[S.EFLAGS] &= ~(S.TF | S.RF | (iopl === 3 ? S.IF : S.VIF));
      loadUnprotected(cpu, S.CS, cs);
      R[S.RIP] = ip;
      return true;
    }
  }
  if (iopl < 3) cpu.raise(S.GP, 0);
  return false;
}

/** Protected mode: through the gate in the IDT. */
function deliverProtected(
  cpu: X86,
  vector: number,
  kind: EventKind,
  error: number,
  resume: boolean,
): void {
  const R = cpu.R, ext = extOf(kind), gateError = vector * 8 + IDT + ext;
  if (vector * 8 + 7 > R[S.IDTR_LIMIT]) cpu.raise(S.GP, gateError);
  const at = R[S.IDTR_BASE] + vector * 8;
  const gate = new Descriptor(0, at | 0, cpu.sysLoad32(at | 0), cpu.sysLoad32((at + 4) | 0));
  const type = gate.system ? gate.type : 0;
  if (
    type !== TASK_GATE && type !== INTERRUPT_GATE16 && type !== TRAP_GATE16 &&
    type !== INTERRUPT_GATE32 && type !== TRAP_GATE32
  ) {
    cpu.raise(S.GP, gateError);
  }
  if ((kind === "int" || kind === "int3") && gate.dpl < R[S.CPL]) cpu.raise(S.GP, gateError);
  if (!gate.present) cpu.raise(S.NP, gateError);
  if (type === TASK_GATE) {
    return enterTask(cpu, gate.gateSelector, "call", { ext, resume, error });
  }

  const selector = gate.gateSelector, codeError = selectorError(selector, ext);
  if (isNull(selector)) cpu.raise(S.GP, ext);
  const code = readDescriptor(cpu, selector, S.GP, ext);
  if (!code.code || code.dpl > R[S.CPL]) cpu.raise(S.GP, codeError);
  if (!code.present) cpu.raise(S.NP, codeError);

  const size = gate.is32 ? 4 : 2, v86 = cpu.v86Mode, withError = error !== -1 ? 1 : 0;
  const flags = S.readEflags(R) | (resume ? S.RF : 0);
  const inner = !code.conforming && code.dpl < R[S.CPL];
  if (v86 && (!inner || code.dpl !== 0)) cpu.raise(S.GP, codeError);
  const entered = inner ? innerStack(cpu, code.dpl, ext) : undefined;
  const stack = entered?.stack ?? Stack.current(cpu, ext);
  stack.reserve((v86 ? 9 : inner ? 5 : 3) + withError, size);
  checkCodeLimit(cpu, gate.gateOffset, code.limit, ext);
  markAccessed(cpu, code);

  if (v86) { for (const s of [S.GS, S.FS, S.DS, S.ES]) stack.push(size, R[S.SEG_SEL + s]); }
  if (inner) {
    stack.push(size, R[S.SEG_SEL + S.SS]);
    stack.push(size, R[S.RSP]);
  }
  stack.push(size, flags);
  stack.push(size, R[S.SEG_SEL + S.CS]);
  stack.push(size, R[S.RIP]);
  if (withError !== 0) stack.push(size, error);

  stack.commit();
  R[S.EFLAGS] &= ~(CLEARED | ((type & 1) === 0 ? S.IF : 0));
  const cpl = inner ? code.dpl : R[S.CPL];
  if (v86) { for (const s of [S.GS, S.FS, S.DS, S.ES]) setNull(cpu, s); }
  if (entered !== undefined) {
    setFromDescriptor(cpu, S.SS, entered.selector, entered.descriptor);
  }
  setFromDescriptor(cpu, S.CS, (selector & ~3) | cpl, code);
  R[S.RIP] = gate.gateOffset;
  setCpl(cpu, cpl);
}

/** Long mode: 16-byte gates to 64-bit code, which always finds SS and RSP in its frame (SDM vol. 3, 6.14). */
function deliverLong(
  cpu: X86,
  vector: number,
  kind: EventKind,
  error: number,
  resume: boolean,
): void {
  const R = cpu.R, ext = extOf(kind), gateError = vector * 8 + IDT + ext;
  if (vector * 16 + 15 > R[S.IDTR_LIMIT]) cpu.raise(S.GP, gateError);
  const at = tableBase(cpu, S.IDTR_BASE) + vector * 16;
  const gate = new Descriptor(0, at, cpu.sysLoad32(at), cpu.sysLoad32(at + 4));
  const { type } = gate;
  if (!gate.system || (type !== INTERRUPT_GATE32 && type !== TRAP_GATE32)) {
    cpu.raise(S.GP, gateError);
  }
  if ((kind === "int" || kind === "int3") && gate.dpl < R[S.CPL]) cpu.raise(S.GP, gateError);
  if (!gate.present) cpu.raise(S.NP, gateError);
  const ip = gate.gateOffset, ipHigh = cpu.sysLoad32(at + 8);

  const selector = gate.gateSelector, codeError = selectorError(selector, ext);
  if (isNull(selector)) cpu.raise(S.GP, ext);
  const code = readDescriptor(cpu, selector, S.GP, ext);
  if (!code.code || code.dpl > R[S.CPL] || !code.long || code.contradictory) {
    cpu.raise(S.GP, codeError);
  }
  if (!code.present) cpu.raise(S.NP, codeError);
  const inner = !code.conforming && code.dpl < R[S.CPL];
  const cpl = inner ? code.dpl : R[S.CPL], ist = gate.ist;
  const stack = inner || ist !== 0 ? longStack(cpu, cpl, ist, ext) : Stack.entered(cpu, ext);
  stack.align();
  const withError = error !== -1;
  stack.reserve(withError ? 6 : 5, 8);
  checkCodeOffset(cpu, code, ip, ipHigh, ext);
  markAccessed(cpu, code);

  const long = R[S.LONG] !== 0;
  stack.push(8, R[S.SEG_SEL + S.SS]);
  stack.push(8, R[S.RSP], long ? R[S.RSP + 1] : 0);
  stack.push(8, S.readEflags(R) | (resume ? S.RF : 0));
  stack.push(8, R[S.SEG_SEL + S.CS]);
  stack.push(8, R[S.RIP], long ? R[S.RIP + 1] : 0);
  if (withError) stack.push(8, error);

  stack.commit();
  R[S.EFLAGS] &= ~(CLEARED | ((type & 1) === 0 ? S.IF : 0));
  if (inner) setNull(cpu, S.SS, cpl);
  setFromDescriptor(cpu, S.CS, (selector & ~3) | cpl, code);
  R[S.RIP] = ip;
  R[S.RIP + 1] = ipHigh;
  setCpl(cpu, cpl);
}

/** Exceptions whose handlers' failure makes a double fault (SDM vol. 3, table 6-4). */
function contributory(vector: number): boolean {
  return vector === S.DE || (vector >= S.TS && vector <= S.GP);
}

/** Whether a second exception during the delivery of a first makes a double fault (SDM vol. 3, table 6-5). */
function doubles(first: number, second: number): boolean {
  return (contributory(first) && contributory(second)) ||
    (first === S.PAGE_FAULT && (contributory(second) || second === S.PAGE_FAULT));
}

/**
 * Delivers an exception whatever it takes: faults on the way are delivered in its place or become a double
 * fault, and a fault on the way of that one is shutdown. `R[RIP]` is the return address.
 */
export function deliverException(cpu: X86, vector: number, error: number, resume: boolean): void {
  for (let nesting = 0; nesting < MAX_NESTING; nesting++) {
    try {
      deliver(cpu, vector, "exception", error, resume);
      return;
    } catch (thrown) {
      if (thrown !== FAULT) throw thrown;
    }
    if (vector === S.DOUBLE_FAULT) break;
    if (doubles(vector, cpu.faultVector)) {
      vector = S.DOUBLE_FAULT;
      error = 0;
      resume = false;
    } else {
      vector = cpu.faultVector;
      error = cpu.faultError;
      resume = true;
    }
  }
  cpu.R[S.ACTIVITY] = 2;
}

/**
 * Runs an instruction that may switch tasks, and delivers a fault of the new task where it belongs: engines
 * take a fault that leaves an instruction for one of the instruction itself.
 */
export function deliverInNewTask(cpu: X86, instruction: () => void): void {
  const switches = cpu.taskSwitches;
  try {
    instruction();
  } catch (thrown) {
    deliverSwitched(cpu, thrown, switches);
  }
}

function deliverSwitched(cpu: X86, thrown: unknown, switches: number): void {
  if (thrown !== FAULT || cpu.taskSwitches === switches) throw thrown;
  deliverException(cpu, cpu.faultVector, cpu.faultError, true);
}

/** INT n and its kin. */
export function softwareInterrupt(cpu: X86, vector: number, kind: EventKind): void {
  const switches = cpu.taskSwitches;
  try {
    deliver(cpu, vector, kind);
  } catch (thrown) {
    deliverSwitched(cpu, thrown, switches);
  }
}

/** Delivers the fault that was just caught: `cpu.faultVector` and `cpu.faultError`, returning to the instruction at `R[INSN_IP]`. */
export function deliverFault(cpu: X86): void {
  const R = cpu.R;
  R[S.RIP] = R[S.INSN_IP];
  if (R[S.LONG] !== 0) R[S.RIP + 1] = R[S.INSN_IP_HI];
  R[S.PENDING_DEBUG] &= 1 << 15; // A task switch's T bit stays; data breakpoints of the instruction are void.
  deliverException(cpu, cpu.faultVector, cpu.faultError, true);
}

/**
 * Delivers a maskable interrupt between two instructions; the next one is at `R[RIP]`.
 *
 * @param repeating whether that is a repeated string instruction with some iterations done: RF is then set in the pushed image
 */
export function deliverExternal(cpu: X86, vector: number, repeating = false): void {
  const R = cpu.R;
  R[S.INSN_IP] = R[S.RIP];
  R[S.INSN_IP_HI] = R[S.RIP + 1];
  try {
    deliver(cpu, vector, "external", -1, repeating);
  } catch (thrown) {
    if (thrown !== FAULT) throw thrown;
    deliverException(cpu, cpu.faultVector, cpu.faultError, true);
  }
}

/** Delivers a non-maskable interrupt; further ones are blocked (`R[NMI_BLOCKED]`) until IRET. */
export function deliverNmi(cpu: X86, repeating = false): void {
  cpu.R[S.NMI_BLOCKED] = 1;
  deliverExternal(cpu, S.NMI, repeating);
}
