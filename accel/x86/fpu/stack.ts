/**
 * The x87 register stack, status word and pending exceptions (SDM vol. 1, 8.1), on which the
 * instructions in this directory are built.
 */
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import * as F from "./softfloat.ts";

const { W } = F;
const { FCW, FSW, FTAG, ST0, SCRATCH } = S;

/** Condition codes in the status word. */
export const C0 = 0x100, C2 = 0x400, C3 = 0x4000;
/** Exception summary and busy, which always agree. */
export const ES_B = 0x8080;
/** The masked response to a stack underflow. */
export const UNDERFLOW: number = F.IE | F.SF;
/** The masked response to a stack overflow. */
export const OVERFLOW: number = F.IE | F.SF | F.C1;
/** Smallest normal exponent of the 80-bit format. */
export const EMIN80 = -16382;

/** Notes what the last non-control instruction was (SDM vol. 1, 8.1.8). */
export function note(cpu: X86): void {
  const R = cpu.R;
  R[S.FOP] = R[S.INSN_FOP];
  R[S.FIP] = R[S.INSN_IP];
  R[S.FIP_HI] = R[S.LONG] !== 0 ? R[S.INSN_IP_HI] : 0;
  R[S.FCS] = R[S.SEG_SEL + S.CS];
}

/** As {@linkcode note}, with the memory operand. */
export function noteOperand(cpu: X86): void {
  note(cpu);
  const R = cpu.R, segment = R[S.INSN_SEG];
  if (R[S.LONG] !== 0) {
    const based = segment === S.FS || segment === S.GS;
    const low = based ? R[S.SEG_BASE + segment] : 0, high = based ? R[S.SEG_BASE_HI + segment] : 0;
    R[S.FDP_HI] = R[S.INSN_EA_HI] - high - ((R[S.INSN_EA] >>> 0) < (low >>> 0) ? 1 : 0);
    R[S.FDP] = R[S.INSN_EA] - low;
  } else {
    R[S.FDP] = R[S.INSN_EA] - R[S.SEG_BASE + segment];
    R[S.FDP_HI] = 0;
  }
  R[S.FDS] = R[S.SEG_SEL + segment];
}

/** Physical number of ST(i). */
export function physical(R: Int32Array, i: number): number {
  return ((R[FSW] >>> 11) + i) & 7;
}

/** Index in `R` of ST(i). */
export function st(R: Int32Array, i: number): number {
  return ST0 + 4 * (((R[FSW] >>> 11) + i) & 7);
}

/** Whether ST(i) is empty. */
export function isEmpty(R: Int32Array, i: number): boolean {
  return ((R[FTAG] >>> (((R[FSW] >>> 11) + i) & 7)) & 1) === 0;
}

/** Marks ST(i) as holding a value. */
export function fill(R: Int32Array, i: number): void {
  R[FTAG] |= 1 << (((R[FSW] >>> 11) + i) & 7);
}

/** Empties ST(0) and raises TOP. */
export function pop(R: Int32Array): void {
  const top = (R[FSW] >>> 11) & 7;
  R[FTAG] &= ~(1 << top);
  R[FSW] = (R[FSW] & ~0x3800) | (((top + 1) & 7) << 11);
}

/** Lowers TOP and fills the new ST(0), whose value the caller stores. */
export function push(R: Int32Array): void {
  const top = ((R[FSW] >>> 11) - 1) & 7;
  R[FTAG] |= 1 << top;
  R[FSW] = (R[FSW] & ~0x3800) | (top << 11);
}

/** Merges exception flags into the status word, C1 as given, and signals what is unmasked. */
export function report(cpu: X86, flags: number): void {
  const R = cpu.R;
  R[FSW] = (R[FSW] & ~F.C1) | (flags & (F.C1 | 0x7f));
  if ((flags & ~R[FCW] & 0x3f) !== 0) summarize(cpu);
}

/** Whether an exception in `flags` is unmasked and stops an instruction before its result. */
export function isBlocked(R: Int32Array, flags: number): boolean {
  return (flags & ~R[FCW] & (F.IE | F.DE | F.ZE)) !== 0;
}

/** Recomputes the exception summary from flags and masks and drives FERR#. */
export function summarize(cpu: X86): void {
  const R = cpu.R;
  const before = R[FSW] & ES_B, pending = (R[FSW] & ~R[FCW] & 0x3f) !== 0;
  R[FSW] = pending ? R[FSW] | ES_B : R[FSW] & ~ES_B;
  if ((before !== 0) !== pending && (R[S.CR0] & S.CR0_NE) === 0) cpu.ferr(pending);
}

/**
 * Reports an unmasked exception that is pending, as the next waiting instruction does: #MF, or with
 * CR0.NE clear FERR# again.
 *
 * Deviation: with CR0.NE clear and IGNNE# inactive a real processor stops until an interrupt arrives.
 * Here the interrupt that FERR# causes is taken before the next instruction anyway.
 */
export function checkPending(cpu: X86): void {
  const R = cpu.R;
  if ((R[FSW] & 0x80) === 0) return;
  if ((R[S.CR0] & S.CR0_NE) !== 0) cpu.raise(S.MF);
  cpu.ferr(true);
}

/** Wraps the exponent of a result that left the range with its exception unmasked (SDM vol. 1, 8.5.4 and 8.5.5). */
export function wrap80(flags: number, fcw: number): void {
  const open = flags & ~fcw;
  if ((open & F.OE) !== 0) W[F.Z + F.EXP] -= 24576;
  else if ((open & F.UE) !== 0) W[F.Z + F.EXP] += 24576;
}

const PRECISIONS = Int32Array.of(24, 64, 53, 64);

/** Rounds Z by the control word's precision and rounding mode, with the unmasked responses. */
export function roundByControl(fcw: number): number {
  if (W[F.Z + F.CLS] !== F.FINITE) return 0;
  const flags = F.roundZ(PRECISIONS[(fcw >>> 8) & 3], EMIN80, (fcw >>> 10) & 3, ~fcw);
  wrap80(flags, fcw);
  return flags;
}

/** Rounds Z to 64 bits whatever the precision control, with the unmasked responses. */
export function round80(fcw: number): number {
  if (W[F.Z + F.CLS] !== F.FINITE) return 0;
  const flags = F.roundZ(64, EMIN80, (fcw >>> 10) & 3, ~fcw);
  wrap80(flags, fcw);
  return flags;
}

/** Z from A, a NaN or unsupported: quieted, or the indefinite. Returns IE where that is invalid. */
export function nan1(): number {
  const cls = W[F.A + F.CLS];
  if (cls === F.UNSUPPORTED) {
    F.setIndefinite();
    return F.IE;
  }
  F.copyNumber(F.Z, F.A);
  W[F.Z + F.CLS] = F.QNAN;
  W[F.Z + F.HI] |= 0x40000000;
  return cls === F.SNAN ? F.IE : 0;
}

/** Z from A and B, of which one at least is a NaN or unsupported (SDM vol. 1, table 4-7). */
export function nan2(): number {
  const a = W[F.A + F.CLS], b = W[F.B + F.CLS];
  if (a === F.UNSUPPORTED || b === F.UNSUPPORTED) {
    F.setIndefinite();
    return F.IE;
  }
  let takeB: boolean;
  if (a < F.QNAN) takeB = true;
  else if (b < F.QNAN) takeB = false;
  else if (a !== b) takeB = a === F.SNAN;
  else {
    const ah = W[F.A + F.HI] >>> 0, bh = W[F.B + F.HI] >>> 0;
    const al = W[F.A + F.LO] >>> 0, bl = W[F.B + F.LO] >>> 0;
    takeB = ah !== bh ? bh > ah : al !== bl ? bl > al : W[F.A + F.SIGN] === 1;
  }
  F.copyNumber(F.Z, takeB ? F.B : F.A);
  W[F.Z + F.CLS] = F.QNAN;
  W[F.Z + F.HI] |= 0x40000000;
  return a === F.SNAN || b === F.SNAN ? F.IE : 0;
}

/** DE if A is denormal. */
export function denormalA(): number {
  return W[F.A + F.DEN] << 1;
}

/** DE if A or B is denormal. */
export function denormalAB(): number {
  return (W[F.A + F.DEN] | W[F.B + F.DEN]) << 1;
}

/** Leaves the memory operand as it is: what will be stored from SCRATCH is what memory holds. */
export function keepMemory(cpu: X86, size: number): void {
  const low = cpu.R[S.INSN_EA];
  const at = cpu.R[S.LONG] === 1 ? cpu.R[S.INSN_EA_HI] * 0x100000000 + (low >>> 0) : low;
  for (let i = 0; i < size; i++) cpu.U8[SCRATCH * 4 + i] = cpu.load8(at + i);
}
