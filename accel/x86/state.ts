/** The state of a processor: where its pieces lie (`layout.ts`), its bytes, and its flags as EFLAGS has them. */
import * as Layout from "./layout.ts";
export * from "./layout.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const {
  AF,
  ARG_HI,
  ARITH_FLAGS,
  CF,
  EFLAGS,
  ENGINE,
  FC,
  FR,
  INSN_IP_HI,
  LONG,
  PENDING_DEBUG,
  PF,
  RANDOM,
  SCRATCH,
  ZF,
} = Layout;

/** Words that mean something only within an instruction: scratch memory and what helpers are told. */
const TRANSIENT: readonly (readonly [number, number])[] = [[SCRATCH, PENDING_DEBUG], [
  INSN_IP_HI,
  LONG,
], [ARG_HI, RANDOM]];

/** The processor's state between two instructions as bytes: the same whatever engine executed them. */
export function stateBytes(R: Int32Array): Uint8Array<ArrayBuffer> {
  const words = new Int32Array(R.subarray(0, ENGINE));
  for (const [from, to] of TRANSIENT) words.fill(0, from, to);
  return new Uint8Array(words.buffer);
}

/** PF for a result whose low byte is that of `b`: bit n of the constant is the parity of n. */
function parityOf(b: number): number {
  return ((0x9669 >>> ((b ^ (b >>> 4)) & 15)) & 1) << 2;
}

/** The six arithmetic flags as EFLAGS bits. */
export function arithFlags(R: Int32Array): number {
  const fr = R[FR], fc = R[FC];
  return (fc >>> 31) | parityOf(fr ^ (fc >>> 8)) | ((fc & 8) << 1) | (fr === 0 ? ZF : 0) |
    (((fr >>> 31) ^ (fc & 1)) << 7) | (((fc >>> 31) ^ ((fc >>> 30) & 1)) << 11);
}

/** The whole EFLAGS register. */
export function readEflags(R: Int32Array): number {
  return R[EFLAGS] | arithFlags(R);
}

/** Sets the six arithmetic flags from EFLAGS bits; the other bits of `flags` are ignored. */
export function setArithFlags(R: Int32Array, flags: number): void {
  // FR is 0 for ZF, else 1; what SF and PF then lack goes into FC's correction bits.
  const fr = (flags & ZF) !== 0 ? 0 : 1;
  const parity = ((fr === 0 ? PF : 0) ^ flags) & PF;
  const carry = flags & CF, overflow = (flags >>> 11) & 1;
  R[FR] = fr;
  R[FC] = (carry << 31) | ((carry ^ overflow) << 30) | (parity << 6) | ((flags & AF) >>> 1) |
    ((flags >>> 7) & 1);
}

/** Sets all of EFLAGS, arithmetic flags included; reserved bits are forced. */
export function writeEflags(R: Int32Array, flags: number): void {
  setArithFlags(R, flags);
  R[EFLAGS] = (flags & 0x003f7700 & ~ARITH_FLAGS) | 2;
}
