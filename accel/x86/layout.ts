/**
 * Where each piece of processor state lies in the one `Int32Array` (`R`) that all engines share.
 *
 * One typed array, so that generated code needs one base pointer, a snapshot is one copy and the state
 * hash is one buffer. Registers are 64 bits wide from the start: a low and a high `Int32` side by side,
 * which also gives byte and word registers as plain byte offsets.
 */

/** Indices of the general registers in encoding order; the high half follows each. */
export const RAX = 0, RCX = 2, RDX = 4, RBX = 6, RSP = 8, RBP = 10, RSI = 12, RDI = 14;
/** The register with encoding `n` (0 to 15) lies at `R[n * 2]`. */
export const GPR_COUNT = 16;
/** Instruction pointer: the offset in the code segment, low and high. Current only where no engine is running. */
export const RIP = 32;

/**
 * Arithmetic flags, kept as the last result and its carries instead of as bits:
 *
 * - `FR`: ZF is `FR === 0`. SF is the sign of FR, PF the parity of its low byte, each corrected by FC.
 * - `FC`: bit 31 is CF; bit 30 is the carry into the top bit, so OF = bit 31 ^ bit 30; bit 3 is AF
 *   (the carry out of bit 3); bit 0 inverts SF; bits 15:8 are XORed with FR's low byte before PF is taken.
 *
 * An addition sets `FC = ((a & b) | ((a | b) & ~r)) & 0xc0000008` and a subtraction
 * `FC = ((~a & b) | ((~a | b) & r)) & 0xc0000008`. Narrower results are sign-extended into FR and their
 * carries shifted up to bit 31.
 */
export const FR = 34, FC = 35;
/** EFLAGS without CF, PF, AF, ZF, SF, OF: TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID, and bit 1, always set. */
export const EFLAGS = 36;
export const CPL = 37;
/** 0 running, 1 halted, 2 shutdown, 3 waiting for a start-up message. */
export const ACTIVITY = 38;
/** Nonzero while an interrupt is held off for one instruction: 1 after STI and where an interrupt was delivered, 2 after MOV SS or POP SS (which hold off debug traps as well). */
export const SHADOW = 39;

/** Segment registers in encoding order, then LDTR and TR. */
export const ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5, LDTR = 6, TR = 7;
/** Selectors: `R[SEG_SEL + seg]`. */
export const SEG_SEL = 40;
/** Base, low halves; the high halves are at `SEG_BASE_HI`. */
export const SEG_BASE = 48, SEG_BASE_HI = 56;
/** Limit in bytes, granularity applied: the highest valid offset (the lowest invalid one for expand-down is this plus 1). */
export const SEG_LIMIT = 64;
/**
 * Access rights as they stand in the descriptor's second doubleword, bits 8 to 23, shifted right by 8:
 * bits 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G. 0 for a null (unusable) segment.
 */
export const SEG_ATTR = 72;
/**
 * What flat code may skip: 1 when the segment is usable for any offset without a check (base 0, limit 4 GiB,
 * expand-up, readable and writable data; for CS: base 0, limit 4 GiB).
 */
export const SEG_FLAT = 80;

export const CR0 = 88, CR2 = 90, CR3 = 92, CR4 = 94, CR8 = 96, EFER = 98;
/** Debug registers 0 to 3 in pairs, then DR6 and DR7. */
export const DR0 = 100, DR6 = 108, DR7 = 110;
export const GDTR_BASE = 112, GDTR_LIMIT = 114, IDTR_BASE = 116, IDTR_LIMIT = 118;
/** MSRs that the engines touch; the rest are kept by the MSR file, see `system/msr.ts`. */
export const SYSENTER_CS = 120, SYSENTER_ESP = 122, SYSENTER_EIP = 124;
/** Added to the clock's nanoseconds to give the time-stamp counter (signed 64 bits). */
export const TSC_OFFSET = 126;

/** x87: control word, status word (TOP included), tag word as a bit mask of non-empty *physical* registers. */
export const FCW = 128, FSW = 129, FTAG = 130;
/** Last x87 instruction: opcode (11 bits), its offset and selector, its operand's offset and selector. */
export const FOP = 131, FIP = 132, FCS = 133, FDP = 134, FDS = 135;
export const MXCSR = 136;
/** High halves of FIP and FDP, zero outside 64-bit mode. */
export const FIP_HI = 137, FDP_HI = 138;
/** XCR0, low half: the state components that XSAVE and its kin are about. */
export const XCR0 = 139;
/** Physical x87 register n: significand low, high, then sign and exponent (16 bits), then padding. MMX register n is the first two. */
export const ST0 = 140;
/** XMM register n: 4 words at `XMM0 + 4 * n`, n 0 to 15. Aligned to 16 bytes within the buffer. */
export const XMM0 = 172;
/** 512 bytes, aligned to 16, through which memory operands of x87, MMX, SSE and state-saving instructions pass. */
export const SCRATCH = 236;

/** Facts about the instruction being executed, for helpers: its own offset in CS, the offset of the next one, linear operand address, operand segment, x87 opcode. */
export const INSN_IP = 364, NEXT_IP = 365, INSN_EA = 366, INSN_SEG = 367, INSN_FOP = 368;

/** Debug conditions that wait to trap at the end of the instruction, as DR6 bits; see `system/debug.ts`. */
export const PENDING_DEBUG = 369;
/** 1 from the delivery of an NMI until the next IRET. */
export const NMI_BLOCKED = 370;
/** EFLAGS.TF as it was when the instruction began, while single instructions are stepped. */
export const STEPPING = 371;

/** High halves of INSN_IP, NEXT_IP and INSN_EA; zero outside 64-bit mode. */
export const INSN_IP_HI = 372, NEXT_IP_HI = 373, INSN_EA_HI = 374;
/** High half of what `load64` read last. */
export const HIGH = 375;
/** 1 in 64-bit mode proper: EFER.LMA and CS.L. Kept by whatever loads CS or changes EFER.LMA (`updateLongMode`). */
export const LONG = 376;

/** High halves of a helper's 64-bit arguments, by operand. */
export const ARG_HI = 377;
/** State of the generator behind RDRAND and RDSEED, four words; see `random.ts`. RESET and INIT leave it. */
export const RANDOM = 380;

/** Engine-private words from here on, never part of a snapshot: see `interp/`. */
export const ENGINE = 384;

/** Length of `R` in words. */
export const STATE_WORDS = 1024;

/** EFLAGS bits (SDM vol. 1, 3.4.3). */
export const CF = 1 << 0, PF = 1 << 2, AF = 1 << 4, ZF = 1 << 6, SF = 1 << 7, OF = 1 << 11;
export const TF = 1 << 8, IF = 1 << 9, DF = 1 << 10, IOPL = 3 << 12, NT = 1 << 14, RF = 1 << 16;
export const VM = 1 << 17, AC = 1 << 18, VIF = 1 << 19, VIP = 1 << 20, ID = 1 << 21;
export const ARITH_FLAGS: number = CF | PF | AF | ZF | SF | OF;

/** CR0 bits (SDM vol. 3, 2.5). */
export const CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_ET = 1 << 4;
export const CR0_NE = 1 << 5,
  CR0_WP = 1 << 16,
  CR0_AM = 1 << 18,
  CR0_NW = 1 << 29,
  CR0_CD = 1 << 30;
export const CR0_PG = 1 << 31;
/** CR4 bits. */
export const CR4_VME = 1 << 0,
  CR4_PVI = 1 << 1,
  CR4_TSD = 1 << 2,
  CR4_DE = 1 << 3,
  CR4_PSE = 1 << 4;
export const CR4_PAE = 1 << 5, CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8;
export const CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10;

/** CR4 bits of long-mode processors. */
export const CR4_UMIP = 1 << 11, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18;
export const CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21;
/** EFER bits (SDM vol. 3, 2.2.1). */
export const EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11;
/** Bits of SEG_ATTR: L (64-bit code) and D/B. */
export const ATTR_LONG = 0x2000, ATTR_BIG = 0x4000;

/** Exception vectors (SDM vol. 3, 6.3.1). */
export const DE = 0, DB = 1, NMI = 2, BP = 3, OF_TRAP = 4, BR = 5, UD = 6, NM = 7, DOUBLE_FAULT = 8;
export const TS = 10,
  NP = 11,
  SS_FAULT = 12,
  GP = 13,
  PAGE_FAULT = 14,
  MF = 16,
  AC_FAULT = 17,
  MC = 18,
  XM = 19;

/** `PARITY[b]` is PF (bit 2) for a result whose low byte is b. */
export const PARITY: Uint8Array = new Uint8Array(256).map((_, b) => {
  let ones = 0;
  for (let i = 0; i < 8; i++) ones += (b >> i) & 1;
  return ones % 2 === 0 ? PF : 0;
});
