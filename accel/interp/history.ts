/** What was executed last, from the ring of branches: for reports, read only when something went wrong. */
import {
  BY_TRANSLATION,
  CURRENT,
  F_PLACE,
  LOOKUP_PLACE,
  OP,
  OP_CROSS,
  RECORD,
  RING_AT,
  RING_SIZE,
} from "./record.ts";

/** No straight run of records is longer than this many words: a longer one is two that the ring cut apart. */
const LONGEST_RUN = 64 * RECORD;

/** What code was executed in: its segment, and the page that was left together with it. */
export interface CodeContext {
  /** Selector and base of CS. */
  cs: number;
  base: number;
  bits: 16 | 32 | 64;
  /** Offset in CS of the page's start, its low half and its high half. */
  page: number;
  pageHigh: number;
}

/** Contexts that were left, by number modulo {@linkcode RING_SIZE}; the ring has {@linkcode contextMark}s for them. */
export type LeftContexts = readonly (CodeContext | undefined)[];

/** Marks of pages are above this: pages have 20 bits. */
export const CONTEXT = -0x200000;

/** What the ring holds where context number `n` was left. */
export function contextMark(n: number): number {
  return CONTEXT - n % RING_SIZE;
}

/** An executed instruction: its context, its offset in CS and its length in bytes. */
export interface Executed {
  context: CodeContext;
  ip: number;
  length: number;
  /** Instructions that translated code executed after it, and that are not listed. */
  unlisted: number;
}

/**
 * Walks back from the current place. The ring holds, oldest first, pairs of the place where a straight run
 * began and the place where it ended; before a run's start stands `-1 - page` where the page changed, with
 * the number of the page left. A {@linkcode contextMark} stands where the context changed. A run's end with
 * {@linkcode BY_TRANSLATION} is where translated code began. What that executed is not known but for the
 * number, and where it came to its own end by a fault, the instruction that faulted: an end without a beginning.
 *
 * @param context what the instructions executed last belong to
 * @param left contexts that were left
 * @param inLoop whether an instruction is executing, which then counts as the last one
 * @param untold by entry of the ring that ends a run in translated code, how many instructions more that executed
 */
export function recentInstructions(
  R: Int32Array,
  C: Int32Array,
  ring: Int32Array,
  count: number,
  { context, left, inLoop, untold, entered }: {
    context: CodeContext;
    /** Offset in CS of the page in which the translated code was entered that executes, if it does. */
    entered?: number;
    left: LeftContexts;
    inLoop: boolean;
    untold: Int32Array;
  },
): Executed[] {
  const executed: Executed[] = [];
  let { page } = context, unlisted = 0;
  const add = (p: number, page: number): void => {
    const place = C[p + F_PLACE];
    const length = (place >>> 16) - (place & 0xffff);
    executed.push({
      context,
      ip: (page + (place & 0xffff)) >>> 0,
      length: Math.max(1, Math.min(15, length)),
      unlisted,
    });
    unlisted = 0;
  };
  let end = inLoop && R[CURRENT] !== LOOKUP_PLACE ? R[CURRENT] : 0, endPage = page, inner = entered;
  let next = R[RING_AT];
  for (let n = 0; n < RING_SIZE && executed.length < count; n++, next--) {
    const entry = ring[next & (RING_SIZE - 1)];
    if (entry === 0) break;
    if (entry <= CONTEXT) {
      const was = left[CONTEXT - entry];
      if (was === undefined) break;
      context = was;
      page = was.page;
      continue;
    }
    if (entry < 0) {
      page = ((-1 - entry) << 12) | pageStart(context);
      continue;
    }
    if ((entry & BY_TRANSLATION) !== 0) {
      if (end !== 0) add(end, endPage);
      if (inner !== undefined) page = inner;
      inner = undefined;
      end = entry - BY_TRANSLATION;
      endPage = page;
      unlisted += untold[next & (RING_SIZE - 1)];
      continue;
    }
    if (end === 0) {
      end = entry;
      endPage = page;
      continue;
    }
    // `entry` is where the run began. A run may be empty: its end is then the record before.
    if (entry > end + RECORD || end - entry > LONGEST_RUN) break;
    for (let p = end; p >= entry && executed.length < count; p -= RECORD) {
      if (C[p + OP] > OP_CROSS) add(p, endPage);
    }
    end = 0;
  }
  return executed.reverse();
}

/** Where in their 4 KiB of offsets in CS pages start: the ring does not hold these bits. */
function pageStart({ bits, base }: CodeContext): number {
  return bits === 64 ? 0 : -base & 0xfff;
}
