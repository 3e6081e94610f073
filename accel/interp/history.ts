/** What was executed last, from the ring of branches: for reports, read only when something went wrong. */
import {
  CURRENT,
  F_PLACE,
  LOOKUP_PLACE,
  OP,
  OP_CROSS,
  PAGE_IP,
  RECORD,
  RING_AT,
  RING_SIZE,
} from "./record.ts";

/** No straight run of records is longer than this many words: a longer one is two that the ring cut apart. */
const LONGEST_RUN = 64 * RECORD;

/** An executed instruction: its offset in CS and its length in bytes. */
export interface Executed {
  ip: number;
  length: number;
}

/**
 * Walks back from the current place. The ring holds, oldest first, pairs of the place where a straight run
 * began and the place where it ended; before a run's start stands `-1 - page` where the page changed, with
 * the number of the page left.
 *
 * @param inLoop whether an instruction is executing, which then counts as the last one
 */
export function recentInstructions(
  R: Int32Array,
  C: Int32Array,
  ring: Int32Array,
  count: number,
  inLoop: boolean,
): Executed[] {
  const executed: Executed[] = [];
  let page = R[PAGE_IP];
  const at = (p: number): Executed => {
    const place = C[p + F_PLACE];
    const length = (place >>> 16) - (place & 0xffff);
    return { ip: (page + (place & 0xffff)) >>> 0, length: Math.max(1, Math.min(15, length)) };
  };
  let end = inLoop && R[CURRENT] !== LOOKUP_PLACE ? R[CURRENT] : 0;
  let next = R[RING_AT];
  for (let n = 0; n < RING_SIZE && executed.length < count; n++, next--) {
    const entry = ring[next & (RING_SIZE - 1)];
    if (entry === 0) break;
    if (entry < 0) {
      page = (-1 - entry) << 12;
      continue;
    }
    if (end === 0) {
      end = entry;
      continue;
    }
    // `entry` is where the run began. A run may be empty: its end is then the record before.
    if (entry > end + RECORD || end - entry > LONGEST_RUN) break;
    for (let p = end; p >= entry && executed.length < count; p -= RECORD) {
      if (C[p + OP] > OP_CROSS) executed.push(at(p));
    }
    end = 0;
  }
  return executed.reverse();
}
