/**
 * XSAVE and its kin: state by components, of which there are x87 (bit 0) and SSE (bit 1) (SDM vol. 1,
 * chapter 13).
 *
 * The area is the 512 bytes of FXSAVE and a header of 64 bytes; with these two components its standard and
 * its compacted format differ in the header only.
 */
import type { X86 } from "../cpu.ts";
import { getX87, initialize, MXCSR_MASK, putX87 } from "../fpu/control.ts";
import type { Guard, Helper } from "../rows.ts";
import * as S from "../state.ts";
import { operandAddress } from "./tables.ts";

const { FCW, FSW, FTAG, FOP, MXCSR, SCRATCH, ST0, XCR0, XMM0 } = S;

const X87 = 1, SSE = 2;
/** All components there are. */
export const COMPONENTS: number = X87 | SSE;
/** Length of the legacy region and of the area. */
const LEGACY_BYTES = 512;
export const AREA_BYTES = 576;
/** Header fields, from the start of the area: low half, and the high half four bytes on. */
const XSTATE_BV = LEGACY_BYTES, XCOMP_BV = LEGACY_BYTES + 8;
/** XCOMP_BV bit 63, in its high half: the area is compacted. */
const COMPACTED = 1 << 31;
const INITIAL_FCW = 0x37f, INITIAL_MXCSR = 0x1f80;
const MXCSR_AT = 24, X87_REGISTERS = 32, XMM_REGISTERS = 160;

/** What of XSAVE's kin an instruction is. */
interface Kind {
  /** Components in their initial configuration are not written. */
  optimized: boolean;
  compacted: boolean;
}

/** XMM registers that the mode has, in words of state. */
function xmmWords(R: Int32Array): number {
  return R[S.LONG] !== 0 ? 64 : 32;
}

function isZero(R: Int32Array, from: number, words: number): boolean {
  for (let i = from; i < from + words; i++) if (R[i] !== 0) return false;
  return true;
}

/** XINUSE: the components that are not in their initial configuration (SDM vol. 1, 13.6). */
function inUse(R: Int32Array): number {
  const x87 = R[FCW] === INITIAL_FCW && R[FSW] === 0 && R[FTAG] === 0 &&
    isZero(R, FOP, MXCSR - FOP) && R[S.FIP_HI] === 0 && R[S.FDP_HI] === 0 && isZero(R, ST0, 32);
  return (x87 ? 0 : X87) | (isZero(R, XMM0, xmmWords(R)) ? 0 : SSE);
}

/** Linear address of the area. */
function areaAddress(cpu: X86, offset: number, write: boolean): number {
  const at = operandAddress(cpu, offset, AREA_BYTES, write);
  if ((at & 63) !== 0) cpu.raise(S.GP, 0);
  return at;
}

/** The components that an instruction is about: RFBM. */
function requested(cpu: X86): number {
  return cpu.R[XCR0] & cpu.R[S.RAX];
}

function storeWords(cpu: X86, at: number, from: number, words: number): void {
  for (let i = 0; i < words; i++) cpu.store32(at + 4 * i, cpu.R[from + i]);
}

function loadWords(cpu: X86, at: number, to: number, words: number): void {
  for (let i = 0; i < words; i++) cpu.R[to + i] = cpu.load32(at + 4 * i);
}

function save(cpu: X86, offset: number, { optimized, compacted }: Kind): void {
  const R = cpu.R, at = areaAddress(cpu, offset, true);
  cpu.probeWrite(at, AREA_BYTES);
  const wanted = requested(cpu);
  let used = inUse(R);
  // Compacted, MXCSR belongs to the component; otherwise it is saved with it in any case.
  if (compacted && R[MXCSR] !== INITIAL_MXCSR) used |= SSE;
  const saved = optimized ? wanted & used : wanted;
  if ((saved & X87) !== 0) {
    putX87(cpu);
    storeWords(cpu, at, SCRATCH, MXCSR_AT / 4);
    storeWords(cpu, at + X87_REGISTERS, SCRATCH + X87_REGISTERS / 4, 32);
  }
  if (((compacted ? saved : wanted) & SSE) !== 0) {
    cpu.store32(at + MXCSR_AT, R[MXCSR]);
    cpu.store32(at + MXCSR_AT + 4, MXCSR_MASK);
  }
  if ((saved & SSE) !== 0) storeWords(cpu, at + XMM_REGISTERS, XMM0, xmmWords(R));
  if (compacted) {
    cpu.store32(at + XSTATE_BV, wanted & used);
    cpu.store32(at + XSTATE_BV + 4, 0);
    cpu.store32(at + XCOMP_BV, wanted);
    cpu.store32(at + XCOMP_BV + 4, COMPACTED);
  } else {
    const before = cpu.load32(at + XSTATE_BV);
    cpu.store32(at + XSTATE_BV, (before & ~wanted) | (wanted & used));
  }
}

/** What XRSTOR finds in a header; #GP(0) where it is not one of the formats (SDM vol. 1, 13.8). */
function readHeader(cpu: X86, at: number): { state: number; compacted: boolean } {
  const R = cpu.R, { features } = cpu.model;
  const [state, stateHigh, components, high] = [0, 4, 8, 12].map((i) =>
    cpu.load32(at + XSTATE_BV + i)
  );
  const compacted = (high & COMPACTED) !== 0 && features.has("xsavec");
  let reserved = stateHigh | (state & ~R[XCR0]);
  if (compacted) {
    reserved |= (high & ~COMPACTED) | (components & ~R[XCR0]) | (state & ~components);
    for (let i = 16; i < 64; i += 4) reserved |= cpu.load32(at + XSTATE_BV + i);
  } else {
    reserved |= components | high | cpu.load32(at + XSTATE_BV + 16) |
      cpu.load32(at + XSTATE_BV + 20);
  }
  if (reserved !== 0) cpu.raise(S.GP, 0);
  return { state, compacted };
}

function restore(cpu: X86, offset: number): void {
  const R = cpu.R, at = areaAddress(cpu, offset, false);
  const { state, compacted } = readHeader(cpu, at);
  const wanted = requested(cpu), sse = (wanted & SSE) !== 0;
  // The standard format gives MXCSR whether or not the component is in its initial configuration.
  const readMxcsr = sse && (!compacted || (state & SSE) !== 0);
  const mxcsr = readMxcsr ? cpu.load32(at + MXCSR_AT) : INITIAL_MXCSR;
  if ((mxcsr & ~MXCSR_MASK) !== 0) cpu.raise(S.GP, 0);
  // The header and the first bytes were read: the area is there.
  if ((wanted & X87) !== 0) {
    if ((state & X87) !== 0) {
      loadWords(cpu, at, SCRATCH, MXCSR_AT / 4);
      loadWords(cpu, at + X87_REGISTERS, SCRATCH + X87_REGISTERS / 4, 32);
      getX87(cpu);
    } else {
      R.fill(0, ST0, ST0 + 32);
      R[FSW] = 0;
      initialize(cpu);
    }
  }
  if (!sse) return;
  R[MXCSR] = mxcsr;
  if ((state & SSE) !== 0) loadWords(cpu, at + XMM_REGISTERS, XMM0, xmmWords(R));
  else R.fill(0, XMM0, XMM0 + xmmWords(R));
}

/** XGETBV: XCR0, or the components of it that are in use. */
function readExtendedControl(cpu: X86): void {
  const R = cpu.R, number = R[S.RCX];
  const known = number === 0 || (number === 1 && cpu.model.features.has("xgetbv1"));
  if (!known) cpu.raise(S.GP, 0);
  R[S.RAX] = number === 0 ? R[XCR0] : R[XCR0] & inUse(R);
  R[S.RAX + 1] = R[S.RDX] = R[S.RDX + 1] = 0;
}

/** XSETBV: x87 cannot be left out. */
function writeExtendedControl(cpu: X86): void {
  const R = cpu.R, value = R[S.RAX];
  const valid = R[S.CPL] === 0 && R[S.RCX] === 0 && R[S.RDX] === 0 &&
    (value & X87) !== 0 && (value & ~COMPONENTS) === 0;
  if (!valid) cpu.raise(S.GP, 0);
  R[XCR0] = value;
}

/** Helpers of this file. */
export const XSAVE_HELPERS: Record<string, Helper> = {
  xsave: (cpu, offset) => save(cpu, offset, { optimized: false, compacted: false }),
  xsaveopt: (cpu, offset) => save(cpu, offset, { optimized: true, compacted: false }),
  xsavec: (cpu, offset) => save(cpu, offset, { optimized: true, compacted: true }),
  xrstor: restore,
  xgetbv: readExtendedControl,
  xsetbv: writeExtendedControl,
};

function requireEnabled(cpu: X86): void {
  if ((cpu.R[S.CR4] & S.CR4_OSXSAVE) === 0) cpu.raise(S.UD);
}

/** Guards of this file. */
export const XSAVE_GUARDS: Record<string, Guard> = {
  osxsave: requireEnabled,
  xsave: (cpu) => {
    requireEnabled(cpu);
    if ((cpu.R[S.CR0] & S.CR0_TS) !== 0) cpu.raise(S.NM);
  },
};
