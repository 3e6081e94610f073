/** x87 control: FINIT, FCLEX, control and status words, environment and state images (SDM vol. 1, 8.1.10 and 10.5). */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as F from "./softfloat.ts";
import * as K from "./stack.ts";

const { FCW, FSW, FTAG, FOP, FIP, FCS, FDP, FDS, ST0, XMM0, SCRATCH } = S;
const BYTES = SCRATCH * 4;

/** MXCSR bits that exist, denormals-are-zeros included. */
export const MXCSR_MASK = 0xffff;

/** Reserved bits of the control word as they read: bit 6 is always set. */
function setControl(cpu: X86, value: number): void {
  cpu.R[FCW] = (value & 0x1f3f) | 0x40;
}

/** FNINIT (SDM vol. 2): also the state after reset by INIT with CR0.EM clear. */
export function initialize(cpu: X86): void {
  const R = cpu.R;
  R[FCW] = 0x37f;
  R[FTAG] = 0;
  R.fill(0, FOP, FDS + 1);
  R[S.FIP_HI] = R[S.FDP_HI] = 0;
  R[FSW] &= K.ES_B;
  K.summarize(cpu);
}

function clearExceptions(cpu: X86): void {
  cpu.R[FSW] &= ~0x7f;
  K.summarize(cpu);
}

/** The full tag word, two bits a physical register (SDM vol. 1, 8.1.7). */
function tagWord(R: Int32Array): number {
  let tags = 0;
  for (let n = 7; n >= 0; n--) {
    tags <<= 2;
    if (((R[FTAG] >>> n) & 1) === 0) {
      tags |= 3;
      continue;
    }
    const at = ST0 + 4 * n, e = R[at + 2] & 0x7fff;
    if (e === 0 && (R[at] | R[at + 1]) === 0) tags |= 1;
    else if (e === 0 || e === 0x7fff || R[at + 1] >= 0) tags |= 2;
  }
  return tags;
}

/** Stores the environment in the format of operand size and mode. Returns its length. */
function putEnvironment(cpu: X86): number {
  const R = cpu.R, view = cpu.view, real = !cpu.protectedMode;
  const ip = real ? (R[FCS] << 4) + R[FIP] : R[FIP];
  const dp = real ? (R[FDS] << 4) + R[FDP] : R[FDP];
  const words = [
    R[FCW],
    R[FSW],
    tagWord(R),
    ip & 0xffff,
    real ? (ip >>> 4) & 0xf000 | R[FOP] : R[FCS],
    dp & 0xffff,
    real ? (dp >>> 4) & 0xf000 : R[FDS],
  ];
  if (cpu.operandSize === 16) {
    for (let i = 0; i < 7; i++) view.setUint16(BYTES + 2 * i, words[i], true);
    return 14;
  }
  for (let i = 0; i < 7; i++) R[SCRATCH + i] = 0xffff0000 | words[i];
  if (real) {
    R[SCRATCH + 4] = ((ip >>> 16) << 12) | (R[FOP] & 0x7ff);
    R[SCRATCH + 6] = (dp >>> 16) << 12;
  } else {
    R[SCRATCH + 3] = ip;
    R[SCRATCH + 4] = (R[FCS] & 0xffff) | ((R[FOP] & 0x7ff) << 16);
    R[SCRATCH + 5] = dp;
  }
  return 28;
}

/** Loads the environment from SCRATCH. Returns its length. */
function getEnvironment(cpu: X86): number {
  const R = cpu.R, view = cpu.view, real = !cpu.protectedMode;
  const short = cpu.operandSize === 16, step = short ? 2 : 4;
  const word = (i: number) => view.getUint16(BYTES + step * i, true);
  setControl(cpu, word(0));
  setStatus(cpu, word(1));
  const tags = word(2);
  let full = 0;
  for (let n = 0; n < 8; n++) if (((tags >>> (2 * n)) & 3) !== 3) full |= 1 << n;
  R[FTAG] = full;
  if (real) {
    const at4 = short ? word(4) : R[SCRATCH + 4], at6 = short ? word(6) : R[SCRATCH + 6];
    R[FIP] = word(3) | (short ? (at4 & 0xf000) << 4 : (at4 & 0x0ffff000) << 4);
    R[FDP] = word(5) | (short ? (at6 & 0xf000) << 4 : (at6 & 0x0ffff000) << 4);
    R[FOP] = at4 & 0x7ff;
    R[FCS] = R[FDS] = 0;
  } else {
    R[FIP] = short ? word(3) : R[SCRATCH + 3];
    R[FDP] = short ? word(5) : R[SCRATCH + 5];
    R[FCS] = word(4);
    R[FDS] = word(6);
    if (!short) R[FOP] = view.getUint16(BYTES + 18, true) & 0x7ff;
  }
  return step * 7;
}

/** Loads the status word; the summary follows from flags and masks, whatever the image says. */
function setStatus(cpu: X86, value: number): void {
  cpu.R[FSW] = (cpu.R[FSW] & K.ES_B) | (value & 0x7f7f);
  K.summarize(cpu);
}

function saveAll(cpu: X86): void {
  const R = cpu.R, view = cpu.view;
  const start = BYTES + putEnvironment(cpu);
  for (let i = 0; i < 8; i++) {
    const from = K.st(R, i), to = start + 10 * i;
    // 14 and 94 bytes are even, so words are what the image consists of.
    view.setInt32(to, R[from], true);
    view.setInt32(to + 4, R[from + 1], true);
    view.setInt16(to + 8, R[from + 2], true);
  }
  initialize(cpu);
}

function restoreAll(cpu: X86): void {
  const R = cpu.R, view = cpu.view;
  const start = BYTES + getEnvironment(cpu);
  for (let i = 0; i < 8; i++) {
    const to = K.st(R, i), from = start + 10 * i;
    R[to] = view.getInt32(from, true);
    R[to + 1] = view.getInt32(from + 4, true);
    R[to + 2] = view.getUint16(from + 8, true);
  }
}

/** Puts the x87 part of FXSAVE's image into SCRATCH: bytes 0 to 23 and 32 to 159. */
export function putX87(cpu: X86): void {
  const R = cpu.R, at = SCRATCH, wide = cpu.operandSize === 64;
  R[at] = (R[FCW] & 0xffff) | (R[FSW] << 16);
  R[at + 1] = (R[FTAG] & 0xff) | ((R[FOP] & 0x7ff) << 16);
  R[at + 2] = R[FIP];
  // With REX.W pointers have 64 bits and no selectors.
  R[at + 3] = wide ? R[S.FIP_HI] : R[FCS] & 0xffff;
  R[at + 4] = R[FDP];
  R[at + 5] = wide ? R[S.FDP_HI] : R[FDS] & 0xffff;
  for (let i = 0; i < 8; i++) {
    const from = K.st(R, i), to = at + 8 + 4 * i;
    R[to] = R[from];
    R[to + 1] = R[from + 1];
    R[to + 2] = R[from + 2] & 0xffff;
    R[to + 3] = 0;
  }
}

/** Takes the x87 part of FXSAVE's image from SCRATCH. */
export function getX87(cpu: X86): void {
  const R = cpu.R, at = SCRATCH, wide = cpu.operandSize === 64;
  setControl(cpu, R[at]);
  setStatus(cpu, R[at] >>> 16);
  R[FTAG] = R[at + 1] & 0xff;
  R[FOP] = (R[at + 1] >>> 16) & 0x7ff;
  R[FIP] = R[at + 2];
  R[FCS] = wide ? 0 : R[at + 3] & 0xffff;
  R[S.FIP_HI] = wide ? R[at + 3] : 0;
  R[FDP] = R[at + 4];
  R[FDS] = wide ? 0 : R[at + 5] & 0xffff;
  R[S.FDP_HI] = wide ? R[at + 5] : 0;
  for (let i = 0; i < 8; i++) {
    const to = K.st(R, i), from = at + 8 + 4 * i;
    R[to] = R[from];
    R[to + 1] = R[from + 1];
    R[to + 2] = R[from + 2] & 0xffff;
  }
}

/** FXSAVE. What the format leaves out stays as it was in memory. */
function fxsave(cpu: X86): void {
  const R = cpu.R, at = SCRATCH;
  if ((R[S.INSN_EA] & 15) !== 0) cpu.raise(S.GP, 0);
  putX87(cpu);
  if (!cpu.model.features.has("sse")) return;
  R[at + 6] = R[S.MXCSR];
  R[at + 7] = MXCSR_MASK;
  if ((R[S.CR4] & S.CR4_OSFXSR) === 0) return;
  // XMM8 to XMM15 only in 64-bit mode (SDM vol. 2, FXSAVE).
  for (let i = R[S.LONG] === 1 ? 63 : 31; i >= 0; i--) R[at + 40 + i] = R[XMM0 + i];
}

function fxrstor(cpu: X86): void {
  const R = cpu.R, at = SCRATCH;
  if ((R[S.INSN_EA] & 15) !== 0) cpu.raise(S.GP, 0);
  const sse = cpu.model.features.has("sse"), xmm = (R[S.CR4] & S.CR4_OSFXSR) !== 0;
  if (sse && (R[at + 6] & ~MXCSR_MASK) !== 0) cpu.raise(S.GP, 0);
  getX87(cpu);
  if (!sse) return;
  R[S.MXCSR] = R[at + 6];
  if (!xmm) return;
  for (let i = R[S.LONG] === 1 ? 63 : 31; i >= 0; i--) R[XMM0 + i] = R[at + 40 + i];
}

function rotate(cpu: X86, by: number): void {
  const R = cpu.R, top = ((R[FSW] >>> 11) + by) & 7;
  K.note(cpu);
  R[FSW] = (R[FSW] & ~0x3800 & ~F.C1) | (top << 11);
}

function free(cpu: X86, i: number, pops: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  R[FTAG] &= ~(1 << K.physical(R, i));
  R[FSW] &= ~F.C1;
  if (pops) K.pop(R);
}

/** Helpers of this file. */
export const CONTROL: Record<string, Helper> = {
  fninit: initialize,
  fnclex: clearExceptions,
  fnop: (cpu) => K.note(cpu),
  /** FENI, FDISI, FSETPM: instructions of older coprocessors. */
  fnop_control: () => {},
  fwait: () => {},
  fincstp: (cpu) => rotate(cpu, 1),
  fdecstp: (cpu) => rotate(cpu, -1),
  ffree: (cpu, i) => free(cpu, i, false),
  ffreep: (cpu, i) => free(cpu, i, true),
  fldcw: (cpu) => {
    setControl(cpu, cpu.R[SCRATCH]);
    K.summarize(cpu);
  },
  fnstcw: (cpu) => {
    cpu.R[SCRATCH] = cpu.R[FCW];
  },
  fnstsw: (cpu) => {
    cpu.R[SCRATCH] = cpu.R[FSW];
  },
  fnstsw_ax: (cpu) => cpu.R[FSW] & 0xffff,
  fnstenv: (cpu) => {
    putEnvironment(cpu);
    cpu.R[FCW] |= 0x3f;
    K.summarize(cpu);
  },
  fldenv: (cpu) => {
    getEnvironment(cpu);
  },
  fnsave: saveAll,
  frstor: restoreAll,
  fxsave,
  fxrstor,
};
