/** Far jumps, calls and returns, and IRET (SDM vol. 2; vol. 3, 5.8). */
import type { X86 } from "../cpu.ts";
import * as Words from "../state.ts";
import { setCpl, updateAlignment } from "./control.ts";
import { returnDirectly } from "./direct_transfers.ts";
import { deliverInNewTask } from "./interrupts.ts";
import {
  CALL_GATE16,
  CALL_GATE32,
  checkCodeLimit,
  checkCodeOffset,
  type Descriptor,
  dropInnerSegments,
  isNull,
  loadUnprotected,
  loadV86Segment,
  markAccessed,
  readDescriptor,
  readUpper,
  selectorError,
  setFromDescriptor,
  setNull,
  TASK_GATE,
} from "./segments.ts";
import {
  dropStack,
  frameSize,
  peekStack,
  setStackPointer,
  Stack,
  type StackSize,
} from "./stack.ts";
import { enterTask, innerStack, longStack, returnFromTask } from "./tasks.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });

/** Cuts an offset to the operand size; so does {@linkcode cutHigh} its high half. */
function cut(cpu: X86, ip: number): number {
  return cpu.operandSize === 16 ? ip & 0xffff : ip;
}

function cutHigh(cpu: X86, high: number): number {
  return cpu.operandSize === 64 ? high : 0;
}

/** Enters a code segment that passed all checks. */
function enterCode(cpu: X86, code: Descriptor, cpl: number, ip: number, ipHigh = 0): void {
  const R = cpu.R;
  markAccessed(cpu, code);
  setFromDescriptor(cpu, S.CS, (code.selector & ~3) | cpl, code);
  R[S.RIP] = ip;
  R[S.RIP + 1] = R[S.LONG] !== 0 ? ipHigh : 0;
  setCpl(cpu, cpl);
}

/** Whether a code descriptor's L and D bits contradict each other: in long mode. */
function contradicts(cpu: X86, code: Descriptor): boolean {
  return code.contradictory && cpu.longActive;
}

/** The descriptor at the end of a far jump or call: code that may be entered directly, else a gate or TSS. */
function target(cpu: X86, selector: number): Descriptor {
  const error = selectorError(selector), cpl = cpu.R[S.CPL];
  if (isNull(selector)) cpu.raise(S.GP, 0);
  const descriptor = readDescriptor(cpu, selector, S.GP);
  const { dpl, rpl } = descriptor;
  if (!descriptor.system) {
    const allowed = descriptor.code &&
      (descriptor.conforming ? dpl <= cpl : rpl <= cpl && dpl === cpl);
    if (!allowed || contradicts(cpu, descriptor)) cpu.raise(S.GP, error);
  } else {
    const { type } = descriptor;
    // Long mode has neither tasks nor gates of the 286.
    const known = type === CALL_GATE32 || (!cpu.longActive &&
      (type === CALL_GATE16 || type === TASK_GATE || descriptor.availableTss));
    if (!known || dpl < cpl || dpl < rpl) cpu.raise(S.GP, error);
  }
  if (!descriptor.present) cpu.raise(S.NP, error);
  return descriptor;
}

/** Follows a task gate or TSS descriptor that {@linkcode target} let pass. */
function transferToTask(cpu: X86, descriptor: Descriptor, cause: "jump" | "call"): void {
  const gate = descriptor.type === TASK_GATE;
  const selector = gate ? descriptor.gateSelector : descriptor.selector;
  deliverInNewTask(cpu, () => enterTask(cpu, selector, cause));
}

/** The code segment behind a call gate: in long mode it must be 64-bit code. */
function gateTarget(cpu: X86, gate: Descriptor): Descriptor {
  const selector = gate.gateSelector, error = selectorError(selector);
  if (isNull(selector)) cpu.raise(S.GP, 0);
  const code = readDescriptor(cpu, selector, S.GP);
  if (!code.code || code.dpl > cpu.R[S.CPL]) cpu.raise(S.GP, error);
  if (cpu.longActive && (!code.long || code.contradictory)) cpu.raise(S.GP, error);
  return code;
}

/** High half of a call gate's offset. */
function gateHigh(cpu: X86, gate: Descriptor): number {
  return cpu.longActive ? readUpper(cpu, gate) : 0;
}

/** Far JMP; `offsetHigh` counts with 64-bit operands. */
export function farJump(cpu: X86, offset: number, selector: number, offsetHigh = 0): void {
  selector &= 0xffff;
  const R = cpu.R, ip = cut(cpu, offset), high = cutHigh(cpu, offsetHigh);
  if (!cpu.protectedMode) {
    checkCodeLimit(cpu, ip, R[S.SEG_LIMIT + S.CS]);
    loadUnprotected(cpu, S.CS, selector);
    R[S.RIP] = ip;
    return;
  }
  const descriptor = target(cpu, selector);
  if (!descriptor.system) {
    checkCodeOffset(cpu, descriptor, ip, high);
    return enterCode(cpu, descriptor, R[S.CPL], ip, high);
  }
  if (descriptor.type !== CALL_GATE16 && descriptor.type !== CALL_GATE32) {
    return transferToTask(cpu, descriptor, "jump");
  }
  const gateIpHigh = gateHigh(cpu, descriptor);
  const code = gateTarget(cpu, descriptor);
  if (!code.conforming && code.dpl !== R[S.CPL]) {
    cpu.raise(S.GP, selectorError(code.selector));
  }
  if (!code.present) cpu.raise(S.NP, selectorError(code.selector));
  checkCodeOffset(cpu, code, descriptor.gateOffset, gateIpHigh);
  enterCode(cpu, code, R[S.CPL], descriptor.gateOffset, gateIpHigh);
}

/** Far CALL; `offsetHigh` counts with 64-bit operands. */
export function farCall(cpu: X86, offset: number, selector: number, offsetHigh = 0): void {
  selector &= 0xffff;
  const R = cpu.R, size = frameSize(cpu);
  const ip = cut(cpu, offset), high = cutHigh(cpu, offsetHigh);
  if (!cpu.protectedMode) {
    const stack = Stack.current(cpu);
    stack.reserve(2, size);
    checkCodeLimit(cpu, ip, R[S.SEG_LIMIT + S.CS]);
    pushReturn(cpu, stack, size);
    loadUnprotected(cpu, S.CS, selector);
    R[S.RIP] = ip;
    return;
  }
  const descriptor = target(cpu, selector);
  if (!descriptor.system) {
    const stack = Stack.current(cpu);
    stack.reserve(2, size);
    checkCodeOffset(cpu, descriptor, ip, high);
    markAccessed(cpu, descriptor);
    pushReturn(cpu, stack, size);
    return enterCode(cpu, descriptor, R[S.CPL], ip, high);
  }
  if (descriptor.type !== CALL_GATE16 && descriptor.type !== CALL_GATE32) {
    return transferToTask(cpu, descriptor, "call");
  }
  if (cpu.longActive) longCallGate(cpu, descriptor);
  else callGate(cpu, descriptor);
}

function pushReturn(cpu: X86, stack: Stack, size: StackSize): void {
  const R = cpu.R;
  stack.push(size, R[S.SEG_SEL + S.CS]);
  stack.push(size, R[S.RIP], R[S.RIP + 1]);
  stack.commit();
}

function callGate(cpu: X86, gate: Descriptor): void {
  const R = cpu.R, size = gate.is32 ? 4 : 2;
  const code = gateTarget(cpu, gate);
  if (!code.present) cpu.raise(S.NP, selectorError(code.selector));
  if (code.conforming || code.dpl === R[S.CPL]) {
    const stack = Stack.current(cpu);
    stack.reserve(2, size);
    checkCodeLimit(cpu, gate.gateOffset, code.limit);
    markAccessed(cpu, code);
    pushReturn(cpu, stack, size);
    return enterCode(cpu, code, R[S.CPL], gate.gateOffset);
  }
  const { stack, selector, descriptor } = innerStack(cpu, code.dpl);
  const { parameters } = gate;
  stack.reserve(4 + parameters, size);
  checkCodeLimit(cpu, gate.gateOffset, code.limit);
  const copied = Array.from({ length: parameters }, (_, i) => peekStack(cpu, i * size, size));
  markAccessed(cpu, code);
  stack.push(size, R[S.SEG_SEL + S.SS]);
  stack.push(size, R[S.RSP]);
  for (const value of copied.reverse()) stack.push(size, value);
  pushReturn(cpu, stack, size);
  setFromDescriptor(cpu, S.SS, selector, descriptor);
  enterCode(cpu, code, code.dpl, gate.gateOffset);
}

/** A call gate of long mode: quadwords, no parameters, and a null SS in an inner ring (SDM vol. 3, 5.8.5.1). */
function longCallGate(cpu: X86, gate: Descriptor): void {
  const R = cpu.R, ipHigh = gateHigh(cpu, gate), code = gateTarget(cpu, gate);
  if (!code.present) cpu.raise(S.NP, selectorError(code.selector));
  const inner = !code.conforming && code.dpl < R[S.CPL], cpl = inner ? code.dpl : R[S.CPL];
  const stack = inner ? longStack(cpu, cpl, 0) : Stack.entered(cpu);
  stack.reserve(inner ? 4 : 2, 8);
  checkCodeOffset(cpu, code, gate.gateOffset, ipHigh);
  if (inner) {
    stack.push(8, R[S.SEG_SEL + S.SS]);
    stack.push(8, R[S.RSP], R[S.LONG] !== 0 ? R[S.RSP + 1] : 0);
  }
  pushReturn(cpu, stack, 8);
  if (inner) setNull(cpu, S.SS, cpl);
  enterCode(cpu, code, cpl, gate.gateOffset, ipHigh);
}

/** The checks on a return's code selector that RETF and IRET share. */
function returnTarget(cpu: X86, selector: number): Descriptor {
  const error = selectorError(selector);
  if (isNull(selector)) cpu.raise(S.GP, 0);
  const code = readDescriptor(cpu, selector, S.GP);
  const { rpl, dpl } = code;
  if (rpl < cpu.R[S.CPL] || !code.code || (code.conforming ? dpl > rpl : dpl !== rpl)) {
    cpu.raise(S.GP, error);
  }
  if (contradicts(cpu, code)) cpu.raise(S.GP, error);
  if (!code.present) cpu.raise(S.NP, error);
  return code;
}

/** The checks on the stack selector of a return to ring `rpl`; undefined for a null one, which inner rings of 64-bit code may have. */
function returnStack(cpu: X86, selector: number, code: Descriptor): Descriptor | undefined {
  const error = selectorError(selector), { rpl } = code;
  if (isNull(selector)) {
    if (cpu.longActive && code.long && rpl !== 3 && (selector & 3) === rpl) return undefined;
    cpu.raise(S.GP, 0);
  }
  const stack = readDescriptor(cpu, selector, S.GP);
  if (stack.rpl !== rpl || !stack.writable || stack.dpl !== rpl) cpu.raise(S.GP, error);
  if (!stack.present) cpu.raise(S.SS_FAULT, error);
  return stack;
}

/** What a far return finds on the stack, high halves included. */
interface Frame {
  ip: number;
  ipHigh: number;
  selector: number;
}

/** A stack that a far return switches to. */
interface OuterStack {
  pointer: number;
  pointerHigh: number;
  selector: number;
}

function peekFrame(cpu: X86, size: StackSize): Frame {
  const R = cpu.R, ip = peekStack(cpu, 0, size), ipHigh = size === 8 ? R[S.HIGH] : 0;
  return { ip, ipHigh, selector: peekStack(cpu, size, size) & 0xffff };
}

function peekOuter(cpu: X86, offset: number, size: StackSize): OuterStack {
  const R = cpu.R, pointer = peekStack(cpu, offset, size);
  const pointerHigh = size === 8 ? R[S.HIGH] : 0;
  return { pointer, pointerHigh, selector: peekStack(cpu, offset + size, size) & 0xffff };
}

/** Takes code and stack over, and drops data segments that an outer ring must not have. */
function enterOuter(
  cpu: X86,
  code: Descriptor,
  { ip, ipHigh }: Frame,
  outer: OuterStack,
  stack: Descriptor | undefined,
  release: number,
): void {
  const R = cpu.R, leaving = code.rpl !== R[S.CPL];
  markAccessed(cpu, code);
  if (stack === undefined) setNull(cpu, S.SS, outer.selector);
  else {
    markAccessed(cpu, stack);
    setFromDescriptor(cpu, S.SS, stack.selector, stack);
  }
  enterCode(cpu, code, code.rpl, ip, ipHigh);
  setStackPointer(cpu, outer.pointer, outer.pointerHigh);
  if (release !== 0) dropStack(cpu, release);
  if (leaving) dropInnerSegments(cpu);
}

/** RETF; `release` bytes of parameters leave the stack as well. */
export function farReturn(cpu: X86, release: number): void {
  const R = cpu.R, size = frameSize(cpu);
  const frame = peekFrame(cpu, size), { ip, ipHigh, selector } = frame;
  if (!cpu.protectedMode) {
    checkCodeLimit(cpu, ip, R[S.SEG_LIMIT + S.CS]);
    dropStack(cpu, 2 * size + release);
    loadUnprotected(cpu, S.CS, selector);
    R[S.RIP] = ip;
    return;
  }
  const code = returnTarget(cpu, selector);
  if (code.rpl === R[S.CPL]) {
    checkCodeOffset(cpu, code, ip, ipHigh);
    markAccessed(cpu, code);
    dropStack(cpu, 2 * size + release);
    return enterCode(cpu, code, R[S.CPL], ip, ipHigh);
  }
  const outer = peekOuter(cpu, 2 * size + release, size);
  const stack = returnStack(cpu, outer.selector, code);
  checkCodeOffset(cpu, code, ip, ipHigh);
  enterOuter(cpu, code, frame, outer, stack, release);
}

/** Sets the EFLAGS bits in `mask` to those of `value`. */
export function setFlags(cpu: X86, value: number, mask: number): void {
  const R = cpu.R;
  S.writeEflags(R, (S.readEflags(R) & ~mask) | (value & mask));
  updateAlignment(cpu);
}

/** Flags that any program may change; AC and ID with 32-bit operands and wider only. */
export const USER_FLAGS: number = S.ARITH_FLAGS | S.TF | S.DF | S.NT;

/** IRET, IRETD and IRETQ. */
export function interruptReturn(cpu: X86): void {
  cpu.R[S.NMI_BLOCKED] = 0; // Even when it faults (SDM vol. 3, 6.7.1).
  if (!returnDirectly(cpu)) returnWholly(cpu);
}

/** {@linkcode interruptReturn} in all its cases. */
export function returnWholly(cpu: X86): void {
  const R = cpu.R, wide = cpu.operandSize !== 16, size = frameSize(cpu);
  const long = cpu.longActive;
  if (cpu.protectedMode && (R[S.EFLAGS] & S.NT) !== 0) {
    if (long) cpu.raise(S.GP, 0);
    return deliverInNewTask(cpu, () => returnFromTask(cpu));
  }
  const v86 = cpu.v86Mode, iopl = cpu.iopl;
  if (v86 && iopl < 3 && (wide || (R[S.CR4] & S.CR4_VME) === 0)) cpu.raise(S.GP, 0);

  const frame = peekFrame(cpu, size), { ip, ipHigh, selector } = frame;
  const flags = peekStack(cpu, 2 * size, size);
  const always = USER_FLAGS | (wide ? S.RF | S.AC | S.ID : 0);
  if (!cpu.protectedMode) {
    checkCodeLimit(cpu, ip, R[S.SEG_LIMIT + S.CS]);
    let value = flags, mask = always | S.IF;
    if (v86 && iopl < 3) {
      const enable = (flags & S.IF) !== 0;
      if ((enable && (R[S.EFLAGS] & S.VIP) !== 0) || (flags & S.TF) !== 0) cpu.raise(S.GP, 0);
      value = enable ? flags | S.VIF : flags & ~S.VIF;
      mask = USER_FLAGS | S.VIF;
    } else if (!v86) mask |= S.IOPL;
    setStackPointer(cpu, R[S.RSP] + 3 * size);
    loadUnprotected(cpu, S.CS, selector);
    R[S.RIP] = ip;
    return setFlags(cpu, value, mask);
  }

  const cpl = R[S.CPL];
  if (wide && (flags & S.VM) !== 0 && cpl === 0 && !long) {
    return returnToV86(cpu, ip, selector, flags);
  }
  const code = returnTarget(cpu, selector);
  let mask = always;
  if (cpl <= iopl) mask |= S.IF;
  if (cpl === 0) {
    mask |= S.IOPL;
    if (wide && cpu.model.features.has("vme")) mask |= S.VIF | S.VIP;
  }
  // 64-bit mode takes SS and RSP from every frame.
  if (code.rpl === cpl && R[S.LONG] === 0) {
    checkCodeOffset(cpu, code, ip, ipHigh);
    markAccessed(cpu, code);
    setStackPointer(cpu, R[S.RSP] + 3 * size);
    enterCode(cpu, code, cpl, ip, ipHigh);
  } else {
    const outer = peekOuter(cpu, 3 * size, size);
    const stack = returnStack(cpu, outer.selector, code);
    checkCodeOffset(cpu, code, ip, ipHigh);
    enterOuter(cpu, code, frame, outer, stack, 0);
  }
  setFlags(cpu, flags, mask);
}

function returnToV86(cpu: X86, ip: number, selector: number, flags: number): void {
  const R = cpu.R;
  const pointer = peekStack(cpu, 12, 4);
  const [ss, es, ds, fs, gs] = [16, 20, 24, 28, 32].map((at) => peekStack(cpu, at, 4) & 0xffff);
  checkCodeLimit(cpu, ip, 0xffff);
  S.writeEflags(R, flags);
  R[S.RSP] = pointer;
  R[S.RIP] = ip;
  [es, selector, ss, ds, fs, gs].forEach((value, segment) => loadV86Segment(cpu, segment, value));
  setCpl(cpu, 3);
}
