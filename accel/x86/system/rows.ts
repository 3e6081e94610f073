/** Rows and helpers of the system instructions, and of those that move between segments, rings and tasks. */
import type { X86 } from "../cpu.ts";
import { type Guard, type Helper, type Row, row } from "../rows.ts";
import * as S from "../state.ts";
import {
  invalidate,
  invalidatePcid,
  loadMachineStatus,
  readControl,
  requireControl,
  updateAlignment,
  writeControl,
} from "./control.ts";
import { cpuid } from "./cpuid.ts";
import { readDebug, writeDebug } from "./debug.ts";
import { clearInterruptFlag, popFlags, pushFlags, setInterruptFlag } from "./flags.ts";
import { softwareInterrupt } from "./interrupts.ts";
import { input, output } from "./io.ts";
import { readBase, swapgs, syscall, sysenter, sysexit, sysret, writeBase } from "./fast_calls.ts";
import { TSC_AUX } from "./msr.ts";
import { loadSegment, segmentBase } from "./segments.ts";
import { dropStack, frameSize, peekStack, push } from "./stack.ts";
import {
  adjustRpl,
  loadAccessRights,
  loadLdt,
  loadSegmentLimit,
  loadTable,
  loadTaskRegister,
  operandAddress,
  storeTable,
  verify,
} from "./tables.ts";
import { XSAVE_GUARDS, XSAVE_HELPERS } from "./xsave.ts";
import { farCall, farJump, farReturn, interruptReturn } from "./transfers.ts";

function requireRing0(cpu: X86): void {
  if (cpu.R[S.CPL] !== 0) cpu.raise(S.GP, 0);
}

/** Width of port accesses: four bytes at most. */
function width(cpu: X86): 2 | 4 {
  return cpu.operandSize === 16 ? 2 : 4;
}

/** Gives a result with a clear high half, for destinations of 64 bits. */
function narrow(cpu: X86, value: number): number {
  cpu.R[S.HIGH] = 0;
  return value;
}

/** MOV to a segment register. A load of SS holds off interrupts and debug traps for one instruction. */
function moveToSegment(cpu: X86, segment: number, selector: number): void {
  if (segment === S.CS || segment > S.GS) cpu.raise(S.UD);
  loadSegment(cpu, segment, selector);
  if (segment === S.SS) cpu.R[S.SHADOW] = 2;
}

/** The upper half of a doubleword slot is written as zeros, as on AMD's processors; recent ones of Intel's leave it as it was. */
function pushSegment(segment: number): Helper {
  return (cpu) => push(cpu, frameSize(cpu), cpu.R[S.SEG_SEL + segment]);
}

function popSegment(segment: number): Helper {
  return (cpu) => {
    const R = cpu.R, size = frameSize(cpu), pointer = R[S.RSP] + size;
    const selector = peekStack(cpu, 0, size) & 0xffff;
    if (segment !== S.SS) {
      loadSegment(cpu, segment, selector);
      dropStack(cpu, size);
      return;
    }
    // The pointer moves in the old stack's width.
    const merged = (R[S.SEG_ATTR + S.SS] & 0x4000) !== 0
      ? pointer
      : (R[S.RSP] & ~0xffff) | (pointer & 0xffff);
    loadSegment(cpu, S.SS, selector);
    R[S.RSP] = merged;
    R[S.SHADOW] = 2;
  };
}

/** A far pointer. */
interface FarPointer {
  ip: number;
  high: number;
  selector: number;
}

/** The far pointer in memory at an offset, operand `operand`, in `R[INSN_SEG]`. */
function farPointer(cpu: X86, offset: number, operand = 0): FarPointer {
  const R = cpu.R, size = frameSize(cpu), segment = R[S.INSN_SEG];
  const at = operandAddress(cpu, offset, size, false, operand);
  const ip = size === 8 ? cpu.load64(at) : size === 4 ? cpu.load32(at) : cpu.load16(at);
  const high = size === 8 ? R[S.HIGH] : 0;
  if (R[S.LONG] !== 0) return { ip, high, selector: cpu.load16(at + size) };
  // The selector's offset wraps around at the address size.
  const after = cpu.addressSize === 16 ? (offset + size) & 0xffff : (offset + size) >>> 0;
  return { ip, high, selector: cpu.load16(cpu.linear(segment, after, 2, false)) };
}

/** LDS and its kin give the offset to their register. */
function loadFar(segment: number): Helper {
  return (cpu, _register, offset) => {
    const { ip, high, selector } = farPointer(cpu, offset, 1);
    loadSegment(cpu, segment, selector);
    cpu.R[S.HIGH] = high;
    return ip;
  };
}

/** INVLPG of an offset in `R[INSN_SEG]`; a non-canonical address has no translation to drop. */
function invalidatePage(cpu: X86, offset: number): void {
  const R = cpu.R, segment = R[S.INSN_SEG];
  if (R[S.LONG] === 0) invalidate(cpu, R[S.SEG_BASE + segment] + offset, 0);
  else {
    const based = segment === S.FS || segment === S.GS;
    const linear = R[S.ARG_HI] * 0x100000000 + (offset >>> 0) +
      (based ? segmentBase(cpu, segment) : 0);
    invalidate(cpu, linear, Math.floor(linear / 0x100000000));
  }
}

/** INVPCID of the type in a register and the descriptor at an offset in `R[INSN_SEG]`: PCID, then linear address. */
function invpcid(cpu: X86, type: number, offset: number): void {
  const R = cpu.R, at = operandAddress(cpu, offset, 16, false, 1);
  const typeHigh = R[S.LONG] !== 0 ? R[S.ARG_HI] : 0;
  const [pcid, reserved, low, high] = [0, 4, 8, 12].map((i) => cpu.load32(at + i));
  if ((type & ~3) !== 0 || typeHigh !== 0 || (pcid & ~0xfff) !== 0 || reserved !== 0) {
    cpu.raise(S.GP, 0);
  }
  invalidatePcid(cpu, { type, pcid, linear: high * 0x100000000 + (low >>> 0) });
}

/** INT1. Debug conditions that were held off until now are reported by the same exception. */
function interrupt1(cpu: X86): void {
  const R = cpu.R, pending = R[S.PENDING_DEBUG];
  softwareInterrupt(cpu, S.DB, "int1");
  if (pending === 0) return;
  R[S.PENDING_DEBUG] &= ~pending;
  R[S.DR6] = (R[S.DR6] & ~0xf) | pending;
}

function setPair(cpu: X86, { low, high }: { low: number; high: number }): void {
  const R = cpu.R;
  R[S.RAX] = low;
  R[S.RDX] = high;
  R[S.RAX + 1] = R[S.RDX + 1] = 0;
}

/** The time-stamp counter, where it may be read. */
function timeStamp(cpu: X86): { low: number; high: number } {
  const R = cpu.R;
  if ((R[S.CR4] & S.CR4_TSD) !== 0 && R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  return cpu.msrs.timeStamp();
}

/** STAC and CLAC. */
function setAccess(cpu: X86, flag: number): void {
  const R = cpu.R;
  if (R[S.CPL] !== 0) cpu.raise(S.UD);
  R[S.EFLAGS] = (R[S.EFLAGS] & ~S.AC) | flag;
  updateAlignment(cpu);
}

const xsave = { guard: "xsave" };

/** Performance counters that RDPMC can name. */
const COUNTERS = 2, FIRST_COUNTER_MSR = 0xc1;

/** Called by the engine, with operands as the rows below name them. */
export const SYSTEM_HELPERS: Record<string, Helper> = {
  mov_from_sreg: (cpu, _destination, segment) => narrow(cpu, cpu.R[S.SEG_SEL + segment] & 0xffff),
  mov_to_sreg: moveToSegment,
  push_es: pushSegment(S.ES),
  push_cs: pushSegment(S.CS),
  push_ss: pushSegment(S.SS),
  push_ds: pushSegment(S.DS),
  push_fs: pushSegment(S.FS),
  push_gs: pushSegment(S.GS),
  pop_es: popSegment(S.ES),
  pop_ss: popSegment(S.SS),
  pop_ds: popSegment(S.DS),
  pop_fs: popSegment(S.FS),
  pop_gs: popSegment(S.GS),
  les: loadFar(S.ES),
  lds: loadFar(S.DS),
  lss: loadFar(S.SS),
  lfs: loadFar(S.FS),
  lgs: loadFar(S.GS),

  jmp_far: (cpu, offset, selector) => farJump(cpu, offset, selector),
  call_far: (cpu, offset, selector) => farCall(cpu, offset, selector),
  jmp_far_mem: (cpu, offset) => {
    const { ip, high, selector } = farPointer(cpu, offset);
    farJump(cpu, ip, selector, high);
  },
  call_far_mem: (cpu, offset) => {
    const { ip, high, selector } = farPointer(cpu, offset);
    farCall(cpu, ip, selector, high);
  },
  retf: (cpu) => farReturn(cpu, 0),
  retf_imm: (cpu, release) => farReturn(cpu, release & 0xffff),
  iret: (cpu) => interruptReturn(cpu),
  int: (cpu, vector) => softwareInterrupt(cpu, vector & 0xff, "int"),
  int3: (cpu) => softwareInterrupt(cpu, S.BP, "int3"),
  int1: interrupt1,
  into: (cpu) => {
    if ((S.arithFlags(cpu.R) & S.OF) !== 0) softwareInterrupt(cpu, S.OF_TRAP, "int3");
  },
  sysenter: (cpu) => sysenter(cpu),
  sysexit: (cpu) => sysexit(cpu),
  syscall: (cpu) => syscall(cpu),
  sysret: (cpu) => sysret(cpu),
  swapgs: (cpu) => swapgs(cpu),
  rdfsbase: (cpu) => readBase(cpu, S.FS),
  rdgsbase: (cpu) => readBase(cpu, S.GS),
  wrfsbase: (cpu, value) => writeBase(cpu, S.FS, value),
  wrgsbase: (cpu, value) => writeBase(cpu, S.GS, value),
  stac: (cpu) => setAccess(cpu, S.AC),
  clac: (cpu) => setAccess(cpu, 0),

  hlt: (cpu) => {
    requireRing0(cpu);
    cpu.R[S.ACTIVITY] = 1;
  },
  cli: (cpu) => clearInterruptFlag(cpu),
  sti: (cpu) => setInterruptFlag(cpu),
  pushf: (cpu) => pushFlags(cpu),
  popf: (cpu) => popFlags(cpu),

  lgdt: (cpu, offset) => {
    requireRing0(cpu);
    loadTable(cpu, S.GDTR_BASE, offset);
  },
  lidt: (cpu, offset) => {
    requireRing0(cpu);
    loadTable(cpu, S.IDTR_BASE, offset);
  },
  sgdt: (cpu, offset) => storeTable(cpu, S.GDTR_BASE, offset),
  sidt: (cpu, offset) => storeTable(cpu, S.IDTR_BASE, offset),
  lldt: (cpu, selector) => {
    requireRing0(cpu);
    loadLdt(cpu, selector);
  },
  ltr: (cpu, selector) => {
    requireRing0(cpu);
    loadTaskRegister(cpu, selector);
  },
  sldt: (cpu) => narrow(cpu, cpu.R[S.SEG_SEL + S.LDTR]),
  str: (cpu) => narrow(cpu, cpu.R[S.SEG_SEL + S.TR]),
  smsw: (cpu) => narrow(cpu, cpu.R[S.CR0]),
  lmsw: (cpu, value) => {
    requireRing0(cpu);
    loadMachineStatus(cpu, value);
  },
  clts: (cpu) => {
    requireRing0(cpu);
    cpu.R[S.CR0] &= ~S.CR0_TS;
  },
  arpl: (cpu, destination, source) => adjustRpl(cpu, destination, source),
  arpl_mem: (cpu, offset, source) => {
    const segment = cpu.R[S.INSN_SEG];
    const at = cpu.linear(segment, offset >>> 0, 2, false);
    const selector = cpu.load16(at);
    // Memory is written only where RPL changes: a selector that needs nothing may be read-only.
    if ((selector & 3) < (source & 3)) {
      cpu.store16(cpu.linear(segment, offset >>> 0, 2, true), (selector & ~3) | (source & 3));
    }
    adjustRpl(cpu, selector, source);
  },
  verr: (cpu, selector) => verify(cpu, selector, false),
  verw: (cpu, selector) => verify(cpu, selector, true),
  lar: (cpu, destination, selector) => loadAccessRights(cpu, destination, selector),
  lsl: (cpu, destination, selector) => loadSegmentLimit(cpu, destination, selector),

  mov_from_cr: (cpu, _destination, n) => {
    requireControl(cpu, n);
    requireRing0(cpu);
    return readControl(cpu, n);
  },
  mov_to_cr: (cpu, n, value) => {
    requireControl(cpu, n);
    requireRing0(cpu);
    const R = cpu.R;
    writeControl(cpu, n, value, R[S.LONG] !== 0 ? R[S.ARG_HI + 1] : 0);
  },
  mov_from_dr: (cpu, _destination, n) => readDebug(cpu, n),
  mov_to_dr: (cpu, n, value) =>
    writeDebug(cpu, n, value, cpu.R[S.LONG] !== 0 ? cpu.R[S.ARG_HI + 1] : 0),
  invlpg: (cpu, offset) => {
    requireRing0(cpu);
    invalidatePage(cpu, offset);
  },
  invpcid,
  // Memory is always coherent: there is nothing to write back or to lose.
  invd: requireRing0,
  wbinvd: requireRing0,

  rdmsr: (cpu) => {
    requireRing0(cpu);
    setPair(cpu, cpu.msrs.read(cpu.R[S.RCX]) ?? cpu.raise(S.GP, 0));
  },
  wrmsr: (cpu) => {
    requireRing0(cpu);
    const R = cpu.R;
    if (!cpu.msrs.write(R[S.RCX], R[S.RAX], R[S.RDX])) cpu.raise(S.GP, 0);
  },
  rdtsc: (cpu) => setPair(cpu, timeStamp(cpu)),
  rdtscp: (cpu) => {
    const R = cpu.R;
    setPair(cpu, timeStamp(cpu));
    R[S.RCX] = cpu.msrs.low(TSC_AUX);
    R[S.RCX + 1] = 0;
  },
  rdpid: (cpu) => narrow(cpu, cpu.msrs.low(TSC_AUX)),
  rdpmc: (cpu) => {
    const R = cpu.R;
    if (cpu.model.family < 6) cpu.raise(S.UD);
    if ((R[S.CR4] & S.CR4_PCE) === 0 && R[S.CPL] !== 0) cpu.raise(S.GP, 0);
    if ((R[S.RCX] >>> 0) >= COUNTERS) cpu.raise(S.GP, 0);
    setPair(cpu, cpu.msrs.read(FIRST_COUNTER_MSR + R[S.RCX]) ?? cpu.raise(S.GP, 0));
  },
  cpuid: (cpu) => {
    const R = cpu.R;
    const { index, count } = cpu.bus;
    const circumstances = {
      index,
      count,
      apicEnabled: cpu.msrs.apicEnabled,
      osxsave: (R[S.CR4] & S.CR4_OSXSAVE) !== 0,
    };
    const [eax, ebx, ecx, edx] = cpuid(cpu.model, R[S.RAX], R[S.RCX], circumstances);
    R[S.RAX] = eax;
    R[S.RBX] = ebx;
    R[S.RCX] = ecx;
    R[S.RDX] = edx;
    R[S.RAX + 1] =
      R[S.RBX + 1] =
      R[S.RCX + 1] =
      R[S.RDX + 1] =
        0;
  },

  in_byte: (cpu, _al, port) => input(cpu, port & 0xff, 1),
  in_imm: (cpu, _ax, port) => input(cpu, port & 0xff, width(cpu)),
  in_byte_dx: (cpu, _al, port) => input(cpu, port, 1),
  in_dx: (cpu, _ax, port) => input(cpu, port, width(cpu)),
  out_byte: (cpu, port, value) => output(cpu, port & 0xff, 1, value),
  out_imm: (cpu, port, value) => output(cpu, port & 0xff, width(cpu), value),
  out_byte_dx: (cpu, port, value) => output(cpu, port, 1, value),
  out_dx: (cpu, port, value) => output(cpu, port, width(cpu), value),

  ...XSAVE_HELPERS,

  ud: (cpu) => cpu.raise(S.UD),
};

/** Checks that precede the operands: privilege comes before a fault on the operand in memory. */
export const SYSTEM_GUARDS: Record<string, Guard> = {
  ...XSAVE_GUARDS,
  ring0: requireRing0,
  umip: (cpu) => {
    const R = cpu.R;
    if ((R[S.CR4] & S.CR4_UMIP) !== 0 && R[S.CPL] !== 0) cpu.raise(S.GP, 0);
  },
};

const control = { control: true };
const protectedOnly = { protectedOnly: true };
const ring0 = { guard: "ring0", control: true };
const umip = { guard: "umip" };
/** 64-bit mode only; these precede the rows whose encodings they share. */
const fsgsbase = { feature: "fsgsbase", longOnly: true } as const;
/** Registers that MOV Sreg may name; the other encodings, and CS as a destination, are #UD. */
const SOURCES = [0, 1, 2, 3, 4, 5], DESTINATIONS = [0, 2, 3, 4, 5];

/** SYSTEM_HELPERS by opcode. */
export const SYSTEM_ROWS: Row[] = [
  row("0F 20 /r", "=Rq,Cd", "mov_from_cr", { longOnly: true }),
  row("0F 21 /r", "=Rq,Dd", "mov_from_dr", { longOnly: true }),
  row("0F 22 /r", "Cd,Rq", "mov_to_cr", { longOnly: true, control: true }),
  row("0F 23 /r", "Dd,Rq", "mov_to_dr", { longOnly: true, control: true }),
  row("0F 01 F8", "", "swapgs", { feature: "lm", longOnly: true, control: true }),
  row("F3 0F C7 /7 r", "=Rq", "rdpid", { feature: "rdpid", longOnly: true }),
  row("F3 0F C7 /7 r", "=Rd", "rdpid", { feature: "rdpid", legacyOnly: true }),
  row("F3 0F AE /0 r", "=Ry", "rdfsbase", fsgsbase),
  row("F3 0F AE /1 r", "=Ry", "rdgsbase", fsgsbase),
  row("F3 0F AE /2 r", "Ry", "wrfsbase", { ...fsgsbase, control: true }),
  row("F3 0F AE /3 r", "Ry", "wrgsbase", { ...fsgsbase, control: true }),

  row("06", "", "push_es"),
  row("07", "", "pop_es", control),
  row("0E", "", "push_cs"),
  row("16", "", "push_ss"),
  row("17", "", "pop_ss", control),
  row("1E", "", "push_ds"),
  row("1F", "", "pop_ds", control),
  row("0F A0", "", "push_fs"),
  row("0F A1", "", "pop_fs", control),
  row("0F A8", "", "push_gs"),
  row("0F A9", "", "pop_gs", control),
  ...SOURCES.flatMap((n) => [
    row(`8C /${n} r`, "=Ev,Sw", "mov_from_sreg"),
    row(`8C /${n} m`, "=Ew,Sw", "mov_from_sreg"),
  ]),
  ...DESTINATIONS.map((n) => row(`8E /${n}`, "Sw,Ew", "mov_to_sreg", control)),
  row("C4 /r m", "=Gv,M", "les", control),
  row("C5 /r m", "=Gv,M", "lds", control),
  row("0F B2 /r m", "=Gv,M", "lss", control),
  row("0F B4 /r m", "=Gv,M", "lfs", control),
  row("0F B5 /r m", "=Gv,M", "lgs", control),

  row("EA", "Ap", "jmp_far", control),
  row("9A", "Ap", "call_far", control),
  row("FF /5 m", "M", "jmp_far_mem", control),
  row("FF /3 m", "M", "call_far_mem", control),
  row("CA", "Iw", "retf_imm", control),
  row("CB", "", "retf", control),
  row("CC", "", "int3", control),
  row("CD", "Ib", "int", control),
  row("CE", "", "into", control),
  row("CF", "", "iret", control),
  row("F1", "", "int1", control),
  row("0F 34", "", "sysenter", { feature: "sep", control: true }),
  row("0F 35", "", "sysexit", { feature: "sep", control: true }),

  row("0F 05", "", "syscall", { feature: "syscall", control: true }),
  row("0F 07", "", "sysret", { feature: "syscall", control: true }),

  row("F4", "", "hlt", control),
  row("FA", "", "cli"),
  row("FB", "", "sti", control),
  row("9C", "", "pushf"),
  row("9D", "", "popf", control),

  row("63 /r r", "+Ew,Gw", "arpl", protectedOnly),
  row("63 /r m", "M,Gw", "arpl_mem", protectedOnly),
  row("0F 00 /0 r", "=Ev", "sldt", { ...umip, ...protectedOnly }),
  row("0F 00 /0 m", "=Ew", "sldt", { ...umip, ...protectedOnly }),
  row("0F 00 /1 r", "=Ev", "str", { ...umip, ...protectedOnly }),
  row("0F 00 /1 m", "=Ew", "str", { ...umip, ...protectedOnly }),
  row("0F 00 /2", "Ew", "lldt", { ...ring0, ...protectedOnly }),
  row("0F 00 /3", "Ew", "ltr", { ...ring0, ...protectedOnly }),
  row("0F 00 /4", "Ew", "verr", protectedOnly),
  row("0F 00 /5", "Ew", "verw", protectedOnly),
  row("0F 01 /0 m", "M", "sgdt", umip),
  row("0F 01 /1 m", "M", "sidt", umip),
  row("0F 01 /2 m", "M", "lgdt", control),
  row("0F 01 /3 m", "M", "lidt", control),
  row("0F 01 /4 r", "=Ev", "smsw", umip),
  row("0F 01 /4 m", "=Ew", "smsw", umip),
  row("0F 01 /6", "Ew", "lmsw", ring0),
  row("0F 01 /7 m", "M", "invlpg"),
  row("0F 01 F9", "", "rdtscp", { feature: "rdtscp" }),
  row("66 0F 38 82 /r m", "Gq,M", "invpcid", {
    ...ring0,
    feature: "invpcid",
    longOnly: true,
  }),
  row("66 0F 38 82 /r m", "Gd,M", "invpcid", { ...ring0, feature: "invpcid" }),
  row("NP 0F 01 CB", "", "stac", { feature: "smap" }),
  row("NP 0F 01 CA", "", "clac", { feature: "smap" }),
  row("NP 0F AE /4 m", "M", "xsave", { feature: "xsave", ...xsave }),
  row("NP 0F AE /5 m", "M", "xrstor", { feature: "xsave", ...xsave }),
  row("NP 0F AE /6 m", "M", "xsaveopt", { feature: "xsaveopt", ...xsave }),
  row("NP 0F C7 /4 m", "M", "xsavec", { feature: "xsavec", ...xsave }),
  row("NP 0F 01 D0", "", "xgetbv", { feature: "xsave", guard: "osxsave" }),
  row("NP 0F 01 D1", "", "xsetbv", { feature: "xsave", guard: "osxsave" }),
  row("0F 02 /r", "+Gv,Ew", "lar", protectedOnly),
  row("0F 03 /r", "+Gv,Ew", "lsl", protectedOnly),
  row("0F 06", "", "clts", control),
  row("0F 08", "", "invd"),
  row("0F 09", "", "wbinvd"),
  row("0F 0B", "", "ud"),
  row("0F AA", "", "ud"), // RSM: there is no system-management mode to return from.
  row("0F 20 /r", "=Rd,Cd", "mov_from_cr"),
  row("0F 21 /r", "=Rd,Dd", "mov_from_dr"),
  row("0F 22 /r", "Cd,Rd", "mov_to_cr", control),
  row("0F 23 /r", "Dd,Rd", "mov_to_dr", control),

  row("0F 30", "", "wrmsr", { feature: "msr", control: true }),
  row("0F 31", "", "rdtsc", { feature: "tsc" }),
  row("0F 32", "", "rdmsr", { feature: "msr" }),
  row("0F 33", "", "rdpmc"),
  row("0F A2", "", "cpuid"),

  row("E4", "=AL,Ib", "in_byte"),
  row("E5", "=eAX,Ib", "in_imm"),
  row("E6", "Ib,AL", "out_byte"),
  row("E7", "Ib,eAX", "out_imm"),
  row("EC", "=AL,DX", "in_byte_dx"),
  row("ED", "=eAX,DX", "in_dx"),
  row("EE", "DX,AL", "out_byte_dx"),
  row("EF", "DX,eAX", "out_dx"),
];
