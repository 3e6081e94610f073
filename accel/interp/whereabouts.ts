/**
 * What code means that is executed now (mode, privilege, segment, page), and the ring of branches that tells
 * where the processor has been.
 */
import type { X86 } from "../x86/cpu.ts";
import * as Words from "../x86/state.ts";
import * as LongTables from "../x86/long_mmu.ts";
import * as Tables from "../x86/mmu.ts";
import * as Modes from "./code_cache.ts";
import { type CodeContext, contextMark, type LeftContexts } from "./history.ts";
import * as Records from "./record.ts";

// V8 reads what a module imports from memory at each use, and takes constants of its own for such.
const S = Object.freeze({ ...Words });
const { CODE_BASE, CODE_BITS, CODE_CS, CODE_END, CONTEXTS, LONG_BASE, MODE_BASE } = Records;
const { PAGE_IP, PAGE_IP_HI, RING_AT, RING_SIZE, TLB_BASE } = Records;
const { LONG_USER } = LongTables;
const { TLB_USER } = Tables;
const { MODE_BIG, MODE_FLAT, MODE_LONG, MODE_PROTECTED } = Modes;

/** See {@linkcode whereabouts}. */
export interface Whereabouts {
  /** The ring, see `history.ts`. */
  readonly branches: Int32Array<ArrayBuffer>;
  /** Enters a place into the ring, as the loop does. */
  readonly note: (place: number) => void;
  /** Notes the page that code runs in from here on, by its start's offset in CS. */
  readonly enterPage: (low: number, high: number) => void;
  /** Takes stock of what code means: sizes, flatness, privilege. Gives the mode bits. */
  readonly updateMode: () => number;
  /** What the instructions executed last belong to. */
  readonly context: () => CodeContext;
  /** The contexts left before. */
  readonly left: () => LeftContexts;
}

/**
 * Keeps a processor's whereabouts.
 *
 * Functions that share variables, and no methods: what V8 finds in a variable that never changes it takes for
 * constant, arrays with their places in memory, and what it finds in `this` it does not.
 *
 * @param hostPages pages of host memory
 */
// hot: bench/microbench, int80 and fastsys.
export function whereabouts(cpu: X86, hostPages: number): Whereabouts {
  // Parameters may change, for all that V8 knows.
  const { R } = cpu, pages = hostPages, branches = new Int32Array(RING_SIZE);
  /** For the history: contexts that were left. */
  const left = new Int32Array(5 * RING_SIZE);

  const note = (place: number): void => {
    const at = R[RING_AT] + 1;
    R[RING_AT] = at;
    branches[at & (RING_SIZE - 1)] = place;
  };

  const enterPage = (low: number, high: number): void => {
    const page = R[PAGE_IP];
    if (page !== (low | 0)) note(-1 - (page >>> 12));
    R[PAGE_IP] = low;
    R[PAGE_IP_HI] = high;
  };

  const enterContext = (bits: 16 | 32 | 64): void => {
    const cs = R[S.SEG_SEL + S.CS], base = R[S.SEG_BASE + S.CS];
    if (cs === R[CODE_CS] && base === R[CODE_BASE] && bits === R[CODE_BITS]) return;
    if (R[CODE_BITS] !== 0) {
      const contexts = R[CONTEXTS], n = contexts & (RING_SIZE - 1), at = 5 * n;
      left[at] = R[CODE_CS];
      left[at + 1] = R[CODE_BASE];
      left[at + 2] = R[CODE_BITS];
      left[at + 3] = R[PAGE_IP];
      left[at + 4] = R[PAGE_IP_HI];
      note(contextMark(n));
      // Beyond the ring's size only whether it was full counts.
      R[CONTEXTS] = contexts === 2 * RING_SIZE - 1 ? RING_SIZE : contexts + 1;
    }
    // A page's start as an offset in CS means nothing in another CS.
    if (base !== R[CODE_BASE]) R[PAGE_IP] = -1;
    R[CODE_CS] = cs;
    R[CODE_BASE] = base;
    R[CODE_BITS] = bits;
  };

  const updateMode = (): number => {
    const user = R[S.CPL] === 3;
    if (R[S.LONG] !== 0) {
      R[MODE_BASE] = MODE_LONG * pages;
      R[LONG_BASE] = user ? LONG_USER : 0;
      enterContext(64);
      return MODE_LONG;
    }
    const flatCode = R[S.SEG_FLAT + S.CS] === 1;
    const flat = flatCode && R[S.SEG_FLAT + S.DS] === 1 && R[S.SEG_FLAT + S.ES] === 1 &&
      R[S.SEG_FLAT + S.SS] === 1 && (R[S.SEG_ATTR + S.SS] & S.ATTR_BIG) !== 0;
    const big = (R[S.SEG_ATTR + S.CS] & S.ATTR_BIG) !== 0;
    const isProtected = (R[S.CR0] & S.CR0_PE) !== 0 && (R[S.EFLAGS] & S.VM) === 0;
    const mode = (big ? MODE_BIG : 0) | (flat ? MODE_FLAT : 0) | (isProtected ? MODE_PROTECTED : 0);
    R[MODE_BASE] = mode * pages;
    R[TLB_BASE] = user ? TLB_USER : 0;
    R[CODE_END] = flatCode ? -1 : endOfPages(R[S.SEG_BASE + S.CS], R[S.SEG_LIMIT + S.CS] >>> 0);
    enterContext(big ? 32 : 16);
    return mode;
  };

  return {
    branches,
    note,
    enterPage,
    updateMode,
    context: () => ({
      cs: R[CODE_CS],
      base: R[CODE_BASE],
      bits: R[CODE_BITS] as CodeContext["bits"],
      page: R[PAGE_IP],
      pageHigh: R[PAGE_IP_HI],
    }),
    left: () =>
      Array.from({ length: Math.min(R[CONTEXTS], RING_SIZE) }, (_, n) => {
        const [cs, base, bits, page, pageHigh] = left.subarray(5 * n);
        return { cs, base, bits: bits as CodeContext["bits"], page, pageHigh };
      }),
  };
}

/** The end of the last page that lies within a segment as a whole: an offset in it, 0 if there is none. */
function endOfPages(base: number, limit: number): number {
  const end = limit + 1 - ((base + limit + 1) & 0xfff);
  return end < 0 ? 0 : end > 0xffffffff ? -1 : end;
}
