/**
 * Hardware task switching (SDM vol. 3, chapter 7): by jump, call, return, or task gate, between task-state
 * segments of the 286 and the 386.
 */
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import { setCpl, writeCr3 } from "./control.ts";
import {
  ATTR_PRESENT,
  checkCodeLimit,
  type Descriptor,
  findDescriptor,
  isCanonical,
  isNull,
  LDT,
  loadV86Segment,
  markAccessed,
  readDescriptor,
  segmentBase,
  selectorError,
  setFromDescriptor,
  setNull,
  setSegment,
} from "./segments.ts";
import { Stack } from "./stack.ts";

/** What causes a task switch. Calls, interrupts and exceptions nest; a return goes back along the link. */
export type SwitchCause = "jump" | "call" | "return";

/** More about a task switch. */
export interface SwitchOptions {
  /** 1 while an external event or exception is being delivered: bit 0 of error codes. */
  ext?: number;
  /** Whether the saved EFLAGS image has RF set: the cause is a fault. */
  resume?: boolean;
  /** Error code to push on the new task's stack, or -1. */
  error?: number;
}

/** DR6.BT: the new task's TSS has its T bit set. */
const DR6_BT = 1 << 15;

/** Offsets in a TSS (SDM vol. 3, figures 7-2 and 7-10); general registers and selectors follow in encoding order. */
interface Layout {
  minimum: number;
  ip: number;
  flags: number;
  registers: number;
  selectors: number;
  segments: number;
  ldt: number;
  /** Bytes per register and per selector slot. */
  size: 2 | 4;
}
const TSS32: Layout = {
  minimum: 0x67,
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  selectors: 0x48,
  segments: 6,
  ldt: 0x60,
  size: 4,
};
const TSS16: Layout = {
  minimum: 0x2b,
  ip: 0x0e,
  flags: 0x10,
  registers: 0x12,
  selectors: 0x22,
  segments: 4,
  ldt: 0x2a,
  size: 2,
};
const TSS32_CR3 = 0x1c, TSS32_TRAP = 0x64, LINK = 0;

function load(cpu: X86, size: 2 | 4, linear: number): number {
  return size === 4 ? cpu.sysLoad32(linear | 0) : cpu.sysLoad16(linear | 0);
}

function store(cpu: X86, size: 2 | 4, linear: number, value: number): void {
  if (size === 4) cpu.sysStore32(linear | 0, value);
  else cpu.sysStore16(linear | 0, value & 0xffff);
}

/** Everything a task's TSS holds, read before the switch commits. */
interface Context {
  ip: number;
  flags: number;
  registers: number[];
  selectors: number[];
  ldt: number;
  cr3: number;
  trap: boolean;
}

function readContext(cpu: X86, layout: Layout, base: number): Context {
  const { size } = layout;
  const many = (count: number, at: number) =>
    Array.from({ length: count }, (_, i) => load(cpu, size, base + at + i * size));
  const wide = size === 4;
  return {
    ip: load(cpu, size, base + layout.ip),
    flags: load(cpu, size, base + layout.flags),
    // A 286 task leaves the high halves undefined: they are set, as on the 386 and after it.
    registers: many(8, layout.registers).map((v) => wide ? v : v | 0xffff0000),
    selectors: many(layout.segments, layout.selectors).map((v) => v & 0xffff),
    ldt: cpu.sysLoad16((base + layout.ldt) | 0),
    cr3: wide ? cpu.sysLoad32((base + TSS32_CR3) | 0) : 0,
    trap: wide && (cpu.sysLoad16((base + TSS32_TRAP) | 0) & 1) !== 0,
  };
}

/** Raises what writing `count` bytes at a linear address would raise, however many pages that spans. */
function probe(cpu: X86, linear: number, count: number): void {
  cpu.sysProbeWrite(linear | 0, count);
}

function saveContext(cpu: X86, layout: Layout, base: number, flags: number): void {
  const R = cpu.R, { size } = layout;
  store(cpu, size, base + layout.ip, R[S.RIP]);
  store(cpu, size, base + layout.flags, flags);
  for (let i = 0; i < 8; i++) store(cpu, size, base + layout.registers + i * size, R[i * 2]);
  for (let i = 0; i < layout.segments; i++) {
    store(cpu, 2, base + layout.selectors + i * size, R[S.SEG_SEL + i]);
  }
}

function setBusy(cpu: X86, descriptorAddress: number, busy: boolean): void {
  const at = (descriptorAddress + 5) | 0, rights = cpu.sysLoad8(at);
  cpu.sysStore8(at, busy ? rights | 2 : rights & ~2);
}

/**
 * Switches to the task whose TSS descriptor passed the checks of type, presence and privilege.
 *
 * Faults up to the commit point belong to the old task and leave it unchanged. Later ones belong to the
 * new task, whose first instruction `R[RIP]` then is; see `deliverInNewTask`.
 */
export function switchTask(
  cpu: X86,
  tss: Descriptor,
  cause: SwitchCause,
  { ext = 0, resume = false, error = -1 }: SwitchOptions = {},
): void {
  const R = cpu.R;
  const layout = tss.is32 ? TSS32 : TSS16;
  const tssError = selectorError(tss.selector, ext);
  if (tss.limit < layout.minimum) cpu.raise(S.TS, tssError);

  const oldSelector = R[S.SEG_SEL + S.TR], oldBase = R[S.SEG_BASE + S.TR];
  const oldLayout = (R[S.SEG_ATTR + S.TR] & 8) !== 0 ? TSS32 : TSS16;
  const oldEnd = oldLayout.selectors + oldLayout.segments * oldLayout.size;
  if ((R[S.SEG_LIMIT + S.TR] >>> 0) < oldEnd - 1) cpu.raise(S.TS, tssError);
  const oldDescriptor = (R[S.GDTR_BASE] + (oldSelector & 0xfff8)) | 0;

  // Everything that can fault in the old task: both TSSs and both descriptors must be mapped.
  probe(cpu, oldBase + oldLayout.ip, oldEnd - oldLayout.ip);
  if (cause !== "call") probe(cpu, oldDescriptor + 5, 1);
  if (cause !== "return") probe(cpu, tss.address + 5, 1);
  if (cause === "call") probe(cpu, tss.base + LINK, 2);
  const next = readContext(cpu, layout, tss.base);
  const paging = (R[S.CR0] & S.CR0_PG) !== 0;
  if (
    tss.is32 && paging && (R[S.CR4] & S.CR4_PAE) !== 0 && next.cr3 !== R[S.CR3] &&
    !cpu.mmu.loadPdptes(next.cr3)
  ) {
    cpu.raise(S.GP, ext);
  }

  // Commit: from here on the new task is the one that faults.
  let saved = S.readEflags(R);
  if (resume) saved |= S.RF;
  if (cause === "return") saved &= ~S.NT;
  if (cause !== "call") setBusy(cpu, oldDescriptor, false);
  saveContext(cpu, oldLayout, oldBase, saved);
  if (cause === "call") cpu.sysStore16((tss.base + LINK) | 0, oldSelector);
  if (cause !== "return") setBusy(cpu, tss.address, true);

  setSegment(cpu, S.TR, tss.selector, tss.base, tss.limit, tss.attr | 2);
  R[S.CR0] |= S.CR0_TS;
  R[S.DR7] &= ~0x155; // L0 to L3 and LE are local to the task.
  if (tss.is32 && paging && next.cr3 !== R[S.CR3]) writeCr3(cpu, next.cr3);
  cpu.taskSwitches++;
  R[S.RIP] = next.ip;
  for (let i = 0; i < 8; i++) R[i * 2] = next.registers[i];
  const flags = cause === "call" ? next.flags | S.NT : next.flags;
  S.writeEflags(R, tss.is32 ? flags : flags & 0xffff);
  R[S.STEPPING] = 0;
  R[S.PENDING_DEBUG] = next.trap ? DR6_BT : 0;

  loadSegments(cpu, next, ext);
  checkCodeLimit(cpu, R[S.RIP], R[S.SEG_LIMIT + S.CS], ext);
  if (error !== -1) {
    const stack = Stack.current(cpu, ext);
    stack.reserve(1, layout.size);
    stack.push(layout.size, error);
    stack.commit();
  }
}

/** Loads the LDT and all segment registers of a new task, each after its checks. */
function loadSegments(cpu: X86, next: Context, ext: number): void {
  const R = cpu.R;
  const [es, cs, ss, ds, fs = 0, gs = 0] = next.selectors;
  const v86 = (R[S.EFLAGS] & S.VM) !== 0;
  // The selectors are in place, still unusable, when the first check fails.
  [es, cs, ss, ds, fs, gs].forEach((selector, segment) => setNull(cpu, segment, selector));
  setNull(cpu, S.LDTR, next.ldt);
  setCpl(cpu, v86 ? 3 : cs & 3);

  if (!isNull(next.ldt)) {
    const code = selectorError(next.ldt, ext);
    // A selector with TI set finds nothing: LDTR is null here.
    const descriptor = readDescriptor(cpu, next.ldt, S.TS, ext);
    if (!descriptor.system || descriptor.type !== LDT || !descriptor.present) {
      cpu.raise(S.TS, code);
    }
    setFromDescriptor(cpu, S.LDTR, next.ldt, descriptor);
  }
  if (v86) {
    [es, cs, ss, ds, fs, gs].forEach((selector, segment) => loadV86Segment(cpu, segment, selector));
    return;
  }

  const codeError = selectorError(cs, ext);
  if (isNull(cs)) cpu.raise(S.TS, codeError);
  const code = readDescriptor(cpu, cs, S.TS, ext);
  if (!code.code || (code.conforming ? code.dpl > code.rpl : code.dpl !== code.rpl)) {
    cpu.raise(S.TS, codeError);
  }
  if (!code.present) cpu.raise(S.NP, codeError);

  const cpl = R[S.CPL], stackError = selectorError(ss, ext);
  if (isNull(ss)) cpu.raise(S.TS, stackError);
  const stack = readDescriptor(cpu, ss, S.TS, ext);
  if (!stack.writable || stack.dpl !== cpl || stack.rpl !== cpl) cpu.raise(S.TS, stackError);
  if (!stack.present) cpu.raise(S.SS_FAULT, stackError);
  // The stack first: an error code of the new task must find somewhere to go.
  markAccessed(cpu, stack);
  setFromDescriptor(cpu, S.SS, ss, stack);
  markAccessed(cpu, code);
  setFromDescriptor(cpu, S.CS, cs, code);

  for (const [segment, selector] of [[S.ES, es], [S.DS, ds], [S.FS, fs], [S.GS, gs]]) {
    if (isNull(selector)) continue;
    const descriptor = readDescriptor(cpu, selector, S.TS, ext);
    const allowed = descriptor.conforming ||
      descriptor.dpl >= Math.max(cpl, descriptor.rpl);
    if (!descriptor.readable || !allowed) cpu.raise(S.TS, selectorError(selector, ext));
    if (!descriptor.present) cpu.raise(S.NP, selectorError(selector, ext));
    markAccessed(cpu, descriptor);
    setFromDescriptor(cpu, segment, selector, descriptor);
  }
}

/**
 * Follows a selector to an available TSS and switches: a far jump or call (`vector` of a wrong selector is
 * #GP), or through a task gate, which may sit in the IDT.
 */
export function enterTask(
  cpu: X86,
  selector: number,
  cause: SwitchCause,
  options: SwitchOptions = {},
): void {
  const ext = options.ext ?? 0, code = selectorError(selector, ext);
  if (isNull(selector) || (selector & 4) !== 0) cpu.raise(S.GP, code);
  const tss = readDescriptor(cpu, selector, S.GP, ext);
  if (!tss.availableTss) cpu.raise(S.GP, code);
  if (!tss.present) cpu.raise(S.NP, code);
  switchTask(cpu, tss, cause, options);
}

/** IRET with NT set: back to the task that the current TSS links to. */
export function returnFromTask(cpu: X86): void {
  const selector = cpu.sysLoad16((cpu.R[S.SEG_BASE + S.TR] + LINK) | 0);
  const code = selectorError(selector);
  if (isNull(selector) || (selector & 4) !== 0) cpu.raise(S.TS, code);
  const tss = findDescriptor(cpu, selector) ?? cpu.raise(S.TS, code);
  if (!tss.busyTss) cpu.raise(S.TS, code);
  if (!tss.present) cpu.raise(S.NP, code);
  switchTask(cpu, tss, "return");
}

/**
 * The stack that the current TSS names for an inner ring: SS and ESP, checked as SDM vol. 2 has it for CALL
 * and INT, ready for pushing. Call gates report a null SS as #TS(0), interrupts as #TS(EXT).
 */
export function innerStack(
  cpu: X86,
  ring: number,
  ext = 0,
): { stack: Stack; selector: number; descriptor: Descriptor } {
  const R = cpu.R, base = R[S.SEG_BASE + S.TR], limit = R[S.SEG_LIMIT + S.TR] >>> 0;
  const attr = R[S.SEG_ATTR + S.TR];
  const wide = (attr & 8) !== 0;
  const at = wide ? ring * 8 + 4 : ring * 4 + 2;
  if ((attr & ATTR_PRESENT) === 0 || at + (wide ? 5 : 3) > limit) {
    cpu.raise(S.TS, selectorError(R[S.SEG_SEL + S.TR], ext));
  }
  const pointer = load(cpu, wide ? 4 : 2, base + at);
  const selector = cpu.sysLoad16((base + at + (wide ? 4 : 2)) | 0);
  const code = selectorError(selector, ext);
  if (isNull(selector)) cpu.raise(S.TS, ext);
  const descriptor = readDescriptor(cpu, selector, S.TS, ext);
  if (descriptor.rpl !== ring || descriptor.dpl !== ring || !descriptor.writable) {
    cpu.raise(S.TS, code);
  }
  if (!descriptor.present) cpu.raise(S.SS_FAULT, code);
  markAccessed(cpu, descriptor);
  const stack = new Stack(
    cpu,
    descriptor.base,
    descriptor.limit,
    descriptor.attr,
    pointer,
    false,
    code,
  );
  return { stack, selector, descriptor };
}

/** Offsets of RSP0 and of IST1 in a 64-bit TSS (SDM vol. 3, figure 7-11). */
const RSP0 = 4, IST1 = 0x24;

/**
 * The stack that the current 64-bit TSS names for an inner ring, or for `ist` 1 to 7. SS is to become null.
 *
 * @param ring the privilege that will use it
 */
export function longStack(cpu: X86, ring: number, ist: number, ext = 0): Stack {
  const R = cpu.R, limit = R[S.SEG_LIMIT + S.TR] >>> 0;
  const at = ist === 0 ? RSP0 + 8 * ring : IST1 + 8 * (ist - 1);
  if ((R[S.SEG_ATTR + S.TR] & ATTR_PRESENT) === 0 || at + 7 > limit) {
    cpu.raise(S.TS, selectorError(R[S.SEG_SEL + S.TR], ext));
  }
  const low = cpu.sysLoad64(segmentBase(cpu, S.TR) + at), high = R[S.HIGH];
  if (!isCanonical(high)) cpu.raise(S.SS_FAULT, ext);
  return Stack.wide(cpu, high * 0x100000000 + (low >>> 0), ring === 3, ext);
}
