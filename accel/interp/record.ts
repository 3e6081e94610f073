/**
 * The pre-decoded form of an instruction: eight words in one large `Int32Array`, in execution order.
 *
 * A record's place doubles as the instruction counter: the loop runs until it reaches the place where its
 * budget ends, so straight-line code counts nothing.
 */
import { ENGINE } from "../x86/state.ts";

/** Words of a record. */
export const OP = 0,
  F_REG = 1,
  F_RM = 2,
  F_INDEX = 3,
  F_INFO = 4,
  F_DISP = 5,
  F_IMM = 6,
  F_PLACE = 7;
/** Words a record takes. */
export const RECORD = 8;
/** Of a relative jump within its page: the record it leads to once known. */
export const F_LINK = F_INDEX;

/**
 * F_INFO: bits 1:0 scale, 10:8 segment, 11 16-bit addressing, 12 16-bit operands, 14:13 repeat prefix
 * (0, 1 for F2, 2 for F3). A shift by the whole word is a shift by the scale, since bits 4:2 are zero.
 * F_PLACE: low half the instruction's offset in its page, high half that of the next one.
 */
export const INFO_ADDRESS16: number = 1 << 11, INFO_OPERAND16: number = 1 << 12;
/** Bits 15 and 16: 32-bit addressing in 64-bit code, and a displacement that counts from the next instruction. */
export const INFO_ADDRESS32: number = 1 << 15, INFO_RIP: number = 1 << 16;

/** Operations that are no instructions: they take no part in the count. */
export const OP_RESYNC = 0, OP_LOOKUP = 1, OP_GOTO = 2, OP_CROSS = 3;
/** An instruction whose bytes were written: to be decoded again when it is met. */
export const OP_STALE = 4;
/** A place where translated code begins: the engine's to execute. What the record was is kept by the engine. */
export const OP_REGION = 5, FIRST_HOT = 6;

/** Place of the record that looks RIP up. Arena words below `FIRST_FREE` are fixed records. */
export const LOOKUP_PLACE = 8, FIRST_STEP = 16;
/** Records for stepping are used in turn, two words of eight each, so that the history of steps can be told. */
export const STEPS = 16;
/** Words of one processor's records for stepping; those of further processors follow. */
export const STEP_WORDS: number = STEPS * 2 * RECORD;
/** Processors that may share one store of records. */
export const MOST_PROCESSORS = 16;
/** Records on which the loop is exercised before it is used: see `warm_up.ts`. */
export const WARM_UP_PLACE: number = FIRST_STEP + MOST_PROCESSORS * STEP_WORDS,
  FIRST_FREE: number = WARM_UP_PLACE + 2 * RECORD;

/** Engine words of `R`: record executing, place where the budget ends, offset in CS of the current page's start, TLB table and code-page table in use, the offset in CS from which the slow lookup must see to CS's limit (unsigned: no page that the limit cuts is below it), a word that is always zero, place of a jump waiting for its link, position in the branch ring. */
export const CURRENT: number = ENGINE, PLACE_END: number = ENGINE + 1, PAGE_IP: number = ENGINE + 2;
export const TLB_BASE: number = ENGINE + 3,
  MODE_BASE: number = ENGINE + 4,
  CODE_END: number = ENGINE + 5;
export const ZERO: number = ENGINE + 6,
  LINK_FROM: number = ENGINE + 7,
  RING_AT: number = ENGINE + 8;

/** High half of PAGE_IP, table of the long-mode TLB in use (0 or LONG_USER), high half of the last address that `offset` or `linear` formed. */
export const PAGE_IP_HI: number = ENGINE + 9,
  LONG_BASE: number = ENGINE + 10,
  ADDRESS_HI: number = ENGINE + 11;

/** Of the code that executes, for the history: CS, its base, code size in bits, 0 before the first; and how many contexts were left, see `whereabouts.ts`. */
export const CODE_CS: number = ENGINE + 12,
  CODE_BASE: number = ENGINE + 13,
  CODE_BITS: number = ENGINE + 14,
  CONTEXTS: number = ENGINE + 15;

/** Added to the place that ends a run in the branch ring where translated code went on from it: places are multiples of 8. */
export const BY_TRANSLATION = 1;
/** Entries of the branch ring; a power of two. */
export const RING_SIZE = 512;
